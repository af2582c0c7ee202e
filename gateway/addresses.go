package main

import (
	"cmp"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"bridgehead/gateway/invite"
	"bridgehead/gateway/network"
)

// addresses are the real addresses of the listeners, by the names of
// DIR/addresses.json.
type addresses map[string]string

func (a addresses) write(dir string) error {
	return replaceJSON(filepath.Join(dir, "addresses.json"), 0o644, a)
}

// reachable puts this machine's own address in the place of "all addresses".
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "localhost"
		if own := outward(); own.IsValid() {
			host = own.String()
		}
	}
	return net.JoinHostPort(host, port)
}

// places are where guests reach the gateway: under its public name if it has
// one, and without the ports that every client knows.
func (g *gateway) places() invite.Places {
	at := g.addresses()
	public := func(name, usual string) string {
		host, port, err := net.SplitHostPort(reachable(at[name]))
		if err != nil {
			return ""
		}
		host = cmp.Or(g.cfg.Load().Domain, host)
		if port != usual {
			return net.JoinHostPort(host, port)
		}
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return invite.Places{Web: public("https", "443"), SIPS: public("sips", "5061"), H323: public("h323", "1720")}
}

// network is what clients need, of what really listens.
func (g *gateway) network() network.Plan {
	cfg := g.cfg.Load()
	first, last := cfg.RTPPorts()
	o := network.Options{Domain: cfg.Domain, Addresses: advertised(cfg), Ports: map[string]int{}, First: int(first), Last: int(last), Legacy: cfg.SIP.Legacy, TTL: cfg.DNS.TTL}
	if own := outward(); len(o.Addresses) == 0 && own.IsValid() {
		o.Addresses = []netip.Addr{own}
	}
	for name, at := range g.addresses() {
		if a, err := netip.ParseAddrPort(at); err == nil {
			o.Ports[name] = int(a.Port())
		}
		if name == "https" {
			o.Host, _, _ = net.SplitHostPort(reachable(at))
		}
	}
	o.Host = cmp.Or(cfg.Domain, o.Host)
	return network.New(o)
}

func (a addresses) web() string { return "https://" + reachable(a["https"]) }

// join is the link into a meeting.
func (a addresses) join(number string) string { return a.web() + "/join/" + number }

// dial is the SIP address of a meeting.
func (a addresses) dial(number, passcode string) string {
	if a["sips"] == "" {
		return "(SIP is turned off)"
	}
	if passcode != "" {
		number += "**" + passcode
	}
	return "sips:" + number + "@" + reachable(a["sips"])
}
