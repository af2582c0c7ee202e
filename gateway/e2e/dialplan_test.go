//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Calls go where the rules lead them: from the telephone network by the digits
// called, from a room to a telephone as it is used to dial. What the simulator
// says is what happens.
func TestRulesLeadCallsAsTheSimulatorSays(t *testing.T) {
	g := serve(t)
	at := freePort(t)
	// SIPp takes the trunk's OPTIONS for a call, too, so it is not told to end
	// after one.
	_, out := run(t, nil, "sipp", "-sf", "../../testdata/sipp/answer.xml", "-i", "127.0.0.1", "-p", itoa(at), "-mi", "127.0.0.1", "-mp", itoa(freePort(t)),
		"-nostdin", "-aa", "-timeout", "60s")
	g.api("POST", "/trunks", map[string]any{"name": "carrier", "mode": "static", "transport": "udp", "host": fmt.Sprint("127.0.0.1:", at),
		"source": []string{"127.0.0.1/32"}, "media_encryption": "none", "enabled": true, "override_check": true}, nil)
	g.meeting(map[string]any{"number": "7001"})
	g.addDevice("room1", "201", "correct-horse-1")
	for _, r := range []map[string]any{
		{"name": "direct dialling", "source": "trunk:carrier", "pattern": `^\+1555019(\d{4})$`, "rewrite": "$1", "target": "meeting"},
		{"name": "rooms to telephones", "source": "device", "class": "member", "pattern": `^9(\d{10})$`, "rewrite": "+1$1", "target": "trunk:carrier", "countries": []string{"US"}},
	} {
		g.api("POST", "/dialplan", r, nil)
	}
	leads := func(call map[string]any, want string) {
		t.Helper()
		var d struct{ Outcome string }
		if g.api("POST", "/dialplan/simulate", call, &d); d.Outcome != want {
			t.Errorf("%v leads to %q, want %q", call, d.Outcome, want)
		}
	}
	leads(map[string]any{"to": "+15550197001", "trunk": "carrier"}, "meeting:7001")
	leads(map[string]any{"to": "+15550197002", "trunk": "carrier"}, "refuse not-found")
	leads(map[string]any{"to": "92025550123", "class": "device"}, "trunk:carrier +12025550123")
	leads(map[string]any{"to": "92025550123"}, "reception")

	newSIPp(t, g.at["sip_udp"], "+15550197001", "", 1000)
	g.waitFor("7001", "pstn", "joined")
	room := newDevice(g, "room1", "correct-horse-1", 440)
	eventually(t, 20*time.Second, "the room registers", func() bool { return g.registrations("room1") == 1 })
	room.do("dial", "sip:92025550123@"+g.at["sips"]+";transport=tls")
	eventually(t, 30*time.Second, "the room and the telephone meet", func() bool {
		var all []struct {
			Number       string
			Participants int
		}
		g.api("GET", "/meetings", nil, &all)
		for _, m := range all {
			if m.Number != "7001" && m.Participants == 2 {
				return true
			}
		}
		return false
	})
	// A stranger who dials the same is asked for a meeting's number.
	if r := call(t, "sips:92025550123@"+g.at["sips"], "--duration", "2s"); !r.Answered {
		t.Errorf("a stranger: %v", r)
	}
	n := 0
	for _, r := range g.records() {
		if r.Protocol == "pstn" && r.Direction == "out" {
			n++
			if r.Trunk != "carrier" || !strings.Contains(r.To, "12025550123") {
				t.Errorf("record %+v", r)
			}
		}
	}
	if n != 1 || strings.Contains(out.String(), "nexpected") {
		t.Errorf("%d calls to telephones; the telephone network's side: %s", n, tail(out.String(), 2000))
	}
}

// An operator writes a rule, tries a call, and has the outcome kept; what then
// breaks it is refused, and what others change is seen at once.
func TestOperatorWritesTriesAndKeepsTheDialPlan(t *testing.T) {
	g := serve(t)
	g.trunk()
	b := newDriver(t).open("operator", 0, nil)
	b.goTo(g.page("/signin"))
	b.signIn(g, g.login.User, g.login.Password)
	b.sees("Sign out")
	b.goTo(g.page("/console/dialplan"))
	b.click("Add")
	b.fill("Name", "London")
	b.do("select", map[string]any{"selector": `[role="dialog"] select[name="direction"]`, "value": "out"})
	b.do("select", map[string]any{"selector": `[role="dialog"] select[name="class"]`, "value": "member"})
	b.do("fill", map[string]any{"selector": `[role="dialog"] input[name="pattern"]`, "value": `\+44.*`})
	b.do("fill", map[string]any{"selector": `[role="dialog"] input[name="target"]`, "value": "trunk:carrier"})
	b.do("fill", map[string]any{"selector": `[role="dialog"] input[name="countries"]`, "value": "GB"})
	b.click("Save")
	b.sees("is not anchored")
	b.do("fill", map[string]any{"selector": `[role="dialog"] input[name="pattern"]`, "value": "+44"})
	b.click("Save")
	b.sees("devices and accounts")

	b.fill("Number or address", "tel:+442079460018")
	b.do("select", map[string]any{"selector": `main form select[name="direction"]`, "value": "out"})
	b.do("click", map[string]any{"role": "button", "name": "Try", "exact": true})
	b.sees("refuse forbidden")
	b.sees("the caller is stranger")
	b.do("select", map[string]any{"selector": `main form select[name="class"]`, "value": "user"})
	b.do("click", map[string]any{"role": "button", "name": "Try", "exact": true})
	b.sees("trunk:carrier +442079460018")
	b.fill("What you expect", "London is reached")
	b.click("Expect this from now on")
	b.sees("so it is")
	b.look("console-dialplan-tried")

	b.click("Delete London")
	b.do("click", map[string]any{"selector": `[role="dialog"] button:has-text("Delete"), [role="alertdialog"] button:has-text("Delete")`})
	b.sees(`This would break what is expected of the dial plan: "London is reached"`)
	if out, err := bridgehead(t, "dialplan", "add", "from the shell", "--pattern", "4711", "--target", "refuse", "--data", g.dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.sees("from the shell")
	if out, err := bridgehead(t, "number", "remove", "+15550100", "--data", g.dir); err != nil {
		t.Errorf("a change that breaks nothing: %v: %s", err, out)
	}
}
