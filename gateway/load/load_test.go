package load

import (
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
)

// slotted notes in which slot packets are sent.
type slotted struct {
	pacer *pacer
	in    []int
}

func (s *slotted) Write(*core.Packet) error { s.in = append(s.in, s.pacer.next); return nil }
func (s *slotted) Close() error             { return nil }

func TestEachPartySendsAtItsOwnPhase(t *testing.T) {
	p := newPacer(clock.Frame)
	sinks := make([]slotted, 2*slots)
	for n := range sinks {
		party, err := newParty(listener, 0, core.Codec{Name: "PCMU"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sinks[n].pacer = p
		var out core.Sink = &sinks[n]
		party.out.Store(&out)
		p.add(n, party.step)
	}
	for range time.Second / slot {
		p.step()
	}
	for n, s := range sinks {
		if len(s.in) != 50 {
			t.Fatalf("party %d sent %d packets in a second, want 50", n, len(s.in))
		}
		for i, in := range s.in {
			if want := n%slots + i*slots; in != want {
				t.Fatalf("packet %d of party %d was sent at slot %v, want %v", i, n, in, want)
			}
		}
	}
}

func TestBurstersTakeTurns(t *testing.T) {
	var said [bursters * window]int
	silence := ""
	for k := range bursters {
		p, err := newParty(burster, k, core.Codec{Name: "PCMU"}, &bursts{})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.frames) != len(said) {
			t.Fatalf("a loop of %d frames, want %d", len(p.frames), len(said))
		}
		silence = string(p.frames[len(said)-1])
		for i, f := range p.frames {
			if string(f) != silence {
				said[i]++
			}
		}
	}
	for i, n := range said {
		want := 0
		if i%window < burstOn {
			want = 1
		}
		if n != want {
			t.Fatalf("in frame %d %d bursters speak, want %d", i, n, want)
		}
	}
}

func TestBenchmarkLines(t *testing.T) {
	got := parseBenchmarks("core/mix", `goos: linux
BenchmarkStepG711x100-2   	   52012	     23032 ns/op	         0.0115 ms/caller-s	       0 B/op	       0 allocs/op
BenchmarkRoundTrip/clear  	   80000	     14512.5 ns/op	      16 B/op	       1 allocs/op
PASS`)
	want := []Path{{"core/mix StepG711x100", 23032, 0, 0}, {"core/mix RoundTrip/clear", 14512.5, 16, 1}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRiseIsAgainstTheCheapestSmaller(t *testing.T) {
	for _, c := range []struct {
		costs []float64
		want  float64
	}{{nil, 0}, {[]float64{3}, 0}, {[]float64{4, 2, 3}, 1.5}, {[]float64{4, 2}, 0.5}} {
		if got := rise(c.costs); got != c.want {
			t.Errorf("%v: %v, want %v", c.costs, got, c.want)
		}
	}
}

func TestDocumentTellsWhatIsNotMet(t *testing.T) {
	r := &Results{Date: "2030-01-02", Rounds: 3, Janus: "1.1.2",
		Cost: []Cost{
			{Meetings: 1, Callers: 100, Echo: 0.7, Clear: 0.5, ClearRatio: 1.9},
			{Meetings: 1, Callers: 200, Echo: 0.7, Batched: 0.4, Clear: 0.8, ClearRatio: 1.14, Rise: 1.6, GCMRatio: 1.41, FloorRatio: 2, Janus: 2.1, JanusRatio: 2.63, JanusSent: 100, JanusReceived: 99, JanusRight: 200, Of: 200},
			{Meetings: 1, Callers: 1000, Echo: 0.7, Clear: 0.5, Lost: 3},
			{Meetings: 200, Callers: 1000, Clear: 9, Rise: 18, Lost: 5},
		},
		Forward: []Forward{{Name: "video 1→100", Video: true, Senders: 1, Listeners: 100, Echo: 8, Packet: 9.6, Ratio: 1.2},
			{Name: "audio 1→10", Small: true, Senders: 1, Listeners: 10, Ratio: 1.9},
			{Name: "meeting of 200, 10 cameras", Senders: 10, Listeners: 190, Watchers: 30, Asked: 300, Ratio: 1.7, Sent: 100, Received: 97}},
		Memory: []Memory{{Name: "browser, one video", Parties: 100, Each: 301, Goal: browserGoal}},
		Storm:  []Storm{{Limit: 600, Asked: 1000, Refused: 500, Connected: 500, Inside: 100, Right: 99, Gapped: 2}},
		Delay:  []Delay{{Name: "clear", Callers: 100, Quantiles: Quantiles{P99: 40.5}}},
		Setup: []Setup{
			{overUDP, setupRate, 20, 100, 100, Quantiles{}, 1.5, 0.5},
			{overUDP, 100, 99, 500, 500, Quantiles{}, 1.5, 0.5},
			{overUDP, 200, 120, 1000, 1000, Quantiles{}, 1.5, 0.5},
			{byBrowser, setupRate, 20, 100, 100, Quantiles{}, 8.5, 0},
		}}
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| 200 callers, clear | at most 1.4 × the echo | 1.14 × the echo | met |",
		"| 200 callers, AEAD_AES_256_GCM | at most 1.4 × the echo that encrypts | 1.41 × the echo that encrypts | **not met** |",
		"| 200 callers, Janus beside them | at least 5 × as dear | 2.63 × | **not met** |",
		"| 1000 callers, packets lost | none | 3 | **not met** |",
		"| cost of a caller as meetings grow | at no size over 1.2 × that of a smaller | 1.60 ×, at 200 | **not met** |",
		"| forwarding video 1→100 | at most 1.6 × the echo that encrypts | 1.20 × the echo that encrypts | met |",
		"| the same, with segmentation offload | at most 1 × the echo that encrypts | 1.20 × the echo that encrypts | **not met** |",
		"| the same, a third of LiveKit's | at most 10 µs a packet | 9.60 µs a packet | met |",
		"| forwarding meeting of 200, 10 cameras | at most 1.6 × the echo that encrypts | 1.70 × the echo that encrypts | **not met** |",
		"In the *meeting of 200* there are 10 who show a camera",
		"**300 were asked for: this machine",
		"**Nor did it hold these.**",
		"| memory, browser, one video | at most 300 KiB | 301.00 KiB | **not met** |",
		"| delay, clear, 100 callers | p99 at most 40 ms | 40.5 ms | **not met** |",
		"| a call's set-up and tear-down, browser, DTLS-SRTP | at most 8 ms CPU | 8.50 ms CPU | **not met** |",
		"UDP, clear RTP: all calls came through at 100 a second.",
		"| 1000 in 200 meetings | – | 9.00 |",
		"stands at\n2.00 × (200 callers).",
		"| 200 | 2.10 | 0.80 | 2.63 × as much | 99.00 % | 200 of 200 | 0 of 3 |",
		"| 600 calls | 500 | 500 of 1000 |",
		"| all hear and see what they should, in every round | everybody | 99 of 100 | **not met** |",
		"| those inside while 500 of 1000 callers are refused | no packet lost, no gap over 40 ms | 0 lost, 2 with a gap | **not met** |",
		"| 200 callers, no gap over 40 ms | none | 0, the worst of 0 ms | met |",
		"| UDP, clear RTP | 20/s | 20.0/s | 100 of 100 | 0.0 ms | 0.0 ms | 1.50 ms | 0.50 | 3.00 × |",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("the document lacks %q", line)
		}
	}
	for _, none := range []string{"A packet's way", "| forwarding audio 1→10 | at most", "| 100 callers, clear |", "| idle | below", "is not installed"} {
		if strings.Contains(text.String(), none) {
			t.Errorf("the document has %q, which was not measured or is no goal", none)
		}
	}
}

// What was left out, or is not on the machine, is said or missing, never an
// empty table.
func TestDocumentOfWhatWasMeasuredAlone(t *testing.T) {
	var text strings.Builder
	if err := (&Results{Cost: []Cost{{Meetings: 1, Callers: 10, Clear: 1}}}).Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "Janus is not installed on this machine") {
		t.Error("nothing is said of Janus")
	}
	for _, none := range []string{"## Delay", "## Memory", "## Forwarding", "## Setting calls up", "## A thousand"} {
		if strings.Contains(text.String(), none) {
			t.Errorf("the document has %q", none)
		}
	}
}
