package pstn

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"bridgehead/core"
)

// nameserver is a DNS server on loopback with a zone of its own, and a resolver
// that asks it.
type nameserver struct{ at string }

func newNameserver(t *testing.T, zone map[string][]string) nameserver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: c, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		name := strings.TrimSuffix(q.Question[0].Name, ".")
		if _, ok := zone[name]; !ok {
			r.Rcode = dns.RcodeNameError
		}
		for _, text := range zone[name] {
			rr, err := dns.NewRR(q.Question[0].Name + " 60 IN NAPTR " + text)
			if err != nil {
				panic(err)
			}
			r.Answer = append(r.Answer, rr)
		}
		_ = w.WriteMsg(r)
	})}
	go func() { _ = s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() { _ = s.Shutdown() })
	return nameserver{c.LocalAddr().String()}
}

func (n nameserver) Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	r, _, err := new(dns.Client).ExchangeContext(ctx, new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), n.at)
	if err != nil {
		return nil, err
	}
	return r.Answer, nil
}

// directEdge is a SIP edge that notes what it was to call.
type directEdge struct {
	core.Edge
	called []string
	err    error
}

func (d *directEdge) Dial(_ context.Context, to string, _ core.Room) (core.Leg, error) {
	d.called = append(d.called, to)
	if d.err != nil {
		return nil, d.err
	}
	return &fakeLeg{}, nil
}

func TestNumberIsCalledAtItsOwnAddress(t *testing.T) {
	n := newNameserver(t, map[string][]string{
		"6.5.4.3.2.1.0.3.9.4.e164.arpa": {`100 20 "u" "E2U+tel" "!^.*$!tel:+1!" .`, `100 20 "u" "E2U+sip" "!^.*$!sip:second@example.org!" .`, `100 10 "u" "E2U+sip" "!^\\+49(.*)$!sips:\\1@example.org;transport=tls!i" .`},
		"7.5.4.3.2.1.0.3.9.4.e164.arpa": {`100 10 "u" "E2U+sip" "!^.*$!sip:device@local!" .`, `100 20 "u" "E2U+sip" "!^.*$!sip:x@127.0.0.1!" .`, `100 30 "u" "E2U+sip" "!^\\+1!sip:x@example.org!" .`},
		"8.5.4.3.2.1.0.3.9.4.own.test":  {`1 1 "u" "E2U+voice:tel+sip" "!^(.*)$!sip:\\1@own.example!" .`},
	})
	for _, c := range []struct {
		number, direct string
		err            error
		lines          int
	}{
		{"+4930123456", "sips:30123456@example.org;transport=tls", nil, 0},
		{"+4930123457", "", nil, 1}, // an address of ours, and a rule that does not match
		{"+4930123458", "sip:+4930123458@own.example", nil, 0},
		{"+4930123459", "", nil, 1}, // no record
		{"+4930123456", "sips:30123456@example.org;transport=tls", core.Reason{Code: core.Unreachable}, 1},
		{"+4930123456", "sips:30123456@example.org;transport=tls", core.Reason{Code: core.Busy}, 0},
	} {
		line, direct := &fakeLine{name: "l"}, &directEdge{err: c.err}
		e := New(Options{Log: slog.New(slog.DiscardHandler), Resolver: n, Direct: direct, Lines: func(string) (Line, bool) { return line, true }})
		if err := e.SetRules(Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "l"}}, Enum: []string{"e164.arpa", "own.test"}}); err != nil {
			t.Fatal(err)
		}
		_, err := e.Dial(context.Background(), c.number, nil)
		if strings.Join(direct.called, " ") != c.direct || len(line.calls) != c.lines {
			t.Errorf("%s: directly %q, over lines %v, %v", c.number, direct.called, line.calls, err)
		}
		if core.ReasonOf(err).Code != core.Normal && core.ReasonOf(err).Code != core.Busy {
			t.Errorf("%s: %v", c.number, err)
		}
	}
	// Without suffixes nobody is asked.
	direct := &directEdge{}
	e := New(Options{Log: slog.New(slog.DiscardHandler), Resolver: n, Direct: direct, Lines: func(string) (Line, bool) { return &fakeLine{}, true }})
	e.SetRules(Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "l"}}})
	if e.Dial(context.Background(), "+4930123456", nil); len(direct.called) != 0 {
		t.Error(direct.called)
	}
}

func FuzzEnumRule(f *testing.F) {
	f.Add("!^\\+49(.*)$!sip:\\1@example.org!i", "+4930123456")
	f.Add("!(((a*)*)*)!sip:$1@x.y!", "+1")
	f.Fuzz(func(t *testing.T, rule, number string) {
		if to, ok := apply(rule, number); ok && len(to) > maxRule {
			t.Errorf("%q gives %d octets", rule, len(to))
		}
	})
}
