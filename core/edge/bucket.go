package edge

import (
	"net/netip"
	"time"
)

// Bucket is a token bucket for one source.
type Bucket struct {
	tokens float64
	at     time.Time
}

// Buckets are those of many sources, bounded in number. The user locks them.
type Buckets map[netip.Addr]*Bucket

// MaxBuckets bounds them: beyond it, any is forgotten.
const MaxBuckets = 8192

// Of gives a source's bucket, filled up to now: by rate tokens a second, to at
// most burst.
func (m Buckets) Of(a netip.Addr, rate, burst float64) *Bucket {
	b := m[a]
	if b == nil {
		if len(m) >= MaxBuckets {
			for k := range m { // any: a map has no order
				delete(m, k)
				break
			}
		}
		b = &Bucket{}
		m[a] = b
	}
	b.Fill(rate, burst)
	return b
}

// Fill fills the bucket up to now; a new one is full.
func (b *Bucket) Fill(rate, burst float64) {
	now := time.Now()
	if b.at.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())
	}
	b.at = now
}

// Take takes a token, if there is one.
func (b *Bucket) Take() bool {
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Empty reports whether Take would find none.
func (b *Bucket) Empty() bool { return b.tokens < 1 }
