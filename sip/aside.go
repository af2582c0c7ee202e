package sip

import (
	"context"
	"net/netip"
	"slices"

	"bridgehead/core"
)

// notTrunks refuses a call by an address that leads to the servers of a trunk.
// Many carriers know their customers by the address that calls come from: such
// a call would reach the telephone network past all that decides who may. It is
// the address that counts, since anybody can give a name to it.
func (e *Edge) notTrunks(ctx context.Context, targets []target) error {
	for _, t := range *e.trunks.Load() {
		for _, to := range targets {
			if t.at(ctx, to.addr) {
				return core.Reason{Code: core.Forbidden, Say: "This is the address of a telephone line. Call the number itself (tel:+…).",
					Detail: "sip: " + to.addr.String() + " belongs to trunk " + t.config.Name}
			}
		}
	}
	return nil
}

// at tells whether an address is one of the trunk's servers, or of the public
// networks that it calls from.
func (t *trunk) at(ctx context.Context, a netip.AddrPort) bool {
	ip := a.Addr().Unmap()
	if !ip.IsPrivate() && !ip.IsLoopback() && slices.ContainsFunc(t.config.Sources, func(p netip.Prefix) bool { return p.Bits() > 0 && p.Contains(ip) }) {
		return true
	}
	if t.config.Host == "" {
		return false
	}
	host, port, network, secure := t.server(t.config.Host)
	own, err := t.e.locator.find(ctx, host, port, network, secure)
	return err == nil && slices.ContainsFunc(own, func(o target) bool {
		if ip.IsLoopback() { // where all hosts are one
			return o.addr == a
		}
		return o.addr.Addr().Unmap() == ip
	})
}
