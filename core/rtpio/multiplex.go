package rtpio

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/udp"
)

// multiplex is the one port pair of all sessions whose datagrams begin with a
// multiplexID (H.460.19 §7): firewalls need one hole for all of them. An ID is
// random, and known to its session's peer alone.
type multiplex struct {
	ports     *Ports
	rtp, rtcp udp.Socket
	// byID is never changed, but replaced: the poller reads it without locks.
	byID    atomic.Pointer[map[uint32]*Session]
	unknown atomic.Uint64
	ticks   int // poller only
}

const (
	idLen          = 4    // octets of a multiplexID
	maxMultiplexed = 8192 // sessions
	// Buffer asked of the kernel: 100 ms of a thousand sessions.
	sharedBuffer = 4 << 20
)

// OpenMultiplexed is [Ports.Open] at the port pair that all such sessions
// share; what the peer sends there begins with [Session.ID].
func (p *Ports) OpenMultiplexed() (*Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.multiplex == nil {
		rtp, rtcp, err := p.bind()
		if err != nil {
			return nil, err
		}
		rtp.Buffer(sharedBuffer)
		m := &multiplex{ports: p, rtp: rtp, rtcp: rtcp}
		m.byID.Store(&map[uint32]*Session{})
		p.multiplex = m
		p.pollers[0].shared.Store(m)
	}
	m := p.multiplex
	old := *m.byID.Load()
	if len(old) >= maxMultiplexed {
		return nil, busy()
	}
	s := newSession(p, m.rtp, m.rtcp)
	p.sessions++
	s.out.buf = make([]byte, 0, udp.MaxPacket)
	s.shared, s.poller = m, p.pollers[0] // that reads the shared pair
	for s.id == 0 || s.id == ^uint32(0) || old[s.id] != nil {
		s.id = rand.Uint32()
	}
	next := maps.Clone(old)
	next[s.id] = s
	m.byID.Store(&next)
	s.poller.add(s)
	return s, nil
}

// leave frees a session's ID.
func (m *multiplex) leave(s *Session) {
	s.poller.remove(s)
	m.ports.mu.Lock()
	defer m.ports.mu.Unlock()
	next := maps.Clone(*m.byID.Load())
	delete(next, s.id)
	m.byID.Store(&next)
	m.ports.sessions--
}

// expect has nothing to do: IDs tell who is who.
func (m *multiplex) expect(*Session, netip.AddrPort, netip.AddrPort) {}

// Strangers counts the datagrams to shared port pairs that are no session's.
func (p *Ports) Strangers() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := uint64(0)
	if p.multiplex != nil {
		n = p.multiplex.unknown.Load()
	}
	for _, q := range p.pairs {
		n += q.strangers.Load()
	}
	return n
}

// ID is what each datagram to this session begins with; 0: it has ports of its
// own.
func (s *Session) ID() uint32 { return s.id }

// poll reads all that has come for any session.
func (m *multiplex) poll(in *intake, now time.Duration) {
	m.read(in, m.rtp, now, func(s *Session, f *flow, b []byte, from netip.AddrPort, at time.Duration) {
		s.datagram(in, f, b, from, at)
	})
	if m.ticks++; m.ticks%rtcpEvery == 0 {
		m.read(in, m.rtcp, now, (*Session).control)
	}
}

func (m *multiplex) read(in *intake, from udp.Socket, now time.Duration, take func(*Session, *flow, []byte, netip.AddrPort, time.Duration)) {
	byID := *m.byID.Load()
	in.Drain(from, func(i int) {
		b := in.Packet(i)
		if len(b) < idLen {
			m.unknown.Add(1)
			return
		}
		s := byID[binary.BigEndian.Uint32(b)]
		if s == nil {
			m.unknown.Add(1)
			return
		}
		if f := s.flow.Load(); f != nil && !s.closed.Load() {
			take(s, f, b[idLen:], in.From(i), in.Arrival(i, now))
		}
	})
}

// traverse admits what an endpoint behind a firewall sends and fixes, by the
// first of it, where that endpoint is (H.460.19 §6): who knows the
// multiplexID, or sends from the host that signals, is believed at once.
func (f *flow) traverse(s *Session, from netip.AddrPort, ssrc uint32, at time.Duration) bool {
	l := &f.latch
	if l.locked || s.shared == nil && from.Addr() != f.Host {
		return l.admit(s, f, from, ssrc, at)
	}
	was := f.found.Load()
	l.lock(f, from)
	if was != nil && *was == from {
		return true // as in the flow before
	}
	f.aim(s, from, f.rtcpAt(from))
	if from != f.Remote {
		s.ports.log.Debug("the endpoint behind a firewall is found", "port", s.rtp.Port(), "signalled", f.Remote, "found", from)
	}
	return true
}

// rtcpAt is where reports go to an endpoint found at from: to where its own
// come from, once they do.
func (f *flow) rtcpAt(from netip.AddrPort) netip.AddrPort {
	if f.reports.IsValid() {
		return f.reports
	}
	return netip.AddrPortFrom(from.Addr(), from.Port()+1)
}

// reportsFrom fixes where an endpoint behind a firewall sends its reports from
// and takes ours.
func (f *flow) reportsFrom(s *Session, from netip.AddrPort) bool {
	if f.reports.IsValid() {
		return from == f.reports
	}
	if s.shared == nil && from.Addr() != f.Host && from.Addr() != f.latch.to.Addr() {
		return false
	}
	f.reports = from
	a := s.rtcp.Address(from)
	f.rtcpTo.Store(&a)
	return true
}

// keepsAlive tells a packet that only keeps a firewall open: it has the
// agreed payload type, or nothing in it.
func (f *flow) keepsAlive(pt uint8, payload int) bool {
	return f.traversal && (payload == 0 || f.formats[pt&0x7f].kind == keepAlive)
}

func busy() error {
	return core.Reason{Code: core.Overload, Say: "All lines are busy.", Detail: ErrNoPort.Error()}
}
