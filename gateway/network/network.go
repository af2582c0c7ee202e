// Package network tells what a client's network must let through and where
// this bridge is found: names, ports and protocols of what really listens, and
// the records that its DNS zone needs (SRV of RFC 2782, NAPTR of RFC 3263,
// H.323 Annex O, RFC 8489 and RFC 8656).
package network

import (
	"fmt"
	"net/netip"
	"strings"
)

// Options of [New].
type Options struct {
	// Domain is the public name; empty, or an address: there is no zone.
	Domain string
	// Host is where the bridge is reached: the name, or an address.
	Host string
	// Addresses are those of the name.
	Addresses []netip.Addr
	// Ports are the listeners', by the names of addresses.json; what does not
	// listen is not there.
	Ports map[string]int
	// First and Last are the UDP ports of SIP and H.323 media.
	First, Last int
	// Legacy: SIP in clear is for endpoints, not for trunks alone.
	Legacy bool
	// TTL of the records, in seconds.
	TTL int
}

// Plan is what the page shows.
type Plan struct {
	Host     string           `json:"host"`
	Services []Service        `json:"services"`
	Records  []ResourceRecord `json:"records"`
	Zone     string           `json:"zone" doc:"the records as lines of a zone file; empty: the bridge has no public name"`
	TTL      int              `json:"ttl" doc:"of the records, in seconds"`
}

// Service is a port, or a range of them, that clients connect to.
type Service struct {
	For       string `json:"for"`
	Protocol  string `json:"protocol" enum:"tcp,udp"`
	Port      int    `json:"port"`
	Last      int    `json:"last,omitempty" doc:"of a range"`
	Encrypted bool   `json:"encrypted"`
}

// ResourceRecord is one of the zone.
type ResourceRecord struct {
	Name  string `json:"name"`
	TTL   int    `json:"ttl"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// known are the listeners in the order of the page; services names their SRV
// records.
var known = []struct {
	listener  string
	protocol  string
	encrypted bool
	purpose   string
	services  []string
}{
	{"https", "tcp", true, "Web client, API and signalling of browsers", nil},
	{"webrtc_udp", "udp", true, "Sound and pictures of browsers", nil},
	{"webrtc_tcp", "tcp", true, "The same where UDP is blocked", nil},
	{"sips", "tcp", true, "SIP over TLS", []string{"_sips._tcp"}},
	{"sip_udp", "udp", false, "SIP in clear over UDP", []string{"_sip._udp"}},
	{"sip_tcp", "tcp", false, "SIP in clear over TCP", []string{"_sip._tcp"}},
	{"bfcp", "tcp", true, "Floor control of SIP rooms that present", nil},
	{"bfcp", "udp", true, "Floor control of SIP rooms that present", nil},
	{"h323", "tcp", false, "H.323 call signalling; media is encrypted", []string{"_h323cs._tcp"}},
	{"h323_tls", "tcp", true, "H.323 call signalling over TLS", nil},
	{"ras", "udp", false, "Gatekeeper of H.323 endpoints (RAS)", []string{"_h323ls._udp", "_h323rs._udp"}},
	{"turn", "udp", false, "STUN and TURN; what is relayed is encrypted", []string{"_stun._udp", "_turn._udp"}},
	{"turn", "tcp", false, "STUN and TURN over TCP", []string{"_stun._tcp", "_turn._tcp"}},
	{"turns", "tcp", true, "TURN over TLS", []string{"_turns._tcp"}},
}

// New makes the plan.
func New(o Options) Plan {
	p := Plan{Host: o.Host, Services: []Service{}, Records: []ResourceRecord{}, TTL: o.TTL}
	domain := strings.TrimSuffix(o.Domain, ".")
	if _, err := netip.ParseAddr(domain); err == nil {
		domain = ""
	}
	record := func(name, kind, value string) {
		if domain != "" {
			p.Records = append(p.Records, ResourceRecord{name, o.TTL, kind, value})
		}
	}
	fqdn := domain + "."
	for _, a := range o.Addresses {
		record(fqdn, map[bool]string{true: "A", false: "AAAA"}[a.Is4()], a.String())
	}
	for _, k := range known {
		port, open := o.Ports[k.listener]
		clear := strings.HasPrefix(k.listener, "sip_")
		if !open || clear && !o.Legacy { // in clear it is for trunks alone, which are told otherwise
			continue
		}
		p.Services = append(p.Services, Service{For: k.purpose, Protocol: k.protocol, Port: port, Encrypted: k.encrypted})
		for _, s := range k.services {
			record(s+"."+fqdn, "SRV", fmt.Sprintf("10 10 %d %s", port, fqdn))
		}
		if naptr := map[string]string{"sips": "SIPS+D2T", "sip_udp": "SIP+D2U", "sip_tcp": "SIP+D2T"}[k.listener]; naptr != "" {
			order := map[bool]int{false: 10, true: 20}[clear] // encrypted first
			record(fqdn, "NAPTR", fmt.Sprintf(`%d 10 "s" "%s" "" %s.%s`, order, naptr, k.services[0], fqdn))
		}
	}
	if o.Last > 0 {
		p.Services = append(p.Services, Service{For: "Sound and pictures of SIP and H.323", Protocol: "udp", Port: o.First, Last: o.Last, Encrypted: true})
	}
	for _, r := range p.Records {
		p.Zone += fmt.Sprintf("%s %d IN %s %s\n", r.Name, r.TTL, r.Type, r.Value)
	}
	return p
}
