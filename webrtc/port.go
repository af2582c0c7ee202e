package webrtc

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"

	"bridgehead/core"
	"bridgehead/core/udp"
)

// port is the socket of all clients' media. What comes is told apart (RFC 7983)
// and dealt with right where it is read: for a packet no goroutine wakes up but
// the one that reads.
type port struct {
	*udp.Conn
	log     *slog.Logger
	checker checker

	mu     sync.RWMutex
	agents map[string]*agent       // by user fragment
	ways   map[netip.AddrPort]*way // of UDP
}

func newPort(c *udp.Conn, log *slog.Logger) *port {
	return &port{Conn: c, log: log, agents: map[string]*agent{}, ways: map[netip.AddrPort]*way{}}
}

// serve reads until the socket is closed.
func (t *port) serve() {
	for {
		b, from, err := t.Next()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			t.take(b, from)
		}
	}
}

// take deals with a packet, in its place. Whoever has not passed a check is heard
// with nothing but checks.
func (t *port) take(b []byte, from netip.AddrPort) {
	t.mu.RLock()
	w := t.ways[from]
	t.mu.RUnlock()
	if len(b) > 0 && b[0] < 4 {
		t.check(b, from, w)
		return
	}
	if w != nil && w.take(b) {
		t.Linger() // a picture's other packets are about to come
	}
}

func (t *port) check(b []byte, from netip.AddrPort, w *way) {
	a, response := t.checker.answer(b, from, t.agent)
	if response != nil {
		_, _ = t.WriteToUDPAddrPort(response, from)
	}
	if a == nil {
		return
	}
	if w == nil || w.peer != a.peer {
		if w = t.add(a.peer, from); w == nil {
			return
		}
	}
	nominated, priority := t.checker.wish()
	a.peer.checked(w, a, nominated, priority)
}

func (t *port) agent(user string) *agent {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.agents[user]
}

// add makes a way of an address from which the peer's check has come; nil if the
// peer has closed meanwhile.
func (t *port) add(p *peer, from netip.AddrPort) *way {
	w := &way{peer: p, from: from, udp: t.Address(from)}
	t.drop(p.addWay(w))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.agents[p.agent().user] == nil {
		return nil
	}
	t.ways[from] = w
	return w
}

// drop ends a way, unless it is nil.
func (t *port) drop(w *way) {
	if w == nil {
		return
	}
	if w.tcp != nil {
		w.tcp.close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ways[w.from] == w {
		delete(t.ways, w.from)
	}
}

// listen has the checks of an agent answered.
func (t *port) listen(a *agent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.agents[a.user] = a
}

// forget ends all that came for a peer.
func (t *port) forget(p *peer) {
	agents := p.agents()
	t.mu.Lock()
	for _, a := range agents {
		delete(t.agents, a.user)
	}
	t.mu.Unlock()
	for _, w := range p.allWays() {
		t.drop(w)
	}
}

// take deals with a packet of the way's peer, and tells whether it was a
// picture's.
func (w *way) take(b []byte) (picture bool) {
	p := w.peer
	defer func() { // all clients' packets come by here
		if r := recover(); r != nil {
			p.leg.log.Error("fault in a browser's packet", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	switch {
	case len(b) < 12 || len(b) > udp.MaxPacket:
	case b[0] >= 20 && b[0] < 64:
		p.dtls(b)
	case b[0]>>6 == 2:
		now := core.Now()
		in, ok := p.take(b, now)
		if ok {
			w.heard.Store(int64(now))
		}
		return in != nil && in.source.Kind() == core.Video
	}
	return false
}
