package rtpio

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"bridgehead/core"
)

// counters are read from anywhere.
type counters struct {
	received, lost, sent, octets, refused atomic.Uint64
	heard                                 atomic.Uint32 // SSRC of the peer
	firs                                  atomic.Uint32
	jitter                                atomic.Int64 // ns
	stamp                                 atomic.Uint32
	rtt, remoteJitter                     atomic.Int64 // ns
	remoteLost                            atomic.Uint64
	first, last                           atomic.Int64 // arrival by core.Now; 0: none yet
	dropped                               dropped
}

// dropped is what came and was not taken; see core.Way.
type dropped struct {
	strange, alien, forged atomic.Uint64
	alienType              atomic.Uint32
	stranger               atomic.Pointer[netip.AddrPort]
}

func (c *counters) strange(from netip.AddrPort) {
	c.refused.Add(1)
	c.dropped.strange.Add(1)
	if c.dropped.stranger.Load() == nil {
		first := from
		c.dropped.stranger.Store(&first)
	}
}

func (c *counters) alien(payload uint8) {
	c.refused.Add(1)
	c.dropped.alien.Add(1)
	c.dropped.alienType.Store(uint32(payload))
}

func (c *counters) forged() {
	c.refused.Add(1)
	c.dropped.forged.Add(1)
}

// Stats of the flow's sound so far.
func (s *Session) Stats() core.Stats {
	c := &s.counters
	st := core.Stats{
		PacketsReceived: c.received.Load(), PacketsSent: c.sent.Load(), PacketsLost: c.lost.Load(),
		Jitter: time.Duration(c.jitter.Load()), RemoteLost: c.remoteLost.Load(), RemoteJitter: time.Duration(c.remoteJitter.Load()),
		SSRC: s.ssrc, PeerSSRC: c.heard.Load(), Octets: c.octets.Load(),
	}
	if f := s.flow.Load(); f != nil {
		st.Codec = f.Send.Name
		if st.Codec == "" && len(f.Receive) > 0 {
			st.Codec = f.Receive[0].Name
		}
		if len(f.Receive) > 0 {
			st.ClockRate = f.Receive[0].ClockRate
		}
		st.Way.Signalled = f.Remote
	}
	s.way(&st.Way)
	return st
}

// way tells what is known of the peer's path.
func (s *Session) way(w *core.Way) {
	c := &s.counters
	w.Port, w.Found = s.Port(), s.Found()
	now, since := time.Now(), core.Now()
	if at := c.first.Load(); at != 0 {
		w.First = now.Add(time.Duration(at) - since)
		w.Last = now.Add(time.Duration(c.last.Load()) - since)
	}
	w.Strange, w.Alien, w.Forged = c.dropped.strange.Load(), c.dropped.alien.Load(), c.dropped.forged.Load()
	w.AlienType = uint8(c.dropped.alienType.Load())
	if from := c.dropped.stranger.Load(); from != nil {
		w.Stranger = *from
	}
}

// RTT is the round trip by RTCP; 0 while unknown.
func (s *Session) RTT() time.Duration { return time.Duration(s.counters.rtt.Load()) }

// Refused counts packets that were dropped: not RTP, from a stranger, of an
// unknown payload type, replayed or not authentic.
func (s *Session) Refused() uint64 { return s.counters.refused.Load() }

// measure follows one SSRC (RFC 3550 §6.4.1, A.1, A.3, A.8).
type measure struct {
	ssrc       uint32
	known      bool
	base, max  uint16
	cycles     uint32
	received   uint32
	lostBefore uint64 // of SSRCs before this one
	priorExp   uint32
	priorRecv  uint32
	transit    time.Duration
	jitter     float64 // ns
	lastSR     uint32  // middle 32 bits of its NTP time
	lastSRAt   time.Duration
	first      uint32 // timestamp
}

const maxDropout = 3000

func (m *measure) packet(h *rtp.Header, at time.Duration, rate int, c *counters) {
	if c.received.Add(1) == 1 {
		c.first.Store(max(int64(at), 1))
	}
	c.last.Store(int64(at))
	ahead := h.SequenceNumber - m.max
	switch {
	case !m.known || h.SSRC != m.ssrc || ahead >= maxDropout && -ahead >= maxDropout:
		lost := c.lost.Load()
		*m = measure{ssrc: h.SSRC, known: true, base: h.SequenceNumber, max: h.SequenceNumber, lostBefore: lost, first: h.Timestamp}
		c.heard.Store(h.SSRC)
	case ahead < maxDropout:
		if h.SequenceNumber < m.max {
			m.cycles += 1 << 16
		}
		m.max = h.SequenceNumber
	}
	m.received++
	if expected := m.expected(); expected > m.received {
		c.lost.Store(m.lostBefore + uint64(expected-m.received))
	}
	if rate <= 0 {
		return
	}
	sent := time.Duration(float64(h.Timestamp-m.first) / float64(rate) * float64(time.Second))
	transit := at - sent
	if m.received > 1 {
		if d := float64((transit - m.transit).Abs()); d < float64(10*time.Second) {
			m.jitter += (d - m.jitter) / 16
		}
	}
	m.transit = transit
	c.jitter.Store(int64(m.jitter))
}

func (m *measure) expected() uint32 { return m.cycles + uint32(m.max) - uint32(m.base) + 1 }

// reception makes the report block about the SSRC heard.
func (m *measure) reception(now time.Duration, rate int) rtcp.ReceptionReport {
	expected := m.expected()
	exp, recv := expected-m.priorExp, m.received-m.priorRecv
	m.priorExp, m.priorRecv = expected, m.received
	r := rtcp.ReceptionReport{SSRC: m.ssrc, LastSequenceNumber: m.cycles + uint32(m.max), LastSenderReport: m.lastSR,
		Jitter: uint32(m.jitter / float64(time.Second) * float64(rate))}
	if exp > recv && exp > 0 {
		r.FractionLost = uint8(min(255, uint64(exp-recv)*256/uint64(exp)))
	}
	if expected > m.received {
		r.TotalLost = min(expected-m.received, 0x7fffff)
	}
	if m.lastSR != 0 {
		r.Delay = uint32((now - m.lastSRAt).Seconds() * 65536)
	}
	return r
}

// reportInterval is 5 s, spread by half either way (RFC 3550 §6.2).
func reportInterval() time.Duration {
	return 2500*time.Millisecond + time.Duration(rand.Int64N(int64(5*time.Second)))
}

// ntp is wall-clock time as SR carries it (RFC 3550 §4).
func ntp(t time.Time) uint64 {
	const sinceNTP = 2208988800
	return uint64(t.Unix()+sinceNTP)<<32 | uint64(t.Nanosecond())<<32/1e9
}

func (s *Session) report(now time.Duration) rtcp.Packet {
	var blocks []rtcp.ReceptionReport
	f := s.flow.Load()
	rate := 8000
	if f != nil && len(f.Receive) > 0 {
		rate = f.Receive[0].ClockRate
	}
	if s.in.source.known {
		blocks = append(blocks, s.in.source.reception(now, rate))
	}
	if s.counters.sent.Load() == 0 {
		return &rtcp.ReceiverReport{SSRC: s.ssrc, Reports: blocks}
	}
	return &rtcp.SenderReport{SSRC: s.ssrc, NTPTime: ntp(time.Now()), RTPTime: s.counters.stamp.Load(),
		PacketCount: uint32(s.counters.sent.Load()), OctetCount: uint32(s.counters.octets.Load()), Reports: blocks}
}

func (s *Session) sendReport(now time.Duration) {
	cname := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: s.ssrc,
		Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "bridgehead"}}}}}
	s.sendRTCP([]rtcp.Packet{s.report(now), cname})
}

// SendFeedback sends a report with what is asked of the peer: PLI, FIR,
// TMMBR (RFC 4585, RFC 5104).
func (s *Session) SendFeedback(p ...rtcp.Packet) {
	s.sendRTCP(append([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: s.ssrc}}, p...))
}

// AskPicture asks the peer for a whole picture: by PLI (RFC 4585 §6.3.1), or by
// FIR (RFC 5104 §4.3.1).
func (s *Session) AskPicture(fir bool) {
	peer := s.counters.heard.Load()
	if fir {
		n := uint8(s.counters.firs.Add(1))
		s.SendFeedback(&rtcp.FullIntraRequest{SenderSSRC: s.ssrc, MediaSSRC: peer, FIR: []rtcp.FIREntry{{SSRC: peer, SequenceNumber: n}}})
		return
	}
	s.SendFeedback(&rtcp.PictureLossIndication{SenderSSRC: s.ssrc, MediaSSRC: peer})
}

func (s *Session) sendRTCP(packets []rtcp.Packet) {
	f := s.flow.Load()
	if f == nil {
		return
	}
	to := f.rtcpTo.Load()
	wire, err := rtcp.Marshal(packets)
	if err != nil || to == nil {
		return
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if s.shut {
		return
	}
	if f.srtpOut != nil {
		if wire, err = f.srtpOut.sealRTCP(wire); err != nil {
			return
		}
	}
	via := s.rtcp
	if f.Mux {
		via = s.rtp
	}
	if f.MultiplexID != 0 {
		wire = append(binary.BigEndian.AppendUint32(nil, f.MultiplexID), wire...)
	}
	_ = via.Send(wire, to)
}

// bucket bounds the RTCP taken in: parsing it allocates.
type bucket struct {
	tokens float64
	at     time.Duration
}

const (
	rtcpPerSecond = 50
	rtcpBurst     = 100
)

func (b *bucket) take(now time.Duration) bool {
	b.tokens = min(rtcpBurst, b.tokens+(now-b.at).Seconds()*rtcpPerSecond)
	if b.at == 0 {
		b.tokens = rtcpBurst
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// control takes one compound RTCP packet that arrived at the time at.
func (s *Session) control(f *flow, b []byte, from netip.AddrPort, at time.Duration) {
	if len(b) < 8 || b[0]>>6 != 2 || !s.in.rtcpIn.take(at) {
		s.counters.refused.Add(1)
		return
	}
	var err error
	if f.srtpIn != nil {
		b, err = f.srtpIn.openRTCP(b)
	} else if f.Traversal && !f.reportsFrom(s, from) || !f.Traversal && from.Addr() != f.Remote.Addr() && from.Addr() != f.latch.to.Addr() {
		s.counters.refused.Add(1)
		return
	}
	var packets []rtcp.Packet
	if err == nil {
		packets, err = rtcp.Unmarshal(b)
	}
	if err != nil {
		s.counters.refused.Add(1)
		return
	}
	for _, p := range packets {
		s.controlled(f, p, at)
	}
}

func (s *Session) controlled(f *flow, p rtcp.Packet, at time.Duration) {
	switch p := p.(type) {
	case *rtcp.SenderReport:
		if p.SSRC == s.in.source.ssrc {
			s.in.source.lastSR, s.in.source.lastSRAt = uint32(p.NTPTime>>16), at
		}
		s.reported(f, p.Reports, at)
	case *rtcp.ReceiverReport:
		s.reported(f, p.Reports, at)
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest, *rtcp.TransportLayerNack, *rtcp.RawPacket, *rtcp.ReceiverEstimatedMaximumBitrate:
		if bps, ok := MaxRate(p); ok {
			s.in.rate.wish = bps
			s.in.rate.tell(f)
		} else if f.OnFeedback != nil {
			f.OnFeedback(p)
		}
	}
}

// reported reads what the peer says of our sound.
func (s *Session) reported(f *flow, blocks []rtcp.ReceptionReport, at time.Duration) {
	for _, r := range blocks {
		if r.SSRC != s.ssrc {
			continue
		}
		s.counters.remoteLost.Store(uint64(r.TotalLost))
		if f.OnRate != nil {
			if bps, news := s.in.rate.losses.Report(at, float64(r.FractionLost)/256, s.counters.octets.Load()); news {
				s.in.rate.carried = bps
				s.in.rate.tell(f)
			}
		}
		if f.Send.ClockRate > 0 {
			s.counters.remoteJitter.Store(int64(float64(r.Jitter) / float64(f.Send.ClockRate) * float64(time.Second)))
		}
		if r.LastSenderReport == 0 {
			continue
		}
		arrived := time.Now().Add(at - core.Now())
		// In units of 1/65536 s; clocks may make a short way look negative.
		rtt := max(1, int32(uint32(ntp(arrived)>>16)-r.LastSenderReport-r.Delay))
		if d := time.Duration(float64(rtt) / 65536 * float64(time.Second)); d < 10*time.Second {
			s.counters.rtt.Store(int64(d))
		}
	}
}
