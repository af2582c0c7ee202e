package h323

import (
	"bytes"
	"crypto/rand"
	"testing"

	"bridgehead/core"
)

// projection is what a seat has to do with screens.
type projection struct {
	tracks   chan core.Track // the party shares one
	pictures chan []byte     // of it
	closed   chan struct{}
	views    chan core.View  // what the party wants to see
	asked    chan core.Track // a whole picture of
}

func newProjection() *projection {
	return &projection{
		tracks: make(chan core.Track, 50), pictures: make(chan []byte, 1000), closed: make(chan struct{}, 50),
		views: make(chan core.View, 50), asked: make(chan core.Track, 50),
	}
}

func (p *projection) Write(pkt *core.Packet) error {
	select {
	case p.pictures <- bytes.Clone(pkt.Payload):
	default:
	}
	return nil
}

func (p *projection) Close() error { p.closed <- struct{}{}; return nil }

// shared tells a party that somebody in its room shares a screen, as the roster
// does, and has the room carry out what it then wants.
func shared(t testing.TB, at *seat, who string) (core.Sink, core.Track) {
	t.Helper()
	asked(t, at, who)
	return shown(t, at, who)
}

// asked has the leg wish to see the screen of a party.
func asked(t testing.TB, at *seat, who string) {
	t.Helper()
	eventually(t, "the party takes content", func() bool { return len(at.leg.Info().Content) > 0 })
	at.leg.Signal(core.Roster{Parties: []core.Party{{ID: who, Sources: []core.Source{core.Microphone, core.Screen}}}})
	for {
		v := receive(t, "the wish to see the screen", at.screen.views)
		if len(v.Wants) == 1 && v.Wants[0].Party == who && v.Wants[0].Source == core.Screen {
			return
		}
	}
}

// shown shows it to the leg, which has wished for it.
func shown(t testing.TB, at *seat, who string) (core.Sink, core.Track) {
	t.Helper()
	track := core.Track{Party: who, Source: core.Screen, Codec: at.leg.Info().Content[0]}
	sink, err := at.leg.Subscribe(track)
	if err != nil {
		t.Fatal(err)
	}
	return sink, track
}

// shows sends pictures from one end until one arrives at the other, just as it
// was.
func shows(t testing.TB, sink core.Sink, at *site, to *seat) {
	t.Helper()
	picture := make([]byte, 700)
	rand.Read(picture)
	picture[0] = 0x65
	p := &core.Packet{Payload: picture}
	p.Header.Marker = true
	eventually(t, "the picture arrives", func() bool {
		p.Header.SequenceNumber++
		p.Header.Timestamp += 3000
		if err := sink.Write(p); err != nil {
			t.Fatal(err)
		}
		for _, poller := range at.ports.Pollers() {
			poller.Step(core.Now())
		}
		select {
		case got := <-to.screen.pictures:
			return bytes.Equal(got, picture)
		default:
			return false
		}
	})
}

// stale waits until a sink leads nowhere any more.
func stale(t testing.TB, sink core.Sink) {
	t.Helper()
	eventually(t, "nothing is shown any more", func() bool { return sink.Write(&core.Packet{Payload: []byte{0x65}}) != nil })
}

// screenOf is the content session of a call's end.
func screenOf(t testing.TB, s *seat) *medium {
	t.Helper()
	l := s.leg.(*leg)
	found := make(chan *medium, 1)
	l.box.Post(func() { found <- l.media[core.Screen] })
	return receive(t, "the content session", found)
}

// A screen of either end's room is shown at the other, encrypted as the sound
// is, and ends when it is shared no more.
func TestScreensGoBothWays(t *testing.T) {
	for name, opt := range map[string]DialOptions{
		"H.235":                     {},
		"H.235, slow, separate":     {Slow: true, Separate: true},
		"H.235, slow":               {Slow: true},
		"clear":                     {Clear: true, Plain: true},
		"clear, slow and separated": {Clear: true, Plain: true, Slow: true, Separate: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newSite(t, Options{Legacy: opt.Clear}), newSite(t, Options{Legacy: opt.Clear})
			c := dial(t, b, a, a.address("1"), opt)
			for _, x := range []struct {
				from, to *seat
				at       *site
			}{{c.a, c.b, a}, {c.b, c.a, b}, {c.a, c.b, a}} {
				sink, track := shared(t, x.from, "ann")
				if got := receive(t, "the wish for a whole picture", x.from.screen.asked); got != track {
					t.Errorf("a whole picture of %+v is asked for", got)
				}
				if got := receive(t, "the shared screen", x.to.screen.tracks); got.Codec.Name != "H264" || got.Source != core.Screen {
					t.Errorf("published as %+v", got)
				}
				shows(t, sink, x.at, x.to)
				if m := screenOf(t, x.from); (m.out.Key != nil) == opt.Clear {
					t.Errorf("encrypted: %v", m.out.Key != nil)
				}
				x.to.leg.Signal(core.NeedKeyframe{Track: core.Track{Party: x.to.leg.Info().ID, Source: core.Screen}})
				receive(t, "the wish of the other end's room", x.from.screen.asked)
				x.from.leg.Signal(core.Roster{Parties: []core.Party{{ID: "ann"}}})
				if v := receive(t, "the end of the wish", x.from.screen.views); len(v.Wants) != 0 {
					t.Errorf("wants %+v", v)
				}
				sink.Close()
				receive(t, "the end of the shared screen", x.to.screen.closed)
			}
			c.talk()
			c.hangup(c.a)
		})
	}
}

// A screen waits until the one that is shown has ended; of two that begin at one
// moment, one is shown.
func TestOneScreenAtATime(t *testing.T) {
	a, b := newSite(t, Options{}), newSite(t, Options{})
	c := dial(t, b, a, a.address("1"), DialOptions{})
	first, _ := shared(t, c.a, "ann")
	receive(t, "the first screen", c.b.screen.tracks)
	shows(t, first, a, c.b)
	drain(c.b.screen)
	c.b.leg.Signal(core.Roster{Parties: []core.Party{{ID: "carl", Sources: []core.Source{core.Screen}}}})
	done := make(chan struct{})
	c.b.leg.(*leg).box.Post(func() { close(done) })
	receive(t, "what was posted before", done)
	if len(c.b.screen.views) > 0 {
		t.Error("another screen is asked for while one is shown")
	}
	first.Close()
	if v := receive(t, "the wish to see the other", c.b.screen.views); len(v.Wants) != 1 || v.Wants[0].Party != "carl" {
		t.Errorf("wants %+v", v)
	}
	next, err := c.b.leg.Subscribe(core.Track{Party: "carl", Source: core.Screen, Codec: c.b.leg.Info().Content[0]})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "the other screen", c.a.screen.tracks)
	shows(t, next, b, c.a)
	next.Close()
	receive(t, "its end", c.a.screen.closed)
	for _, s := range []*seat{c.a, c.b} {
		s.leg.Signal(core.Roster{})
	}
	eventually(t, "neither is shown", func() bool { return screenOf(t, c.a).out == nil && screenOf(t, c.b).out == nil })
	drain(c.a.screen)
	drain(c.b.screen)

	for range 5 {
		asked(t, c.a, "ann")
		asked(t, c.b, "carl") // before it hears of the first
		one, _ := shown(t, c.a, "ann")
		other, _ := shown(t, c.b, "carl")
		eventually(t, "one of two is shown", func() bool {
			return len(c.a.screen.tracks)+len(c.b.screen.tracks) > 0 &&
				(one.Write(&core.Packet{Payload: []byte{0x65}}) != nil) != (other.Write(&core.Packet{Payload: []byte{0x65}}) != nil)
		})
		one.Close()
		other.Close()
		for _, s := range []*seat{c.a, c.b} {
			s.leg.Signal(core.Roster{})
		}
		eventually(t, "neither is shown", func() bool { return screenOf(t, c.a).out == nil && screenOf(t, c.b).out == nil })
		for _, s := range []*seat{c.a, c.b} {
			drain(s.screen)
		}
	}
	c.hangup(c.b)
}

func drain(p *projection) {
	for {
		select {
		case <-p.tracks:
		case <-p.closed:
		case <-p.views:
		case <-p.asked:
		case <-p.pictures:
		default:
			return
		}
	}
}

// A host stops what a room system shows; it may begin again.
func TestAScreenIsStoppedByAHost(t *testing.T) {
	a, b := newSite(t, Options{}), newSite(t, Options{})
	c := dial(t, b, a, a.address("1"), DialOptions{})
	sink, _ := shared(t, c.a, "ann")
	receive(t, "the shared screen", c.b.screen.tracks)
	shows(t, sink, a, c.b)
	c.b.leg.Signal(core.Mute{Source: core.Screen, On: true, By: "host"})
	receive(t, "its end", c.b.screen.closed)
	stale(t, sink)
	c.a.leg.Signal(core.Roster{})
	again, _ := shared(t, c.a, "ann")
	receive(t, "the screen shared anew", c.b.screen.tracks)
	shows(t, again, a, c.b)
	c.hangup(c.b)
	stale(t, again)
}

// A party that is shown nothing is told why, and takes no pictures.
func TestScreensThatCannotBeShown(t *testing.T) {
	a, b := newSite(t, Options{}), newSite(t, Options{})
	c := dial(t, b, a, a.address("1"), DialOptions{Codecs: []string{"PCMU"}})
	eventually(t, "the capabilities are exchanged", func() bool { return c.a.leg.Info().Audio.Name != "" })
	codec := core.Codec{Name: "H264", ClockRate: 90000}
	for _, s := range []*seat{c.a, c.b} {
		eventually(t, "no content is taken", func() bool {
			sink, err := s.leg.Subscribe(core.Track{Party: "ann", Source: core.Screen, Codec: codec})
			if err != nil {
				return core.ReasonOf(err).Code == core.Incompatible
			}
			return sink.Write(&core.Packet{Payload: []byte{0x65}}) != nil
		})
	}
	if _, err := c.a.leg.Subscribe(core.Track{Party: "ann", Source: core.Camera, Codec: codec}); core.ReasonOf(err).Code != core.Incompatible {
		t.Errorf("a camera: %v", err)
	}
	c.hangup(c.a)
}
