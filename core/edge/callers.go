package edge

import (
	"net/netip"
	"sync"

	"bridgehead/core"
)

// Callers bounds the calls that come from one address: the new ones a second,
// and those at once.
type Callers struct {
	rate  float64
	limit int

	mu     sync.Mutex
	setups Buckets
	calls  map[netip.Addr]int
}

// NewCallers allows rate new calls a second and limit at once from an address.
func NewCallers(rate, limit int) *Callers {
	return &Callers{rate: float64(rate), limit: limit, setups: Buckets{}, calls: map[netip.Addr]int{}}
}

// Enter lets a new call in; Leave follows if it does. The error is a
// core.Reason.
func (c *Callers) Enter(a netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.setups.Of(a, c.rate, 2*c.rate).Take() {
		return core.Reason{Code: core.Overload, Say: "Too many calls at a time.", Detail: "too many new calls a second from this source"}
	}
	if c.calls[a] >= c.limit {
		return core.Reason{Code: core.Overload, Say: "Too many calls at a time.", Detail: "too many calls at once from this source"}
	}
	c.calls[a]++
	return nil
}

// Leave: a call that was let in is over.
func (c *Callers) Leave(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[a]--; c.calls[a] <= 0 {
		delete(c.calls, a)
	}
}

// Sources is how many addresses have calls now.
func (c *Callers) Sources() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}
