package ras

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/h460/h46018"
	"bridgehead/h323/per"
)

// open counts the gatekeeper's requests without an answer.
func (g *Gatekeeper) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending)
}

// stream carries RAS over a call signalling connection.
type stream struct{ sent [][]byte }

func (s *stream) SendRAS(b []byte) error { s.sent = append(s.sent, b); return nil }

func decoded(t testing.TB, b []byte) *h225.RasMessage {
	t.Helper()
	m := new(h225.RasMessage)
	if _, err := per.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTraversal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(captured, 0)))
		g, _ := newGatekeeper(t, func(o *Options) { o.Now = nil })
		var mu sync.Mutex
		var out []datagram
		g.conn = newWire("192.0.2.1:1719", func(b []byte, to netip.AddrPort) { mu.Lock(); defer mu.Unlock(); out = append(out, datagram{b, to}) })
		all := func() []datagram { mu.Lock(); defer mu.Unlock(); return slices.Clone(out) }
		p := newPeer(t, g, "room")
		m := rrq("room")
		m.RegistrationRequest.FeatureSet = features(H46018)
		k := p.ask(m).RegistrationConfirm
		if k == nil || *k.TimeToLive != 20 || *k.FeatureSet.SupportedFeatures[0].Id.Standard != 18 {
			t.Fatalf("registered by %+v", k)
		}
		p.sender = k.EndpointIdentifier
		reg, _ := g.Lookup("room")
		call := CallID{5}
		if err := g.Invite(reg, call[:]); err != nil || reg.Traversal != H46018 {
			t.Fatal(err)
		}
		time.Sleep(2*askEvery + time.Millisecond)
		sent := all()
		if len(sent) != 3 || sent[0].from != p.from.Addr {
			t.Fatalf("%d indications went out", len(sent))
		}
		sci := decoded(t, sent[0].b).ServiceControlIndication
		theirs := decoded(t, vector(t, "019-ras-serviceControlIndication-gnugk")).ServiceControlIndication
		var i h46018.IncomingCallIndication
		if _, err := per.Decode(*sci.GenericData[0].Parameters[0].Content.Raw, &i); err != nil || idOf(i.CallID.Guid) != call {
			t.Errorf("the indication is of %v, %v", i, err)
		}
		sci.GenericData[0].Parameters[0].Content.Raw = theirs.GenericData[0].Parameters[0].Content.Raw
		sci.CryptoTokens, sci.RequestSeqNum = nil, 1
		if a, b := fmt.Sprintf("%v", encoded(t, sci)), fmt.Sprintf("%v", encoded(t, theirs)); a != b {
			t.Errorf("the indication is\n%s, not\n%s", a, b)
		}
		p.ask(&h225.RasMessage{ServiceControlResponse: &h225.ServiceControlResponse{RequestSeqNum: decoded(t, sent[0].b).ServiceControlIndication.RequestSeqNum}})
		time.Sleep(time.Minute)
		if n := len(all()); n != 3 || g.open() != 0 {
			t.Errorf("answered, %d indications went out", n)
		}
	})
}

func encoded(t testing.TB, m *h225.ServiceControlIndication) []byte {
	t.Helper()
	b, err := per.Encode(&h225.RasMessage{ServiceControlIndication: m})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOverStream(t *testing.T) {
	g, _ := newGatekeeper(t, nil)
	s := new(stream)
	p := newPeer(t, g, "room")
	p.from.Stream = s
	m := rrq("room")
	m.RegistrationRequest.RasAddress, m.RegistrationRequest.CallSignalAddress = nil, nil
	k := p.ask(m).RegistrationConfirm
	if k == nil || !*k.MaintainConnection || *k.FeatureSet.SupportedFeatures[0].Id.Standard != 17 {
		t.Fatalf("registered by %+v", k)
	}
	reg, _ := g.Lookup("room")
	if reg.Traversal != H46017 || reg.Peer.Stream != s {
		t.Errorf("registered is %+v", reg)
	}
	g.Lost(Peer{Addr: p.from.Addr, Stream: new(stream)})
	if _, ok := g.Lookup("room"); !ok {
		t.Error("lost with another connection")
	}
	g.Lost(p.from)
	if _, ok := g.Lookup("room"); ok {
		t.Error("not lost with its connection")
	}
}

// A quiet endpoint is asked before it goes; one that answers stays.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGatekeeper(t, func(o *Options) { o.Now = nil })
		p := newPeer(t, g, "room")
		var mu sync.Mutex
		answers := true
		var id string
		var got []string
		g.conn = newWire("192.0.2.1:1719", func(b []byte, to netip.AddrPort) {
			m := decoded(t, b)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, describe(m))
			if m.InfoRequest != nil && answers {
				go p.ask(&h225.RasMessage{InfoRequestResponse: &h225.InfoRequestResponse{RequestSeqNum: m.InfoRequest.RequestSeqNum,
					EndpointIdentifier: id, RasAddress: Address(us), CallSignalAddress: []h225.TransportAddress{Address(us)}}})
			}
		})
		go g.expire(t.Context())
		mu.Lock()
		id = p.register("room")
		mu.Unlock()
		time.Sleep(defaultTTL + 2*time.Second)
		synctest.Wait()
		mu.Lock()
		if _, ok := g.Lookup("room"); !ok || fmt.Sprint(got) != "[infoRequest]" {
			t.Fatalf("asked %v", got)
		}
		answers = false
		mu.Unlock()
		time.Sleep(defaultTTL + probeTime + 2*time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if _, ok := g.Lookup("room"); ok || got[len(got)-1] != "unregistrationRequest ttlExpired" {
			t.Errorf("asked %v", got)
		}
		if n := g.open(); n != 1 {
			t.Errorf("%d requests are open", n)
		}
	})
}
