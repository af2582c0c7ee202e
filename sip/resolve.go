package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Resolver answers one DNS question with the records of that type and name.
// No records and no error: the name has none.
type Resolver interface {
	Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error)
}

// locator finds the servers for a URI (RFC 3263): NAPTR, SRV, addresses.
// Answers are kept as long as their TTL says, and a server that has failed is
// tried last for a while.
type locator struct {
	dns Resolver

	mu      sync.Mutex
	cache   map[string]cached
	penalty map[target]time.Time
}

type cached struct {
	rr    []dns.RR
	until time.Time
}

const (
	maxCache    = 1024
	maxTargets  = 16
	maxTTL      = time.Hour
	minTTL      = 5 * time.Second
	penaltyTime = 60 * time.Second
)

func newLocator(r Resolver) *locator {
	return &locator{dns: r, cache: map[string]cached{}, penalty: map[target]time.Time{}}
}

// fail marks a target so that others come first for so long.
func (l *locator) fail(t target, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.penalty) > maxCache {
		clear(l.penalty)
	}
	l.penalty[t] = time.Now().Add(d)
}

// find lists where a URI can be reached, best first. network is what the URI
// or the trunk asks for, "" if nothing; secure demands TLS.
func (l *locator) find(ctx context.Context, host string, port int, network string, secure bool) ([]target, error) {
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if secure {
		network = "tls"
	}
	var list []target
	var err error
	addr, bad := netip.ParseAddr(host)
	switch {
	case bad == nil:
		list = []target{{orUDP(network), netip.AddrPortFrom(addr.Unmap(), portOr(port, network)), host}}
	case port != 0:
		list, err = l.addresses(ctx, host, uint16(port), orUDP(network), host)
	default:
		list, err = l.services(ctx, host, network, secure)
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no address for %s", host)
	}
	return l.order(list[:min(len(list), maxTargets)]), nil
}

func orUDP(network string) string {
	if network == "" {
		return "udp"
	}
	return network
}

func portOr(port int, network string) uint16 {
	switch {
	case port != 0:
		return uint16(port)
	case network == "tls":
		return 5061
	}
	return 5060
}

// order keeps the order but puts the penalised last.
func (l *locator) order(list []target) []target {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	slices.SortStableFunc(list, func(a, b target) int {
		pa, pb := l.penalty[a].After(now), l.penalty[b].After(now)
		switch {
		case pa == pb:
			return 0
		case pb:
			return -1
		}
		return 1
	})
	return list
}

// services does NAPTR and SRV (RFC 3263 4.1, 4.2); without any, the addresses
// of the host itself.
func (l *locator) services(ctx context.Context, host, network string, secure bool) ([]target, error) {
	type service struct{ name, network string }
	var names []service
	if network == "" || secure {
		rr, err := l.lookup(ctx, host, dns.TypeNAPTR)
		if err != nil {
			return nil, err
		}
		for _, n := range naptrs(rr) {
			if nw := map[string]string{"SIPS+D2T": "tls", "SIP+D2T": "tcp", "SIP+D2U": "udp"}[strings.ToUpper(n.Service)]; nw != "" && (!secure || nw == "tls") {
				names = append(names, service{n.Replacement, nw})
			}
		}
	}
	if len(names) == 0 {
		all := []service{{"_sips._tcp." + host, "tls"}, {"_sip._udp." + host, "udp"}, {"_sip._tcp." + host, "tcp"}}
		for _, s := range all {
			if network == "" || s.network == network {
				names = append(names, s)
			}
		}
	}
	var list []target
	var last error
	refused := 0 // by a record that says so (RFC 2782: a target of ".")
	for _, s := range names {
		rr, err := l.lookup(ctx, s.name, dns.TypeSRV)
		if err != nil {
			last = err
			continue
		}
		found := srvs(rr)
		if len(rr) > 0 && len(found) == 0 {
			refused++
		}
		for _, v := range found {
			if len(list) >= maxTargets {
				break
			}
			// RFC 5922: the certificate is for the name that was asked for.
			more, err := l.addresses(ctx, v.Target, v.Port, s.network, host)
			list, last = append(list, more...), err
		}
	}
	switch {
	case len(list) > 0:
		return list, nil
	case refused == len(names):
		return nil, fmt.Errorf("%s says in DNS that it takes no calls this way", host)
	}
	list, err := l.addresses(ctx, host, portOr(0, network), orUDP(network), host)
	if err == nil && len(list) == 0 {
		err = last
	}
	return list, err
}

func (l *locator) addresses(ctx context.Context, name string, port uint16, network, host string) ([]target, error) {
	if a, err := netip.ParseAddr(strings.TrimSuffix(name, ".")); err == nil {
		return []target{{network, netip.AddrPortFrom(a.Unmap(), port), host}}, nil
	}
	var list []target
	var failed error
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		rr, err := l.lookup(ctx, name, kind)
		if err != nil {
			failed = err
			continue
		}
		for _, r := range rr {
			var ip net.IP
			switch r := r.(type) {
			case *dns.A:
				ip = r.A
			case *dns.AAAA:
				ip = r.AAAA
			}
			if a, ok := netip.AddrFromSlice(ip); ok {
				list = append(list, target{network, netip.AddrPortFrom(a.Unmap(), port), host})
			}
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, failed
}

// naptrs sorts by order, then preference (RFC 3403).
func naptrs(rr []dns.RR) []*dns.NAPTR {
	var list []*dns.NAPTR
	for _, r := range rr {
		if n, ok := r.(*dns.NAPTR); ok && strings.EqualFold(n.Flags, "s") {
			list = append(list, n)
		}
	}
	slices.SortStableFunc(list, func(a, b *dns.NAPTR) int {
		if a.Order != b.Order {
			return int(a.Order) - int(b.Order)
		}
		return int(a.Preference) - int(b.Preference)
	})
	return list
}

// srvs orders by priority, and within one at random by weight (RFC 2782).
func srvs(rr []dns.RR) []*dns.SRV {
	var list []*dns.SRV
	for _, r := range rr {
		if s, ok := r.(*dns.SRV); ok && s.Target != "." {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *dns.SRV) int {
		if a.Priority != b.Priority {
			return int(a.Priority) - int(b.Priority)
		}
		return int(a.Weight) - int(b.Weight) // those of weight 0 first
	})
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].Priority == list[i].Priority {
			j++
		}
		weigh(list[i:j])
		i = j
	}
	return list
}

func weigh(group []*dns.SRV) {
	for i := range group {
		sum := 0
		for _, s := range group[i:] {
			sum += int(s.Weight)
		}
		pick := rand.IntN(sum + 1)
		for j, s := range group[i:] {
			if pick -= int(s.Weight); pick <= 0 {
				chosen := group[i+j]
				copy(group[i+1:i+j+1], group[i:i+j])
				group[i] = chosen
				break
			}
		}
	}
}

func (l *locator) lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	key := strings.ToLower(dns.Fqdn(name)) + dns.TypeToString[kind]
	l.mu.Lock()
	c, ok := l.cache[key]
	l.mu.Unlock()
	if ok && time.Now().Before(c.until) {
		return c.rr, nil
	}
	rr, err := l.dns.Lookup(ctx, name, kind)
	if err != nil {
		return nil, err
	}
	ttl := maxTTL
	if len(rr) == 0 {
		ttl = 30 * time.Second
	}
	for _, r := range rr {
		ttl = min(ttl, time.Duration(r.Header().Ttl)*time.Second)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.cache) >= maxCache {
		clear(l.cache)
	}
	l.cache[key] = cached{rr, time.Now().Add(max(ttl, minTTL))}
	return rr, nil
}

// systemDNS asks the servers of /etc/resolv.conf, and the hosts file first.
type systemDNS struct {
	mu      sync.Mutex
	servers []string
	loaded  time.Time
}

// DNS is a Resolver that asks these servers (host:port); without any, those of
// the system.
func DNS(servers ...string) Resolver { return &systemDNS{servers: servers} }

func (d *systemDNS) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.servers) > 0 && d.loaded.IsZero() || time.Since(d.loaded) < time.Minute {
		return d.servers
	}
	d.loaded, d.servers = time.Now(), nil
	if conf, err := dns.ClientConfigFromFile("/etc/resolv.conf"); err == nil {
		for _, s := range conf.Servers {
			d.servers = append(d.servers, net.JoinHostPort(s, conf.Port))
		}
	}
	return d.servers
}

// Lookup implements Resolver.
func (d *systemDNS) Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	if rr := hosts(ctx, name, kind); rr != nil {
		return rr, nil
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	q.SetEdns0(1232, false)
	last := errors.New("no DNS server")
	for _, server := range d.list() {
		r, _, err := (&dns.Client{Timeout: 2 * time.Second}).ExchangeContext(ctx, q, server)
		if err == nil && r.Truncated {
			r, _, err = (&dns.Client{Net: "tcp", Timeout: 2 * time.Second}).ExchangeContext(ctx, q, server)
		}
		switch {
		case err != nil:
			last = err
		case r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError:
			return only(r.Answer, kind), nil
		default:
			last = fmt.Errorf("DNS %s for %s", dns.RcodeToString[r.Rcode], name)
		}
	}
	return nil, last
}

// only leaves out the CNAMEs on the way: the servers asked are recursive.
func only(rr []dns.RR, kind uint16) []dns.RR {
	return slices.DeleteFunc(rr, func(r dns.RR) bool { return r.Header().Rrtype != kind })
}

// hosts answers address questions for names that DNS does not know, such as
// localhost, by the C library's means.
func hosts(ctx context.Context, name string, kind uint16) []dns.RR {
	if kind != dns.TypeA && kind != dns.TypeAAAA || strings.Contains(strings.TrimSuffix(name, "."), ".") {
		return nil
	}
	network := map[uint16]string{dns.TypeA: "ip4", dns.TypeAAAA: "ip6"}[kind]
	ips, err := net.DefaultResolver.LookupIP(ctx, network, name)
	if err != nil {
		return nil
	}
	var rr []dns.RR
	for _, ip := range ips {
		h := dns.RR_Header{Name: dns.Fqdn(name), Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
		if kind == dns.TypeA {
			rr = append(rr, &dns.A{Hdr: h, A: ip})
		} else {
			rr = append(rr, &dns.AAAA{Hdr: h, AAAA: ip})
		}
	}
	return rr
}
