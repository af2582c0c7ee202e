//go:build e2e

package e2e

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// An operator looks at a call while it lasts, sees how it goes and how it ends
// without touching the page, and takes its signalling along.
func TestCallPageIsLive(t *testing.T) {
	g := serve(t)
	g.trunk()
	g.api("POST", "/numbers", map[string]any{"number": "+15550120", "trunk": "carrier", "target": "meeting:7100"}, nil)
	g.meeting(map[string]any{"number": "7100", "name": "Open"})
	d := newRogue(t, g.at["sip_udp"]).dialog("+15550120")
	if status := d.call(d.offer()); status != "200" {
		t.Fatalf("answered %s", status)
	}
	go d.talk(rtpStream{length: 40 * time.Second, sound: 0x30, square: true, skip: 4})
	g.waitFor("7100", "pstn", "joined")
	b := newDriver(t).open("operator", 440, nil)
	b.signIn(g, g.login.User, g.login.Password)
	b.sees("Sign out")
	b.goTo(g.page("/console/calls"))
	b.sees("+15550120")
	id := g.records()[0].ID
	b.goTo(g.page("/console/calls/" + id))
	b.sees("INVITE sip:+15550120")
	b.sees("Sound over time") // from the second sample on
	b.sees("25 % of the packets of the sound from")
	b.look("console-call-live")
	d.bye()
	b.sees("normal")
	b.sees("hung up")
	b.look("console-call")
	x := g.examine(t, "+15550120")
	if x.Ladder.Findings[0]["code"] != "loss-in" {
		t.Errorf("found %v", x.Ladder.Findings)
	}
	if s, pcap := g.raw("GET", "/calls/"+id+"/pcap", nil); s != 200 || bytes.Count(pcap, []byte("INVITE sip:+15550120")) != 1 {
		t.Errorf("capture: %d, %d octets", s, len(pcap))
	}
	if s, text := g.raw("GET", "/calls/"+id+"/bundle", nil); s != 200 || !strings.Contains(string(text), "loss-in") || !strings.Contains(string(text), "| a=rtpmap:0 PCMU/8000") {
		t.Errorf("bundle: %d %s", s, text)
	}
	if s, table := g.raw("GET", "/calls.csv", nil); s != 200 || !strings.Contains(string(table), id) {
		t.Errorf("table: %d %s", s, table)
	}
}
