package h323

import (
	"bytes"
	"context"
	"testing"

	"bridgehead/core"
)

// cinema is a room that shows pictures: a seat of its one leg.
type cinema struct {
	seat
	tracks   chan core.Track
	pictures chan []byte
}

func (c *cinema) Name() string { return "cinema" }

func (c *cinema) Join(_ context.Context, l core.Leg) error {
	c.leg = l
	l.Sit(c)
	return nil
}

func (c *cinema) Publish(t core.Track) (core.Sink, error) {
	if t.Source != core.Camera {
		return core.Discard, nil
	}
	c.tracks <- t
	return projector{c}, nil
}

type projector struct{ c *cinema }

func (p projector) Write(pkt *core.Packet) error {
	select {
	case p.c.pictures <- bytes.Clone(pkt.Payload):
	default:
	}
	return nil
}

func (p projector) Close() error { return nil }

// camera is the video session of a call's end, once its channel is open.
func camera(t testing.TB, l *leg) *medium {
	t.Helper()
	found := make(chan *medium, 1)
	eventually(t, "the video channel is open", func() bool {
		l.box.Post(func() {
			if m := l.media[core.Camera]; m != nil && m.out != nil {
				select {
				case found <- m:
				default:
				}
			}
		})
		return len(found) > 0
	})
	return <-found
}

// A room system's H.264 goes through its channel, encrypted or in clear, and
// comes out in the room's own hands; the room's wish for a whole picture goes
// the other way.
func TestPicturesReachTheRoom(t *testing.T) {
	for name, clear := range map[string]bool{"H.235": false, "clear": true} {
		t.Run(name, func(t *testing.T) {
			a, b := newSite(t, Options{Legacy: clear}), newSite(t, Options{Legacy: clear})
			c := &cinema{seat: seat{left: make(chan core.Reason, 1), digits: make(chan core.Digit, 10), holds: make(chan bool, 10)},
				tracks: make(chan core.Track, 10), pictures: make(chan []byte, 1000)}
			if _, err := b.DialWith(t.Context(), a.address("1"), c, DialOptions{Clear: clear, Plain: clear}); err != nil {
				t.Fatal(err)
			}
			far := receive(t, "the called side", a.room.seats)
			track := receive(t, "the video track", c.tracks)
			if track.Codec.Name != "H264" || track.Codec.ClockRate != 90000 || track.Codec.Fmtp == "" {
				t.Fatalf("published as %+v", track.Codec)
			}
			l := far.leg.(*leg)
			m := camera(t, l)
			if encrypted := m.out.Key != nil; encrypted == clear {
				t.Fatalf("encrypted: %v", encrypted)
			}
			idr := append([]byte{0x65}, bytes.Repeat([]byte{0xab}, 700)...)
			p := &core.Packet{Payload: idr}
			p.Header.Marker = true
			eventually(t, "the picture arrives", func() bool {
				p.Header.Timestamp += 3000
				if err := m.session.Write(p); err != nil {
					t.Fatal(err)
				}
				for _, poller := range b.ports.Pollers() {
					poller.Step(core.Now())
				}
				select {
				case got := <-c.pictures:
					return bytes.Equal(got, idr)
				default:
					return false
				}
			})
			c.leg.Signal(core.NeedKeyframe{Track: track})
			eventually(t, "the sender is asked for a whole picture", func() bool { return a.traced("received", "miscellaneousCommand") })
			c.leg.Hangup(core.Reason{Code: core.Normal})
			receive(t, "the end", far.left)
		})
	}
}
