package meet

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/compose"
	"bridgehead/core/forward"
	"bridgehead/core/mix"
)

// party is someone in the meeting or its waiting room. It is owned by the
// meeting's goroutine; the seat is the part that others touch.
type party struct {
	leg     core.Leg
	info    core.Info // as of the last Changed
	name    string
	role    core.Role
	state   core.State
	awaits  core.Awaits // while it waits
	joined  time.Time
	hand    bool
	video   bool // muted
	mutedBy string
	prefer  core.Codec // of its pictures, as it was last told
	seat    *seat
	out     *mix.Output
	sub     *forward.Subscriber
	keys    keypad
	layout  compose.Layout // its own choice; empty: the meeting's
	writes  *rate.Limiter
}

// seat is the party's place; a new one is made whenever the party moves.
type seat struct {
	m       *Meeting
	p       *party
	open    bool // media is taken; false in the waiting room
	pending atomic.Int32
	left    atomic.Bool

	mu      sync.Mutex // guards the rest; held for no call out
	gone    bool
	muted   bool // microphone
	covered bool // camera
	floor   bool // may show its screen
	sinks   map[core.Track]core.Sink
}

// maxPending bounds what one party may have waiting in the owner's queue.
const maxPending = 64

// maxTracks bounds what one party may publish: a microphone, three layers of a
// camera, three of a screen, and the same again while renegotiating.
const maxTracks = 16

// Publish gives the track a place. Before acceptance that is nowhere.
func (s *seat) Publish(t core.Track) (core.Sink, error) {
	if !s.open {
		return core.Discard, nil
	}
	t.Party = s.p.info.ID
	s.mu.Lock()
	if s.gone || len(s.sinks) >= maxTracks {
		s.mu.Unlock()
		return nil, core.Reason{Code: core.Normal, Detail: "the seat is left, or publishes too many tracks"}
	}
	old := s.sinks[t]
	delete(s.sinks, t)
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	sink, err := s.place(t)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		sink.Close()
		return nil, core.Reason{Code: core.Normal, Detail: "the seat is left"}
	}
	s.sinks[t] = sink
	s.restrain(sink)
	s.mu.Unlock()
	s.m.stirred.Store(true)
	s.m.queue.put(func() {
		s.m.dirty = true
		if t.Source == core.Screen {
			s.m.askFloor(s)
		}
	})
	return &published{Sink: sink, seat: s, track: t}, nil
}

// published forgets the track when its publisher closes it.
type published struct {
	core.Sink
	seat  *seat
	track core.Track
}

// Warm implements [core.Warmer].
func (p *published) Warm() { core.Warm(p.Sink) }

// Meter implements [core.Metered].
func (p *published) Meter() core.Meter {
	if k, ok := p.Sink.(core.Metered); ok {
		return k.Meter()
	}
	return core.Meter{Level: audio.Silence, Loudest: audio.Silence}
}

func (p *published) Close() error {
	s := p.seat
	s.mu.Lock()
	if s.sinks[p.track] == p.Sink {
		delete(s.sinks, p.track)
	}
	s.mu.Unlock()
	s.m.queue.put(func() {
		s.m.dirty = true
		if p.track.Source == core.Screen && !s.publishes(core.Screen) {
			s.m.releaseFloor(s)
		}
	})
	return p.Sink.Close()
}

// place makes the way of a track through the bridge.
func (s *seat) place(t core.Track) (core.Sink, error) {
	if t.Source.Kind() == core.Video {
		leg := s.p.leg
		sink := s.m.router.Publish(t, func(k core.NeedKeyframe) { leg.Signal(k) })
		return &picture{Sink: sink, source: t.Source}, nil
	}
	info := s.p.leg.Info()
	in, err := s.m.mixer.AddInput(mix.InputOptions{
		Party: info.ID, Codec: t.Codec, Forwarded: info.Forwarded, AGC: info.Phone,
		DetectDigits: info.InbandDigits, OnDigit: func(k byte) { s.Signal(core.Digit{Key: k, Via: "inband"}) },
	})
	if err != nil {
		return nil, core.Reason{Code: core.Incompatible, Say: "Your sound cannot be understood.", Detail: fmt.Sprintf("microphone of %s: %v", info.ID, err)}
	}
	mic := &microphone{in: in}
	if info.Forwarded {
		mic.forwarded = s.m.router.Publish(t, func(core.NeedKeyframe) {})
	}
	return mic, nil
}

// microphone takes a party's sound to the mixer and, unmixed, to those who can
// take it so. Muted, it takes it nowhere.
type microphone struct {
	in        *mix.Input
	forwarded core.Sink
	muted     atomic.Bool
}

func (m *microphone) Write(p *core.Packet) error {
	if m.forwarded != nil && !m.muted.Load() {
		_ = m.forwarded.Write(p)
	}
	return m.in.Write(p)
}

// Warm implements [core.Warmer].
func (m *microphone) Warm() { m.in.Warm() }

// Meter implements [core.Metered].
func (m *microphone) Meter() core.Meter { return m.in.Meter() }

func (m *microphone) Close() error {
	if m.forwarded != nil {
		m.forwarded.Close()
	}
	return m.in.Close()
}

func (m *microphone) mute(on bool) {
	m.muted.Store(on)
	m.in.Mute(on)
	if f, ok := m.forwarded.(*forward.Mic); ok {
		f.Mute(on)
	}
}

// picture stops a covered camera, and a screen without the floor.
type picture struct {
	core.Sink
	source  core.Source
	covered atomic.Bool
}

func (p *picture) Write(pkt *core.Packet) error {
	if p.covered.Load() {
		return nil
	}
	return p.Sink.Write(pkt)
}

func (s *seat) mute(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = on
	for _, k := range s.sinks {
		s.restrain(k)
	}
}

func (s *seat) cover(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.covered = on
	for _, k := range s.sinks {
		s.restrain(k)
	}
}

// restrain has a track obey the seat's mutes, one published after them too.
// s.mu is held.
func (s *seat) restrain(k core.Sink) {
	switch k := k.(type) {
	case *microphone:
		k.mute(s.muted)
	case *picture:
		k.covered.Store(k.source == core.Camera && s.covered || k.source == core.Screen && !s.floor)
	}
}

// sources that the party publishes now.
func (s *seat) sources() (list []core.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range []core.Source{core.Microphone, core.Camera, core.Screen} {
		if s.has(src) && (src != core.Screen || s.floor) {
			list = append(list, src)
		}
	}
	return list
}

// has tells whether a source is published. s.mu is held.
func (s *seat) has(src core.Source) bool {
	for t := range s.sinks {
		if t.Source == src {
			return true
		}
	}
	return false
}

func (s *seat) publishes(src core.Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(src)
}

// present lets the seat's screen be seen, or not.
func (s *seat) present(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = on
	for _, k := range s.sinks {
		s.restrain(k)
	}
}

// Signal queues an event of the party. One that floods loses events.
func (s *seat) Signal(e core.Event) {
	if s.pending.Add(1) > maxPending {
		s.pending.Add(-1)
		return
	}
	if !s.m.queue.put(func() { s.pending.Add(-1); s.m.event(s, e) }) {
		s.pending.Add(-1)
	}
}

// Leave frees the seat at once, so that no more of the party's media is taken,
// and tells the meeting.
func (s *seat) Leave(r core.Reason) {
	s.vacate()
	if !s.left.Swap(true) {
		s.m.queue.put(func() { s.m.left(s, r) })
	}
}

// vacate ends all that the seat publishes, and takes nothing more.
func (s *seat) vacate() {
	s.mu.Lock()
	sinks := s.sinks
	s.gone, s.sinks = true, nil
	s.mu.Unlock()
	for _, k := range sinks {
		k.Close()
	}
}

// shows: the party has a screen, or pictures at least.
func (p *party) shows() bool {
	i := &p.info
	return i.Forwarded || len(i.Video) > 0 || len(i.Content) > 0
}

// view is the party as the roster shows it.
func (p *party) view() core.Party {
	return core.Party{
		ID: p.info.ID, Name: p.name, Address: p.info.Address, Protocol: p.info.Protocol, Direction: p.info.Direction,
		Phone: p.info.Phone, State: p.state, Role: p.role, AudioMuted: p.muted(), VideoMuted: p.video,
		HandRaised: p.hand, Security: p.info.Security, Stir: p.info.Stir, Sources: p.seat.sources(), Joined: p.joined, MutedByHost: p.mutedBy != "", Awaits: p.awaits,
	}
}

func (p *party) muted() bool {
	p.seat.mu.Lock()
	defer p.seat.mu.Unlock()
	return p.seat.muted
}
