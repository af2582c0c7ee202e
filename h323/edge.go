// Package h323 is the H.323 edge: room systems and gateways that speak ITU-T
// H.323, with media encrypted by H.235.6.
//
// Call signalling is H.225.0 over TCP or TLS, with fast connect, tunnelled
// H.245 or H.245 on a connection of its own (H.323 §7 and §8). The messages are
// in h323/q931, h225 and h245, the control protocol's machines in
// h323/control, the gatekeeper and registration at another one in h323/ras.
// Endpoints behind firewalls are called by H.460.18 or over the connection that
// brings their RAS (H.460.17), and their media comes by H.460.19.
//
// Each call is a [core.Leg] whose state only functions posted to its mailbox
// touch. A connection has one goroutine, which reads; a call has none while
// nothing happens.
package h323

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
	"bridgehead/h323/ras"
)

// Options of [New]. An edge without listeners can still call out.
type Options struct {
	// Listen is the call signalling listener's host:port over TCP, ListenTLS
	// that over TLS; empty: off, port 0: any free port.
	Listen, ListenTLS string
	// TLS gives the configuration of the TLS listener, asked anew for each
	// connection; needed with ListenTLS.
	TLS func() *tls.Config
	// Roots verify the servers that are called over TLS; nil: the system's.
	Roots *x509.CertPool
	// Legacy lets calls have media in clear. Without it all media is encrypted
	// by H.235.6, and a call that does not offer it is refused.
	Legacy bool
	// Terminal: this end is a terminal that only calls, not a bridge.
	Terminal bool
	// Advertise is the address told to peers; zero: that of the interface.
	Advertise netip.Addr
	// Ports opens the media sessions.
	Ports *rtpio.Ports
	// Codecs by name, best first; nil: all.
	Codecs []string
	// Gatekeeper is the embedded one; nil: none.
	Gatekeeper *ras.Gatekeeper
	// MaxCalls bounds the calls at once, 0: 2000.
	MaxCalls int
	// CallsPerSource bounds the calls at once, and SetupsPerSource the new
	// calls a second, from one address; 0: 100 and 20.
	CallsPerSource, SetupsPerSource int
	// Blocks drop the connections of those who attack; nil: nobody is blocked.
	Blocks *edge.Blocks
	// MediaTimeout ends a call from which nothing comes, HoldTimeout one that
	// is held; 0: 60 s and 300 s.
	MediaTimeout, HoldTimeout time.Duration
	// Trace is told all that happens, in order per call; it must not block.
	Trace func(edge.TraceEvent)
	Log   *slog.Logger
}

// Edge implements [core.Edge].
type Edge struct {
	opt       Options
	log       *slog.Logger
	codecs    []core.Codec
	guard     *guard
	counters  Counters
	crew      edge.Crew // of the calls
	halves    halfKeys
	registrar *ras.Client

	handshakes chan struct{}
	streamsMu  sync.Mutex
	streams    map[*stream]bool
	listeners  []net.Listener
	addresses  map[string]netip.AddrPort

	legsMu sync.Mutex
	legs   map[*leg]bool
	plan   core.Dialplan
	ctx    context.Context
	closed bool
}

var _ core.Edge = (*Edge)(nil)

// New checks the options. It opens nothing yet.
func New(opt Options) (*Edge, error) {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.ListenTLS != "" && opt.TLS == nil {
		return nil, errors.New("h323: the TLS listener needs a certificate")
	}
	codecs, err := codecsNamed(opt.Codecs)
	if err != nil {
		return nil, err
	}
	for value, standard := range map[*int]int{&opt.MaxCalls: 2000, &opt.CallsPerSource: 100, &opt.SetupsPerSource: 20} {
		if *value == 0 {
			*value = standard
		}
	}
	if opt.MediaTimeout == 0 {
		opt.MediaTimeout = silentFor
	}
	if opt.HoldTimeout == 0 {
		opt.HoldTimeout = heldFor
	}
	e := &Edge{
		opt: opt, log: opt.Log, codecs: codecs,
		handshakes: make(chan struct{}, maxHandshakes),
		streams:    map[*stream]bool{}, addresses: map[string]netip.AddrPort{},
		legs: map[*leg]bool{}, ctx: context.Background(),
	}
	e.guard = newGuard(opt, &e.counters)
	return e, nil
}

// Name implements [core.Edge].
func (e *Edge) Name() string { return "h323" }

// Counters of what was dropped; they only grow.
func (e *Edge) Counters() *Counters { return &e.counters }

// Calls is the number of calls now.
func (e *Edge) Calls() int {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	return len(e.legs)
}

// Listen opens the listeners; Serve does it when it was not done before.
func (e *Edge) Listen() error {
	for _, l := range []struct{ name, network, at string }{{"h323", "tcp", e.opt.Listen}, {"h323_tls", "tls", e.opt.ListenTLS}} {
		if l.at == "" {
			continue
		}
		c, err := net.Listen("tcp", l.at)
		if err != nil {
			return fmt.Errorf("h323: listener %s: %w", l.name, err)
		}
		e.streamsMu.Lock()
		e.listeners = append(e.listeners, c)
		e.addresses[l.name] = addrPort(c.Addr())
		e.streamsMu.Unlock()
		go e.accept(c, l.network)
	}
	return nil
}

// Addresses are the listeners' real ones: h323, h323_tls.
func (e *Edge) Addresses() map[string]netip.AddrPort {
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	m := make(map[string]netip.AddrPort, len(e.addresses))
	for k, v := range e.addresses {
		m[k] = v
	}
	return m
}

// Signalling is the call signalling address that a peer is told: the port of
// the listener in clear, or else that over TLS, at the address that the peer
// reaches us by.
func (e *Edge) Signalling(peer netip.AddrPort) netip.AddrPort {
	at := e.Addresses()
	a, ok := at["h323"]
	if !ok {
		a = at["h323_tls"]
	}
	host := e.opt.Advertise
	if !host.IsValid() {
		host = a.Addr()
	}
	if !host.IsValid() || host.IsUnspecified() {
		host = interfaceTo(peer)
	}
	return netip.AddrPortFrom(host, a.Port())
}

// interfaceTo is this machine's address on the way to a peer; nothing is sent.
func interfaceTo(peer netip.AddrPort) netip.Addr {
	c, err := net.Dial("udp", netip.AddrPortFrom(peer.Addr(), 9).String())
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return addrPort(c.LocalAddr()).Addr()
}

// Serve implements [core.Edge]. When ctx ends it refuses new calls, hangs up
// the others with reason shutdown, and returns once they are gone or 3 s are
// over.
func (e *Edge) Serve(ctx context.Context, plan core.Dialplan) error {
	if len(e.Addresses()) == 0 {
		if err := e.Listen(); err != nil {
			e.Close()
			return err
		}
	}
	e.legsMu.Lock()
	e.plan, e.ctx = plan, ctx
	e.legsMu.Unlock()
	<-ctx.Done()
	for _, l := range e.stop() {
		l.Hangup(core.Reason{Code: core.Shutdown, Say: "The server is shutting down."})
	}
	for wait := 0; e.Calls() > 0 && wait < 30; wait++ {
		time.Sleep(100 * time.Millisecond)
	}
	return e.Close()
}

func (e *Edge) stop() []*leg {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	e.closed = true
	list := make([]*leg, 0, len(e.legs))
	for l := range e.legs {
		list = append(list, l)
	}
	return list
}

// Close ends all at once: listeners and connections.
func (e *Edge) Close() error {
	e.stop()
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	for _, l := range e.listeners {
		l.Close()
	}
	for s := range e.streams {
		s.Conn.Close()
	}
	return nil
}

// Register has calls to aliases go through an outside gatekeeper at which the
// client is registered. Call it before Serve.
func (e *Edge) Register(c *ras.Client) { e.registrar = c }

// Drop ends the calls of a device whose rights were taken away. Without a name
// it ends none: callers that nobody vouches for are no device.
func (e *Edge) Drop(user string) {
	if user == "" {
		return
	}
	e.legsMu.Lock()
	var list []*leg
	for l := range e.legs {
		list = append(list, l)
	}
	e.legsMu.Unlock()
	for _, l := range list {
		if l.Info().User == user {
			l.Hangup(core.Reason{Code: core.Revoked, Say: "This device is no longer allowed to call."})
		}
	}
}

func (e *Edge) enter(l *leg) error {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	switch {
	case e.closed:
		return core.Reason{Code: core.Shutdown, Detail: "shutting down"}
	case len(e.legs) >= e.opt.MaxCalls:
		return core.Reason{Code: core.Overload, Say: "All lines are busy.", Detail: fmt.Sprintf("%d calls at once", len(e.legs))}
	}
	e.legs[l] = true
	e.counters.Calls.Add(1)
	return nil
}

func (e *Edge) leave(l *leg) {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	delete(e.legs, l)
}

func (e *Edge) serving() (context.Context, core.Dialplan) {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	return e.ctx, e.plan
}

// survive is deferred where hostile input is handled: a fault costs one
// message or connection.
func (e *Edge) survive(what string) {
	if r := recover(); r != nil {
		e.counters.Panics.Add(1)
		e.log.Error("fault in the H.323 edge", "in", what, "panic", r, "stack", string(debug.Stack()))
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
