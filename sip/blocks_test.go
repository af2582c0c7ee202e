package sip

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core/edge"
)

// Strangers who attack are dropped unread, by the way that they came; trunks
// and who is registered are not.
func TestStrangersWhoAttackAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counters
		blocks := edge.NewBlocks(edge.BlockOptions{Strikes: 20, Window: time.Minute, Length: time.Minute})
		g := newGuard(Options{Blocks: blocks, SetupsPerSource: 1, CallsPerSource: 1}, &c)
		trunk, stranger := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.7")
		g.sources.Store(&[]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")})
		for range 50 {
			if g.admit(stranger, false) {
				t.Fatal("a stranger's datagram is let in")
			}
			g.strike(&flow{remote: netip.AddrPortFrom(trunk, 5060)}, edge.WrongPassword)
		}
		if n := c.Unlisted.Load(); n != 20 {
			t.Errorf("%d were looked at, the others dropped before", n)
		}
		if !g.admit(trunk, false) || !g.connect(trunk, false) {
			t.Error("a trunk is dropped")
		}
		if !g.connect(stranger, true) {
			t.Error("datagrams, which anybody can send in another's name, close TLS")
		}
		in := &flow{remote: netip.AddrPortFrom(stranger, 40000), stream: &stream{}}
		for range 20 {
			g.strike(in, edge.WrongPassword)
		}
		if g.spend(in) || g.connect(stranger, true) {
			t.Error("who guesses passwords goes on")
		}
		user := "room1"
		in.stream.user.Store(&user)
		if !g.spend(in) {
			t.Error("a device that has registered from there is dropped")
		}
		if l := blocks.List(); len(l) != 2 || l[0].Transport == l[1].Transport {
			t.Errorf("%+v", l)
		}
		time.Sleep(time.Minute + time.Second)
		if !g.connect(stranger, true) {
			t.Error("the block does not end")
		}
	})
}
