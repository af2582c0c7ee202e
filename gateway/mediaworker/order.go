package main

import (
	"time"

	"bridgehead/core/compose/wire"
)

// order puts packets in the order of their numbers. One that is missing is
// waited for a little, since a retransmission may bring it.
type order struct {
	begun bool
	next  uint16
	held  map[uint16]wire.Media
	since time.Time // when the first of those held came
}

const (
	patience = 80 * time.Millisecond
	maxHeld  = 256
)

// push calls f with what is now in order; lost tells that packets before it
// are missing for good.
func (o *order) push(m wire.Media, now time.Time, f func(m wire.Media, lost bool)) {
	if d := int16(m.Seq - o.next); !o.begun || d > 4*maxHeld || d < -4*maxHeld {
		o.held, o.next = map[uint16]wire.Media{}, m.Seq // a new stream
	} else if d < 0 {
		return // too late
	}
	lost := false
	o.begun = true
	if len(o.held) == 0 {
		o.since = now
	}
	o.held[m.Seq] = m
	for len(o.held) > 0 {
		if next, ok := o.held[o.next]; ok {
			delete(o.held, o.next)
			o.next++
			o.since = now
			f(next, lost)
			lost = false
			continue
		}
		if now.Sub(o.since) < patience && len(o.held) < maxHeld {
			return
		}
		for o.held[o.next].Payload == nil {
			o.next++
		}
		lost = true
	}
}
