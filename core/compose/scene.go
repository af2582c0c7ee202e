package compose

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"bridgehead/core"
	"bridgehead/core/compose/wire"
)

// scene is one picture that the worker makes.
type scene struct {
	c    *Composer
	id   uint32
	cost float64
	text string // key among the shared ones; empty: its viewer's own

	// Under Composer.mu.
	spec       wire.Scene
	generation uint32 // counts the workers that have made it
	views      []*View

	up    atomic.Bool             // pictures come
	sinks atomic.Pointer[[]*View] // replaced, never changed
	seq   uint16                  // owned by deliver
}

// View is a scene as one of those sees it who share it.
type View struct {
	s    *scene
	sink core.Sink
}

// Open has a scene made. Its packets go to the sink, from one goroutine: H.264,
// constrained baseline, packetization mode 0, a new SSRC for each worker. The
// error is [ErrBudget], or tells what is wrong with the scene. While there is no
// worker nothing comes. The ID is set here. A scene of writing alone is shared.
func (c *Composer) Open(spec wire.Scene, sink core.Sink) (*View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := ""
	if len(spec.Cells) == 0 && (spec.Title != "" || len(spec.Lines) > 0) {
		b, _ := json.Marshal(spec)
		key = string(b)
	}
	s := c.texts[key]
	if s == nil {
		if err := spec.Check(); err != nil {
			return nil, err
		}
		s = &scene{c: c, spec: spec, text: key, cost: cost(spec), generation: 1}
		if !c.budget.admits(s.cost) {
			return nil, ErrBudget
		}
		s.id = c.id()
		s.spec.ID = s.id
		s.sinks.Store(new([]*View))
		c.scenes[s.id] = s
		c.budget.sum += s.cost
		if key != "" {
			c.texts[key] = s
		}
		if q := c.queue.Load(); q != nil {
			s.send(q)
		}
	}
	v := &View{s, sink}
	s.views = append(slices.Clip(s.views), v)
	list := s.views
	s.sinks.Store(&list)
	return v, nil
}

// Set changes what is shown. Size and rate stay as they are; a scene of writing
// does not change.
func (v *View) Set(spec wire.Scene) error {
	s := v.s
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	spec.ID, spec.Width, spec.Height, spec.Rate, spec.BitsPerSec = s.spec.ID, s.spec.Width, s.spec.Height, s.spec.Rate, s.spec.BitsPerSec
	if err := spec.Check(); err != nil || s.text != "" {
		return wire.ErrScene
	}
	s.spec = spec
	if q := s.c.queue.Load(); q != nil {
		s.send(q)
	}
	return nil
}

// Up tells whether pictures come.
func (v *View) Up() bool { return v.s.up.Load() }

// Keyframe asks for one.
func (v *View) Keyframe() { v.s.c.tell(wire.Keyframe, v.s.id) }

// Close ends the view, and the scene with its last.
func (v *View) Close() {
	s, c := v.s, v.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(s.views, v) {
		return
	}
	s.views = slices.DeleteFunc(slices.Clone(s.views), func(x *View) bool { return x == v })
	list := s.views
	s.sinks.Store(&list)
	if len(list) > 0 {
		return
	}
	delete(c.scenes, s.id)
	if s.text != "" {
		delete(c.texts, s.text)
	}
	c.budget.sum -= s.cost
	c.tell(wire.EndScene, s.id)
}

// send tells a worker of the scene.
func (s *scene) send(q *queue) {
	q.put(maxControl, func(b []byte) []byte { b, _ = wire.AppendJSON(b, wire.SetScene, s.spec); return b })
}

// deliver passes a packet on to all who see the scene.
func (s *scene) deliver(m *wire.Media) {
	s.up.Store(true)
	p := core.Packet{Payload: m.Payload, Arrival: s.c.opt.Now(), Level: core.LevelUnknown}
	p.Header = rtp.Header{Version: 2, Marker: m.Marker, SequenceNumber: s.seq, Timestamp: m.Stamp, SSRC: s.id<<8 | s.generation&0xff}
	s.seq++
	for _, v := range *s.sinks.Load() {
		_ = v.sink.Write(&p)
	}
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 1<<18) }

func parseReport(b []byte) (r wire.Report, err error) {
	if json.Unmarshal(b, &r) != nil || r.CPU < 0 {
		return r, wire.ErrFrame
	}
	return r, nil
}

// budget keeps the worker to its share of the machine. What scenes will cost is
// estimated by their pixels; what the worker really used corrects the estimate.
type budget struct {
	cores  float64 // that may be kept busy
	sum    float64 // the estimate of all scenes, in processors
	factor float64 // by which it has been wrong
	used   float64 // processors kept busy, smoothed

	known bool // of the present worker
	at    time.Duration
	cpu   int64
}

const (
	// perPixel is what a pixel costs in seconds where four pictures of the same
	// size are decoded, scaled and encoded as one (BenchmarkCompose).
	perPixel = 14e-9
	// A screen of writing is encoded twice a second.
	textShare = 0.1
	look      = 2 * time.Second
)

// cost of a scene in processors.
func cost(s wire.Scene) float64 {
	n := perPixel * float64(s.Width*s.Height*s.Rate)
	if len(s.Cells) == 0 && s.Title != "" {
		n *= textShare
	}
	return n
}

// admits tells whether there is room for so much more.
func (b *budget) admits(cost float64) bool { return (b.sum+cost)*b.factor <= b.cores }

func (b *budget) restart() { b.known, b.used = false, 0 }

// note takes the worker's report.
func (b *budget) note(r wire.Report, now time.Duration) {
	span := now - b.at
	if b.known && span < look {
		return
	}
	if b.known && r.CPU >= b.cpu {
		now := float64(r.CPU-b.cpu) / float64(span)
		b.used += (now - b.used) / 2
		if b.sum > 0.02 {
			b.factor = min(max(b.factor+(b.used/b.sum-b.factor)/4, 0.25), 4)
		}
	}
	b.known, b.at, b.cpu = true, now, r.CPU
}
