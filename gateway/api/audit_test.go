package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

func (d *desk) acts(query string) (list []store.Act) {
	d.t.Helper()
	s, text := d.do(store.RoleSuperuser, "GET", "/api/v1/audit"+query, "")
	if err := json.Unmarshal([]byte(text), &list); s != 200 || err != nil {
		d.t.Fatalf("%d %s: %v", s, text, err)
	}
	return list
}

// Whatever operation changes something for somebody signed in leaves an entry
// with its id; one that only reads, or is refused, leaves none.
func TestEveryChangeIsInTheAuditLog(t *testing.T) {
	d := newDesk(t)
	for name, row := range matrix {
		method, path, _ := strings.Cut(name, " ")
		changes := (method != "GET" || path == "/users/{id}/export") && !strings.HasPrefix(path, "/log") && row.want[4] < 400 &&
			!strings.HasPrefix(path, "/conversations") // who writes to whom is theirs
		if path == "/metrics" || path == "/healthz" {
			continue
		}
		for role, wrote := range map[store.Role]bool{"": false, store.RoleAdministrator: changes} {
			laid := d.lay(false)
			at := laid.Replace("/api/v1" + path)
			before := len(d.acts("?limit=1000"))
			d.do(role, method, at, laid.Replace(row.body))
			list := d.acts("?limit=1000")
			if (len(list) == before+1) != wrote {
				t.Errorf("%s as %q: %d entries more", name, role, len(list)-before)
				continue
			}
			if !wrote {
				continue
			}
			if a := list[0]; a.Actor != d.ids[role] || a.Name != "administrator@example.org" || a.Source != "127.0.0.1" || a.Act == "" || a.At.IsZero() {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
}

func TestP81AuditLogTellsNoSecret(t *testing.T) {
	d := newDesk(t)
	const admin = store.RoleAdministrator
	for _, c := range [][3]string{
		{"POST", "/users", `{"email":"new@example.org","password":"s3cret s3cret","role":"superuser"}`},
		{"POST", "/meetings", `{"number":"7001","host_passcode":"5537001","guest_passcode":"5537002"}`},
		{"PATCH", "/meetings/7001", `{"guest_passcode":"5537003"}`},
		{"POST", "/devices", `{"user":"room1","password":"s3cret s3cret"}`},
	} {
		if s, text := d.do(admin, c[0], "/api/v1"+c[1], c[2]); s != 200 {
			t.Fatalf("%v: %d %s", c, s, text)
		}
	}
	if s, _ := d.do(admin, "POST", "/api/v1/meetings", `{"number":"7001"}`); s != 409 {
		t.Fatalf("the same number again: %d", s)
	}
	list := d.acts("")
	var got []string
	for _, a := range list {
		got = append(got, a.Act+" "+a.Object+": "+a.Detail)
	}
	want := []string{"add-device room1: password user", "change-meeting meetings/7001: guest_passcode",
		"add-meeting 7001: guest_passcode host_passcode number", "add-user new@example.org: email password role=superuser"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
	if page := d.acts(fmt.Sprintf("?before=%d&limit=2", list[0].ID)); len(page) != 2 || page[0] != list[1] || page[1] != list[2] {
		t.Errorf("the second page is %+v", page)
	}
}

func TestP78WhoRemovesItselfIsErasedFromTheAuditLog(t *testing.T) {
	d := newDesk(t)
	u, err := d.store.AddUser(t.Context(), store.User{Email: "leaving@example.org", Role: store.RoleSuperuser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	mine := d.tokens[store.RoleSuperuser]
	d.tokens[store.RoleSuperuser], _, err = d.store.AddToken(t.Context(), u.ID, "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/meetings", "{}", 200}, {"DELETE", "/users/leaving@example.org", "", 404}, {"DELETE", "/users/" + u.ID, "", 204}, {"GET", "/me", "", 401},
	} {
		if s, text := d.do(store.RoleSuperuser, c.method, "/api/v1"+c.path, c.body); s != c.want {
			t.Fatalf("%s %s: %d %s", c.method, c.path, s, text)
		}
	}
	d.tokens[store.RoleSuperuser] = mine
	list := d.acts("")
	if len(list) != 2 || strings.Contains(fmt.Sprint(list), "leaving") || list[0].Actor != u.ID || list[0].Object != "users/"+u.ID {
		t.Errorf("left: %+v", list)
	}
}
