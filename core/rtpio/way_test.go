package rtpio

import (
	"bytes"
	"testing"
	"time"
)

// What an operator needs to know of a path: where the peer said it is, where it
// is, when it was heard, and what came and was not taken.
func TestWayIsKnown(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	peer, from := listen(t)
	stranger, strange := listen(t)
	f := flowTo(from)
	start(t, s, f)
	s.Receive(&heard{})
	if w := s.Stats().Way; w.Found.IsValid() || !w.First.IsZero() || w.Signalled != from || w.Port != s.Port() {
		t.Errorf("before anything came: %+v", w)
	}
	deliver(t, peer, rtpPacket(1, 160, "one"), at(s))
	step(p)
	alien := rtpPacket(2, 320, "two")
	alien[1] = 96
	deliver(t, peer, alien, at(s))
	deliver(t, stranger, rtpPacket(3, 480, "three"), at(s))
	step(p)
	w := s.Stats().Way
	if w.Found != from || w.Last.Before(w.First) || time.Since(w.First) > time.Minute || time.Until(w.Last) > time.Second {
		t.Errorf("heard from %v, %v to %v", w.Found, w.First, w.Last)
	}
	if w.Strange != 1 || w.Stranger != strange || w.Alien != 1 || w.AlienType != 96 || w.Forged != 0 {
		t.Errorf("not taken: %+v", w)
	}
}

// An encrypted peer is found too, though nothing is sent to where it was found;
// what is not authentic is counted alone.
func TestWayOfAnEncryptedPeer(t *testing.T) {
	suite := Suites()[0]
	ka, kb := bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)
	p, a, b, _, _ := pair(t, func(fa, fb *Flow) { fa.Keys, fb.Keys = &Keys{suite, ka, kb}, &Keys{suite, kb, ka} })
	say(a, 1000, "one")
	step(p)
	tap, _ := listen(t)
	deliver(t, tap, rtpPacket(9, 9, "a packet of nobody's, long enough for a tag"), at(b))
	step(p)
	if w := b.Stats().Way; w.Found != at(a) || w.Forged != 1 || w.Strange != 0 {
		t.Errorf("%+v", w)
	}
}
