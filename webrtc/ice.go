package webrtc

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/udp"

	"github.com/pion/stun/v4"
)

// agent is one generation of a peer's ICE-lite credentials (RFC 8445, section
// 2.5). It answers the client's checks, sends none of its own, and learns by
// them where the client is, and that it wants to be sent media still (RFC 7675).
type agent struct {
	peer     *peer
	user     string // fragment
	password string
	key      stun.MessageIntegrity
}

func newAgent(p *peer) *agent {
	a := &agent{peer: p, user: rand.Text()[:16], password: rand.Text()}
	a.key = stun.NewShortTermIntegrity(a.password)
	return a
}

// way is one on which a client's checks have come and packets reach it.
type way struct {
	peer  *peer
	from  netip.AddrPort
	udp   udp.Address
	tcp   *stream      // nil: by UDP
	heard atomic.Int64 // [core.Now] of the last authentic packet

	// Guarded by peer.waysMu.
	agent     *agent // of the last check
	priority  uint32
	nominated bool
}

// write sends what is no media, of which there is little: at once.
func (w *way) write(b []byte) {
	if w.tcp != nil {
		w.tcp.write(b)
		return
	}
	_, _ = w.peer.leg.edge.port.WriteToUDPAddrPort(b, w.from)
}

func (w *way) network() string {
	if w.tcp != nil {
		return "tcp"
	}
	return "udp"
}

func (w *way) silent(now time.Duration) time.Duration { return now - time.Duration(w.heard.Load()) }

const (
	// iceTimeout is how long a way may be silent until it counts as lost; a
	// browser checks it every 2.5 s at least.
	iceTimeout = 5 * time.Second
	// wayTimeout is how long until one of lower priority may take its place.
	wayTimeout = 2 * time.Second
	// maxWays of one peer are remembered.
	maxWays = 8
)

// checker answers connectivity checks. One goroutine uses it.
type checker struct{ in, out stun.Message }

// answer reads what should be a check (RFC 8445, section 7.3) and makes its
// response, valid until the next. agent is nil if it is none, or not one that
// knows the password; nothing is answered then.
func (c *checker) answer(b []byte, from netip.AddrPort, find func(user string) *agent) (a *agent, response []byte) {
	m := &c.in
	m.Raw = append(m.Raw[:0], b...)
	if m.Decode() != nil || m.Type != stun.BindingRequest || stun.Fingerprint.Check(m) != nil {
		return nil, nil
	}
	var user stun.Username
	if user.GetFrom(m) != nil {
		return nil, nil
	}
	ours, _, _ := strings.Cut(string(user), ":")
	if a = find(ours); a == nil || a.key.Check(m) != nil {
		return nil, nil
	}
	// What is not authentic is not there (RFC 8489, section 14.5).
	m.Attributes = m.Attributes[:slices.IndexFunc(m.Attributes, func(x stun.RawAttribute) bool { return x.Type == stun.AttrMessageIntegrity })]
	kind, what := stun.BindingSuccess, stun.Setter(&stun.XORMappedAddress{IP: net.IP(from.Addr().AsSlice()), Port: int(from.Port())})
	conflict := m.Contains(stun.AttrICEControlled) // which is what this side is
	if conflict {
		kind, what = stun.BindingError, stun.CodeRoleConflict
	}
	if c.out.Build(kind, stun.NewTransactionIDSetter(m.TransactionID), what, a.key, stun.Fingerprint) != nil {
		return nil, nil
	}
	if conflict {
		a = nil // it will check again, in the other role
	}
	return a, c.out.Raw
}

// wish is what the check says of its way.
func (c *checker) wish() (nominated bool, priority uint32) {
	if v, err := c.in.Get(stun.AttrPriority); err == nil && len(v) == 4 {
		priority = uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])
	}
	return c.in.Contains(stun.AttrUseCandidate), priority
}

// checked notes a check that was answered, and takes its way if that is better.
func (p *peer) checked(w *way, a *agent, nominated bool, priority uint32) {
	now := core.Now()
	w.heard.Store(int64(now))
	p.waysMu.Lock()
	w.agent, w.priority, w.nominated = a, priority, w.nominated || nominated
	best := p.way.Load()
	chosen := best == nil || nominated && w != best && w.better(best, a == p.ice[0], now)
	if chosen {
		p.way.Store(w)
	}
	p.waysMu.Unlock()
	if chosen {
		p.leg.noted("ICE connected: %s over %s", w.from, w.network())
	}
	p.judge()
}

// better tells whether a way that was nominated takes the place of another (RFC
// 8445, section 8.1.1): of one that is of a generation before, was not nominated,
// is of no higher priority, or is silent.
func (w *way) better(than *way, current bool, now time.Duration) bool {
	switch {
	case than.silent(now) > wayTimeout:
		return true
	case than.agent != w.agent:
		return current
	}
	return !than.nominated || w.priority >= than.priority
}

// addWay remembers one more, and forgets the one silent for longest if they are
// too many; it returns that one.
func (p *peer) addWay(w *way) (old *way) {
	p.waysMu.Lock()
	defer p.waysMu.Unlock()
	p.ways = append(p.ways, w)
	if len(p.ways) <= maxWays {
		return nil
	}
	least, best := 0, p.way.Load()
	for i, x := range p.ways[:maxWays] {
		if p.ways[least] == best || x != best && x.heard.Load() < p.ways[least].heard.Load() {
			least = i
		}
	}
	old = p.ways[least]
	p.ways = append(p.ways[:least], p.ways[least+1:]...)
	return old
}

// watch gives a way up that is silent.
func (p *peer) watch(now time.Duration) {
	if w := p.way.Load(); w != nil && w.silent(now) > iceTimeout && p.way.CompareAndSwap(w, nil) {
		p.leg.noted("ICE disconnected")
		p.judge()
	}
}

// candidates are the lines of an answer by which the client finds the sockets
// (RFC 8839, section 5.1).
func (e *Edge) candidates() (lines []string) {
	add := func(proto string, kind, local uint32, at netip.AddrPort, more string) {
		n := uint32(len(lines))
		lines = append(lines, fmt.Sprintf("a=candidate:%d 1 %s %d %s %d typ host%s", n+1, proto, kind<<24|(local-n)<<8|255, at.Addr(), at.Port(), more))
	}
	media := e.port.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, h := range e.reached(media) {
		add("udp", 126, 65535, netip.AddrPortFrom(h, media.Port()), "")
	}
	if e.tcp == nil {
		return lines
	}
	at := e.tcp.Addr().(*net.TCPAddr).AddrPort()
	for _, h := range e.reached(at) {
		add("tcp", 90, 65535, netip.AddrPortFrom(h, at.Port()), " tcptype passive")
	}
	return lines
}

// reached lists the addresses at which clients reach a socket: those advertised,
// else its own, which are all of the machine's if it listens at all.
func (e *Edge) reached(own netip.AddrPort) []netip.Addr {
	switch a := own.Addr().Unmap(); {
	case len(e.o.Advertise) > 0:
		return e.o.Advertise
	case !a.IsUnspecified():
		return []netip.Addr{a}
	}
	var hosts []netip.Addr
	for _, h := range e.hosts {
		if !h.IsLinkLocalUnicast() {
			hosts = append(hosts, h)
		}
	}
	return hosts
}
