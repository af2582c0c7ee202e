package h323

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/control"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// Ports of call signalling (H.225.0 appendix IV).
const (
	Port    = 1720
	PortTLS = 1300
)

// DialOptions change how one call is placed.
type DialOptions struct {
	From string // alias of the caller
	Name string // shown
	// Slow: no fast connect. Separate: H.245 on a connection of its own.
	Slow, Separate bool
	// Clear allows media in clear, where the peer does not encrypt; Plain does
	// not even offer to encrypt.
	Clear, Plain bool
	// TLS verifies the other side in its own way, where the address asks for
	// TLS; nil: by Options.Roots.
	TLS    *tls.Config
	Codecs []string
	// MaxGroup bounds the Diffie-Hellman groups offered, in bits; 0: 4096, or
	// 2048 where clear media is allowed.
	MaxGroup int
	// Gatekeeper asks that one for the address; nil: that of [Edge.Register].
	Gatekeeper *ras.Client
}

// outgoing is what belongs to a call that this end places.
type outgoing struct {
	opt    DialOptions
	codecs []core.Codec
	called string
	host   string // to connect to; "" for an alias that a gatekeeper knows
	port   uint16
	secure bool
	reg    *ras.Registration // a device of ours
	route  ras.Route
	into   core.Room
	ctx    context.Context
	cancel context.CancelFunc
	rang   bool
	asked  *ras.Client // has admitted the call
	placed chan error  // closed when it rings; buffered
	done   bool
}

// Dial implements [core.Edge]. Addresses are those of RFC 3508, h323:USER@HOST
// with ;transport=tls for TLS; without a host, or at host "local", USER is a
// device registered here, or an alias that the outside gatekeeper knows. It
// returns once the call rings; an error is a [core.Reason]. A call that fails
// after that is told to a [core.Watcher].
func (e *Edge) Dial(ctx context.Context, to string, into core.Room) (core.Leg, error) {
	return e.DialWith(ctx, to, into, DialOptions{Clear: e.opt.Legacy})
}

// DialWith is Dial with options.
func (e *Edge) DialWith(ctx context.Context, to string, into core.Room, opt DialOptions) (core.Leg, error) {
	l, err := e.place(ctx, to, into, opt)
	if err != nil {
		return nil, edge.InWords(core.ReasonOf(err))
	}
	return l, nil
}

func badAddress(to, why string) error {
	return core.Reason{Code: core.NotFound, Say: "That is not an address to call.", Detail: "h323: " + edge.Clean(to, 128) + ": " + why}
}

// address reads an H.323 URL.
func (o *outgoing) address(to string) error {
	rest := to
	if scheme, after, ok := strings.Cut(to, ":"); ok && strings.EqualFold(scheme, "h323") {
		rest = after
	}
	rest, params, _ := strings.Cut(rest, ";")
	if rest == "" || len(rest) > 255 || strings.ContainsAny(rest, " \r\n\t<>\"") {
		return badAddress(to, "no H.323 address")
	}
	o.port = Port
	for _, p := range strings.Split(params, ";") {
		if strings.EqualFold(p, "transport=tls") {
			o.secure, o.port = true, PortTLS
		}
	}
	user, host, has := strings.Cut(rest, "@")
	if !has && isHost(rest) {
		user, host = "", rest
	}
	o.called = user
	if host == "" || strings.EqualFold(host, "local") {
		return nil
	}
	o.host = host
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return badAddress(to, "port "+p)
		}
		o.host, o.port = h, uint16(n)
		o.secure = o.secure || n == PortTLS
	}
	o.host = strings.Trim(o.host, "[]")
	return nil
}

// isHost tells an address without user from an alias: it has a dot or a port.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return strings.ContainsAny(s, ".:")
}

func (e *Edge) place(ctx context.Context, to string, into core.Room, opt DialOptions) (*leg, error) {
	o := &outgoing{opt: opt, into: into, placed: make(chan error, 1)}
	if err := o.address(to); err != nil {
		return nil, err
	}
	if opt.Codecs != nil {
		codecs, err := codecsNamed(opt.Codecs)
		if err != nil {
			return nil, core.Reason{Code: core.Failure, Detail: err.Error()}
		}
		o.codecs = codecs
	}
	if o.asked = opt.Gatekeeper; o.asked == nil {
		o.asked = e.registrar
	}
	l := e.newLeg(nil, newReference(), true)
	l.outgoing, l.callID, l.confID = o, newID(), newID()
	l.to = edge.MaskPasscode(to)
	l.info.Name, l.info.Address = edge.Clean(edge.MaskPasscode(o.called), 64), edge.Clean(strings.TrimPrefix(l.to, "h323:"), 128)
	if l.info.Name == "" {
		l.info.Name = o.host
	}
	l.carrier = carrier{l: l, ours: !opt.Separate}
	if err := l.makeMachine(); err != nil {
		return nil, core.Reason{Code: core.Failure, Detail: err.Error()}
	}
	if err := e.enter(l); err != nil {
		return nil, err
	}
	o.ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		l.box.Post(func() {
			if l.state != active {
				l.hangup(core.Reason{Code: core.NoAnswer, Detail: "given up"})
			}
		})
	})
	e.trace(l.event(edge.TraceEvent{Kind: edge.Started, Info: l.Info()}))
	go l.call()
	if err := <-o.placed; err != nil {
		stop()
		return nil, err
	}
	return l, nil
}

func newReference() uint16 {
	var b [2]byte
	for {
		rand.Read(b[:])
		if r := binary.BigEndian.Uint16(b[:]) & 0x7fff; r != 0 {
			return r
		}
	}
}

// call finds the address, connects and sends SETUP.
func (l *leg) call() {
	defer func() {
		if r := recover(); r != nil {
			l.box.Fail(r)
		}
	}()
	s, err := l.reach()
	l.box.Post(func() {
		switch {
		case l.state == over:
			if s != nil && len(s.calls) == 0 {
				s.Conn.Close()
			}
		case err != nil:
			l.ended(core.ReasonOf(err))
		case s == nil: // the endpoint connects to us, when it likes
			l.after(setupWait, func() {
				if l.s == nil {
					l.ended(core.Reason{Code: core.Unreachable, Detail: "the endpoint behind a firewall has not connected (H.460.18)"})
				}
			})
		default:
			l.sendSetup(s)
		}
	})
}

// reach finds who is called and how: a device of ours, an address that a
// gatekeeper gives, or a host. The stream is nil where the endpoint has been
// asked to connect itself (H.460.18).
func (l *leg) reach() (*stream, error) {
	o := l.outgoing
	if o.host == "" && l.e.opt.Gatekeeper != nil {
		if reg, ok := l.e.opt.Gatekeeper.Lookup(o.called); ok {
			return l.reachDevice(reg)
		}
	}
	if o.asked != nil && (o.host == "" || o.asked.State().Registered) {
		if err := l.ask(); err != nil {
			return nil, err
		}
		return l.connect(o.route.Signalling)
	}
	if o.host == "" {
		return nil, core.Reason{Code: core.Unreachable, Detail: "no endpoint is registered as " + edge.Clean(o.called, 64)}
	}
	at, err := l.e.resolve(o.ctx, o.host, o.port)
	if err != nil {
		return nil, err
	}
	for _, a := range at {
		var s *stream
		if s, err = l.connect(a); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (e *Edge) resolve(ctx context.Context, host string, port uint16) (list []netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(ctx, setupWait)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, core.Reason{Code: core.Unreachable, Detail: err.Error()}
	}
	for _, a := range found {
		if len(list) < 4 {
			list = append(list, netip.AddrPortFrom(a.Unmap(), port))
		}
	}
	return list, nil
}

// connect opens a connection, bounded in time.
func (l *leg) connect(to netip.AddrPort) (*stream, error) {
	ctx, cancel := context.WithTimeout(l.outgoing.ctx, setupWait)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, core.Reason{Code: core.Unreachable, Detail: err.Error()}
	}
	network := "tcp"
	if l.outgoing.secure {
		network = "tls"
		if c, err = l.secureConn(ctx, c); err != nil {
			return nil, err
		}
	}
	s := l.e.newStream(c, network, to)
	s.carry(l)
	go s.read()
	return s, nil
}

func (l *leg) secureConn(ctx context.Context, c net.Conn) (net.Conn, error) {
	conf := l.outgoing.opt.TLS
	if conf == nil {
		conf = &tls.Config{RootCAs: l.e.opt.Roots, ServerName: l.outgoing.host, MinVersion: tls.VersionTLS12}
	}
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, core.Reason{Code: core.Unreachable, Detail: "TLS: " + err.Error()}
	}
	return t, nil
}

// sendSetup sends SETUP (H.225.0 §7.3.10).
func (l *leg) sendSetup(s *stream) {
	o := l.outgoing
	l.mu.Lock()
	l.carriedBy(s)
	l.mu.Unlock()
	l.state = callInitiated
	if !o.opt.Plain {
		if err := l.security.offer(cmp.Or(o.opt.MaxGroup, l.offered())); err != nil {
			l.ended(core.Reason{Code: core.Failure, Detail: err.Error()})
			return
		}
		l.machine.SetEncryption(&control.Encryption{Algorithms: algorithms})
	}
	m := l.message(q931.Setup)
	m.q.IEs = append(m.q.IEs, q931.BearerIE(q931.BearerValue{Capability: 8, Rate: 0x18, Multiplier: 6, Layer1: 5}))
	if name := o.name(); name != "" {
		m.q.IEs = append(m.q.IEs, q931.DisplayIE(ascii(name)))
	}
	if o.called != "" && strings.Trim(o.called, "0123456789*#") == "" {
		m.q.IEs = append(m.q.IEs, q931.CalledIE(q931.Number{Plan: 1, Digits: o.called}))
	}
	m.body().Setup = l.setupBody(s)
	if l.admit.asked != nil {
		m.sign = l.admit.asked.SignSetup
	}
	l.send(m)
	l.after(setupWait, func() {
		if l.state == callInitiated {
			l.hangup(core.Reason{Code: core.Unreachable, Detail: "no answer to SETUP"})
		}
	})
}

// offered is the largest group of an offer. One beyond 2048 bits goes in an
// extension at which ooh323 takes the whole SETUP for malformed, so that it is
// kept from systems that may be without encryption.
func (l *leg) offered() int {
	if l.required() {
		return bestGroup
	}
	return usualGroup
}

func (o *outgoing) name() string {
	if o.opt.Name != "" {
		return o.opt.Name
	}
	if o.opt.From != "" {
		return o.opt.From
	}
	return product
}

func (l *leg) setupBody(s *stream) *h225.SetupUUIE {
	o := l.outgoing
	no := false
	body := &h225.SetupUUIE{
		ProtocolIdentifier: protocolID, SourceInfo: l.e.endpoint(), ConferenceID: l.confID[:],
		SourceAddress:         []h225.AliasAddress{ras.AliasOf(o.name())},
		DestCallSignalAddress: transport(s.remote), SourceCallSignalAddress: transport(s.local),
		ConferenceGoal: h225.SetupUUIEConferenceGoal{Create: null}, CallType: h225.CallType{PointToPoint: null},
		CallIdentifier: identifier(l.callID[:]), MediaWaitForConnect: &no, CanOverlapSend: &no, MultipleCalls: &no, MaintainConnection: &no,
		Tokens: l.security.tokens, SupportedFeatures: l.offeredFeatures(),
	}
	body.Tokens = append(body.Tokens[:len(body.Tokens):len(body.Tokens)], o.route.Tokens...)
	if o.called != "" {
		body.DestinationAddress = []h225.AliasAddress{ras.AliasOf(o.called)}
	}
	if !o.opt.Slow {
		l.fast.offered = true
		for _, b := range l.machine.Offer() {
			body.FastStart = append(body.FastStart, per.OctetString(b))
		}
	}
	return body
}

// inCallInitiated: SETUP is out (Q.931 U1).
func (l *leg) inCallInitiated(m *message) {
	switch m.q.Type {
	case q931.SetupAck, q931.CallProceeding, q931.Progress:
		l.state = outgoingProceeding
		l.progressed(m)
	case q931.Alerting:
		l.alerting(m)
	case q931.Connect:
		l.connected(m)
	}
}

// inOutgoingProceeding: the other side is at it (U3).
func (l *leg) inOutgoingProceeding(m *message) {
	switch m.q.Type {
	case q931.CallProceeding, q931.Progress:
		l.progressed(m)
	case q931.Alerting:
		l.alerting(m)
	case q931.Connect:
		l.connected(m)
	}
}

// inCallDelivered: it rings (U4).
func (l *leg) inCallDelivered(m *message) {
	switch m.q.Type {
	case q931.Progress, q931.Alerting:
		l.progressed(m)
	case q931.Connect:
		l.connected(m)
	}
}

// progressed takes what any message before and with CONNECT may bring: tokens,
// the answer to fast connect, an address for H.245.
func (l *leg) progressed(m *message) {
	c := m.common()
	l.traverse(m)
	if len(c.tokens) > 0 || len(c.fastStart) > 0 && l.required() { // whose keys come with it
		if err := l.secure(c.tokens); err != nil {
			l.hangup(core.ReasonOf(err))
			return
		}
	}
	if c.noFastStart {
		l.fast.offered = false
	}
	if len(c.fastStart) > 0 && l.fast.offered && !l.fast.agreed {
		l.fast.agreed = true
		if err := l.machine.Answered(octets(c.fastStart)); err != nil && l.state != over {
			l.hangup(core.Reason{Code: core.Incompatible, Detail: "fast connect: " + err.Error()})
			return
		}
	}
	if a, ok := addressOf(c.h245Address); ok && !l.carrier.tunnelled() && m.q.Type != q931.Facility {
		l.carrier.connect(a)
	}
	l.outgoing.ring(l)
}

func (l *leg) alerting(m *message) {
	l.state = callDelivered
	l.progressed(m)
	if w, ok := l.outgoing.into.(core.Watcher); ok && l.state != over && !l.outgoing.rang {
		l.outgoing.rang = true
		go w.Ringing(l)
	}
}

// connected: the call is answered. It goes into its room once sound can flow.
func (l *leg) connected(m *message) {
	l.waiting = func() { l.into(l.outgoing.ctx, l.outgoing.into) }
	c := m.common()
	if err := l.secure(c.tokens); err != nil {
		l.hangup(core.ReasonOf(err))
		return
	}
	l.state = active
	if b := m.body().Connect; b != nil && len(b.ConferenceID) == 16 {
		copy(l.confID[:], b.ConferenceID)
	}
	l.progressed(m)
	if l.state == over {
		return
	}
	l.e.trace(l.event(edge.TraceEvent{Kind: edge.Answered, Info: l.Info()}))
	l.carrier.begin()
	if !l.carrier.tunnelled() && l.carrier.conn == nil && !l.carrier.dialled && !l.fast.agreed {
		l.askForControl()
	}
	if m := l.media[core.Microphone]; m != nil && m.out != nil {
		l.join()
		return
	}
	l.after(mediaWait, l.join)
}

// ring lets Dial return: the other side is at it.
func (o *outgoing) ring(l *leg) {
	if !o.done && l.state != over {
		o.done = true
		o.placed <- nil
	}
}

// failed ends Dial, or tells the room.
func (o *outgoing) failed(l *leg, r core.Reason) {
	o.cancel()
	if !o.done {
		o.done = true
		o.placed <- edge.InWords(r)
		return
	}
	if w, ok := o.into.(core.Watcher); ok && !l.joined {
		go w.Failed(l, edge.InWords(r))
	}
}

// facility: before the answer it may redirect the call (H.450.3 in small:
// callForwarded, routeCallToGatekeeper), which is told and not followed: a
// called side does not choose whom else this bridge calls.
func (o *outgoing) facility(l *leg, f *h225.FacilityUUIE) {
	if f.Reason.CallForwarded != nil || f.Reason.RouteCallToGatekeeper != nil || f.Reason.RouteCallToMC != nil {
		l.hangup(core.Reason{Code: core.Declined, Say: "The other side has forwarded the call elsewhere.", Detail: "FACILITY redirects the call; redirections are not followed"})
	}
}
