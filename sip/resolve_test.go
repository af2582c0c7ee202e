package sip

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// nameserver answers on loopback by UDP and TCP.
func nameserver(t *testing.T, answer func(network string, q dns.Question, r *dns.Msg)) string {
	t.Helper()
	l, p, err := bothAt("127.0.0.1:0")
	for range 10 { // the UDP port of the same number may be taken
		if err == nil {
			break
		}
		l, p, err = bothAt("127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	for network, s := range map[string]*dns.Server{"udp": {PacketConn: p}, "tcp": {Listener: l}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			r := new(dns.Msg).SetReply(q)
			answer(network, q.Question[0], r)
			_ = w.WriteMsg(r)
		})
		go func() { _ = s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return p.LocalAddr().String()
}

func bothAt(addr string) (net.Listener, net.PacketConn, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		l.Close()
	}
	return l, p, err
}

func record(t *testing.T, text string) dns.RR {
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// The system's resolver: what is too long comes by TCP, a server that fails has
// the next one asked, and aliases on the way are left out.
func TestResolverAsksNameservers(t *testing.T) {
	broken := nameserver(t, func(_ string, _ dns.Question, r *dns.Msg) { r.Rcode = dns.RcodeServerFailure })
	var byTCP atomic.Int32
	good := nameserver(t, func(network string, q dns.Question, r *dns.Msg) {
		switch {
		case strings.HasPrefix(q.Name, "none."):
			r.Rcode = dns.RcodeNameError
		case network == "udp" && q.Qtype == dns.TypeSRV:
			r.Truncated = true
		case q.Qtype == dns.TypeSRV:
			byTCP.Add(1)
			r.Answer = append(r.Answer, record(t, q.Name+" 60 IN SRV 1 1 5061 a.example.org."))
		case q.Qtype == dns.TypeA:
			r.Answer = append(r.Answer, record(t, q.Name+" 60 IN CNAME a.example.org."), record(t, "a.example.org. 60 IN A 192.0.2.7"))
		}
	})
	d := DNS(broken, good)
	if rr, err := d.Lookup(t.Context(), "_sips._tcp.example.org", dns.TypeSRV); err != nil || len(rr) != 1 || byTCP.Load() != 1 {
		t.Errorf("SRV: %v, %v", rr, err)
	}
	if rr, err := d.Lookup(t.Context(), "alias.example.org", dns.TypeA); err != nil || len(rr) != 1 || rr[0].(*dns.A).A.String() != "192.0.2.7" {
		t.Errorf("A: %v, %v", rr, err)
	}
	if rr, err := d.Lookup(t.Context(), "none.example.org", dns.TypeA); err != nil || len(rr) != 0 {
		t.Errorf("no such name: %v, %v", rr, err)
	}
	if _, err := DNS(broken).Lookup(t.Context(), "example.org", dns.TypeA); err == nil || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("a broken server: %v", err)
	}
	l := newLocator(d)
	list, err := l.find(t.Context(), "example.org", 0, "tls", true)
	if err != nil || len(list) != 1 || list[0].String() != "tls:192.0.2.7:5061" || list[0].host != "example.org" {
		t.Errorf("by way of DNS: %v, %v", list, err)
	}
}

// counting is a zone that counts what it is asked.
type counting struct {
	memDNS
	asked map[string]int
}

func (c counting) Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	c.asked[name+" "+dns.TypeToString[kind]]++
	return c.memDNS.Lookup(ctx, name, kind)
}

func TestAnswersAreKeptForTheirTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := counting{memDNS{"_sip._udp.k.example SRV": {"1 0 5060 a.example.org."}, "a.example.org A": {"192.0.2.7"}}, map[string]int{}}
		l := newLocator(c)
		asked := func() int { return c.asked["_sip._udp.k.example SRV"] }
		for range 3 {
			l.find(t.Context(), "k.example", 0, "udp", false)
		}
		if asked() != 1 {
			t.Errorf("asked %d times", asked())
		}
		time.Sleep(61 * time.Second) // records of memDNS hold for 60 s
		if l.find(t.Context(), "k.example", 0, "udp", false); asked() != 2 {
			t.Errorf("asked %d times", asked())
		}
	})
}

func TestServiceThatIsNotOffered(t *testing.T) {
	l := newLocator(memDNS{"_sips._tcp.no.example SRV": {"0 0 0 ."}, "no.example A": {"192.0.2.9"}, "_sip._udp.both.example SRV": {"0 0 0 ."}, "_sip._tcp.both.example SRV": {"1 1 5060 a.example.org."}, "a.example.org A": {"192.0.2.7"}})
	if list, err := l.find(t.Context(), "no.example", 0, "tls", true); err == nil {
		t.Errorf("found %v", list)
	}
	if list, err := l.find(t.Context(), "both.example", 0, "", false); err != nil || len(list) != 1 || list[0].String() != "tcp:192.0.2.7:5060" {
		t.Errorf("%v, %v", list, err)
	}
}
