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

// pacer has each party send every 20 ms, at the phase of its number.
type pacer struct {
	mu   sync.Mutex
	list [slots]atomic.Pointer[[]*Party]
}

// add has the n-th party send from now on.
func (p *pacer) add(n int, party *Party) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.list[n%slots]
	var next []*Party
	if old := at.Load(); old != nil {
		next = append(next, *old...)
	}
	next = append(next, party)
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
			if list := p.list[n%slots].Load(); list != nil {
				for _, party := range *list {
					party.step(n / slots)
				}
			}
		}
	}
}
