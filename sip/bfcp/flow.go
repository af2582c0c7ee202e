package bfcp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// flow is the datagrams to and from one address, as a connection.
type flow struct {
	port   *Port
	remote netip.AddrPort
	in     chan []byte
	first  byte
	done   chan struct{}
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when the deadline changes
}

const maxWaitingIn = 32 // datagrams

// flow gives that of an address: a new one, nil if there are too many; or, for
// one that comes, that which is there.
func (p *Port) flow(remote netip.AddrPort, dial bool) *flow {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[remote]; f != nil {
		if dial {
			return nil
		}
		return f
	}
	if p.flows == nil || len(p.flows) >= maxFlows {
		return nil
	}
	f := &flow{port: p, remote: remote, in: make(chan []byte, maxWaitingIn), done: make(chan struct{}), changed: make(chan struct{})}
	p.flows[remote] = f
	return f
}

// read deals out the datagrams that come.
func (p *Port) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := p.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		p.mu.Lock()
		_, known := p.flows[from]
		p.mu.Unlock()
		if !known && buf[0] != 22 && buf[0]>>5 != 2 {
			continue // neither a handshake nor BFCP
		}
		f := p.flow(from, false)
		if f == nil {
			continue
		}
		b := append([]byte(nil), buf[:n]...)
		if !known {
			f.first = b[0]
		}
		select {
		case f.in <- b:
		default:
		}
		if !known {
			p.meet(f, true)
		}
	}
}

// Read implements [net.Conn].
func (f *flow) Read(b []byte) (int, error) {
	for {
		f.mu.Lock()
		deadline, changed := f.deadline, f.changed
		f.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			t := time.NewTimer(time.Until(deadline))
			defer t.Stop()
			late = t.C
		}
		select {
		case d := <-f.in:
			return copy(b, d), nil
		case <-f.done:
			return 0, net.ErrClosed
		case <-late:
			return 0, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// Write implements [net.Conn].
func (f *flow) Write(b []byte) (int, error) { return f.port.udp.WriteToUDPAddrPort(b, f.remote) }

// Close implements [net.Conn].
func (f *flow) Close() error {
	f.once.Do(func() {
		close(f.done)
		f.port.mu.Lock()
		defer f.port.mu.Unlock()
		if f.port.flows[f.remote] == f {
			delete(f.port.flows, f.remote)
		}
	})
	return nil
}

// LocalAddr implements [net.Conn].
func (f *flow) LocalAddr() net.Addr { return f.port.udp.LocalAddr() }

// RemoteAddr implements [net.Conn].
func (f *flow) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(f.remote) }

// SetReadDeadline implements [net.Conn].
func (f *flow) SetReadDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// SetDeadline implements [net.Conn]; writing never waits.
func (f *flow) SetDeadline(t time.Time) error { return f.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn].
func (f *flow) SetWriteDeadline(time.Time) error { return nil }
