// Package udp sends and receives datagrams many at a time: by recvmmsg(2) and
// sendmmsg(2), and with segmentation by the kernel (UDP_SEGMENT) where several go
// to one place. It needs no goroutine, allocates nothing per datagram and never
// waits.
package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket is a UDP socket that is polled, never waited for.
type Socket struct {
	fd   int
	port uint16
	v6   bool
}

// Port is its number.
func (s Socket) Port() uint16 { return s.port }

// Open binds a socket whose packets are marked as media.
func Open(bind netip.AddrPort) (Socket, error) {
	family := unix.AF_INET
	var sa unix.Sockaddr
	if a := bind.Addr(); a.Is6() {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: int(bind.Port()), Addr: a.As16()}
	} else {
		sa = &unix.SockaddrInet4{Port: int(bind.Port()), Addr: a.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Socket{}, fmt.Errorf("UDP socket: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return Socket{}, fmt.Errorf("bind %s: %w", bind, err)
	}
	// Arrival times come from the kernel, so that reading late costs no
	// accuracy; and media is marked "expedited forwarding" (RFC 4594).
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	s := Socket{fd: fd, port: bind.Port(), v6: family == unix.AF_INET6}
	s.Mark(dscpEF)
	return s, nil
}

const dscpEF = 46

// Buffer asks for room for what comes and goes between two polls, and returns
// the octets that the kernel gives for what comes.
func (s Socket) Buffer(octets int) int {
	for _, o := range [][2]int{{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE}, {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], octets) != nil { // a privilege
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], octets)
		}
	}
	given, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return given
}

// Close closes it; nobody may use it any more.
func (s Socket) Close() { unix.Close(s.fd) }

// Address is a destination in the kernel's own form.
type Address struct {
	raw [unix.SizeofSockaddrInet6]byte
	len uintptr
}

// Address makes a destination of the socket's kind.
func (s Socket) Address(to netip.AddrPort) Address { return address(to, s.v6) }

func address(to netip.AddrPort, v6 bool) (a Address) {
	if v6 {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		sa.Family, sa.Addr = unix.AF_INET6, to.Addr().As16()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
		a.len = unix.SizeofSockaddrInet6
		return a
	}
	sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
	sa.Family = unix.AF_INET
	if to.Addr().Unmap().Is4() {
		sa.Addr = to.Addr().Unmap().As4()
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	a.len = unix.SizeofSockaddrInet4
	return a
}

// Send never blocks: what the kernel has no room for is lost, like on any
// network.
func (s Socket) Send(b []byte, to *Address) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&to.raw)), to.len)
	if errno != 0 {
		return errno
	}
	return nil
}

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// Mark sets the DSCP of what is sent (RFC 2474); it is expedited forwarding at
// first.
func (s Socket) Mark(dscp int) {
	if s.v6 {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscp<<2)
		return
	}
	_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS, dscp<<2)
}
