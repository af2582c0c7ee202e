package rtpio

import (
	"net/netip"
	"time"

	"github.com/pion/rtp"

	"bridgehead/core"
	"bridgehead/core/cache"
	"bridgehead/core/udp"
)

// receiver keeps what the incoming side of a session knows.
type receiver struct {
	last   time.Duration // arrival of the last packet taken in
	source measure       // of the SSRC now heard
	digit  lastDigit
	rtcpIn bucket
	rate   rateLimit
	nextRR time.Duration
}

// intake is where a poller takes in what comes, for one session after the other.
type intake struct {
	*udp.Inbox
	packet core.Packet // reused, so that extensions allocate once
	plain  []byte      // its payload deciphered
}

func newIntake() *intake {
	return &intake{Inbox: udp.NewInbox(), plain: make([]byte, 0, udp.MaxPacket)}
}

// poll reads all that has come. Packets that do not belong are counted and
// forgotten; nothing that arrives can end the call.
func (s *Session) poll(in *intake, now time.Duration, rtcpToo bool) {
	if s.closed.Load() {
		return
	}
	f := s.flow.Load()
	if s.shared != nil { // which is read for all its sessions
		if f != nil && rtcpToo {
			s.keepTime(f, now)
		}
		return
	}
	in.Drain(s.rtp, func(i int) {
		if f != nil {
			s.datagram(in, f, in.Packet(i), in.From(i), in.Arrival(i, now))
		}
	})
	if !rtcpToo {
		return
	}
	for i := range in.Read(s.rtcp) {
		if f != nil {
			s.control(f, in.Packet(i), in.From(i), in.Arrival(i, now))
		}
	}
	if f != nil {
		s.keepTime(f, now)
	}
}

// fetch, fetchFlow and fetchSink are the steps of the way to all that a packet for
// the session needs; each needs the one before.
func (s *Session) fetch() {
	if s != nil {
		cache.Fetch(&s.flow)
		cache.Fetch(&s.in)
		cache.Fetch(&s.counters)
	}
}

func (s *Session) fetchFlow() {
	if s == nil {
		return
	}
	if f := s.flow.Load(); f != nil {
		cache.Fetch(&f.hot)
		cache.Fetch(&f.formats[0])
	}
	cache.Fetch(s.sink.Load())
}

func (s *Session) fetchSink() {
	if s == nil {
		return
	}
	if to := s.sink.Load(); to != nil {
		core.Warm(*to)
	}
	if f := s.flow.Load(); f != nil {
		warm(f.srtpIn, f.cipherIn)
	}
}

// ahead has what the sessions behind list[i] need fetched, each a step more.
func ahead(list []*Session, i int) {
	for step, fetch := range [...]func(*Session){(*Session).fetchSink, (*Session).fetchFlow, (*Session).fetch} {
		if at := i + 1 + step; at < len(list) {
			fetch(list[at])
		}
	}
}

// keepTime sends the report that is due and watches for silence.
func (s *Session) keepTime(f *flow, now time.Duration) {
	if now >= s.in.nextRR {
		s.in.nextRR = now + reportInterval()
		s.sendReport(now)
	}
	heard := max(s.in.last, f.started)
	if f.Timeout > 0 && !f.timedOut && now-heard > f.Timeout {
		f.timedOut = true
		if f.OnTimeout != nil {
			f.OnTimeout()
		}
	}
}

// datagram takes one datagram from the RTP port: RTP, RTCP multiplexed with it
// (RFC 5761 §4), or something else. It reports whether it was the peer's sound.
func (s *Session) datagram(in *intake, f *flow, b []byte, from netip.AddrPort, at time.Duration) bool {
	if len(b) < 12 || b[0]>>6 != 2 {
		s.counters.refused.Add(1)
		return false
	}
	if b[1] >= 192 && b[1] <= 223 {
		if f.Mux {
			s.control(f, b, from, at)
		}
		return false
	}
	h := &in.packet.Header
	n, err := h.Unmarshal(b)
	if err == nil && f.keepsAlive(h.PayloadType, len(b)-n) {
		if f.traverse(s, from, h.SSRC, at) {
			s.in.last = at
		}
		return false
	}
	switch {
	case err != nil:
		s.counters.refused.Add(1)
		return false
	case f.formats[h.PayloadType].kind == unknown:
		s.counters.alien(h.PayloadType)
		return false
	}
	if f.srtpIn != nil {
		if b, err = f.srtpIn.openRTP(b, n); err != nil {
			s.counters.forged()
			return false
		}
	} else if !f.admit(s, from, h.SSRC, at) {
		s.counters.strange(from)
		return false
	}
	payload, ok := f.open(in, h, b[n:])
	if !ok {
		s.counters.forged()
		return false
	}
	s.in.last = at
	if !f.heard {
		f.heard = true
		if f.srtpIn != nil { // what is not authentic tells nothing
			f.believe(from)
		}
		s.ports.note(f.Remote, from)
	}
	s.take(f, &in.packet, payload, at)
	return true
}

func (f *flow) believe(from netip.AddrPort) { f.found.Store(&from) }

func (f *flow) admit(s *Session, from netip.AddrPort, ssrc uint32, at time.Duration) bool {
	if f.traversal {
		return f.traverse(s, from, ssrc, at)
	}
	return f.latch.admit(s, f, from, ssrc, at)
}

// open gives the payload in clear and without padding. Some peers that encrypt
// sound send their keys beside it in clear.
func (f *flow) open(in *intake, h *rtp.Header, payload []byte) ([]byte, bool) {
	if f.cipherIn == nil || f.formats[h.PayloadType].kind == event && len(payload) == eventLen {
		return trim(payload, h.Padding)
	}
	plain, err := f.cipherIn.Decrypt(in.plain[:0], payload, h.SequenceNumber, h.Timestamp, h.Padding)
	return plain, err == nil
}

// eventLen is the length of a telephone-event payload (RFC 4733 §2.3).
const eventLen = 4

// trim cuts the padding off (RFC 3550 §5.1).
func trim(payload []byte, padded bool) ([]byte, bool) {
	if !padded {
		return payload, true
	}
	if len(payload) == 0 {
		return nil, false
	}
	pad := int(payload[len(payload)-1])
	if pad == 0 || pad > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-pad], true
}

// take hands on a packet that is known to be the peer's.
func (s *Session) take(f *flow, p *core.Packet, payload []byte, at time.Duration) {
	h := &p.Header
	means := f.formats[h.PayloadType]
	s.in.source.packet(h, at, 1000*int(means.kHz), &s.counters)
	if means.kind == event {
		s.digit(f, h, payload)
		return
	}
	if to := s.sink.Load(); to != nil {
		p.Payload, p.Arrival, p.Level = payload, at, core.LevelUnknown
		_ = (*to).Write(p)
	}
}

// latch finds out where a clear peer sends from ("symmetric RTP", RFC 4961).
// The signalled address wins at once. Another is believed only when it has
// sent a steady stream for a while and the signalled one nothing; whatever is
// found first is locked, so that a later stranger is not heard and gets no
// media (the "RTP bleed" attack).
type latch struct {
	to        netip.AddrPort
	locked    bool
	candidate netip.AddrPort
	ssrc      uint32
	count     int
	since     time.Duration
}

const (
	latchPackets = 5
	latchAfter   = 60 * time.Millisecond
)

func (l *latch) admit(s *Session, f *flow, from netip.AddrPort, ssrc uint32, at time.Duration) bool {
	switch {
	case l.locked:
		return from == l.to
	case from == f.Remote:
		l.lock(f, from)
		return true
	case !f.Symmetric:
		return false
	case from != l.candidate || ssrc != l.ssrc:
		l.candidate, l.ssrc, l.count, l.since = from, ssrc, 1, at
		return false
	}
	l.count++
	if l.count < latchPackets || at-l.since < latchAfter {
		return false
	}
	l.lock(f, from)
	f.aim(s, from, l.rtcp())
	if s.shared != nil {
		go s.shared.expect(s, from, l.rtcp()) // it may wait
	}
	s.ports.log.Info("media comes from another address than signalled", "port", s.rtp.Port(), "signalled", f.Remote, "found", from)
	return true
}

func (l *latch) lock(f *flow, to netip.AddrPort) {
	l.locked, l.to = true, to
	f.found.Store(&to)
}

// rtcp is where the peer's RTCP port must be, behind the same NAT.
func (l *latch) rtcp() netip.AddrPort { return netip.AddrPortFrom(l.to.Addr(), l.to.Port()+1) }
