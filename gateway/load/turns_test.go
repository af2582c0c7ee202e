package load

import (
	"strings"
	"testing"
)

func TestSpeakersTakeTurns(t *testing.T) {
	turn := turns{speakers: 3}
	var spoke, due [3]int
	for frame := range 6 * turnFrames {
		speaking := 0
		for n := range 3 {
			speaks, counts := turn.has(n, frame)
			if speaks {
				speaking++
				spoke[n]++
				if counts {
					due[n]++
				}
			}
		}
		if speaking != 1 {
			t.Fatalf("%d speak at once", speaking)
		}
	}
	if spoke != [3]int{2 * turnFrames, 2 * turnFrames, 2 * turnFrames} || due != [3]int{2 * (turnFrames - 1), 2 * (turnFrames - 1), 2 * (turnFrames - 1)} {
		t.Errorf("spoke %v, due %v", spoke, due)
	}
}

func TestEachPacketIsASpeakersAndNotOnesOwn(t *testing.T) {
	turn, err := newTurns([][][]byte{tone(t, 0), tone(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		own   int // voice; -1: it only listens
		hears []int
		wrong string
	}{
		{"both", -1, []int{0, 1}, ""},
		{"the other", 0, []int{1}, ""},
		{"one is missing", -1, []int{0}, "50 of 100 packets"},
		{"itself", 0, []int{0, 1}, "hears itself"},
		{"a stranger", -1, []int{0, 1, 5}, "that nobody said"},
	} {
		b := listening(t, c.own)
		b.turns = turn
		for i, v := range c.hears {
			play(t, b.streams[uint32(101+i)], tone(t, v))
		}
		due, got := turn.heard(b, []uint64{window, window})
		if !strings.Contains(got, c.wrong) || (got == "") != (c.wrong == "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
		if want := uint64(2 * window); c.own < 0 && due != want || c.own >= 0 && due != window {
			t.Errorf("%s: %d due, want %d, or %d of a speaker", c.name, due, want, window)
		}
	}
}

// A slot that another voice takes was idle before: that is no gap.
func TestBetweenTwoVoicesIsNoGap(t *testing.T) {
	turn, err := newTurns([][][]byte{tone(t, 0), tone(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var v voiced
	for i, want := range []bool{true, false, true, false, true} {
		voice := []int{0, 0, 1, 1, 0}[i]
		if got := v.note(turn, tone(t, voice)[i]); got != want {
			t.Errorf("packet %d begins: %t", i, got)
		}
	}
}

func TestTheLargeMeetingIsJudged(t *testing.T) {
	f := largeMeeting(300)
	if f.Browsers() != 300 || f.tracks() != 299 || !f.Held() {
		t.Errorf("%+v: %d streams of sound", f, f.tracks())
	}
	for _, bad := range []Forward{{Sent: 100, Received: 97}, {Sent: 100, Received: 100, Wrong: 1}} {
		if bad.Held() {
			t.Errorf("%+v was held", bad)
		}
	}
}
