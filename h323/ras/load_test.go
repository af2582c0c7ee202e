package ras

import (
	"net/netip"
	"testing"
	"time"

	"bridgehead/core/edge"
)

func TestFlood(t *testing.T) {
	g, _ := newGatekeeper(t, func(o *Options) { o.Open = true })
	raw := vector(t, "016-ras-registrationRequest-h323plus")
	for i := range 100_000 {
		raw[2] = byte(i)
		g.Handle(raw, Peer{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1719)})
	}
	for range 1000 {
		g.Handle(raw, Peer{Addr: netip.MustParseAddrPort("203.0.113.7:1719")})
	}
	if len(g.guard.messages) > edge.MaxBuckets || len(g.regs) > maxRegistrations || len(g.retries.young)+len(g.retries.old) > 2*maxRetries || g.counters.Throttled.Load() < 900 {
		t.Errorf("%d sources, %d registrations, %d answers are kept, %d messages dropped", len(g.guard.messages), len(g.regs), len(g.retries.young), g.counters.Throttled.Load())
	}
}

func FuzzHandle(f *testing.F) {
	for _, v := range signedVectors(f) {
		f.Add(v.raw)
	}
	names, _ := vectorNames("ras")
	for _, n := range names {
		f.Add(vector(f, n))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, _ := newGatekeeper(t, func(o *Options) { o.Open, o.Trace = true, func(Event) {} })
		from := Peer{Addr: netip.MustParseAddrPort("127.0.0.1:27001")}
		g.Handle(vector(t, "016-ras-registrationRequest-h323plus"), from)
		if reply := g.Handle(raw, from); reply != nil {
			decoded(t, reply)
		}
		g.sweep(g.opt.Now().Add(time.Hour))
	})
}

func BenchmarkRegister(b *testing.B) {
	g, c := newGatekeeper(b, nil)
	p := newPeer(b, g, "room")
	p.register("room")
	b.Run("refresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			c.step(time.Second)
			p.seal(light(p.sender))
			b.StartTimer()
			if g.Handle(p.raw, p.from) == nil {
				b.Fatal("not registered")
			}
		}
	})
	b.Run("admit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			c.step(time.Second)
			p.seal(arq(p.sender, "7003", 1))
			b.StartTimer()
			if g.Handle(p.raw, p.from) == nil {
				b.Fatal("not admitted")
			}
		}
	})
	b.Run("wrong password, blocked", func(b *testing.B) {
		b.ReportAllocs()
		guesser := newPeer(b, g, "room").at("203.0.113.7:1719")
		guesser.password = "guess"
		for range wrongBurst + 1 {
			guesser.ask(rrq("room"))
		}
		for b.Loop() {
			b.StopTimer()
			c.step(time.Second)
			guesser.seal(rrq("room"))
			b.StartTimer()
			if g.Handle(guesser.raw, guesser.from) != nil && g.counters.Blocked.Load() == 0 {
				b.Fatal("not blocked")
			}
		}
	})
}
