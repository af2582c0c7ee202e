package forward

import (
	"cmp"
	"slices"
	"time"

	"bridgehead/core"
)

// view is one picture that a subscriber wants.
type view struct {
	out     *out
	codec   core.Codec // of the out
	source  *source
	refused bool // the leg did not take it; tried again later
	shown   core.Showing
	told    bool
}

// budget is how a subscriber's bandwidth is spent. There is no probing by
// padding: a larger layer is tried, and if the network's estimate falls
// for it, the next try waits twice as long.
type budget struct {
	lowered time.Duration // when a layer last had to be lowered
	raised  time.Duration
	wait    time.Duration // until the next try to go up
}

const (
	audioShare = 100_000 // bit/s kept for sound
	firstWait  = 4 * time.Second
	longWait   = time.Minute
)

// watch opens and closes what the party sees according to its wants.
func (s *Subscriber) watch(wants []core.Want) {
	for key, v := range s.views {
		wanted := slices.ContainsFunc(wants, func(w core.Want) bool { return w.Party == key.party && w.Source == key.kind })
		if !wanted || s.router.source(key) != v.source || v.out != nil && v.codec != *v.source.codec.Load() {
			s.drop(key)
		}
	}
	for _, w := range wants {
		key := sourceKey{w.Party, w.Source}
		src := s.router.source(key)
		if w.Party == s.party || src == nil {
			continue
		}
		v := s.views[key]
		if v == nil {
			v = &view{source: src}
			s.views[key] = v
		}
		if v.out == nil && !v.refused && w.Height > 0 {
			s.open(key, v)
		}
	}
}

func (r *Router) source(key sourceKey) *source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[key]
}

func (s *Subscriber) open(key sourceKey, v *view) {
	codec := *v.source.codec.Load()
	if !takes(s.shown(key.kind), codec.Name) {
		v.refused = true
		return
	}
	sink, err := s.leg.Subscribe(core.Track{Party: key.party, Source: key.kind, Codec: codec})
	if err != nil {
		v.refused = true
		return
	}
	v.out, v.codec = s.newOut(sink), codec
}

// shown lists what the party can be sent of a kind of picture.
func (s *Subscriber) shown(kind core.Source) []core.Codec {
	if s.info.Forwarded {
		return s.info.Video
	}
	if kind == core.Screen {
		return s.info.Content
	}
	return nil // it sees the stage
}

func (s *Subscriber) newOut(sink core.Sink) *out {
	o := &out{sink: sink, gone: &s.closed}
	o.tid.Store(maxTID)
	o.sid.Store(maxSID)
	return o
}

func (s *Subscriber) drop(key sourceKey) {
	v := s.views[key]
	delete(s.views, key)
	if v != nil && v.out != nil {
		v.out.end()
	}
}

// rung is a quality in which a picture can be sent: a simulcast layer up to one
// of its spatial layers.
type rung struct {
	layer *layer
	sid   int32
	rate  int // bit/s
	lines int
}

// pick is the choice for one view while a step decides.
type pick struct {
	v     *view
	rungs []rung // of active layers, small to large
	at    int    // -1: none
	best  int    // the smallest that fills the screen
}

// decide shares the bandwidth out: first to each picture, screens first and
// then the larger ones, the smallest rung; then, in the same order, rung
// after rung as far as they fit.
func (s *Subscriber) decide(now time.Duration, wants []core.Want) {
	picks := s.picks(wants)
	bps := int(s.bitrate.Load())
	left := bps - audioShare
	for i := range picks {
		p := &picks[i]
		if len(p.rungs) > 0 && (bps == 0 || left >= p.rungs[0].rate || i == 0) {
			p.at = 0
			left -= p.rungs[0].rate
		}
	}
	for grown := true; grown; {
		grown = false
		for i := range picks {
			p := &picks[i]
			if p.at < 0 || p.at >= p.best {
				continue
			}
			more := p.rungs[p.at+1].rate - p.rungs[p.at].rate
			if bps == 0 || more <= left {
				p.at++
				left -= more
				grown = true
			}
		}
	}
	s.apply(now, picks, bps > 0 && left < 0)
}

func (s *Subscriber) picks(wants []core.Want) []pick {
	s.sorted = append(s.sorted[:0], wants...)
	wants = s.sorted
	slices.SortStableFunc(wants, func(a, b core.Want) int {
		if (a.Source == core.Screen) != (b.Source == core.Screen) {
			return cmp.Compare(b.Source, a.Source) // "screen" before "camera"
		}
		return cmp.Compare(b.Height, a.Height)
	})
	clear(s.picked) // of streams that have ended
	picks := s.picked[:0]
	for _, w := range wants {
		v := s.views[sourceKey{w.Party, w.Source}]
		if v == nil || v.out == nil {
			continue
		}
		p := pick{v: v, at: -1}
		if w.Height > 0 {
			p.rungs = v.source.rungs(v.codec)
		}
		for p.best < len(p.rungs)-1 && p.rungs[p.best].lines*10 < w.Height*9 {
			p.best++
		}
		picks = append(picks, p)
	}
	s.picked = picks
	return picks
}

// rungs of the layers that come in a format.
func (s *source) rungs(c core.Codec) []rung {
	var rungs []rung
	for _, l := range *s.layers.Load() {
		if !l.active || l.track.Codec != c {
			continue
		}
		top, rate := l.spatials.Load(), 0
		for sid := int32(0); sid <= top; sid++ {
			rate += l.rates[sid]
			if sid == top {
				sid = maxSID // and whatever else the stream brings
			}
			rungs = append(rungs, rung{l, sid, rate, l.lines() >> max(top-sid, 0)})
		}
	}
	return rungs
}

// apply sets the targets. Going up waits its turn; going down does not.
func (s *Subscriber) apply(now time.Duration, picks []pick, short bool) {
	b := &s.budget
	if b.wait == 0 {
		b.wait = firstWait
	}
	mayRaise := b.lowered == 0 || now-b.lowered >= b.wait
	for i := range picks {
		p := &picks[i]
		o := p.v.out
		target, sid := o.target.Load(), o.sid.Load()
		was := slices.IndexFunc(p.rungs, func(g rung) bool { return g.layer == target && g.sid == sid })
		switch {
		case was >= 0 && p.at > was && !mayRaise:
			p.at = was
		case was >= 0 && p.at > was:
			b.raised = now
		case p.at < was && p.best >= was:
			b.lower(now)
		}
		var to rung
		if p.at >= 0 {
			to = p.rungs[p.at]
		}
		o.limit(to, p.at == 0 && short)
		o.aim(to.layer)
	}
	if b.lowered > 0 && now-b.lowered > longWait {
		b.wait = firstWait
	}
}

// lower notes that the network carried too little: the try that led there was
// one too many.
func (b *budget) lower(now time.Duration) {
	if b.raised > b.lowered && now-b.raised < 10*time.Second {
		b.wait = min(2*b.wait, longWait)
	}
	b.lowered = now
}

// limit sets the highest spatial layer, and leaves out all but the base frame
// rate where even the smallest stream is too much.
func (o *out) limit(to rung, short bool) {
	tid := int32(maxTID)
	if short {
		tid = 0
	}
	o.tid.Store(tid)
	if o.sid.Swap(to.sid) < to.sid && to.layer != nil && to.layer.spatials.Load() > 0 {
		to.layer.need.Store(true) // up in space only at a keyframe
	}
}

// aim makes the layer the target: its packets come to the out from now on, and
// those of the layer sent until the switch.
func (o *out) aim(target *layer) {
	o.target.Store(target)
	current := o.current.Load()
	if target != nil && !slices.Contains(o.attached, target) {
		o.attached = append(o.attached, target)
		target.add(o)
	}
	o.attached = slices.DeleteFunc(o.attached, func(l *layer) bool {
		if l == target || target != nil && l == current {
			return false
		}
		l.remove(o)
		return true
	})
	if target == nil {
		o.current.Store(nil)
	} else if current != target {
		target.need.Store(true) // after add, lest the keyframe come before it
	}
}

// end takes the out from its layers and closes its sink.
func (o *out) end() {
	o.aim(nil)
	o.close()
}

// report tells the party what it is shown, where that has changed.
func (s *Subscriber) report() {
	for key, v := range s.views {
		now := core.Showing{Track: core.Track{Party: key.party, Source: key.kind}, Paused: true}
		if v.out != nil {
			if l := v.out.current.Load(); l != nil {
				now.Track, now.Paused = l.track, false
			} else if v.out.target.Load() != nil {
				continue // about to begin
			}
		}
		if !v.told || now != v.shown {
			v.shown, v.told = now, true
			s.leg.Signal(now)
		}
	}
}
