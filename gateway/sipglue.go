package main

import (
	"context"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

// devices lets the SIP registrar find devices in the store.
type devices struct{ store *store.Store }

// Device implements sip.Devices.
func (d devices) Device(user string) (sip.Device, bool) {
	found, err := d.store.Device(context.Background(), user)
	if err != nil || found.User != user {
		return sip.Device{}, false
	}
	return sip.Device{Name: found.Name, HA1: func(algorithm, realm string) string {
		return sip.HA1(algorithm, found.User, realm, found.Password)
	}}, true
}

// Extension implements sip.Devices.
func (d devices) Extension(number string) (string, bool) {
	found, err := d.store.Device(context.Background(), number)
	return found.User, err == nil
}

// traceSIP turns what happens on SIP into ladders and records. Calls that were
// routed are recorded by the dial plan; here are those refused before.
func (g *gateway) traceSIP(t edge.TraceEvent) {
	id := t.Leg
	if id == "" {
		id = t.CallID
	}
	switch t.Kind {
	case edge.Sent, edge.Received:
		if t.Leg == "" {
			return // belongs to no call
		}
		s := store.Step{At: t.Time, From: t.Flow.Local.String(), To: t.Flow.Remote.String(), What: t.Text, Text: string(t.Message)}
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
	case edge.Answered:
		g.book.Update(t.Leg, func(c *store.Call) { c.Detail.Status = 200 })
	case edge.Refused:
		info := t.Info
		if info.ID == "" {
			info = core.Info{ID: id, Protocol: core.SIP, Direction: core.In, Source: t.Flow.Remote.Addr()}
		}
		g.book.Refused(core.Call{To: called(t.To), From: t.From, Info: info, Trunk: t.Trunk}, t.Reason, t.Status)
	case edge.Ended:
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
