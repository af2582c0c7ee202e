package sip

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
	"bridgehead/sip/sdp"
)

// session is what a leg uses of an rtpio.Session.
type session interface {
	core.Sink
	core.Warmer
	Port() int
	Start(rtpio.Flow) error
	Receive(core.Sink)
	SendDigits(string) error
	AskPicture(fir bool)
	Mark(dscp int)
	Stats() core.Stats
	RTT() time.Duration
}

// callState is where an INVITE's dialog stands.
type callState uint8

const (
	proceeding callState = iota // no final response yet
	answered                    // 2xx sent, its ACK not seen yet
	confirmed
	over
)

// leg is one call: a dialog (RFC 3261 12) and its media. All fields but those
// marked are touched only by functions posted to its box.
type leg struct {
	e     *Edge
	box   edge.Mailbox
	log   *slog.Logger
	out   bool
	trunk *trunk // nil: an endpoint
	to    string // called number, fit for logs

	callID    string
	localTag  string
	remoteTag string
	local     party
	remote    party
	target    uri   // the peer's Contact
	routes    []uri // of the dialog, nearest first
	seq       uint32
	remoteSeq uint32
	flow      *flow
	peer      map[siplib.RequestMethod]bool // what the peer's Allow lists
	login     *login

	state   callState
	incall  incoming
	outcall *outgoing
	refresh refresh
	ours    *clientTx // re-INVITE or UPDATE of ours under way
	theirs  *serverTx // re-INVITE of theirs without its ACK yet
	offered bool      // an offer of ours is out and has no answer yet
	timers  edge.Timers
	reason  core.Reason

	agent  sdp.Agent
	agreed *sdp.Agreed
	held   bool
	sink   core.Sink // where the party's sound goes, by the seat
	seat   core.Seat
	media  session // set before the leg is seen by anyone, then constant
	video  video
	// content beside the picture
	content content
	writing writing

	mu      sync.Mutex // guards what follows
	info    core.Info
	meeting string      // that the call is in; empty: none
	ears    []*earpiece // in use
}

// party is a From or To: display name and URI, without tag.
type party struct {
	name string
	uri  uri
}

var _ core.Leg = (*leg)(nil)

func (e *Edge) newLeg(callID string, out bool) *leg {
	l := &leg{e: e, out: out, callID: callID, localTag: newTag(), seq: rand.Uint32N(1 << 16)}
	l.info = core.Info{ID: e.nameLeg(callID, out), Protocol: core.SIP, Direction: core.In, Security: core.Security{Signalling: "clear", Media: "clear"}}
	if out {
		l.info.Direction = core.Out
	}
	l.log = e.log.With("leg", l.info.ID, "call", edge.Clean(callID, 80))
	l.box.Crew = &e.crew
	l.box.Fail = func(r any) {
		e.counters.Panics.Add(1)
		l.log.Error("SIP call failed", "panic", r, slog.String("stack", stack()))
		l.Hangup(core.Reason{Code: core.Failure, Detail: fmt.Sprint(r)})
	}
	return l
}

func newID() string { return siplib.GenerateTagN(20) }

// enlist makes the leg findable; false when the edge is full or closing.
func (e *Edge) enlist(l *leg) error {
	if err := e.enter(l); err != nil {
		return err
	}
	e.counters.Calls.Add(1)
	e.reveal(l.callID)
	return nil
}

func (e *Edge) enter(l *leg) error {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	switch {
	case e.closed:
		return core.Reason{Code: core.Shutdown, Detail: "shutting down"}
	case len(e.legs) >= e.opt.MaxCalls:
		return core.Reason{Code: core.Overload, Say: "All lines are busy.", Detail: fmt.Sprintf("%d calls at once", len(e.legs))}
	}
	e.legs[legKey(l.callID, l.localTag)] = l
	return nil
}

// Info implements [core.Leg].
func (l *leg) Info() core.Info {
	l.mu.Lock()
	i, video := l.info, l.video.media
	l.mu.Unlock()
	if video != nil {
		i.VideoStats = video.Stats()
	}
	if l.media != nil {
		i.AudioStats, i.RTT = l.media.Stats(), l.media.RTT()
		i.AudioStats.Codec = i.Audio.Name
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
	if l.state == proceeding && !l.out {
		l.startMedia()
		// Behind what the room has posted already: if that is the answer,
		// early media is no more needed.
		l.box.Post(l.early)
	}
	l.publish()
	if l.held {
		s.Signal(core.Hold{On: true})
	}
	l.tellVouched() // which the room may not have seen when it was joined
}

// publish offers the party's sound to the seat, anew.
func (l *leg) publish() {
	if l.seat == nil || l.agreed == nil {
		return
	}
	l.publishCamera()
	l.publishContent()
	codec := l.agreed.Codec
	if len(l.agreed.Receive) > 0 {
		codec = l.agreed.Receive[0]
	}
	l.publishAs(codec)
}

func (l *leg) publishAs(codec core.Codec) {
	old := l.sink
	sink, err := l.seat.Publish(core.Track{Party: l.info.ID, Source: core.Microphone, Codec: codec})
	if err != nil {
		l.log.Debug("seat takes no sound", "error", err)
		sink = nil
	}
	l.sink = sink
	switch {
	case sink == nil:
		l.media.Receive(nil)
	case l.agreed != nil && len(l.agreed.Receive) > 1:
		l.media.Receive(&microphone{l: l, to: sink, payload: codec.PayloadType})
	default:
		l.media.Receive(sink)
	}
	if old != nil {
		old.Close()
	}
}

// microphone watches for a peer that changes between the codecs agreed on.
type microphone struct {
	l        *leg
	to       core.Sink
	payload  uint8
	switched atomic.Bool
}

// Write implements [core.Sink].
func (m *microphone) Write(p *core.Packet) error {
	if p.Header.PayloadType == m.payload {
		return m.to.Write(p)
	}
	if pt := p.Header.PayloadType; !m.switched.Swap(true) {
		m.l.box.Post(func() { m.l.codecChanged(pt) })
	}
	return nil
}

// Warm implements [core.Warmer].
func (m *microphone) Warm() { core.Warm(m.to) }

// Close implements [core.Sink].
func (m *microphone) Close() error { return m.to.Close() }

func (l *leg) codecChanged(payload uint8) {
	if l.agreed == nil || l.seat == nil || l.state == over {
		return
	}
	for _, c := range l.agreed.Receive {
		if c.PayloadType == payload {
			l.publishAs(c)
			return
		}
	}
}

// Subscribe implements [core.Leg].
func (l *leg) Subscribe(t core.Track) (core.Sink, error) {
	l.mu.Lock()
	audio := l.info.Audio
	l.mu.Unlock()
	switch {
	case t.Source == core.Stage:
		return l.display(t.Codec)
	case t.Source == core.Screen:
		return l.present(t)
	case t.Source.Kind() != core.Audio:
		return nil, core.Reason{Code: core.Incompatible, Detail: "sip: of pictures the call carries the stage and content"}
	case audio.Name == "":
		return nil, core.Reason{Code: core.Incompatible, Detail: "sip: the party takes no sound now"}
	case !sameCodec(t.Codec, audio):
		return nil, core.Reason{Code: core.Incompatible, Detail: "sip: the call uses " + audio.Name}
	}
	ear := &earpiece{l: l, media: l.media}
	l.mu.Lock()
	l.ears = append(l.ears, ear)
	l.mu.Unlock()
	return ear, nil
}

// earpiece is where a room writes what the party hears. It ends when the call
// is negotiated to another codec; the room then subscribes anew. What a packet
// needs is all here: the leg is another place in memory, for each of hundreds.
type earpiece struct {
	media  session
	closed atomic.Bool
	stale  atomic.Bool
	l      *leg
}

var errStale = errors.New("sip: the call has changed its codec or ended")

// outdate ends all earpieces.
func (l *leg) outdate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.ears {
		s.stale.Store(true)
	}
	l.ears = nil
}

// Write implements [core.Sink].
func (s *earpiece) Write(p *core.Packet) error {
	if s.closed.Load() {
		return io.ErrClosedPipe
	}
	if s.stale.Load() {
		return errStale
	}
	return s.media.Write(p)
}

// Warm implements [core.Warmer].
func (s *earpiece) Warm() { s.media.Warm() }

// Close implements [core.Sink].
func (s *earpiece) Close() error {
	s.closed.Store(true)
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.ears = slices.DeleteFunc(s.l.ears, func(x *earpiece) bool { return x == s })
	return nil
}

// Signal implements [core.Leg]. What a phone can't show is ignored.
func (l *leg) Signal(ev core.Event) {
	switch ev := ev.(type) {
	case core.Answer:
		l.box.Post(l.answer)
	case core.Ringing:
		l.box.Post(l.ringing)
	case core.Digit:
		l.box.Post(func() { l.sendKey(ev.Key) })
	case core.NeedKeyframe:
		if ev.Track.Source == core.Screen {
			l.box.Post(l.askContent)
		} else {
			l.box.Post(l.askPicture)
		}
	case core.Floor:
		l.box.Post(func() { l.floorTold(ev) })
	case core.Mute:
		if ev.Source == core.Screen && ev.On {
			l.box.Post(func() { l.floorTold(core.Floor{}) })
		}
	case core.Placed:
		l.placedIn(ev)
	case core.Text:
		l.box.Post(func() { l.hears(ev) })
	case core.Roster:
		l.box.Post(func() {
			l.content.Roster(l.info.ID, ev.Parties)
			l.look()
		})
	}
}

// Hangup implements [core.Leg].
func (l *leg) Hangup(r core.Reason) { l.box.Post(func() { l.hangup(r) }) }

// hangup ends the call in the way its state asks for.
func (l *leg) hangup(r core.Reason) {
	switch {
	case l.state == over:
	case l.state == proceeding && l.out:
		l.cancelAll(r)
	case l.state == proceeding:
		l.refuseCall(r)
	case l.state == answered:
		l.incall.byeLater = &r // RFC 3261 15: not before the ACK
		l.outdate()            // but nothing is heard any more, either way
		l.media.Receive(nil)
		l.video.hush()
		l.endFloor()
	default:
		l.bye(r)
	}
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
	if l.incall.cancel != nil {
		l.incall.cancel()
	}
	l.timers.Stop()
	l.outdate()
	info := l.Info()
	if l.media != nil {
		l.media.Receive(nil)
		l.media.Close()
	}
	l.video.close()
	l.content.close()
	if l.sink != nil {
		l.sink.Close()
	}
	kind := edge.Ended
	if l.incall.refused {
		kind = edge.Refused
	}
	// Before the room hears of it, so that the record has the final status.
	l.e.trace(edge.TraceEvent{Kind: kind, CallID: l.callID, Leg: info.ID, Flow: l.flowInfo(), Reason: r, Trunk: l.trunkName(), From: info.Address, To: l.to, Status: l.incall.status, Info: info})
	if l.seat != nil {
		l.seat.Leave(r)
	}
	l.delist()
	defer l.e.forget(l.callID, info.ID)
	l.log.Info("SIP call ended", "reason", r.Error(), "answered", was != proceeding)
}

func (l *leg) delist() {
	e := l.e
	e.legsMu.Lock()
	delete(e.legs, legKey(l.callID, l.localTag))
	if l.incall.merge != "" {
		delete(e.merged, l.incall.merge)
	}
	e.legsMu.Unlock()
	if l.outcall != nil {
		l.outcall.release()
	}
	switch {
	case l.trunk != nil:
		l.trunk.calls.Add(-1)
	case !l.out:
		e.guard.callers.Leave(l.info.Source)
	}
}

func (l *leg) trunkName() string {
	if l.trunk == nil {
		return ""
	}
	return l.trunk.config.Name
}

func (l *leg) flowInfo() edge.FlowInfo {
	if l.flow == nil {
		return edge.FlowInfo{}
	}
	return flowInfo(l.flow)
}

func (l *leg) alarm(text string) {
	l.log.Warn("SIP call: " + text)
	l.e.trace(edge.TraceEvent{Kind: edge.Alarm, CallID: l.callID, Leg: l.info.ID, Flow: l.flowInfo(), Text: text, Trunk: l.trunkName()})
}

// String keeps keys out of what prints a leg by accident.
func (l *leg) String() string { return l.info.ID }
