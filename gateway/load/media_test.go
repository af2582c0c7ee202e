package load

import (
	"slices"
	"testing"
)

func TestAToneIsHeardThroughLostPackets(t *testing.T) {
	frames, err := opusTone(voices[0])
	if err != nil {
		t.Fatal(err)
	}
	whole, err := tonesIn(frames)
	if err != nil {
		t.Fatal(err)
	}
	if whole[0] < present {
		t.Fatalf("%.0f Hz at %.1f dBov", voices[0], whole[0])
	}
	lost := slices.Concat(frames[:20], frames[21:30], frames[31:40], frames[41:]) // what is left cancels itself out over a second
	levels, err := tonesIn(lost)
	if err != nil {
		t.Fatal(err)
	}
	if d := levels[0] - whole[0]; d < -1 || d > 1 {
		t.Errorf("%.1f dB louder with three packets lost", d)
	}
	for k, l := range levels[1:] {
		if l > absent {
			t.Errorf("%.0f Hz at %.1f dBov, which nobody says", voices[k+1], l)
		}
	}
}

func BenchmarkTonesIn(b *testing.B) {
	frames, err := opusTone(voices[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tonesIn(frames); err != nil {
			b.Fatal(err)
		}
	}
}
