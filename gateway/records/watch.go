package records

import (
	"context"
	"slices"
	"sync"
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
	l := &watchedLeg{Leg: leg, book: w.book, id: leg.Info().ID}
	w.book.reached(l)
	err := w.Room.Join(ctx, l)
	if err != nil {
		w.book.End(leg.Info(), core.ReasonOf(err))
	}
	return err
}

// reached notes that a call has reached a room, and keeps its record so far:
// should the process be killed, the call is not forgotten.
func (b *Book) reached(l *watchedLeg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone[l.id] || b.older[l.id] || b.joined[l.id] != nil {
		return
	}
	b.joined[l.id] = l
	b.keep(l.id)
}

// keep writes an open record as it is now. Called with b.mu held.
func (b *Book) keep(id string) {
	if c := b.open[id]; c != nil {
		now := *c
		now.Ladder, now.Media = slices.Clone(c.Ladder), slices.Clone(c.Media)
		b.queue(now)
	}
}

// watchedLeg sees when the party leaves, and for what reason it was told to; and
// what it and its room tell one another of sound and keys.
type watchedLeg struct {
	core.Leg
	book *Book
	id   string
	told atomic.Pointer[core.Reason]

	mu     sync.Mutex // held for no call out
	voice  core.Metered
	before core.Meter // of the voices before this one
	keys   map[string]int
	held   bool
	mute   bool
	course course
}

func (l *watchedLeg) Sit(s core.Seat) { l.Leg.Sit(watchedSeat{s, l}) }

// Signal writes into the ladder what the party is told of its picture and
// microphone.
func (l *watchedLeg) Signal(e core.Event) {
	switch e := e.(type) {
	case core.Notice:
		if e.Code == core.PictureNotice {
			l.step("picture", e.Text)
		}
	case core.Mute:
		l.muted(e)
	}
	l.Leg.Signal(e)
}

// muted writes into the ladder that the microphone is, or is no more.
func (l *watchedLeg) muted(e core.Mute) {
	if e.Source != core.Microphone {
		return
	}
	l.mu.Lock()
	news := l.mute != e.On
	l.mute = e.On
	l.mu.Unlock()
	if news {
		l.step("media", map[bool]string{true: "muted", false: "unmuted"}[e.On]+map[bool]string{true: " by a host"}[e.By != ""])
	}
}

func (l *watchedLeg) step(what, text string) {
	l.book.Step(l.id, store.Step{What: what, Text: text})
}

func (l *watchedLeg) Hangup(r core.Reason) {
	l.told.CompareAndSwap(nil, &r)
	l.Leg.Hangup(r)
}

type watchedSeat struct {
	core.Seat
	leg *watchedLeg
}

// Publish notes who listens to the party's sound.
func (s watchedSeat) Publish(t core.Track) (core.Sink, error) {
	sink, err := s.Seat.Publish(t)
	if t.Source == core.Microphone && err == nil {
		s.leg.publishes(sink)
	}
	return sink, err
}

func (l *watchedLeg) publishes(sink core.Sink) {
	voice, _ := sink.(core.Metered)
	l.mu.Lock()
	old := l.voice
	l.voice = voice
	l.mu.Unlock()
	if old == nil {
		return
	}
	was := old.Meter()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = together(l.before, was)
}

// maxKinds bounds the ways that keys may come.
const maxKinds = 8

// Signal counts keys, and writes holds into the ladder.
func (s watchedSeat) Signal(e core.Event) {
	l := s.leg
	switch e := e.(type) {
	case core.Digit:
		l.pressed(e.Via)
	case core.Mute:
		l.muted(e)
	case core.Hold:
		l.mu.Lock()
		l.held = e.On
		l.mu.Unlock()
		l.step("media", map[bool]string{true: "the peer holds the call", false: "the peer takes the call up again"}[e.On])
	}
	s.Seat.Signal(e)
}

func (l *watchedLeg) pressed(via string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]int{}
	}
	if _, known := l.keys[via]; !known && len(l.keys) < maxKinds {
		l.keys[via] = 0
	}
	if n, known := l.keys[via]; known {
		l.keys[via] = n + 1
	}
}

func (s watchedSeat) Leave(r core.Reason) {
	if told := s.leg.told.Load(); told != nil {
		r = *told
	}
	s.leg.book.End(s.leg.Info(), r)
	s.Seat.Leave(r)
}
