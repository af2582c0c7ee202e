//go:build e2e

package e2e

import (
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
