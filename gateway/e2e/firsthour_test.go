//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

// From a carrier's letter to people invited by telephone, in the browser: a
// template, the check, a number, a call to it whose keys are seen as they come,
// the invitation. Every click is counted.
func TestFromACarriersLetterToAnInvitation(t *testing.T) {
	g := serve(t)
	k := newKamailio(t, freePort(t))
	g.meeting(map[string]any{"number": "7001", "name": "Board", "guest_passcode": "4711"})
	d := newDriver(t)
	b := d.open("operator", 440, map[string]any{"width": 1280, "height": 900})
	b.signIn(g, g.login.User, g.login.Password)
	b.sees("Sign out")
	b.goTo(g.page("/console"))
	begun, clicks := time.Now(), 0
	click := func(role, name string) {
		t.Helper()
		clicks++
		b.do("click", map[string]any{"role": role, "name": name, "exact": true, "timeout": 15000})
	}
	click("link", "First number")
	clicks++
	b.do("select", map[string]any{"label": "Carrier", "exact": true, "value": "generic-register"})
	b.fill("Name", "carrier")
	b.do("fill", map[string]any{"label": "Host", "exact": true, "value": k.at()})
	b.do("fill", map[string]any{"label": "User name", "exact": true, "value": "acct"})
	b.do("fill", map[string]any{"label": "Password", "exact": true, "value": "wrong"})
	clicks++
	b.do("click", map[string]any{"text": "More settings"})
	b.do("fill", map[string]any{"label": "Certificate of the carrier's CA", "value": k.ca})
	click("button", "Save and check")
	b.sees("Its challenge was not met") // a red line with its remedy
	b.sees("Change what is red")
	b.look("setup-red")
	b.do("fill", map[string]any{"label": "Password", "exact": true, "value": "out-s3cret"})
	g.secrets = append(g.secrets, "out-s3cret")
	click("button", "Save and check again")
	b.sees("carrier is checked and on")

	b.fill("Telephone number", "+15550100")
	click("button", "Save")
	b.sees("Waiting for your call")
	b.look("setup-call")
	t.Logf("ready to be called after %v and %d clicks", time.Since(begun).Round(time.Second), clicks)

	eventually(t, 10*time.Second, "the trunk is registered", func() bool {
		var s []struct{ State string }
		g.api("GET", "/trunks", nil, &s)
		return len(s) == 1 && s[0].State == "registered"
	})
	phone := startCall(t, "sips:+15550100@"+k.at(), "--dtmf", ",,7001#,,,4711#", "--tone", "1000", "--duration", "15s")
	b.sees("is here")
	shown := func(want ...string) {
		t.Helper()
		seen := map[string]bool{}
		eventually(t, 15*time.Second, "keys are shown as they come: "+strings.Join(want, ", "), func() bool {
			var now []string
			b.eval(`[...document.querySelectorAll("[data-typed]")].map((e) => e.textContent)`, &now)
			for _, s := range now {
				seen[s] = true
				if strings.Contains(s, "47") {
					t.Errorf("the passcode is shown: %q", s)
				}
			}
			return seen[want[len(want)-1]]
		})
		if len(seen) < 2 {
			t.Errorf("keys are shown at once only: %v", seen)
		}
	}
	shown("7001")
	shown("7001", "●●●●")
	b.sees("In meeting 7001.")
	b.sees("by RFC 4733")
	b.sees("it works")
	b.look("setup-works")
	click("button", "Copy the invitation")
	var invitation string
	b.eval(`navigator.clipboard.readText()`, &invitation)
	if !strings.Contains(invitation, "555-0100") && !strings.Contains(invitation, "555 0100") && !strings.Contains(invitation, "5550100") {
		t.Errorf("the invitation does not name the number:\n%s", invitation)
	}
	phone()
	b.sees("The call has ended.")
	t.Logf("invited after %v and %d clicks", time.Since(begun).Round(time.Second), clicks)
	if clicks > 10 {
		t.Errorf("%d clicks", clicks)
	}
}
