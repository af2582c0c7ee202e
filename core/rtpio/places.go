package rtpio

import (
	"math/bits"
	"net/netip"
)

// places finds sessions by the IPv4 address and port that their peers send from
// ([bridgehead/core/udp.Inbox.IPv4]): open addressing, at most half full, so that
// a look at one cache line is mostly enough.
type places struct {
	slots []place
	shift int
}

type place struct {
	at   uint64
	here *Session // nil: nobody, and the search ends
}

// newPlaces are made of slots, if there are as many as it takes.
func newPlaces(slots []place, by map[netip.AddrPort]*Session) places {
	size := bits.Len(uint(2 * len(by)))
	clear(slots)
	p := places{append(slots[:0], make([]place, 1<<size)...), 64 - size}
	for at, s := range by {
		if !at.Addr().Is4() {
			continue
		}
		ip := at.Addr().As4()
		n := uint64(ip[0])<<40 | uint64(ip[1])<<32 | uint64(ip[2])<<24 | uint64(ip[3])<<16 | uint64(at.Port())
		i := p.first(n)
		for p.slots[i].here != nil {
			i = p.after(i)
		}
		p.slots[i] = place{n, s}
	}
	return p
}

func (p *places) find(at uint64) *Session {
	for i := p.first(at); ; i = p.after(i) {
		if s := &p.slots[i]; s.here == nil || s.at == at {
			return s.here
		}
	}
}

// first is where the search begins: by Fibonacci hashing.
func (p *places) first(at uint64) uint64 { return at * 0x9e3779b97f4a7c15 >> p.shift }

func (p *places) after(i uint64) uint64 { return (i + 1) & uint64(len(p.slots)-1) }
