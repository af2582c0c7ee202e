package h323

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"bridgehead/core/edge"
)

// guard decides by source address who may cost this process work.
type guard struct {
	counters *Counters

	mu      sync.Mutex
	streams map[netip.Addr]int
	total   int

	perPeer int // connections
	callers *edge.Callers
	blocks  *edge.Blocks // nil: none
}

// Bounds of connections: all of them, and those of one source. The half-open
// ones, that have not led to a call, are bounded in time as well.
const (
	maxStreams    = 6000
	maxPerSource  = 200 // or twice the calls that are allowed
	maxHandshakes = 64
)

// Messages a second on one connection, and at once: a call needs some thirty
// to begin, and a few a minute after that.
const (
	messageRate  = 100
	messageBurst = 400
)

func newGuard(opt Options, c *Counters) *guard {
	return &guard{counters: c, streams: map[netip.Addr]int{},
		perPeer: max(maxPerSource, 2*opt.CallsPerSource), callers: edge.NewCallers(opt.SetupsPerSource, opt.CallsPerSource), blocks: opt.Blocks}
}

// Counters count what is dropped without an answer.
type Counters struct {
	Throttled atomic.Uint64 // connections and messages over the source's limits
	Malformed atomic.Uint64
	HalfOpen  atomic.Uint64 // connections closed that led to no call in time
	Refused   atomic.Uint64 // calls refused
	Calls     atomic.Uint64 // calls begun, in and out
	Downgrade atomic.Uint64 // calls refused since they came without encryption
	Panics    atomic.Uint64
}

// connect lets a connection in; disconnect follows if it does.
func (g *guard) connect(a netip.Addr) bool {
	if g.blocks.Drops(a, false) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxStreams || g.streams[a] >= g.perPeer {
		g.counters.Throttled.Add(1)
		g.blocks.Strike(a, false, edge.Flood)
		return false
	}
	g.total++
	g.streams[a]++
	return true
}

func (g *guard) disconnect(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.streams[a]--; g.streams[a] <= 0 {
		delete(g.streams, a)
	}
}
