package h323

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// carrier takes H.245 to the peer: in FACILITY messages (tunnelling, H.323
// §8.2.1) or on a connection of its own, that either side may open. Both may
// begin before the call is answered.
type carrier struct {
	l        *leg
	ours     bool // we tunnel
	theirs   bool // the peer does
	conn     *controlConn
	lost     bool // the connection has ended
	listener net.Listener
	dialled  bool
	queue    [][]byte // until there is a way
}

// Bounds of the separate connection.
const (
	controlWait = 30 * time.Second // for the peer to connect
	maxQueued   = 64
)

// tunnelled tells whether H.245 goes with the call signalling now.
func (c *carrier) tunnelled() bool { return c.ours && c.theirs && c.conn == nil }

// separate tells whether it has a connection of its own, that still stands.
func (c *carrier) separate() bool { return c.conn != nil && !c.lost }

// send takes one message to the peer, or keeps it until there is a way.
func (c *carrier) send(b []byte) {
	switch {
	case c.conn != nil:
		c.l.traceControl(edge.Sent, b, c.conn.flow)
		c.conn.write(b)
	case c.tunnelled():
		// One to a message: some gateways look only at the first.
		m := c.l.message(q931.Facility)
		m.q.IEs = append(m.q.IEs, q931.IE{ID: q931.FacilityIE})
		m.body().Empty = null
		m.pdu().H245Control = []per.OctetString{b}
		c.l.send(m)
	case len(c.queue) < maxQueued:
		c.queue = append(c.queue, b)
	}
}

// flush sends what has waited for a way.
func (c *carrier) flush() {
	queue := c.queue
	c.queue = nil
	for _, b := range queue {
		c.send(b)
	}
}

// heard notes what a message of the peer says of tunnelling.
func (c *carrier) heard(m *message) {
	if t := m.pdu().H245Tunnelling; t != nil {
		c.theirs = *t
	} else if len(m.pdu().H245Control) > 0 {
		c.theirs = true // some forget to say so
	}
}

// begin starts H.245 once the call is answered, by the way that there is.
func (c *carrier) begin() {
	if c.tunnelled() || c.conn != nil {
		c.l.machine.Start()
		c.flush()
	}
}

// address opens a listener for the peer's connection and tells where.
func (c *carrier) address() *h225.TransportAddress {
	if c.conn != nil || c.dialled || c.confined() {
		return nil
	}
	if c.listener == nil {
		l, err := net.Listen("tcp", netip.AddrPortFrom(c.l.s.local.Addr(), 0).String())
		if err != nil {
			c.l.note("no port for H.245: " + err.Error())
			return nil
		}
		c.listener = l
		go c.l.acceptControl(l.(*net.TCPListener))
	}
	return transport(netip.AddrPortFrom(c.l.localHost(), addrPort(c.listener.Addr()).Port()))
}

// confined: where call signalling is over TLS, H.245 must not leave it.
func (c *carrier) confined() bool { return c.l.s.secure() && c.l.required() }

// acceptControl takes the peer's connection, and only the peer's.
func (l *leg) acceptControl(in *net.TCPListener) {
	in.SetDeadline(time.Now().Add(controlWait))
	for {
		c, err := in.Accept()
		if err != nil {
			return
		}
		if from := addrPort(c.RemoteAddr()); from.Addr() != l.s.remote.Addr() {
			c.Close()
			text := "H.245 connection from " + from.String() + " refused: the call comes from " + l.s.remote.Addr().String()
			l.box.Post(func() { l.note(text) })
			continue
		}
		in.Close()
		l.box.Post(func() { l.carrier.take(c) })
		return
	}
}

// connect opens the connection to where the peer listens.
func (c *carrier) connect(to netip.AddrPort) {
	switch {
	case c.conn != nil || c.dialled || c.l.walled():
		return
	case c.confined():
		c.l.note("the other side wants H.245 outside of TLS at " + to.String() + "; it is not connected to")
		return
	case to.Port() < 1024 || to.Addr() != c.l.s.remote.Addr() && !c.l.elsewhere(to.Addr()):
		c.l.note("H.245 address " + to.String() + " is not one to connect to")
		return
	}
	c.dialled = true
	l := c.l
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupWait)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
		l.box.Post(func() {
			l.carrier.dialled = false
			if err != nil {
				l.note("H.245 connection to " + to.String() + ": " + err.Error())
				return
			}
			l.carrier.take(conn)
		})
	}()
}

// elsewhere tells whether H.245 may be at another address than the call
// signalling: only where a gatekeeper stands between, which has vouched for the
// call. Else a stranger could have us open connections to where he likes.
func (l *leg) elsewhere(a netip.Addr) bool {
	return (l.admit.known || l.admit.asked != nil) && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// take adopts a connection. Of two that crossed, the first stays.
func (c *carrier) take(conn net.Conn) {
	if c.l.state == over || c.conn != nil {
		conn.Close()
		return
	}
	c.conn = &controlConn{Conn: conn, flow: edge.FlowInfo{Network: "tcp", Local: addrPort(conn.LocalAddr()), Remote: addrPort(conn.RemoteAddr())}}
	if c.listener != nil {
		c.listener.Close()
	}
	go c.conn.read(c.l)
	c.l.machine.Start()
	c.flush()
}

func (c *carrier) close() {
	if c.listener != nil {
		c.listener.Close()
	}
	if c.conn != nil {
		c.conn.Close()
	}
}

// controlConn is an H.245 connection.
type controlConn struct {
	net.Conn
	flow edge.FlowInfo
	mu   sync.Mutex
}

func (c *controlConn) write(b []byte) {
	p, err := q931.AppendTPKT(make([]byte, 0, len(b)+4), b)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := c.Conn.Write(p); err != nil {
		c.Close()
	}
}

func (c *controlConn) read(l *leg) {
	defer c.Close()
	defer l.e.survive("H.245 connection")
	in := bufio.NewReader(c.Conn)
	var rate edge.Bucket
	for {
		b, err := q931.ReadTPKT(in, nil)
		if err != nil {
			l.box.Post(l.controlLost)
			return
		}
		if len(b) == 0 {
			continue
		}
		if rate.Fill(messageRate, messageBurst); !rate.Take() {
			l.e.counters.Throttled.Add(1)
			l.box.Post(func() { l.note("H.245 connection closed: too many messages"); l.controlLost() })
			return
		}
		l.box.Post(func() {
			if l.state != over {
				l.traceControl(edge.Received, b, c.flow)
				l.control(b)
			}
		})
	}
}

// control feeds one H.245 message in.
func (l *leg) control(b []byte) {
	if l.state == over {
		return
	}
	if err := l.machine.ReceiveBytes(b); err != nil {
		l.e.counters.Malformed.Add(1)
		l.log.Debug("malformed H.245 message", "error", err)
	}
	if !l.controlled && l.machine.State().Determined {
		l.controlled = true
		l.update(func(i *core.Info) { i.InbandDigits = false })
		if m := l.media[core.Microphone]; m != nil && l.state != over {
			l.publishMedium(m) // keys come by UserInput: tones are no longer sought
		}
	}
}

// controlLost: the H.245 connection has ended. The call goes on while its call
// signalling does. Where that is lost too and its end is still to be handled,
// it ends the call then: a RELEASE COMPLETE may be before it.
func (l *leg) controlLost() {
	if l.state == over {
		return
	}
	l.carrier.lost = true
	if l.unsignalled {
		l.hangup(l.lost())
	}
}
