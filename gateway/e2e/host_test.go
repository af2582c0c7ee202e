//go:build e2e

package e2e

import (
	"testing"
	"time"
)

// A host does with the mouse all that there is to do about guests: lets one in,
// rejects one, mutes all, removes one, locks, and ends the meeting for all.
func TestHostDecidesFromThePage(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001", "name": "Board", "admission": "accept", "host_passcode": "24680135"})
	d := newDriver(t)
	host, guest := d.open("host", 440, nil), d.open("guest", 700, nil)
	host.join(g, "7001", "Host", "")
	host.sees("will let you in") // without the passcode it is a guest
	host.click("Leave")
	host.click("Join again")
	host.do("fill", map[string]any{"label": "Your name", "value": "Host"})
	host.do("click", map[string]any{"text": "I have a passcode"})
	host.do("fill", map[string]any{"label": "Passcode", "value": "24680135"})
	host.click("Join meeting")
	host.sees("Board")

	guest.join(g, "7001", "Gina", "")
	guest.sees("will let you in")
	host.sees("Gina is waiting")
	host.click("Let in")
	g.waitFor("7001", "webrtc", "joined")
	guest.do("waitGone", map[string]any{"text": "will let you in"})

	rejected := startCall(t, "sips:7001@"+g.at["sips"], "--duration", "30s")
	g.waitFor("7001", "sip", "waiting")
	host.click("Reject")
	if r := rejected(); r.Code == "" || r.LevelDBov < -50 {
		t.Errorf("the rejected hears nothing of it: %s", r)
	}
	g.recorded("sip", "7001", "rejected")

	stays := startCall(t, "sips:7001@"+g.at["sips"], "--tone", "1000", "--duration", "40s")
	g.waitFor("7001", "sip", "waiting")
	host.click("Let in")
	caller := g.waitFor("7001", "sip", "joined")
	host.do("press", map[string]any{"key": "p"}) // people
	muted := func(on bool) func() bool {
		return func() bool {
			for _, p := range g.participants("7001") {
				// A browser is asked to unmute, not made to.
				if p.Role == "guest" && p.AudioMuted != on && (on || p.Protocol == "sip") {
					return false
				}
			}
			return true
		}
	}
	host.click("Mute all")
	eventually(t, 5*time.Second, "all guests are muted", muted(true))
	host.sees("Unmute all")
	host.click("Unmute all")
	eventually(t, 5*time.Second, "they may speak again", muted(false))

	host.do("click", map[string]any{"role": "button", "name": "Lock", "exact": true})
	host.sees("Unlock")
	if r := call(t, "sips:7001@"+g.at["sips"], "--duration", "10s"); r.Code == "normal" && r.Answered {
		t.Errorf("let into a locked meeting: %s", r)
	}
	g.recorded("sip", "7001", "locked")

	host.do("click", map[string]any{"selector": `[data-party="` + caller.ID + `"] button[aria-haspopup]`})
	host.do("click", map[string]any{"role": "menuitem", "name": "/Remove/"})
	host.do("click", map[string]any{"selector": `[role="dialog"] button:has-text("Remove")`})
	if r := stays(); r.Code == "" {
		t.Errorf("the removed stays: %s", r)
	}
	g.recorded("sip", "7001", "removed")

	host.do("click", map[string]any{"role": "button", "name": "More", "exact": true})
	host.do("click", map[string]any{"role": "menuitem", "name": "End for all"})
	host.do("click", map[string]any{"selector": `[role="dialog"] button:has-text("End for all")`})
	guest.sees("The meeting has ended")
	eventually(t, 5*time.Second, "nobody is left", func() bool { return len(g.participants("7001")) == 0 })
}
