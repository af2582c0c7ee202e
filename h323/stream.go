package h323

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// Times of connections.
const (
	handshakeTime = 5 * time.Second
	strangerTime  = 10 * time.Second // until the first SETUP is complete
	emptyTime     = 60 * time.Second // without a call
	writeTime     = 5 * time.Second
)

// stream is one call signalling connection, over TCP or TLS. It may carry many
// calls, told apart by call reference and by who chose that (Q.931 §4.3).
type stream struct {
	net.Conn
	e             *Edge
	network       string // tcp, tls
	local, remote netip.AddrPort
	rate          edge.Bucket // reader only

	gone   atomic.Bool
	mu     sync.Mutex // orders writes; each has a deadline
	callMu sync.Mutex
	calls  map[reference]*leg
	used   bool // has led to a call or a registration
	// kept: an endpoint behind a firewall registers over this connection and
	// keeps it open (H.460.17).
	kept bool
}

// reference is a call reference value; ours says that this end chose it.
type reference struct {
	value uint16
	ours  bool
}

func (s *stream) secure() bool { return s.network == "tls" }

func (s *stream) flow() edge.FlowInfo {
	return edge.FlowInfo{Network: s.network, Local: s.local, Remote: s.remote}
}

// accept takes connections until the listener closes.
func (e *Edge) accept(l net.Listener, network string) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		from := addrPort(c.RemoteAddr())
		if !e.guard.connect(from.Addr()) {
			if t, ok := c.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
			c.Close()
			continue
		}
		go e.accepted(c, network, from)
	}
}

func (e *Edge) accepted(c net.Conn, network string, from netip.AddrPort) {
	defer e.guard.disconnect(from.Addr())
	defer c.Close()
	if network == "tls" {
		var err error
		if c, err = e.handshake(c); err != nil {
			e.log.Debug("H.323 TLS handshake failed", "source", from, "error", err)
			return
		}
	}
	e.newStream(c, network, from).read()
}

// handshake is bounded in time, and in how many run at once.
func (e *Edge) handshake(c net.Conn) (net.Conn, error) {
	select {
	case e.handshakes <- struct{}{}:
		defer func() { <-e.handshakes }()
	default:
		return nil, errors.New("too many handshakes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	t := tls.Server(c, e.opt.TLS())
	return t, t.HandshakeContext(ctx)
}

func (e *Edge) newStream(c net.Conn, network string, remote netip.AddrPort) *stream {
	s := &stream{Conn: c, e: e, network: network, remote: remote, local: addrPort(c.LocalAddr()), calls: map[reference]*leg{}}
	e.streamsMu.Lock()
	e.streams[s] = true
	e.streamsMu.Unlock()
	return s
}

// read handles the connection's messages in their order, until it ends.
func (s *stream) read() {
	defer s.drop()
	defer s.e.survive("connection")
	in := bufio.NewReader(s.Conn)
	opened := time.Now()
	for {
		s.SetReadDeadline(s.patience(opened))
		b, err := q931.ReadTPKT(in, nil) // what is decoded keeps parts of it
		if err != nil {
			s.ended(err)
			return
		}
		if len(b) == 0 {
			continue // keep-alive
		}
		if s.rate.Fill(messageRate, messageBurst); !s.rate.Take() {
			s.e.counters.Throttled.Add(1)
			s.e.log.Warn("H.323 connection closed: too many messages", "source", s.remote)
			return
		}
		s.take(b)
	}
}

// patience is how long the next message may take: a stranger has to begin its
// call soon, an unused connection is not kept; those in a call are watched by
// TCP's own keep-alive and by the media.
func (s *stream) patience(opened time.Time) time.Time {
	s.callMu.Lock()
	defer s.callMu.Unlock()
	switch {
	case len(s.calls) > 0 || s.kept:
		return time.Time{}
	case !s.used:
		return opened.Add(strangerTime)
	}
	return time.Now().Add(emptyTime)
}

func (s *stream) ended(err error) {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		s.e.counters.HalfOpen.Add(1)
	case errors.Is(err, q931.ErrTPKT), errors.Is(err, io.ErrUnexpectedEOF):
		s.e.counters.Malformed.Add(1)
		s.e.guard.blocks.Strike(s.remote.Addr(), false, edge.Malformed)
	}
	s.e.log.Debug("H.323 connection ended", "source", s.remote, "error", err)
}

// drop forgets the connection and tells its calls.
func (s *stream) drop() {
	s.gone.Store(true)
	s.Conn.Close()
	s.e.streamsMu.Lock()
	delete(s.e.streams, s)
	s.e.streamsMu.Unlock()
	s.callMu.Lock()
	var lost []*leg
	for _, l := range s.calls {
		lost = append(lost, l)
	}
	s.callMu.Unlock()
	for _, l := range lost {
		l.box.Post(l.signallingLost)
	}
	if g := s.e.opt.Gatekeeper; g != nil {
		g.Lost(ras.Peer{Addr: s.remote, Stream: s})
	}
}

// carry enters a call; false if its reference is in use.
func (s *stream) carry(l *leg) bool {
	s.callMu.Lock()
	defer s.callMu.Unlock()
	r := reference{l.ref, l.out}
	if s.calls[r] != nil {
		return false
	}
	s.calls[r], s.used = l, true
	return true
}

// release forgets a call. A connection of ours that carries no other is
// closed; the peer's is the peer's to close, or to use for another call.
func (s *stream) release(l *leg) {
	s.callMu.Lock()
	delete(s.calls, reference{l.ref, l.out})
	idle := len(s.calls) == 0 && !s.kept
	s.callMu.Unlock()
	if !idle {
		return
	}
	if l.out {
		s.Conn.Close()
		return
	}
	s.SetReadDeadline(time.Now().Add(emptyTime))
}

func (s *stream) callOf(q *q931.Message) *leg {
	s.callMu.Lock()
	defer s.callMu.Unlock()
	return s.calls[reference{q.CallReference, q.FromCallee}]
}

// take handles one message.
func (s *stream) take(b []byte) {
	defer s.e.survive("message")
	m, err := parse(b)
	if err != nil {
		s.malformed(m, err)
		return
	}
	if l := s.callOf(m.q); l != nil {
		l.box.Post(func() { l.receive(m) })
		return
	}
	s.outside(m)
}

// malformed: a message that can't be read ends no call; within one, the peer
// is asked for nothing (H.225.0 §7.2.1 has no answer to it).
func (s *stream) malformed(m *message, err error) {
	s.e.counters.Malformed.Add(1)
	s.e.log.Debug("malformed H.323 message", "source", s.remote, "error", err)
	if m == nil {
		return
	}
	if l := s.callOf(m.q); l != nil {
		text := edge.Clean(err.Error(), 200)
		l.box.Post(func() { l.note("malformed message ignored: " + text) })
		return
	}
	if m.q.Type == q931.Setup {
		s.refuse(m, core.Reason{Code: core.Incompatible, Detail: "malformed: " + edge.Clean(err.Error(), 200)})
	}
}

// outside handles a message that belongs to no call of this connection.
func (s *stream) outside(m *message) {
	switch m.q.Type {
	case q931.Setup:
		s.e.setup(s, m)
	case q931.Facility, q931.Information:
		s.facility(m)
	case q931.ReleaseComplete, q931.Status, q931.Notify:
	case q931.StatusInquiry:
		s.write(s.e.status(m.q.CallReference, !m.q.FromCallee, nil, callStateNull))
	default:
		// Q.931 §5.8.3.2: no such call.
		s.write(s.e.released(m.q.CallReference, !m.q.FromCallee, nil, core.Reason{Code: core.Failure, Detail: "no such call"}, 81))
	}
}

// facility: a message outside of calls may carry RAS (H.460.17), or be the
// first on a connection that we asked for (H.460.18).
func (s *stream) facility(m *message) {
	if s.rasMessages(m) {
		return
	}
	if c := m.common(); m.body().Facility != nil && len(c.callID) == 16 {
		s.e.called(s, [16]byte(c.callID))
	}
}

// write sends a message; an error ends the connection, since half of it may be
// out.
func (s *stream) write(m *message) error {
	b, err := m.encode()
	if err != nil {
		s.e.log.Error("H.323 message not encoded", "type", m.q.Type, "error", err)
		return err
	}
	if b, err = q931.AppendTPKT(make([]byte, 0, len(b)+4), b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err = s.Conn.Write(b); err != nil {
		s.Conn.Close()
	}
	return err
}

// refuse answers a SETUP that gets no leg.
func (s *stream) refuse(m *message, r core.Reason) {
	var id []byte
	if c := m.common(); len(c.callID) == 16 {
		id = c.callID
	}
	s.write(s.e.released(m.q.CallReference, true, id, r, 0))
	s.e.refused(s, m, r)
}

// released makes a RELEASE COMPLETE; cause 0: that of the reason.
func (e *Edge) released(ref uint16, fromCallee bool, id []byte, r core.Reason, cause uint8) *message {
	o := outcomeOf(r.Code)
	if cause == 0 {
		cause = o.cause
	}
	m := &message{q: &q931.Message{CallReference: ref, FromCallee: fromCallee, Type: q931.ReleaseComplete,
		IEs: []q931.IE{q931.CauseOf(q931.Cause{Value: cause})}}}
	if r.Say != "" {
		m.q.IEs = append(m.q.IEs, q931.DisplayIE(ascii(r.Say)))
	}
	body := &h225.ReleaseCompleteUUIE{ProtocolIdentifier: protocolID, Reason: o.reason(), CallIdentifier: identifier(id)}
	m.u.H323UuPdu.H323MessageBody.ReleaseComplete = body
	return m
}

func identifier(id []byte) *h225.CallIdentifier {
	if len(id) != 16 {
		return nil
	}
	return &h225.CallIdentifier{Guid: per.OctetString(id)}
}

// Call states of Q.931 §2.1 and H.225.0 §7.4, as STATUS tells them.
const (
	callStateNull   = 0
	callStateActive = 10
)

// status answers STATUS INQUIRY (Q.931 §5.8.10).
func (e *Edge) status(ref uint16, fromCallee bool, id []byte, state uint8) *message {
	if len(id) != 16 {
		id = make([]byte, 16)
	}
	m := &message{q: &q931.Message{CallReference: ref, FromCallee: fromCallee, Type: q931.Status,
		IEs: []q931.IE{q931.CauseOf(q931.Cause{Value: 30}), {ID: q931.CallState, Value: []byte{state}}}}}
	m.body().Status = &h225.StatusUUIE{ProtocolIdentifier: protocolID, CallIdentifier: *identifier(id)}
	return m
}
