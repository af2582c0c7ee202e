package main

import (
	"net/netip"
	"sync"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/capture"
	"bridgehead/gateway/store"
)

// export tells Homer of a SIP message, also of one that belongs to no call.
func (g *gateway) export(t edge.TraceEvent) {
	if g.homer == nil || t.Protocol != core.SIP {
		return
	}
	m := capture.Meta{At: t.Time, From: t.Flow.Local, To: t.Flow.Remote, Network: t.Flow.Network, Kind: capture.SIP, Call: t.CallID}
	if t.Kind == edge.Received {
		m.From, m.To = m.To, m.From
	}
	g.homer.Send(m, t.Message)
}

// answeredCalls are the SIP calls under way, by leg, as far as Homer needs them
// beside what their records say. The zero value is ready.
type answeredCalls struct {
	mu    sync.Mutex
	calls map[string]answeredCall
}

type answeredCall struct {
	callID string
	local  netip.Addr
}

func (c *answeredCalls) answered(t edge.TraceEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]answeredCall{}
	}
	c.calls[t.Leg] = answeredCall{t.CallID, t.Flow.Local.Addr()}
}

func (c *answeredCalls) ended(t edge.TraceEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, t.Leg)
}

func (c *answeredCalls) find(leg string) (answeredCall, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.calls[leg]
	return call, ok
}

// heard tells Homer how both sides of a call hear one another.
func (g *gateway) heard(info core.Info, before, now store.Sample) {
	if g.homer == nil {
		return
	}
	call, ok := g.media.find(info.ID)
	if !ok {
		return
	}
	way := info.AudioStats.Way
	here, there := netip.AddrPortFrom(call.local, uint16(way.Port)), way.Found
	if !there.IsValid() {
		there = way.Signalled
	}
	ours, theirs := capture.Reports(info.AudioStats, info.RTT, before, now)
	m := capture.Meta{At: now.At, From: here, To: there, Network: "udp", Kind: capture.RTCP, Call: call.callID}
	g.homer.Send(m, ours)
	if theirs != nil {
		m.From, m.To = there, here
		g.homer.Send(m, theirs)
	}
}
