package clock

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
)

type counter struct {
	steps atomic.Int64
	on    func(time.Duration)
}

func (c *counter) Step(now time.Duration) {
	c.steps.Add(1)
	if c.on != nil {
		c.on(now)
	}
}

// ticking runs a clock for a second of the bubble's time.
func ticking(t *testing.T, c *Clock) {
	ctx, cancel := context.WithCancel(t.Context())
	go c.RunBy(ctx, coretest.NewBubble())
	time.Sleep(time.Second + Frame/2)
	cancel()
	synctest.Wait()
}

func TestStepsOnceAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(nil)
		var read, mix counter
		defer c.Read(&read)()
		defer c.Mix(&mix)()
		ticking(t, c)
		if r, m := read.steps.Load(), mix.steps.Load(); r != 50 || m != 50 {
			t.Errorf("sockets were read %d times and mixers stepped %d times in a second, want 50", r, m)
		}
	})
}

type idler struct {
	counter
	busy atomic.Bool
	wake func()
}

func (i *idler) Idle() bool        { return !i.busy.Load() }
func (i *idler) Wakes(wake func()) { i.wake = wake }

func TestRestsWhileThereIsNothingToDo(t *testing.T) {
	for name, c := range map[string]struct {
		busy, mix bool
		from, to  int64 // steps in a second
	}{
		"nothing open":         {false, false, 1, 1},
		"a session is open":    {true, false, 50, 50},
		"a meeting is running": {false, true, 50, 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := New(nil)
				var s idler
				s.busy.Store(c.busy)
				defer clock.Read(&s)()
				if c.mix {
					defer clock.Mix(&counter{})()
				}
				ticking(t, clock)
				if n := s.steps.Load(); n < c.from || n > c.to {
					t.Errorf("%d ticks in a second, want %d to %d", n, c.from, c.to)
				}
			})
		})
	}
}

func TestWhoComesEndsTheRest(t *testing.T) {
	for name, come := range map[string]func(c *Clock, read *idler, mix *counter) *counter{
		"a mixer": func(c *Clock, _ *idler, mix *counter) *counter { c.Mix(mix); return mix },
		"a session": func(_ *Clock, read *idler, _ *counter) *counter {
			read.busy.Store(true)
			read.wake()
			return &read.counter
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(nil)
				var read idler
				var mix counter
				c.Read(&read)
				ctx, cancel := context.WithCancel(t.Context())
				go c.RunBy(ctx, coretest.NewBubble())
				time.Sleep(rest + rest/2)
				who := come(c, &read, &mix)
				before := who.steps.Load()
				time.Sleep(Frame + Frame/2)
				if who.steps.Load() == before {
					t.Error("it was not stepped within a frame")
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// In the time of the kernel, too; how fast is not asked.
func TestKernelWakesTheClock(t *testing.T) {
	c := New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	steps := make(chan struct{}, 100)
	defer c.Mix(&counter{on: func(time.Duration) {
		select {
		case steps <- struct{}{}:
		default:
		}
	}})()
	for range 3 {
		<-steps
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestReadComesBeforeMix(t *testing.T) {
	c := New(nil)
	var order []string
	c.Mix(&counter{on: func(time.Duration) { order = append(order, "mix") }})
	c.Read(&counter{on: func(time.Duration) { order = append(order, "read") }})
	c.StepAll(core.Now())
	if len(order) != 2 || order[0] != "read" {
		t.Fatalf("order %v, want read first", order)
	}
}

func TestPanicOfOneStepperSparesTheOthers(t *testing.T) {
	c := New(nil)
	c.Read(&counter{on: func(time.Duration) { panic("bad meeting") }})
	var next counter
	c.Read(&next)
	c.StepAll(core.Now())
	if next.steps.Load() != 1 {
		t.Fatal("the stepper after the panic was not stepped")
	}
}

func TestRemovedStepperIsNotStepped(t *testing.T) {
	c := New(nil)
	var a, b counter
	remove := c.Read(&a)
	c.Read(&b)
	remove()
	c.StepAll(core.Now())
	if a.steps.Load() != 0 || b.steps.Load() != 1 {
		t.Fatalf("steps a=%d b=%d, want 0 and 1", a.steps.Load(), b.steps.Load())
	}
}

// A phase that takes long is shared by all cores, and each stepper still steps
// exactly once.
func TestSharedOutWorkIsDoneOnce(t *testing.T) {
	c := New(nil)
	work := make([]Stepper, 500)
	for i := range work {
		work[i] = &counter{}
	}
	w := newCrew(c)
	defer close(w.start)
	for range 10 {
		w.took = 2 * alone
		w.step(work, 0)
	}
	for i, s := range work {
		if n := s.(*counter).steps.Load(); n != 10 {
			t.Fatalf("stepper %d stepped %d times, want 10", i, n)
		}
	}
}
