package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"bridgehead/core"
)

// paced has steps done once a period.
type paced interface {
	add(n int, step func(frame int))
	run(context.Context) error
}

// wanderers are senders whose clocks are not right: half of them are fast, half
// slow, and what they send is now and then late. No two are in step.
type wanderers struct {
	period time.Duration
	drift  float64       // ppm; those of odd numbers have it with the other sign
	jitter time.Duration // a step is late by up to so much

	mu   sync.Mutex
	list []*wanderer
}

type wanderer struct {
	period time.Duration
	at     time.Duration // of the next step, without jitter
	due    time.Duration
	frame  int
	step   func(frame int)
}

func (w *wanderers) add(n int, step func(frame int)) {
	drift := w.drift
	if n%2 == 1 {
		drift = -drift
	}
	now := core.Now()
	one := &wanderer{period: w.period - time.Duration(drift*float64(w.period)/1e6), at: now, due: now, step: step}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, one)
}

func (w *wanderers) run(ctx context.Context) error {
	t := time.NewTicker(slot)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		w.mu.Lock()
		list := w.list // what is behind its end is never changed
		w.mu.Unlock()
		for _, one := range list {
			one.catchUp(core.Now(), w.jitter)
		}
	}
}

// catchUp does the steps that are due.
func (o *wanderer) catchUp(now, jitter time.Duration) {
	for o.due <= now {
		o.step(o.frame)
		o.frame++
		o.at += o.period
		late := time.Duration(0)
		if jitter > 0 {
			late = rand.N(jitter)
		}
		o.due = max(o.due, o.at+late)
	}
}

// bad is a line that loses packets and swaps others with the one after.
type bad struct {
	loss float64 // of 1; as many are swapped
	held func()
}

// pass sends by the line.
func (b *bad) pass(send func()) {
	if b.loss == 0 {
		send()
		return
	}
	held := b.held
	b.held = nil
	switch x := rand.Float64(); {
	case x < b.loss:
	case x < 2*b.loss && held == nil:
		b.held = send
		return
	default:
		send()
	}
	if held != nil {
		held()
	}
}
