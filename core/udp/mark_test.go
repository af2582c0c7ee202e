package udp

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSocketsAreMarked(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		s, err := Open(netip.MustParseAddrPort(at))
		if err != nil {
			t.Fatal(at, err)
		}
		level, option := unix.IPPROTO_IP, unix.IP_TOS
		if s.v6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		}
		for _, want := range []int{dscpEF, 34} {
			if want != dscpEF {
				s.Mark(want)
			}
			if got, err := unix.GetsockoptInt(s.fd, level, option); err != nil || got>>2 != want {
				t.Errorf("%s: DSCP %d, want %d, %v", at, got>>2, want, err)
			}
		}
		s.Close()
	}
}
