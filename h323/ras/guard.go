package ras

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core/edge"
)

// Messages a second from one source, and at once; a source with registrations
// or a neighbour may be a whole office.
const (
	strangerRate, strangerBurst = 20, 60
	knownRate, knownBurst       = 500, 1000
)

// Wrong passwords from one source: at once, and a second. An office with one
// wrongly set device goes on; a guesser gets no further than that.
const (
	wrongBurst = 10
	wrongRate  = 1.0 / 60
)

// Counters count messages; all but Received got no answer, or no new one.
type Counters struct {
	Received  atomic.Uint64
	Malformed atomic.Uint64
	Throttled atomic.Uint64 // over the source's rate
	Blocked   atomic.Uint64 // of a source that sent too many wrong passwords
	Unlisted  atomic.Uint64 // questions of those who are no neighbour
	Repeated  atomic.Uint64 // answered with the same answer again
	Replayed  atomic.Uint64 // signed messages that came before: refused
}

// guard decides by source address who may cost work.
type guard struct {
	counters *Counters
	mu       sync.Mutex
	messages edge.Buckets
	wrongs   edge.Buckets
}

func newGuard(c *Counters) *guard {
	return &guard{counters: c, messages: edge.Buckets{}, wrongs: edge.Buckets{}}
}

func (g *guard) take(a netip.Addr, known bool, now time.Time) bool {
	rate, burst := float64(strangerRate), float64(strangerBurst)
	if known {
		rate, burst = knownRate, knownBurst
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.messages.At(now, a, rate, burst).Take() {
		g.counters.Throttled.Add(1)
		return false
	}
	return true
}

// guessing tells whether a source has sent too many wrong passwords.
func (g *guard) guessing(a netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrongs.Has(a) && g.wrongs.At(now, a, wrongRate, wrongBurst).Empty()
}

// wrong counts a wrong password.
func (g *guard) wrong(a netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrongs.At(now, a, wrongRate, wrongBurst).Take()
}

// A request that comes again within retryTime is a retransmission: it gets the
// same answer.
const (
	retryTime  = 10 * time.Second
	maxRetries = 4096 // in each half of the time
)

type retryKey struct {
	sum  [sha256.Size]byte
	from Peer
}

func keyOf(raw []byte, from Peer) retryKey { return retryKey{sha256.Sum256(raw), from} }

// retries remembers answers: of two generations the older one is forgotten
// when the younger is retryTime old, or full.
type retries struct {
	mu         sync.Mutex
	young, old map[retryKey]answered
	since      time.Time
}

type answered struct {
	reply []byte
	at    time.Time
}

func newRetries() *retries { return &retries{young: map[retryKey]answered{}} }

func (t *retries) get(k retryKey, now time.Time) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[retryKey]answered{t.young, t.old} {
		if a, ok := m[k]; ok && now.Sub(a.at) < retryTime {
			return a.reply, true
		}
	}
	return nil, false
}

func (t *retries) put(k retryKey, reply []byte, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.young) >= maxRetries || now.Sub(t.since) >= retryTime {
		t.young, t.old, t.since = map[retryKey]answered{}, t.young, now
	}
	t.young[k] = answered{reply, now}
}
