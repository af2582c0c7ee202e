package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
	"bridgehead/sip/stir"
)

// Mode is how a trunk and this end know each other.
type Mode string

// The modes.
const (
	Static   Mode = "static"   // by the source addresses of the other side
	Register Mode = "register" // this end registers there
	Both     Mode = "both"
)

// TrunkConfig is one line to a telephone company or another exchange.
type TrunkConfig struct {
	Name      string
	Enabled   bool
	Mode      Mode
	Transport string // udp, tcp, tls
	Host      string // of the other side: name or address
	Port      int    // 0: by SRV records, else the standard one
	Proxy     string // host[:port] to send to in place of Host
	// Sources may call in over this trunk; empty: nobody but, in the
	// registered modes, the registrar itself.
	Sources  []netip.Prefix
	User     string // the address of record: USER@HOST
	AuthUser string // for digest, "": User
	Password string
	Realm    string        // the only one whose challenge is answered; "" any
	Digest   string        // the only algorithm, [MD5] or [SHA256]; "": both
	Expires  time.Duration // of the registration, 0: 1 h
	// InUser and InPassword must be proved by digest on calls in, besides their
	// source; "": not.
	InUser, InPassword string
	// Media is none, optional or required; over TLS it is always required.
	Media  string
	Codecs []string      // best first; nil: PCMA, PCMU, G722, opus
	Suites []string      // of SRTP; nil: the edge's
	Ptime  time.Duration // of packets, 10 to 60 ms; 0: 20 ms
	// DTMF are the ways of keys: "rfc4733", "info", "inband"; nil: all.
	DTMF []string
	// NoEarlyMedia has nothing spoken before the answer.
	NoEarlyMedia bool
	// Reliable is whether provisional responses are acknowledged (RFC 3262):
	// "required", "never", or "" where the other side wants.
	Reliable string
	// SessionExpires is the session timer asked for, 0: 30 min, negative: none;
	// MinSE the least agreed to, 0: 90 s.
	SessionExpires, MinSE time.Duration
	// MediaTimeout and HoldTimeout are the edge's for this trunk; 0: the edge's.
	MediaTimeout, HoldTimeout time.Duration
	MaxDuration               time.Duration // of a call; 0: 4 h
	// Advertise is the address told to this trunk; zero: the edge's.
	Advertise netip.Addr
	DSCP      int // of media; 0: 46 (expedited forwarding)
	// CallerID lists where a caller's number is looked for: "pai", "rpid",
	// "from"; nil: in that order.
	CallerID []string
	// Private asks the other side to withhold the number shown (RFC 3323).
	Private bool
	// Stir is what becomes of callers whose number is not verified (RFC 8224):
	// "off", nobody looks; "show" or "", it is shown; "require", they are refused.
	Stir string
	// Signer signs the number that calls out are from, with the attestation Attest:
	// "A", "B" or "C"; "": A for those of [Options.Owned], B for others. nil:
	// nothing is signed.
	Signer *stir.Signer
	Attest string
	// Headers are put on calls out.
	Headers map[string]string
	TLS     *tls.Config // CA, client certificate, server name; nil: the edge's
	// CheckEvery is the time between two OPTIONS, 0: 30 s, negative: none.
	CheckEvery     time.Duration
	MaxCalls       int     // at once, both ways; 0: no limit
	CallsPerSecond float64 // calls in; 0: 5
	// NumberIn turns a number as the trunk writes it into E.164, NumberOut
	// back; nil: as it is.
	NumberIn, NumberOut func(string) string
	// Version tells the two functions, the TLS and the Signer of one configuration
	// from those of another, which a reload can't see.
	Version string
}

// TrunkStatus is how a trunk is doing.
type TrunkStatus struct {
	Name       string        `json:"name"`
	Up         bool          `json:"up"`
	Registered bool          `json:"registered"`
	Working    bool          `json:"working"` // calls out may go by it
	Calls      int           `json:"calls"`
	RTT        time.Duration `json:"rtt"`
	Status     int           `json:"status,omitempty"` // of the last answer
	Error      string        `json:"error,omitempty"`
	Since      time.Time     `json:"since"` // of the last change of Up or Registered
}

// Hysteresis of OPTIONS, and the pauses of a registration that fails.
const (
	downAfter     = 3
	upAfter       = 2
	checkEvery    = 30 * time.Second
	aliveEvery    = 25 * time.Second // below the usual UDP time-out of a NAT, 30 s
	registerRetry = 30 * time.Second
	forbiddenWait = 10 * time.Minute
)

// trunk is a TrunkConfig at work. Only status and peers change.
type trunk struct {
	e      *Edge
	config TrunkConfig
	codecs []core.Codec
	suites []sdp.Suite
	login  *login
	auth   *authenticator // of calls in; nil: they need none
	calls  atomic.Int64
	stop   context.CancelFunc
	woken  chan struct{} // the connection to the registrar was lost

	mu     sync.Mutex
	status TrunkStatus
	misses int
	hits   int
	peers  map[netip.Addr]bool // resolved addresses of the other side
	tokens edge.Bucket
	flow   *flow // of the registration
	callID string
	seq    uint32
}

// SetTrunks replaces the trunks. Those whose configuration has not changed
// keep their registration; calls go on in any case.
func (e *Edge) SetTrunks(list []TrunkConfig) error {
	names := map[string]bool{}
	for _, c := range list {
		if err := c.Check(); err != nil {
			return err
		}
		if names[c.Name] {
			return fmt.Errorf("sip: two trunks named %q", c.Name)
		}
		names[c.Name] = true
	}
	e.trunksMu.Lock()
	defer e.trunksMu.Unlock()
	old := *e.trunks.Load()
	var next []*trunk
	var sources []netip.Prefix
	for _, c := range list {
		if !c.Enabled {
			continue
		}
		sources = append(sources, c.Sources...)
		if i := slices.IndexFunc(old, func(t *trunk) bool { return t.config.equal(c) }); i >= 0 {
			next = append(next, old[i])
			continue
		}
		t, err := e.newTrunk(c)
		if err != nil {
			return err
		}
		next = append(next, t)
	}
	e.trunks.Store(&next)
	e.guard.sources.Store(&sources)
	for _, t := range old {
		if !slices.Contains(next, t) {
			t.stop()
		}
	}
	for _, t := range next {
		if !slices.Contains(old, t) {
			t.start()
		}
	}
	return nil
}

// equal compares all but what Version stands for.
func (c TrunkConfig) equal(d TrunkConfig) bool {
	c.NumberIn, c.NumberOut, c.TLS, c.Signer = nil, nil, nil, nil
	d.NumberIn, d.NumberOut, d.TLS, d.Signer = nil, nil, nil, nil
	return reflect.DeepEqual(c, d)
}

// Check says what is wrong with a configuration.
func (c *TrunkConfig) Check() error {
	bad := func(what string) error { return fmt.Errorf("sip: trunk %q: %s", c.Name, what) }
	switch {
	case c.Name == "":
		return errors.New("sip: a trunk has no name")
	case c.Mode != Static && c.Mode != Register && c.Mode != Both:
		return bad("mode must be static, register or both")
	case networkOf(c.Transport) == "":
		return bad("transport must be udp, tcp or tls")
	case c.Media != "none" && c.Media != "optional" && c.Media != "required" && c.Media != "":
		return bad("media encryption must be none, optional or required")
	case c.Transport == "tls" && c.Media != "required" && c.Media != "":
		return bad("over TLS the media must be encrypted: media encryption must be required")
	case c.Host == "" && c.Mode != Static:
		return bad("needs a host to register with")
	case c.Mode != Static && c.User == "":
		return bad("needs a user to register")
	case strings.ContainsAny(c.Host+c.User+c.AuthUser+c.Realm, " \t\r\n<>\"@") && !strings.Contains(c.Realm, " "):
		return bad("host, user or realm has a character that can't be there")
	case strings.HasPrefix(c.Host, "sip:") || strings.HasPrefix(c.Host, "sips:"):
		return bad("host is to be given without sip:")
	}
	if what := c.checkCalls(); what != "" {
		return bad(what)
	}
	_, err := sdp.Codecs(c.Codecs...)
	return err
}

func (e *Edge) newTrunk(c TrunkConfig) (*trunk, error) {
	names := c.Codecs
	if len(names) == 0 {
		names = []string{"PCMA", "PCMU", "G722", "opus"}
	}
	codecs, err := sdp.Codecs(names...)
	if err != nil {
		return nil, err
	}
	t := &trunk{e: e, config: c, codecs: codecs, woken: make(chan struct{}, 1), peers: map[netip.Addr]bool{}, callID: newID()}
	user := c.AuthUser
	if user == "" {
		user = c.User
	}
	t.login = &login{user: user, password: c.Password, realm: c.Realm, only: c.Digest}
	t.suites = suites(c.Suites)
	if c.InUser != "" {
		t.auth = newAuthenticator(e.domain(), callerIn{&t.config})
		t.auth.only = c.Digest
	}
	t.status = TrunkStatus{Name: c.Name, Up: true, Since: time.Now()}
	t.stop = func() {}
	return t, nil
}

// Trunks tells how the enabled trunks are doing.
func (e *Edge) Trunks() []TrunkStatus {
	var list []TrunkStatus
	for _, t := range *e.trunks.Load() {
		list = append(list, t.snapshot())
	}
	return list
}

func (t *trunk) snapshot() TrunkStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Working = s.Up && (t.config.Mode != Register || s.Registered)
	s.Calls = int(t.calls.Load())
	return s
}

func (e *Edge) trunkNamed(name string) *trunk {
	for _, t := range *e.trunks.Load() {
		if t.config.Name == name {
			return t
		}
	}
	return nil
}

// trunkOf is the trunk that a flow belongs to; nil if none.
func (e *Edge) trunkOf(in *flow) *trunk {
	if in.trunk != nil {
		return e.trunkNamed(in.trunk.config.Name)
	}
	for _, t := range *e.trunks.Load() {
		if (t.config.Transport == "tls") != in.secure() {
			continue
		}
		if t.lists(in.remote.Addr()) || t.config.Mode != Static && t.owns(in.remote.Addr()) {
			return t
		}
	}
	return nil
}

// lists tells whether an address may call in.
func (t *trunk) lists(a netip.Addr) bool {
	return slices.ContainsFunc(t.config.Sources, func(p netip.Prefix) bool { return p.Contains(a) })
}

// enter takes a channel; the leg gives it back when it is delisted.
func (t *trunk) enter() bool {
	if n := t.calls.Add(1); t.config.MaxCalls > 0 && n > int64(t.config.MaxCalls) {
		t.calls.Add(-1)
		return false
	}
	return true
}

// spend charges one call in.
func (t *trunk) spend() bool {
	rate := t.config.CallsPerSecond
	if rate == 0 {
		rate = 5
	}
	burst := max(2*rate, 10)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens.Fill(rate, burst)
	return t.tokens.Take()
}

func (t *trunk) policy(in *flow) sdp.Policy {
	switch {
	case in != nil && in.secure(), t.config.Transport == "tls", t.config.Media == "required":
		return sdp.Required
	case t.config.Media == "optional":
		return sdp.Optional
	}
	return sdp.Never
}

// calledNumber is the number dialled. A registered trunk may put the address
// that was registered into the request line, and the number into To.
func (t *trunk) calledNumber(req *request) string {
	number := called(req.Recipient)
	if t.config.Mode != Static && (number == t.config.User || number == "") {
		number = called(req.To().Address)
	}
	if t.config.NumberIn != nil {
		number = t.config.NumberIn(number)
	}
	return number
}

// Line is a trunk as the telephone network's side uses it.
type Line struct {
	e    *Edge
	name string
}

// Line finds an enabled trunk by its name.
func (e *Edge) Line(name string) (*Line, bool) {
	return &Line{e, name}, e.trunkNamed(name) != nil
}

// Name is the trunk's.
func (l *Line) Name() string { return l.name }

// Dial calls a number in E.164 over the trunk. from is the number to show, in
// E.164 too; "" withholds it. Otherwise as [Edge.Dial].
func (l *Line) Dial(ctx context.Context, number, from string, into core.Room) (core.Leg, error) {
	t := l.e.trunkNamed(l.name)
	if t == nil {
		return nil, core.Reason{Code: core.Unreachable, Say: "The telephone line is out of order.", Detail: "trunk " + l.name + " is not enabled"}
	}
	s, err := t.spec(number, from)
	if err != nil {
		return nil, err
	}
	s.info.Request = core.RequestOf(ctx)
	if now := t.snapshot(); !now.Working {
		return nil, l.e.unplaced(s, core.Reason{Code: core.Unreachable, Say: "The telephone line is out of order.", Detail: "trunk " + l.name + " is down: " + now.Error})
	}
	return l.e.placeOver(ctx, s, into)
}

// placeOver makes a call over a trunk.
func (e *Edge) placeOver(ctx context.Context, s *spec, into core.Room) (core.Leg, error) {
	leg, err := e.place(ctx, s, into)
	if busy := (*Busy)(nil); errors.As(err, &busy) {
		return nil, busy
	}
	if err != nil {
		return nil, edge.InWords(core.ReasonOf(err))
	}
	return leg, nil
}

func (t *trunk) spec(number, from string) (*spec, error) {
	out := number
	if t.config.NumberOut != nil {
		out = t.config.NumberOut(number)
	}
	if out == "" || strings.Trim(out, "+0123456789*#ABCDabcd") != "" {
		return nil, badAddress(out, "no telephone number")
	}
	c := &t.config
	s := &spec{trunk: t, tls: c.TLS, login: t.login, codecs: t.codecs, policy: t.policy(nil), protocol: core.PSTN}
	s.uri = uri{Scheme: "sip", User: out, Host: c.Host, Port: c.Port}
	if c.Host == "" && len(c.Sources) > 0 {
		s.uri.Host = c.Sources[0].Addr().String()
	}
	s.uri.UriParams.Add("user", "phone")
	s.to = party{uri: uri{Scheme: "sip", User: out, Host: s.uri.Host}}
	s.info = core.Info{Name: number, Address: number, Phone: true}
	s.from = t.fromParty(s, from)
	s.signs = t.signs(number, from)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		s.headers = append(s.headers, [2]string{name, c.Headers[name]})
	}
	s.host, s.port, s.network, s.secure = t.server(s.uri.Host)
	return s, nil
}

// server is where requests for the trunk go.
func (t *trunk) server(host string) (string, int, string, bool) {
	port := t.config.Port
	if t.config.Proxy != "" {
		var u uri
		if siplib.ParseUri("sip:"+t.config.Proxy, &u) == nil && u.Host != "" {
			host, port = u.Host, u.Port
		}
	}
	return host, port, t.config.Transport, t.config.Transport == "tls"
}
