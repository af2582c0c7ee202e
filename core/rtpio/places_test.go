package rtpio

import (
	"net/netip"
	"testing"
)

func TestPlaces(t *testing.T) {
	number := func(a netip.AddrPort) uint64 {
		ip := a.Addr().As4()
		return uint64(ip[0])<<40 | uint64(ip[1])<<32 | uint64(ip[2])<<24 | uint64(ip[3])<<16 | uint64(a.Port())
	}
	for _, n := range []int{0, 1, 2, 3, 100, maxShared} {
		by := map[netip.AddrPort]*Session{netip.MustParseAddrPort("[2001:db8::1]:4000"): {}}
		for i := range n {
			by[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % 3), byte(i)}), uint16(4000+2*i))] = &Session{}
		}
		p := newPlaces(nil, by)
		for at, s := range by {
			if at.Addr().Is4() && p.find(number(at)) != s {
				t.Errorf("%d places: %v leads elsewhere", n, at)
			}
		}
		for port := range 1 << 16 {
			if a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, 9}), uint16(port)); p.find(number(a)) != nil {
				t.Fatalf("%d places: %v is a stranger and leads somewhere", n, a)
			}
		}
	}
}
