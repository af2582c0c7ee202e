package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/store"
)

// recorded is a call as the API gave it out when it had been made.
type recorded struct {
	Call   store.Call `json:"call"`
	Ladder struct {
		Verdict  string          `json:"verdict"`
		Findings []store.Finding `json:"findings"`
		Steps    []store.Step    `json:"steps"`
		Media    []store.Sample  `json:"media"`
	} `json:"ladder"`
}

// Calls that real peers made, and failed to make, are judged as they were; the
// end-to-end test TestDoctorFindsWhatIsWrong records them.
func TestRecordedCalls(t *testing.T) {
	files, err := filepath.Glob("../../testdata/calls/*.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d recorded calls, %v", len(files), err)
	}
	codes := map[string]int{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r recorded
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			c := r.Call
			c.Ladder, c.Media, c.Detail.Findings = r.Ladder.Steps, r.Ladder.Media, nil
			got := Examine(c)
			codes[got[0].Code]++
			if v := Verdict(got); v != r.Ladder.Verdict {
				t.Errorf("the verdict is\n%s\nit was\n%s", v, r.Ladder.Verdict)
			}
			if got[0].Code != "good" && got[0].Grade == Good || len(got[0].Text) < 20 {
				t.Errorf("%+v", got[0])
			}
		})
	}
	if len(codes) < 30 {
		t.Errorf("%d different verdicts: %v", len(codes), codes)
	}
}

// call makes a record; change it.
func call(change func(c *store.Call)) store.Call {
	at := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	c := store.Call{Started: at, Ended: at.Add(time.Minute), Protocol: "sip", Direction: "in", From: "ann@example.org", To: "7001", Source: "203.0.113.9", Code: "normal"}
	c.Detail.Answered = at.Add(time.Second)
	c.Detail.Security = store.CallSecurity{Signalling: "tls", Media: "sdes-srtp"}
	c.Detail.Audio = store.Stats{Codec: "PCMA", PacketsReceived: 3000, PacketsSent: 3000, Signalled: "203.0.113.9:4000", Found: "203.0.113.9:4000", Port: 20000, First: at, Last: c.Ended, Loudest: -20, Listened: 3000}
	change(&c)
	return c
}

// What cannot be made on one machine, or takes too long.
func TestVerdicts(t *testing.T) {
	unanswered := func(c *store.Call) { c.Detail.Answered, c.Detail.Audio = time.Time{}, store.Stats{} }
	out := func(c *store.Call) { unanswered(c); c.Direction = "out" }
	end := func(code, why string) func(*store.Call) {
		return func(c *store.Call) { c.Code, c.Detail.Reason = code, why }
	}
	for _, x := range []struct {
		name, code, says string
		change           []func(*store.Call)
	}{
		{"well", "good", "The call went well for 59s: PCMA, 0.0 % of its packets lost.", nil},
		{"under way", "under-way", "goes well", []func(*store.Call){func(c *store.Call) { c.Code, c.Ended = "", time.Time{} }}},
		{"no way back through NAT", "no-audio-out-nat", "it wants its sound at 192.168.1.20:4000, a private address, and sends from 203.0.113.9:40123", []func(*store.Call){func(c *store.Call) {
			c.Detail.Audio.Signalled, c.Detail.Audio.Found = "192.168.1.20:4000", "203.0.113.9:40123"
		}}},
		{"the far side hears nothing", "no-audio-out", "nearly none of the sound that was sent", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.RemoteLost = 2990 }}},
		{"the far side hears little", "loss-out", "20 % of the packets of the sound sent to 203.0.113.9:4000", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.RemoteLost = 600 }}},
		{"nothing sent", "nothing-sent", "none was sent to it", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.PacketsSent = 0 }}},
		{"wrong keys", "wrong-keys", "of 900 packets that came from 203.0.113.9:4000 none could be decrypted", []func(*store.Call){func(c *store.Call) {
			c.Detail.Audio.PacketsReceived, c.Detail.Audio.Forged, c.Detail.Audio.Loudest = 0, 900, 0
		}}},
		{"one stray packet", "no-audio-in", "no audio came", []func(*store.Call){func(c *store.Call) {
			c.Detail.Audio.PacketsReceived, c.Detail.Audio.Strange = 0, 1
		}}},
		{"stopped and went on", "audio-stopped", "stopped 30 s before the call ended", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.Last = c.Ended.Add(-30 * time.Second) }}},
		{"far away", "delay", "takes 650 ms", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.RTTMS = 650 }}},
		{"jitter for a moment", "jitter", "by up to 90 ms", []func(*store.Call){func(c *store.Call) { c.Media = []store.Sample{{JitterMS: 90}, {JitterMS: 2}} }}},
		{"echo", "echo", "has an echo of the others in it, 240 ms after they spoke", []func(*store.Call){func(c *store.Call) {
			c.Detail.Audio.Compared, c.Detail.Audio.Echoes, c.Detail.Audio.EchoMS = 3, 2, 240
		}}},
		{"an echo by chance", "good", "", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.Compared, c.Detail.Audio.Echoes = 1, 1 }}},
		{"few echoes of many windows", "good", "", []func(*store.Call){func(c *store.Call) { c.Detail.Audio.Compared, c.Detail.Audio.Echoes = 9, 4 }}},
		{"muted", "good", "", []func(*store.Call){func(c *store.Call) {
			c.Detail.Audio.Loudest, c.Ladder = -127, []store.Step{{What: "media", Text: "muted"}}
		}}},
		{"session timer", "session-timer", "did not refresh the call", []func(*store.Call){end("media-timeout", "session timer expired")}},
		{"peer forgot", "peer-forgot", "has lost the call", []func(*store.Call){end("unreachable", "peer does not know the call any more")}},
		{"rejected in the waiting room", "rejected", "A host did not accept the caller", []func(*store.Call){end("rejected", "rejected by a host")}},
		{"locked, after the reception", "locked", "locked", []func(*store.Call){end("locked", "meeting is locked")}},
		{"codec lost in the ACK", "renegotiation", "no codec could be agreed on", []func(*store.Call){end("incompatible", "No common audio codec")}},
		{"unsigned, and refused for it", "caller-unproved", "Trunk line takes calls from proved numbers only, and this one is not: nobody has signed it", []func(*store.Call){unanswered, end("forbidden", "the caller's number, by the bridge: no identity"), func(c *store.Call) {
			c.Trunk, c.Detail.Stir = "line", store.CallStir{Result: "no identity", By: "bridge"}
		}}},
		{"unsigned", "good", "went well", []func(*store.Call){func(c *store.Call) { c.Detail.Stir = store.CallStir{Result: "no identity", By: "bridge"} }}},
		{"fault", "fault", "made a mistake", []func(*store.Call){end("failure", "index out of range")}},
		{"blocked source", "blocked-source", "The call came from 203.0.113.9, which is no trunk's source", []func(*store.Call){unanswered, end("forbidden", "no trunk has this source address and transport, and the legacy listener is off")}},
		{"throttled", "throttled", "too many wrong passcodes or numbers came from 203.0.113.9", []func(*store.Call){unanswered, end("throttled", "too many wrong passcodes or numbers from this source")}},
		{"all channels", "no-channel", "all channels of trunk line were in use", []func(*store.Call){unanswered, end("overload", "trunk line: all channels are in use"), func(c *store.Call) { c.Trunk = "line" }}},
		{"too many at once", "source-limit", "makes too many calls", []func(*store.Call){unanswered, end("overload", "too many calls at once from this source")}},
		{"full bridge", "no-room", "no room for another call", []func(*store.Call){unanswered, end("overload", "limits.cpu is reached")}},
		{"H.323 wrong password", "wrong-password", "user name or password of ann@example.org is wrong", []func(*store.Call){unanswered, end("unauthorized", "H.235.1"), func(c *store.Call) { c.Protocol = "h323" }}},
		{"H.323 no capability", "no-codec", "The called party and the bridge have no codec in common", []func(*store.Call){out, end("incompatible", "no common capability"), func(c *store.Call) { c.Protocol = "h323" }}},
		{"trunk down", "trunk-down", "Trunk line is down: 503", []func(*store.Call){out, end("unreachable", "trunk line is down: 503")}},
		{"trunk disabled", "trunk-disabled", "not enabled", []func(*store.Call){out, end("unreachable", "trunk line is not enabled")}},
		{"no trunk", "no-line", "there is no trunk", []func(*store.Call){out, end("unreachable", "pstn: no route for +15550100")}},
		{"premium", "premium", "is a premium-rate number", []func(*store.Call){out, end("forbidden", "pstn: +19005550100 is a premium-rate number")}},
		{"no answer to INVITE", "silence", "gave no answer at all", []func(*store.Call){out, end("unreachable", "no answer")}},
		{"certificate of another", "certificate-name", "is for another name", []func(*store.Call){out, end("unreachable", "sip: tls: failed to verify certificate: x509: certificate is valid for other.example, not sip.example")}},
		{"no TLS there", "tls", "could not agree on TLS", []func(*store.Call){out, end("unreachable", "sip: tls: first record does not look like a TLS handshake")}},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := Examine(call(func(c *store.Call) {
				for _, f := range x.change {
					f(c)
				}
			}))
			if got[0].Code != x.code || !strings.Contains(strings.ToLower(got[0].Text), strings.ToLower(x.says)) {
				t.Errorf("found %+v, want %s: %s", got, x.code, x.says)
			}
		})
	}
}

// A number that may not be the caller's is told beside how the call went.
func TestUnprovedCallerIsTold(t *testing.T) {
	for result, n := range map[string]int{"verified": 1, "no identity": 1, "not verified": 1, "stale": 2, "signature wrong": 2, "number differs": 2, "certificate untrusted": 2, "certificate not fetched": 2, "malformed": 2, "failed": 2} {
		got := Examine(call(func(c *store.Call) { c.Detail.Stir = store.CallStir{Result: result, By: "bridge"} }))
		if len(got) != n || got[0].Code != "good" || n == 2 && (got[1].Code != "caller-unproved" || got[1].Grade != Poor) {
			t.Errorf("%s: %+v", result, got)
		}
	}
}

// Whatever is in a record, there is a verdict on it, and no panic.
func FuzzExamine(f *testing.F) {
	f.Add("normal", "out", "INVITE", "m=audio 1 RTP/AVP 0", "203.0.113.7:5060", uint64(5), true)
	f.Add("incompatible", "in", "SIP/2.0 488", "CSeq: 1 INVITE\r\n\r\nm=audio", "", uint64(0), false)
	f.Fuzz(func(t *testing.T, code, direction, what, text, from string, n uint64, answered bool) {
		c := call(func(c *store.Call) {
			c.Code, c.Direction, c.Detail.Reason = code, direction, text
			c.Detail.Audio.PacketsReceived, c.Detail.Audio.PacketsLost, c.Detail.Audio.RemoteLost, c.Detail.Audio.Clipped, c.Detail.Audio.Signalled = n, n/3, n, n, from
			c.Ladder = []store.Step{{From: from, To: "x", What: what, Text: text}, {What: "media", Text: text}, {From: "x", To: from, What: what, Text: text}}
			if !answered {
				c.Detail.Answered = time.Time{}
			}
		})
		for _, x := range Examine(c) {
			if x.Code == "" || x.Grade == "" || x.Text == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
