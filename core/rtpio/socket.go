package rtpio

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a UDP socket that is polled, never waited for: the media clock
// reads all that has come since the last tick in one system call.
type socket struct {
	fd   int
	port uint16
	v6   bool
}

func openSocket(bind netip.AddrPort) (socket, error) {
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
		return socket{}, fmt.Errorf("UDP socket: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return socket{}, fmt.Errorf("bind %s: %w", bind, err)
	}
	// Arrival times come from the kernel, so that reading late costs no
	// accuracy; and media is marked "expedited forwarding" (RFC 4594).
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	if family == unix.AF_INET {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, dscpEF<<2)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscpEF<<2)
	}
	return socket{fd: fd, port: bind.Port(), v6: family == unix.AF_INET6}, nil
}

const dscpEF = 46

// buffer asks for room for what comes and goes between two polls, and returns
// the octets that the kernel gives for what comes.
func (s socket) buffer(octets int) int {
	for _, o := range [][2]int{{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE}, {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], octets) != nil { // a privilege
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], octets)
		}
	}
	given, _ := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return given
}

func (s socket) close() { unix.Close(s.fd) }

// address is a destination in the kernel's own form, made once.
type address struct {
	raw [unix.SizeofSockaddrInet6]byte
	len uintptr
}

func (s socket) address(to netip.AddrPort) (a address) {
	port := binary.BigEndian.AppendUint16(nil, to.Port())
	if s.v6 {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.raw))
		sa.Family, sa.Addr = unix.AF_INET6, to.Addr().As16()
		copy((*[2]byte)(unsafe.Pointer(&sa.Port))[:], port)
		a.len = unix.SizeofSockaddrInet6
		return a
	}
	sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
	sa.Family = unix.AF_INET
	if to.Addr().Unmap().Is4() {
		sa.Addr = to.Addr().Unmap().As4()
	}
	copy((*[2]byte)(unsafe.Pointer(&sa.Port))[:], port)
	a.len = unix.SizeofSockaddrInet4
	return a
}

// send never blocks: what the kernel has no room for is lost, like on any
// network.
func (s socket) send(b []byte, to *address) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&to.raw)), to.len)
	if errno != 0 {
		return errno
	}
	return nil
}

const (
	batch     = 64   // datagrams read or sent in one system call
	maxPacket = 2048 // longer ones are cut, and then fail to authenticate or decode
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// inbox is where a poller reads a batch into; one serves many sockets in turn.
type inbox struct {
	headers [batch]mmsghdr
	iovecs  [batch]unix.Iovec
	names   [batch]unix.RawSockaddrInet6
	control [batch][64]byte
	// An odd number of cache lines apart, so that packets do not compete for
	// the same places in the cache.
	data [batch][maxPacket + 64]byte
	used int // headers that the kernel wrote to in the last read
	// offset turns the kernel's wall-clock time stamps into core.Now time.
	offset time.Duration
}

func newInbox() *inbox {
	in := &inbox{used: batch}
	for i := range in.headers {
		in.iovecs[i].Base = &in.data[i][0]
		in.iovecs[i].SetLen(maxPacket)
		h := &in.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&in.names[i]))
		h.Iov = &in.iovecs[i]
		h.SetIovlen(1)
		h.Control = &in.control[i][0]
	}
	return in
}

// read takes up to a batch of datagrams and returns how many there were.
func (in *inbox) read(s socket) int {
	for i := range in.used {
		in.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		in.headers[i].hdr.SetControllen(len(in.control[i]))
	}
	in.used = 0
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&in.headers)),
		batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	in.used = int(n)
	return in.used
}

func (in *inbox) packet(i int) []byte { return in.data[i][:min(int(in.headers[i].len), maxPacket)] }

func (in *inbox) from(i int) netip.AddrPort {
	n := &in.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&n.Port))[:])
	if n.Family == unix.AF_INET {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(n4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), port)
}

// arrival is when the kernel took the datagram in; now where it does not say.
func (in *inbox) arrival(i int, now time.Duration) time.Duration {
	h := &in.headers[i].hdr
	const size = unix.SizeofCmsghdr + int(unsafe.Sizeof(unix.Timespec{}))
	if int(h.Controllen) < size {
		return now
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&in.control[i]))
	if c.Level != unix.SOL_SOCKET || c.Type != unix.SCM_TIMESTAMPNS {
		return now
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&in.control[i][unix.SizeofCmsghdr]))
	at := time.Duration(ts.Nano()) - in.offset
	if at > now || now-at > time.Second {
		return now // the wall clock was set meanwhile
	}
	return at
}

// drain reads all that has come, up to a bound, and has take look at each.
func (in *inbox) drain(s socket, take func(i int)) {
	for n, sum := batch, 0; n == batch && sum < maxDatagrams; sum += n {
		n = in.read(s)
		for i := range n {
			take(i)
		}
	}
}
