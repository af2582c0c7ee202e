//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// device is a registered room system: a baresip that answers by itself, says a
// tone and is steered over a control port.
type device struct {
	*baresip
	user    string
	control int
}

func (g *gateway) addDevice(user, extension, password string) (id string) {
	g.t.Helper()
	var d struct{ ID string }
	g.api("POST", "/devices", map[string]any{"user": user, "password": password, "name": "Room " + extension, "extension": extension}, &d)
	return d.ID
}

// newDevice registers over TLS with digest. It writes to the contact given.
func newDevice(g *gateway, user, password string, hz float64, contact ...string) *device {
	t := g.t
	t.Helper()
	d := &device{&baresip{t: t, dir: t.(interface{ TempDir() string }).TempDir()}, user, freePort(t)}
	writeTone(t, filepath.Join(d.dir, "tone.wav"), 48000, hz, 2*time.Minute)
	for name, text := range map[string]string{
		"config":   fmt.Sprintf(baresipConfig, d.dir) + fmt.Sprintf("module_app ctrl_tcp.so\nmodule ctrl_tcp.so\nmodule contact.so\nctrl_tcp_listen 127.0.0.1:%d\n", d.control),
		"contacts": strings.Join(contact, "\n") + "\n",
		"accounts": fmt.Sprintf("<sip:%s@%s;transport=tls>;auth_user=%s;auth_pass=%s;regint=60;mediaenc=srtp-mand;answermode=auto;outbound=\"sip:%s;transport=tls\"\n", user, g.at["sips"], user, password, g.at["sips"]),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d.keys = keys
	d.cmd, d.log = run(t, in, "baresip", "-f", d.dir)
	in.Close()
	t.Cleanup(func() { keys.Close() })
	return d
}

// do gives baresip a command of its menu.
func (d *device) do(command, params string) {
	d.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", d.control))
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	msg, _ := json.Marshal(map[string]string{"command": command, "params": params})
	fmt.Fprintf(c, "%d:%s,", len(msg), msg)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	said, b := "", make([]byte, 4096)
	for !strings.Contains(said, `"response":true`) { // events come too
		n, err := c.Read(b)
		if err != nil {
			d.t.Fatalf("baresip %s: %v: %s", command, err, said)
		}
		said += string(b[:n])
	}
	if strings.Contains(said, `"ok":false`) {
		d.t.Fatalf("baresip %s: %s", command, said)
	}
}

// registrations of a device, as the API lists them.
func (g *gateway) registrations(user string) int {
	g.t.Helper()
	var list []struct {
		User          string
		Registrations []struct{ Contact, Source, Protocol string }
	}
	g.api("GET", "/devices", nil, &list)
	for _, d := range list {
		if d.User == user {
			return len(d.Registrations)
		}
	}
	return 0
}

func (g *gateway) waitRegistered(user string) {
	g.t.Helper()
	eventually(g.t, 20*time.Second, user+" is registered", func() bool { return g.registrations(user) == 1 })
}

// meetingOf finds the running meeting with so many in it.
func (g *gateway) meetingOf(n int) (number string) {
	g.t.Helper()
	eventually(g.t, 20*time.Second, fmt.Sprint("a meeting has ", n, " participants"), func() bool {
		var list []struct {
			Number       string
			Participants int
		}
		g.api("GET", "/meetings", nil, &list)
		for _, m := range list {
			if number = m.Number; m.Participants == n {
				return true
			}
		}
		return false
	})
	return number
}

// ever tells whether a tone was heard at any time.
func (s sound) ever(hz float64) bool {
	for at := 0; at+s.rate <= len(s.pcm); at += s.rate / 2 {
		if (sound{s.pcm[at : at+s.rate], s.rate}).level(hz) > heard {
			return true
		}
	}
	return false
}

// A room calls another by its extension; a third is called in; one of them is
// revoked; the first holds and comes back.
func TestP31DevicesCallAndTheCallGrows(t *testing.T) {
	g := serve(t)
	passwords := map[string]string{"room1": "correct-horse-1", "room2": "correct-horse-2", "room3": "correct-horse-3"}
	ids := map[string]string{}
	for i, user := range []string{"room1", "room2", "room3"} {
		ids[user] = g.addDevice(user, fmt.Sprint(201+i), passwords[user])
	}
	one := newDevice(g, "room1", passwords["room1"], 700)
	two := newDevice(g, "room2", passwords["room2"], 1000)
	three := newDevice(g, "room3", passwords["room3"], 1300)
	for user := range ids {
		g.waitRegistered(user)
	}
	one.do("dial", "sip:202@"+g.at["sips"]+";transport=tls")
	number := g.meetingOf(2)
	g.api("POST", "/meetings/"+number+"/dial", map[string]any{"to": "203"}, nil)
	g.meetingOf(3)
	for _, p := range g.participants(number) {
		if p.State != "joined" || p.Security.Signalling != "tls" || p.Security.Media != "sdes-srtp" || !strings.HasPrefix(p.Name, "Room 20") {
			t.Errorf("participant %+v", p)
		}
	}
	time.Sleep(4 * time.Second)
	revoked := time.Now()
	g.api("DELETE", "/devices/"+ids["room3"], nil, nil)
	eventually(t, 5*time.Second, "the revoked device's call has ended", func() bool { return len(g.participants(number)) == 2 })
	if g.registrations("room3") != 0 {
		t.Error("the revoked device is still registered")
	}
	t.Logf("revoked within %d ms", time.Since(revoked).Milliseconds())
	g.waitForRecord("sip", "revoked")
	one.do("hold", "")
	g.waitFor(number, "sip", "held")
	one.do("resume", "")
	eventually(t, 10*time.Second, "the held party is back", func() bool {
		list := g.participants(number)
		return len(list) == 2 && list[0].State == "joined" && list[1].State == "joined"
	})
	sent := func() (n []int) {
		for _, p := range g.participants(number) {
			n = append(n, p.Audio.PacketsSent)
		}
		return n
	}
	before := sent()
	time.Sleep(4 * time.Second)
	for i, n := range sent() {
		if n < before[i]+150 {
			t.Errorf("after the hold only %d packets were sent in 4 s", n-before[i])
		}
	}
	if g.registrations("room3") != 0 {
		t.Error("the revoked device has registered again")
	}
	first, second := one.quit(), two.quit()
	// baresip keeps no sound after it has held.
	if first.ever(700) || !first.ever(1000) {
		t.Errorf("room1 heard itself %v, room2 %v", first.ever(700), first.ever(1000))
	}
	second.last(3*time.Second).mustHear(t, "room2", []float64{700}, []float64{1000, 1300})
	if third := three.quit(); !first.ever(1300) || !second.ever(1300) || !third.ever(700) || !third.ever(1000) {
		t.Error("the third party was not heard, or did not hear")
	}
	g.mustKeepSecret(passwords["room1"], passwords["room2"], passwords["room3"])
}

// A stranger may not call in a device's name, and nobody registers in clear.
func TestP38DevicesAreProtected(t *testing.T) {
	g := serve(t)
	g.trunk() // so that loopback is heard on the clear listener at all
	g.addDevice("room1", "201", "correct-horse-1")
	newDevice(g, "room1", "wrong-horse-99", 700)
	if r := call(t, "sips:201@"+g.at["sips"], "--from", "sip:room1@127.0.0.1", "--duration", "2s"); r.Answered || !strings.Contains(r.Reason, "401") {
		t.Errorf("a call in the device's name: %v", r)
	}
	answer := g.askClear("REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKclear;rport\r\nMax-Forwards: 70\r\n" +
		"From: <sip:room1@127.0.0.1>;tag=1\r\nTo: <sip:room1@127.0.0.1>\r\nCall-ID: clear\r\nCSeq: 1 REGISTER\r\n" +
		"Contact: <sip:room1@127.0.0.1:9>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n")
	if !strings.HasPrefix(answer, "SIP/2.0 403") || !strings.Contains(answer, "TLS only") {
		t.Errorf("REGISTER in clear: %q", answer)
	}
	if n := g.registrations("room1"); n != 0 {
		t.Errorf("%d registrations with a wrong password", n)
	}
	// A stranger rings no device: the extension is an unknown number to it.
	r := call(t, "sips:201@"+g.at["sips"], "--duration", "2s")
	if rec := g.waitForRecord("sip", "normal"); !r.Answered || rec.Meeting != "" {
		t.Errorf("a stranger who dials an extension: %v, %+v", r, rec)
	}
}

// askClear sends one datagram to the clear SIP listener.
func (g *gateway) askClear(msg string) string {
	g.t.Helper()
	c, err := net.Dial("udp4", g.at["sip_udp"])
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(msg)); err != nil {
		g.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// A meeting calls a meeting of another gateway by its sips: address.
func TestDialOutToAnotherGateway(t *testing.T) {
	far := serve(t)
	far.meeting(map[string]any{"number": "7200"})
	t.Setenv("SSL_CERT_FILE", filepath.Join(far.dir, "tls.crt"))
	near := serve(t)
	near.meeting(map[string]any{"number": "7201"})
	near.api("POST", "/meetings/7201/dial", map[string]any{"to": "sips:7200@" + far.at["sips"], "name": "Far side"}, nil)
	p := near.waitFor("7201", "sip", "joined")
	if p.Direction != "out" || p.Security.Signalling != "tls" || p.Security.Media != "sdes-srtp" {
		t.Errorf("the far side is shown as %+v", p)
	}
	far.waitFor("7200", "sip", "joined")
	run(t, nil, program, "call", "sips:7201@"+near.at["sips"], "--insecure", "--bind", "127.0.0.1", "--tone", "440", "--duration", "60s")
	if r := call(t, "sips:7200@"+far.at["sips"], "--tone", "1000", "--duration", "8s"); !r.hears(440) || r.hears(1000) {
		t.Errorf("through two gateways: %v", r)
	}
	// A far side that nobody vouches for is not called.
	strange := serve(t)
	if status, body := near.raw("POST", "/meetings/7201/dial", map[string]any{"to": "sips:7200@" + strange.at["sips"]}); status < 400 || !strings.Contains(string(body), "does not answer") {
		t.Errorf("a gateway with an unknown certificate: %d %s", status, body)
	}
	if r := near.waitForRecord("sip", "unreachable"); r.Direction != "out" || !strings.Contains(r.To, "7200") {
		t.Errorf("record %+v", r)
	}
}

func TestTelephoneNumbersAreDialledWhereAllowed(t *testing.T) {
	const number = "+12025550123"
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7202"})
	if status, body := g.raw("POST", "/meetings/7202/dial", map[string]any{"to": "tel:" + number}); status != 403 || !strings.Contains(string(body), "country") {
		t.Errorf("no country is allowed: %d %s", status, body)
	}
	g = serve(t, "--pstn.countries", "US")
	at := freePort(t)
	// SIPp takes the trunk's OPTIONS for a call, too, so it is not told to end
	// after one.
	_, out := run(t, nil, "sipp", "-sf", "../../testdata/sipp/answer.xml", "-i", "127.0.0.1", "-p", itoa(at), "-mi", "127.0.0.1", "-mp", itoa(freePort(t)),
		"-nostdin", "-aa", "-timeout", "60s")
	g.api("POST", "/trunks", map[string]any{"name": "carrier", "mode": "static", "transport": "udp", "host": fmt.Sprint("127.0.0.1:", at),
		"source": []string{"127.0.0.1/32"}, "media_encryption": "none", "enabled": true, "override_check": true}, nil)
	g.meeting(map[string]any{"number": "7202"})
	for _, c := range []struct {
		to     string
		status int
	}{{"tel:+442079460000", 403}, {"tel:+19005550123", 403}, {"tel:12", 404}, {"gopher:x", 422}} {
		if status, body := g.raw("POST", "/meetings/7202/dial", map[string]any{"to": c.to}); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.to, status, body, c.status)
		}
	}
	g.api("POST", "/meetings/7202/dial", map[string]any{"to": "tel:" + number}, nil)
	p := g.waitFor("7202", "pstn", "joined")
	if p.Direction != "out" || p.Address != number || p.Security.Media != "clear" {
		t.Errorf("the phone is shown as %+v", p)
	}
	g.api("POST", "/meetings/7202/participants/"+p.ID+"/remove", nil, nil)
	if strings.Contains(out.String(), "nexpected") {
		t.Errorf("the telephone network's side: %s", tail(out.String(), 2000))
	}
	if r := g.waitForRecord("pstn", "removed"); r.Direction != "out" || r.Trunk != "carrier" || r.Meeting != "7202" || !strings.Contains(r.To, number) {
		t.Errorf("record %+v", r)
	}
}

// Two rooms in a meeting write to one another, and its owner finds it kept.
// What one writes who is in no meeting is refused.
func TestRoomsWriteToTheirMeeting(t *testing.T) {
	g := serve(t)
	g.api("POST", "/meetings", map[string]any{"number": "4711", "name": "Board"}, nil)
	rooms := map[string]*device{}
	for i, user := range []string{"room1", "room2"} {
		password := "correct-horse-" + user
		g.addDevice(user, fmt.Sprint(201+i), password)
		rooms[user] = newDevice(g, user, password, 700, fmt.Sprintf(`"Board" <sip:4711@%s>`, g.at["sips"]))
		g.waitRegistered(user)
		rooms[user].do("contact_next", "")
	}
	rooms["room1"].do("message", "from outside")
	for _, r := range rooms {
		r.do("dial", "sip:4711@"+g.at["sips"]+";transport=tls")
	}
	g.meetingOf(2)
	rooms["room1"].do("message", "hello from room 1 – grüße")
	eventually(t, 10*time.Second, "room 2 reads it", func() bool {
		return strings.Contains(rooms["room2"].log.String(), "Room 201: hello from room 1 – grüße")
	})
	rooms["room2"].do("message", "and back")
	eventually(t, 10*time.Second, "room 1 reads the answer", func() bool { return strings.Contains(rooms["room1"].log.String(), "Room 202: and back") })
	type conversation struct {
		ID, Kind, Name string
	}
	type message struct{ Name, Text string }
	var kept []message
	eventually(t, 10*time.Second, "the owner finds both lines", func() bool {
		var list []conversation
		if g.api("GET", "/conversations", nil, &list); len(list) != 1 || list[0].Name != "Board" || list[0].Kind != "meeting" {
			return false
		}
		g.api("GET", "/conversations/"+list[0].ID+"/messages", nil, &kept)
		return len(kept) == 2
	})
	if want := (message{"Room 202", "and back"}); kept[0] != want {
		t.Errorf("kept is %+v, want %+v first", kept, want)
	}
}
