package webrtc

import (
	"encoding/binary"
	"sync"
	"time"

	"bridgehead/core"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// arrivals is the receiver's side of transport-wide congestion control.
type arrivals struct {
	mu       sync.Mutex
	recorder *twcc.Recorder
	any      bool
}

// note takes the number of a packet, in the extension of that id; 0: there are
// none.
func (a *arrivals) note(ssrc uint32, packet []byte, id uint8) {
	x := headerExtension(packet, id)
	if len(x) < 2 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.recorder == nil {
		a.recorder = twcc.NewRecorder(1)
	}
	a.any = true
	a.recorder.Record(ssrc, binary.BigEndian.Uint16(x), core.Now().Microseconds())
}

func (a *arrivals) feedback() []rtcp.Packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.any {
		return nil
	}
	a.any = false
	return a.recorder.BuildFeedbackPacket()
}

// headerExtension finds an element by id (RFC 8285, one and two byte headers)
// without parsing the rest; nil if there is none or the packet is malformed.
func headerExtension(b []byte, id uint8) []byte {
	if len(b) < 12 || b[0]&0x10 == 0 || id == 0 {
		return nil
	}
	at := 12 + 4*int(b[0]&0x0f)
	if len(b) < at+4 {
		return nil
	}
	profile := binary.BigEndian.Uint16(b[at:])
	end := at + 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	if end > len(b) {
		return nil
	}
	b = b[at+4 : end]
	for len(b) > 0 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		has, size, head := b[0]>>4, int(b[0]&0x0f)+1, 1
		if profile != 0xbede {
			if profile>>4 != 0x100 || len(b) < 2 {
				return nil
			}
			has, size, head = b[0], int(b[1]), 2
		} else if has == 15 {
			return nil
		}
		if head+size > len(b) {
			return nil
		}
		if has == id {
			return b[head : head+size]
		}
		b = b[head+size:]
	}
	return nil
}

// rtcp takes what the client says about a stream, its own or one of ours.
func (p *peer) rtcp(ssrc uint32, packet rtcp.Packet) {
	l, now := p.leg, core.Now()
	switch r := packet.(type) {
	case *rtcp.TransportLayerNack:
		if s := p.slotOf(ssrc); s != nil && r.MediaSSRC == ssrc {
			s.resend(r.Nacks, now, l.roundTrip())
		}
	case *rtcp.PictureLossIndication:
		p.pictureLost(ssrc, now)
	case *rtcp.FullIntraRequest:
		p.pictureLost(ssrc, now)
	case *rtcp.ReceiverReport:
		p.report(ssrc, r.Reports, now)
	case *rtcp.SenderReport:
		p.report(ssrc, r.Reports, now)
		if in := p.inboundOf(r.SSRC); in != nil && r.SSRC == ssrc {
			in.mu.Lock()
			in.recv.srNTP, in.recv.srAt = uint32(r.NTPTime>>16), now
			in.mu.Unlock()
		}
	}
}

func (p *peer) slotOf(ssrc uint32) *slot {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	for _, s := range p.slots {
		if b := s.bound.Load(); b != nil && b.ssrc == ssrc {
			return s
		}
	}
	return nil
}

func (p *peer) inboundOf(ssrc uint32) *inbound {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	for _, in := range p.in {
		if in.ssrc.Load() == ssrc {
			return in
		}
	}
	return nil
}

// pliEvery bounds the requests passed on in either direction; the room bounds
// them further.
const pliEvery = 200 * time.Millisecond

func (p *peer) pictureLost(ssrc uint32, now time.Duration) {
	s := p.slotOf(ssrc)
	if s == nil {
		return
	}
	l := p.leg
	l.mu.Lock()
	k := s.sink
	due := k != nil && (s.lastPLI == 0 || now-s.lastPLI >= pliEvery)
	if due {
		s.lastPLI = now
	}
	l.mu.Unlock()
	if due {
		l.toRoom(core.NeedKeyframe{Track: k.track})
	}
}

// report takes the client's view of what it gets from us.
func (p *peer) report(ssrc uint32, blocks []rtcp.ReceptionReport, now time.Duration) {
	for _, b := range blocks {
		if b.SSRC != ssrc {
			continue
		}
		s := p.slotOf(ssrc)
		if s == nil {
			return
		}
		s.mu.Lock()
		s.remote, s.reports = b, true
		s.mu.Unlock()
		if b.LastSenderReport != 0 {
			// In 1/65536 s; the far end's rounding may make it negative.
			rtt := int64(int32(uint32(ntp(time.Now())>>16) - b.LastSenderReport - b.Delay))
			if rtt > -100 && rtt < 10<<16 { // else a clock was set, or a lie
				p.leg.rtt.Store(max(rtt, 1) * int64(time.Second) >> 16)
			}
		}
	}
}

// reports makes the sender and receiver reports that are due.
func (p *peer) reports(now time.Duration) []rtcp.Packet {
	p.leg.mu.Lock()
	slots, in := p.slots, append([]*inbound(nil), p.in...)
	p.leg.mu.Unlock()
	var out []rtcp.Packet
	wall := time.Now()
	for _, s := range slots {
		if sr := s.senderReport(now, wall); sr != nil {
			out = append(out, sr)
		}
	}
	rr := &rtcp.ReceiverReport{SSRC: p.leg.ssrc}
	for _, i := range in {
		i.mu.Lock()
		if i.recv.begun {
			rr.Reports = append(rr.Reports, i.recv.report(i.ssrc.Load(), now))
		}
		i.mu.Unlock()
	}
	if len(rr.Reports) > 0 {
		out = append(out, rr)
	}
	return out
}

// keyframe asks the client for one (RFC 4585, section 6.3.1).
func (l *Leg) keyframe(t core.Track) {
	now := core.Now()
	var ask []rtcp.Packet
	l.mu.Lock()
	if l.peer != nil {
		for _, in := range l.peer.in {
			if in.ssrc.Load() != 0 && in.source == t.Source && (t.Layer == "" || in.layer == t.Layer) &&
				(in.lastPLI == 0 || now-in.lastPLI >= pliEvery) {
				in.lastPLI = now
				ask = append(ask, &rtcp.PictureLossIndication{SenderSSRC: l.ssrc, MediaSSRC: in.ssrc.Load()})
			}
		}
	}
	l.mu.Unlock()
	l.writeRTCP(ask...)
}

func (l *Leg) writeRTCP(packets ...rtcp.Packet) {
	l.mu.Lock()
	p := l.peer
	l.mu.Unlock()
	if p != nil && len(packets) > 0 {
		p.writeRTCP(packets)
	}
}

func (l *Leg) roundTrip() time.Duration { return time.Duration(l.rtt.Load()) }

// stats sums up the streams of one kind.
func (p *peer) stats(kind core.Kind) core.Stats {
	var st core.Stats
	st.Way.Found = p.from()
	for _, s := range p.slots {
		if s.kind != kind {
			continue
		}
		s.mu.Lock()
		st.PacketsSent += s.sent
		if s.reports {
			st.RemoteLost += uint64(s.remote.TotalLost)
			rate := 90000
			if kind == core.Audio {
				rate = 48000
			}
			st.RemoteJitter = max(st.RemoteJitter, time.Duration(s.remote.Jitter)*time.Second/time.Duration(rate))
		}
		s.mu.Unlock()
	}
	for _, in := range p.in {
		if in.source.Kind() != kind || in.ssrc.Load() == 0 {
			continue
		}
		in.mu.Lock()
		st.Codec = in.codec.Name
		st.PacketsReceived += in.recv.packets
		st.PacketsLost += in.recv.lost()
		if in.recv.rate > 0 {
			st.Jitter = max(st.Jitter, time.Duration(in.recv.jitter/float64(in.recv.rate)*float64(time.Second)))
		}
		in.mu.Unlock()
	}
	return st
}
