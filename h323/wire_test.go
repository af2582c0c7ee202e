package h323

import (
	"bufio"
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// wire is a peer that a test plays message by message.
type wire struct {
	net.Conn
	t      testing.TB
	in     *bufio.Reader
	ref    uint16
	id     [16]byte
	caller bool
	tunnel bool
}

func newWire(t testing.TB, c net.Conn, caller bool) *wire {
	w := &wire{Conn: c, t: t, in: bufio.NewReader(c), ref: newReference(), id: newID(), caller: caller, tunnel: true}
	t.Cleanup(func() { c.Close() })
	return w
}

// wireTo connects to an edge from an address of loopback.
func wireTo(t testing.TB, s *site, from string) *wire {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", s.Addresses()["h323"].String())
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, c, true)
}

func (w *wire) message(typ q931.Type) *message {
	m := &message{q: &q931.Message{CallReference: w.ref, FromCallee: !w.caller, Type: typ}}
	m.body().Empty = null
	m.pdu().H245Tunnelling = new(w.tunnel)
	return m
}

// setup makes a plain SETUP: slow start, no encryption.
func (w *wire) setup(number string) *message {
	m := w.message(q931.Setup)
	m.body().Empty = nil
	m.body().Setup = &h225.SetupUUIE{ProtocolIdentifier: protocolID, SourceInfo: h225.EndpointType{Terminal: &h225.TerminalInfo{}},
		SourceAddress: []h225.AliasAddress{ras.AliasOf("Room 5")}, ConferenceID: w.id[:], CallIdentifier: identifier(w.id[:]),
		ConferenceGoal: h225.SetupUUIEConferenceGoal{Create: null}, CallType: h225.CallType{PointToPoint: null},
		MediaWaitForConnect: new(false), CanOverlapSend: new(false)}
	if number != "" {
		m.body().Setup.DestinationAddress = []h225.AliasAddress{ras.AliasOf(number)}
	}
	return m
}

func (w *wire) send(m *message) {
	w.t.Helper()
	b, err := m.encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.raw(tpkt(b))
}

func (w *wire) raw(b []byte) {
	w.t.Helper()
	if _, err := w.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

func tpkt(b []byte) []byte {
	b, err := q931.AppendTPKT(nil, b)
	if err != nil {
		panic(err)
	}
	return b
}

// next reads a message; an error is the connection's end.
func (w *wire) next() (*message, error) {
	w.SetReadDeadline(time.Now().Add(patience))
	for {
		b, err := q931.ReadTPKT(w.in, nil)
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			return parse(b)
		}
	}
}

// until reads on to a message of the type.
func (w *wire) until(typ q931.Type) *message {
	w.t.Helper()
	for {
		m, err := w.next()
		if err != nil {
			w.t.Fatalf("no %v: %v", typ, err)
		}
		if m.q.Type == typ {
			return m
		}
	}
}

// release ends the wire's call.
func (w *wire) release() {
	m := w.message(q931.ReleaseComplete)
	m.q.IEs = []q931.IE{q931.CauseOf(q931.Cause{Value: 16})}
	m.body().Empty = nil
	m.body().ReleaseComplete = &h225.ReleaseCompleteUUIE{ProtocolIdentifier: protocolID, CallIdentifier: identifier(w.id[:])}
	w.send(m)
}

// tunnelled sends H.245 messages in one FACILITY.
func (w *wire) tunnelled(list ...[]byte) {
	m := w.message(q931.Facility)
	m.q.IEs = []q931.IE{{ID: q931.FacilityIE}}
	for _, b := range list {
		m.pdu().H245Control = append(m.pdu().H245Control, per.OctetString(b))
	}
	w.send(m)
}

// trap is a listener that an edge calls; the test plays who answers.
type trap struct {
	net.Listener
	t testing.TB
}

func newTrap(t testing.TB) *trap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &trap{l, t}
}

func (l *trap) address() string { return "h323:7001@" + l.Addr().String() }

// accept takes a call's SETUP.
func (l *trap) accept() (*wire, *message) {
	l.t.Helper()
	l.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	w := newWire(l.t, c, false)
	m := w.until(q931.Setup)
	w.ref = m.q.CallReference
	copy(w.id[:], m.common().callID)
	return w, m
}

// setupOf is the SETUP that an edge calls with, as it is on the wire.
func setupOf(t testing.TB, opt DialOptions) *message {
	t.Helper()
	s, l := newSite(t, Options{}), newTrap(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.DialWith(ctx, l.address(), s.room, opt)
	}()
	w, m := l.accept()
	cancel()
	receive(t, "the end of the call", done)
	w.Close()
	return m
}

// middle stands between two edges, and may change what goes by.
type middle struct {
	*trap
	conns chan [2]net.Conn
}

// newMiddle passes calls on to a site. A change gives back what is sent on, or
// nil for nothing.
func newMiddle(t testing.TB, to *site, change func(m *message) *message) *middle {
	t.Helper()
	l := &middle{newTrap(t), make(chan [2]net.Conn, 10)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", to.Addresses()["h323"].String())
			if err != nil {
				c.Close()
				return
			}
			go pass(c, d, change)
			go pass(d, c, change)
			l.conns <- [2]net.Conn{c, d}
		}
	}()
	return l
}

func pass(from, to net.Conn, change func(*message) *message) {
	defer from.Close()
	defer to.Close()
	in := bufio.NewReader(from)
	for {
		b, err := q931.ReadTPKT(in, nil)
		if err != nil {
			return
		}
		m, err := parse(b)
		if err != nil {
			return
		}
		m.q.IEs = slices.DeleteFunc(m.q.IEs, func(ie q931.IE) bool { return ie.ID == q931.UserUser })
		if m = change(m); m == nil {
			continue
		}
		if b, err = m.encode(); err != nil {
			return
		}
		if _, err := to.Write(tpkt(b)); err != nil {
			return
		}
	}
}

// cut breaks the connection on both sides.
func (l *middle) cut() {
	for _, c := range receive(l.t, "the connection", l.conns) {
		c.Close()
	}
}
