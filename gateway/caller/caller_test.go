package caller

import (
	"math"
	"testing"

	"bridgehead/core/audio"
)

func TestTonesAreFoundWithTheirLevels(t *testing.T) {
	pcm := make([]int16, 2*Rate)
	for _, x := range []struct{ dBov, hz float64 }{{-18, 440}, {-24, 1003}} {
		one := make([]int16, len(pcm))
		audio.NewTone(Rate, x.dBov, x.hz).Read(one)
		for i := range pcm {
			pcm[i] += one[i]
		}
	}
	got := Tones(pcm, Rate)
	if len(got) != 2 || math.Abs(got[0].Hz-440) > 1 || math.Abs(got[1].Hz-1003) > 1 || math.Abs(got[0].DBov+18) > 1.5 || math.Abs(got[1].DBov+24) > 1.5 {
		t.Errorf("found %v, want 440 Hz at -18 and 1003 Hz at -24 dBov", got)
	}
	if s := got[0].String(); s != "440 Hz at -18 dBov" {
		t.Errorf("text %q", s)
	}
}

func TestSilenceHasNoTones(t *testing.T) {
	if got := Tones(make([]int16, Rate), Rate); len(got) != 0 {
		t.Errorf("found %v in silence", got)
	}
}
