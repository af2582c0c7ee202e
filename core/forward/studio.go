package forward

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/compose"
	"bridgehead/core/compose/wire"
	"bridgehead/core/h264"
)

// Person is somebody in the meeting as composed pictures show them.
type Person struct {
	Party   string
	Name    string
	Muted   bool
	Covered bool // its camera is not shown
	Clear   bool // its leg is not encrypted
}

// Cast says who is in the meeting, by arrival, and whether it is recorded. It
// replaces what was said before; the slice is never changed after.
func (r *Router) Cast(people []Person, recording bool) {
	if s := r.studio; s != nil {
		s.cast.Store(&cast{people, recording})
	}
}

// Layout sets how the pictures of those are composed who have not chosen.
func (r *Router) Layout(l compose.Layout) {
	if s := r.studio; s != nil {
		s.layout.Store(l)
	}
}

// Layout sets how the party's own picture is composed; empty: as the meeting's.
func (s *Subscriber) Layout(l compose.Layout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layout = l
}

// Writing shows the party a screen of text and nothing else, the first line as
// its title; none ends that.
func (s *Subscriber) Writing(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = strings.Join(lines, "\n")
}

// nobodyElse is shown to who is the only one.
const nobodyElse = "You are the only one here\nOthers are shown as they come."

type cast struct {
	people    []Person
	recording bool
}

// studio has the pictures composed that parties of this meeting see: one for
// all who see the same in the same quality, and, where somebody is large, one
// more for who that is, with the speaker before them.
type studio struct {
	router *Router
	c      *compose.Composer
	cast   atomic.Pointer[cast]
	layout atomic.Value // compose.Layout

	busy, closed atomic.Bool
	tidy         sync.Once

	// Owned by Step, and at the end by who tidies.
	open   bool
	looked bool // who is here is known in this step
	shows  map[showKey]*show
	taps   map[sourceKey]*tap
	full   time.Duration // until when nothing more is tried, the budget being used up

	// Of the present step.
	now    cast
	ranked []Person // who is rather to be seen first
	screen sourceKey
}

type showKey struct {
	layout  compose.Layout
	quality int    // of compose.Qualities
	back    bool   // for who is large in the other one
	content bool   // for those who see a shared screen beside it
	writing string // a screen of text
}

// show is a composed picture, and the layer that stages aim at.
type show struct {
	key   showKey
	view  *compose.View
	layer *layer
	spec  wire.Scene
	seats []sourceKey
	born  time.Duration
	used  time.Duration
}

// tap takes one party's picture to the worker.
type tap struct {
	source *compose.Source
	codec  string // in capitals
	out    atomic.Pointer[out]
	lines  int // wanted
	gone   atomic.Bool
	used   time.Duration
}

const (
	// showLingers is how long a picture is made that nobody sees.
	showLingers = 2 * time.Second
	// hopeful is how long a new picture is waited for before the switched one is
	// sent instead.
	hopeful = 500 * time.Millisecond
	// fullWait is how long to wait where the budget is used up.
	fullWait = 5 * time.Second
)

// composed is constrained baseline of one NAL unit a packet: all decoders take it.
var composed = core.Codec{Name: "H264", ClockRate: 90000, Fmtp: "profile-level-id=42e01f"}

func newStudio(r *Router, c *compose.Composer) *studio {
	s := &studio{router: r, c: c, shows: map[showKey]*show{}, taps: map[sourceKey]*tap{}}
	s.cast.Store(&cast{})
	s.layout.Store(compose.Speaker)
	return s
}

// begin a step; its end must follow.
func (s *studio) begin() {
	s.busy.Store(true)
	s.open, s.looked = !s.closed.Load(), false
}

// look at who is here and who speaks, once in a step.
func (s *studio) look() {
	if s.looked {
		return
	}
	s.looked = true
	s.now = *s.cast.Load()
	spoke := *s.router.spotlight.Load()
	rank := func(p Person) int {
		if i := slices.Index(spoke, p.Party); i >= 0 {
			return i
		}
		if s.seen(p) {
			return maxSpotlight
		}
		return maxSpotlight + 1
	}
	s.ranked = slices.Clone(s.now.people)
	slices.SortStableFunc(s.ranked, func(a, b Person) int { return cmp.Compare(rank(a), rank(b)) })
	s.screen = sourceKey{}
	for _, src := range s.router.pictures() {
		if src.key.kind == core.Screen && (s.screen.party == "" || src.key.party < s.screen.party) {
			s.screen = src.key
		}
	}
}

// seen tells whether the person has a picture to show.
func (s *studio) seen(p Person) bool {
	return !p.Covered && s.router.source(sourceKey{p.Party, core.Camera}) != nil
}

// pick finds the composed picture for a party; nil where it is to be sent the
// switched one, of which can tells whether there is any that it takes.
func (s *studio) pick(now time.Duration, sub *Subscriber, can bool) *show {
	sub.mu.Lock()
	key := showKey{layout: sub.layout, writing: sub.writing}
	sub.mu.Unlock()
	if key.layout == "" {
		key.layout = s.layout.Load().(compose.Layout)
	}
	if !isH264(sub.stage.codec) || !s.open {
		return nil
	}
	s.look()
	key.quality = sub.quality(now)
	if key.writing == "" && !s.aims(&key, sub, can) {
		return nil
	}
	if key.writing != "" {
		key.layout = ""
	}
	sh := s.shows[key]
	if sh == nil {
		if now < s.full {
			return nil
		}
		var err error
		if sh, err = s.start(now, key); err != nil {
			s.full = now + fullWait
			sub.withheld(err)
			return nil
		}
	}
	sub.withheld(nil)
	sh.used = now
	return sh
}

// aims completes the key of a picture of others; false: the switched one serves.
func (s *studio) aims(key *showKey, sub *Subscriber, can bool) bool {
	others := len(s.ranked)
	if slices.ContainsFunc(s.ranked, func(p Person) bool { return p.Party == sub.party }) {
		others--
	}
	switch {
	case len(s.ranked) == 0:
		return false
	case others == 0 && s.screen.party == "":
		key.writing = nobodyElse
		return true
	case key.layout == compose.Switched, key.layout.Large() && others == 1 && s.screen.party == "":
		if can {
			return false
		}
		key.layout = compose.Single
	}
	key.content = s.screen.party != "" && len(sub.info.Content) > 0
	screened := s.screen.party != "" && !key.content
	key.back = key.layout.Large() && !screened && s.ranked[0].Party == sub.party
	return true
}

// withheld tells the party, in plain words, that it is not sent the composed
// picture, and when it is again.
func (s *Subscriber) withheld(err error) {
	if (err != nil) == s.stage.withheld {
		return
	}
	s.stage.withheld = err != nil
	n := core.Notice{Code: core.PictureNotice, Text: "The picture is composed again."}
	if err != nil {
		n.Text = "The picture is switched, not composed: the processors' share for composing is used up."
	}
	s.leg.Signal(n)
}

// quality is the best that the party takes. It goes down at once, and up again
// after a while.
func (s *Subscriber) quality(now time.Duration) int {
	g := &s.stage
	bps := s.stageLimit()
	best := 0
	for best < len(compose.Qualities)-1 && !compose.Qualities[best].Fits(g.takes.MaxFS, g.takes.MaxMBPS, bps) {
		best++
	}
	switch {
	case g.quality < 0 || best > g.quality:
		g.quality, g.lowered = best, now
	case best < g.quality && now-g.lowered > longWait/4:
		g.quality = best
	}
	return g.quality
}

func (s *studio) start(now time.Duration, key showKey) (*show, error) {
	q := compose.Qualities[key.quality]
	sh := &show{key: key, born: now, used: now}
	sh.spec = wire.Scene{Width: q.Width, Height: q.Height, Rate: q.Rate, BitsPerSec: q.BitsPerSec}
	sh.spec = s.scene(now, sh)
	src := &source{key: sourceKey{kind: core.Stage}}
	sh.layer = &layer{router: s.router, source: src, composed: true, rank: 2, parse: parseH264, params: h264.Fmtp(composed.Fmtp),
		track: core.Track{Source: core.Stage, Codec: composed}}
	sh.layer.outs.Store(new([]*out))
	src.layers.Store(&[]*layer{sh.layer})
	view, err := s.c.Open(sh.spec, sh.layer)
	if err != nil {
		return nil, err
	}
	sh.view = view
	sh.layer.ask = func(core.NeedKeyframe) { view.Keyframe() }
	s.shows[key] = sh
	return sh, nil
}

// scene says what a show is to show now.
func (s *studio) scene(now time.Duration, sh *show) wire.Scene {
	w := sh.spec
	if sh.key.writing != "" {
		lines := strings.Split(sh.key.writing, "\n")
		w.Title, w.Lines = lines[0], lines[1:]
		return w
	}
	w.Recording = s.now.recording
	who := s.choose(sh.key)
	sh.seats = seat(sh.seats, who, sh.key.layout.Large())
	w.Cells = nil
	for i, c := range sh.key.layout.Cells(w.Width, w.Height, len(sh.seats)) {
		cell := wire.Cell{X: c.X, Y: c.Y, W: c.W, H: c.H}
		if i < len(sh.seats) {
			s.dress(now, &cell, sh.seats[i])
		}
		w.Cells = append(w.Cells, cell)
	}
	return w
}

// choose lists whose pictures are shown: who is large first, the others by
// arrival.
func (s *studio) choose(key showKey) (who []sourceKey) {
	ranked := slices.Clone(s.ranked)
	if key.back && len(ranked) > 1 {
		ranked[0], ranked[1] = ranked[1], ranked[0]
	}
	if s.screen.party != "" && !key.content {
		who = append(who, s.screen)
	}
	for _, p := range ranked {
		who = append(who, sourceKey{p.Party, core.Camera})
	}
	who = who[:min(len(who), key.layout.Size())]
	rest := who
	if key.layout.Large() && len(who) > 0 {
		rest = who[1:]
	}
	arrival := func(k sourceKey) int {
		if k.kind == core.Screen {
			return -1
		}
		return slices.IndexFunc(s.now.people, func(p Person) bool { return p.Party == k.party })
	}
	slices.SortStableFunc(rest, func(a, b sourceKey) int { return cmp.Compare(arrival(a), arrival(b)) })
	return who
}

// seat lets those who are shown already stay where they are, and places the
// others in what is free. Where the first is large, it is who is meant to be.
func seat(old, who []sourceKey, large bool) []sourceKey {
	next := make([]sourceKey, len(who))
	from := 0
	if large && len(who) > 0 {
		next[0], from = who[0], 1
	}
	var rest []sourceKey
	for _, k := range who[from:] {
		if i := slices.Index(old, k); i >= from && i < len(next) {
			next[i] = k
		} else {
			rest = append(rest, k)
		}
	}
	for i := from; i < len(next); i++ {
		if next[i].party == "" {
			next[i], rest = rest[0], rest[1:]
		}
	}
	return next
}

// dress fills a cell.
func (s *studio) dress(now time.Duration, c *wire.Cell, key sourceKey) {
	i := slices.IndexFunc(s.now.people, func(p Person) bool { return p.Party == key.party })
	p := Person{}
	if i >= 0 {
		p = s.now.people[i]
	}
	c.Name, c.Muted, c.Clear = short(p.Name), p.Muted, p.Clear
	if key.kind == core.Screen {
		c.Name, c.Muted, c.Clear = short(p.Name)+": screen", false, false
	} else if !s.seen(p) {
		return
	}
	t := s.tap(now, key)
	if t != nil {
		t.lines = max(t.lines, c.H)
		c.Source = t.source.ID()
	}
}

// short bounds a name.
func short(name string) string {
	for len(name) > wire.MaxText-16 {
		r := []rune(name)
		name = string(r[:len(r)*3/4])
	}
	return name
}

// tap opens the way of a picture to the worker; nil if there is no picture.
func (s *studio) tap(now time.Duration, key sourceKey) *tap {
	t := s.taps[key]
	if t == nil {
		if s.router.source(key) == nil {
			return nil
		}
		t = &tap{}
		t.source = s.c.Source(func() {
			if o := t.out.Load(); o != nil {
				o.needKeyframe()
			}
		})
		s.taps[key] = t
	}
	t.used = now
	return t
}

// aim has the tap take the layer that is enough for its largest cell.
func (t *tap) aim(src *source) {
	var best *rung
	rungs := src.rungs(*src.codec.Load())
	for i := range rungs {
		codec := strings.ToUpper(rungs[i].layer.track.Codec.Name)
		if !compose.Decodes(codec) {
			continue
		}
		if best == nil || rungs[i].lines > best.lines && best.lines*10 < t.lines*9 {
			best = &rungs[i]
		}
	}
	if best == nil {
		return // its last picture stands
	}
	codec := strings.ToUpper(best.layer.track.Codec.Name)
	o := t.out.Load()
	if o == nil || t.codec != codec {
		if o != nil {
			o.end()
		}
		t.codec = codec
		o = &out{sink: t.source.Sink(codec), gone: &t.gone}
		o.tid.Store(maxTID)
		t.out.Store(o)
	}
	o.limit(*best, false)
	o.aim(best.layer)
}

func (t *tap) close() {
	if o := t.out.Load(); o != nil {
		o.end()
	}
	t.source.Close()
}

// end of a step.
func (s *studio) end(now time.Duration) {
	if s.open {
		s.update(now)
	}
	s.busy.Store(false)
	if s.closed.Load() {
		s.tidy.Do(s.clear)
	}
}

// update brings all pictures up to date, and ends those that nobody sees.
func (s *studio) update(now time.Duration) {
	if len(s.shows)+len(s.taps) == 0 {
		return
	}
	s.look()
	for _, t := range s.taps {
		t.lines = 0
	}
	for key, sh := range s.shows {
		if now-sh.used > showLingers {
			sh.view.Close()
			delete(s.shows, key)
			continue
		}
		if next := s.scene(now, sh); !reflect.DeepEqual(next, sh.spec) {
			sh.spec = next
			if err := sh.view.Set(next); err != nil {
				s.router.log.Error("composed picture cannot be changed", "error", err)
			}
		}
		sh.layer.source.measure(now)
		sh.layer.source.askKeyframes(now)
	}
	for key, t := range s.taps {
		src := s.router.source(key)
		if src == nil || now-t.used > showLingers {
			t.close()
			delete(s.taps, key)
			continue
		}
		t.aim(src)
	}
}

// ready tells whether the show is there to be aimed at, or about to be.
func (sh *show) ready(now time.Duration, c *compose.Composer) bool {
	return sh.view.Up() && (sh.layer.active || now-sh.born < hopeful) || c.Alive() && now-sh.born < hopeful
}

// Close ends all that is composed. Step composes nothing any more.
func (r *Router) Close() {
	s := r.studio
	if s == nil {
		return
	}
	s.closed.Store(true)
	if !s.busy.Load() { // else the step under way does it
		s.tidy.Do(s.clear)
	}
}

func (s *studio) clear() {
	for _, sh := range s.shows {
		sh.view.Close()
	}
	for _, t := range s.taps {
		t.close()
	}
	clear(s.shows)
	clear(s.taps)
}
