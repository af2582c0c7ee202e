package rtpio

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outbox sends what many sessions write through one socket by one system call
// for a batch (sendmmsg(2)): when a batch is full, and at the end of the media
// clock's tick. Packets are made where they are sent from.
type outbox struct {
	socket socket
	// mu is held while one packet is made, never while any is sent.
	mu    sync.Mutex
	fill  *crate
	spare []*crate
}

// crate is a batch of datagrams.
type crate struct {
	n, used int // datagrams, octets of data
	headers [batch]mmsghdr
	iovecs  [batch]unix.Iovec
	data    [crateSize]byte
}

// crateSize in octets: a batch of G.711, encrypted, and never less than a few
// of the longest packets.
const crateSize = 24 << 10

func (o *outbox) init(s socket) { o.socket, o.fill = s, newCrate() }

func newCrate() *crate {
	c := &crate{}
	for i := range c.headers {
		c.headers[i].hdr.Iov = &c.iovecs[i]
		c.headers[i].hdr.SetIovlen(1)
	}
	return c
}

// begin gives room for a packet of up to maxPacket octets, of length 0. The
// outbox is the caller's until end.
func (o *outbox) begin() []byte {
	o.mu.Lock()
	for o.fill.n == batch || crateSize-o.fill.used < maxPacket {
		o.flush()
	}
	at := o.fill.used
	return o.fill.data[at : at : at+maxPacket]
}

// end takes the first n octets of what begin gave as a datagram; 0: none came
// of it. The address is not to change any more.
func (o *outbox) end(n int, to *address) {
	if c := o.fill; n > 0 {
		c.iovecs[c.n].Base = &c.data[c.used]
		c.iovecs[c.n].SetLen(n)
		h := &c.headers[c.n].hdr
		h.Name, h.Namelen = &to.raw[0], uint32(to.len)
		c.n++
		c.used += (n + 63) &^ 63 // a cache line of its own
	}
	o.mu.Unlock()
}

// flush sends what there is; mu is held, and given up meanwhile.
func (o *outbox) flush() {
	c := o.fill
	if c.n == 0 {
		return
	}
	if last := len(o.spare) - 1; last >= 0 {
		o.fill, o.spare = o.spare[last], o.spare[:last]
	} else {
		o.fill = newCrate()
	}
	o.mu.Unlock()
	c.send(o.socket)
	o.mu.Lock()
	o.spare = append(o.spare, c)
}

// send never blocks. A datagram that the kernel refuses, for its destination or
// because it has no room, is lost, like on any network.
func (c *crate) send(s socket) {
	for at := 0; at < c.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&c.headers[at])), uintptr(c.n-at),
			unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			n = 1
		}
		at += int(n)
	}
	c.n, c.used = 0, 0
}

// Sender sends what sessions on shared ports have written since its last step.
type Sender struct{ poller *Poller }

// Step sends.
func (s *Sender) Step(time.Duration) {
	for _, q := range s.poller.commons() {
		q.out.mu.Lock()
		q.out.flush()
		q.out.mu.Unlock()
	}
}

// Idle implements the clock's Idler: what is not written by the clock's tick
// waits for the next.
func (s *Sender) Idle() bool { return s.poller.Idle() }
