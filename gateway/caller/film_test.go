package caller

import (
	"bytes"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// What one end's camera sends, the other's screen puts together again, in both
// packetization modes.
func TestFilmIsSeenAsItWasSent(t *testing.T) {
	for _, fmtp := range []string{"packetization-mode=0", "packetization-mode=1"} {
		s := newScreen(core.Codec{Name: "H264"}, core.Now(), true, func() { t.Error("a keyframe is asked for") })
		c := newCamera(TestFilm(), s, core.Codec{Name: "H264", Fmtp: fmtp})
		for now := time.Duration(0); c.sent < 50; now += 20 * time.Millisecond {
			c.step(now)
		}
		if v := s.stats; v.Pictures != 50 || v.Keyframes != 2 || v.Width != 640 || v.Height != 360 || v.PacketsLost != 0 {
			t.Errorf("%s: saw %+v", fmtp, v)
		}
		if got, want := h264.Split(s.seen), h264.Split(pattern); len(got) != len(want) || !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) {
			t.Errorf("%s: %d NAL units of %d came through", fmtp, len(got), len(want))
		}
	}
}

// After a loss nothing is seen until a keyframe comes, which is asked for.
func TestLossWaitsForAKeyframe(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := newScreen(core.Codec{Name: "H264"}, core.Now(), false, func() { asked <- struct{}{} })
	lossy := &dropOne{Sink: s, at: 12}
	c := newCamera(TestFilm(), lossy, core.Codec{Name: "H264", Fmtp: "packetization-mode=1"})
	step := func(pictures int) {
		for at, want := c.next, c.sent+pictures; c.sent < want; at += 20 * time.Millisecond {
			c.step(at)
		}
	}
	step(15)
	<-asked
	before := s.stats.Pictures
	if s.stats.PacketsLost != 1 || before == 0 || before > 12 {
		t.Errorf("saw %+v", s.stats)
	}
	c.renew = true
	step(5)
	if got := s.stats.Pictures - before; got != 5 || s.stats.Keyframes != 2 {
		t.Errorf("%d pictures seen after the keyframe, want 5: %+v", got, s.stats)
	}
}

// dropOne loses one packet.
type dropOne struct {
	core.Sink
	at, n int
}

func (d *dropOne) Write(p *core.Packet) error {
	if d.n++; d.n == d.at {
		return nil
	}
	return d.Sink.Write(p)
}

func TestFilmMustBeginWithAKeyframe(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("RIFF....AVI "), {0, 0, 1, 0x41, 0x9a, 1, 2}} {
		if _, err := ReadFilm(bytes.NewReader(b)); err == nil {
			t.Errorf("% x is a film", b)
		}
	}
}
