// Package clock is the bridge's one media clock. Every 20 ms it first has the
// sockets read, then steps the mixers, then has sent what they wrote: so no
// packet and no caller needs a goroutine, timer or wake-up of its own, and what
// is read is mixed at once.
package clock

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/alarm"
)

const (
	// Frame is the time between two ticks. Reading more often than mixing would
	// only find most sockets empty: callers send every 20 ms, too.
	Frame = 20 * time.Millisecond
	// rest is the time between two ticks while there is nothing to mix and
	// nothing to read; who adds a mixer, or something to read, ends it.
	rest = time.Second
	// catchUp bounds how many late frames are made up for; beyond it, time is
	// skipped.
	catchUp = 5
	// alone is how long one goroutine may take over a phase of a tick before
	// the other cores are woken to help.
	alone = time.Millisecond
)

// Stepper does all that is due at a time. Step must not block.
type Stepper interface{ Step(now time.Duration) }

// Idler is a Stepper that may have nothing to do. It calls wake, from any goroutine,
// as soon as it has.
type Idler interface {
	Stepper
	Idle() bool
	Wakes(wake func())
}

// Clock steps what is added to it. The zero value is not usable; see [New].
type Clock struct {
	log  *slog.Logger
	mu   sync.Mutex // guards changes of the lists
	read list
	mix  list
	send list
	// alarm wakes Run up; woken says that something is to be looked at now, and
	// is set before the alarm, which Run may be setting to later.
	alarm atomic.Pointer[Waker]
	woken atomic.Bool
	// lateness of ticks since the last Lateness call
	worst atomic.Int64
	late  atomic.Uint64 // ticks over 5 ms late
	ticks atomic.Uint64
}

// Waker wakes a clock up: an [alarm.Alarm], or one in the time of a test.
type Waker interface {
	Set(time.Duration)
	Wait() bool
	Close()
}

type list struct{ atomic.Pointer[[]Stepper] }

func (l *list) get() []Stepper {
	if p := l.Load(); p != nil {
		return *p
	}
	return nil
}

// New returns a clock that stands still until Run.
func New(log *slog.Logger) *Clock {
	if log == nil {
		log = slog.Default()
	}
	return &Clock{log: log}
}

// Read adds a stepper that reads sockets, stepped at every tick before any
// mixer. The function returned removes it.
func (c *Clock) Read(s Stepper) (remove func()) {
	if i, ok := s.(Idler); ok {
		i.Wakes(c.wake)
	}
	return c.add(&c.read, s)
}

// Mix adds a stepper that is stepped at every tick after the sockets were read.
func (c *Clock) Mix(s Stepper) (remove func()) {
	remove = c.add(&c.mix, s)
	c.wake()
	return remove
}

// wake has Run look at once, if it runs.
func (c *Clock) wake() {
	c.woken.Store(true)
	if a := c.alarm.Load(); a != nil {
		(*a).Set(0)
	}
}

// Send adds a stepper that sends what the mixers of a tick have written, stepped
// after all of them. The function returned removes it.
func (c *Clock) Send(s Stepper) (remove func()) { return c.add(&c.send, s) }

func (c *Clock) add(l *list, s Stepper) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := append(slices.Clone(l.get()), s)
	l.Store(&next)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		next := slices.DeleteFunc(slices.Clone(l.get()), func(x Stepper) bool { return x == s })
		l.Store(&next)
	}
}

// Run ticks until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	a, err := alarm.New()
	if err != nil {
		return fmt.Errorf("media clock: %w", err)
	}
	c.RunBy(ctx, a)
	return nil
}

// RunBy is Run, woken up by a, which it closes.
func (c *Clock) RunBy(ctx context.Context, a Waker) {
	defer a.Close()
	c.alarm.Store(&a)
	defer c.alarm.Store(nil)
	defer context.AfterFunc(ctx, c.wake)()
	read, mix, send := newCrew(c), newCrew(c), newCrew(c)
	defer close(read.start)
	defer close(mix.start)
	defer close(send.start)
	for next := core.Now() + Frame; ; {
		idle := c.Idle()
		if idle {
			a.Set(rest)
		} else {
			a.Set(next - core.Now())
		}
		if !c.woken.Swap(false) && !a.Wait() || ctx.Err() != nil {
			return
		}
		now := core.Now()
		if idle {
			next = now
		}
		if behind := now - next; behind > catchUp*Frame {
			c.log.Warn("media clock skipped time", "late", behind)
			next = now
		}
		for ; next <= now; next += Frame {
			c.note(now - next)
			read.step(c.read.get(), now)
			mix.step(c.mix.get(), now)
			send.step(c.send.get(), now)
		}
	}
}

// Idle reports whether the next ticks have nothing to do.
func (c *Clock) Idle() bool {
	busy := func(s Stepper) bool {
		i, ok := s.(Idler)
		return !ok || !i.Idle()
	}
	return len(c.mix.get()) == 0 && !slices.ContainsFunc(c.read.get(), busy)
}

func (c *Clock) note(late time.Duration) {
	c.ticks.Add(1)
	if late > 5*time.Millisecond {
		c.late.Add(1)
	}
	if int64(late) > c.worst.Load() {
		c.worst.Store(int64(late))
	}
}

// Lateness tells how many ticks there were, and how many came over 5 ms late.
func (c *Clock) Lateness() (ticks, late uint64) { return c.ticks.Load(), c.late.Load() }

// Worst is how late the latest tick was since Worst was last called.
func (c *Clock) Worst() time.Duration { return time.Duration(c.worst.Swap(0)) }

// StepAll runs one tick by hand, for tests: everything is due.
func (c *Clock) StepAll(now time.Duration) {
	for _, l := range []*list{&c.read, &c.mix, &c.send} {
		for _, s := range l.get() {
			c.one(s, now)
		}
	}
}

// one steps s and survives its panic: a fault in one meeting is no other's.
func (c *Clock) one(s Stepper, now time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("media step failed", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	s.Step(now)
}

// crew shares the steppers of one phase out to a goroutine a core, where the
// phase before took long enough to be worth the wake-ups.
type crew struct {
	clock *Clock
	start chan struct{}
	done  sync.WaitGroup
	next  atomic.Int64
	work  []Stepper
	now   time.Duration
	took  time.Duration
}

func newCrew(c *Clock) *crew {
	w := &crew{clock: c, start: make(chan struct{})}
	for range runtime.GOMAXPROCS(0) - 1 {
		go func() {
			for range w.start {
				w.drain()
				w.done.Done()
			}
		}()
	}
	return w
}

func (w *crew) step(work []Stepper, now time.Duration) {
	w.work, w.now = work, now
	w.next.Store(0)
	helpers := 0
	if w.took > alone {
		helpers = min(runtime.GOMAXPROCS(0), len(work)) - 1
	}
	began := core.Now()
	for range helpers {
		w.done.Add(1)
		w.start <- struct{}{}
	}
	w.drain()
	w.done.Wait()
	w.took = (core.Now() - began) * time.Duration(helpers+1)
}

func (w *crew) drain() {
	for {
		i := int(w.next.Add(1)) - 1
		if i >= len(w.work) {
			return
		}
		w.clock.one(w.work[i], w.now)
	}
}
