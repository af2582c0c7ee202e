package sip

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// guard decides by source address alone, before anything is read from a
// message, who may cost this process work.
type guard struct {
	open     bool // the legacy listener lets strangers in
	sources  atomic.Pointer[[]netip.Prefix]
	counters *Counters

	mu      sync.Mutex
	peers   map[netip.Addr]int // that this end talks to: calls out, registrars
	streams map[netip.Addr]int
	total   int
	buckets map[netip.Addr]*bucket
}

// bucket is a token bucket for one source.
type bucket struct {
	tokens float64
	at     time.Time
}

// Messages per second that one source may send, and at once. A trunk sends the
// calls of thousands from one address.
const (
	strangerRate, strangerBurst = 20, 60
	trunkRate, trunkBurst       = 2000, 4000
	maxBuckets                  = 8192
)

// Counters count what is dropped without an answer.
type Counters struct {
	Unlisted  atomic.Uint64 // datagrams and connections from unlisted sources
	Throttled atomic.Uint64 // messages over the source's rate
	Malformed atomic.Uint64
	Refused   atomic.Uint64 // calls refused
	Calls     atomic.Uint64 // calls begun, in and out
	Panics    atomic.Uint64
}

func (g *guard) listed(a netip.Addr) bool {
	if l := g.sources.Load(); l != nil {
		for _, p := range *l {
			if p.Contains(a) {
				return true
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[a] > 0
}

// admit lets a datagram in.
func (g *guard) admit(a netip.Addr, client bool) bool {
	known := g.listed(a)
	if !known && (!g.open || client) {
		g.counters.Unlisted.Add(1)
		return false
	}
	return g.take(a, known)
}

// spend charges one message that came over a connection. A server that this
// end has connected to answers as many calls as a trunk carries.
func (g *guard) spend(in *flow) bool {
	a := in.remote.Addr()
	return g.take(a, in.client || g.listed(a))
}

func (g *guard) take(a netip.Addr, known bool) bool {
	rate, burst := float64(strangerRate), float64(strangerBurst)
	if known {
		rate, burst = trunkRate, trunkBurst
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.buckets[a]
	if b == nil {
		if len(g.buckets) >= maxBuckets {
			for k := range g.buckets { // any: a map has no order
				delete(g.buckets, k)
				break
			}
		}
		b = &bucket{tokens: burst, at: now}
		g.buckets[a] = b
	}
	b.tokens = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		g.counters.Throttled.Add(1)
		return false
	}
	b.tokens--
	return true
}

// connect lets a connection in; disconnect follows if it does.
func (g *guard) connect(a netip.Addr, secure bool) bool {
	known := g.listed(a)
	if !known && !secure && !g.open {
		g.counters.Unlisted.Add(1)
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxStreams || !known && g.streams[a] >= maxPerSource {
		g.counters.Throttled.Add(1)
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

// know admits a peer of ours while a call or a registration with it lasts.
func (g *guard) know(a netip.Addr) {
	g.mu.Lock()
	g.peers[a]++
	g.mu.Unlock()
}

func (g *guard) unknow(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.peers[a]--; g.peers[a] <= 0 {
		delete(g.peers, a)
	}
}
