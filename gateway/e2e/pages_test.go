//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

// views are the screens that every page must suit.
var views = map[string]map[string]any{
	"light-1440": {"width": 1440, "height": 900},
	"dark-1440":  {"width": 1440, "height": 900, "dark": true},
	"light-390":  {"width": 390, "height": 844},
	"dark-390":   {"width": 390, "height": 844, "dark": true},
}

// furnish fills the gateway, so that no page is empty.
func (g *gateway) furnish() {
	g.t.Helper()
	g.api("POST", "/users", map[string]any{"email": "ann@example.org", "display_name": "Ann Example", "password": "correct horse battery"}, nil)
	g.meeting(map[string]any{"number": "7001", "name": "Weekly planning", "guest_passcode": "135790", "host_passcode": "24680135", "hosts": []string{"ann@example.org"},
		"schedule": map[string]any{"start": time.Now().Add(-10 * time.Minute).Format(time.RFC3339), "time_zone": "Europe/Berlin", "minutes": 60, "repeat": "weekly"}})
	g.meeting(map[string]any{"number": "7002", "name": "Interview with a candidate whose name is rather long, to see what happens", "admission": "accept", "wait_for_host": true})
	g.addDevice("room1", "201", "correct-horse-1")
	g.trunk()
	if out, err := bridgehead(g.t, "number", "add", "+4930123456", "--trunk", "carrier", "--target", "reception", "--data", g.dir); err != nil {
		g.t.Fatalf("%v: %s", err, out)
	}
	g.api("POST", "/dialplan", map[string]any{"name": "calls to London", "direction": "out", "class": "member", "pattern": "+4420", "target": "trunk:carrier", "countries": []string{"GB"}}, nil)
	g.api("POST", "/dialplan/expectations", map[string]any{"name": "London is called", "call": map[string]any{"direction": "out", "to": "tel:+442079460018", "class": "user"}}, nil)
	call(g.t, "sips:7001**135790@"+g.at["sips"], "--duration", "1s")
	call(g.t, "sips:7001**999999@"+g.at["sips"], "--duration", "3s")
	var to struct{ ID string }
	for _, u := range g.users() {
		if u.Email == "ann@example.org" {
			to.ID = u.ID
		}
	}
	var talk struct{ ID string }
	g.api("POST", "/conversations", map[string]any{"members": []string{to.ID}}, &talk)
	g.api("POST", "/conversations/"+talk.ID+"/messages", map[string]any{"text": "See you at ten?"}, nil)
}

type account struct{ ID, Email string }

func (g *gateway) users() (list []account) {
	g.t.Helper()
	g.api("GET", "/users", nil, &list)
	return list
}

// Every page suits every screen: axe finds nothing, nothing is wider than the
// screen. make screenshots keeps what they look like.
func TestEveryPageSuitsEveryScreen(t *testing.T) {
	g := serve(t, "--signup.domains", "corp.example")
	g.furnish()
	for name, view := range views {
		if name == "dark-1440" || name == "light-390" {
			if os.Getenv("E2E_PICTURES") == "" {
				continue // the other two have each width and each colour once
			}
		}
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			b := d.open(name, 440, view)
			b.guestPages(g)
			b.signIn(g, g.login.User, g.login.Password)
			b.sees("Sign out")
			b.memberPages(g)
		})
	}
}

func (b *browser) guestPages(g *gateway) {
	for _, p := range []struct{ path, says, page string }{
		{"/", "Join a meeting", "guest-home"}, {"/join/7001", "Check how you look", "join"}, {"/signin", "No account yet", "sign-in"},
		{"/signup", "Sign up", "sign-up"}, {"/nowhere", "does not exist", "not-found"}, {"/test", "Test the network", "test"},
	} {
		b.goTo(g.page(p.path))
		b.sees(p.says)
		b.look(p.page)
	}
	b.click("Test the network")
	b.sees("Sound and picture will be good")
	b.look("test-done")
}

func (b *browser) memberPages(g *gateway) {
	for _, p := range []struct{ path, says, page string }{
		{"/", "Weekly planning", "home"}, {"/directory", "Ann Example", "directory"}, {"/chat", "Ann Example", "chat"}, {"/history", "History", "history"},
		{"/account", "Signed-in browsers", "account"}, {"/console/live", "Live", "console-live"}, {"/console/meetings", "Weekly planning", "console-meetings"},
		{"/console/calls", "7001", "console-calls"}, {"/console/setup", "Your carrier", "console-setup"}, {"/console/trunks", "carrier", "console-trunks"}, {"/console/numbers", "+4930123456", "console-numbers"}, {"/console/dialplan", "London is called", "console-dialplan"}, {"/console/protection", "Nobody is blocked", "console-protection"},
		{"/console/devices", "room1", "console-devices"}, {"/console/users", "ann@example.org", "console-users"}, {"/console/audit", "add-meeting", "console-audit"},
		{"/console/settings", "Chat", "console-settings"},
	} {
		b.goTo(g.page(p.path))
		b.sees(p.says)
		b.look(p.page)
	}
	for _, r := range g.records() {
		if r.Meeting == "7001" {
			b.goTo(g.page("/console/calls/" + r.ID))
			b.sees("Course of the call")
			b.look("console-call")
			break
		}
	}
	b.goTo(g.page("/"))
	b.click("Invite to Weekly planning")
	b.sees("Copy the invitation")
	b.look("invite")
	b.do("press", map[string]any{"key": "Escape"})
	b.click("Settings of Weekly planning")
	b.sees("Who comes in")
	b.look("meeting-settings")
	b.goTo(g.page("/join/7001"))
	b.do("fill", map[string]any{"label": "Your name", "value": "Host"})
	b.click("Join meeting")
	b.sees("Weekly planning")
	b.do("press", map[string]any{"key": "p"})
	b.look("meeting")
	b.goTo(g.page("/"))
}

// From the sign-in to a meeting of three: a host and a guest in browsers, and a
// SIP telephone. Every click of anybody is counted.
func TestFromSignInToAMeetingOfThreeInTenClicks(t *testing.T) {
	g := serve(t)
	d := newDriver(t)
	host, guest := d.open("host", 440, nil), d.open("guest", 700, nil)
	clicks := 0
	click := func(b *browser, name string) {
		t.Helper()
		clicks++
		b.do("click", map[string]any{"role": "button", "name": name, "exact": true})
	}
	host.goTo(g.page("/signin"))
	host.fill("E-mail address", g.login.User)
	host.fill("Password", g.login.Password)
	click(host, "Sign in")
	host.fill("New meeting", "First meeting")
	click(host, "Create")
	click(host, "Copy the invitation")
	var invitation string
	host.eval(`navigator.clipboard.readText()`, &invitation)
	link := line(t, invitation, "https://")
	code := strings.TrimSpace(strings.TrimPrefix(line(t, invitation, "Passcode"), "Passcode"))
	sip := line(t, invitation, "sips:")
	sip = sip[strings.Index(sip, "sips:"):]
	g.secrets = append(g.secrets, code)
	host.do("press", map[string]any{"key": "Escape"})
	clicks++
	host.do("click", map[string]any{"role": "link", "name": "/Join First meeting/"})
	host.fill("Your name", "Host")
	click(host, "Join meeting")
	host.sees("First meeting")

	guest.goTo(link)
	guest.fill("Your name", "Guest")
	click(guest, "Join meeting")
	guest.fill("Passcode", code)
	click(guest, "Continue")
	phone := startCall(t, sip, "--tone", "1200", "--duration", "25s")
	number := link[strings.LastIndex(link, "/")+1:]
	eventually(t, 30*time.Second, "three are in the meeting", func() bool {
		in := 0
		for _, p := range g.participants(number) {
			if p.State == "joined" {
				in++
			}
		}
		return in == 3
	})
	if p := g.waitFor(number, "webrtc", "joined"); p.Role != "host" {
		t.Errorf("the owner came in as %s", p.Role)
	}
	host.mustHear([]float64{700, 1200}, nil)
	guest.mustHear([]float64{440, 1200}, nil)
	if r := phone(); !r.hears(440) || !r.hears(700) {
		t.Errorf("the telephone: %s", r)
	}
	if clicks >= 10 {
		t.Errorf("it took %d clicks", clicks)
	}
	t.Logf("%d clicks, of three people", clicks)
}

// line finds the line of a text that begins with a word.
func line(t *testing.T, text, begins string) string {
	t.Helper()
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, begins) || strings.Contains(l, "  "+begins) {
			return l
		}
	}
	t.Fatalf("no line with %s in\n%s", begins, text)
	return ""
}
