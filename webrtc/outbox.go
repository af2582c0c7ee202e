package webrtc

import (
	"reflect"
	"sync"

	"bridgehead/core"
)

// slotsChanged stands in the outbox for the slots as they are when it is sent.
type slotsChanged struct{}

// outbox is the bounded queue to the client. Of what tells a whole state only
// the newest is kept, so a slow client gets fewer messages, not older ones.
type outbox struct {
	wake chan struct{}

	mu    sync.Mutex
	queue []any
	state map[reflect.Type]any // to be sent again after a resume
}

const maxQueue = 256

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), state: map[reflect.Type]any{}}
}

func (o *outbox) put(m any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := reflect.TypeOf(m)
	switch m.(type) {
	case core.Placed, core.Roster, core.Speaking, core.Prefer, slotsChanged:
		o.state[t] = m
		o.drop(t)
	case core.Levels, statsMsg, needSlotsMsg:
		o.drop(t)
	}
	if len(o.queue) >= maxQueue {
		o.queue = append(o.queue[:0], o.queue[1:]...)
	}
	o.queue = append(o.queue, m)
	o.signal()
}

func (o *outbox) drop(t reflect.Type) {
	for i, q := range o.queue {
		if reflect.TypeOf(q) == t {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			return
		}
	}
}

func (o *outbox) take() []any {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	o.queue = nil
	return q
}

// again queues the present state for a client that has come back.
func (o *outbox) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range []any{core.Placed{}, core.Roster{}, slotsChanged{}, core.Speaking{}, core.Prefer{}} {
		t := reflect.TypeOf(s)
		if m, ok := o.state[t]; ok {
			o.drop(t)
			o.queue = append(o.queue, m)
		}
	}
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
