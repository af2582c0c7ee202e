//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// page is the address of a page by the name localhost: passkeys need a name.
func (g *gateway) page(path string) string {
	return "https://" + strings.Replace(g.at["https"], "127.0.0.1", "localhost", 1) + path
}

func (b *browser) goTo(url string) {
	b.d.t.Helper()
	b.do("goto", map[string]any{"url": url})
}

func (b *browser) fill(label, value string) {
	b.d.t.Helper()
	b.do("fill", map[string]any{"label": label, "value": value, "exact": true})
}

// signIn goes through the page with address and password.
func (b *browser) signIn(g *gateway, user, password string) {
	b.d.t.Helper()
	b.goTo(g.page("/signin"))
	b.fill("E-mail address", user)
	b.fill("Password", password)
	b.do("click", map[string]any{"role": "button", "name": "Sign in", "exact": true})
}

// A person signs up, is approved, makes a passkey, and signs in by it: after
// the password, and alone.
func TestPeopleSignUpAndSignInByPasskey(t *testing.T) {
	g := serve(t, "--signup.domains", "corp.example")
	const password = "correct horse battery"
	d := newDriver(t)
	ann, admin := d.open("ann", 0, nil), d.open("admin", 0, map[string]any{"dark": true})
	ann.do("authenticator", nil)

	ann.goTo(g.page("/signin"))
	ann.sees("No account yet")
	ann.accessible("sign-in")
	ann.goTo(g.page("/signup"))
	ann.fill("E-mail address", "ann@corp.example.evil.example")
	ann.fill("Your name", "Ann")
	ann.fill("Password", password)
	ann.click("Sign up")
	ann.sees("cannot sign up")
	ann.accessible("sign-up")
	ann.fill("E-mail address", "ann@corp.example")
	ann.fill("Password", password)
	ann.click("Sign up")
	ann.sees("approved your account")
	ann.signIn(g, "ann@corp.example", password)
	ann.sees("password is wrong")

	admin.signIn(g, g.login.User, g.login.Password)
	admin.sees("Sign out")
	admin.goTo(g.page("/console/users"))
	admin.sees("waits for approval")
	admin.accessible("users, dark")
	admin.click("Approve ann@corp.example")
	admin.do("click", map[string]any{"role": "button", "name": "Approve", "exact": true})
	admin.do("waitGone", map[string]any{"text": "waits for approval"})

	ann.signIn(g, "ann@corp.example", password)
	ann.sees("Sign out")
	ann.goTo(g.page("/account"))
	ann.sees("Signed-in browsers")
	ann.click("Add a passkey")
	ann.fill("Name", "Laptop")
	ann.fill("Your password", password)
	ann.click("Continue")
	ann.sees("Laptop")
	ann.click("Ask for a passkey after the password")
	ann.fill("Your password", password)
	ann.click("Save")
	ann.sees("Do not ask for a passkey")
	ann.accessible("account")

	out := func() {
		t.Helper()
		ann.goTo(g.page("/console"))
		ann.click("Sign out")
		ann.sees("Join a meeting")
	}
	out()
	ann.signIn(g, "ann@corp.example", password)
	ann.sees("Sign out")
	out()
	ann.goTo(g.page("/signin"))
	ann.click("Sign in with a passkey")
	ann.sees("Sign out")
	var used bool
	eventually(t, 5*time.Second, "the passkey was used", func() bool {
		ann.eval(`fetch("/api/v1/me/passkeys").then((r) => r.json()).then((l) => l.length === 1 && l[0].name === "Laptop" && !!l[0].used)`, &used)
		return used
	})
	var export map[string][]map[string]any
	ann.eval(`fetch("/api/v1/me/export").then((r) => r.json())`, &export)
	if len(export["account"]) != 1 || export["account"][0]["email"] != "ann@corp.example" || len(export["passkeys"]) != 1 {
		t.Errorf("the export is %v", export)
	}

	admin.click("Disable ann@corp.example")
	admin.do("click", map[string]any{"role": "button", "name": "Disable", "exact": true})
	admin.sees("disabled")
	ann.goTo(g.page("/account"))
	ann.sees("With your account of this bridge") // signed out
	ann.click("Sign in with a passkey")
	ann.sees("not accepted")
	ann.goTo("https://" + g.at["https"] + "/signin")
	ann.click("Sign in with a passkey")
	ann.sees("by its name")
}

// A browser signs the others out.
func TestSessionsAreEndedFromThePage(t *testing.T) {
	g := serve(t)
	d := newDriver(t)
	here, there := d.open("here", 0, map[string]any{"dark": true}), d.open("there", 0, nil)
	for _, b := range []*browser{here, there} {
		b.signIn(g, g.login.User, g.login.Password)
		b.sees("Sign out")
		b.goTo(g.page("/account"))
		b.sees("this one")
	}
	here.do("reload", nil)
	here.sees("Sign out all others")
	here.accessible("account, dark")
	here.click("Sign out all others")
	here.do("waitGone", map[string]any{"text": "Sign out all others"})
	there.do("reload", nil)
	there.sees("With your account of this bridge")
	here.fill("Password until now", g.login.Password)
	here.fill("New password", "another long password")
	here.click("Change password")
	here.sees("Your password is changed")
	there.signIn(g, g.login.User, g.login.Password)
	there.sees("password is wrong")
	there.signIn(g, g.login.User, "another long password")
	there.sees("Sign out")
}
