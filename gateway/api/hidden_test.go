package api

import (
	"testing"

	"bridgehead/gateway/store"
)

// attempt is a change and what comes of it.
type attempt struct {
	role store.Role
	path string
	body string
	want int
}

func (d *desk) patch(list []attempt) {
	d.t.Helper()
	for _, a := range list {
		if s, text := d.do(a.role, "PATCH", "/api/v1"+a.path, a.body); s != a.want {
			d.t.Errorf("%s gives %s the fields %s: %d, want %d: %s", a.role, a.path, a.body, s, a.want, text)
		}
	}
}

func TestP57SuperusersHideUsersAndSuperusers(t *testing.T) {
	d := newDesk(t)
	const hide = `{"hidden":true}`
	d.patch([]attempt{
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], hide, 200},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleSuperuser], hide, 200},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleAdministrator], hide, 403},
		{store.RoleUser, "/users/" + d.ids[store.RoleUser], hide, 403},
	})
	for role, want := range map[store.Role]bool{store.RoleUser: true, store.RoleSuperuser: true, store.RoleAdministrator: false} {
		if u, err := d.store.User(t.Context(), d.ids[role]); err != nil || u.Hidden != want {
			t.Errorf("%s is hidden: %v, %v", role, u.Hidden, err)
		}
	}
}

func TestP71AdministratorsHideThemselves(t *testing.T) {
	d := newDesk(t)
	other, err := d.store.AddUser(t.Context(), store.User{Email: "second@example.org", Role: store.RoleAdministrator}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	d.patch([]attempt{
		{store.RoleAdministrator, "/users/" + d.ids[store.RoleAdministrator], `{"hidden":true}`, 200},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleAdministrator], `{"hidden":false}`, 403},
		{store.RoleAdministrator, "/users/" + other.ID, `{"hidden":true}`, 403},
		{store.RoleAdministrator, "/users/" + other.ID, `{"display_name":"Second"}`, 200},
	})
}

// rooms are three devices: nobody's, a user's and an administrator's.
func (d *desk) rooms() {
	d.t.Helper()
	for user, owner := range map[string]string{"lobby": "", "desk": d.ids[store.RoleUser], "board": d.ids[store.RoleAdministrator]} {
		if _, err := d.store.AddDevice(d.t.Context(), store.Device{User: user, Password: "long enough", Owner: owner}); err != nil {
			d.t.Fatal(err)
		}
	}
}

func TestP58SuperusersHideRoomsThatAreNoAdministrators(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	d.patch([]attempt{
		{store.RoleSuperuser, "/devices/lobby", `{"hidden":true}`, 200},
		{store.RoleSuperuser, "/devices/desk", `{"hidden":true}`, 200},
		{store.RoleSuperuser, "/devices/board", `{"hidden":true}`, 403},
		{store.RoleSuperuser, "/devices/lobby", `{"hidden":true,"name":"x"}`, 403},
		{store.RoleSuperuser, "/devices/board", `{"owner":""}`, 403},
		{store.RoleUser, "/devices/desk", `{"hidden":false}`, 403},
	})
	if x, err := d.store.Device(t.Context(), "lobby"); err != nil || !x.Hidden || x.Name != "" {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestP72AdministratorsHideTheirOwnRooms(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	other, err := d.store.AddUser(t.Context(), store.User{Email: "second@example.org", Role: store.RoleAdministrator}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	d.patch([]attempt{
		{store.RoleAdministrator, "/devices/board", `{"hidden":true}`, 200},
		{store.RoleAdministrator, "/devices/desk", `{"hidden":true}`, 200},
		{store.RoleAdministrator, "/devices/board", `{"owner":"` + other.ID + `"}`, 200},
		{store.RoleAdministrator, "/devices/board", `{"hidden":false}`, 403}, // another's now
		{store.RoleAdministrator, "/devices/board", `{"owner":"nobody"}`, 422},
		{store.RoleAdministrator, "/devices/board", `{"owner":"second@example.org"}`, 422},
	})
	if err := d.store.RemoveUser(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	if x, err := d.store.Device(t.Context(), "board"); err != nil || x.Owner != "" || !x.Hidden {
		t.Errorf("after its owner is gone: %+v, %v", x, err)
	}
}

// Nobody disables itself, and one administrator who can sign in is left.
func TestP39DisabledUserIsOutAtOnce(t *testing.T) {
	d := newDesk(t)
	id := d.ids[store.RoleUser]
	d.patch([]attempt{
		{store.RoleSuperuser, "/users/" + id, `{"disabled":true}`, 200},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleAdministrator], `{"disabled":true}`, 403},
		{store.RoleAdministrator, "/users/" + d.ids[store.RoleAdministrator], `{"disabled":true}`, 409},
	})
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/me", ""); s != 401 {
		t.Errorf("its token is answered with %d", s)
	}
	if len(d.revoke) != 1 || d.revoke[0] != id {
		t.Errorf("calls ended of %v, want of %s", d.revoke, id)
	}
	_, wrong := d.do("", "POST", "/api/v1/login", `{"user":"user@example.org","password":"a wrong password"}`)
	if s, text := d.do("", "POST", "/api/v1/login", `{"user":"user@example.org","password":"a good password"}`); s != 401 || text != wrong {
		t.Errorf("it signs in: %d %s, want %s", s, text, wrong)
	}
	d.patch([]attempt{{store.RoleSuperuser, "/users/" + id, `{"disabled":false}`, 200}})
	if s, _ := d.do("", "POST", "/api/v1/login", `{"user":"user@example.org","password":"a good password"}`); s != 200 {
		t.Errorf("enabled again, it signs in with %d", s)
	}
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/me", ""); s != 401 {
		t.Errorf("a token of before is answered with %d", s)
	}
}
