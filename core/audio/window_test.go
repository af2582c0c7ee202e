package audio

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The spread that is kept up to date is the one that counting shows.
func TestWindowSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w window
	for n := range 5000 {
		wide := []int64{1, 5, 60, 400}[n/300%4]
		at := int64(n) * int64(20*time.Millisecond)
		w.add(random.Int64N(wide)*int64(time.Millisecond), at)
		beyond, want := min(w.n, windowSize)/windowBeyond, int64(0)
		for b := windowBins - 1; b > 0 && want == 0; b-- {
			if beyond -= int(w.count[b]); beyond < 0 {
				want = int64(b+1) * windowBin
			}
		}
		if got := w.spread(); got != want {
			t.Fatalf("after %d delays the spread is %v, counted %v", n+1, time.Duration(got), time.Duration(want))
		}
	}
}
