package load

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
)

// times notes when packets are written.
type times struct{ at []time.Duration }

func (s *times) Write(*core.Packet) error { s.at = append(s.at, core.Now()); return nil }
func (s *times) Close() error             { return nil }

func TestEachPartySendsAtItsOwnPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(clock.Frame)
		sinks := make([]times, 2*slots)
		for n := range sinks {
			party, err := newParty(listener, 0, core.Codec{Name: "PCMU"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var out core.Sink = &sinks[n]
			party.out.Store(&out)
			p.add(n, party.step)
		}
		began := core.Now()
		ctx, cancel := context.WithCancel(t.Context())
		go p.run(ctx)
		time.Sleep(time.Second + slot/2)
		cancel()
		synctest.Wait()
		for n, s := range sinks {
			if len(s.at) < 50 || len(s.at) > 51 {
				t.Fatalf("party %d sent %d packets in a second, want 50", n, len(s.at))
			}
			for i, at := range s.at[1:] {
				if want := time.Duration(n%slots+(i+1)*slots) * slot; at-began != want {
					t.Fatalf("packet %d of party %d came at %v, want %v", i+1, n, at-began, want)
				}
			}
		}
	})
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

func TestDocumentTellsWhatIsNotMet(t *testing.T) {
	r := &Results{Date: "2030-01-02", Rounds: 3,
		Cost:  []Cost{{Callers: 100, Echo: 0.7, Clear: 0.8, ClearRatio: 1.14, GCM256Ratio: 2.01}},
		Delay: []Delay{{Name: "clear", Callers: 100, Quantiles: Quantiles{P99: 40.5}}},
		Setup: []Setup{
			{overUDP, setupRate, 20, 100, 100, Quantiles{}, 1.5},
			{overUDP, 100, 99, 500, 500, Quantiles{}, 1.5},
			{overUDP, 200, 120, 1000, 1000, Quantiles{}, 1.5},
		}}
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| 100 callers, clear | at most 2 × the echo | 1.14 × | met |",
		"| 100 callers, AEAD_AES_256_GCM | at most 2 × the echo | 2.01 × | **not met** |",
		"| delay, clear | p99 at most 40 ms | 40.5 ms | **not met** |",
		"UDP, clear RTP: all calls came through at 100 a second.",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("the document lacks %q", line)
		}
	}
	if strings.Contains(text.String(), "A packet's way") {
		t.Error("a table of benchmarks that were not run")
	}
}
