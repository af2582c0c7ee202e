// Package sip is the SIP edge: endpoints over TLS with SRTP, the registrar for
// them, trunks to telephone companies, and calls out to any SIP address.
//
// RFC 3261 with 3262 (reliable provisional responses), 3263 (finding servers),
// 3264 (offer and answer, in [bridgehead/sip/sdp]), 3311 (UPDATE), 3326
// (Reason), 3428 (MESSAGE), 3581 (rport), 4028 (session timers), 5626 (keep-alive), 5922
// (names in certificates), 6026 (transactions), 7616 and 8760 (digest), 8224
// (Identity, in [bridgehead/sip/stir]).
//
// Messages are read and written by sipgo's parser. Connections and
// transactions are our own: messages are handled in the order in which they
// came, one goroutine per connection and none per call; a source is judged
// before its datagram is parsed; and connections belong to the host name that
// was verified on them.
package sip

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
	"bridgehead/sip/bfcp"
	"bridgehead/sip/sdp"
	"bridgehead/sip/stir"
)

// Options of [New]. An edge without listeners can still call out.
type Options struct {
	// SIPS is the TLS listener's host:port, SIP that of UDP and TCP in clear;
	// empty: off, port 0: any free port.
	SIPS, SIP string
	// TLS gives the configuration of the TLS listener, asked anew for each
	// connection; needed with SIPS.
	TLS func() *tls.Config
	// Roots verify the servers that are called; nil: those of the system.
	Roots *x509.CertPool
	// Legacy lets endpoints that are no trunk call over the clear listener.
	Legacy bool
	// Domain is this bridge's SIP domain: realm of the registrar, host of its
	// own addresses. Empty: the advertised address.
	Domain string
	// Host is this machine's own name, in DNS and in the certificate. Where
	// set, peers over TLS are told it in place of the address; some trunks
	// ask for that.
	Host string
	// Advertise is the address told to peers; zero: that of the interface.
	Advertise netip.Addr
	// Stir verifies the numbers of callers over trunks (RFC 8224); nil: nothing does.
	Stir *stir.Verifier
	// Owned tells whether a number in E.164 is one of this bridge's: where a trunk
	// signs its calls, those from it have the full attestation. nil: none is.
	Owned func(number string) bool
	// Ports opens the media sessions.
	Ports *rtpio.Ports
	// Floor is where BFCP connections of calls with content come in; nil: calls
	// have none.
	Floor *bfcp.Port
	// Devices may register; nil: none.
	Devices Devices
	// Codecs by name, best first; nil: all.
	Codecs []string
	// Suites of SRTP by name, of those that core/rtpio has; nil: all.
	Suites []string
	// Lines is the height of the largest pictures that endpoints may send; 0: 720.
	Lines int
	// MaxCalls bounds the calls at once, 0: 2000.
	MaxCalls int
	// CallsPerSource bounds the calls at once, and SetupsPerSource the new
	// calls a second, from one address that is no trunk's; 0: 100 and 20.
	CallsPerSource, SetupsPerSource int
	// Blocks drop what strangers send who attack; nil: nobody is blocked.
	Blocks *edge.Blocks
	// MediaTimeout ends a call from which nothing comes, HoldTimeout one that
	// is held; 0: 60 s and 300 s.
	MediaTimeout, HoldTimeout time.Duration
	// Resolver for RFC 3263; nil: the system's servers.
	Resolver Resolver
	// Trace is told all that happens, in order per call; it must not block.
	Trace func(edge.TraceEvent)
	Log   *slog.Logger
}

// Edge implements [core.Edge].
type Edge struct {
	opt       Options
	log       *slog.Logger
	codecs    []core.Codec
	suites    []sdp.Suite
	guard     *guard
	counters  Counters
	crew      edge.Crew // of the calls
	tx        transactions
	registrar *registrar
	auth      *authenticator
	locator   *locator
	dial      func(context.Context, netip.AddrPort) (net.Conn, error)
	open      func(netip.AddrPort) (session, error)
	openVideo func() (session, error)
	floor     *bfcp.Port

	handshakes chan struct{}
	streamsMu  sync.Mutex
	streams    map[*stream]bool
	pool       map[poolKey]*stream
	packets    []packetConn
	listeners  []net.Listener
	addresses  map[string]netip.AddrPort

	namesMu sync.Mutex
	names   map[string]*legName // by Call-ID, for the trace

	routesMu sync.Mutex
	routes   map[netip.Addr]netip.Addr

	legsMu sync.Mutex
	legs   map[string]*leg // by Call-ID and local tag
	merged map[string]*leg // by Call-ID, From tag and CSeq of INVITEs without To tag
	plan   core.Dialplan
	ctx    context.Context
	closed bool

	writersMu sync.Mutex
	writers   edge.Keyed[string] // how much devices write

	trunksMu sync.Mutex
	trunks   atomic.Pointer[[]*trunk]
}

// Devices knows the endpoints that may register.
type Devices interface {
	// Device finds an endpoint by its user name; false if there is none, or
	// it is revoked.
	Device(user string) (Device, bool)
	// Extension is the user name of the endpoint with this number.
	Extension(number string) (user string, ok bool)
}

// Device is an endpoint that may register.
type Device struct {
	Name string // shown
	// HA1 gives the hash of [HA1] for this device; "" if there is none for
	// the algorithm.
	HA1 func(algorithm, realm string) string
}

var _ core.Edge = (*Edge)(nil)

// New checks the options. It opens nothing yet.
func New(opt Options) (*Edge, error) {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.SIPS != "" && opt.TLS == nil {
		return nil, errors.New("sip: the TLS listener needs a certificate")
	}
	codecs, err := sdp.Codecs(opt.Codecs...)
	if err != nil {
		return nil, err
	}
	if opt.MaxCalls == 0 {
		opt.MaxCalls = 2000
	}
	if opt.CallsPerSource == 0 {
		opt.CallsPerSource = 100
	}
	if opt.SetupsPerSource == 0 {
		opt.SetupsPerSource = 20
	}
	if opt.MediaTimeout == 0 {
		opt.MediaTimeout = silentFor
	}
	if opt.HoldTimeout == 0 {
		opt.HoldTimeout = heldFor
	}
	if opt.Resolver == nil {
		opt.Resolver = DNS()
	}
	e := &Edge{
		opt: opt, log: opt.Log, codecs: codecs,
		tx:         transactions{servers: map[string]*serverTx{}, clients: map[string]*clientTx{}, limit: 20 * opt.MaxCalls},
		locator:    newLocator(opt.Resolver),
		handshakes: make(chan struct{}, maxHandshakes),
		streams:    map[*stream]bool{}, pool: map[poolKey]*stream{}, addresses: map[string]netip.AddrPort{},
		routes: map[netip.Addr]netip.Addr{}, names: map[string]*legName{}, legs: map[string]*leg{}, merged: map[string]*leg{}, writers: edge.Keyed[string]{},
		ctx: context.Background(), floor: opt.Floor,
	}
	e.suites = suites(opt.Suites)
	e.guard = newGuard(opt, &e.counters)
	e.registrar = newRegistrar(e)
	e.auth = newAuthenticator(e.domain(), opt.Devices)
	e.dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", a.String())
	}
	e.open = func(remote netip.AddrPort) (session, error) {
		if opt.Ports == nil {
			return nil, core.Reason{Code: core.Failure, Detail: "sip: no media ports"}
		}
		if remote.IsValid() {
			return opt.Ports.OpenFor(remote)
		}
		return opt.Ports.Open()
	}
	e.openVideo = func() (session, error) {
		if opt.Ports == nil {
			return nil, core.Reason{Code: core.Failure, Detail: "sip: no media ports"}
		}
		return opt.Ports.Open()
	}
	e.trunks.Store(&[]*trunk{})
	return e, nil
}

// Name implements [core.Edge].
func (e *Edge) Name() string { return "sip" }

// Counters of what was dropped; they only grow.
func (e *Edge) Counters() *Counters { return &e.counters }

// Calls is the number of calls now.
func (e *Edge) Calls() int {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	return len(e.legs)
}

func (e *Edge) domain() string {
	switch {
	case e.opt.Domain != "":
		return e.opt.Domain
	case e.opt.Advertise.IsValid():
		return e.opt.Advertise.String()
	}
	return "bridgehead.invalid"
}

// Listen opens the listeners; Serve does it when it was not done before.
func (e *Edge) Listen() error {
	if e.opt.SIPS != "" {
		l, err := net.Listen("tcp", e.opt.SIPS)
		if err != nil {
			return fmt.Errorf("sip: TLS listener: %w", err)
		}
		e.addListener("sips", "tls", l)
	}
	if e.opt.SIP != "" {
		return e.listenClear()
	}
	return nil
}

// listenClear takes the same port for UDP and TCP, also where any will do.
func (e *Edge) listenClear() error {
	host, port, err := net.SplitHostPort(e.opt.SIP)
	if err != nil {
		return fmt.Errorf("sip: listener: %w", err)
	}
	for try := 0; ; try++ {
		at, err := net.ResolveUDPAddr("udp", e.opt.SIP)
		if err != nil {
			return fmt.Errorf("sip: listener: %w", err)
		}
		c, err := net.ListenUDP("udp", at)
		if err != nil {
			return fmt.Errorf("sip: UDP listener: %w", err)
		}
		c.SetReadBuffer(1 << 20)
		bound := addrPort(c.LocalAddr())
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(bound.Port())))
		if err != nil {
			c.Close()
			if port == "0" && try < 10 {
				continue
			}
			return fmt.Errorf("sip: TCP listener: %w", err)
		}
		e.addPacket("sip_udp", c)
		e.addListener("sip_tcp", "tcp", l)
		return nil
	}
}

func (e *Edge) addListener(name, network string, l net.Listener) {
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	e.listeners = append(e.listeners, l)
	e.addresses[name] = addrPort(l.Addr())
	go e.serveStreams(l, network)
}

func (e *Edge) addPacket(name string, c packetConn) {
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	e.packets = append(e.packets, c)
	e.addresses[name] = addrPort(c.LocalAddr())
	go e.serveUDP(c, false)
}

// Addresses are the listeners' real ones: sips, sip_udp, sip_tcp.
func (e *Edge) Addresses() map[string]netip.AddrPort {
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	m := make(map[string]netip.AddrPort, len(e.addresses))
	for k, v := range e.addresses {
		m[k] = v
	}
	return m
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
	for _, l := range e.legs {
		list = append(list, l)
	}
	return list
}

// Close ends all at once: trunks, listeners, connections.
func (e *Edge) Close() error {
	e.stop()
	e.SetTrunks(nil)
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	for _, l := range e.listeners {
		l.Close()
	}
	for _, c := range e.packets {
		c.Close()
	}
	for s := range e.streams {
		s.closed.Store(true)
		s.Conn.Close()
	}
	return nil
}

// take handles one message as it came.
func (e *Edge) take(b []byte, f *flow) {
	defer e.survive("message")
	m, err := parse(b)
	if err != nil {
		e.malformed(m, err, b, f)
		return
	}
	e.traceMessage(edge.Received, f, b, m)
	switch m := m.(type) {
	case *request:
		e.takeRequest(m, f)
	case *response:
		e.tx.mu.Lock()
		tx := e.tx.clients[clientKey(param(m.Via().Params, "branch"), m.CSeq().MethodName)]
		e.tx.mu.Unlock()
		if tx != nil {
			tx.receive(m)
		}
	}
}

// malformed answers what can be answered (RFC 3261 8.2, 16.3), without state.
func (e *Edge) malformed(m message, err error, b []byte, f *flow) {
	e.counters.Malformed.Add(1)
	e.guard.strike(f, edge.Malformed)
	e.log.Debug("malformed SIP message", "source", f.remote, "error", err)
	req, ok := m.(*request)
	if !ok || req == nil || req.Method == siplib.ACK {
		return
	}
	e.traceMessage(edge.Received, f, b, m)
	status := 400
	if errors.Is(err, errVersion) {
		status = 505
	}
	e.refuse(edge.TraceEvent{Status: status, Flow: flowInfo(f), CallID: callID(req), To: req.Recipient.User,
		Reason: core.Reason{Code: core.Incompatible, Detail: "malformed: " + edge.Clean(err.Error(), 200)}})
	if via := req.Via(); via != nil && req.From() != nil && req.CSeq() != nil && req.CallID() != nil {
		to := *f
		if f.udp != nil {
			to.remote = sourceRoute(via, f.remote)
		}
		markVia(via, f.remote)
		res := reply(req, status, newTag())
		finish(res)
		to.send([]byte(res.String()), res)
	}
}

func callID(m message) string {
	if id := m.CallID(); id != nil {
		return string(*id)
	}
	return ""
}

// takeRequest finds the transaction, the call or the handler (RFC 3261 8.2,
// 9.2, 12.2.2).
func (e *Edge) takeRequest(req *request, in *flow) {
	f := in
	if in.udp != nil {
		to := *in
		to.remote = sourceRoute(req.Via(), in.remote)
		f = &to
	}
	markVia(req.Via(), in.remote)
	if req.Method == siplib.ACK {
		e.takeAck(req)
		return
	}
	tx, fresh := e.tx.newServer(e, req, f)
	switch {
	case tx == nil:
		res := reply(req, 503, newTag())
		set(res, "Retry-After", "10")
		finish(res)
		f.send([]byte(res.String()), res)
		e.forget(callID(req), "")
	case !fresh:
		tx.again()
	case req.Method == siplib.CANCEL:
		e.takeCancel(tx)
	case param(req.To().Params, "tag") != "":
		if l := e.findLeg(req); l != nil {
			l.box.Post(func() { l.request(tx, in) })
		} else {
			tx.respond(reply(req, 481, newTag()))
		}
	default:
		e.outside(tx, in)
	}
}

func (e *Edge) takeAck(req *request) {
	if tx := e.tx.server(serverKey(req, siplib.INVITE)); tx != nil {
		tx.ack()
	}
	if l := e.findLeg(req); l != nil {
		l.box.Post(func() { l.ack(req) })
	}
}

// takeCancel: the INVITE is answered 487 by its leg, unless that has answered
// already (RFC 3261 9.2).
func (e *Edge) takeCancel(tx *serverTx) {
	invite := e.tx.server(serverKey(tx.req, siplib.INVITE))
	if invite == nil {
		tx.respond(reply(tx.req, 481, newTag()))
		return
	}
	tx.respond(reply(tx.req, 200, newTag()))
	invite.mu.Lock()
	cancel := invite.onCancel
	invite.mu.Unlock()
	if cancel != nil {
		cancel(tx.req)
	}
}

func legKey(callID, localTag string) string { return callID + "|" + localTag }

func (e *Edge) findLeg(req *request) *leg {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	return e.legs[legKey(callID(req), param(req.To().Params, "tag"))]
}

// allow is what the bridge understands.
const (
	allow   = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, MESSAGE, REGISTER"
	product = "Bridgehead"
)

// outside handles a request that belongs to no call.
func (e *Edge) outside(tx *serverTx, in *flow) {
	req := tx.req
	refuse := func(status int, name, value string) {
		res := reply(req, status, newTag())
		if name != "" {
			set(res, name, value)
		}
		tx.respond(res)
	}
	if bad := unsupported(req); bad != "" {
		refuse(420, "Unsupported", bad)
		e.forget(callID(req), "")
		return
	}
	switch req.Method {
	case siplib.INVITE:
		e.invite(tx, in)
	case siplib.REGISTER:
		e.registrar.register(tx, in)
	case siplib.OPTIONS:
		e.options(tx, in)
	case siplib.BYE, siplib.UPDATE, siplib.PRACK, siplib.INFO:
		refuse(481, "", "")
	case siplib.SUBSCRIBE, siplib.PUBLISH:
		refuse(489, "", "")
	case siplib.MESSAGE:
		e.written(tx, in, nil)
	case siplib.NOTIFY, siplib.REFER:
		refuse(403, "", "")
	default:
		refuse(405, "Allow", allow)
	}
}

// unsupported lists the option tags of Require that this end lacks.
func unsupported(req *request) string {
	var bad []string
	for _, t := range tokens(req, "Require") {
		if t != "100rel" && t != "timer" {
			bad = append(bad, edge.Clean(t, 40))
		}
	}
	return strings.Join(bad, ", ")
}

func (e *Edge) options(tx *serverTx, in *flow) {
	res := reply(tx.req, 200, newTag())
	e.closingMu(func(closed bool) {
		if closed {
			res = reply(tx.req, 503, newTag())
		}
	})
	set(res, "Allow", allow)
	set(res, "Accept", "application/sdp, text/plain")
	set(res, "Supported", (*trunk)(nil).supported())
	tx.respond(res)
}

func (e *Edge) closingMu(f func(bool)) {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	f(e.closed)
}

// suites are those of rtpio with these names, best first; nil: all.
func suites(names []string) (list []sdp.Suite) {
	for _, s := range rtpio.Suites() {
		if names == nil || slices.Contains(names, s.Name) {
			list = append(list, sdp.Suite{Name: s.Name, KeyLen: s.KeyLen})
		}
	}
	return list
}

func stack() string { return string(debug.Stack()) }
