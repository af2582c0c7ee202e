package sip

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/pion/rtp"

	"bridgehead/core"
	"bridgehead/core/rtpio"
)

// echoSeat sends a party its own sound back, and tells of what it hears.
type echoSeat struct {
	l     core.Leg
	echo  bool
	out   core.Sink
	seen  picture
	heard atomic.Int64
	asked atomic.Int64
	left  chan core.Reason
}

// picture is the camera's end of an echoSeat.
type picture struct {
	out  core.Sink
	echo bool
	n    atomic.Int64
}

func (p *picture) Write(k *core.Packet) error {
	p.n.Add(1)
	if p.echo {
		return p.out.Write(k)
	}
	return nil
}
func (p *picture) Close() error { return nil }

func (s *echoSeat) Publish(t core.Track) (core.Sink, error) {
	var err error
	if t.Source == core.Camera {
		s.seen.echo = s.echo
		s.seen.out, err = s.l.Subscribe(core.Track{Source: core.Stage, Codec: s.l.Info().Video[0]})
		return &s.seen, err
	}
	s.out, err = s.l.Subscribe(core.Track{Source: core.Mix, Codec: t.Codec})
	return s, err
}
func (s *echoSeat) Write(p *core.Packet) error {
	s.heard.Add(1)
	if s.echo {
		return s.out.Write(p)
	}
	return nil
}
func (s *echoSeat) Close() error { return nil }
func (s *echoSeat) Signal(e core.Event) {
	if _, ok := e.(core.NeedKeyframe); ok {
		s.asked.Add(1)
	}
}
func (s *echoSeat) Leave(r core.Reason) { s.left <- r }

type echoRoom struct {
	echo  bool
	seats chan *echoSeat
}

func (r echoRoom) Name() string                                        { return "echo" }
func (r echoRoom) Route(context.Context, core.Call) (core.Room, error) { return r, nil }
func (r echoRoom) Join(_ context.Context, l core.Leg) error {
	s := &echoSeat{l: l, echo: r.echo, left: make(chan core.Reason, 1)}
	l.Sit(s)
	l.Signal(core.Answer{})
	r.seats <- s
	return nil
}

// TestLoopback calls over real sockets: TLS, SRTP, and back.
func TestLoopback(t *testing.T) {
	cert, roots := certificate(t, "127.0.0.1")
	loop := netip.MustParseAddr("127.0.0.1")
	ports, err := rtpio.New(rtpio.Options{Bind: loop})
	if err != nil {
		t.Fatal(err)
	}
	edge := func(opt Options) *Edge {
		opt.Ports, opt.Advertise, opt.Roots, opt.Log = ports, loop, roots, slog.New(slog.DiscardHandler)
		e, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	caller := echoRoom{seats: make(chan *echoSeat, 1)}
	called := echoRoom{echo: true, seats: make(chan *echoSeat, 1)}
	a := edge(Options{})
	defer a.Close()
	b := edge(Options{SIPS: "127.0.0.1:0", TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }})
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.plan = called
	if _, err := a.Dial(context.Background(), "sips:7001@"+b.Addresses()["sips"].String(), caller); err != nil {
		t.Fatal(err)
	}
	near, far := <-caller.seats, <-called.seats
	ready := make(chan struct{}) // the seat is taken once the box is empty
	near.l.(*leg).box.Post(func() { close(ready) })
	<-ready
	p := &core.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 40)}
	v := &core.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0x65, 0x88, 0x80}}
	for i := 0; (near.heard.Load() == 0 || near.seen.n.Load() == 0 || near.asked.Load() == 0) && i < 100000; i++ {
		if i%1000 == 0 {
			near.out.Write(p)
			near.seen.out.Write(v)
			p.Header.SequenceNumber++
			p.Header.Timestamp += 960
			v.Header.SequenceNumber++
			v.Header.Timestamp += 3000
		}
		if i == 50000 {
			far.l.Signal(core.NeedKeyframe{Track: core.Track{Source: core.Camera}})
		}
		for _, poller := range ports.Pollers() {
			poller.Step(core.Now())
		}
	}
	if near.heard.Load() == 0 || far.heard.Load() == 0 {
		t.Fatalf("heard %d and %d packets", near.heard.Load(), far.heard.Load())
	}
	if near.seen.n.Load() == 0 || near.asked.Load() == 0 {
		t.Errorf("seen %d packets, asked %d times for a whole picture", near.seen.n.Load(), near.asked.Load())
	}
	i := far.l.Info()
	if !i.Security.Encrypted() || i.AudioStats.PacketsReceived == 0 || i.AudioStats.Codec != "opus" {
		t.Errorf("%+v", i)
	}
	if i.VideoStats.PacketsReceived == 0 || len(i.Video) != 1 || i.Video[0].PayloadType != 97 {
		t.Errorf("pictures: %+v of %+v", i.VideoStats, i.Video)
	}
	near.l.Hangup(core.Reason{Code: core.Normal})
	<-near.left
	<-far.left
}
