package main

import (
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core/compose/wire"
	"bridgehead/gateway/mediaworker/codec"
)

// source is a party's picture: decoded once, in a goroutine of its own, and
// scaled once for each size in which it is shown.
type source struct {
	id     uint32
	in     chan []wire.Media
	ask    func() // for a keyframe
	pixels *atomic.Int64
	busy   watch

	next []wire.Media // owned by who feeds it: packets of a picture whose last is to come

	// Owned by run.
	order   order
	frames  *frames
	decoder codec.Decoder
	asked   time.Time

	mu     sync.Mutex
	full   *codec.Picture // the latest; nil before the first
	count  uint64         // of pictures; 0: none
	scaled map[[2]int]*scaled
}

type scaled struct {
	picture *codec.Picture
	count   uint64
}

const (
	maxQueued = 64  // pictures
	maxBatch  = 128 // packets handed over at once
	maxSizes  = 16  // in which one source is shown at a time
	askEvery  = 400 * time.Millisecond
)

func newSource(id uint32, ask func(), pixels *atomic.Int64) *source {
	return &source{id: id, in: make(chan []wire.Media, maxQueued), ask: ask, pixels: pixels, scaled: map[[2]int]*scaled{}}
}

// run decodes until in is closed.
func (s *source) run() {
	for batch := range s.in {
		s.busy.begin()
		now := time.Now()
		for _, m := range batch {
			s.packet(m, now)
		}
		s.busy.end()
	}
	if s.decoder != nil {
		s.decoder.Close()
	}
}

// feed takes a packet. The decoder is woken once for all of a picture; what is
// too much for it is lost.
func (s *source) feed(m wire.Media) {
	s.next = append(s.next, m)
	if !m.Marker && len(s.next) < maxBatch {
		return
	}
	select {
	case s.in <- s.next:
	default:
	}
	s.next = nil
}

func (s *source) packet(m wire.Media, now time.Time) {
	if s.frames == nil || s.frames.codec != m.Codec {
		if s.decoder != nil {
			s.decoder.Close()
		}
		var err error
		if s.decoder, err = codec.NewDecoder(m.Codec); err != nil {
			s.decoder = nil
			return
		}
		s.frames, s.order = newFrames(m.Codec), order{}
	}
	s.order.push(m, now, func(m wire.Media, lost bool) {
		if !s.frames.push(m, lost, s.decode) && now.Sub(s.asked) > askEvery {
			s.asked = now
			s.ask()
		}
	})
}

func (s *source) decode(frame []byte) error {
	p, err := s.decoder.Decode(frame)
	if p == nil || err != nil {
		return err
	}
	s.pixels.Add(int64(p.W * p.H))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full == nil || s.full.W != p.W || s.full.H != p.H {
		s.full = codec.NewPicture(p.W, p.H)
	}
	codec.Copy(s.full, p)
	s.count++
	return nil
}

// look tells how many pictures there have been, and the size of the latest.
func (s *source) look() (count uint64, w, h int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full == nil {
		return 0, 0, 0
	}
	return s.count, s.full.W, s.full.H
}

// draw puts the latest picture over all of dst.
func (s *source) draw(dst *codec.Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full == nil {
		return
	}
	size := [2]int{dst.W, dst.H}
	if size == [2]int{s.full.W, s.full.H} {
		codec.Copy(dst, s.full)
		return
	}
	c := s.scaled[size]
	if c == nil {
		if len(s.scaled) >= maxSizes {
			clear(s.scaled)
		}
		c = &scaled{picture: codec.NewPicture(dst.W, dst.H)}
		s.scaled[size] = c
	}
	if c.count != s.count {
		codec.Scale(c.picture, s.full)
		c.count = s.count
	}
	codec.Copy(dst, c.picture)
}

// watch tells how long something has been at work.
type watch struct{ since atomic.Int64 }

func (w *watch) begin() { w.since.Store(time.Now().UnixNano()) }
func (w *watch) end()   { w.since.Store(0) }

// stuck: it works at one thing for longer than anything takes.
func (w *watch) stuck(now time.Time) bool {
	t := w.since.Load()
	return t != 0 && now.UnixNano()-t > int64(longest)
}

const longest = 700 * time.Millisecond
