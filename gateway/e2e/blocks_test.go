//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

type block struct {
	ID, Network, Transport, Why string
	Dropped                     int
}

func (g *gateway) blocks() (list []block) {
	g.t.Helper()
	g.api("GET", "/blocks", nil, &list)
	return list
}

// While a meeting goes on, a scanner of the clear port and a guesser of numbers
// are blocked, each for what it did; the console tells why; the blocks end by
// themselves, or are lifted; and the meeting's sound has no gap.
func TestAttackersAreBlockedExplainedAndLetGo(t *testing.T) {
	g := serve(t, "--block.allow", "", "--block.strikes", "25", "--passcode.tries", "1000", "--block.length", "60", "--limits.setups_per_source", "100")
	g.meeting(map[string]any{"number": "7001"})
	b := newDriver(t).open("operator", 0, nil)
	b.goTo(g.page("/signin"))
	b.signIn(g, g.login.User, g.login.Password)
	b.sees("Sign out")
	b.goTo(g.page("/console/protection"))
	b.sees("Nobody is blocked")

	k := newTalk(g, "7001", 25*time.Second)
	scanner, err := net.Dial("udp", g.at["sip_udp"])
	if err != nil {
		t.Fatal(err)
	}
	defer scanner.Close()
	for i := range 1000 {
		fmt.Fprintf(scanner, "INVITE sip:%d@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK%d\r\nFrom: <sip:100@127.0.0.1>;tag=1\r\nTo: <sip:%d@127.0.0.1>\r\nCall-ID: %d\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n", 900+i, i, 900+i, i)
		if i%50 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	eventually(t, 5*time.Second, "the scanner is blocked", func() bool {
		l := g.blocks()
		return len(l) == 1 && l[0].Transport == "udp" && l[0].Network == "127.0.0.1/32" && strings.Contains(l[0].Why, "25 messages to where only trunks are heard") && l[0].Dropped > 500
	})
	b.sees("25 messages to where only trunks are heard")
	b.look("console-protection")
	if line := regexp.MustCompile(`msg="source blocked" source=127\.0\.0\.1 network=127\.0\.0\.1/32 transport=udp until=\S+ why="`); !line.MatchString(g.log.String()) {
		t.Error("the log has no line for fail2ban")
	}
	for i := range 28 { // one by one: so many programs at once would themselves be heard in the meeting
		startCall(t, fmt.Sprintf("sips:%d@%s", 811000+i, g.at["sips"]), "--duration", "100ms")()
	}
	k.mustGoOn(15 * time.Second)
	eventually(t, 10*time.Second, "the guesser is blocked", func() bool {
		l := g.blocks()
		return len(l) > 0 && l[0].Transport == "tcp" && strings.Contains(l[0].Why, "numbers or passcodes")
	})
	if r := call(t, "sips:7001@"+g.at["sips"], "--duration", "1s"); r.Answered {
		t.Errorf("a call of who is blocked: %v", r)
	}
	b.do("click", map[string]any{"role": "button", "name": "Lift the block of 127.0.0.1/32 (TCP, TLS)"})
	eventually(t, 5*time.Second, "the block is lifted", func() bool { l := g.blocks(); return len(l) == 0 || l[0].Transport == "udp" })
	if r := call(t, "sips:7001@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Errorf("a call after the block: %v", r)
	}
	eventually(t, 70*time.Second, "the other block ends by itself", func() bool { return len(g.blocks()) == 0 })
	b.sees("Nobody is blocked")
}

// While a meeting goes on, who guesses a device's password is blocked, and so is
// a storm of registrations; the meeting's sound has no gap, and memory stays.
func TestPasswordGuesserAndRegisterStormAreBlocked(t *testing.T) {
	g := serve(t, "--block.allow", "", "--block.strikes", "8", "--block.length", "60")
	g.meeting(map[string]any{"number": "7001"})
	g.api("POST", "/devices", map[string]any{"user": "room1", "password": "right-and-long", "name": "Room", "extension": "201"}, nil)
	k := newTalk(g, "7001", 20*time.Second)
	most := g.watchRSS()
	before := g.rss()

	s := newRegistrant(g)
	challenge := s.register("room1", "")
	nonce := regexp.MustCompile(`realm="([^"]*)", nonce="([^"]*)", algorithm=SHA-256`).FindStringSubmatch(challenge)
	if nonce == nil {
		t.Fatalf("no challenge: %q", challenge)
	}
	for i := range 12 {
		s.write("room1", fmt.Sprintf("Authorization: Digest username=\"room1\", realm=%q, nonce=%q, uri=\"sip:127.0.0.1\", algorithm=SHA-256, qop=auth, nc=%08x, cnonce=\"c\", response=\"%064x\"\r\n",
			nonce[1], nonce[2], i+1, i))
	}
	blocked := func(why string) func() bool {
		return func() bool {
			l := g.blocks()
			return len(l) == 1 && l[0].Transport == "tcp" && strings.Contains(l[0].Why, why)
		}
	}
	eventually(t, 5*time.Second, "who guesses is blocked", blocked("8 wrong passwords"))
	g.api("DELETE", "/blocks/"+g.blocks()[0].ID, nil, nil)

	sent := 0
	for range 10 {
		s := newRegistrant(g)
		for i := range 300 {
			if !s.write(fmt.Sprintf("storm%d", i), "") {
				break
			}
			sent++
		}
	}
	eventually(t, 5*time.Second, "the storm is blocked", blocked("beyond what a source may"))
	k.mustGoOn(10 * time.Second)
	if after := most(); after > before+64 {
		t.Errorf("%d MiB in use, %d before", after, before)
	}
	if sent < 300 {
		t.Errorf("only %d registrations were sent", sent)
	}
	g.mustBeHealthy()
	g.mustKeepSecret("right-and-long")
}

// registrant sends REGISTERs over a TLS connection.
type registrant struct {
	g    *gateway
	conn net.Conn
	n    int
}

func newRegistrant(g *gateway) *registrant {
	g.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", g.at["sips"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return &registrant{g: g} // it is blocked already
	}
	g.t.Cleanup(func() { conn.Close() })
	return &registrant{g: g, conn: conn}
}

// write sends one with further header fields; false: the connection is gone.
func (s *registrant) write(user, more string) bool {
	if s.conn == nil {
		return false
	}
	s.n++
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := fmt.Fprintf(s.conn, "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK%p%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%[3]s@127.0.0.1>;tag=%[2]d\r\n"+
		"To: <sip:%[3]s@127.0.0.1>\r\nCall-ID: %[1]p-%[3]s\r\nCSeq: %[2]d REGISTER\r\nContact: <sip:%[3]s@127.0.0.1:9;transport=tls>\r\n%[4]sContent-Length: 0\r\n\r\n", s, s.n, user, more)
	return err == nil
}

// register is write, and gives the answer.
func (s *registrant) register(user, more string) string {
	s.g.t.Helper()
	if !s.write(user, more) {
		s.g.t.Fatal("the registrar takes no connection")
	}
	b := make([]byte, 4096)
	_ = s.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := s.conn.Read(b)
	if err != nil {
		s.g.t.Fatal(err)
	}
	return string(b[:n])
}
