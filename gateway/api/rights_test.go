package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

// right is who may call an operation.
type right struct {
	least store.Role // "": everybody
	own   bool       // a user only on meetings of its own (P42-P48); superusers on any (P55)
}

var (
	everybody  = right{}
	users      = right{least: store.RoleUser}
	owners     = right{least: store.RoleUser, own: true}
	superusers = right{least: store.RoleSuperuser}
	admins     = right{least: store.RoleAdministrator}
)

// rights has a line for each operation, by its id.
var rights = map[string]right{
	"login": everybody, "logout": everybody, "me": users,
	"list-users": superusers, "add-user": superusers, "change-user": superusers, "remove-user": superusers, // P52-P54
	"list-tokens": users, "add-token": users, "remove-token": users,
	"list-meetings": users, "add-meeting": users, // P42
	"get-meeting": owners, "change-meeting": owners, "remove-meeting": owners, // P43, P44
	"list-participants": owners, "dial": owners, "layout-participant": owners, // P40, P45, P68
	"accept-participant": owners, "reject-participant": owners, "remove-participant": owners, // P30, P45
	"mute-participant": owners, "unmute-participant": owners, "stop-video-participant": owners, // P46
	"make-host-participant": owners, "lower-hand-participant": owners,
	"mute-all": owners, "unmute-all": owners, "remove-all": owners, "lock": owners, "unlock": owners, "end": owners,
	"list-calls": superusers, "get-call": superusers, "get-ladder": superusers, "events": superusers, // P51, P62
	"list-trunks": admins, "get-trunk": admins, "add-trunk": admins, "change-trunk": admins, "remove-trunk": admins, "check-trunk": admins,
	"list-numbers": admins, "add-number": admins, "change-number": admins, "remove-number": admins,
	"list-devices": admins, "add-device": admins, "change-device": admins, "remove-device": admins,
}

// bodies of the operations that look at their body before they look at the
// meeting.
var bodies = map[string]string{"dial": `{"to":"sip:nobody@192.0.2.1"}`, "layout-participant": `{"layout":"2x2"}`}

// may says what is to come of a call: 401, 403, or 0 for anything else.
func (r right) may(role store.Role, own bool) int {
	switch {
	case r.least == "":
		return 0
	case role == "":
		return http.StatusUnauthorized
	case !allowed(role, r.least), r.own && role == store.RoleUser && !own:
		return http.StatusForbidden
	}
	return 0
}

// Every operation that the description lists, called by everybody: by strangers,
// devices, and each role, on meetings of one's own and of others. An operation
// without a line above fails, and a line without its operation.
func TestP40ToP72RightsOfAllOperations(t *testing.T) {
	d := newDesk(t)
	_, text := d.do("", "GET", "/api/v1/openapi.json", "")
	var api struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(text), &api); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for path, methods := range api.Paths {
		for method, o := range methods {
			seen[o.OperationID] = true
			r, ok := rights[o.OperationID]
			if !ok {
				t.Errorf("%s %s (%s) has no line in the table of rights", method, path, o.OperationID)
				continue
			}
			for _, role := range append([]store.Role{""}, rank...) {
				for _, own := range []bool{false, true} {
					d.mustAnswer(o.OperationID, strings.ToUpper(method), path, role, own, r.may(role, own))
				}
			}
		}
	}
	for id := range rights {
		if !seen[id] {
			t.Errorf("%s is in the table of rights, but there is no such operation", id)
		}
	}
}

// mustAnswer calls an operation on a meeting made for it, and expects a status;
// 0: any but those of the lack of a right.
func (d *desk) mustAnswer(id, method, path string, role store.Role, own bool, want int) {
	d.t.Helper()
	owner := store.RoleAdministrator
	if own {
		owner = cmp.Or(role, owner)
	}
	m, err := d.store.AddMeeting(d.t.Context(), store.Meeting{Kind: "permanent", Admission: "open", Owner: d.user(owner).ID})
	if err != nil {
		d.t.Fatal(err)
	}
	at := strings.NewReplacer("{number}", m.Number, "{id}", "nobody").Replace(path)
	got := d.status(role, method, at, cmp.Or(bodies[id], "{}"))
	refused := got == http.StatusUnauthorized || got == http.StatusForbidden
	if id == "login" { // an empty one is refused for what it is
		return
	}
	if want == 0 && refused || want != 0 && got != want {
		d.t.Errorf("%s (%s %s) as %q, own meeting %v: %d, want %d (0: any but 401 and 403)", id, method, path, role, own, got, want)
	}
}

// user is the account of a role.
func (d *desk) user(role store.Role) store.User {
	d.t.Helper()
	u, err := d.store.User(d.t.Context(), string(role)+"@example.org")
	if err != nil {
		d.t.Fatal(err)
	}
	return u
}

// status is what a request is answered with, without waiting for the end
// of a stream.
func (d *desk) status(role store.Role, method, path, body string) int {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.server.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if role != "" { // with a token of its own, which the call may revoke
		token, _, err := d.store.AddToken(d.t.Context(), d.user(role).ID, "test", 0)
		if err != nil {
			d.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := d.server.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

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

func TestP70AdministratorsAreUntouchable(t *testing.T) {
	d := newDesk(t)
	id := func(role store.Role) string { return d.user(role).ID }
	for _, role := range []store.Role{store.RoleUser, store.RoleSuperuser} {
		for _, c := range [][2]string{{"PATCH", `{"role":"user"}`}, {"PATCH", `{"password":"another long one"}`}, {"PATCH", `{"display_name":"X"}`}, {"DELETE", ""}} {
			if s, text := d.do(role, c[0], "/api/v1/users/"+id(store.RoleAdministrator), c[1]); s != http.StatusForbidden {
				t.Errorf("%s %s %s of an administrator: %d %s", role, c[0], c[1], s, text)
			}
		}
	}
	if s, _ := d.do(store.RoleSuperuser, "PATCH", "/api/v1/users/"+id(store.RoleUser), `{"role":"administrator"}`); s != http.StatusForbidden {
		t.Errorf("P52: a superuser makes an administrator: %d", s)
	}
	if s, text := d.do(store.RoleSuperuser, "PATCH", "/api/v1/users/"+id(store.RoleUser), `{"role":"superuser"}`); s != http.StatusOK {
		t.Errorf("P52: a superuser promotes a user: %d %s", s, text)
	}
	if s, text := d.do(store.RoleSuperuser, "PATCH", "/api/v1/users/"+id(store.RoleUser), `{"role":"user"}`); s != http.StatusOK {
		t.Errorf("P53: a superuser demotes a superuser: %d %s", s, text)
	}
}

// With an account go its sign-ins and its calls.
func TestP39RevokedUserIsOutAtOnce(t *testing.T) {
	d := newDesk(t)
	u := d.user(store.RoleUser)
	if s, text := d.do(store.RoleSuperuser, "DELETE", "/api/v1/users/"+u.ID, ""); s != http.StatusNoContent {
		t.Fatalf("%d %s", s, text)
	}
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/me", ""); s != http.StatusUnauthorized {
		t.Errorf("the token of one who is gone is answered with %d", s)
	}
	if fmt.Sprint(d.revoke) != fmt.Sprint([]string{u.ID}) {
		t.Errorf("calls ended of %v, want of %s", d.revoke, u.ID)
	}
}
