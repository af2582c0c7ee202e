package sip

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
)

// What a trunk's settings do to its calls. A nil trunk is an endpoint, whose
// settings are the edge's.

// longestCall is how long a trunk's call may last when nothing else is set.
const longestCall = 4 * time.Hour

const anonymous = "Anonymous"

// ways of keys, and sources of a caller's number.
var (
	keyWays       = []string{"rfc4733", "info", "inband"}
	callerSources = []string{"pai", "rpid", "from"}
)

// ownHeaders are those that a configuration can't put on a call.
var ownHeaders = strings.Fields(`via from to call-id cseq contact max-forwards route record-route content-type content-length content-encoding
	authorization proxy-authorization supported require proxy-require allow session-expires min-se user-agent rack rseq expires identity date`)

// checkCalls says what is wrong with the settings of calls; "": nothing.
func (c *TrunkConfig) checkCalls() string {
	known := func(list, all []string) bool {
		return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(all, s) })
	}
	for _, s := range c.Suites {
		if _, ok := rtpio.SuiteNamed(s); !ok {
			return "there is no SRTP suite " + s
		}
	}
	switch ms := c.Ptime / time.Millisecond; {
	case c.Ptime != 0 && (ms < 10 || ms > 60 || ms%10 != 0):
		return "packet time must be 10, 20, 30, 40, 50 or 60 ms"
	case c.Digest != "" && c.Digest != MD5 && c.Digest != SHA256:
		return "digest is by MD5 or SHA-256"
	case !known(c.DTMF, keyWays):
		return "ways of keys are rfc4733, info and inband"
	case !known(c.CallerID, callerSources):
		return "a caller's number is looked for in pai, rpid and from"
	case c.Reliable != "" && c.Reliable != "required" && c.Reliable != "never":
		return "PRACK is required or never, or left to the other side"
	case c.MinSE != 0 && c.MinSE < minSE*time.Second:
		return "the least session interval is 90 s (RFC 4028)"
	case c.SessionExpires > 0 && c.SessionExpires < max(c.MinSE, minSE*time.Second):
		return "the session interval is below its minimum"
	case !known([]string{c.Stir}, []string{"", "off", "show", "require"}):
		return "stir is off, show or require"
	case !known([]string{c.Attest}, []string{"", "A", "B", "C"}):
		return "the attestation is A, B or C"
	case c.DSCP < 0 || c.DSCP > 63:
		return "DSCP is 0 to 63"
	case len(c.Headers) > 16:
		return "no more than 16 headers can be put on a call"
	}
	for name, value := range c.Headers {
		if len(name) < 2 || len(name) > 64 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || slices.Contains(ownHeaders, strings.ToLower(name)) {
			return fmt.Sprintf("the header %q can't be set", edge.Clean(name, 64))
		}
		if len(value) > 256 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 127 }) {
			return fmt.Sprintf("the value of the header %s is too long or has control characters", name)
		}
	}
	return ""
}

// callerIn is who may call in over a trunk that asks for a login.
type callerIn struct{ c *TrunkConfig }

// Device implements [Devices].
func (in callerIn) Device(user string) (Device, bool) {
	return Device{HA1: func(algorithm, realm string) string { return HA1(algorithm, in.c.InUser, realm, in.c.InPassword) }}, user == in.c.InUser
}

// Extension implements [Devices].
func (callerIn) Extension(string) (string, bool) { return "", false }

// mayCall challenges a call in where the trunk asks for a login.
func (e *Edge) mayCall(t *trunk, req *request, in *flow) *refusal {
	if t.auth == nil {
		return nil
	}
	switch _, _, v := e.verify(t.auth, req, in); v {
	case authOK:
		return nil
	case authBlocked:
		return &refusal{status: 403, reason: errGuessing, set: [][2]string{{"Retry-After", "60"}}}
	default:
		return &refusal{status: 401, auth: t.auth, stale: v == authStale, reason: core.Reason{Code: core.Unauthorized, Detail: "digest"}}
	}
}

// owns tells whether an address is the other side's: one that may call in, or
// one that its host has resolved to.
func (t *trunk) owns(a netip.Addr) bool {
	return t.met(a) || t.lists(a)
}

// met tells whether the trunk's host has resolved to an address.
func (t *trunk) met(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[a]
}

// mayLogin tells whether a challenge that came over f is answered: only the
// one whose password it is may ask for it (CVE-2021-41158). The peer of a call
// may name any address as its own.
func (l *leg) mayLogin(f *flow) bool {
	switch {
	case l.trunk != nil:
		return l.trunk.owns(f.remote.Addr())
	case l.outcall != nil:
		return f.remote.Addr() == l.outcall.used.addr.Addr()
	}
	return false
}

// supported are the option tags of what this end can do (RFC 3261 20.37).
func (t *trunk) supported() string {
	tags := []string{"100rel", "timer"}
	if t != nil {
		tags = slices.DeleteFunc(tags, func(tag string) bool {
			return tag == "100rel" && t.config.Reliable == "never" || tag == "timer" && t.config.SessionExpires < 0
		})
	}
	return strings.Join(tags, ", ")
}

func (t *trunk) mustBeReliable() bool { return t != nil && t.config.Reliable == "required" }

// takes tells whether keys are taken in this way.
func (t *trunk) takes(way string) bool {
	return t == nil || t.config.DTMF == nil || slices.Contains(t.config.DTMF, way)
}

// reliability settles whether provisional responses to an INVITE want PRACK.
func (l *leg) reliability() *refusal {
	in := &l.incall
	switch {
	case l.trunk == nil:
	case l.trunk.config.Reliable == "never":
		if in.mustRel {
			return &refusal{status: 420, set: [][2]string{{"Unsupported", "100rel"}}, reason: core.Reason{Code: core.Incompatible, Detail: "100rel is turned off for this trunk"}}
		}
		in.rel = false
	case l.trunk.mustBeReliable():
		if !in.rel {
			return &refusal{status: 421, set: [][2]string{{"Require", "100rel"}}, reason: core.Reason{Code: core.Incompatible, Detail: "this trunk requires 100rel"}}
		}
		in.mustRel = true
	}
	return nil
}

// over is the flow as that of the trunk's call, which has settings of its own.
func (l *leg) over(in *flow) *flow {
	if l.trunk == nil || in.trunk != nil {
		return in
	}
	own := *in
	own.trunk = l.trunk
	return &own
}

// sessionExpires is the session interval to ask for, in seconds; negative: none.
func (l *leg) sessionExpires() int {
	if l.trunk == nil || l.trunk.config.SessionExpires == 0 {
		return sessionExpires
	}
	d := l.trunk.config.SessionExpires
	if d < 0 {
		return -1
	}
	return int(d / time.Second)
}

func (l *leg) minSE() int {
	if l.trunk == nil {
		return minSE
	}
	return max(minSE, int(l.trunk.config.MinSE/time.Second))
}

// offerTimer puts the session timer on an INVITE that begins a call.
func (l *leg) offerTimer(req *request) {
	if l.sessionExpires() < 0 {
		return
	}
	req.RemoveHeader("Session-Expires")
	req.RemoveHeader("Min-SE")
	least := max(l.minSE(), l.outcall.minSE)
	set(req, "Session-Expires", strconv.Itoa(max(l.sessionExpires(), least)))
	set(req, "Min-SE", strconv.Itoa(least))
}

// timeouts are how long a call goes on in silence, and when it is held.
func (l *leg) timeouts() (media, hold time.Duration) {
	media, hold = l.e.opt.MediaTimeout, l.e.opt.HoldTimeout
	if l.trunk != nil {
		media, hold = cmp.Or(l.trunk.config.MediaTimeout, media), cmp.Or(l.trunk.config.HoldTimeout, hold)
	}
	return media, hold
}

// limitLength ends a trunk's call that lasts too long.
func (l *leg) limitLength() {
	if l.trunk == nil {
		return
	}
	l.after(cmp.Or(l.trunk.config.MaxDuration, longestCall), func() {
		l.hangup(core.Reason{Code: core.Ended, Say: "The longest time for a call is over.", Detail: "trunk " + l.trunkName() + ": maximum call duration"})
	})
}

// sendKey sends a key by RFC 4733 or, where that was not agreed on, by INFO.
func (l *leg) sendKey(key byte) {
	if l.state != confirmed || l.agreed == nil || l.agreed.DigitsOut.Name != "" || !l.peer[siplib.INFO] || !l.trunk.takes("info") {
		l.media.SendDigits(string(key))
		return
	}
	req := l.newRequest(siplib.INFO)
	set(req, "Content-Type", "application/dtmf-relay")
	req.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=160\r\n", key))
	l.send(req, func(*response) {}, func(error) {})
}

// callerID is the name to show and the number: by default P-Asserted-Identity
// (RFC 3325), then Remote-Party-ID, then From; withheld when Privacy asks for
// that (RFC 3323).
func (t *trunk) callerID(req *request) (name, number string) {
	for _, p := range strings.FieldsFunc(first(req, "Privacy"), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
		if strings.EqualFold(p, "id") || strings.EqualFold(p, "user") {
			return anonymous, ""
		}
	}
	return t.asserted(req)
}

// asserted is callerID whether the caller wants it shown or not.
func (t *trunk) asserted(req *request) (name, number string) {
	sources := t.config.CallerID
	if sources == nil {
		sources = callerSources
	}
	for _, source := range sources {
		var u uri
		if name, u = identity(req, source); u.User == "" && u.Scheme != "tel" {
			continue
		}
		if number = called(u); number != "" {
			break
		}
	}
	if number == "" || strings.EqualFold(number, "anonymous") || strings.EqualFold(number, "restricted") || strings.EqualFold(number, "unknown") {
		return anonymous, ""
	}
	if t.config.NumberIn != nil {
		number = t.config.NumberIn(number)
	}
	if name = edge.Clean(strings.TrimSpace(strings.Trim(name, `"`)), 64); name == "" {
		name = number
	}
	return name, number
}

// identity reads one of the places where a caller's number may be.
func identity(req *request, source string) (name string, u uri) {
	if source == "from" {
		from := req.From()
		return from.DisplayName, from.Address
	}
	header := map[string]string{"pai": "P-Asserted-Identity", "rpid": "Remote-Party-ID"}[source]
	v, _, _ := strings.Cut(first(req, header), ">,")
	var params siplib.HeaderParams
	name, err := siplib.ParseAddressValue(v, &u, &params)
	if err != nil {
		return "", uri{}
	}
	return name, u
}

// fromParty is the caller as the trunk is told it, and its headers.
func (t *trunk) fromParty(s *spec, from string) party {
	host := s.uri.Host
	own := uri{Scheme: "sip", User: t.config.User, Host: host}
	nobody := party{anonymous, uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}}
	if from == "" {
		if own.User != "" {
			s.headers = append(s.headers, [2]string{"P-Asserted-Identity", "<" + own.String() + ">"})
		}
		s.headers = append(s.headers, [2]string{"Privacy", "id"})
		return nobody
	}
	if t.config.NumberOut != nil {
		from = t.config.NumberOut(from)
	}
	shown := uri{Scheme: "sip", User: from, Host: host}
	s.headers = append(s.headers, [2]string{"P-Asserted-Identity", "<" + shown.String() + ">"})
	if t.config.Private {
		s.headers = append(s.headers, [2]string{"Privacy", "id"})
		return nobody
	}
	return party{uri: shown}
}
