package api

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

// addresses that may sign up, in a test.
type addresses []string

func (a addresses) Open() bool { return len(a) > 0 }
func (a addresses) Mailbox(address string) (string, bool) {
	_, domain, _ := strings.Cut(address, "@")
	return address, slices.Contains(a, domain)
}

func TestP69SignUpWaitsForApproval(t *testing.T) {
	d := newDesk(t)
	const ann = `{"email":"ann@corp.com","display_name":"Ann","password":"a good password"}`
	signUp := func(source, body string) (int, string) {
		r := d.from(source, "POST", "/signup", body)
		text, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(text)
	}
	if s, text := d.do("", "GET", "/api/v1/signup", ""); s != 200 || !strings.Contains(text, "false") {
		t.Errorf("no domains: %d %s", s, text)
	}
	if s, _ := signUp("192.0.2.1", ann); s != 403 {
		t.Errorf("no domains: %d", s)
	}
	d.domains = addresses{"corp.com", "example.org"}
	if s, text := d.do("", "GET", "/api/v1/signup", ""); s != 200 || !strings.Contains(text, "true") {
		t.Errorf("with domains: %d %s", s, text)
	}
	s, first := signUp("192.0.2.1", ann)
	_, again := signUp("192.0.2.1", ann)
	_, taken := signUp("192.0.2.1", `{"email":"user@example.org","password":"taken over now"}`)
	if s != 200 || again != first || taken != first {
		t.Errorf("%d %s; again: %s; an address that has an account: %s", s, first, again, taken)
	}
	if s := d.signIn("192.0.2.1", "user@example.org", goodPassword).StatusCode; s != 200 {
		t.Errorf("whose address somebody signed up with: %d", s)
	}
	if s := d.signIn("192.0.2.1", "ann@corp.com", goodPassword).StatusCode; s != 401 {
		t.Errorf("not approved yet: %d", s)
	}
	var list []store.User
	_, text := d.do(store.RoleSuperuser, "GET", "/api/v1/users", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(u store.User) bool { return u.Email == "ann@corp.com" })
	if i < 0 || !list[i].Pending || !list[i].Disabled || list[i].Role != store.RoleUser || list[i].DisplayName != "Ann" {
		t.Fatalf("listed: %+v", list)
	}
	d.patch([]attempt{{store.RoleUser, "/users/" + list[i].ID, `{"disabled":false}`, 403}, {store.RoleSuperuser, "/users/" + list[i].ID, `{"disabled":false}`, 200}})
	if u, err := d.store.User(t.Context(), list[i].ID); err != nil || u.Pending {
		t.Errorf("approved: %+v, %v", u, err)
	}
	if s := d.signIn("192.0.2.1", "ann@corp.com", goodPassword).StatusCode; s != 200 {
		t.Errorf("approved: %d", s)
	}
	if s, _ := signUp("192.0.2.3", `{"email":"x@evil-corp.com","password":"a good password"}`); s != 422 {
		t.Errorf("another domain: %d", s)
	}
	last := 0
	for i := range signUpsPerSource {
		last, _ = signUp("192.0.2.1", fmt.Sprintf(`{"email":"x%d@corp.com","password":"a good password"}`, i))
	}
	if other, _ := signUp("192.0.2.2", ann); last != 429 || other != 200 {
		t.Errorf("the sixth of one source: %d; of another: %d", last, other)
	}
}
