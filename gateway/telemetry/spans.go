package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"bridgehead/gateway/store"
)

// span is one to be exported, with those inside it.
type span struct {
	name       string
	kind       trace.SpanKind
	start, end time.Time
	attributes []attribute.KeyValue
	fault      string // why it failed; empty: it did not
	inside     []span
}

// phase of a call ends at a time; zero: it was not reached.
type phase struct {
	name string
	end  time.Time
}

// callIn is the trace of a call in.
func callIn(c store.Call) span {
	s := spanOf("call in", trace.SpanKindServer, c)
	var list []phase
	if asked, proved := challenged(c.Ladder); asked {
		list = append(list, phase{"authenticate", proved})
	}
	list = append(list, phase{"dial plan", first(c.Ladder, "routed")}, phase{"ring", c.Detail.Answered}, phase{"reception", first(c.Ladder, "room")}, phase{"meeting", time.Time{}})
	s.inside = phases(s, list)
	return s
}

// callOut is the trace of a call out, with all its attempts.
func callOut(attempts []store.Call) span {
	last := attempts[len(attempts)-1]
	s := spanOf("call out", trace.SpanKindClient, last)
	s.attributes = append(s.attributes, attribute.Int("bridgehead.call.attempts", len(attempts)))
	for _, c := range attempts {
		if c.Started.Before(s.start) {
			s.start = c.Started
		}
		if c.Ended.After(s.end) {
			s.end = c.Ended
		}
		a := spanOf("attempt", trace.SpanKindClient, c)
		a.inside = phases(a, []phase{{"place", rings(c)}, {"ring", c.Detail.Answered}, {"join", first(c.Ladder, "room")}, {"meeting", time.Time{}}})
		s.inside = append(s.inside, a)
	}
	return s
}

// phases share the time of a call among those that it has gone through. The one
// in which it ended lasts to its end.
func phases(call span, list []phase) (spans []span) {
	start, next := call.start, 0
	add := func(name string, end time.Time) {
		if end.After(call.end) {
			end = call.end
		}
		spans = append(spans, span{name: name, start: start, end: end})
		start = end
	}
	for i, p := range list {
		if p.end.IsZero() {
			continue
		}
		next = i + 1
		if p.end.After(start) { // else it took no time, or was over before the one before it
			add(p.name, p.end)
		}
	}
	if next < len(list) {
		add(list[next].name, call.end)
		spans[len(spans)-1].fault = call.fault
	}
	return spans
}

// spanOf is the span of a record, with nothing about it that the record does not
// show.
func spanOf(name string, kind trace.SpanKind, c store.Call) span {
	s := span{name: name, kind: kind, start: c.Started, end: c.Ended}
	put := func(key attribute.Key, value string) {
		if value != "" {
			s.attributes = append(s.attributes, key.String(value))
		}
	}
	put("bridgehead.call.id", c.ID)
	put("bridgehead.call.from", c.From)
	put("bridgehead.call.to", c.To)
	put("bridgehead.call.meeting", c.Meeting)
	put("bridgehead.trunk", c.Trunk)
	put("bridgehead.call.code", c.Code)
	put(semconv.NetworkProtocolNameKey, c.Protocol)
	if c.Direction == "in" {
		put(semconv.ClientAddressKey, c.Source)
	} else {
		put(semconv.ServerAddressKey, c.Source)
	}
	if c.Detail.Status != 0 {
		s.attributes = append(s.attributes, attribute.Int("bridgehead.call.status", c.Detail.Status))
	}
	if c.Detail.MOS > 0 {
		s.attributes = append(s.attributes, attribute.Float64("bridgehead.call.mos", c.Detail.MOS))
	}
	if f := c.Detail.Findings; len(f) > 0 {
		put("bridgehead.call.verdict", f[0].Code)
	}
	if c.Detail.Answered.IsZero() {
		put(semconv.ErrorTypeKey, c.Code)
		s.fault = c.Code
		if c.Detail.Reason != "" {
			s.fault += ": " + c.Detail.Reason
		}
	}
	return s
}

// first is when something was first in a ladder; zero: never.
func first(ladder []store.Step, what string) time.Time {
	for _, s := range ladder {
		if s.From == "" && s.What == what {
			return s.At
		}
	}
	return time.Time{}
}

// rings is when the called party's telephone did; when it was answered, if its
// side told of no ringing.
func rings(c store.Call) time.Time {
	for _, s := range c.Ladder {
		if strings.HasPrefix(s.What, "SIP/2.0 18") || strings.HasPrefix(s.What, "ALERTING") || s.From == "" && s.What == "ringing" {
			return s.At
		}
	}
	return c.Detail.Answered
}

// challenged tells whether a caller was asked for a password, and when it came
// with one.
func challenged(ladder []store.Step) (asked bool, proved time.Time) {
	for _, s := range ladder {
		switch {
		case strings.HasPrefix(s.What, "SIP/2.0 401"), strings.HasPrefix(s.What, "SIP/2.0 407"):
			asked = true
		case asked && strings.HasPrefix(s.What, "INVITE"):
			return true, s.At
		}
	}
	return asked, time.Time{}
}
