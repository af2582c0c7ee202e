//go:build e2e

package e2e

import (
	"net"
	"regexp"
	"testing"
	"time"
)

// A Homer hears how a call is heard while it lasts, by the Call-ID of its
// signalling.
func TestHomerHearsOfACall(t *testing.T) {
	homer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer homer.Close()
	g := serve(t, "--homer.server", homer.LocalAddr().String())
	g.meeting(map[string]any{"number": "7003"})
	call(t, "sips:7003@"+g.at["sips"], "--tone", "440", "--duration", "11s")
	_ = homer.SetReadDeadline(time.Now().Add(10 * time.Second))
	id, report := "", regexp.MustCompile(`{"type":200,"ssrc":[1-9]\d*,"report_count":1,"sender_information":{.*"packets":[1-9]\d*,"octets":[1-9]\d*},"report_blocks":\[{"source_ssrc":[1-9]\d*,"fraction_lost":0,"packets_lost":0`)
	b := make([]byte, 65536)
	for {
		n, err := homer.Read(b)
		if err != nil {
			t.Fatalf("no report: %v", err)
		}
		message := string(b[:n])
		if m := regexp.MustCompile(`INVITE sip(?s:.*)Call-ID: (\S+)\r\n`).FindStringSubmatch(message); m != nil {
			id = m[1]
		}
		if report.MatchString(message) {
			if !regexp.MustCompile(regexp.QuoteMeta(id)).MatchString(message) || id == "" {
				t.Errorf("the report of call %s is %q", id, message)
			}
			return
		}
	}
}
