package ras

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
)

// ClientOptions of [NewClient].
type ClientOptions struct {
	// Gatekeeper is the host or host:port, port 1719 if there is none.
	Gatekeeper string
	// Identifier is the gatekeeper's; "": whichever answers.
	Identifier string
	// Aliases are this bridge's names and numbers there.
	Aliases []string
	// Prefixes of numbers lead to this bridge as a gateway.
	Prefixes []string
	// User and Password of H.235.1. Without a password nothing is signed; with
	// one, only signed confirmations count. User "": the first alias.
	User, Password string
	// Signalling is our call signalling address.
	Signalling netip.AddrPort
	// TimeToLive that is asked for; 0: 5 min.
	TimeToLive time.Duration
	// Listen is the local host:port of UDP; "": any.
	Listen string
	// Dropped is told when the gatekeeper ends a call, Limited when it sets
	// the bit/s, both ways, that a call may take. They must not block.
	Dropped func(CallID, core.Reason)
	Limited func(CallID, int64)
	// Trace is told of every message; it must not block.
	Trace func(Event)
	Log   *slog.Logger
}

// Admission is a call for which the gatekeeper is asked.
type Admission struct {
	CallID       CallID
	ConferenceID [16]byte
	Reference    uint16 // call reference value of Q.931
	// Answer: we are called, by Caller, for Called.
	Answer bool
	Called string         // alias
	Caller string         // alias; "" when we call: our first
	Peer   netip.AddrPort // the other side's call signalling address, if known
	// Bandwidth is asked for, in bit/s both ways.
	Bandwidth int64
}

// Route is where an admitted call goes.
type Route struct {
	Signalling netip.AddrPort
	// Routed: that is the gatekeeper's address and not the called party's.
	Routed bool
	// Called replaces the called alias, if not empty.
	Called    string
	Tokens    []h235.ClearToken // for SETUP
	Bandwidth int64             // granted, in bit/s
	// EndpointIdentifier goes into SETUP.
	EndpointIdentifier string
}

// State is how the registration is doing.
type State struct {
	Registered bool
	Gatekeeper netip.AddrPort
	Identifier string
	Err        string // why it is not registered
	Since      time.Time
}

// Client keeps this bridge registered at a gatekeeper, and asks it for calls.
// Its methods may be called from any goroutine.
type Client struct {
	opt    ClientOptions
	log    *slog.Logger
	listen func() (packetConn, error)
	lookup func(ctx context.Context, host string) (netip.Addr, error)
	again  chan string // why to register anew, at once

	mu       sync.Mutex
	conn     packetConn
	state    State
	gk       gatekeeper // that it talks to
	endpoint string     // endpointIdentifier
	others   []gatekeeper
	calls    map[CallID]*Admission
	waiting  map[int]chan answer
	seq      int
	random   int64
}

// gatekeeper is one that may be registered at.
type gatekeeper struct {
	addr       netip.AddrPort
	identifier string
	priority   int
}

// Times and bounds of the client.
const (
	tryEvery  = 3 * time.Second // T3.. of H.225.0 §7.19.1
	tryTimes  = 3
	maxDelay  = 30 * time.Second
	minPause  = time.Second // between tries to register
	maxPause  = time.Minute
	settledIn = time.Minute // a registration that lasted counts as good
	maxOthers = 8
)

// NewClient checks the options. It opens nothing yet.
func NewClient(opt ClientOptions) (*Client, error) {
	switch {
	case opt.Gatekeeper == "":
		return nil, errors.New("ras: no gatekeeper")
	case !opt.Signalling.IsValid():
		return nil, errors.New("ras: no call signalling address")
	case len(opt.Aliases) == 0 && len(opt.Prefixes) == 0:
		return nil, errors.New("ras: neither aliases nor prefixes to register")
	case slices.Contains(opt.Aliases, "") || slices.Contains(opt.Prefixes, ""):
		return nil, errors.New("ras: an empty alias or prefix")
	case len(opt.Identifier) > 128 || len(opt.User) > 128:
		return nil, errors.New("ras: an identifier is longer than 128 characters")
	}
	if _, _, err := hostPort(opt.Gatekeeper); err != nil {
		return nil, err
	}
	if opt.User == "" && len(opt.Aliases) > 0 {
		opt.User = opt.Aliases[0]
	}
	opt.TimeToLive = cmp.Or(opt.TimeToLive, defaultTTL)
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	c := &Client{opt: opt, log: opt.Log, again: make(chan string, 1), lookup: lookup,
		calls: map[CallID]*Admission{}, waiting: map[int]chan answer{}, random: int64(randomUint32() >> 1)}
	c.listen = func() (packetConn, error) {
		a, err := net.ResolveUDPAddr("udp", cmp.Or(opt.Listen, ":0"))
		if err != nil {
			return nil, err
		}
		return net.ListenUDP("udp", a)
	}
	return c, nil
}

// hostPort splits an address, the port of which may be missing.
func hostPort(s string) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), Port, nil
	}
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return s, Port, nil
	}
	n, err := net.LookupPort("udp", p)
	if err != nil {
		return "", 0, fmt.Errorf("ras: gatekeeper %q: %w", s, err)
	}
	return h, uint16(n), nil
}

func lookup(ctx context.Context, host string) (netip.Addr, error) {
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return list[0].Unmap(), nil
}

// State is a snapshot.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Run keeps the bridge registered until ctx ends, then unregisters it.
func (c *Client) Run(ctx context.Context) error {
	conn, err := c.listen()
	if err != nil {
		return fmt.Errorf("ras: %w", err)
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	read := make(chan struct{})
	go func() { defer close(read); c.read(conn) }()
	defer func() { conn.Close(); <-read }()
	pause := minPause
	for next := 0; ; next++ {
		began := time.Now()
		err := c.stay(ctx, next)
		if ctx.Err() != nil {
			c.leave()
			return nil
		}
		c.fail(err)
		// one that works is stayed with; one that did for a while, or asks for
		// it itself, is tried again before others
		if lasted := time.Since(began) > settledIn; lasted || errors.Is(err, errAgain) {
			next--
			if lasted {
				pause = minPause
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// errAgain: the gatekeeper itself asks to register anew.
var errAgain = errors.New("the gatekeeper asks to register anew")

// stay registers at the gatekeeper of that turn and refreshes, until that
// fails.
func (c *Client) stay(ctx context.Context, turn int) error {
	gk, err := c.choose(ctx, turn)
	if err != nil {
		return err
	}
	select { // of the registration before
	case <-c.again:
	default:
	}
	c.mu.Lock()
	c.gk, c.endpoint = gk, ""
	c.mu.Unlock()
	if err := c.discover(ctx); err != nil {
		return err
	}
	ttl, err := c.register(ctx, false)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case why := <-c.again:
			if why != "" {
				return fmt.Errorf("%w: %s", errAgain, why)
			}
		case <-time.After(ttl * 2 / 3):
		}
		ttl, err = c.register(ctx, true)
	}
	return err
}

// choose picks the configured gatekeeper and those that it named by turns.
func (c *Client) choose(ctx context.Context, turn int) (gatekeeper, error) {
	c.mu.Lock()
	others := c.others
	c.mu.Unlock()
	if i := turn % (1 + len(others)); i > 0 {
		return others[i-1], nil
	}
	host, port, err := hostPort(c.opt.Gatekeeper)
	if err != nil {
		return gatekeeper{}, err
	}
	a, err := c.lookup(ctx, host)
	if err != nil {
		return gatekeeper{}, fmt.Errorf("ras: %w", err)
	}
	return gatekeeper{addr: netip.AddrPortFrom(a, port), identifier: c.opt.Identifier}, nil
}

// discover sends GRQ (H.225.0 §7.2). Gatekeepers need not answer it.
func (c *Client) discover(ctx context.Context) error {
	c.mu.Lock()
	gk := c.gk
	c.mu.Unlock()
	m := &h225.GatekeeperRequest{ProtocolIdentifier: protocol, RasAddress: c.rasAddress(), EndpointType: c.endpointType(),
		EndpointAlias: c.aliases(), SupportsAltGK: none}
	if gk.identifier != "" {
		m.GatekeeperIdentifier = &gk.identifier
	}
	if c.opt.Password != "" {
		m.AuthenticationCapability = []h235.AuthenticationMechanism{{PwdHash: none}}
		m.AlgorithmOIDs = append(m.AlgorithmOIDs, h235.HMACSHA1OID)
	}
	a, err := c.request(ctx, &h225.RasMessage{GatekeeperRequest: m})
	switch {
	case errors.Is(err, errSilent):
		return nil
	case err != nil:
		return err
	case a.GatekeeperReject != nil:
		c.alternate(altOf(a.GatekeeperReject.AltGKInfo))
		return refused("GRJ", a)
	case a.GatekeeperConfirm != nil:
		c.alternate(a.GatekeeperConfirm.AlternateGatekeeper)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gk.identifier = cmp.Or(deref(a.GatekeeperConfirm.GatekeeperIdentifier), c.gk.identifier)
		if ras, ok := AddrPort(a.GatekeeperConfirm.RasAddress); ok && ras.Addr() == c.gk.addr.Addr() && ras.Port() != 0 {
			c.gk.addr = ras // only another port: a gatekeeper elsewhere would be an alternate
		}
	}
	return nil
}

func altOf(i *h225.AltGKInfo) []h225.AlternateGK {
	if i == nil {
		return nil
	}
	return i.AlternateGatekeeper
}

// alternate keeps the gatekeepers that may be turned to.
func (c *Client) alternate(list []h225.AlternateGK) {
	var others []gatekeeper
	for _, k := range list {
		if a, ok := AddrPort(k.RasAddress); ok && a.Port() != 0 && len(others) < maxOthers {
			others = append(others, gatekeeper{a, deref(k.GatekeeperIdentifier), k.Priority})
		}
	}
	if len(others) == 0 {
		return
	}
	slices.SortStableFunc(others, func(a, b gatekeeper) int { return a.priority - b.priority })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gk.addr.IsValid() {
		others = slices.DeleteFunc(others, func(g gatekeeper) bool { return g.addr == c.gk.addr })
	}
	c.others = others
}

// register sends RRQ (H.225.0 §7.3), a lightweight one to refresh, and gives
// how long the registration lasts.
func (c *Client) register(ctx context.Context, light bool) (time.Duration, error) {
	c.mu.Lock()
	gk, endpoint := c.gk, c.endpoint
	c.mu.Unlock()
	m := &h225.RegistrationRequest{ProtocolIdentifier: protocol, DiscoveryComplete: gk.identifier != "",
		CallSignalAddress: []h225.TransportAddress{Address(c.opt.Signalling)}, RasAddress: []h225.TransportAddress{c.rasAddress()},
		TerminalType: c.endpointType(), EndpointVendor: vendorOf(), TimeToLive: new(int64(c.opt.TimeToLive / time.Second)),
		KeepAlive: &light, WillSupplyUUIEs: new(false), MaintainConnection: new(false), SupportsAltGK: none}
	if gk.identifier != "" {
		m.GatekeeperIdentifier = &gk.identifier
	}
	if light {
		m.EndpointIdentifier = &endpoint
	} else {
		m.TerminalAlias = c.aliases()
	}
	a, err := c.request(ctx, &h225.RasMessage{RegistrationRequest: m})
	switch {
	case err != nil:
		return 0, err
	case a.RegistrationReject != nil:
		c.alternate(altOf(a.RegistrationReject.AltGKInfo))
		why := a.RegistrationReject.RejectReason
		if light && (why.FullRegistrationRequired != nil || why.DiscoveryRequired != nil) {
			return 0, fmt.Errorf("%w: %w", errAgain, refused("RRJ", a))
		}
		return 0, refused("RRJ", a)
	case a.RegistrationConfirm == nil:
		return 0, errors.New("ras: the gatekeeper doesn't understand the registration")
	}
	return c.registered(a.RegistrationConfirm, light), nil
}

func (c *Client) registered(m *h225.RegistrationConfirm, light bool) time.Duration {
	c.alternate(m.AlternateGatekeeper)
	ttl := min(cmp.Or(time.Duration(deref(m.TimeToLive))*time.Second, c.opt.TimeToLive), 24*time.Hour)
	c.mu.Lock()
	c.endpoint = cmp.Or(m.EndpointIdentifier, c.endpoint)
	c.gk.identifier = cmp.Or(deref(m.GatekeeperIdentifier), c.gk.identifier)
	fresh := !c.state.Registered
	if fresh {
		c.state = State{Registered: true, Since: time.Now()}
	}
	c.state.Gatekeeper, c.state.Identifier = c.gk.addr, c.gk.identifier
	s := c.state
	c.mu.Unlock()
	if fresh || !light {
		c.log.Info("registered at the gatekeeper", "gatekeeper", s.Gatekeeper, "identifier", s.Identifier, "for", ttl)
	}
	return max(ttl, 10*time.Second)
}

// fail notes why there is no registration.
func (c *Client) fail(err error) {
	c.mu.Lock()
	was := c.state
	c.endpoint = ""
	if c.state.Registered || c.state.Since.IsZero() {
		c.state.Since = time.Now()
	}
	gk := c.gk.addr
	c.state.Registered, c.state.Gatekeeper, c.state.Identifier, c.state.Err = false, gk, c.gk.identifier, err.Error()
	c.mu.Unlock()
	if was.Registered || was.Err != err.Error() {
		c.log.Warn("not registered at the gatekeeper", "gatekeeper", gk, "error", err)
	}
}

// leave unregisters, without waiting for the answer.
func (c *Client) leave() {
	c.mu.Lock()
	registered, endpoint, gk := c.state.Registered, c.endpoint, c.gk
	c.state = State{Err: "stopped", Since: time.Now()}
	c.mu.Unlock()
	if !registered {
		return
	}
	m := &h225.UnregistrationRequest{CallSignalAddress: []h225.TransportAddress{Address(c.opt.Signalling)}, EndpointIdentifier: &endpoint}
	if gk.identifier != "" {
		m.GatekeeperIdentifier = &gk.identifier
	}
	c.tell(&h225.RasMessage{UnregistrationRequest: m})
}

func (c *Client) aliases() (out []h225.AliasAddress) {
	for _, a := range c.opt.Aliases {
		out = append(out, AliasOf(a))
	}
	return out
}

func (c *Client) rasAddress() h225.TransportAddress {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := netip.MustParseAddrPort(c.conn.LocalAddr().String())
	if local.Addr().IsUnspecified() {
		local = netip.AddrPortFrom(c.opt.Signalling.Addr(), local.Port())
	}
	return Address(local)
}

// endpointType is that of a bridge: an MCU, and a gateway if it has prefixes.
func (c *Client) endpointType() h225.EndpointType {
	t := h225.EndpointType{Vendor: new(vendorOf()), Mcu: &h225.McuInfo{}, Mc: true}
	if len(c.opt.Prefixes) > 0 {
		voice := &h225.VoiceCaps{SupportedPrefixes: []h225.SupportedPrefix{}, DataRatesSupported: []h225.DataRate{}}
		for _, p := range c.opt.Prefixes {
			voice.SupportedPrefixes = append(voice.SupportedPrefixes, h225.SupportedPrefix{Prefix: AliasOf(p)})
		}
		t.Gateway = &h225.GatewayInfo{Protocol: []h225.SupportedProtocols{{Voice: voice}}}
	}
	return t
}

// vendorOf names the product. It has no manufacturer code of T.35.
func vendorOf() h225.VendorIdentifier {
	return h225.VendorIdentifier{ProductId: []byte("Bridgehead")}
}
