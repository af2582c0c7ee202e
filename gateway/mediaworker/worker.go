package main

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bridgehead/core/compose/wire"
)

const (
	tick        = time.Second / wire.MaxRate
	healthEvery = 6 // ticks
	// idle is how often it says so where there is nothing to draw: each time
	// wakes two processes up.
	idle       = 500 * time.Millisecond
	maxSources = 256
	maxScenes  = 256
)

// worker has all sources and scenes. One goroutine reads what the gateway
// says, another ticks.
type worker struct {
	mu      sync.Mutex // guards the maps
	sources map[uint32]*source
	scenes  map[uint32]*scene
	pixels  atomic.Int64
	wake    chan struct{} // there is something to draw

	out    sync.Mutex
	to     *bufio.Writer
	buf    []byte
	failed error
}

func newWorker(to *bufio.Writer) *worker {
	return &worker{sources: map[uint32]*source{}, scenes: map[uint32]*scene{}, wake: make(chan struct{}, 1), to: to}
}

// serve works until the gateway closes the socket, or breaks a frame.
func (w *worker) serve(from io.Reader) error {
	stop := make(chan struct{})
	defer close(stop)
	go w.tick(stop)
	buf := make([]byte, wire.MaxFrame)
	for {
		k, body, err := wire.Read(from, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = w.take(k, body)
		}
		if err != nil {
			return err
		}
	}
}

// take one frame.
func (w *worker) take(k wire.Kind, body []byte) error {
	switch k {
	case wire.Packet:
		m, err := wire.ParseMedia(body)
		if err != nil {
			return err
		}
		return w.packet(m)
	case wire.SetScene:
		s, err := wire.ParseScene(body)
		if err != nil {
			return err
		}
		return w.set(s)
	}
	id, err := wire.ParseID(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch k {
	case wire.EndScene:
		if s := w.scenes[id]; s != nil {
			close(s.ticks)
			delete(w.scenes, id)
		}
	case wire.EndSource:
		if s := w.sources[id]; s != nil {
			close(s.in)
			delete(w.sources, id)
		}
	case wire.Keyframe:
		if s := w.scenes[id]; s != nil {
			s.key.Store(true)
		}
	default:
		return wire.ErrFrame
	}
	return nil
}

// packet queues a packet of a source, which is opened by its first.
func (w *worker) packet(m wire.Media) error {
	m.Payload = append([]byte{}, m.Payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sources[m.ID]
	if s == nil {
		if len(w.sources) >= maxSources {
			return wire.ErrScene
		}
		s = newSource(m.ID, func() { w.write(func(b []byte) []byte { return wire.AppendID(b, wire.Keyframe, m.ID) }) }, &w.pixels)
		w.sources[m.ID] = s
		go s.run()
	}
	s.feed(m)
	return nil
}

func (w *worker) set(spec wire.Scene) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.scenes[spec.ID]; s != nil {
		s.set(spec)
		return nil
	}
	if len(w.scenes) >= maxScenes {
		return wire.ErrScene
	}
	s := newScene(spec, w.find, w.send, &w.pixels)
	w.scenes[spec.ID] = s
	go s.run()
	s.ticks <- time.Now() // the first picture is waited for
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

func (w *worker) find(id uint32) *source {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sources[id]
}

// tick has every scene look for something new, and tells the gateway that all
// is well, while it is.
func (w *worker) tick(stop chan struct{}) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-w.wake:
			t.Reset(tick)
		case now := <-t.C:
			well, nothing := w.beat(now)
			if nothing {
				t.Reset(idle)
			}
			if well && (nothing || n%healthEvery == 0) {
				w.health()
			}
		}
	}
}

func (w *worker) beat(now time.Time) (well, nothing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	well = true
	for _, s := range w.scenes {
		select {
		case s.ticks <- now:
		default: // it is still at the one before
		}
		well = well && !s.busy.stuck(now)
	}
	for _, s := range w.sources {
		well = well && !s.busy.stuck(now)
	}
	return well, len(w.scenes) == 0
}

func (w *worker) health() {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	w.mu.Lock()
	r := wire.Report{CPU: u.Utime.Nano() + u.Stime.Nano(), Sources: len(w.sources), Pixels: w.pixels.Load()}
	w.mu.Unlock()
	w.write(func(b []byte) []byte { b, _ = wire.AppendJSON(b, wire.Health, r); return b })
}

// send a packet of a scene; the last of a picture takes all on its way.
func (w *worker) send(m *wire.Media) {
	w.out.Lock()
	defer w.out.Unlock()
	w.buf = m.Append(w.buf[:0])
	w.put(m.Marker)
}

func (w *worker) write(frame func([]byte) []byte) {
	w.out.Lock()
	defer w.out.Unlock()
	w.buf = frame(w.buf[:0])
	w.put(true)
}

// put writes buf. Where the gateway is gone, serve ends too.
func (w *worker) put(flush bool) {
	if w.failed == nil {
		_, w.failed = w.to.Write(w.buf)
	}
	if flush && w.failed == nil {
		w.failed = w.to.Flush()
	}
}
