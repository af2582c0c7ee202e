package webrtc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
)

// Leg is a browser in a meeting. It outlives its socket and its peer
// connection, both of which a client that comes back replaces.
type Leg struct {
	edge   *Edge
	id     string
	log    *slog.Logger
	source netip.Addr
	ssrc   uint32 // of our RTCP
	out    *outbox
	seat   atomic.Pointer[seating]
	bwe    *estimator
	rtt    atomic.Int64
	done   chan struct{} // closed when the leg has ended

	screenOff atomic.Bool

	mu        sync.Mutex // never held across a call out
	token     string
	info      core.Info
	peer      *peer
	socket    *socket
	subs      []*slotSink     // open subscriptions
	hints     map[want]string // wished mids by party and source
	ended     bool
	why       core.Reason
	socketOff time.Duration // since when there is no socket; 0: there is one
	mediaOff  time.Duration // since when there is no media
	said      said
	needAudio int
	needVideo int

	// A player by WHEP follows the room.
	plays           bool
	screen, speaker string
	watching        core.Want

	// Owned by tick.
	ticks    int
	ticking  []*inbound // for the next tick's
	told     int        // last Bitrate
	toldAt   time.Duration
	statsDue time.Duration
}

type seating struct{ seat core.Seat }

var _ core.Leg = (*Leg)(nil)

// giveUp is how long a leg may be without media while its socket lives.
const giveUp = 30 * time.Second

// firstMedia is how long a client may take until media flows: people look for
// their camera's permission.
const firstMedia = 3 * time.Minute

func newLeg(e *Edge, info core.Info) *Leg {
	l := &Leg{
		edge: e, id: rand.Text(), token: rand.Text(), source: info.Source, ssrc: randomSSRC(),
		out: newOutbox(), bwe: newEstimator(), done: make(chan struct{}), hints: map[want]string{},
		mediaOff: core.Now() + firstMedia - giveUp,
	}
	info.ID, info.Forwarded = l.id, true
	l.info = info
	l.log = e.log.With("leg", l.id)
	return l
}

// Info is a snapshot.
func (l *Leg) Info() core.Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.info
	i.RTT = l.roundTrip()
	if p := l.peer; p != nil {
		i.Audio, i.Video = p.audio(), p.pictures
		i.Forwarded = p.forwarded()
		i.Security.Suite = p.suite
		i.AudioStats, i.VideoStats = p.stats(core.Audio), p.stats(core.Video)
		i.VideoStats.BitsPerSec = l.bwe.target()
	}
	return i
}

// said is what the client has told of its state, for the next room to know.
type said struct {
	view  *core.View
	mutes [3]*core.Mute // microphone, camera, screen
}

// note keeps an event that tells a state. The caller holds leg.mu.
func (s *said) note(e core.Event) {
	switch e := e.(type) {
	case core.View:
		s.view = &e
	case core.Mute:
		i := slices.Index([]core.Source{core.Microphone, core.Camera, core.Screen}, e.Source)
		if i >= 0 {
			s.mutes[i] = &core.Mute{Source: e.Source, On: e.On}
		}
	}
}

// Sit takes the seat. Each stream publishes there with its next packet; what the
// client has said of its view and mutes in the room before is said again.
func (l *Leg) Sit(s core.Seat) {
	l.mu.Lock()
	ended, said := l.ended, l.said
	if !ended {
		l.seat.Store(&seating{s})
	}
	l.mu.Unlock()
	if ended {
		s.Leave(core.Reason{Code: core.Normal})
		return
	}
	for _, m := range said.mutes {
		if m != nil {
			s.Signal(*m)
		}
	}
	if said.view != nil {
		s.Signal(*said.view)
	}
	if bps := l.bwe.target(); bps > 0 {
		s.Signal(core.Bitrate{BitsPerSec: bps})
	}
}

// Signal queues the event for the client.
func (l *Leg) Signal(e core.Event) {
	if k, ok := e.(core.NeedKeyframe); ok {
		l.keyframe(k.Track)
		return
	}
	if m, ok := e.(core.Mute); ok && m.On {
		l.mu.Lock()
		l.said.note(m)
		l.mu.Unlock()
	}
	if l.plays {
		l.watch(e)
		return
	}
	l.out.put(e)
}

// toRoom signals to the present seat.
func (l *Leg) toRoom(e core.Event) {
	if s := l.seat.Load(); s != nil {
		s.seat.Signal(e)
	}
}

var (
	errNoSlot = errors.New("webrtc: the client has no free receiving section")
	errCodec  = errors.New("webrtc: the client does not take this codec")
)

// Subscribe puts the track into a slot. Without a free one the client is asked
// for more, and Changed is signalled when it has offered them.
func (l *Leg) Subscribe(t core.Track) (core.Sink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer == nil || l.ended {
		return nil, errNoSlot
	}
	k := &slotSink{leg: l, track: t}
	if err := l.give(k); err != nil {
		if err == errNoSlot {
			l.ask(t)
		}
		return nil, err
	}
	l.subs = append(l.subs, k)
	l.out.put(slotsChanged{})
	return k, nil
}

// give puts the subscription into a slot of the present peer connection.
func (l *Leg) give(k *slotSink) error {
	s := l.pick(k.track)
	if s == nil {
		return errNoSlot
	}
	b := s.bound.Load()
	if b == nil {
		return errNoSlot
	}
	rate, codec := 90000, k.track.Codec
	if k.track.Source.Kind() == core.Audio {
		rate = 48000
		if codec.Name == "" {
			codec.Name = "opus"
		}
	}
	pt, rtx, ok := b.payloadType(codec)
	if !ok {
		return errCodec
	}
	if s.sink != nil {
		s.sink.hold.Store(nil) // of the seat before
	}
	s.sink, s.carried = k, want{Party: k.track.Party, Source: k.track.Source}
	k.hold.Store(&hold{slot: s, rate: rate, pt: pt, rtx: rtx})
	return nil
}

// pick finds the slot for a track: audio by its number, the mix first; video
// where the client wishes it, where it was before, or where it is free.
func (l *Leg) pick(t core.Track) *slot {
	var free *slot
	key := want{Party: t.Party, Source: t.Source}
	wish := l.hints[key]
	audio, nth := t.Source.Kind() == core.Audio, -1
	for _, s := range l.peer.slots {
		if audio != (s.kind == core.Audio) {
			continue
		}
		nth++
		if audio {
			if t.Source == core.Mix && nth == 0 || t.Source != core.Mix && nth == t.Slot+1 {
				return s
			}
			continue
		}
		if s.sink != nil {
			continue
		}
		if s.mid == wish {
			return s
		}
		if free == nil || s.carried == key {
			free = s
		}
	}
	return free
}

// The most slots that the server ever asks for.
const (
	mostAudio = 16
	mostVideo = 25
)

// ask tells the client how many slots are wanted, once for each number.
func (l *Leg) ask(t core.Track) {
	audio, video, taken := 0, 0, 0
	for _, s := range l.peer.slots {
		if s.kind == core.Audio {
			audio++
			continue
		}
		video++
		if s.sink != nil {
			taken++
		}
	}
	if t.Source.Kind() == core.Audio {
		audio = max(audio, min(t.Slot+2, mostAudio))
	} else {
		video = max(video, min(taken+1, mostVideo))
	}
	if audio > l.needAudio || video > l.needVideo {
		l.needAudio, l.needVideo = max(audio, l.needAudio), max(video, l.needVideo)
		l.out.put(needSlotsMsg{"need-slots", l.needAudio, l.needVideo})
	}
}

func (l *Leg) free(k *slotSink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs = slices.DeleteFunc(l.subs, func(x *slotSink) bool { return x == k })
	if h := k.hold.Swap(nil); h != nil && h.slot.sink == k {
		h.slot.sink = nil
		l.out.put(slotsChanged{})
	}
}

// slots is what the client's receiving mids carry now.
func (l *Leg) slots() slotsMsg {
	m := slotsMsg{"slots", []slotMsg{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer == nil {
		return m
	}
	for _, s := range l.peer.slots {
		if s.sink == nil {
			continue
		}
		t := s.sink.track
		e := slotMsg{Mid: s.mid, Kind: s.kind.String(), Source: t.Source, Party: t.Party}
		if t.Source == core.Microphone && t.Party == "" {
			e.Slot = &t.Slot
		}
		m.Slots = append(m.Slots, e)
	}
	return m
}

// offer answers an offer of the client.
func (l *Leg) offer(m *request) (string, error) {
	o, err := readOffer(m.SDP)
	if err != nil {
		return "", core.Reason{Code: core.Incompatible, Say: "The browser's offer is malformed.", Detail: err.Error()}
	}
	l.mu.Lock()
	p := l.peer
	l.mu.Unlock()
	if p != nil && m.Fresh {
		p.close()
		p = nil
	}
	if p == nil {
		p = l.edge.newPeer(l)
		l.mu.Lock()
		if l.ended {
			l.mu.Unlock()
			p.close()
			return "", core.Reason{Code: core.Normal}
		}
		l.peer = p
		l.needAudio, l.needVideo = 0, 0
		l.mu.Unlock()
	}
	answer, err := p.answer(o, m.Sources)
	if err != nil {
		return "", core.Reason{Code: core.Incompatible, Say: "The browser's offer cannot be answered.", Detail: err.Error()}
	}
	return answer, nil
}

// negotiated gives the subscriptions that have no slot one of the new, and tells
// the room that tracks can now be sent that could not before.
func (l *Leg) negotiated() {
	l.mu.Lock()
	for _, k := range l.subs {
		if k.hold.Load() == nil && l.peer != nil {
			_ = l.give(k) // else it waits for a slot to be offered
		}
	}
	l.mu.Unlock()
	l.out.put(slotsChanged{})
	l.toRoom(core.Changed{})
}

// media notes whether a peer's connection is up. One that has come up asks for
// whole pictures: what was sent before did not arrive.
func (l *Leg) media(p *peer, up bool) {
	l.mu.Lock()
	if l.peer != p || p.up == up || p.closed {
		l.mu.Unlock()
		return
	}
	p.up, l.mediaOff = up, 0
	if !up {
		l.mediaOff = core.Now()
	}
	ended, subs := l.ended, slices.Clone(l.subs)
	l.mu.Unlock()
	l.log.Debug("media", "up", up)
	switch {
	case ended:
	case !up:
		l.out.put(simpleMsg{Type: "restart"})
	default:
		for _, k := range subs {
			if k.track.Source.Kind() == core.Video {
				l.toRoom(core.NeedKeyframe{Track: k.track})
			}
		}
		l.toRoom(core.Changed{})
	}
}

// endShare has the streams of a screen that is not shared any more taken out
// of the room; the client sends nothing that would do it.
func (l *Leg) endShare() {
	l.mu.Lock()
	var in []*inbound
	if l.peer != nil {
		in = slices.Clone(l.peer.in)
	}
	l.mu.Unlock()
	for _, i := range in {
		i.interrupt()
	}
}

// Hangup ends the call. Only the first reason counts.
func (l *Leg) Hangup(r core.Reason) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended, l.why = true, r
	p, s := l.peer, l.socket
	l.mu.Unlock()
	go func() {
		defer close(l.done)
		l.log.Info("call ended", "code", r.Code, "detail", r.Detail)
		if seat := l.seat.Load(); seat != nil {
			seat.seat.Leave(r)
		}
		if p != nil {
			p.close()
		}
		l.edge.forget(l)
		if s != nil {
			s.end(r)
		}
	}()
}

// tick does what is due: feedback and reports to the client, the estimate to
// the room, and the end of a leg that is lost.
func (l *Leg) tick(now time.Duration) {
	l.mu.Lock()
	p, up := l.peer, l.peer != nil && l.peer.up
	socketOff, mediaOff := l.socketOff, l.mediaOff
	clear(l.ticking) // of a peer that was replaced
	in := l.ticking[:0]
	if up {
		in = append(in, p.in...)
	}
	l.ticking = in
	l.mu.Unlock()
	resume := l.edge.o.Resume
	switch {
	case socketOff > 0 && now-socketOff >= resume && (mediaOff > 0 || now-socketOff >= 4*resume):
		l.Hangup(core.Reason{Code: core.MediaTimeout, Detail: fmt.Sprintf("the client did not come back in %v", resume)})
	case mediaOff > 0 && now-mediaOff >= giveUp && socketOff == 0:
		l.Hangup(core.Reason{Code: core.MediaTimeout, Say: "The connection for sound and picture was lost.", Detail: "no media"})
	}
	if !up {
		return
	}
	p.watch(now)
	l.ticks++
	if l.ticks%2 == 0 {
		l.writeRTCP(p.arrivals.feedback()...)
	}
	for _, i := range in {
		if i.source.Kind() == core.Video {
			i.askAgain(now)
		}
	}
	if l.ticks%20 == 0 {
		l.writeRTCP(p.reports(now)...)
	}
	l.tellBitrate(now)
	if now >= l.statsDue {
		// In turns, many legs at once: each write to a socket has the runtime
		// watch its system calls closely for some milliseconds.
		l.statsDue = now.Truncate(statsEvery) + statsEvery + time.Duration(l.ssrc%statsTurns)*statsEvery/statsTurns
		l.out.put(l.statistics())
	}
}

// Statistics go to the client so often, to one leg in statsTurns at a time.
const (
	statsEvery = 2 * time.Second
	statsTurns = 8
)

// tellBitrate passes the estimate on when it has moved by a twentieth, falls at
// once and rises at most five times a second.
func (l *Leg) tellBitrate(now time.Duration) {
	bps := l.bwe.target()
	if bps == 0 || bps > l.told && now-l.toldAt < 200*time.Millisecond {
		return
	}
	if d := bps - l.told; d*20 > l.told || -d*20 > l.told {
		l.told, l.toldAt = bps, now
		l.toRoom(core.Bitrate{BitsPerSec: bps})
	}
}

func (l *Leg) statistics() statsMsg {
	i := l.Info()
	one := func(s core.Stats) mediaStats {
		return mediaStats{
			Codec: s.Codec, Received: s.PacketsReceived, Sent: s.PacketsSent, Lost: s.PacketsLost, Jitter: ms(s.Jitter),
			RemoteLost: s.RemoteLost, RemoteJitter: ms(s.RemoteJitter),
		}
	}
	return statsMsg{"stats", ms(i.RTT), l.bwe.target(), i.Security.Suite, one(i.AudioStats), one(i.VideoStats)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
