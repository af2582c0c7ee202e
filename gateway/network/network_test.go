package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func everything() Options {
	return Options{Domain: "meet.example.org", Host: "meet.example.org", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("2001:db8::5")},
		Ports: map[string]int{"https": 443, "webrtc_udp": 8443, "webrtc_tcp": 8444, "sips": 5061, "sip_udp": 5060, "sip_tcp": 5060, "bfcp": 5070, "h323": 1720,
			"h323_tls": 1300, "ras": 1719, "turn": 3478, "turns": 5349}, First: 20000, Last: 29999, TTL: 900}
}

// resolver answers from a zone file, by messages as they go over the wire.
type resolver struct {
	t       *testing.T
	records []dns.RR
}

func load(t *testing.T, zone string) *resolver {
	t.Helper()
	r := &resolver{t: t}
	parser := dns.NewZoneParser(strings.NewReader(zone), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		r.records = append(r.records, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, zone)
	}
	return r
}

func (r *resolver) ask(name string, kind uint16) []dns.RR {
	r.t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	for _, rr := range r.records {
		if rr.Header().Name == name && rr.Header().Rrtype == kind {
			m.Answer = append(m.Answer, rr)
		}
	}
	wire, err := m.Pack()
	if err != nil {
		r.t.Fatal(err)
	}
	got := new(dns.Msg)
	if err := got.Unpack(wire); err != nil {
		r.t.Fatal(err)
	}
	return got.Answer
}

// What DNS answers from the snippet is what the page says, with its TTL.
func TestP77AnswersAreThoseOfThePage(t *testing.T) {
	o := everything()
	o.Legacy = true
	p := New(o)
	r := load(t, p.Zone)
	if len(r.records) != len(p.Records) {
		t.Errorf("the zone has %d records, the page %d", len(r.records), len(p.Records))
	}
	for _, want := range p.Records {
		found := false
		for _, rr := range r.ask(want.Name, dns.StringToType[want.Type]) {
			found = found || strings.TrimPrefix(rr.String(), rr.Header().String()) == want.Value && int(rr.Header().Ttl) == want.TTL && want.TTL == 900
		}
		if !found {
			t.Errorf("nothing answers %+v", want)
		}
	}
	listening := map[int]bool{}
	for _, s := range p.Services {
		listening[s.Port] = true
	}
	for name, port := range map[string]uint16{"_sips._tcp": 5061, "_sip._udp": 5060, "_sip._tcp": 5060, "_h323cs._tcp": 1720, "_h323ls._udp": 1719, "_h323rs._udp": 1719,
		"_stun._udp": 3478, "_turn._udp": 3478, "_turn._tcp": 3478, "_turns._tcp": 5349} {
		answers := r.ask(name+".meet.example.org.", dns.TypeSRV)
		if len(answers) != 1 {
			t.Errorf("%s: %v", name, answers)
			continue
		}
		srv := answers[0].(*dns.SRV)
		if srv.Port != port || srv.Target != "meet.example.org." || !listening[int(port)] {
			t.Errorf("%s: %v", name, srv)
		}
		if len(r.ask(srv.Target, dns.TypeA)) != 1 || len(r.ask(srv.Target, dns.TypeAAAA)) != 1 {
			t.Errorf("%s leads to no address", name)
		}
	}
	for _, rr := range r.ask("meet.example.org.", dns.TypeNAPTR) {
		if n := rr.(*dns.NAPTR); len(r.ask(n.Replacement, dns.TypeSRV)) != 1 {
			t.Errorf("%v leads to no SRV record", n)
		}
	}
}

func TestOnlyWhatListensIsTold(t *testing.T) {
	o := everything()
	if p := New(o); strings.Contains(p.Zone, "_sip._") || slices.ContainsFunc(p.Services, func(s Service) bool { return s.Port == 5060 }) {
		t.Errorf("SIP in clear is for trunks alone: %s", p.Zone)
	}
	o.Ports = map[string]int{"https": 8443}
	o.Last = 0
	if p := New(o); len(p.Services) != 1 || strings.Contains(p.Zone, "SRV") {
		t.Errorf("%+v", p)
	}
	for _, domain := range []string{"", "192.0.2.5"} {
		o := everything()
		o.Domain, o.Host = domain, "192.0.2.5"
		if p := New(o); p.Zone != "" || len(p.Records) != 0 || len(p.Services) < 8 {
			t.Errorf("without a name: %+v", p)
		}
	}
}
