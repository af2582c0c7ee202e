package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

// jar is a browser's cookies after it has signed in.
func (d *desk) jar(source string) []*http.Cookie {
	d.t.Helper()
	r := d.signIn(source, "user@example.org", goodPassword)
	if r.StatusCode != 200 {
		d.t.Fatalf("sign-in: %d", r.StatusCode)
	}
	return r.Cookies()
}

func (d *desk) sessions(cookies []*http.Cookie) (list []sessionView) {
	d.t.Helper()
	r := d.from("192.0.2.1", "GET", "/me/sessions", "", cookies...)
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil || r.StatusCode != 200 {
		d.t.Fatalf("%d %v", r.StatusCode, err)
	}
	return list
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	d := newDesk(t)
	phone, laptop, old := d.jar("192.0.2.1"), d.jar("192.0.2.2"), d.jar("192.0.2.3")
	list := d.sessions(laptop)
	current := ""
	for _, s := range list {
		if s.Agent != "Firefox on Linux" || s.Used.IsZero() != !s.Current {
			t.Errorf("%+v", s)
		}
		if s.Current {
			current += s.ID
		}
	}
	if len(list) != 3 || current != list[1].ID {
		t.Fatalf("three browsers, this the second of them: %+v", list)
	}
	in := func(c []*http.Cookie) int { return d.from("192.0.2.1", "GET", "/me", "", c...).StatusCode }
	if s := d.from("192.0.2.1", "DELETE", "/me/sessions/"+list[2].ID, "", laptop...).StatusCode; s != 204 || in(old) != 401 || in(phone) != 200 {
		t.Errorf("the third is revoked: %d; it then gets %d, the first %d", s, in(old), in(phone))
	}
	if s := d.from("192.0.2.1", "POST", "/me/sessions/revoke-others", "", laptop...).StatusCode; s != 200 || in(phone) != 401 || in(laptop) != 200 {
		t.Errorf("the others are revoked: %d; the first gets %d, this %d", s, in(phone), in(laptop))
	}
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/me", ""); s != 200 {
		t.Errorf("a program's token is no session, and yet gets %d", s)
	}
	if s, text := d.do(store.RoleSuperuser, "POST", "/api/v1/users/"+d.ids[store.RoleUser]+"/revoke-sessions", ""); s != 200 || in(laptop) != 401 || fmt.Sprint(d.revoke) != fmt.Sprint([]string{d.ids[store.RoleUser]}) {
		t.Errorf("a superuser signs it out: %d %s; it then gets %d, calls ended of %v", s, text, in(laptop), d.revoke)
	}
	if s, _ := d.do(store.RoleSuperuser, "POST", "/api/v1/users/"+d.ids[store.RoleAdministrator]+"/revoke-sessions", ""); s != 403 {
		t.Errorf("a superuser signs an administrator out: %d", s)
	}
}

func TestOwnPasswordNeedsTheOldOne(t *testing.T) {
	d := newDesk(t)
	for _, role := range rank {
		if s, _ := d.do(role, "PATCH", "/api/v1/me", `{"display_name":"Ann","password":"another password"}`); s != 403 {
			t.Errorf("%s without the old one: %d", role, s)
		}
		if s, _ := d.do(role, "PATCH", "/api/v1/users/"+d.ids[role], `{"password":"another password"}`); s != 403 {
			t.Errorf("%s by way of its account: %d", role, s)
		}
	}
	mine, other := d.jar("192.0.2.1"), d.jar("192.0.2.2")
	r := d.from("192.0.2.1", "PATCH", "/me", `{"display_name":"Ann","password":"another password","old_password":"a good password"}`, mine...)
	var u store.User
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil || r.StatusCode != 200 || u.DisplayName != "Ann" {
		t.Fatalf("%d %+v, %v", r.StatusCode, u, err)
	}
	for what, c := range map[string][]*http.Cookie{"this browser": mine, "the other": other} {
		if s := d.from("192.0.2.1", "GET", "/me", "", c...).StatusCode; (s == 200) != (what == "this browser") {
			t.Errorf("%s afterwards: %d", what, s)
		}
	}
	if s := d.signIn("192.0.2.1", "user@example.org", "another password").StatusCode; s != 200 {
		t.Errorf("the new password: %d", s)
	}
	perSource, _ := d.few()
	for range perSource {
		d.from("192.0.2.9", "PATCH", "/me", `{"password":"another password","old_password":"guess"}`, mine[:1]...)
	}
	if s := d.from("192.0.2.9", "PATCH", "/me", `{"password":"one more password","old_password":"another password"}`, mine[:1]...).StatusCode; s != 429 {
		t.Errorf("who guesses the old one by a stolen session is answered with %d", s)
	}
}

// An export holds what is kept about the person, and nothing of another's.
func TestP78ExportIsAllOfOnePerson(t *testing.T) {
	d := newDesk(t)
	d.jar("192.0.2.1")
	for role, number := range map[store.Role]string{store.RoleUser: "7001", store.RoleSuperuser: "7002"} {
		if s, text := d.do(role, "POST", "/api/v1/meetings", `{"number":"`+number+`","guest_passcode":"11223344"}`); s != 200 {
			t.Fatalf("%d %s", s, text)
		}
	}
	s, text := d.do(store.RoleUser, "GET", "/api/v1/me/export", "")
	var all store.Export
	if err := json.Unmarshal([]byte(text), &all); err != nil || s != 200 {
		t.Fatalf("%d %v", s, err)
	}
	if a := all["account"]; len(a) != 1 || a[0]["email"] != "user@example.org" || a[0]["id"] != d.ids[store.RoleUser] {
		t.Errorf("account: %v", a)
	}
	if m := all["meetings"]; len(m) != 1 || m[0]["number"] != "7001" {
		t.Errorf("meetings: %v", m)
	}
	if k := all["tokens"]; len(k) != 2 || k[1]["agent"] != "Firefox on Linux" {
		t.Errorf("tokens: %v", k)
	}
	if a := all["audit"]; len(a) != 1 || a[0]["act"] != "add-meeting" || a[0]["source"] != "127.0.0.1" {
		t.Errorf("audit: %v", a)
	}
	for _, secret := range []string{"argon2", "hash", "11223344", d.tokens[store.RoleUser], "superuser@"} {
		if strings.Contains(text, secret) {
			t.Errorf("the export holds %q", secret)
		}
	}
	if s, same := d.do(store.RoleSuperuser, "GET", "/api/v1/users/"+d.ids[store.RoleUser]+"/export", ""); s != 200 || len(same) != len(text) {
		t.Errorf("by a superuser: %d %s", s, same)
	}
	if s, _ := d.do(store.RoleSuperuser, "GET", "/api/v1/users/"+d.ids[store.RoleAdministrator]+"/export", ""); s != 403 {
		t.Errorf("of an administrator by a superuser: %d", s)
	}
}
