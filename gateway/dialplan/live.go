package dialplan

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/compose"
	"bridgehead/core/meet"
	"bridgehead/gateway/store"
)

// Live holds the meetings that run. A meeting starts when the first party
// comes and stops a while after the last has left.
type Live struct {
	store    *store.Store
	clock    *clock.Clock
	voice    meet.Voice
	composer *compose.Composer
	layout   compose.Layout // of meetings that say none
	log      *slog.Logger
	dial     func(to, name string, by *core.Info, into core.Room) (core.Leg, error)
	chat     meet.Chat
	notify   func(meet.Change)

	mu       sync.Mutex
	meetings map[string]*meet.Meeting
	shut     bool
	pairs    map[string]int // 1:1 calls by meeting, and how many have come
}

// linger is how long an empty meeting stays open, for those who were cut off.
const linger = 30 * time.Second

// Open finds a running meeting by its number, or starts the one that is kept.
func (l *Live) Open(ctx context.Context, number string) (*meet.Meeting, store.Meeting, error) {
	kept, err := l.store.Meeting(ctx, number)
	if err != nil {
		return nil, kept, core.Reason{Code: core.NotFound, Say: "There is no meeting with this number.", Detail: "no meeting " + number}
	}
	m, err := l.openKept(kept)
	return m, kept, err
}

// openKept is Open for who has read the meeting.
func (l *Live) openKept(kept store.Meeting) (*meet.Meeting, error) {
	number := kept.Number
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil, core.Reason{Code: core.Shutdown, Say: "The bridge is closing.", Detail: "shutting down"}
	}
	if m := l.meetings[number]; m != nil && !over(m) {
		return m, nil
	} else if m != nil && kept.OneTime() { // it is about to be deleted
		return nil, core.Reason{Code: core.NotFound, Say: "This meeting is over.", Detail: "one-time meeting " + number + " is over"}
	}
	var m *meet.Meeting
	m = meet.New(meet.Options{
		Settings: l.settings(kept), Clock: l.clock, Voice: l.voice, Composer: l.composer, Dial: l.dial, Chat: l.chat, Log: l.log,
		Notify: func(c meet.Change) { l.changed(m, c) },
		Closed: func() { go l.closed(m, kept) },
	})
	l.meetings[number] = m
	return m, nil
}

func over(m *meet.Meeting) bool {
	select {
	case <-m.Done():
		return true
	default:
		return false
	}
}

func (l *Live) settings(m store.Meeting) meet.Settings {
	return meet.Settings{Number: m.Number, Name: m.Name, Owner: m.Owner, Admission: meet.Admission(m.Admission), EncryptedOnly: m.EncryptedOnly, MaxParticipants: m.MaxParticipants,
		Layout: cmp.Or(compose.Layout(m.Layout), l.layout), KeepFloor: m.Presenting == "keep",
		WaitForHost: m.WaitForHost, MuteOnEntry: m.MuteOnEntry, Quiet: m.Quiet}
}

func (l *Live) changed(m *meet.Meeting, c meet.Change) {
	l.notify(c)
	if l.pairOver(c) {
		go m.End(core.Reason{Code: core.Normal, Say: "The other party has hung up.", Detail: "the other party hung up"})
		return
	}
	if c.What == "left" {
		time.AfterFunc(linger, func() { m.CloseIfEmpty() })
	}
}

// pair makes a meeting a 1:1 call, which is over when either side hangs up,
// unless a third has come before.
func (l *Live) pair(number string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairs[number] = 0
}

func (l *Live) pairOver(c meet.Change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, is := l.pairs[c.Meeting]
	switch {
	case !is:
	case c.What == "joined" && n == 2:
		delete(l.pairs, c.Meeting)
	case c.What == "joined":
		l.pairs[c.Meeting]++
	case c.What == "left":
		delete(l.pairs, c.Meeting)
		return true
	}
	return false
}

// EndLong hangs up on those who have been in a meeting for too long.
func (l *Live) EndLong(most time.Duration) {
	for _, m := range l.All() {
		for _, p := range m.Participants() {
			if time.Since(p.Joined) > most {
				m.Hangup(p.ID, core.Reason{Code: core.Ended, Say: "The longest time for a call is over.", Detail: "limits.call_minutes"})
			}
		}
	}
}

// closed forgets a meeting that is over; a one-time meeting is gone for good.
func (l *Live) closed(m *meet.Meeting, kept store.Meeting) {
	l.mu.Lock()
	shut := l.shut
	l.mu.Unlock()
	if kept.OneTime() && !shut {
		if err := l.store.RemoveMeeting(context.Background(), kept.Number); err != nil && err != store.ErrNotFound {
			l.log.Error("one-time meeting not deleted", "meeting", kept.Number, "error", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.meetings[kept.Number] == m {
		delete(l.meetings, kept.Number)
		delete(l.pairs, kept.Number)
	}
}

// Running finds a meeting that runs; nil if it does not.
func (l *Live) Running(number string) *meet.Meeting {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.meetings[number]; m != nil && !over(m) {
		return m
	}
	return nil
}

// All lists the meetings that run.
func (l *Live) All() (list []*meet.Meeting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.meetings {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *meet.Meeting) int {
		if a.Name() < b.Name() {
			return -1
		}
		return 1
	})
	return list
}

// Update gives a running meeting its new settings.
func (l *Live) Update(m store.Meeting) {
	if running := l.Running(m.Number); running != nil {
		running.Update(l.settings(m))
	}
}

// End ends a running meeting.
func (l *Live) End(number string, r core.Reason) {
	if m := l.Running(number); m != nil {
		m.End(r)
	}
}

// Shutdown ends all meetings.
func (l *Live) Shutdown() {
	l.mu.Lock()
	l.shut = true
	l.mu.Unlock()
	for _, m := range l.All() {
		m.End(core.Reason{Code: core.Shutdown, Say: "The bridge is closing.", Detail: "shutting down"})
	}
}
