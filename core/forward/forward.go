// Package forward is the selective forwarding unit (RFC 7667, section 3.7) of
// one meeting: it carries the coded packets of browsers to browsers, without
// decoding. Microphones go into a few interchangeable slots, chosen by sound
// level (RFC 6464); of each wanted picture every subscriber gets the simulcast
// layer (RFC 8853) or SVC layer that fits its screen and its network.
//
// Control and media are apart. The methods of [Router] and [Subscriber] only
// note what is wanted; [Router.Step], called by the meeting, decides and is the
// only one to call a [core.Leg]. Packets go from the publisher's goroutine
// straight to the sinks by lists that never change once published; a packet
// costs no allocation, no timer and no goroutine.
package forward

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"bridgehead/core"
	"bridgehead/core/compose"
)

// Options of a Router. The zero value serves.
type Options struct {
	// AudioSlots is how many microphones are heard at once, 1 to 16; 0: 3.
	AudioSlots int
	// Composer makes the composed pictures of those who show one only; nil: they
	// are sent the switched one.
	Composer *compose.Composer
	Log      *slog.Logger
}

// Limits of one meeting; what is beyond them is refused or ignored.
const (
	maxAudioSlots = 16
	maxWants      = 50
)

// Router forwards the media of one meeting.
type Router struct {
	log   *slog.Logger
	slots []*slot
	// hearers are, for each speaker slot, those who are sent it. It is replaced,
	// never changed.
	hearers atomic.Pointer[[][]*slotOut]

	mu      sync.Mutex // guards what follows; never held across a Leg call
	sources map[sourceKey]*source
	mics    map[string]*Mic
	subs    []*Subscriber

	gone []*Subscriber // closed, for Step to clear away

	spotlight atomic.Pointer[[]string] // parties by when they last spoke, latest first
	turn      turn                     // owned by the caller of Speakers

	claim sync.Mutex // serialises the change of slot holders

	studio *studio // nil: nothing is composed
}

type sourceKey struct {
	party string
	kind  core.Source
}

// New makes a Router.
func New(o Options) *Router {
	if o.AudioSlots == 0 {
		o.AudioSlots = 3
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Router{log: o.Log, sources: map[sourceKey]*source{}, mics: map[string]*Mic{}}
	for i := range min(max(o.AudioSlots, 1), maxAudioSlots) {
		r.slots = append(r.slots, &slot{index: i})
	}
	none := make([][]*slotOut, len(r.slots))
	r.hearers.Store(&none)
	r.spotlight.Store(new([]string))
	if o.Composer != nil {
		r.studio = newStudio(r, o.Composer)
	}
	return r
}

// Publish opens a track of a party and returns where its packets go: one call
// for a microphone (the sink is a [*Mic]), one for each layer of a picture. A track
// published twice replaces the first. Ask is called from Step to get a
// keyframe from the publisher, and must not block; it is nil for audio. Close
// ends the publication.
func (r *Router) Publish(t core.Track, ask func(core.NeedKeyframe)) core.Sink {
	if t.Source.Kind() == core.Audio {
		return r.publishMic(t)
	}
	return r.publishLayer(t, ask)
}

// Subscribe adds a party that receives. What it gets begins at the next Step.
func (r *Router) Subscribe(leg core.Leg) *Subscriber {
	info := leg.Info()
	s := &Subscriber{router: r, leg: leg, party: info.ID, views: map[sourceKey]*view{}, slots: make([]slotOut, len(r.slots))}
	for i := range s.slots {
		s.slots[i].party = unique.Make(s.party)
	}
	s.stale.Store(true)
	r.mu.Lock()
	r.subs = append(slices.Clip(r.subs), s)
	r.mu.Unlock()
	return s
}

// Subscriber is a party that receives from the meeting.
type Subscriber struct {
	router *Router
	leg    core.Leg
	party  string
	slots  []slotOut   // one for each speaker slot
	stale  atomic.Bool // Info may have changed: subscribe again
	closed atomic.Bool
	// bitrate is the network's estimate in bit/s; stageRate what the party
	// takes of the stage. 0: unknown.
	bitrate, stageRate atomic.Int64

	mu      sync.Mutex
	wants   []core.Want
	keys    []core.Track   // keyframes asked for since the last step
	layout  compose.Layout // the party's own; empty: the meeting's
	writing string         // a screen of text in place of pictures

	// Owned by Step.
	info   core.Info
	views  map[sourceKey]*view
	stage  stage
	retry  time.Duration // when refused subscriptions are tried again
	budget budget
	sorted []core.Want // of picks, for the next step's
	picked []pick
}

// View says what the party wishes to see; it replaces the list before. Wants
// beyond the fiftieth are ignored.
func (s *Subscriber) View(wants []core.Want) {
	wants = slices.Clone(wants[:min(len(wants), maxWants)])
	s.mu.Lock()
	s.wants = wants
	s.mu.Unlock()
}

// Bitrate says what the network now carries toward the party in all, or what
// the party takes of the stage, in bit/s.
func (s *Subscriber) Bitrate(of core.Source, bps int) {
	if of == core.Stage {
		s.stageRate.Store(int64(max(bps, 1)))
		return
	}
	s.bitrate.Store(int64(max(bps, 1)))
}

// Keyframe says that the party has lost the picture of the track.
func (s *Subscriber) Keyframe(t core.Track) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) < maxWants {
		s.keys = append(s.keys, t)
	}
}

// Refresh says that the party's Info has changed: tracks that it could not take
// are offered again.
func (s *Subscriber) Refresh() { s.stale.Store(true) }

// Close ends all that the party receives, at once. Its sinks are closed by the
// next Step.
func (s *Subscriber) Close() {
	if s.closed.Swap(true) {
		return
	}
	r := s.router
	r.setListening(s, false)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subs = slices.DeleteFunc(slices.Clone(r.subs), func(x *Subscriber) bool { return x == s })
	r.gone = append(r.gone, s)
}

// clear gives back what a closed subscriber held.
func (s *Subscriber) clear() {
	for i := range s.slots {
		s.slots[i].close()
	}
	for key := range s.views {
		s.drop(key)
	}
	s.stage.close()
}

// Step decides layers and slots, asks for keyframes and sends what has changed
// to the legs. Its one caller calls it every 100 ms or so, and at once after a
// change that should not wait; now is on the clock of [core.Now].
func (r *Router) Step(now time.Duration) {
	r.mu.Lock()
	subs, sources, gone := r.subs, make([]*source, 0, len(r.sources)), r.gone
	r.gone = nil
	for _, s := range r.sources {
		sources = append(sources, s)
	}
	r.mu.Unlock()
	for _, s := range gone {
		s.clear()
	}
	for _, src := range sources {
		src.measure(now)
	}
	if c := r.studio; c != nil {
		c.begin()
	}
	for _, s := range subs {
		if !s.closed.Load() {
			s.step(now)
		}
	}
	if c := r.studio; c != nil {
		c.end(now)
	}
	for _, src := range sources {
		src.askKeyframes(now)
	}
	r.decaySlots(now)
}

func (s *Subscriber) step(now time.Duration) {
	if s.stale.Swap(false) || now >= s.retry {
		s.info = s.leg.Info()
		s.retry = now + 2*time.Second
		s.openSlots()
		s.openStage()
		for _, v := range s.views {
			v.refused = false
		}
	}
	s.mu.Lock()
	wants, keys := s.wants, s.keys
	s.keys = nil
	s.mu.Unlock()
	s.watch(wants)
	s.decide(now, wants)
	s.direct(now)
	for _, t := range keys {
		if t.Source == core.Stage {
			s.stage.lost = true
		} else if v := s.views[sourceKey{t.Party, t.Source}]; v != nil && v.out != nil {
			v.out.needKeyframe()
		}
	}
	s.stage.renew(now)
	s.report()
}
