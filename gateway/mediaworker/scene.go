package main

import (
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core/compose/wire"
	"bridgehead/gateway/mediaworker/codec"
	"bridgehead/gateway/mediaworker/paint"
)

// scene is one composed picture. It is drawn and encoded in a goroutine of its
// own, once for all who see it.
type scene struct {
	find   func(uint32) *source
	send   func(*wire.Media)
	pixels *atomic.Int64
	ticks  chan time.Time // closed at the end
	busy   watch
	key    atomic.Bool // a keyframe is wanted

	mu   sync.Mutex
	spec wire.Scene
	next bool // spec is new

	// Owned by run.
	now     wire.Scene // as drawn
	canvas  *codec.Picture
	encoder *codec.Encoder
	cells   []drawn
	last    time.Time
	begun   time.Time
	packet  wire.Media
}

// drawn is what a cell now shows.
type drawn struct {
	source *source
	count  uint64
	w, h   int // of the source's picture
}

// still is how often a picture that does not change is sent all the same: so that
// nobody takes the stream for dead.
const still = 500 * time.Millisecond

func newScene(spec wire.Scene, find func(uint32) *source, send func(*wire.Media), pixels *atomic.Int64) *scene {
	s := &scene{find: find, send: send, pixels: pixels, ticks: make(chan time.Time, 1), spec: spec, next: true}
	s.packet = wire.Media{ID: spec.ID, Codec: wire.H264}
	return s
}

// set changes what is shown; the size stays.
func (s *scene) set(spec wire.Scene) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec, s.next = spec, true
}

func (s *scene) run() {
	for now := range s.ticks {
		s.busy.begin()
		s.step(now)
		s.busy.end()
	}
	if s.encoder != nil {
		s.encoder.Close()
	}
}

// step makes a picture if one is due and differs.
func (s *scene) step(now time.Time) {
	if s.last.IsZero() {
		s.begun = now
	} else if now.Sub(s.last) < time.Second/time.Duration(s.now.Rate)-tick/2 {
		return
	}
	changed := s.draw()
	key := s.key.Load()
	if !changed && !key && now.Sub(s.last) < still {
		return
	}
	if s.encoder == nil {
		var err error
		if s.encoder, err = codec.NewEncoder(s.now.Width, s.now.Height, s.now.Rate, s.now.BitsPerSec); err != nil {
			return
		}
		key = true
	}
	if key {
		s.key.Store(false)
	}
	s.last = now
	nals, err := s.encoder.Encode(s.canvas, key, now.Sub(s.begun))
	if err != nil {
		s.encoder.Close()
		s.encoder = nil
		return
	}
	s.pixels.Add(int64(s.canvas.W * s.canvas.H))
	s.packet.Stamp = uint32(now.Sub(s.begun) * 90 / time.Millisecond)
	for i, n := range nals {
		s.packet.Marker, s.packet.Payload = i == len(nals)-1, n
		s.send(&s.packet)
		s.packet.Seq++
	}
}

// draw brings the canvas up to date, and tells whether anything is new.
func (s *scene) draw() bool {
	s.mu.Lock()
	anew := s.next
	if anew {
		s.now, s.next = s.spec, false
	}
	s.mu.Unlock()
	if s.canvas == nil || s.canvas.W != s.now.Width || s.canvas.H != s.now.Height {
		s.canvas = codec.NewPicture(s.now.Width, s.now.Height)
		if s.encoder != nil {
			s.encoder.Close()
			s.encoder = nil
		}
	}
	if anew {
		paint.Rect(s.canvas, 0, 0, s.canvas.W, s.canvas.H, paint.Ground)
		s.cells = make([]drawn, len(s.now.Cells))
		s.text()
	}
	changed := anew
	for i := range s.now.Cells {
		if s.cell(&s.now.Cells[i], &s.cells[i], anew) {
			changed = true
		}
	}
	if changed && s.now.Recording {
		s.recording()
	}
	return changed
}

// cell draws one, if there is anything new to it.
func (s *scene) cell(c *wire.Cell, d *drawn, anew bool) bool {
	src := s.find(c.Source)
	var count uint64
	var w, h int
	if src != nil {
		count, w, h = src.look()
	}
	if !anew && d.source == src && d.count == count {
		return false
	}
	in := s.canvas.Part(c.X, c.Y, c.W, c.H)
	if count == 0 {
		if anew || d.count != 0 || d.source != src {
			card(in, c)
		}
		*d = drawn{source: src}
		return true
	}
	x, y, fw, fh := fit(w, h, c.W, c.H)
	if anew || d.w != w || d.h != h || d.count == 0 {
		paint.Rect(in, 0, 0, in.W, in.H, paint.Card)
	}
	src.draw(in.Part(x, y, fw, fh))
	*d = drawn{src, count, w, h}
	plate(in, c)
	return true
}

// fit places a picture in a cell, as large as it goes, in even pixels. What is
// nearly as wide as the cell fills it.
func fit(w, h, cw, ch int) (x, y, fw, fh int) {
	fw, fh = cw, ch
	if d := w*ch - h*cw; d > w*ch/50 { // wider than the cell
		fh = max(cw*h/w&^1, 2)
	} else if d < -w*ch/50 {
		fw = max(ch*w/h&^1, 2)
	}
	return (cw - fw) / 2 &^ 1, (ch - fh) / 2 &^ 1, fw, fh
}

// letter is the height of writing in a cell.
func letter(h int) int { return min(max(h/14, 12), 30) }

// card is shown for one who has no picture.
func card(p *codec.Picture, c *wire.Cell) {
	paint.Rect(p, 0, 0, p.W, p.H, paint.Ground)
	paint.Rect(p, 2, 2, p.W-4, p.H-4, paint.Card)
	if c.Name == "" && c.Source == 0 {
		return
	}
	size := min(max(p.H/9, 12), 48)
	t := paint.Text(c.Name, size, p.W-p.W/8)
	paint.Blend(p, (p.W-t.W)/2, (p.H-t.H)/2, t, paint.White)
	if c.Muted || c.Clear {
		bare := *c
		bare.Name = ""
		plate(p, &bare)
	}
}

// plate writes name and marks at the foot of a cell.
func plate(p *codec.Picture, c *wire.Cell) {
	size := letter(p.H)
	marks := 0
	for _, on := range []bool{c.Muted, c.Clear} {
		if on {
			marks++
		}
	}
	if c.Name == "" && marks == 0 {
		return
	}
	pad := size / 2 &^ 1
	t := &paint.Mask{}
	if c.Name != "" {
		t = paint.Text(c.Name, size, max(p.W-4*pad-marks*(size+pad), size))
	}
	h := size + size/2
	w := 2*pad + marks*(size+pad) + t.W
	y := p.H - h - pad
	paint.Shade(p, pad, y, w, h)
	x := 2 * pad
	if c.Muted {
		paint.Blend(p, x, y+(h-size)/2, paint.Microphone(size), paint.Red)
		x += size + pad
	}
	if c.Clear {
		paint.Blend(p, x, y+(h-size)/2, paint.Padlock(size), paint.Amber)
		x += size + pad
	}
	paint.Blend(p, x, y+(h-t.H)/2, t, paint.White)
}

func (s *scene) recording() {
	size := letter(s.canvas.H)
	t := paint.Text("REC", size, 4*size)
	w, h := t.W+3*size, size+size/2
	x, y := s.canvas.W-w-size, size
	paint.Rect(s.canvas, x, y, w, h, paint.Black)
	paint.Blend(s.canvas, x+size/2, y+(h-size)/2, paint.Disc(size), paint.Red)
	paint.Blend(s.canvas, x+2*size, y+(h-t.H)/2, t, paint.White)
}

// text draws a screen of writing.
func (s *scene) text() {
	p := s.canvas
	title, line := p.H/14, p.H/18
	y := p.H/2 - (title*2+len(s.now.Lines)*line*2)/2
	if s.now.Title != "" {
		t := paint.Text(s.now.Title, title, p.W-p.W/10)
		paint.Blend(p, (p.W-t.W)/2, y, t, paint.White)
	}
	y += title * 2
	for _, l := range s.now.Lines {
		t := paint.Text(l, line, p.W-p.W/10)
		paint.Blend(p, (p.W-t.W)/2, y, t, paint.Grey)
		y += line * 2
	}
}
