package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/alarm"
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
	next int                                 // slot
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
func (p *pacer) run(ctx context.Context) error {
	wake, err := alarm.New()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, wake.Close)()
	began := core.Now()
	for {
		wake.Set(began + time.Duration(p.next)*slot - core.Now())
		if !wake.Wait() {
			return nil
		}
		for time.Duration(p.next)*slot <= core.Now()-began {
			p.step()
		}
	}
}

// step does what is due in the next slot.
func (p *pacer) step() {
	if list := p.list[p.next%len(p.list)].Load(); list != nil {
		for _, step := range *list {
			step(p.next / len(p.list))
		}
	}
	p.next++
}
