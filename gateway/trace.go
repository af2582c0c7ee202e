package main

import (
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

// trace turns what happens at the edges into ladders and records. Calls that were
// routed are recorded by the dial plan; here are those refused before.
func (g *gateway) trace(t edge.TraceEvent) {
	id := t.Leg
	if id == "" {
		id = t.CallID
	}
	switch t.Kind {
	case edge.Sent, edge.Received:
		g.export(t)
		if t.Leg == "" {
			return // belongs to no call
		}
		if !t.Flow.Local.IsValid() || !t.Flow.Remote.IsValid() {
			return
		}
		s := store.Step{At: t.Time, From: t.Flow.Local.String(), To: t.Flow.Remote.String(), Network: t.Flow.Network, What: t.Text, Text: string(t.Message), Wire: t.Wire}
		if t.Kind == edge.Received {
			s.From, s.To = s.To, s.From
		}
		g.book.Step(t.Leg, s)
	case edge.Started:
		if t.Info.Direction == core.Out { // it may fail before there is a leg
			g.book.Begin(core.Call{To: t.To, From: t.From, Info: t.Info, Trunk: t.Trunk})
		}
	case edge.Alarm:
		g.book.Step(id, store.Step{At: t.Time, What: "alarm", Text: t.Text})
	case edge.Vouched:
		g.book.Step(id, store.Step{At: t.Time, What: "identity", Text: t.Text})
		g.book.Update(id, func(c *store.Call) { c.Detail.Stir = store.CallStir(t.Info.Stir) })
	case edge.Noted:
		g.book.Step(id, store.Step{At: t.Time, What: "media", Text: t.Text})
	case edge.Answered:
		if g.homer != nil && t.Protocol == core.SIP {
			g.media.answered(t)
		}
		g.book.Update(t.Leg, func(c *store.Call) {
			c.Detail.Answered = t.Time
			if t.Protocol == core.SIP {
				c.Detail.Status = 200
			}
		})
	case edge.Refused:
		info := t.Info
		if info.ID == "" {
			info = core.Info{ID: id, Protocol: t.Protocol, Direction: core.In, Source: t.Flow.Remote.Addr()}
			if t.Trunk != "" {
				info.Protocol = core.PSTN
			}
		}
		g.book.Refused(core.Call{To: called(t.To), From: t.From, Info: info, Trunk: t.Trunk}, t.Reason, t.Status)
	case edge.Ended:
		g.media.ended(t)
		if t.Status != 0 {
			g.book.Update(t.Leg, func(c *store.Call) { c.Detail.Status = t.Status })
		}
		if t.Info.ID != "" {
			g.book.End(t.Info, t.Reason)
		}
	}
}

// called cuts a passcode off an address.
func called(to string) string {
	if number, rest, has := strings.Cut(to, "**"); has {
		_, host, _ := strings.Cut(rest, "@")
		return number + "**…@" + host
	}
	return to
}
