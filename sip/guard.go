package sip

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"bridgehead/core/edge"
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
	buckets edge.Buckets  // of messages
	wrongs  edge.Buckets  // of wrong passwords
	callers *edge.Callers // that are no trunk
	blocks  *edge.Blocks  // of strangers; nil: none

	rate float64 // of messages from a stranger, a second
}

func newGuard(opt Options, c *Counters) *guard {
	setups := float64(opt.SetupsPerSource)
	return &guard{
		open: opt.Legacy, counters: c, blocks: opt.Blocks, callers: edge.NewCallers(opt.SetupsPerSource, opt.CallsPerSource),
		peers: map[netip.Addr]int{}, streams: map[netip.Addr]int{},
		buckets: edge.Buckets{}, wrongs: edge.Buckets{},
		rate: max(strangerRate, setups*messagesPerCall),
	}
}

// Messages per second that one source may send, and at once. A trunk sends the
// calls of thousands from one address.
const (
	strangerRate          = 20 // at least; more where more calls are allowed
	messagesPerCall       = 8
	strangerSeconds       = 3 // of that rate at once
	trunkRate, trunkBurst = 2000, 4000
)

// Wrong passwords from one source: at once, and a second. An office with one
// wrongly set device goes on; a guesser gets no further than that.
const (
	wrongBurst = 10
	wrongRate  = 1.0 / 60
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
	switch {
	case known:
	case g.blocks.Drops(a, true):
		return false
	case !g.open || client:
		g.counters.Unlisted.Add(1)
		g.blocks.Strike(a, true, edge.Unlisted)
		return false
	}
	return g.take(a, known, true)
}

// strike counts an offence of a stranger.
func (g *guard) strike(in *flow, what edge.Offence) {
	if a := in.remote.Addr(); !g.listed(a) {
		g.blocks.Strike(a, in.udp != nil, what)
	}
}

// spend charges one message that came over a connection. A server that this
// end has connected to answers as many calls as a trunk carries.
func (g *guard) spend(in *flow) bool {
	a := in.remote.Addr()
	known := in.client || g.listed(a)
	if registered := in.stream != nil && in.stream.user.Load() != nil; !known && !registered && g.blocks.Drops(a, false) {
		return false
	}
	return g.take(a, known, false)
}

func (g *guard) take(a netip.Addr, known, datagram bool) bool {
	rate, burst := g.rate, strangerSeconds*g.rate
	if known {
		rate, burst = trunkRate, trunkBurst
	}
	g.mu.Lock()
	ok := g.buckets.Of(a, rate, burst).Take()
	g.mu.Unlock()
	if ok {
		return true
	}
	g.counters.Throttled.Add(1)
	if !known {
		g.blocks.Strike(a, datagram, edge.Flood)
	}
	return false
}

// guessing tells whether a source has sent too many wrong passwords.
func (g *guard) guessing(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrongs.Has(a) && g.wrongs.Of(a, wrongRate, wrongBurst).Empty()
}

// wrong counts a wrong password.
func (g *guard) wrong(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrongs.Of(a, wrongRate, wrongBurst).Take()
}

// connect lets a connection in; disconnect follows if it does.
func (g *guard) connect(a netip.Addr, secure bool) bool {
	known := g.listed(a)
	switch {
	case known:
	case g.blocks.Drops(a, false):
		return false
	case !secure && !g.open:
		g.counters.Unlisted.Add(1)
		g.blocks.Strike(a, false, edge.Unlisted)
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
