package sip

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"bridgehead/core"
)

// asideTime bounds the look at all trunks: one whose name nobody answers for is
// not to hold up a call to somewhere else.
const asideTime = 2 * time.Second

// notTrunks refuses a call by an address that leads to the servers of a trunk.
// Many carriers know their customers by the address that calls come from: such
// a call would reach the telephone network past all that decides who may. It is
// the address that counts, since anybody can give a name to it.
func (e *Edge) notTrunks(ctx context.Context, targets []target) error {
	ctx, cancel := context.WithTimeout(ctx, asideTime)
	defer cancel()
	trunks := *e.trunks.Load()
	found := make(chan error, len(trunks))
	for _, t := range trunks {
		go func() { found <- t.bars(ctx, targets) }()
	}
	for range trunks {
		if err := <-found; err != nil {
			return err
		}
	}
	return nil
}

func (t *trunk) bars(ctx context.Context, targets []target) error {
	defer t.e.survive("look at a trunk's servers")
	for _, to := range targets {
		if t.at(ctx, to.addr) {
			return core.Reason{Code: core.Forbidden, Say: "This is the address of a telephone line. Call the number itself (tel:+…).",
				Detail: "sip: " + to.addr.String() + " belongs to trunk " + t.config.Name}
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
	if !ip.IsLoopback() && t.met(ip) {
		return true
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
