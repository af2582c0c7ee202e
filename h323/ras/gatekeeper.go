package ras

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// Options of [New].
type Options struct {
	// Listen is the host:port of UDP; port 0: any. Empty: no UDP, messages
	// come by Handle only.
	Listen string
	// Identifier is the gatekeeperIdentifier; "": "bridgehead".
	Identifier string
	// Signalling is the call signalling address that a peer is told.
	Signalling func(peer netip.AddrPort) netip.AddrPort
	// Devices may register; nil: none.
	Devices Devices
	// Open lets endpoints without a password register, under aliases that are
	// no device's: a legacy listener.
	Open bool
	// Known tells whether a called alias, which may be NUMBER**PASSCODE, leads
	// anywhere; nil: all do. "" is asked for a call without an alias.
	Known func(alias string) bool
	// Reserved tells whether a number is the bridge's own, a meeting's say,
	// and no endpoint may take it as an alias; nil: none is.
	Reserved func(alias string) bool
	// Blocks drop what comes from those who attack; nil: nobody is blocked.
	Blocks *edge.Blocks
	// Neighbours are gatekeepers that may ask where a number leads (LRQ).
	Neighbours []netip.Prefix
	// Alternates are gatekeepers that endpoints may turn to.
	Alternates []Alternate
	// TimeToLive of registrations; 0: 5 min. Endpoints may ask for less.
	TimeToLive time.Duration
	// Skew is how far a device's clock may be off; 0: 5 min.
	Skew time.Duration
	// MaxBandwidth bounds what is granted to a call, in bit/s both ways; 0:
	// what is asked for.
	MaxBandwidth int64
	// Revoked is told of each call that ends with the rights of its device.
	Revoked func(user string, call CallID)
	// Trace is told of every message; it must not block.
	Trace func(Event)
	Log   *slog.Logger
	Now   func() time.Time
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
	Name      string // shown
	Password  string // never empty
	Extension string // the number that dials it; may be empty
}

// Alternate is another gatekeeper.
type Alternate struct {
	Address    netip.AddrPort
	Identifier string
	Register   bool // endpoints have to register there before they call
	Priority   int  // 0 first, to 127
}

// Traversal is how calls reach an endpoint behind a firewall.
type Traversal string

// The ways.
const (
	NoTraversal Traversal = ""
	H46017      Traversal = "h460.17" // over the connection that brought its RAS
	H46018      Traversal = "h460.18" // it is asked to connect: [Gatekeeper.Invite]
)

// Registration is an endpoint that is registered.
type Registration struct {
	ID         string // endpointIdentifier: a secret between it and us
	User       string // its device; "" if it is none (Options.Open)
	Aliases    []string
	CallSignal netip.AddrPort // where calls to it go; not with Traversal
	Peer       Peer           // of its RAS messages
	Expires    time.Time
	Vendor     string // product and version, as it says
	Traversal  Traversal
	// Authenticated: it has proved the device's password.
	Authenticated bool
}

// Bounds of the gatekeeper's tables.
const (
	maxRegistrations = 20000
	maxPerDevice     = 4
	maxPerAddress    = 64 // without a password
	maxAliases       = 32 // of one registration
	maxAdmissions    = 20000
	maxCalls         = 256 // of one endpoint
	maxPending       = 4096
)

// Times of the gatekeeper.
const (
	defaultTTL  = 5 * time.Minute
	minTTL      = 15 * time.Second
	firewallTTL = 20 * time.Second // what UDP pinholes last, at least
	defaultSkew = 5 * time.Minute
	// unused is how long an admission waits for its SETUP.
	unused = 2 * time.Minute
)

// Gatekeeper answers endpoints. Its methods may be called from any goroutine.
type Gatekeeper struct {
	opt      Options
	log      *slog.Logger
	guard    *guard
	retries  *retries
	conn     packetConn
	counters Counters
	random   atomic.Int64
	newID    func() string // of an endpoint

	mu         sync.Mutex
	regs       map[string]*registration
	aliases    map[string][]*registration // by folded alias, newest last
	users      map[string][]*registration
	hosts      map[netip.Addr][]*registration // by where they are
	calls      map[CallID][]string            // endpoints that were admitted
	admissions int
	replays    map[string]*replays // by user
	pending    map[int]*pending
	seq        int
}

type registration struct {
	Registration
	password string // of its device
	calls    map[CallID]*admission
	probed   bool // it has expired, and is asked whether it lives
}

// packetConn is what the gatekeeper needs of a UDP socket.
type packetConn interface {
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// New checks the options. It opens nothing yet.
func New(opt Options) (*Gatekeeper, error) {
	if opt.Signalling == nil {
		return nil, errors.New("ras: no call signalling address")
	}
	opt.Identifier = cmp.Or(opt.Identifier, "bridgehead")
	if len(opt.Identifier) > 128 {
		return nil, errors.New("ras: the gatekeeper identifier is longer than 128 characters")
	}
	for _, a := range opt.Alternates {
		if !a.Address.IsValid() || a.Priority < 0 || a.Priority > 127 || len(a.Identifier) > 128 {
			return nil, fmt.Errorf("ras: alternate gatekeeper %v, %q, priority %d is not valid", a.Address, a.Identifier, a.Priority)
		}
	}
	opt.TimeToLive = max(cmp.Or(opt.TimeToLive, defaultTTL), minTTL)
	opt.Skew = cmp.Or(opt.Skew, defaultSkew)
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	g := &Gatekeeper{opt: opt, log: opt.Log, retries: newRetries(), newID: newID,
		regs: map[string]*registration{}, aliases: map[string][]*registration{}, users: map[string][]*registration{},
		hosts: map[netip.Addr][]*registration{}, calls: map[CallID][]string{}, replays: map[string]*replays{}, pending: map[int]*pending{}}
	g.guard = newGuard(&g.counters)
	g.random.Store(int64(randomUint32() >> 1))
	return g, nil
}

// Listen opens the socket.
func (g *Gatekeeper) Listen() error {
	if g.opt.Listen == "" {
		return nil
	}
	a, err := net.ResolveUDPAddr("udp", g.opt.Listen)
	if err != nil {
		return fmt.Errorf("ras: %w", err)
	}
	conn, err := net.ListenUDP("udp", a)
	if err != nil {
		return fmt.Errorf("ras: %w", err)
	}
	g.conn = conn
	return nil
}

// Addr is the address of the socket; zero before Listen, or without UDP.
func (g *Gatekeeper) Addr() netip.AddrPort {
	if g.conn == nil {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(g.conn.LocalAddr().String())
}

// Serve answers endpoints and lets registrations and admissions expire, until
// ctx ends. It is needed without UDP too.
func (g *Gatekeeper) Serve(ctx context.Context) error {
	if g.conn != nil {
		stop := context.AfterFunc(ctx, func() { g.conn.Close() })
		defer stop()
		go g.expire(ctx)
		return g.read(ctx)
	}
	g.expire(ctx)
	return nil
}

func (g *Gatekeeper) read(ctx context.Context) error {
	buf := make([]byte, maxMessage+1)
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			continue // an ICMP error of an earlier datagram
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if reply := g.Handle(buf[:n], Peer{Addr: from}); reply != nil {
			g.conn.WriteToUDPAddrPort(reply, from)
		}
	}
}

// Close closes the socket.
func (g *Gatekeeper) Close() error {
	if g.conn == nil {
		return nil
	}
	return g.conn.Close()
}

// Counters of the gatekeeper.
func (g *Gatekeeper) Counters() *Counters { return &g.counters }

// request is a message that is being handled.
type request struct {
	m    *h225.RasMessage
	name string
	raw  []byte
	from Peer
	seq  int
	id   string // endpointIdentifier in it
	identity
	// sign the answer to this sendersID, if the sender proved a password
	receiver string
	after    []func() // without the lock
}

// strike counts an offence of a stranger.
func (g *Gatekeeper) strike(a netip.Addr, what edge.Offence) {
	if !g.known(a) {
		g.opt.Blocks.Strike(a, true, what)
	}
}

// Handle takes one message as it came and gives its answer; nil: none. It
// keeps nothing of the octets.
func (g *Gatekeeper) Handle(raw []byte, from Peer) (reply []byte) {
	g.counters.Received.Add(1)
	source := from.Addr.Addr()
	if len(raw) == 0 || len(raw) > maxMessage {
		g.counters.Malformed.Add(1)
		return nil
	}
	known := g.known(source)
	if !known && g.opt.Blocks.Drops(source, true) {
		return nil
	}
	if !g.guard.take(source, known, g.opt.Now()) {
		g.strike(source, edge.Flood)
		return nil
	}
	key := keyOf(raw, from)
	if reply, ok := g.retries.get(key, g.opt.Now()); ok {
		g.counters.Repeated.Add(1)
		return reply
	}
	r := &request{m: new(h225.RasMessage), raw: raw, from: from}
	if _, err := per.Decode(raw, r.m); err != nil {
		g.counters.Malformed.Add(1)
		g.strike(source, edge.Malformed)
		g.log.Debug("malformed RAS message", "source", from.Addr, "error", err)
		return nil
	}
	answer := g.answer(r)
	for _, f := range r.after {
		f()
	}
	if answer != nil {
		reply = g.encode(answer, r.password, r.receiver)
		g.trace(true, from.Addr, answer)
	}
	if r.name != "" {
		g.retries.put(key, reply, g.opt.Now())
	}
	return reply
}

// known tells whether more messages are to be expected of the source.
func (g *Gatekeeper) known(a netip.Addr) bool {
	if g.neighbour(a) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.hosts[a]) > 0
}

func (g *Gatekeeper) neighbour(a netip.Addr) bool {
	return slices.ContainsFunc(g.opt.Neighbours, func(p netip.Prefix) bool { return p.Contains(a) })
}

// answer handles each kind of message (H.225.0 §7).
func (g *Gatekeeper) answer(r *request) *h225.RasMessage {
	name, v := body(r.m)
	r.name, r.seq = name, seqOf(v)
	if r.id = get[string](v, "EndpointIdentifier"); r.id == "" {
		r.id = deref(get[*string](v, "EndpointIdentifier"))
	}
	g.trace(false, r.from.Addr, r.m)
	if r.identity = g.identify(r, v); r.verdict == blocked {
		g.counters.Blocked.Add(1)
		r.name = "" // nor is that remembered
		return nil
	}
	switch m := r.m; {
	case m.GatekeeperRequest != nil:
		return g.discover(r, m.GatekeeperRequest)
	case m.RegistrationRequest != nil:
		return g.register(r, m.RegistrationRequest)
	case m.UnregistrationRequest != nil:
		return g.unregister(r, m.UnregistrationRequest)
	case m.AdmissionRequest != nil:
		return g.admit(r, m.AdmissionRequest)
	case m.BandwidthRequest != nil:
		return g.bandwidth(r, m.BandwidthRequest)
	case m.DisengageRequest != nil:
		return g.disengage(r, m.DisengageRequest)
	case m.LocationRequest != nil:
		return g.locate(r, m.LocationRequest)
	case m.InfoRequestResponse != nil:
		return g.status(r, m.InfoRequestResponse)
	case m.ResourcesAvailableIndicate != nil:
		return g.resources(r)
	case m.ServiceControlIndication != nil:
		return g.service(r)
	}
	g.settle(r)
	return g.unknown(r)
}

// settle takes what answers a request of ours.
func (g *Gatekeeper) settle(r *request) {
	switch m := r.m; {
	case m.UnregistrationConfirm != nil, m.UnregistrationReject != nil, m.DisengageConfirm != nil, m.DisengageReject != nil,
		m.BandwidthConfirm != nil, m.BandwidthReject != nil, m.ServiceControlResponse != nil, m.UnknownMessageResponse != nil:
		g.settled(r.seq, r.from)
	case m.RequestInProgress != nil:
		g.wait(m.RequestInProgress, r.from)
	}
}

// unknown says that a message is not understood (H.225.0 §7.16), to those who
// are registered; others get no answer, since none would reach a true peer.
func (g *Gatekeeper) unknown(r *request) *h225.RasMessage {
	if len(r.m.Extensions) == 0 && r.m.NonStandardMessage == nil && r.m.InfoRequest == nil {
		return nil
	}
	g.mu.Lock()
	registered := slices.ContainsFunc(g.hosts[r.from.Addr.Addr()], func(e *registration) bool { return e.Peer.same(r.from) })
	g.mu.Unlock()
	if !registered {
		return nil
	}
	return &h225.RasMessage{UnknownMessageResponse: &h225.UnknownMessageResponse{RequestSeqNum: max(r.seq, 1), MessageNotUnderstood: r.raw}}
}

// encode writes a message, signed for receiver if there is a password.
func (g *Gatekeeper) encode(m *h225.RasMessage, password, receiver string) []byte {
	b, err := seal(m, token{password: password, from: g.opt.Identifier, to: receiver, at: g.opt.Now(), random: g.random.Add(1)})
	if err != nil {
		g.log.Error("a RAS message can't be written", "error", err)
		return nil
	}
	return b
}

func (g *Gatekeeper) trace(sent bool, peer netip.AddrPort, m *h225.RasMessage) {
	if g.opt.Trace == nil {
		return
	}
	g.opt.Trace(event(g.opt.Now(), sent, peer, m))
}

// Registrations lists the endpoints that are registered, by user.
func (g *Gatekeeper) Registrations() []Registration {
	now := g.opt.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]Registration, 0, len(g.regs))
	for _, e := range g.regs {
		if e.live(now) {
			out = append(out, e.Registration)
		}
	}
	slices.SortFunc(out, func(a, b Registration) int {
		return cmp.Or(cmp.Compare(a.User, b.User), a.Peer.Addr.Compare(b.Peer.Addr), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Lookup finds the endpoint that a number, user name or alias rings: of a
// device's, the one that registered last.
func (g *Gatekeeper) Lookup(alias string) (Registration, bool) {
	user := g.userOf(alias)
	now := g.opt.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.aliases[fold(alias)]
	if user != "" {
		list = g.users[user]
	}
	for _, e := range slices.Backward(list) {
		if e.live(now) {
			return e.Registration, true
		}
	}
	return Registration{}, false
}

// userOf is the device that a user name or number names; "": none.
func (g *Gatekeeper) userOf(alias string) string {
	if g.opt.Devices == nil || alias == "" {
		return ""
	}
	if _, ok := g.opt.Devices.Device(alias); ok {
		return alias
	}
	user, _ := g.opt.Devices.Extension(alias)
	return user
}

// live: it is registered, or is being asked whether it still lives.
func (e *registration) live(now time.Time) bool { return now.Before(e.Expires) || e.probed }

func randomUint32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
