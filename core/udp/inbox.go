package udp

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// Batch is how many datagrams are read in one system call.
	Batch = 64
	// MaxPacket is the longest datagram in octets; what is longer is cut, and
	// then fails to authenticate or decode.
	MaxPacket = 2048
	// maxDatagrams bounds what one Drain reads: a flood does not stop the clock.
	maxDatagrams = 8192
)

// Inbox is where a batch is read into; one serves many sockets in turn.
type Inbox struct {
	headers [Batch]mmsghdr
	iovecs  [Batch]unix.Iovec
	names   [Batch]unix.RawSockaddrInet6
	control [Batch][64]byte
	// An odd number of cache lines apart, so that packets do not compete for
	// the same places in the cache.
	data [Batch][MaxPacket + 64]byte
	used int // headers that the kernel wrote to in the last read
	// Offset turns the kernel's wall-clock time stamps into the caller's time.
	Offset time.Duration
}

// NewInbox returns one with its buffers.
func NewInbox() *Inbox {
	in := &Inbox{used: Batch}
	for i := range in.headers {
		in.iovecs[i].Base = &in.data[i][0]
		in.iovecs[i].SetLen(MaxPacket)
		h := &in.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&in.names[i]))
		h.Iov = &in.iovecs[i]
		h.SetIovlen(1)
		h.Control = &in.control[i][0]
	}
	return in
}

// Read takes up to a batch of datagrams and returns how many there were.
func (in *Inbox) Read(s Socket) int { return in.read(s.fd) }

func (in *Inbox) read(fd int) int {
	for i := range in.used {
		in.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		in.headers[i].hdr.SetControllen(len(in.control[i]))
	}
	in.used = 0
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.headers)),
		Batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	in.used = int(n)
	return in.used
}

// Packet is datagram i, until the next Read.
func (in *Inbox) Packet(i int) []byte { return in.data[i][:min(int(in.headers[i].len), MaxPacket)] }

// From is where it came from.
func (in *Inbox) From(i int) netip.AddrPort {
	n := &in.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&n.Port))[:])
	if n.Family == unix.AF_INET {
		n4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(n4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), port)
}

// IPv4 is where it came from as one number, of address and port; false for
// IPv6.
func (in *Inbox) IPv4(i int) (place uint64, ok bool) {
	n := (*unix.RawSockaddrInet4)(unsafe.Pointer(&in.names[i]))
	port := (*[2]byte)(unsafe.Pointer(&n.Port))
	return uint64(binary.BigEndian.Uint32(n.Addr[:]))<<16 | uint64(binary.BigEndian.Uint16(port[:])), n.Family == unix.AF_INET
}

// Arrival is when the kernel took the datagram in; now where it does not say.
func (in *Inbox) Arrival(i int, now time.Duration) time.Duration {
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
	at := time.Duration(ts.Nano()) - in.Offset
	if at > now || now-at > time.Second {
		return now // the wall clock was set meanwhile
	}
	return at
}

// Drain reads all that has come, up to a bound, and has take look at each.
func (in *Inbox) Drain(s Socket, take func(i int)) {
	in.DrainBatches(s, func(n int) {
		for i := range n {
			take(i)
		}
	})
}

// DrainBatches is Drain for who wants to see all the datagrams of a Read at once:
// there are n, [Batch] at most.
func (in *Inbox) DrainBatches(s Socket, take func(n int)) {
	for n, sum := Batch, 0; n == Batch && sum < maxDatagrams; sum += n {
		if n = in.Read(s); n > 0 {
			take(n)
		}
	}
}
