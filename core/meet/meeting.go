// Package meet is the meeting: who is in it, who may come in, who hears and
// sees whom, and what a host may do. One goroutine owns each meeting; parties,
// the API and the media clock queue their wishes to it. Media never passes it.
//
// The rules that every protocol must obey are here and nowhere else: a party
// that waits for acceptance sits where nothing it says is taken and nothing of
// the meeting is sent; passcodes have become roles before a leg arrives.
package meet

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/compose"
	"bridgehead/core/forward"
	"bridgehead/core/mix"
)

// Admission is how newcomers get in.
type Admission string

// The ways of admission.
const (
	Open      Admission = "open"
	Accept    Admission = "accept"     // a host accepts or rejects each guest
	AcceptAny Admission = "accept-any" // whoever is inside does
	Known     Admission = "known"      // a host does, but who has proved to be an account or a device comes in
)

// Settings of a meeting, which may change while it runs.
type Settings struct {
	Number          string
	Name            string
	Owner           string // the account whose meeting it is, as changes name it; may be empty
	Admission       Admission
	EncryptedOnly   bool // refuses clear legs
	MaxParticipants int  // 0: no limit but the machine's
	WaitForHost     bool // guests hear music until a host is there
	MuteOnEntry     bool // guests come in muted, and may unmute themselves
	Quiet           bool // comings and goings are not announced
	// KeepFloor: who presents stays until done; else whoever wants to takes
	// over, but no guest from a host.
	KeepFloor bool
	// Layout of the picture for those who show one only; empty: compose.Speaker.
	Layout compose.Layout
}

// Voice gives the meeting its prompts.
type Voice interface {
	// Say finds the clips of a prompt; unknown names give none.
	Say(name string) []*mix.Clip
	// Count speaks a number.
	Count(n int) []*mix.Clip
	// Spell reads the digits of an address, one by one.
	Spell(address string) []*mix.Clip
	// Music is what those who wait hear.
	Music() *mix.Clip
}

// Options of [New].
type Options struct {
	Settings
	Clock *clock.Clock
	Voice Voice
	// Composer makes the pictures of those who show one only; nil: who speaks is
	// switched.
	Composer *compose.Composer
	// Dial calls an address and joins who answers through the room given. by
	// is the party that asked, nil for the API.
	Dial func(to, name string, by *core.Info, into core.Room) (core.Leg, error)
	// Chat follows what is written; nil: everybody may write, and nobody keeps it.
	Chat Chat
	// Notify is told of every change; it must not block.
	Notify func(Change)
	// Closed is called once when the meeting is over.
	Closed func()
	Log    *slog.Logger
}

// Change is something that happened in a meeting.
type Change struct {
	Meeting string      `json:"meeting"`
	Owner   string      `json:"-"`
	What    string      `json:"what"` // joined, left, waiting, changed, locked, unlocked, ended
	Party   core.Party  `json:"party"`
	Reason  core.Reason `json:"reason"`
	// User is the account or device that the party has proved to be.
	User string `json:"-"`
}

// Meeting is a live meeting.
type Meeting struct {
	opt     Options
	log     *slog.Logger
	mixer   *mix.Mixer      // of those inside
	lobby   *mix.Mixer      // music for those who wait; has no inputs, ever
	router  *forward.Router // what is forwarded unmixed
	foyer   *forward.Router // the screen of those who wait; has no sources, ever
	unclock []func()
	steps   int         // counted by the clock
	stirred atomic.Bool // the forwarder has something new to decide

	queue queue
	done  chan struct{}

	// Owned by the run goroutine:
	set      Settings
	parties  []*party // by arrival
	locked   bool
	muteAll  bool
	over     bool
	layout   compose.Layout
	moved    bool // what composed pictures say of people may be otherwise
	dirty    bool // the roster changed since it was last sent
	sentAt   time.Duration
	floor    *party      // who presents
	said     []core.Text // in writing, since the meeting was last empty
	speaking string      // what was last sent, to send changes only
	looks    int

	announced   bool
	announcedAt time.Duration
}

// New starts a meeting. It runs until [Meeting.End], or [Meeting.CloseIfEmpty].
func New(opt Options) *Meeting {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Notify == nil {
		opt.Notify = func(Change) {}
	}
	log := opt.Log.With("meeting", opt.Number)
	m := &Meeting{
		opt: opt, log: log, set: opt.Settings, done: make(chan struct{}),
		mixer:  mix.New(mix.Options{Log: log}),
		lobby:  mix.New(mix.Options{Log: log}),
		router: forward.New(forward.Options{Composer: opt.Composer, Log: log}),
		foyer:  forward.New(forward.Options{Composer: opt.Composer, Log: log}),
	}
	m.arrange(opt.Layout)
	m.queue.ready = make(chan struct{}, 1)
	m.lobby.Music(opt.Voice.Music(), true)
	m.unclock = []func(){opt.Clock.Mix(m)}
	go m.run()
	return m
}

// Name is the meeting's number.
func (m *Meeting) Name() string { return m.opt.Number }

const (
	routerEvery = 5  // frames between the forwarder's decisions: 100 ms
	levelsEvery = 10 // frames between two looks at who speaks: 200 ms
)

// Step is called by the media clock once a frame.
func (m *Meeting) Step(now time.Duration) {
	m.mixer.Step(now)
	m.lobby.Step(now)
	m.steps++
	if m.steps%routerEvery == 0 || m.stirred.Swap(false) {
		m.router.Step(now)
		m.foyer.Step(now)
	}
	if m.steps%levelsEvery == 0 {
		m.queue.put(func() { m.tellSpeaking(now) })
	}
}

// run owns the meeting.
func (m *Meeting) run() {
	defer m.close()
	for !m.over {
		<-m.queue.ready
		var rush core.Yielder
		for _, f := range m.queue.take() {
			rush.Yield()
			m.one(f)
		}
		m.tellFormat()
		m.present()
		m.tellRoster(core.Now())
	}
}

// one survives a fault in what it runs: a bad call never ends a meeting.
func (m *Meeting) one(f func()) {
	defer func() {
		if r := recover(); r != nil {
			m.log.Error("fault in meeting", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
}

func (m *Meeting) close() {
	for _, f := range m.unclock {
		f()
	}
	m.mixer.Close()
	m.lobby.Close()
	m.router.Close()
	m.foyer.Close()
	close(m.done)
	m.queue.shut()
	if m.opt.Closed != nil {
		m.opt.Closed()
	}
}

// do runs f in the meeting and waits for it; false when the meeting is over.
func (m *Meeting) do(f func()) bool {
	ran := make(chan struct{})
	if !m.queue.put(func() { defer close(ran); f() }) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-m.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}

// Update changes the settings; those inside stay.
func (m *Meeting) Update(s Settings) {
	m.do(func() {
		if m.set != s {
			if m.set.Layout != s.Layout {
				m.arrange(s.Layout)
			}
			m.set, m.dirty = s, true
			m.begin()
		}
	})
}

// Settings as they are now.
func (m *Meeting) Settings() (s Settings, locked bool) {
	m.do(func() { s, locked = m.set, m.locked })
	return s, locked
}

// End hangs up on everybody and closes the meeting.
func (m *Meeting) End(r core.Reason) {
	m.do(func() { m.end(r) })
}

func (m *Meeting) end(r core.Reason) {
	for _, p := range m.parties {
		p.leg.Hangup(r)
	}
	m.over = true
	m.notify(Change{What: "ended", Reason: r})
}

// Hangup ends the call of one party, if it is here.
func (m *Meeting) Hangup(party string, r core.Reason) {
	m.do(func() {
		if p := m.find(party); p != nil {
			p.leg.Hangup(r)
		}
	})
}

// CloseIfEmpty closes a meeting that nobody is in, and tells whether it did.
func (m *Meeting) CloseIfEmpty() bool {
	closed := false
	ran := m.do(func() {
		if len(m.parties) == 0 {
			m.over, closed = true, true
		}
	})
	return closed || !ran
}

// Done is closed when the meeting is over.
func (m *Meeting) Done() <-chan struct{} { return m.done }

// Door is the way into the meeting in a role.
func (m *Meeting) Door(role core.Role) core.Room { return door{m, role, false} }

// DoorFor is the way in for one whom a member has called: it is not asked to
// wait for acceptance, nor stopped by the lock.
func (m *Meeting) DoorFor(role core.Role) core.Room { return door{m, role, true} }

type door struct {
	m       *Meeting
	role    core.Role
	invited bool
}

func (d door) Name() string { return d.m.opt.Number }

// Join seats the leg in the meeting or its waiting room, or refuses it.
func (d door) Join(_ context.Context, leg core.Leg) error {
	err := error(core.Reason{Code: core.NotFound, Say: "This meeting is over.", Detail: "meeting " + d.m.opt.Number + " is over"})
	d.m.do(func() { err = d.m.join(leg, d) })
	return err
}

// queue holds what is waiting for the owner. It never blocks who puts; what
// may be put in numbers is bounded by each seat.
type queue struct {
	mu     sync.Mutex
	items  []func()
	closed bool
	ready  chan struct{}
}

func (q *queue) put(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.items = append(q.items, f)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

func (q *queue) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

func (q *queue) shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.items = true, nil
}
