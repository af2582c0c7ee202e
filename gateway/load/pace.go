package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
)

// slots are the phases at which parties send: callers are not in step with
// one another, so each sends at its own millisecond of the 20.
const (
	slot  = time.Millisecond
	slots = int(clock.Frame / slot)
)

// pacer has each of its steps done once a period, at the phase of its number.
type pacer struct {
	mu   sync.Mutex
	list []atomic.Pointer[[]func(frame int)] // by phase
}

func newPacer(period time.Duration) *pacer {
	return &pacer{list: make([]atomic.Pointer[[]func(int)], period/slot)}
}

// add has the n-th step done from now on.
func (p *pacer) add(n int, step func(frame int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.list[n%len(p.list)]
	var next []func(int)
	if old := at.Load(); old != nil {
		next = append(next, *old...)
	}
	next = append(next, step)
	at.Store(&next)
}

// run paces until ctx ends. Slots that come late are made up for.
func (p *pacer) run(ctx context.Context) {
	t := time.NewTicker(slot)
	defer t.Stop()
	began := core.Now()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for ; began+time.Duration(n)*slot <= core.Now(); n++ {
			if list := p.list[n%len(p.list)].Load(); list != nil {
				for _, step := range *list {
					step(n / len(p.list))
				}
			}
		}
	}
}
