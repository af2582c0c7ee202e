package records

import (
	"context"
	"slices"
	"sync/atomic"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// Watch gives back the room with every leg that joins it recorded to its end.
func (b *Book) Watch(room core.Room) core.Room { return watchedRoom{room, b} }

type watchedRoom struct {
	core.Room
	book *Book
}

func (w watchedRoom) Join(ctx context.Context, leg core.Leg) error {
	if _, already := leg.(*watchedLeg); already {
		return w.Room.Join(ctx, leg)
	}
	w.book.reached(leg.Info().ID)
	l := &watchedLeg{Leg: leg, book: w.book}
	err := w.Room.Join(ctx, l)
	if err != nil {
		w.book.End(leg.Info(), core.ReasonOf(err))
	}
	return err
}

// reached notes that a call has reached a room, and keeps its record so far:
// should the process be killed, the call is not forgotten.
func (b *Book) reached(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone[id] || b.older[id] || b.joined[id] {
		return
	}
	b.joined[id] = true
	b.keep(id)
}

// keep writes an open record as it is now. Called with b.mu held.
func (b *Book) keep(id string) {
	if c := b.open[id]; c != nil {
		now := *c
		now.Ladder = slices.Clone(c.Ladder)
		b.queue(now)
	}
}

// watchedLeg sees when the party leaves, and for what reason it was told to.
type watchedLeg struct {
	core.Leg
	book *Book
	told atomic.Pointer[core.Reason]
}

func (l *watchedLeg) Sit(s core.Seat) { l.Leg.Sit(watchedSeat{s, l}) }

// Signal writes into the ladder what the party is told of its picture.
func (l *watchedLeg) Signal(e core.Event) {
	if n, ok := e.(core.Notice); ok && n.Code == core.PictureNotice {
		l.book.Step(l.Leg.Info().ID, store.Step{What: "picture", Text: n.Text})
	}
	l.Leg.Signal(e)
}

func (l *watchedLeg) Hangup(r core.Reason) {
	l.told.CompareAndSwap(nil, &r)
	l.Leg.Hangup(r)
}

type watchedSeat struct {
	core.Seat
	leg *watchedLeg
}

func (s watchedSeat) Leave(r core.Reason) {
	if told := s.leg.told.Load(); told != nil {
		r = *told
	}
	s.leg.book.End(s.leg.Info(), r)
	s.Seat.Leave(r)
}
