package sip

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"bridgehead/core"
)

// A carrier that knows its customers by their address is not reached past its
// trunk, by whatever name; others are.
func TestTrunksAreNotCalledByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		z := memDNS{"carrier.example A": {"10.0.0.51"}, "another.example A": {"10.0.0.51"}, "media.example A": {"203.0.113.9"}, "friend.example A": {"10.0.0.52"}}
		e := w.edge(bIP, Options{Resolver: z, Legacy: true}, r, "udp")
		defer e.stop()
		c := TrunkConfig{Name: "peer", Enabled: true, Mode: Static, Transport: "udp", Host: "carrier.example", Port: 5060, Sources: []netip.Prefix{prefix("203.0.113.0/24"), prefix("10.0.0.0/8")}, CheckEvery: -1}
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"sip:+4412345@carrier.example", "sip:+4412345@another.example:5070", "sip:x@10.0.0.51", "sip:x@[::ffff:10.0.0.51]", "sip:x@media.example;transport=tcp"} {
			if _, err := e.Dial(t.Context(), to, r); core.ReasonOf(err).Code != core.Forbidden {
				t.Errorf("%s: %v", to, err)
			}
		}
		friend := w.peer("10.0.0.52:5060", bIP+":5060") // in a private network that the trunk calls from
		done := make(chan error, 1)
		go func() {
			_, err := e.Dial(context.Background(), "sip:x@friend.example", r)
			done <- err
		}()
		friend.answer(friend.expect("INVITE "), 486, "", "")
		if err := <-done; core.ReasonOf(err).Code != core.Busy {
			t.Errorf("another host: %v", err)
		}
	})
}

// stalledDNS never answers for a name.
type stalledDNS struct {
	memDNS
	name string
}

func (d stalledDNS) Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	if name == d.name {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.memDNS.Lookup(ctx, name, kind)
}

// Trunks that nobody answers for hold up calls to others for no longer than one of
// them may.
func TestLostTrunksHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e := w.edge(bIP, Options{Resolver: stalledDNS{memDNS{"friend.example A": {"10.0.0.52"}}, "lost.example"}, Legacy: true}, r, "udp")
		defer e.stop()
		var list []TrunkConfig
		for _, name := range []string{"a", "b", "c"} {
			list = append(list, TrunkConfig{Name: name, Enabled: true, Mode: Static, Transport: "udp", Host: "lost.example", Port: 5060, CheckEvery: -1})
		}
		if err := e.SetTrunks(list); err != nil {
			t.Fatal(err)
		}
		friend := w.peer("10.0.0.52:5060", bIP+":5060")
		begun, done := time.Now(), make(chan error, 1)
		go func() {
			_, err := e.Dial(context.Background(), "sip:x@friend.example", r)
			done <- err
		}()
		time.Sleep(asideTime)
		friend.answer(friend.expect("INVITE "), 486, "", "")
		if err := <-done; core.ReasonOf(err).Code != core.Busy || time.Since(begun) > asideTime+time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
