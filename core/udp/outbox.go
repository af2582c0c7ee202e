package udp

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Outbox collects datagrams, written by many, and sends them by as few system
// calls as there can be. Datagrams are made where they are sent from.
type Outbox struct {
	size  Size
	raw   func(send func(fd int)) // runs send with the socket's descriptor
	fails int                     // of segmentation, in a row
	// mu is held while one datagram is made, never while any is sent.
	mu    sync.Mutex
	fill  *crate
	spare []*crate
}

// Size of a batch.
type Size struct {
	Datagrams, Octets int
	// Segments has what goes to one place handed to the kernel as one, which
	// takes it apart on its way out (UDP_SEGMENT).
	Segments bool
}

// NewOutbox returns one that sends through s.
func NewOutbox(s Socket, size Size) *Outbox {
	return newOutbox(func(send func(fd int)) { send(s.fd) }, size)
}

func newOutbox(raw func(func(int)), size Size) *Outbox {
	return &Outbox{raw: raw, size: size, fill: newCrate(size)}
}

// Begin gives room for a datagram of up to MaxPacket octets, of length 0. The
// outbox is the caller's until End. A batch that is full is sent first.
func (o *Outbox) Begin() []byte {
	o.mu.Lock()
	for o.fill.n == o.size.Datagrams || len(o.fill.data)-o.fill.used < MaxPacket {
		o.flush()
	}
	at := o.fill.used
	return o.fill.data[at : at : at+MaxPacket]
}

// End takes the first n octets of what Begin gave as a datagram; 0: none came
// of it. It reports whether it is the first of its batch.
func (o *Outbox) End(n int, to *Address) (first bool) {
	c := o.fill
	if n > 0 {
		c.iovecs[c.n].Base = &c.data[c.used]
		c.iovecs[c.n].SetLen(n)
		c.names[c.n] = *to
		first = c.n == 0
		c.n++
		c.used += (n + 63) &^ 63 // a cache line of its own
	}
	o.mu.Unlock()
	return first
}

// Flush sends what there is. Several may flush at once.
func (o *Outbox) Flush() {
	o.mu.Lock()
	o.flush()
	o.mu.Unlock()
}

// flush: mu is held, and given up meanwhile.
func (o *Outbox) flush() {
	c := o.fill
	if c.n == 0 {
		return
	}
	if last := len(o.spare) - 1; last >= 0 {
		o.fill, o.spare = o.spare[last], o.spare[:last]
	} else {
		o.fill = newCrate(o.size)
	}
	c.segments = o.size.Segments && o.fails < maxFails
	o.mu.Unlock()
	o.raw(c.post)
	o.mu.Lock()
	switch {
	case c.refused:
		o.fails++ // some network cards cannot take it apart
	case c.segments:
		o.fails = 0
	}
	if len(o.spare) == 0 { // more are needed in a rush only
		o.spare = append(o.spare, c)
	}
}

// maxFails of segmentation, one after the other, are the network card's fault.
const maxFails = 3

// crate is a batch of datagrams.
type crate struct {
	n, used  int // datagrams, octets of data
	segments bool
	refused  bool // segments were
	post     func(fd int)
	headers  []mmsghdr // one for each message
	iovecs   []unix.Iovec
	names    []Address
	data     []byte

	// Messages of several datagrams to one place.
	control  []segment
	iov      []unix.Iovec // the datagrams' in the order of messages
	message  []int32      // of each datagram
	messages []message
	open     []int32 // by place, the message that may take more, plus 1; twice as many as datagrams, or more
}

// message is one or more datagrams to one place, all of one size but the last,
// which may be shorter.
type message struct {
	to           int32 // a datagram of that place
	first, count int32 // its iovecs
	filled       int32
	size, octets int32 // of a segment, of all
	closed       bool
	entry        int32 // of its place, among open
}

// segment is the control message UDP_SEGMENT.
type segment struct {
	unix.Cmsghdr
	size uint16
	_    [6]byte
}

const (
	// Bounds of the kernel for one message.
	maxSegments = 64
	maxOctets   = 65000
)

func newCrate(size Size) *crate {
	c := &crate{
		headers: make([]mmsghdr, size.Datagrams), iovecs: make([]unix.Iovec, size.Datagrams),
		names: make([]Address, size.Datagrams), data: make([]byte, size.Octets),
	}
	c.post = c.send
	if size.Segments {
		c.control = make([]segment, size.Datagrams)
		c.iov = make([]unix.Iovec, size.Datagrams)
		c.message = make([]int32, size.Datagrams)
		c.messages = make([]message, 0, size.Datagrams)
		c.open = make([]int32, 2<<bits.Len(uint(size.Datagrams-1)))
	}
	return c
}

// send never blocks. A datagram that the kernel refuses, for its destination or
// because it has no room, is lost, like on any network.
func (c *crate) send(fd int) {
	c.refused = false
	messages := c.n
	if c.segments {
		messages = c.group()
	} else {
		for i := range c.n {
			c.head(i, i, &c.iovecs[i], 1)
		}
	}
	for at := 0; at < messages; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&c.headers[at])), uintptr(messages-at),
			unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			n = 1
			if c.segments && c.messages[at].count > 1 && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE) {
				c.refused = true
				c.apart(fd, at)
			}
		}
		at += int(n)
	}
	c.n, c.used = 0, 0
}

// head makes header i of so many datagrams, to the place of datagram to.
func (c *crate) head(i, to int, iov *unix.Iovec, count int) {
	h := &c.headers[i].hdr
	h.Name, h.Namelen = &c.names[to].raw[0], uint32(c.names[to].len)
	h.Iov = iov
	h.SetIovlen(count)
	h.Control = nil
	h.SetControllen(0)
}

// group makes messages of the datagrams, in an order that keeps that of each
// place, and returns how many.
func (c *crate) group() int {
	c.messages = c.messages[:0]
	for i := range c.n {
		entry := c.entry(i)
		at := c.open[entry] - 1
		if at < 0 || !c.messages[at].take(int32(c.iovecs[i].Len)) {
			at = int32(len(c.messages))
			size := int32(c.iovecs[i].Len)
			c.messages = append(c.messages, message{to: int32(i), count: 1, size: size, octets: size, entry: entry})
			c.open[entry] = at + 1
		}
		c.message[i] = at
	}
	at := int32(0)
	for i := range c.messages {
		m := &c.messages[i]
		c.open[m.entry] = 0
		m.first = at
		at += m.count
		c.head(i, int(m.to), &c.iov[m.first], int(m.count))
		if m.count > 1 {
			c.cut(i, m.size)
		}
	}
	for i := range c.n {
		m := &c.messages[c.message[i]]
		c.iov[m.first+m.filled] = c.iovecs[i]
		m.filled++
	}
	return len(c.messages)
}

// seed keeps who chooses addresses from choosing where they are looked for.
var seed = maphash.MakeSeed()

// entry is where the place of datagram i is among open, or is to be: a map would be
// cleared to its full size after each batch, however few it has.
func (c *crate) entry(i int) int32 {
	at := maphash.Comparable(seed, c.names[i])
	for {
		at &= uint64(len(c.open) - 1)
		m := c.open[at] - 1
		if m < 0 || c.names[c.messages[m].to] == c.names[i] {
			return int32(at)
		}
		at++
	}
}

// take adds a datagram of so many octets, if it fits.
func (m *message) take(size int32) bool {
	if m.closed || size > m.size || m.count == maxSegments || m.octets+size > maxOctets {
		return false
	}
	m.count, m.octets, m.closed = m.count+1, m.octets+size, size < m.size
	return true
}

// cut has the kernel cut message i into datagrams of so many octets.
func (c *crate) cut(i int, size int32) {
	s := &c.control[i]
	s.Level, s.Type, s.size = unix.IPPROTO_UDP, unix.UDP_SEGMENT, uint16(size)
	s.SetLen(unix.CmsgLen(2))
	h := &c.headers[i].hdr
	h.Control = (*byte)(unsafe.Pointer(s))
	h.SetControllen(unix.CmsgSpace(2))
}

// apart sends the datagrams of a message one by one.
func (c *crate) apart(fd, at int) {
	h := c.headers[at].hdr
	h.Control = nil
	h.SetControllen(0)
	h.SetIovlen(1)
	for i := range c.messages[at].count {
		h.Iov = &c.iov[c.messages[at].first+i]
		_, _, _ = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&h)), unix.MSG_DONTWAIT)
	}
}
