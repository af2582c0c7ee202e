package udp

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a net.UDPConn that reads and writes in batches. Who reads, one at a
// time, gets what has come in one system call. What is written goes out at most
// Delay later, with all that was written meanwhile; several datagrams to one
// place, as the packets of a picture are, as one.
type Conn struct {
	*net.UDPConn
	raw syscall.RawConn
	v6  bool

	in   *Inbox
	read func(fd uintptr) bool
	next int // datagrams of in: the one to hand out, and how many there are
	have int
	// busy while the reader is: it sends what is written meanwhile.
	busy    atomic.Bool
	lingers bool

	out    *Outbox
	wake   chan struct{}
	done   chan struct{}
	closed atomic.Bool
}

// Delay is how long a datagram waits for others, at most.
const Delay = time.Millisecond

// NewConn takes over c.
func NewConn(c *net.UDPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	u := &Conn{UDPConn: c, raw: raw, in: NewInbox(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	u.v6 = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()
	u.read = func(fd uintptr) bool {
		u.have = u.in.read(int(fd))
		return u.have > 0
	}
	u.out = newOutbox(func(send func(int)) {
		_ = raw.Write(func(fd uintptr) bool { send(int(fd)); return true })
	}, Size{Datagrams: 1024, Octets: 1 << 20, Segments: true})
	go u.send()
	return u, nil
}

// Next waits for a datagram, which is the caller's until the next. One goroutine
// reads.
func (u *Conn) Next() ([]byte, netip.AddrPort, error) {
	if u.next == u.have {
		u.release()
		u.next, u.have = 0, 0
		if err := u.raw.Read(u.read); err != nil {
			return nil, netip.AddrPort{}, err
		}
		u.busy.Store(true)
	}
	i := u.next
	u.next++
	return u.in.Packet(i), u.in.From(i), nil
}

// Linger, called by the reader, has what is written until its next batch wait for
// more of it, up to Delay: parts of a picture for one place then go as one. Else
// the reader sends it itself once it has done with a batch, and nobody need wake
// up for it.
func (u *Conn) Linger() { u.lingers = true }

// release sends what was written while the reader was busy, or sees that it is.
func (u *Conn) release() {
	u.busy.Store(false) // before Flush: what comes after it, wakes the sender
	if u.lingers {
		u.lingers = false
		u.wakeSender()
		return
	}
	u.out.Flush()
}

// Begin gives room for a datagram, as [Outbox.Begin] does.
func (u *Conn) Begin() []byte { return u.out.Begin() }

// End takes it, as [Outbox.End] does.
func (u *Conn) End(n int, to *Address) {
	if u.out.End(n, to) && !u.busy.Load() {
		u.wakeSender()
	}
}

func (u *Conn) wakeSender() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Address makes a destination of the socket's kind.
func (u *Conn) Address(to netip.AddrPort) Address { return address(to, u.v6) }

func (u *Conn) send() {
	for {
		select {
		case <-u.done:
			return
		case <-u.wake:
			time.Sleep(Delay)
			u.out.Flush()
		}
	}
}

// Close sends what is left and closes the socket.
func (u *Conn) Close() error {
	if u.closed.Swap(true) {
		return net.ErrClosed
	}
	close(u.done)
	u.out.Flush()
	return u.UDPConn.Close()
}
