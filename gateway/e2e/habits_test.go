//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// habit is a carrier's side of one call, as SIPp plays it: steps of a scenario.
type habit struct{ steps []string }

func (h *habit) add(format string, args ...any) *habit {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
	return h
}

// gets waits for a request; an INVITE, which is answered later, is kept.
func (h *habit) gets(method string, check ...string) *habit {
	if method != "INVITE" {
		return h.add(`<recv request="%s"><action>%s</action></recv>`, method, strings.Join(check, ""))
	}
	keep := ""
	for _, name := range []string{"Via", "From", "To", "CSeq"} {
		keep += fmt.Sprintf(`<ereg regexp=".*" search_in="hdr" header="%s:" assign_to="%s"/>`, name, name)
	}
	return h.add(`<recv request="INVITE"><action>%s%s</action></recv>`, keep, strings.Join(check, ""))
}

// must is a check within gets: what the request must have in it.
func must(pattern string) string {
	return fmt.Sprintf(`<ereg regexp='%s' search_in="msg" check_it="true" assign_to="checked"/>`, pattern)
}

const habitSDP = `v=0
o=sipp 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=ptime:20
`

// answers the INVITE that was kept.
func (h *habit) answers(status, headers, body string) *habit {
	if body != "" {
		headers += "Content-Type: application/sdp\n"
	}
	retrans := ""
	if strings.HasPrefix(status, "2") {
		retrans = ` retrans="500"`
	}
	return h.add("<send%s><![CDATA[\nSIP/2.0 %s\nVia:[$Via]\nFrom:[$From]\nTo:[$To];tag=[pid]habit[call_number]\n[last_Call-ID:]\nCSeq:[$CSeq]\nContact: <sip:habit@127.0.0.1:[local_port]>\n%sContent-Length: [len]\n\n%s]]></send>",
		retrans, status, headers, body)
}

// agrees to the request that came last.
func (h *habit) agrees() *habit {
	return h.add("<send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>")
}

// refuses the INVITE that was kept, without a dialog of its own.
func (h *habit) refuses(status, headers string) *habit {
	return h.answers(status, headers, "").add(`<recv request="ACK"/>`)
}

// ends with our BYE.
func (h *habit) ends() *habit { return h.gets("BYE").agrees() }

// takes a call by the habit, with further options of SIPp; the port is where.
func (h *habit) takes(t testing.TB, options ...string) (cmd *exec.Cmd, out *buffer, port int) {
	t.Helper()
	file := filepath.Join(t.(interface{ TempDir() string }).TempDir(), "habit.xml")
	text := `<?xml version="1.0" encoding="UTF-8"?><scenario name="habit">` + strings.Join(h.steps, "\n") + `<Reference variables="Via,From,To,CSeq,checked"/></scenario>`
	if !strings.Contains(text, `"checked"/>`) {
		text = strings.Replace(text, ",checked", "", 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port = freePort(t)
	options = append(options, "-sf", file, "-i", "127.0.0.1", "-p", itoa(port), "-mi", "127.0.0.1", "-mp", itoa(freePort(t)), "-nostdin", "-m", "1", "-timeout", "100s")
	cmd, out = run(t, nil, "sipp", options...)
	return cmd, out, port
}

// habitCall is a call out that meets a habit.
type habitCall struct {
	name, number string
	habit        *habit
	settings     map[string]any // of the trunk
	cmd          *exec.Cmd
	out          *buffer
}

// place makes a trunk for the number alone and calls it.
func (c *habitCall) place(g *gateway) {
	var port int
	c.cmd, c.out, port = c.habit.takes(g.t)
	trunk := map[string]any{"name": c.name, "transport": "udp", "host": fmt.Sprint("127.0.0.1:", port), "source": []string{"127.0.0.1"}, "media_encryption": "none",
		"options_interval": -1, "prefixes": []string{c.number}, "enabled": true, "override_check": true}
	for k, v := range c.settings {
		trunk[k] = v
	}
	g.api("POST", "/trunks", trunk, nil)
	time.Sleep(300 * time.Millisecond) // SIPp opens its port
	g.raw("POST", "/meetings/7003/dial", map[string]any{"to": "tel:" + c.number})
}

// joins waits until the called party is in the meeting.
func (g *gateway) joins(number, state string) (p participant) {
	g.t.Helper()
	eventually(g.t, 15*time.Second, number+" is "+state, func() bool {
		for _, p = range g.participants("7003") {
			if p.Address == number && p.State == state {
				return true
			}
		}
		return false
	})
	return p
}

// hangUp ends a call from the meeting; the carrier's side must have gone as it should.
func (c *habitCall) hangUp(g *gateway) {
	g.t.Helper()
	p := g.joins(c.number, "joined")
	g.api("POST", "/meetings/7003/participants/"+p.ID+"/remove", nil, nil)
	c.done(g.t)
}

func (c *habitCall) done(t testing.TB) {
	t.Helper()
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", c.name, err, tail(c.out.String(), 2500))
	}
}

// Carriers that answer in ways of their own.
func TestCallsOutMeetAwkwardHabits(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t, "--pstn.countries", "US")
	g.meeting(map[string]any{"number": "7003"})

	// 491 to the refresh of the session, which is due after 45 s; meanwhile the others.
	glare := &habitCall{name: "491", number: "+12025550101", habit: new(habit).gets("INVITE").
		answers("200 OK", "Allow: INVITE, ACK, BYE\nRequire: timer\nSession-Expires: 90;refresher=uac\n", habitSDP).gets("ACK").
		gets("INVITE").refuses("491 Request Pending", "").
		gets("INVITE").answers("200 OK", "Allow: INVITE, ACK, BYE\nRequire: timer\nSession-Expires: 90;refresher=uac\n", habitSDP).gets("ACK").ends()}
	glare.place(g)
	g.joins(glare.number, "joined")

	for _, c := range []*habitCall{
		{name: "early media", number: "+12025550102", habit: new(habit).gets("INVITE").answers("183 Session Progress", "", habitSDP).add(`<pause milliseconds="500"/>`).
			answers("200 OK", "", habitSDP).gets("ACK").ends()},
		{name: "407", number: "+12025550103", settings: map[string]any{"username": "acct", "password": "s3cret", "realm": "x"}, habit: new(habit).gets("INVITE").
			refuses("407 Proxy Authentication Required", "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\"\n").
			gets("INVITE", must(`Proxy-Authorization: Digest username="acct", realm="x", nonce="n".*qop=auth`)).answers("200 OK", "", habitSDP).gets("ACK").ends()},
		{name: "PRACK out of order", number: "+12025550104", habit: new(habit).gets("INVITE").
			answers("180 Ringing", "Require: 100rel\nRSeq: 10\n", "").gets("PRACK").agrees().
			answers("183 Out Of Order", "Require: 100rel\nRSeq: 12\n", "").add(`<pause milliseconds="300"/>`).
			answers("183 In Order", "Require: 100rel\nRSeq: 11\n", habitSDP).gets("PRACK").agrees().
			answers("200 OK", "", "").gets("ACK").ends()},
	} {
		c.place(g)
		p := g.joins(c.number, "joined")
		_, ladder := g.raw("GET", "/calls/"+p.ID+"/ladder", nil)
		if ordered := c.name == "PRACK out of order"; strings.Contains(string(ladder), "RAck: 11 ") != ordered || strings.Contains(string(ladder), "RAck: 12 ") {
			t.Errorf("%s: the ladder is %s", c.name, ladder)
		}
		c.hangUp(g)
	}
	g.redirected()
	g.spared()
	g.left()
	g.heldByThem()

	time.Sleep(time.Second)
	glare.hangUpAfterRefresh(g)
}

// redirected: 302 to another server of the carrier's own is followed, to a
// stranger it is not.
func (g *gateway) redirected() {
	other := new(habit).gets("INVITE").answers("200 OK", "", habitSDP).gets("ACK").ends()
	cmd, out, port := other.takes(g.t)
	own := &habitCall{name: "302", number: "+12025550105", habit: new(habit).gets("INVITE").refuses("302 Moved", fmt.Sprintf("Contact: <sip:+12025550105@127.0.0.1:%d>\n", port))}
	own.place(g)
	own.done(g.t)
	(&habitCall{name: "302, the other server", number: own.number, cmd: cmd, out: out}).hangUp(g)
	away := &habitCall{name: "302 away", number: "+12025550106", habit: new(habit).gets("INVITE").refuses("302 Moved", "Contact: <sip:+12025550106@192.0.2.66>\n")}
	away.place(g)
	away.done(g.t)
	if r := g.recorded("pstn", away.number, "incompatible"); !strings.Contains(r.Detail.Reason, "192.0.2.66") {
		g.t.Errorf("record %+v", r)
	}
}

// spared: 503 with Retry-After has the next trunk take the call, and the next
// calls too.
func (g *gateway) spared() {
	const number = "+12025550107"
	spare := &habitCall{name: "spare", number: number, habit: new(habit).gets("INVITE").answers("200 OK", "", habitSDP).gets("ACK").ends()}
	busy := &habitCall{name: "503", number: number, settings: map[string]any{"priority": 1}, habit: new(habit).gets("INVITE").refuses("503 Busy", "Retry-After: 30\n")}
	var port int
	spare.cmd, spare.out, port = spare.habit.takes(g.t)
	g.api("POST", "/trunks", map[string]any{"name": "spare", "transport": "udp", "host": fmt.Sprint("127.0.0.1:", port), "source": []string{"127.0.0.1"}, "media_encryption": "none",
		"options_interval": -1, "prefixes": []string{number}, "priority": 2, "enabled": true, "override_check": true}, nil)
	busy.place(g)
	busy.done(g.t)
	spare.hangUp(g)
	// The spare one takes one call only, so this one rings nobody: but the busy
	// one must not be asked either.
	if status, _ := g.raw("POST", "/meetings/7003/dial", map[string]any{"to": "tel:" + number}); status < 400 {
		g.t.Errorf("a call over a trunk that is gone: %d", status)
	}
	n := 0
	for _, r := range g.records() {
		if r.Trunk == "503" {
			n++
		}
	}
	if n != 1 {
		g.t.Errorf("the trunk that asked to be spared was tried %d times", n)
	}
}

// left: a trunk that says nothing is left within four seconds, one whose called
// party is busy is not left at all.
func (g *gateway) left() {
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	defer silent.Close()
	trunk := func(name string, port, priority int, number string) {
		g.api("POST", "/trunks", map[string]any{"name": name, "transport": "udp", "host": fmt.Sprint("127.0.0.1:", port), "source": []string{"127.0.0.1"}, "media_encryption": "none",
			"options_interval": -1, "prefixes": []string{number}, "priority": priority, "enabled": true, "override_check": true}, nil)
	}
	answering := &habitCall{name: "after silence", number: "+12025550109", settings: map[string]any{"priority": 2}, habit: new(habit).gets("INVITE").answers("200 OK", "", habitSDP).gets("ACK").ends()}
	trunk("silent", silent.LocalAddr().(*net.UDPAddr).Port, 1, answering.number)
	begun := time.Now()
	answering.place(g)
	if d := time.Since(begun); d < 3*time.Second || d > 5*time.Second {
		g.t.Errorf("the silent trunk was left after %v", d)
	}
	answering.hangUp(g)
	busy := &habitCall{name: "486", number: "+12025550110", settings: map[string]any{"priority": 1}, habit: new(habit).gets("INVITE").refuses("486 Busy Here", "")}
	trunk("not for the busy", silent.LocalAddr().(*net.UDPAddr).Port, 2, busy.number)
	busy.place(g)
	busy.done(g.t)
	g.recorded("pstn", busy.number, "busy")
	for _, r := range g.records() {
		if r.Trunk == "not for the busy" {
			g.t.Errorf("another trunk was tried though the line was busy: %+v", r)
		}
	}
}

// heldByThem: the far end holds the call by re-INVITE and takes it up again.
func (g *gateway) heldByThem() {
	again := func(seq int, sdp string) string {
		return fmt.Sprintf("<send retrans=\"500\"><![CDATA[\nINVITE [$Target] SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:[local_port];branch=[branch]\nFrom: <sip:habit@127.0.0.1>;tag=[pid]habit[call_number]\nTo:[$From]\n[last_Call-ID:]\nCSeq: %d INVITE\nContact: <sip:habit@127.0.0.1:[local_port]>\nMax-Forwards: 70\nContent-Type: application/sdp\nContent-Length: [len]\n\n%s]]></send>", seq, sdp)
	}
	ack := func(seq int) string {
		return fmt.Sprintf("<send><![CDATA[\nACK [$Target] SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:[local_port];branch=[branch]\nFrom: <sip:habit@127.0.0.1>;tag=[pid]habit[call_number]\nTo:[$From]\n[last_Call-ID:]\nCSeq: %d ACK\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>", seq)
	}
	target := `<ereg regexp="sip:[^&gt;]*" search_in="hdr" header="Contact:" assign_to="Target"/>`
	c := &habitCall{name: "hold", number: "+12025550108", habit: new(habit).gets("INVITE", target).answers("200 OK", "", habitSDP).gets("ACK").
		add("%s", again(1, habitSDP+"a=sendonly\n")).add(`<recv response="100" optional="true"/><recv response="200"/>`).add("%s", ack(1)).add(`<pause milliseconds="2000"/>`).
		add("%s", again(2, habitSDP)).add(`<recv response="100" optional="true"/><recv response="200"/>`).add("%s", ack(2)).ends()}
	c.place(g)
	g.joins(c.number, "held")
	c.hangUp(g)
}

// hangUpAfterRefresh waits for the refresh that is refused once.
func (c *habitCall) hangUpAfterRefresh(g *gateway) {
	g.t.Helper()
	eventually(g.t, 60*time.Second, "the session is refreshed", func() bool {
		p := g.joins(c.number, "joined")
		var l struct{ Steps []struct{ What string } }
		g.api("GET", "/calls/"+p.ID+"/ladder", nil, &l)
		n := 0
		for _, s := range l.Steps {
			if strings.HasPrefix(s.What, "ACK ") {
				n++
			}
		}
		return n == 3 // of the call, of the refusal, of the refresh
	})
	c.hangUp(g)
}

// Carriers that call in ways of their own.
func TestCallsInWithAwkwardHabits(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7003", "max_participants": 1})
	g.meeting(map[string]any{"number": "7004"})
	g.api("POST", "/numbers", map[string]any{"number": "+15550101", "trunk": "carrier", "target": "meeting:7004"}, nil)
	g.api("POST", "/numbers", map[string]any{"number": "+15550102", "trunk": "carrier", "target": "meeting:7003"}, nil)
	calls := func(scenario, number string) (*exec.Cmd, *buffer) {
		return run(t, nil, "sipp", g.at["sip_udp"], "-sf", "../../testdata/sipp/"+scenario, "-s", number, "-i", "127.0.0.1", "-mi", "127.0.0.1",
			"-mp", itoa(freePort(t)), "-p", itoa(freePort(t)), "-nostdin", "-m", "1", "-l", "1", "-timeout", "60s")
	}
	for _, scenario := range []string{"delayed_offer.xml", "reinvite_hold.xml", "update.xml", "no_pai.xml"} {
		cmd, out := calls(scenario, "+15550101")
		if scenario == "no_pai.xml" {
			if p := g.waitFor("7004", "pstn", "joined"); p.Address != "+15550198" || p.Name != "From Only" {
				t.Errorf("without P-Asserted-Identity the caller is %+v", p)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", scenario, err, tail(out.String(), 2500))
		}
	}
	// A refusal is spoken by early media, reliably; the PRACKs for it come in a
	// wrong order.
	run(t, nil, program, "call", "sips:7003@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--duration", "60s")
	g.waitFor("7003", "sip", "joined")
	cmd, out := calls("prack_wrong.xml", "+15550102")
	if err := cmd.Wait(); err != nil {
		t.Errorf("PRACK out of order: %v\n%s", err, tail(out.String(), 2500))
	}
}
