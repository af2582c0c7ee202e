package load

import "fmt"

// turnFrames is how long each speaks where browsers take turns: 1.5 s, so that of
// three slots one is free again (two seconds of silence) when the fourth begins.
const turnFrames = 75

// turns has speakers of one meeting speak one after the other, and knows whose
// each packet is: what is forwarded is forwarded as it was said.
type turns struct {
	speakers int
	whose    map[string]int // voice, by payload
}

func newTurns(clips [][][]byte) (*turns, error) {
	t := &turns{len(clips), map[string]int{}}
	for k, clip := range clips {
		for _, frame := range clip {
			if other, ok := t.whose[string(frame)]; ok && other != k {
				return nil, fmt.Errorf("load: %.0f and %.0f Hz are coded alike", voices[other], voices[k])
			}
			t.whose[string(frame)] = k
		}
	}
	return t, nil
}

// has tells whether it is the n-th speaker's turn. The first packet of a turn
// raises the speaker's level and is not forwarded: due tells whether one is.
func (t *turns) has(n, frame int) (speaks, due bool) {
	return frame/turnFrames%t.speakers == n, frame%turnFrames > 0
}

// voiced is what a stream had of each voice.
type voiced struct {
	of      [10]uint64 // by voices
	strange uint64
	last    int
}

// note counts a packet and tells whether another voice began with it.
func (v *voiced) note(t *turns, payload []byte) (begins bool) {
	k, ok := t.whose[string(payload)]
	if !ok {
		v.strange++
		return false
	}
	begins = k != v.last || v.of[k] == 0
	v.of[k]++
	v.last = k
	return begins
}

// heard is what is wrong with what a browser was sent of the turns that others
// had: said packets of each voice.
func (t *turns) heard(b *browser, said []uint64) (due uint64, wrong string) {
	var got uint64
	for k, n := range said {
		if b.voice == nil || b.n != k {
			due += n
		}
		for _, s := range b.streams {
			if s.video || s.mix {
				continue
			}
			got += s.voiced.of[k]
			if b.voice != nil && b.n == k && s.voiced.of[k] > 0 {
				wrong = fmt.Sprintf("browser %d: hears itself", b.n)
			}
		}
	}
	for _, s := range b.streams {
		if s.voiced.strange > 0 {
			wrong = fmt.Sprintf("browser %d: %d packets that nobody said", b.n, s.voiced.strange)
		}
	}
	if wrong == "" && float64(got) < whole*float64(due) {
		wrong = fmt.Sprintf("browser %d: %d of %d packets of sound", b.n, got, due)
	}
	return due, wrong
}

// spoken is how many packets each speaker has said that others are due.
func (r *browsers) spoken() []uint64 {
	said := make([]uint64, min(r.Speakers, len(voices)))
	for _, b := range r.in {
		if b.n < len(said) {
			said[b.n] = b.said.Load()
		}
	}
	return said
}
