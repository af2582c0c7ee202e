package clock

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
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

func TestMixersStepOnceAFrameAndSocketsAtEveryTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(nil)
		var read, even, odd counter
		defer c.Read(&read)()
		defer c.Mix(&even)()
		defer c.Mix(&odd)()
		ctx, cancel := context.WithCancel(t.Context())
		go c.Run(ctx)
		time.Sleep(time.Second + Period/2)
		cancel()
		synctest.Wait()
		for name, got := range map[string]struct{ n, want int64 }{
			"read": {read.steps.Load(), 100}, "even": {even.steps.Load(), 50}, "odd": {odd.steps.Load(), 50},
		} {
			if got.n < got.want || got.n > got.want+1 {
				t.Errorf("%s stepped %d times in a second, want %d", name, got.n, got.want)
			}
		}
	})
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
