//go:build e2e

package e2e

import (
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
