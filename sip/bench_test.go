package sip

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"testing"

	"bridgehead/core"
)

// benchRoom answers at once; done tells that a call has ended.
type benchRoom struct{ done chan struct{} }

func (r benchRoom) Name() string                                        { return "bench" }
func (r benchRoom) Route(context.Context, core.Call) (core.Room, error) { return r, nil }
func (r benchRoom) Join(_ context.Context, l core.Leg) error {
	l.Sit(benchSeat(r))
	l.Signal(core.Answer{})
	return nil
}

type benchSeat struct{ done chan struct{} }

func (s benchSeat) Publish(core.Track) (core.Sink, error) { return nil, io.EOF }
func (s benchSeat) Signal(core.Event)                     {}
func (s benchSeat) Leave(core.Reason)                     { s.done <- struct{}{} }

// BenchmarkCall sets a call up and tears it down between two edges over UDP on
// loopback: the time counts both ends, caller and called.
func BenchmarkCall(b *testing.B) {
	edge := func(r benchRoom) *Edge {
		e, err := New(Options{SIP: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Advertise: netip.MustParseAddr("127.0.0.1")})
		if err != nil {
			b.Fatal(err)
		}
		e.open = func(netip.AddrPort) (session, error) { return &fakeSession{port: 20000}, nil }
		if err := e.Listen(); err != nil {
			b.Fatal(err)
		}
		e.plan = r
		return e
	}
	done := make(chan struct{}, 4)
	r := benchRoom{done}
	from, to := edge(r), edge(r)
	defer from.Close()
	defer to.Close()
	for e, other := range map[*Edge]*Edge{from: to, to: from} {
		c := staticTrunk("t", "127.0.0.1")
		c.Port, c.CallsPerSecond = int(other.Addresses()["sip_udp"].Port()), 1e9
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			b.Fatal(err)
		}
	}
	line, _ := from.Line("t")
	b.ReportAllocs()
	for b.Loop() {
		l, err := line.Dial(context.Background(), "+15550100", "+15550199", r)
		if err != nil {
			b.Fatal(err)
		}
		l.Hangup(core.Reason{Code: core.Normal})
		<-done
		<-done
	}
}

// BenchmarkUnlisted is what a datagram of an unlisted source costs beyond its
// reading.
func BenchmarkUnlisted(b *testing.B) {
	e, _ := bareEdge(b, &testRoom{})
	e.guard.open = false
	list := make([]netip.Prefix, 50)
	for i := range list {
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)
	}
	e.guard.sources.Store(&list)
	a := netip.MustParseAddr("203.0.113.5")
	b.ReportAllocs()
	for b.Loop() {
		e.guard.admit(a, false)
	}
}

func BenchmarkEarpiece(b *testing.B) {
	l := &leg{media: &fakeSession{}}
	s, p := &earpiece{l: l, media: l.media}, &core.Packet{Payload: make([]byte, 160)}
	b.ReportAllocs()
	for b.Loop() {
		s.Write(p)
	}
}
