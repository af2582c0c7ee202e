package rtpio

import (
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/udp"
)

// sharedPair is a port pair of many sessions, told apart by where their peers
// send from. That saves most of what a caller costs: the kernel is asked once
// for a batch of packets, not twice for each caller and frame.
//
// Only peers whose host has proved to send from where it says share ports
// ([hosts]). Should one of them not do so, its packets are still found: keys
// tell whose they are, or that it alone has not been heard yet.
type sharedPair struct {
	ports     *Ports
	poller    *Poller
	rtp, rtcp udp.Socket
	out       *udp.Outbox
	room      int // sessions it takes

	mu        sync.Mutex // guards members; held for moments only
	members   members
	size      atomic.Int64 // how many they are
	changed   atomic.Bool  // members is no longer what the poller knows
	strangers atomic.Uint64

	known   members             // to the poller, and only it has this and what follows
	quick   places              // of known.rtp
	hosts   map[netip.Addr]bool // of known
	ticks   int
	guesses int // left in this step
	try     [udp.MaxPacket]byte
	who     [udp.Batch]*Session // sent the datagrams of a batch; nil: a stranger
}

// members of a pair, and where each one's peer sends from.
type members struct {
	all       []*Session
	rtp, rtcp map[netip.AddrPort]*Session
}

const (
	maxShared = 256 // sessions of a pair: what one flood can harm
	// What a session may have waiting in the kernel: packets of three ticks, as
	// long as a network card's buffer makes them.
	sharedShare = 3 * 2304
	maxGuesses  = 32 // a step: strangers do not stop the clock
	// quiet is how long a peer with keys is not heard before it is sought
	// elsewhere.
	quiet = 200 * time.Millisecond
)

// OpenFor is [Ports.Open] for a peer that says it will send from remote. If its
// host is known to keep such promises, the ports are shared with others.
func (p *Ports) OpenFor(remote netip.AddrPort) (*Session, error) {
	if !p.opt.Share || !p.hosts.honest(remote.Addr()) {
		return p.Open()
	}
	if s := p.join(remote); s != nil {
		return s, nil
	}
	return p.Open()
}

// join finds a shared pair, or returns nil.
func (p *Ports) join(remote netip.AddrPort) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := func(q *sharedPair) int { return q.room - int(q.size.Load()) }
	full := !slices.ContainsFunc(p.pairs, func(q *sharedPair) bool { return free(q) > 0 })
	if full || len(p.pairs) < runtime.GOMAXPROCS(0) {
		if !p.addPair() {
			return nil
		}
	}
	byRoom := slices.SortedFunc(slices.Values(p.pairs), func(a, b *sharedPair) int { return free(b) - free(a) })
	for _, q := range byRoom {
		if s := q.join(remote); s != nil {
			p.sessions++
			return s
		}
	}
	return nil
}

// addPair opens a shared pair; the lock is held.
func (p *Ports) addPair() bool {
	rtp, rtcp, err := p.bind()
	if err != nil {
		return false
	}
	q := &sharedPair{ports: p, rtp: rtp, rtcp: rtcp, room: min(rtp.Buffer(sharedBuffer)/sharedShare, maxShared)}
	q.out = udp.NewOutbox(rtp, udp.Size{Datagrams: 64, Octets: 24 << 10}) // fits the nearest cache
	q.members, q.known, q.quick = newMembers(), newMembers(), newPlaces(nil, nil)
	q.hosts = map[netip.Addr]bool{}
	q.poller = p.pollers[len(p.pairs)%len(p.pollers)]
	q.poller.share(q)
	p.pairs = append(p.pairs, q)
	return true
}

// join takes a session in, if there is room and nobody else at that place.
func (q *sharedPair) join(remote netip.AddrPort) *Session {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &q.members
	if len(m.all) >= q.room || m.rtp[remote] != nil {
		return nil
	}
	s := newSession(q.ports, q.rtp, q.rtcp)
	s.shared, s.outbox = q, q.out
	m.all = append(m.all, s)
	m.place(s, remote, netip.AddrPortFrom(remote.Addr(), remote.Port()+1))
	q.amended()
	q.poller.came(len(m.all))
	return s
}

func newMembers() members {
	return members{rtp: map[netip.AddrPort]*Session{}, rtcp: map[netip.AddrPort]*Session{}}
}

// place puts a session at such places, instead of those it had. A place that is
// another's stays so; none takes the session away.
func (m *members) place(s *Session, rtp, rtcp netip.AddrPort) {
	move(m.rtp, s, &s.place.rtp, rtp)
	move(m.rtcp, s, &s.place.rtcp, rtcp)
}

func move(by map[netip.AddrPort]*Session, s *Session, from *netip.AddrPort, to netip.AddrPort) {
	if by[*from] == s {
		delete(by, *from)
	}
	if *from = to; to.IsValid() && by[to] == nil {
		by[to] = s
	}
}

func (q *sharedPair) expect(s *Session, rtp, rtcp netip.AddrPort) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &q.members
	if m.rtp[rtp] == s && m.rtcp[rtcp] == s || s.closed.Load() || !rtp.IsValid() || rtp.Port() == 0 {
		return
	}
	m.place(s, rtp, rtcp)
	q.amended()
}

func (q *sharedPair) leave(s *Session) {
	q.mu.Lock()
	m := &q.members
	m.place(s, netip.AddrPort{}, netip.AddrPort{})
	m.all = slices.DeleteFunc(m.all, func(x *Session) bool { return x == s })
	q.amended()
	q.mu.Unlock()
	q.ports.mu.Lock()
	q.ports.sessions--
	q.ports.mu.Unlock()
}

// amended: the members are others; q.mu is held.
func (q *sharedPair) amended() {
	q.size.Store(int64(len(q.members.all)))
	q.changed.Store(true)
}

// look has the poller know who the members are, of all that have come and gone
// since its last step at once. It waits for no lock: the next step looks again.
func (q *sharedPair) look() {
	if !q.changed.Load() || !q.mu.TryLock() {
		return
	}
	defer q.mu.Unlock()
	q.changed.Store(false)
	k, m := &q.known, &q.members
	clear(k.all) // nobody who has left is kept
	k.all = append(k.all[:0], m.all...)
	clear(k.rtp)
	maps.Copy(k.rtp, m.rtp)
	clear(k.rtcp)
	maps.Copy(k.rtcp, m.rtcp)
	q.quick = newPlaces(q.quick.slots, k.rtp)
	clear(q.hosts)
	for _, by := range []map[netip.AddrPort]*Session{k.rtp, k.rtcp} {
		for at := range by {
			q.hosts[at.Addr()] = true
		}
	}
}

// poll reads all that has come for any session.
func (q *sharedPair) poll(in *intake, now time.Duration) {
	q.look()
	m := &q.known
	q.guesses = maxGuesses
	in.DrainBatches(q.rtp, func(n int) {
		q.recognise(in, n)
		for i, s := range q.who[:n] {
			b, from, at := in.Packet(i), in.From(i), in.Arrival(i, now)
			if s == nil {
				q.guess(in, b, from, at)
			} else if f := s.flow.Load(); f != nil && !s.closed.Load() {
				s.datagram(in, f, b, from, at)
			}
		}
	})
	q.ticks++
	if q.ticks%rtcpEvery == 0 {
		in.Drain(q.rtcp, func(i int) {
			s := m.rtcp[in.From(i)]
			if s == nil {
				q.strangers.Add(1)
			} else if f := s.flow.Load(); f != nil && !s.closed.Load() {
				s.control(f, in.Packet(i), in.From(i), in.Arrival(i, now))
			}
		})
	}
	for i := q.ticks % rtcpEvery; i < len(m.all); i += rtcpEvery {
		if f := m.all[i].flow.Load(); f != nil && !m.all[i].closed.Load() {
			m.all[i].keepTime(f, now)
		}
	}
}

// recognise finds whose the n datagrams are, and has what their sessions need
// for them fetched: each step of the way for all, then the next.
func (q *sharedPair) recognise(in *intake, n int) {
	who := q.who[:n]
	for i := range who {
		if at, ok := in.IPv4(i); ok {
			who[i] = q.quick.find(at)
		} else {
			who[i] = q.known.rtp[in.From(i)]
		}
		who[i].fetch()
	}
	for _, s := range who {
		s.fetchFlow()
	}
	for _, s := range who {
		s.fetchSink()
	}
}

// guess finds whose peer may have sent from an unexpected place: one at that
// host that is not heard. Keys tell it for sure; without them there must be but
// one.
func (q *sharedPair) guess(in *intake, b []byte, from netip.AddrPort, at time.Duration) {
	q.strangers.Add(1)
	if q.guesses == 0 || !q.hosts[from.Addr()] {
		return
	}
	q.guesses--
	var only *Session
	doubt := false
	for _, s := range q.known.all {
		f := s.flow.Load()
		if f == nil || s.closed.Load() || f.Remote.Addr() != from.Addr() || !s.unheard(f, at) {
			continue
		}
		switch {
		case f.srtpIn == nil:
			doubt = only != nil
			only = s
		case s.datagram(in, f, q.try[:copy(q.try[:], b)], from, at):
			go q.expect(s, from, netip.AddrPortFrom(from.Addr(), from.Port()+1)) // it may wait
			return
		}
	}
	if only != nil && !doubt {
		only.datagram(in, only.flow.Load(), b, from, at)
	}
}

// unheard: nothing comes from where the session's peer is expected.
func (s *Session) unheard(f *flow, at time.Duration) bool {
	if f.srtpIn != nil {
		return !f.heard || at-s.in.last > quiet
	}
	return !f.latch.locked
}

// Sender sends what sessions on shared ports have written since its last step.
type Sender struct{ poller *Poller }

// Step sends.
func (s *Sender) Step(time.Duration) {
	for _, q := range s.poller.commons() {
		q.out.Flush()
	}
}

func (p *Poller) commons() []*sharedPair {
	if l := p.pairs.Load(); l != nil {
		return *l
	}
	return nil
}

func (p *Poller) share(q *sharedPair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := append(slices.Clone(p.commons()), q)
	p.pairs.Store(&next)
}

// hosts remembers which send media from where they say that they will. Behind
// some address translators, and from some gateways, it comes from another port.
type hosts struct {
	mu  sync.Mutex
	saw map[netip.Addr]sight
}

type sight struct {
	asSaid bool
	at     time.Duration
}

const (
	maxHosts   = 4096
	rememberIt = time.Hour
)

func (h *hosts) honest(host netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen, ok := h.saw[host]
	return ok && seen.asSaid && core.Now()-seen.at < rememberIt
}

// note remembers where a peer's media was first heard from.
func (p *Ports) note(said, from netip.AddrPort) {
	if !p.opt.Share || said.Addr() != from.Addr() {
		return // of another host it tells nothing
	}
	go p.hosts.note(from.Addr(), said == from) // it may wait
}

// note: one failure outweighs all else for as long as it is remembered.
func (h *hosts) note(host netip.Addr, asSaid bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := core.Now()
	if seen, ok := h.saw[host]; ok && !seen.asSaid && asSaid && now-seen.at < rememberIt {
		return
	}
	if h.saw == nil {
		h.saw = map[netip.Addr]sight{}
	}
	for other := range h.saw {
		if len(h.saw) < maxHosts {
			break
		}
		delete(h.saw, other)
	}
	h.saw[host] = sight{asSaid, now}
}
