package h323

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/cache"
	"bridgehead/core/edge"
	"bridgehead/h323/control"
)

// callState is where a call's H.225.0 signalling stands (H.225.0 §7.4, after
// Q.931 §2.1).
type callState uint8

const (
	callPresent      callState = iota // called: SETUP came
	overlapReceiving                  // called: more digits are to come
	incomingProceeding
	callReceived  // called: ALERTING sent
	callInitiated // calling: SETUP sent
	outgoingProceeding
	callDelivered // calling: ALERTING came
	active
	over
)

// q931 numbers of the states, for STATUS.
var stateNumbers = [...]uint8{callPresent: 6, overlapReceiving: 25, incomingProceeding: 9, callReceived: 7,
	callInitiated: 1, outgoingProceeding: 3, callDelivered: 4, active: callStateActive}

// leg is one call. All fields but those marked are touched only by functions
// posted to its box.
type leg struct {
	e   *Edge
	box edge.Mailbox
	log *slog.Logger
	out bool
	to  string // called number, fit for logs

	s      *stream
	ref    uint16
	callID [16]byte
	confID [16]byte
	state  callState
	timers edge.Timers
	reason core.Reason
	admit  admission

	traversal traversal

	security    security
	machine     *control.Machine
	carrier     carrier
	fast        fastConnect
	media       map[core.Source]*medium
	content     content
	keys        keyFilter
	held        bool
	joined      bool // the room has been asked, or will not be
	controlled  bool // H.245 works; until then keys may come as tones only
	unsignalled bool // the call signalling connection was lost, and the call goes on
	waiting     func()
	incoming    incoming
	outgoing    *outgoing
	seat        core.Seat

	epoch   atomic.Uint32          // counts changes of the codec sent with
	stopped atomic.Bool            // the main picture, by the peer's flow control
	audio   atomic.Pointer[medium] // of the microphone; read by anyone
	picture atomic.Pointer[medium] // of the camera; read by anyone
	mu      sync.Mutex             // guards info and codec
	info    core.Info
	codec   string // last sent with; stays in the record when the channels are closed
}

var _ core.Leg = (*leg)(nil)

func newID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

func (e *Edge) newLeg(s *stream, ref uint16, out bool) *leg {
	l := &leg{e: e, s: s, ref: ref, out: out, media: map[core.Source]*medium{}}
	id := newID()
	l.info = core.Info{ID: hex.EncodeToString(id[:10]), Protocol: core.H323, Direction: core.In, InbandDigits: true,
		Security: core.Security{Signalling: "clear", Media: "clear"}}
	if out {
		l.info.Direction = core.Out
	}
	if s != nil {
		l.carriedBy(s)
	}
	l.log = e.log.With("leg", l.info.ID)
	l.box.Crew = &e.crew
	l.box.Fail = func(r any) {
		e.counters.Panics.Add(1)
		l.log.Error("H.323 call failed", "panic", r, "stack", string(debug.Stack()))
		l.Hangup(core.Reason{Code: core.Failure, Detail: fmt.Sprint(r)})
	}
	return l
}

// carriedBy notes the connection that carries the call.
func (l *leg) carriedBy(s *stream) {
	l.s = s
	l.info.Source = s.remote.Addr()
	if s.secure() {
		l.info.Security.Signalling = "tls"
	}
}

// Info implements [core.Leg].
func (l *leg) Info() core.Info {
	l.mu.Lock()
	i, codec := l.info, l.codec
	l.mu.Unlock()
	if m := l.audio.Load(); m != nil {
		i.AudioStats, i.RTT = m.session.Stats(), m.session.RTT()
		i.AudioStats.Codec = codec
	}
	if m := l.picture.Load(); m != nil {
		i.VideoStats = m.session.Stats()
	}
	return i
}

func (l *leg) update(f func(*core.Info)) {
	l.mu.Lock()
	f(&l.info)
	l.mu.Unlock()
}

// Sit implements [core.Leg].
func (l *leg) Sit(s core.Seat) { l.box.Post(func() { l.sit(s) }) }

func (l *leg) sit(s core.Seat) {
	if l.state == over {
		s.Leave(l.reason)
		return
	}
	l.seat = s
	l.content.Reseated()
	if !l.out && l.state != active {
		// Behind what the room has posted already: if that is the answer,
		// early media is no more needed.
		l.box.Post(l.early)
	}
	l.publish()
	if l.held {
		s.Signal(core.Hold{On: true})
	}
}

// Subscribe implements [core.Leg].
func (l *leg) Subscribe(t core.Track) (core.Sink, error) {
	l.mu.Lock()
	audio, video := l.info.Audio, l.info.Video
	l.mu.Unlock()
	switch {
	case t.Source == core.Screen:
		return l.present(t)
	case t.Source == core.Stage && (len(video) == 0 || !sameCodec(t.Codec, video[0])):
		return nil, core.Reason{Code: core.Incompatible, Detail: "h323: the party takes no such picture now"}
	case t.Source == core.Stage: // its channel is open, so the medium is there
		return &display{l: l, m: l.picture.Load()}, nil
	case t.Source.Kind() != core.Audio:
		return nil, core.Reason{Code: core.Incompatible, Detail: "h323: the party is sent the stage and content only"}
	case audio.Name == "":
		return nil, core.Reason{Code: core.Incompatible, Detail: "h323: the party takes no sound now"}
	case !sameCodec(t.Codec, audio):
		return nil, core.Reason{Code: core.Incompatible, Detail: "h323: the channel uses " + audio.Name}
	}
	return &earpiece{l: l, m: l.audio.Load(), epoch: l.epoch.Load()}, nil
}

func sameCodec(a, b core.Codec) bool {
	return strings.EqualFold(a.Name, b.Name) && a.ClockRate == b.ClockRate
}

// earpiece is where a room writes what the party hears. It ends when the
// channel closes; the room then subscribes anew.
type earpiece struct {
	l      *leg
	m      *medium
	epoch  uint32
	closed atomic.Bool
}

var errStale = errors.New("h323: the channel has been closed")

// Write implements [core.Sink].
func (s *earpiece) Write(p *core.Packet) error {
	if s.closed.Load() {
		return io.ErrClosedPipe
	}
	if s.m == nil || s.epoch != s.l.epoch.Load() {
		return errStale
	}
	return s.m.session.Write(p)
}

// Warm implements [core.Warmer].
func (s *earpiece) Warm() {
	if s.m != nil {
		cache.Fetch(&s.l.epoch)
		s.m.session.Warm()
	}
}

// Close implements [core.Sink].
func (s *earpiece) Close() error {
	s.closed.Store(true)
	return nil
}

// display is where a room writes what the party sees.
type display struct {
	l      *leg
	m      *medium
	closed atomic.Bool
}

// Write implements [core.Sink]. Where no channel is open, nothing is sent.
func (d *display) Write(p *core.Packet) error {
	switch {
	case d.closed.Load():
		return io.ErrClosedPipe
	case d.l.stopped.Load():
		return nil
	}
	return d.m.session.Write(p)
}

// Close implements [core.Sink].
func (d *display) Close() error {
	d.closed.Store(true)
	return nil
}

// Signal implements [core.Leg]. What a room system can't show is ignored.
func (l *leg) Signal(ev core.Event) {
	switch ev := ev.(type) {
	case core.Answer:
		l.box.Post(l.answer)
	case core.Ringing:
		l.box.Post(l.ringing)
	case core.Digit:
		l.box.Post(func() { l.machine.Digit(ev.Key) })
	case core.NeedKeyframe:
		l.box.Post(func() {
			if m := l.media[ev.Track.Source]; m != nil && l.state != over {
				l.machine.FastUpdate(m.in)
			}
		})
	case core.Mute:
		if ev.Source == core.Screen && ev.On {
			l.box.Post(func() { l.machine.StopContent() })
		}
	case core.Floor:
		if !ev.On {
			l.box.Post(func() { l.machine.StopContent() })
		}
	case core.Roster:
		l.box.Post(func() { l.roster(ev.Parties) })
	}
}

// Hangup implements [core.Leg].
func (l *leg) Hangup(r core.Reason) { l.box.Post(func() { l.hangup(r) }) }

// hangup ends the call from our side (H.323 §8.5): the control channel's
// session first, then RELEASE COMPLETE.
func (l *leg) hangup(r core.Reason) {
	if l.state == over {
		return
	}
	answered := l.state == active
	l.machine.End()
	if l.s != nil {
		m := l.e.released(l.ref, !l.out, l.callID[:], r, 0)
		l.send(m)
	}
	if !answered && !l.out {
		l.e.counters.Refused.Add(1)
	}
	l.ended(r)
}

// after runs f in the box after d, unless the call is over.
func (l *leg) after(d time.Duration, f func()) (stop func()) { return l.timers.After(&l.box, d, f) }

// ended releases all that the call holds. It runs once.
func (l *leg) ended(r core.Reason) {
	if l.state == over {
		return
	}
	was := l.state
	l.state, l.reason = over, r
	l.timers.Stop()
	l.epoch.Add(1)
	if l.incoming.cancel != nil {
		l.incoming.cancel()
	}
	info := l.Info()
	l.unproject()
	for _, m := range l.media {
		m.close()
	}
	l.carrier.close()
	l.disengage(r)
	// Before the room hears of it, so that the record has the final status.
	kind := edge.Ended
	if was == callPresent && !l.out { // never begun
		kind = edge.Refused
	}
	l.e.trace(l.event(edge.TraceEvent{Kind: kind, Reason: r, Status: l.status(was, r), Info: info}))
	if l.seat != nil {
		l.seat.Leave(r)
	}
	if l.out && l.outgoing != nil {
		l.outgoing.failed(l, r)
	}
	if l.s != nil {
		l.s.release(l)
	}
	l.e.leave(l)
	if !l.out && l.s != nil {
		l.e.guard.callers.Leave(l.s.remote.Addr())
	}
	l.log.Info("H.323 call ended", "reason", r.Error(), "answered", was == active)
}

// status is the Q.850 cause that a call ends with; 0 after an answer.
func (l *leg) status(was callState, r core.Reason) int {
	if was == active {
		return 0
	}
	return int(outcomeOf(r.Code).cause)
}

// signallingLost: the connection is gone. A call whose H.245 has a connection
// of its own goes on (H.323 §7.3.1 lets the other be closed); else nobody is
// there any more.
func (l *leg) signallingLost() {
	if l.state == over {
		return
	}
	if l.state == active && l.carrier.separate() {
		l.unsignalled = true
		l.note("the call signalling connection was closed; the call goes on over its H.245 connection")
		return
	}
	r := l.lost()
	if l.out && l.state != active {
		r.Code = core.Unreachable
	}
	l.ended(r)
}

// note writes a line into the call's ladder.
func (l *leg) note(text string) {
	l.log.Info("H.323 call: " + text)
	l.e.trace(l.event(edge.TraceEvent{Kind: edge.Alarm, Text: text}))
}

// String keeps keys out of what prints a leg by accident.
func (l *leg) String() string { return l.info.ID }

// join leads the call into its room, once.
func (l *leg) join() {
	if l.joined || l.state == over || l.waiting == nil {
		return
	}
	l.joined = true
	f := l.waiting
	l.waiting = nil
	f()
}

// into asks the room, off the call's own goroutine.
func (l *leg) into(ctx context.Context, room core.Room) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				l.box.Fail(r)
			}
		}()
		if err := room.Join(ctx, l); err != nil {
			l.Hangup(core.ReasonOf(err))
		}
	}()
}
