package forward

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// stage is the one picture that a room system or video telephone shows: that of
// whoever speaks, never its own (RFC 7667, section 3.6, a switching mixer).
// Owned by Step.
type stage struct {
	out   *out
	codec core.Codec // of the sink
	takes h264.Params
	on    sourceKey // whose picture it is
	since time.Duration
	lost  bool // the party asks for a whole picture
	asked time.Duration
	fell  time.Duration // when it last had to do with a smaller layer

	quality  int           // of what is composed; -1: not chosen yet
	lowered  time.Duration // when it last had to be a lower one
	withheld bool          // nothing is composed for want of processors
}

const (
	// takesOver is how long somebody must be the loudest to take the stage: a
	// cough does not. It is looked at five times a second: this makes two looks,
	// also where one comes a little early.
	takesOver = 350 * time.Millisecond
	// staysOn is how long a picture stays at least while it is there.
	staysOn = 1500 * time.Millisecond
	// losesOften bounds how often one party's losses cost everybody a keyframe.
	losesOften = time.Second
	// maxSpotlight is how many of those who spoke are remembered.
	maxSpotlight = 16
)

// turn watches who is the loudest.
type turn struct {
	who   string
	since time.Duration
}

// Speakers tells who is heard now, loudest first. One goroutine calls it, a few
// times a second.
func (r *Router) Speakers(now time.Duration, loudest []string) {
	t := &r.turn
	if len(loudest) == 0 {
		t.who = ""
		return
	}
	if t.who != loudest[0] {
		t.who, t.since = loudest[0], now
		return
	}
	last := *r.spotlight.Load()
	if now-t.since < takesOver || len(last) > 0 && last[0] == t.who {
		return
	}
	next := append([]string{t.who}, slices.DeleteFunc(slices.Clone(last), func(id string) bool { return id == t.who })...)
	next = next[:min(len(next), maxSpotlight)]
	r.spotlight.Store(&next)
}

// openStage has the leg take the picture in the codec that it now wants; a party
// that can show several has no stage.
func (s *Subscriber) openStage() {
	var codec core.Codec
	if !s.info.Forwarded && len(s.info.Video) > 0 {
		codec = s.info.Video[0]
	}
	g := &s.stage
	if g.out != nil && g.codec == codec {
		return
	}
	g.close()
	if codec.Name == "" {
		return
	}
	sink, err := s.leg.Subscribe(core.Track{Source: core.Stage, Codec: codec})
	if err != nil {
		return // tried again with the next Info
	}
	takes := h264.Fmtp(codec.Fmtp)
	if isH264(codec) && takes.Mode == 0 {
		sink = &single{Sink: sink}
	}
	*g = stage{out: s.newOut(sink), codec: codec, takes: takes, quality: -1}
}

func (g *stage) close() {
	if g.out != nil {
		g.out.end()
		g.out = nil
	}
}

// direct sets what the party is sent: the composed picture, or somebody's own.
func (s *Subscriber) direct(now time.Duration) {
	if s.stage.out == nil {
		return
	}
	layer := s.switched(now)
	if c := s.router.studio; c != nil {
		if show := c.pick(now, s, layer != nil); show != nil && (layer == nil || show.ready(now, c.c)) {
			layer = show.layer
		}
	}
	s.stage.out.aim(layer)
}

// switched finds whose picture the party is sent, and which layer of it; nil if
// there is none that it takes.
func (s *Subscriber) switched(now time.Duration) *layer {
	g := &s.stage
	best, layer := sourceKey{}, (*layer)(nil)
	rank := 0
	for _, src := range s.router.pictures() {
		if src.key.party == s.party || src.key.kind == core.Screen && len(s.info.Content) > 0 {
			continue
		}
		l := g.fits(now, src, s.stageLimit())
		if l == nil {
			continue
		}
		if n := s.claim(now, src.key); layer == nil || n > rank || n == rank && src.key.party < best.party {
			best, layer, rank = src.key, l, n
		}
	}
	if layer != nil && best != g.on {
		g.on, g.since = best, now
	}
	return layer
}

// claim weighs who is shown: a shared screen, then those who spoke last, then
// who is shown already.
func (s *Subscriber) claim(now time.Duration, key sourceKey) int {
	on := s.stage.on == key
	switch {
	case key.kind == core.Screen && on:
		return 1001
	case key.kind == core.Screen:
		return 1000
	case on && now-s.stage.since < staysOn:
		return 900
	}
	if i := slices.Index(*s.router.spotlight.Load(), key.party); i >= 0 {
		return 2 + maxSpotlight - i
	}
	if on {
		return 1
	}
	return 0
}

// stageLimit is the bit rate of what the party can be sent on the stage: by what
// it says, and by its level of H.264; 0: unknown.
func (s *Subscriber) stageLimit() int {
	bps, level := int(s.stageRate.Load()), s.stage.takes.MaxBR
	if bps == 0 || level > 0 && level < bps {
		return level
	}
	return bps
}

// pictures lists what is published.
func (r *Router) pictures() []*source {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*source, 0, len(r.sources))
	for _, s := range r.sources {
		list = append(list, s)
	}
	return list
}

func isH264(c core.Codec) bool { return strings.EqualFold(c.Name, "H264") }

// fits finds the largest layer of a picture within what the party takes; nil if
// there is none.
func (g *stage) fits(now time.Duration, src *source, bps int) *layer {
	var fit []*layer
	for _, l := range *src.layers.Load() {
		c := l.track.Codec
		switch {
		case !l.active || !strings.EqualFold(c.Name, g.codec.Name):
		case isH264(c) && (!g.takes.Takes(l.sent(now)) || int(l.height.Load()) > g.takes.Lines()):
		default:
			fit = append(fit, l)
		}
	}
	slices.SortStableFunc(fit, func(a, b *layer) int { return cmp.Compare(a.lines(), b.lines()) })
	for len(fit) > 1 && bps > 0 {
		top := fit[len(fit)-1]
		limit := bps
		if g.out.target.Load() != top { // up only with room to spare, and not at once
			limit = bps * 9 / 10
			if g.fell > 0 && now-g.fell < longWait/4 {
				limit = 0
			}
		}
		if top.rates[0] <= limit {
			break
		}
		if g.out.target.Load() == top {
			g.fell = now
		}
		fit = fit[:len(fit)-1]
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[len(fit)-1]
}

// renew asks for a whole picture in the party's name, not too often.
func (g *stage) renew(now time.Duration) {
	if g.lost && g.out != nil && (g.asked == 0 || now-g.asked >= losesOften) {
		g.lost, g.asked = false, now
		g.out.needKeyframe()
	}
}
