package webrtc

import (
	"net"
	"net/netip"
	"sync"
)

// boundedListener closes what comes beyond a number of connections, in all and
// from one source, so that idle ones cannot be hoarded.
type boundedListener struct {
	net.Listener
	all, each int

	mu   sync.Mutex
	open map[netip.Addr]int
	n    int
}

func bounded(l net.Listener, all, each int) net.Listener {
	return &boundedListener{Listener: l, all: all, each: each, open: map[netip.Addr]int{}}
}

// Accept returns the next connection that is within the bounds.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		from := p.Addr().Unmap()
		if b.take(from) {
			return &boundedConn{Conn: c, from: from, list: b}, nil
		}
		_ = c.Close()
	}
}

func (b *boundedListener) take(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n >= b.all || b.open[from] >= b.each {
		return false
	}
	b.n++
	b.open[from]++
	return true
}

func (b *boundedListener) give(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n--
	if b.open[from]--; b.open[from] <= 0 {
		delete(b.open, from)
	}
}

type boundedConn struct {
	net.Conn
	from netip.Addr
	list *boundedListener
	once sync.Once
}

func (c *boundedConn) Close() error {
	c.once.Do(func() { c.list.give(c.from) })
	return c.Conn.Close()
}
