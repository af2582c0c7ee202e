package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"bridgehead/gateway/store"
)

const host = "meet.example.org"

func (d *desk) ask(path, body string, cookies ...*http.Cookie) (q asked) {
	d.t.Helper()
	r := d.from("192.0.2.1", "POST", path, body, cookies...)
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.StatusCode != 200 {
		d.t.Fatalf("%s: %d %v", path, r.StatusCode, err)
	}
	return q
}

const myPassword = `{"password":"a good password"}`

// passkey makes one for the user's account.
func (d *desk) passkey(cookies []*http.Cookie) *authenticator {
	d.t.Helper()
	a := newAuthenticator(d.t, host)
	q := d.ask("/me/passkeys/begin", myPassword, cookies...)
	r := d.from("192.0.2.1", "POST", "/me/passkeys/finish", a.create(q, "laptop"), cookies...)
	if text, _ := io.ReadAll(r.Body); r.StatusCode != 200 || !strings.Contains(string(text), `"name":"laptop"`) {
		d.t.Fatalf("%d %s", r.StatusCode, text)
	}
	return a
}

func (d *desk) show(body string) *http.Response {
	d.t.Helper()
	return d.from("192.0.2.1", "POST", "/login/passkey/finish", body)
}

func TestPasskeyAloneSignsIn(t *testing.T) {
	d := newDesk(t)
	mine := d.jar("192.0.2.1")
	a := d.passkey(mine)
	q := d.ask("/login/passkey/begin", "")
	if q.Options.RPID != host || len(q.Options.Allow) > 0 {
		t.Errorf("a stranger is asked %+v", q.Options)
	}
	body := a.get(q)
	r := d.show(body)
	var got session
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.StatusCode != 200 || got.Role != store.RoleUser || len(r.Cookies()) != 2 {
		t.Fatalf("%d %+v, %v", r.StatusCode, got, err)
	}
	if u, err := d.store.Authenticate(t.Context(), got.Token); err != nil || u.ID != d.ids[store.RoleUser] {
		t.Errorf("it is signed in as %+v, %v", u, err)
	}
	if s := d.show(body).StatusCode; s != 422 {
		t.Errorf("the same answer again: %d", s)
	}
	list, err := d.store.Passkeys(t.Context(), d.ids[store.RoleUser])
	if err != nil || len(list) != 1 || list[0].Used.IsZero() || strings.Contains(string(list[0].Credential), "attestationObject") {
		t.Fatalf("%+v, %v", list, err)
	}
	d.patch([]attempt{{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], `{"disabled":true}`, 200}})
	if s := d.show(a.get(d.ask("/login/passkey/begin", ""))).StatusCode; s != 401 {
		t.Errorf("of a disabled account: %d", s)
	}
	d.patch([]attempt{{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], `{"disabled":false}`, 200}})
	mine = d.jar("192.0.2.1")
	if s := d.from("192.0.2.1", "DELETE", "/me/passkeys/"+list[0].ID, "", mine...).StatusCode; s != 204 {
		t.Errorf("removed: %d", s)
	}
	if s := d.show(a.get(d.ask("/login/passkey/begin", ""))).StatusCode; s != 401 {
		t.Errorf("one that was removed: %d", s)
	}
}

// What a hostile or broken authenticator says opens nothing.
func TestBadPasskeysAreRefused(t *testing.T) {
	d := newDesk(t)
	a := d.passkey(d.jar("192.0.2.1"))
	for what, bend := range map[string]func(*authenticator){
		"not unlocked":           func(a *authenticator) { a.unlocked = false },
		"another origin":         func(a *authenticator) { a.origin = "https://meet.example.org.evil.example" },
		"another port":           func(a *authenticator) { a.origin = "https://meet.example.org:8444" },
		"another host":           func(a *authenticator) { a.host = "evil.example" },
		"another key":            func(a *authenticator) { a.key = newAuthenticator(t, host).key },
		"another account":        func(a *authenticator) { a.user = []byte(d.ids[store.RoleAdministrator]) },
		"no account":             func(a *authenticator) { a.user = nil },
		"a passkey not known":    func(a *authenticator) { a.id = []byte("none") },
		"a counter that is back": func(a *authenticator) { a.counter = 0 },
	} {
		if what == "a counter that is back" {
			if s := d.show(a.get(d.ask("/login/passkey/begin", ""))).StatusCode; s != 200 {
				t.Fatalf("the true one: %d", s)
			}
		}
		bent := *a
		bend(&bent)
		if s := d.show(bent.get(d.ask("/login/passkey/begin", ""))).StatusCode; s != 401 {
			t.Errorf("%s: %d", what, s)
		}
	}
	for _, response := range []string{`{}`, `null`, `[]`, `"x"`, `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}}`} {
		q := d.ask("/login/passkey/begin", "")
		if s := d.show(`{"challenge":"` + q.Challenge + `","response":` + response + `}`).StatusCode; s != 401 && s != 422 {
			t.Errorf("%s: %d", response, s)
		}
	}
	for range wrongPerSource {
		bent := *a
		bent.unlocked = false
		d.show(bent.get(asked{}))
	}
	if s := d.show(a.get(asked{})).StatusCode; s != 429 {
		t.Errorf("a source of many wrong ones: %d", s)
	}
}

func TestPasskeyIsTheSecondFactor(t *testing.T) {
	d := newDesk(t)
	mine := d.jar("192.0.2.1")
	me := func(body string) int { return d.from("192.0.2.1", "PATCH", "/me", body, mine...).StatusCode }
	const on = `{"second_factor":true,"old_password":"a good password"}`
	if s := me(on); s != 409 {
		t.Errorf("asked for without a passkey: %d", s)
	}
	a := d.passkey(mine)
	if s := me(`{"second_factor":true}`); s != 403 {
		t.Errorf("without the password: %d", s)
	}
	if s := me(on); s != 200 {
		t.Fatalf("asked for: %d", s)
	}
	if s := d.signIn("192.0.2.1", "user@example.org", badPassword); s.StatusCode != 401 || s.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the wrong password: %d", s.StatusCode)
	}
	second := func() (q asked) {
		t.Helper()
		r := d.signIn("192.0.2.1", "user@example.org", goodPassword)
		var p struct {
			Type string
			asked
		}
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || r.StatusCode != 401 || p.Type != "urn:bridgehead:passkey-needed" || len(r.Cookies()) > 0 || len(p.Options.Allow) != 1 {
			t.Fatalf("%d %+v, %v", r.StatusCode, p, err)
		}
		return p.asked
	}
	other := d.secondPasskey()
	if s := d.show(other.get(second())).StatusCode; s != 401 {
		t.Errorf("another account's passkey: %d", s)
	}
	if r := d.show(a.get(second())); r.StatusCode != 200 || len(r.Cookies()) != 2 {
		t.Errorf("the passkey: %d", r.StatusCode)
	}
	list, _ := d.store.Passkeys(t.Context(), d.ids[store.RoleUser])
	if s := d.from("192.0.2.1", "DELETE", "/me/passkeys/"+list[0].ID, "", mine...).StatusCode; s != 409 {
		t.Errorf("the last passkey is removed: %d", s)
	}
	d.patch([]attempt{
		{store.RoleUser, "/me", `{"second_factor":false}`, 403},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleSuperuser], `{"second_factor":false}`, 403},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], `{"second_factor":true}`, 422},
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], `{"second_factor":false}`, 200},
	})
	if s := d.signIn("192.0.2.1", "user@example.org", goodPassword).StatusCode; s != 200 {
		t.Errorf("its passkeys are lost, and a superuser has said so: %d", s)
	}
}

// secondPasskey is one of the superuser's account.
func (d *desk) secondPasskey() *authenticator {
	d.t.Helper()
	return d.passkey(d.signIn("192.0.2.2", "superuser@example.org", goodPassword).Cookies())
}

func TestQuestionsOfPasskeysBelongToTheirAccount(t *testing.T) {
	d := newDesk(t)
	mine, theirs := d.jar("192.0.2.1"), d.signIn("192.0.2.2", "superuser@example.org", goodPassword).Cookies()
	finish := func(body string, c []*http.Cookie) int {
		return d.from("192.0.2.1", "POST", "/me/passkeys/finish", body, c...).StatusCode
	}
	a := newAuthenticator(t, host)
	if s := finish(a.create(d.ask("/me/passkeys/begin", myPassword, mine...), "x"), theirs); s != 422 {
		t.Errorf("another finishes it: %d", s)
	}
	if s := finish(a.create(d.ask("/login/passkey/begin", ""), "x"), mine); s != 422 {
		t.Errorf("a question for sign-in: %d", s)
	}
	if s := d.show(a.get(d.ask("/me/passkeys/begin", myPassword, mine...))).StatusCode; s != 422 {
		t.Errorf("a question for a new passkey signs in: %d", s)
	}
	locked := newAuthenticator(t, host)
	locked.unlocked = false
	if s := finish(locked.create(d.ask("/me/passkeys/begin", myPassword, mine...), "x"), mine); s != 422 {
		t.Errorf("a new passkey that was not unlocked: %d", s)
	}
	if s := d.from("192.0.2.1", "POST", "/me/passkeys/begin", `{"password":"a wrong password"}`, mine...).StatusCode; s != 403 {
		t.Errorf("without the password: %d", s)
	}
}

// Passkeys are bound to a host name; an address has none.
func TestAddressesHaveNoPasskeys(t *testing.T) {
	for at, want := range map[string]int{"203.0.113.7:8443": 422, "[2001:db8::1]:8443": 422, "": 422, "Meet.Example.org:8443": 200, "localhost": 200, "bad host": 422} {
		s := &server{Options: Options{Domain: func() string { return "" }}}
		_, err := s.party(&Caller{host: at})
		if (err == nil) != (want == 200) {
			t.Errorf("%q: %v", at, err)
		}
		if err != nil && at == "203.0.113.7:8443" && !strings.Contains(err.Error(), "by its name") {
			t.Errorf("it says %v", err)
		}
	}
	s := &server{Options: Options{Domain: func() string { return "meet.example.org" }}}
	for at, ok := range map[string]bool{"meet.example.org:8443": true, "evil.example": false, "meet.example.org.": false, "localhost": false} {
		if _, err := s.party(&Caller{host: at}); (err == nil) != ok {
			t.Errorf("%q, where the domain is configured: %v", at, err)
		}
	}
}

func TestChallengesAreFewAndShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := challenges{open: map[string]challenge{}}
		id := c.ask(challenge{purpose: toSignIn})
		if q, ok := c.take(id); !ok || q.purpose != toSignIn {
			t.Error("it is not there")
		}
		if _, ok := c.take(id); ok {
			t.Error("it is answered twice")
		}
		late := c.ask(challenge{})
		time.Sleep(challengeTTL)
		if _, ok := c.take(late); ok {
			t.Error("it is answered too late")
		}
		for range maxChallenges + 100 {
			c.ask(challenge{})
		}
		if len(c.open) > maxChallenges {
			t.Errorf("%d are kept", len(c.open))
		}
	})
}

// What an authenticator answers is read without harm, and nothing but a true
// answer is accepted.
func FuzzPasskeyAnswer(f *testing.F) {
	s := &server{Options: Options{Domain: func() string { return "" }}}
	w, err := s.party(&Caller{host: host})
	if err != nil {
		f.Fatal(err)
	}
	h := holder{user: store.User{ID: "ann", Email: "ann@example.org"}}
	_, making, err1 := w.BeginRegistration(h)
	_, showing, err2 := w.BeginDiscoverableLogin()
	if err1 != nil || err2 != nil {
		f.Fatal(err1, err2)
	}
	a := newAuthenticator(f, host)
	for _, text := range []string{a.create(asked{}, ""), a.get(asked{})} {
		var answer struct{ Response json.RawMessage }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(answer.Response))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := protocol.ParseCredentialCreationResponseBytes(data); err == nil {
			if _, err := w.CreateCredential(h, *making, p); err == nil {
				t.Errorf("accepted: %s", data)
			}
		}
		if p, err := protocol.ParseCredentialRequestResponseBytes(data); err == nil {
			if _, _, err := w.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return h, nil }, *showing, p); err == nil {
				t.Errorf("accepted: %s", data)
			}
		}
	})
}
