// Package compose has pictures composed by a worker process: it starts the
// worker, starts it again when it dies or hangs, and opens everything anew; it
// keeps the worker within a budget; and it carries sources to it and scenes back.
// Pictures are decoded nowhere else, so a hostile one breaks at most the worker.
//
// Nobody who writes media waits for the worker: what it cannot take is dropped
// and counted, and the worker asks for a keyframe when it sees the gap.
package compose

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/compose/wire"
)

// Options of [New].
type Options struct {
	// Start starts a worker and returns the way to it. Close ends the worker and
	// may be called more than once, from any goroutine. See [Program].
	Start func() (io.ReadWriteCloser, error)
	// Cores is the budget: how many processors the worker may keep busy.
	Cores float64
	Now   func() time.Duration // the media clock; nil: core.Now
	Log   *slog.Logger
}

// Errors of [Composer.Open].
var ErrBudget = errors.New("compose: the processors' share for composed pictures is used up")

const (
	// hangs is how long the worker may say nothing.
	hangs     = time.Second
	firstWait = 100 * time.Millisecond
	maxWait   = 10 * time.Second
	// proven is how long a worker must live for the next to be started at once.
	proven = 30 * time.Second
)

// Composer is the worker as the bridge sees it.
type Composer struct {
	opt   Options
	queue atomic.Pointer[queue] // nil while there is no worker

	mu      sync.Mutex // guards the rest; held for no call out
	next    uint32     // last ID given
	sources map[uint32]*Source
	scenes  map[uint32]*scene
	texts   map[string]*scene // of writing alone, shared by all who see it
	budget  budget

	dropped  atomic.Int64
	restarts atomic.Int64
}

// New makes a Composer; [Composer.Run] starts the worker.
func New(o Options) *Composer {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = core.Now
	}
	return &Composer{opt: o, sources: map[uint32]*Source{}, scenes: map[uint32]*scene{}, texts: map[string]*scene{}, budget: budget{cores: o.Cores, factor: 1}}
}

// Run keeps a worker until ctx ends.
func (c *Composer) Run(ctx context.Context) {
	wait := firstWait
	for {
		began := time.Now()
		err := c.work(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > proven {
			wait = firstWait
		}
		c.restarts.Add(1)
		c.opt.Log.Warn("the media worker ended; composed pictures wait for the next", "error", err, "starts_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxWait)
	}
}

// work is the life of one worker.
func (c *Composer) work(ctx context.Context) error {
	w, err := c.opt.Start()
	if err != nil {
		return err
	}
	q := newQueue()
	c.begin(q)
	var hung atomic.Bool
	watchdog := time.AfterFunc(hangs, func() { hung.Store(true); w.Close() })
	stop := context.AfterFunc(ctx, func() { w.Close() })
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for b := q.take(); b != nil; b = q.take() {
			if _, err := w.Write(b); err != nil {
				w.Close() // the reader sees it, too
				return
			}
		}
	}()
	err = c.read(w, watchdog)
	c.end(q)
	stop()
	watchdog.Stop()
	w.Close()
	<-wrote
	if hung.Load() {
		err = errors.New("it said nothing for too long")
	}
	return err
}

// begin opens everything at a new worker.
func (c *Composer) begin(q *queue) {
	c.mu.Lock()
	for _, s := range c.scenes {
		s.generation++
		s.send(q)
	}
	var asks []func()
	for _, s := range c.sources {
		asks = append(asks, s.ask)
	}
	c.budget.restart()
	c.queue.Store(q)
	c.mu.Unlock()
	for _, ask := range asks {
		ask()
	}
}

func (c *Composer) end(q *queue) {
	c.queue.Store(nil)
	q.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.scenes {
		s.up.Store(false)
	}
}

// read takes what the worker says, until it ends.
func (c *Composer) read(w io.Reader, watchdog *time.Timer) error {
	buf := make([]byte, wire.MaxFrame)
	r := newReader(w)
	for {
		k, body, err := wire.Read(r, buf)
		if err != nil {
			return err
		}
		if k == wire.Health {
			watchdog.Reset(hangs)
		}
		if err := c.take(k, body); err != nil {
			return err
		}
	}
}

func (c *Composer) take(k wire.Kind, body []byte) error {
	switch k {
	case wire.Packet:
		m, err := wire.ParseMedia(body)
		if err != nil {
			return err
		}
		c.mu.Lock()
		s := c.scenes[m.ID]
		c.mu.Unlock()
		if s != nil {
			s.deliver(&m)
		}
	case wire.Keyframe:
		id, err := wire.ParseID(body)
		if err != nil {
			return err
		}
		c.mu.Lock()
		s := c.sources[id]
		c.mu.Unlock()
		if s != nil {
			s.ask()
		}
	case wire.Health:
		r, err := parseReport(body)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.budget.note(r, c.opt.Now())
		c.mu.Unlock()
	default:
		return wire.ErrFrame
	}
	return nil
}

// id gives one that was never given. c.mu is held.
func (c *Composer) id() uint32 {
	c.next++
	return c.next
}

// Alive tells whether there is a worker.
func (c *Composer) Alive() bool { return c.queue.Load() != nil }

// Stats is how the worker does.
type Stats struct {
	Alive    bool
	Scenes   int
	Sources  int
	Cores    float64 // processors kept busy, of late
	Budget   float64
	Restarts int64
	Dropped  int64 // packets that the worker could not take
}

// Stats are those of now.
func (c *Composer) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{c.Alive(), len(c.scenes), len(c.sources), c.budget.used, c.budget.cores, c.restarts.Load(), c.dropped.Load()}
}

// Source is a picture that scenes can show.
type Source struct {
	c   *Composer
	id  uint32
	ask func()
}

// Source opens one. Ask wants a keyframe of it; it must not block.
func (c *Composer) Source(ask func()) *Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Source{c, c.id(), ask}
	c.sources[s.id] = s
	return s
}

// ID names the source in the cells of scenes.
func (s *Source) ID() uint32 { return s.id }

var codecs = map[string]wire.Codec{"H264": wire.H264, "VP8": wire.VP8, "VP9": wire.VP9, "AV1": wire.AV1}

// Decodes tells whether the worker can decode a codec, by its name in capitals.
func Decodes(codec string) bool { return codecs[codec] != 0 }

// Sink takes the source's packets in a codec, by its name in capitals.
func (s *Source) Sink(codec string) core.Sink { return &sink{s, codecs[codec]} }

type sink struct {
	s     *Source
	codec wire.Codec
}

// Write implements core.Sink.
func (k *sink) Write(p *core.Packet) error {
	q := k.s.c.queue.Load()
	if q == nil {
		return nil
	}
	if len(p.Payload) > wire.MaxFrame/2 || !q.media(k, p) {
		k.s.c.dropped.Add(1)
	}
	return nil
}

// media puts a packet in, as put does, without a closure to allocate.
func (q *queue) media(k *sink, p *core.Packet) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.buf) > maxMedia {
		return false
	}
	m := wire.Media{ID: k.s.id, Codec: k.codec, Marker: p.Header.Marker, Seq: p.Header.SequenceNumber, Stamp: p.Header.Timestamp, Payload: p.Payload}
	q.buf = m.Append(q.buf)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// Close implements core.Sink.
func (k *sink) Close() error { return nil }

// Close ends the source.
func (s *Source) Close() {
	s.c.mu.Lock()
	delete(s.c.sources, s.id)
	s.c.mu.Unlock()
	s.c.tell(wire.EndSource, s.id)
}

// tell the worker, if there is one.
func (c *Composer) tell(k wire.Kind, id uint32) {
	if q := c.queue.Load(); q != nil {
		q.put(maxControl, func(b []byte) []byte { return wire.AppendID(b, k, id) })
	}
}
