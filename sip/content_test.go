package sip

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"bridgehead/core"
	"bridgehead/core/rtpio"
	"bridgehead/sip/bfcp"
)

// lectern is a seat at which screens are shown: its own when it is asked for
// it, and what the party presents, which it allows or not.
type lectern struct {
	l     core.Leg
	allow bool
	left  chan core.Reason

	mu    sync.Mutex
	shows core.Sink // where ours goes
	next  core.Packet
	seen  int // packets of the party's screen
	on    bool
	told  []core.Floor
	asked int // for a whole picture of ours
}

func (s *lectern) Publish(t core.Track) (core.Sink, error) {
	if t.Source != core.Screen {
		return core.Discard, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = true
	return &lens{s}, nil
}

// lens takes the party's screen.
type lens struct{ s *lectern }

func (l *lens) Write(*core.Packet) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.seen++
	return nil
}

func (l *lens) Close() error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.on = false
	return nil
}

func (s *lectern) Signal(e core.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := e.(type) {
	case core.View:
		if s.shows != nil {
			s.shows.Close()
			s.shows = nil
		}
		if len(e.Wants) == 1 {
			s.shows, _ = s.l.Subscribe(core.Track{Party: e.Wants[0].Party, Source: core.Screen, Codec: core.Codec{Name: "H264", ClockRate: 90000}})
		}
	case core.Floor:
		s.told = append(s.told, e)
		if e.On {
			go s.l.Signal(core.Floor{On: s.allow})
		}
	case core.NeedKeyframe:
		if e.Track.Source == core.Screen {
			s.asked++
		}
	}
}

func (s *lectern) Leave(r core.Reason) { s.left <- r }

// step sends a picture of ours, if it is shown.
func (s *lectern) step() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shows == nil {
		return
	}
	s.next.Header.SequenceNumber++
	s.next.Header.Timestamp += 3000
	_ = s.shows.Write(&s.next)
}

func (s *lectern) state() (on bool, seen int, shows bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on, s.seen, s.shows != nil
}

type hall struct {
	allow bool
	seats chan *lectern
}

func (r hall) Name() string                                        { return "hall" }
func (r hall) Route(context.Context, core.Call) (core.Room, error) { return r, nil }
func (r hall) Join(_ context.Context, l core.Leg) error {
	s := &lectern{l: l, allow: r.allow, left: make(chan core.Reason, 1)}
	s.next = core.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0x65, 0x88, 0x80}}
	l.Sit(s)
	l.Signal(core.Answer{})
	r.seats <- s
	return nil
}

// sharing is a roster in which somebody shares a screen, or nobody.
func sharing(on bool) core.Roster {
	p := core.Party{ID: "x"}
	if on {
		p.Sources = []core.Source{core.Screen}
	}
	return core.Roster{Parties: []core.Party{p}}
}

// A room system and the bridge present to one another, one at a time, over real
// sockets: in an encrypted call by BFCP over TLS, in a clear one over UDP.
func TestScreensGoBothWays(t *testing.T) {
	for _, secure := range []bool{true, false} {
		t.Run(fmt.Sprintf("secure %v", secure), func(t *testing.T) { presentBothWays(t, secure) })
	}
}

func presentBothWays(t *testing.T, secure bool) {
	cert, roots := certificate(t, "127.0.0.1")
	loop := netip.MustParseAddr("127.0.0.1")
	ports, err := rtpio.New(rtpio.Options{Bind: loop})
	if err != nil {
		t.Fatal(err)
	}
	edge := func(opt Options) *Edge {
		floor, err := bfcp.Listen("127.0.0.1:0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(floor.Close)
		opt.Ports, opt.Advertise, opt.Roots, opt.Floor, opt.Log = ports, loop, roots, floor, slog.New(slog.DiscardHandler)
		e, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	room := hall{allow: true, seats: make(chan *lectern, 1)}
	bridge := hall{allow: true, seats: make(chan *lectern, 1)}
	a := edge(Options{})
	defer a.Close()
	b := edge(Options{SIPS: "127.0.0.1:0", SIP: "127.0.0.1:0", Legacy: true, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }})
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.plan = bridge
	opt, to := DialOptions{Video: true, Presents: true}, "sips:7001@"+b.Addresses()["sips"].String()
	if !secure {
		opt.Clear, opt.Plain = true, true
		to = "sip:7001@" + b.Addresses()["sip_tcp"].String() + ";transport=tcp"
	}
	if _, err := a.DialWith(context.Background(), to, room, opt); err != nil {
		t.Fatal(err)
	}
	near, far := <-room.seats, <-bridge.seats
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); {
			if time.Now().After(end) {
				t.Fatalf("it does not come to pass that %s", what)
			}
			near.step()
			far.step()
			for _, poller := range ports.Pollers() {
				poller.Step(core.Now())
			}
			time.Sleep(time.Millisecond)
		}
	}
	arrives := func(at *lectern) func() bool {
		_, before, _ := at.state()
		return func() bool { on, seen, _ := at.state(); return on && seen > before+3 }
	}
	ends := func(at *lectern) func() bool { return func() bool { on, _, _ := at.state(); return !on } }
	until("both can be shown content", func() bool { return len(near.l.Info().Content) == 1 && len(far.l.Info().Content) == 1 })

	if got, want := far.l.(*leg).content.floor.Transport, map[bool]string{true: "TCP/TLS/BFCP", false: "UDP/BFCP"}[secure]; got != want {
		t.Errorf("the floor is controlled over %s, want %s", got, want)
	}
	near.l.Signal(sharing(true)) // the room system presents
	until("the bridge sees the room's screen", arrives(far))
	near.l.Signal(sharing(false))
	until("it ends", ends(far))
	far.l.Signal(sharing(true)) // the bridge presents
	until("the room system sees the bridge's screen", arrives(near))
	near.l.Signal(sharing(true)) // and the room system wants to, too: it is not asked for while it is shown something
	far.l.Signal(sharing(false))
	until("the room system's screen follows", arrives(far))
	far.l.Signal(core.Floor{By: "somebody else"}) // the room takes the floor from it
	until("the floor is taken from the room system", ends(far))
	if _, _, shows := near.state(); shows && near.asked == 0 {
		t.Error("no whole picture was asked for")
	}
	near.l.Hangup(core.Reason{Code: core.Normal})
	<-near.left
	<-far.left
}
