package api

import (
	"encoding/json"
	"fmt"
	"testing"

	"bridgehead/gateway/store"
)

func TestGroupsHoldAccountsAndDevices(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	lobby, err := d.store.Device(t.Context(), "lobby")
	if err != nil {
		t.Fatal(err)
	}
	user, admin := d.ids[store.RoleUser], d.ids[store.RoleAdministrator]
	do := func(method, path, body string, want int) (g store.Group) {
		t.Helper()
		s, text := d.do(store.RoleSuperuser, method, "/api/v1/groups"+path, body)
		if s != want {
			t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, s, want, text)
		}
		if s == 200 {
			if err := json.Unmarshal([]byte(text), &g); err != nil {
				t.Fatal(err)
			}
		}
		return g
	}
	g := do("POST", "", fmt.Sprintf(`{"name":"Sales","users":[%q,%q,%q],"devices":[%q]}`, user, admin, user, lobby.ID), 200)
	if len(g.Users) != 2 || len(g.Devices) != 1 {
		t.Errorf("%+v", g)
	}
	do("POST", "", `{"name":"SALES"}`, 409)
	do("POST", "", `{"name":"x","users":["nobody"]}`, 422)
	do("POST", "", `{"name":"x","users":[`+fmt.Sprintf("%q", lobby.ID)+`]}`, 422)
	do("PATCH", "/"+g.ID, `{"users":["nobody"]}`, 422)
	do("PATCH", "/none", `{}`, 404)
	if g = do("PATCH", "/"+g.ID, `{"name":"Support"}`, 200); g.Name != "Support" || len(g.Users) != 2 || len(g.Devices) != 1 {
		t.Errorf("renamed: %+v", g)
	}
	if err := d.store.RemoveUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if err := d.store.RemoveDevice(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	list, err := d.store.Groups(t.Context())
	if err != nil || len(list) != 1 || fmt.Sprint(list[0].Users) != "["+admin+"]" || len(list[0].Devices) != 0 {
		t.Errorf("after two are gone: %+v, %v", list, err)
	}
	do("DELETE", "/"+g.ID, "", 204)
	do("DELETE", "/"+g.ID, "", 404)
}
