//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// trunk makes the telephone network a trunk from loopback, with a number that
// leads to the reception.
func (g *gateway) trunk() {
	g.t.Helper()
	g.api("POST", "/trunks", map[string]any{"name": "carrier", "mode": "static", "transport": "udp", "host": "127.0.0.1:9",
		"source": []string{"127.0.0.1/32"}, "media_encryption": "none", "enabled": true, "override_check": true}, nil)
	g.api("POST", "/numbers", map[string]any{"number": "+15550100", "trunk": "carrier", "target": "reception"}, nil)
}

func TestTelephoneThroughTheReceptionAndASIPTelephone(t *testing.T) {
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7001", "name": "Team", "guest_passcode": "1234"})
	phone := newSIPp(t, g.at["sip_udp"], "+15550100", ",,7001#,1234#,", 1000)
	c := newCapture(t, "udp and dst port "+itoa(phone.port))
	bob := newBaresip(t, "7001**1234@"+g.at["sips"], 700)
	g.waitFor("7001", "sip", "joined")
	p := g.waitFor("7001", "pstn", "joined")
	if p.Security.Media != "clear" || p.Address != "+15550199" || p.Name != "Pat Phone" {
		t.Errorf("the phone is shown as %+v", p)
	}
	time.Sleep(8 * time.Second)
	c.stop()
	c.toPort(phone.port).last(3*time.Second).mustHear(t, "the phone", []float64{700}, []float64{1000})
	bob.quit().last(3*time.Second).mustHear(t, "baresip", []float64{1000}, []float64{700})
}

// The issue in one test: three networks, one meeting with a passcode; each
// hears the others and not itself, and nothing is in clear but the phone.
func TestBrowserSIPTelephoneAndPhoneMeet(t *testing.T) {
	first := 40000 + 200*rand.IntN(60) // ports of its own, so that the capture is of this test
	rtp := fmt.Sprintf("%d-%d", first, first+99)
	g := serve(t, "--rtp.ports", rtp)
	g.trunk()
	g.meeting(map[string]any{"number": "7001", "name": "Team", "guest_passcode": "1234"})
	wire := newCapture(t, "port "+port(g.at["sips"])+" or port "+port(g.at["sip_udp"])+" or port "+port(g.at["webrtc_udp"])+" or portrange "+rtp)
	phone := newSIPp(t, g.at["sip_udp"], "+15550100", ",,7001#,1234#,", 1000)
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, "7001", "Alice", "1234")
	bob := newBaresip(t, "7001**1234@"+g.at["sips"], 700)
	for _, protocol := range []string{"webrtc", "sip", "pstn"} {
		g.waitFor("7001", protocol, "joined")
	}
	alice.sees("Pat Phone")
	time.Sleep(8 * time.Second)
	alice.mustHear([]float64{700, 1000}, []float64{440})
	var suites []string
	for _, p := range g.participants("7001") {
		suites = append(suites, p.Protocol+" "+p.Security.Signalling+" "+p.Security.Media+" "+p.Security.Suite)
	}
	t.Log(suites)
	wire.stop()
	wire.toPort(phone.port).last(3*time.Second).mustHear(t, "the phone", []float64{440, 700}, []float64{1000})
	bob.quit().last(3*time.Second).mustHear(t, "baresip", []float64{440, 1000}, []float64{700})
	wire.mustBeEncrypted(g, phone)
}

// mustBeEncrypted looks for clear signalling and clear sound anywhere but
// between trunk and bridge.
func (c *capture) mustBeEncrypted(g *gateway, phone *sipp) {
	c.t.Helper()
	if rows := c.fields("(sip || sdp) && !(udp.port == "+port(g.at["sip_udp"])+")", nil, "frame.number"); len(rows) > 0 {
		c.t.Errorf("tshark sees SIP or SDP in clear in %d packets", len(rows))
	}
	if rows := c.fields("tcp.port == "+port(g.at["sips"])+" && tls.app_data", []string{"tcp.port==" + port(g.at["sips"]) + ",tls"}, "frame.number"); len(rows) == 0 {
		c.t.Error("tshark sees no TLS on the SIPS port")
	}
	media := c.fields("udp && !(udp.port == "+itoa(phone.port)+") && !(udp.port == "+itoa(phone.port+1)+") && !(udp.port == "+port(g.at["sip_udp"])+")", nil, "udp.srcport", "udp.dstport", "udp.payload")
	packets, ports := 0, map[string]bool{}
	for _, row := range media {
		if payload := unhex(row[2]); len(payload) > 60 && payload[0]>>6 == 2 && payload[1]>>5 != 6 { // not RTCP (RFC 5761 §4)
			packets++
			ports[row[0]] = true
			if s := decodeRun(payload[12:]); s {
				c.t.Fatalf("a packet from port %s to %s carries sound in clear", row[0], row[1])
			}
		}
	}
	if packets < 200 || len(ports) < 3 {
		c.t.Errorf("tshark saw only %d media packets from %d ports", packets, len(ports))
	}
}

func TestP30WaitingPartiesHearMusicAndAreHeardByNobody(t *testing.T) {
	// Above the notes of the music, so that each is told from it.
	const hostHz, bobHz, phoneHz, guestHz = 1730, 2130, 2530, 2930
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7002", "name": "Board", "admission": "accept", "host_passcode": "98765", "guest_passcode": "1234"})
	d := newDriver(t)
	host := d.open("host", hostHz, nil)
	host.join(g, "7002", "Hanna", "98765")
	g.waitFor("7002", "webrtc", "joined")
	phone := newSIPp(t, g.at["sip_udp"], "+15550100", ",,7002#,1234#,", phoneHz)
	wire := newCapture(t, "udp and dst port "+itoa(phone.port))
	bob := newBaresip(t, "7002**1234@"+g.at["sips"], bobHz)
	guest := d.open("guest", guestHz, nil)
	guest.join(g, "7002", "Gus", "1234")
	guest.sees("The host will let you in.")
	g.waitFor("7002", "sip", "waiting")
	g.waitFor("7002", "pstn", "waiting")
	g.waitFor("7002", "webrtc", "waiting")
	time.Sleep(8 * time.Second) // past the spoken prompts
	host.mustHear(nil, []float64{bobHz, phoneHz, guestHz})
	guest.mustHear(nil, []float64{hostHz, bobHz, phoneHz})
	wire.stop()
	atPhone := wire.toPort(phone.port).last(3 * time.Second)
	atPhone.mustHear(t, "the waiting phone", nil, []float64{hostHz, bobHz, guestHz})
	if !atPhone.audible() {
		t.Error("the waiting phone hears no music")
	}
	host.click("People")
	host.click("Let Pat Phone in")
	host.click("Reject Gus")
	g.waitFor("7002", "pstn", "joined")
	guest.sees("You were not let in")
	g.waitForRecord("webrtc", "rejected")
	time.Sleep(4 * time.Second)
	host.mustHear([]float64{phoneHz}, []float64{bobHz, guestHz})
	atBob := bob.quit()
	atBob.last(3*time.Second).mustHear(t, "waiting baresip", nil, []float64{hostHz, phoneHz, guestHz})
	if !atBob.audible() {
		t.Error("waiting baresip hears no music")
	}
}
