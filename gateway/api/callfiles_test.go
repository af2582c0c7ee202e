package api

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/store"
)

// What operators take with them of a call.
func TestCallsCanBeTakenAway(t *testing.T) {
	d := newDesk(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	c := store.Call{ID: "one", Started: at, Ended: at.Add(2 * time.Minute), Protocol: "pstn", Direction: "in", From: "=cmd()", To: "+15550100", Source: "203.0.113.7", Meeting: "7001", Trunk: "line", Code: "normal",
		Detail: store.CallDetail{Answered: at.Add(30 * time.Second), MOS: 4.2, Audio: store.Stats{Codec: "PCMA", PacketsReceived: 4500, PacketsSent: 4500},
			Security: store.CallSecurity{Signalling: "clear", Media: "clear"}, Stir: store.CallStir{Result: "verified", Attest: "A", By: "bridge"}, Findings: []store.Finding{{Code: "good", Grade: "good", Text: "It went well."}}},
		Ladder: []store.Step{{At: at, From: "203.0.113.7:5060", To: "192.0.2.1:5060", Network: "udp", What: "INVITE", Text: "INVITE sip:7001@x SIP/2.0\r\n\r\n"}, {At: at, What: "routed", Text: "7001"}},
		Media:  []store.Sample{{At: at, Codec: "PCMA", Received: 250}}}
	refused := store.Call{ID: "two", Started: at.Add(time.Minute), Ended: at.Add(time.Minute), Protocol: "sip", Direction: "in", To: "9", Code: "not-found"}
	for _, c := range []store.Call{c, refused, {ID: "old", Started: at.AddDate(0, 0, -40), Ended: at, Protocol: "sip"}} {
		if err := d.store.SaveCall(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	get := func(path string) string {
		t.Helper()
		s, text := d.do(store.RoleSuperuser, "GET", "/api/v1"+path, "")
		if s != 200 {
			t.Fatalf("%s: %d %s", path, s, text)
		}
		return text
	}
	if p := get("/calls/one/pcap"); !strings.HasPrefix(p, "\x4d\x3c\xb2\xa1") || strings.Count(p, "INVITE sip:7001") != 1 || strings.Contains(p, "routed") {
		t.Errorf("capture %q", p)
	}
	b := get("/calls/one/bundle")
	for _, part := range []string{"good    good: It went well.", `"codec": "PCMA"`, "203.0.113.7:5060 -> 192.0.2.1:5060 (udp)  INVITE", "| INVITE sip:7001@x SIP/2.0", "* routed 7001", "PCMA          250"} {
		if !strings.Contains(b, part) {
			t.Errorf("no %q in the bundle\n%s", part, b)
		}
	}
	table := func(query string) [][]string {
		t.Helper()
		lines, err := csv.NewReader(strings.NewReader(get("/calls.csv" + query))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	lines := table("")
	verdict := slices.Index(lines[0], "verdict")
	if len(lines) != 3 || lines[1][0] != "one" || lines[1][4] != "1.50" || lines[1][7] != "'=cmd()" || lines[1][verdict] != "It went well." || lines[2][4] != "0" || !strings.Contains(lines[2][verdict], "no meeting or number") {
		t.Errorf("table %q", lines)
	}
	if got := lines[1][verdict+1:]; !slices.Equal(got, []string{"verified", "A", "bridge"}) {
		t.Errorf("of the caller's number: %q", got)
	}
	if lines := table("?trunk=line"); len(lines) != 2 {
		t.Errorf("of the trunk %q", lines)
	}
	if s, _ := d.do(store.RoleSuperuser, "GET", "/api/v1/calls/none/pcap", ""); s != 404 {
		t.Errorf("the capture of no call: %d", s)
	}
}
