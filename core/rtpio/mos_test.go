package rtpio

import (
	"math"
	"testing"
	"time"

	"bridgehead/core"
)

// With its defaults the E-model gives R = 93.2 and an MOS of 4.41 (G.107 §7.7).
// Behind delays, R is what Cole and Rosenbluth's approximation of it gives.
func TestRatingIsTheRecommendations(t *testing.T) {
	for _, c := range []struct {
		delay  time.Duration
		rating float64
		within float64
	}{{0, 93.2, 0.05}, {100 * time.Millisecond, 90.8, 1}, {200 * time.Millisecond, 85.9, 1}, {300 * time.Millisecond, 72.5, 1}} {
		if r := ratingAfter(c.delay); math.Abs(r-c.rating) > c.within {
			t.Errorf("after %v: R = %.2f, want %.1f", c.delay, r, c.rating)
		}
	}
	for r, want := range map[float64]float64{93.2: 4.41, 50: 2.58, 60: 3.10, 70: 3.60, 80: 4.02, 90: 4.34, -5: 1, 120: 4.5} {
		if m := mosOf(r); math.Abs(m-want) > 0.01 {
			t.Errorf("MOS of R = %.1f is %.3f, want %.2f", r, m, want)
		}
	}
}

func TestLossCostsQuality(t *testing.T) {
	s := core.Stats{Codec: "PCMA", PacketsReceived: 1000}
	last := MOS(s, 20*time.Millisecond)
	if last < 4.2 {
		t.Errorf("a good call has %.2f", last)
	}
	for _, lost := range []uint64{10, 50, 200, 1000} {
		s.PacketsLost = lost
		if m := MOS(s, 20*time.Millisecond); m >= last {
			t.Errorf("%d lost: %.2f, not below %.2f", lost, m, last)
		} else {
			last = m
		}
	}
}
