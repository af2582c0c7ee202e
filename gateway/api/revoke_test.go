package api

import (
	"fmt"
	"net/http"
	"testing"

	"bridgehead/gateway/store"
)

// A device's credentials open no operation, in whatever way they are shown.
func TestDevicesHaveNoRights(t *testing.T) {
	d := newDesk(t)
	if _, err := d.store.AddDevice(t.Context(), store.Device{User: "room1", Password: "secret of the room"}); err != nil {
		t.Fatal(err)
	}
	if s, _ := d.do("", "POST", "/api/v1/login", `{"user":"room1","password":"secret of the room"}`); s != http.StatusUnauthorized {
		t.Errorf("a device signs in: %d", s)
	}
	for _, show := range []func(*http.Request){
		func(r *http.Request) { r.SetBasicAuth("room1", "secret of the room") },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer secret of the room") },
		func(r *http.Request) { r.AddCookie(&http.Cookie{Name: Cookie, Value: "secret of the room"}) },
	} {
		for _, path := range []string{"/me", "/meetings", "/devices", "/events", "/calls"} {
			req, err := http.NewRequest("GET", d.server.URL+"/api/v1"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			show(req)
			res, err := d.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s answers a device with %d", path, res.StatusCode)
			}
		}
	}
}

// With an account go its sign-ins and its calls.
func TestP39RevokedUserIsOutAtOnce(t *testing.T) {
	d := newDesk(t)
	id := d.ids[store.RoleUser]
	if s, text := d.do(store.RoleSuperuser, "DELETE", "/api/v1/users/"+id, ""); s != http.StatusNoContent {
		t.Fatalf("%d %s", s, text)
	}
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/me", ""); s != http.StatusUnauthorized {
		t.Errorf("the token of one who is gone is answered with %d", s)
	}
	if fmt.Sprint(d.revoke) != fmt.Sprint([]string{id}) {
		t.Errorf("calls ended of %v, want of %s", d.revoke, id)
	}
}
