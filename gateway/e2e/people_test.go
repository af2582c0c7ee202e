//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// signIn opens a browser on a page, signed in as an account that it makes.
func (d *driver) signIn(g *gateway, name, page string, view map[string]any) *browser {
	d.t.Helper()
	g.api("POST", "/users", map[string]any{"email": name + "@example.org", "display_name": name, "password": "correct-horse-" + name}, nil)
	b := d.open(name, 440, view)
	b.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/signin"})
	b.do("fill", map[string]any{"label": "E-mail address", "value": name + "@example.org"})
	b.do("fill", map[string]any{"label": "Password", "value": "correct-horse-" + name})
	b.click("Sign in")
	b.sees("Sign out")
	b.do("goto", map[string]any{"url": "https://" + g.at["https"] + page})
	return b
}

// look keeps a picture of the page, where E2E_PICTURES names a folder, and
// fails on what axe finds and on a page that is wider than the screen.
func (b *browser) look(page string) {
	b.d.t.Helper()
	if dir := os.Getenv("E2E_PICTURES"); dir != "" {
		b.do("screenshot", map[string]any{"path": filepath.Join(dir, page+"-"+b.id+".png")})
	}
	b.accessible(page)
	var wide []string
	b.eval(`document.documentElement.scrollWidth > innerWidth
		? [...document.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + " " + e.className) : []`, &wide)
	if len(wide) > 0 {
		b.d.t.Errorf("%s: %s is wider than the screen: %q", b.id, page, wide[:min(4, len(wide))])
	}
}

// Anna finds Bert and a room as she types, writes to Bert, calls him in his open
// page, and the room on its telephone.
func TestPeopleFindWriteToAndCallOneAnother(t *testing.T) {
	g := serve(t)
	g.addDevice("room1", "201", "correct-horse-1")
	newDevice(g, "room1", "correct-horse-1", 700)
	g.waitRegistered("room1")
	g.api("POST", "/meetings", map[string]any{"number": "7001", "name": "Weekly meeting"}, nil)
	g.api("POST", "/meetings", map[string]any{"number": "7002", "name": "Weekly secret", "hidden": true}, nil)
	d := newDriver(t)
	bert := d.signIn(g, "Bert", "/directory", map[string]any{"width": 390, "height": 844, "dark": true})
	anna := d.signIn(g, "Anna", "/directory", map[string]any{"width": 1280, "height": 800})
	anna.sees("Room 201")
	anna.sees("Available") // Bert, by his open page
	anna.sees("Ready")
	anna.look("directory")
	bert.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/network"})
	bert.sees("SIP over TLS")
	bert.look("network")
	bert.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/directory"})
	bert.sees("Room 201")
	bert.look("directory")
	anna.do("fill", map[string]any{"label": "Search people, rooms and meetings", "value": "wéek"})
	anna.do("waitGone", map[string]any{"text": "Room 201"})
	anna.sees("Weekly meeting")
	if n := string(anna.do("count", map[string]any{"text": "Weekly secret"})); n != "0" {
		t.Errorf("the hidden meeting is found: %s", n)
	}

	anna.do("fill", map[string]any{"label": "Search people, rooms and meetings", "value": "bert"})
	anna.click("Write to Bert")
	anna.sees("No messages yet.")
	anna.do("fill", map[string]any{"label": "Message", "exact": true, "value": "Shall we talk?"})
	anna.do("press", map[string]any{"key": "Enter"})
	anna.sees("Shall we talk?")
	bert.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/chat"})
	bert.sees("1 new message")
	bert.look("chats")
	bert.do("click", map[string]any{"role": "link", "name": "/Anna/"})
	bert.sees("Shall we talk?")
	bert.do("fill", map[string]any{"label": "Message", "exact": true, "value": "Call me."})
	bert.click("Send")
	anna.sees("Call me.")
	bert.look("thread")
	anna.look("thread")

	anna.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/directory"})
	anna.do("press", map[string]any{"key": "ArrowDown"})
	anna.click("Call Bert")
	anna.do("fill", map[string]any{"label": "Your name", "value": "Anna"})
	anna.click("Join meeting")
	bert.sees("Anna is calling")
	bert.look("ring")
	bert.click("Decline")
	anna.sees("Your call was declined.")
	anna.click("Leave")

	anna.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/directory"})
	anna.click("Call Room 201")
	anna.click("Join meeting")
	g.meetingOf(2)
	anna.mustHear([]float64{700}, nil)
	bert.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/directory"})
	bert.sees("In a call")
	anna.click("Leave")
	for _, b := range []*browser{anna, bert} {
		var errors []string
		if err := unmarshal(b.do("console", nil), &errors); err != nil || len(errors) > 0 {
			t.Errorf("%s: %q %v", b.id, errors, err)
		}
	}
}
