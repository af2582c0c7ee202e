package edge

import (
	"net/netip"
	"time"
)

// Bucket is a token bucket.
type Bucket struct {
	tokens float64
	at     time.Time
}

// Keyed are the buckets of many keys, bounded in number. The user locks them.
type Keyed[K comparable] map[K]*Bucket

// MaxBuckets bounds them: beyond it, any is forgotten.
const MaxBuckets = 8192

// At gives a key's bucket, filled up to a time: by rate tokens a second, to at
// most burst.
func (m Keyed[K]) At(now time.Time, key K, rate, burst float64) *Bucket {
	b := m[key]
	if b == nil {
		if len(m) >= MaxBuckets {
			for k := range m { // any: a map has no order
				delete(m, k)
				break
			}
		}
		b = &Bucket{}
		m[key] = b
	}
	b.fill(now, rate, burst)
	return b
}

// Buckets are those of sources.
type Buckets map[netip.Addr]*Bucket

// site is what counts as one source: of IPv6, a whole /64, since a single
// customer has as many addresses.
func site(a netip.Addr) netip.Addr {
	if p, err := a.Prefix(64); a.Is6() && !a.Is4In6() && err == nil {
		return p.Addr()
	}
	return a.Unmap()
}

// Of gives a source's bucket, filled up to now: by rate tokens a second, to at
// most burst.
func (m Buckets) Of(a netip.Addr, rate, burst float64) *Bucket {
	return m.At(time.Now(), a, rate, burst)
}

// At is Of by another clock.
func (m Buckets) At(now time.Time, a netip.Addr, rate, burst float64) *Bucket {
	return Keyed[netip.Addr](m).At(now, site(a), rate, burst)
}

// Has tells whether the source has a bucket: whether it was ever charged.
func (m Buckets) Has(a netip.Addr) bool { return m[site(a)] != nil }

// Fill fills the bucket up to now; a new one is full.
func (b *Bucket) Fill(rate, burst float64) { b.fill(time.Now(), rate, burst) }

func (b *Bucket) fill(now time.Time, rate, burst float64) {
	if b.at.IsZero() {
		b.tokens = burst
	} else {
		b.tokens = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())
	}
	b.at = now
}

// Take takes a token, if there is one.
func (b *Bucket) Take() bool { return b.TakeAll(1) }

// TakeAll takes n tokens, or none if there are not as many.
func (b *Bucket) TakeAll(n int) bool {
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Empty reports whether Take would find none.
func (b *Bucket) Empty() bool { return b.tokens < 1 }
