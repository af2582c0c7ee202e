package webrtc

import (
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// inbound is one stream of packets from the client: a section, or a layer of it.
type inbound struct {
	leg    *Leg
	mid    string
	source core.Source
	layer  string

	ssrc    atomic.Uint32 // 0: nothing has come yet
	formats atomic.Pointer[[]format]
	lastPLI time.Duration // guarded by leg.mu

	// Guarded by peer.taking.
	open    opener
	sources int // SSRCs that open has been told of

	// reading guards what a packet needs.
	reading sync.Mutex
	header  rtp.Header
	packet  core.Packet
	seat    *seating
	sink    core.Sink
	tape    tape // of a picture's packets
	over    bool

	mu    sync.Mutex // guards what RTCP needs, and codec to be written
	codec core.Codec
	recv  receiver
	nack  nackList
}

// maxInbound bounds the streams of one client: a microphone, three layers of
// camera and screen each, and as many again while it switches.
const maxInbound = 16

func newInbound(l *Leg, s *section, layer string, source core.Source) *inbound {
	in := &inbound{leg: l, mid: s.mid, source: source, layer: layer}
	in.agree(s)
	return in
}

// agree takes up the formats of a negotiation.
func (in *inbound) agree(s *section) {
	formats := s.formats // not the offer with them
	in.formats.Store(&formats)
}

// formatOf a payload type; nil: it was not agreed on.
func (in *inbound) formatOf(pt uint8) *format {
	all := *in.formats.Load()
	for i := range all {
		if all[i].pt == pt {
			return &all[i]
		}
	}
	return nil
}

// bind has the stream come with an SSRC, in place of one before. peer.taking is
// held.
func (in *inbound) bind(ssrc uint32, streams map[uint32]bound) {
	if old := in.ssrc.Swap(ssrc); old != 0 {
		delete(streams, old)
		in.mu.Lock()
		rate := in.recv.rate
		in.recv, in.nack = receiver{rate: rate}, nackList{}
		in.mu.Unlock()
	}
}

// change takes up the format of a payload type, which the client has begun to
// send; false: it is not for a sink.
func (in *inbound) change(pt uint8) bool {
	f := in.formatOf(pt)
	if f == nil || f.name == rtx {
		return false
	}
	in.leave()
	in.seat = nil
	in.mu.Lock()
	in.codec = f.codec()
	in.recv.rate = f.rate
	in.mu.Unlock()
	return true
}

// process passes a packet to the room: no allocation and no lock of others. It
// is false if the packet is malformed. level is the id of the extension of RFC
// 6464, 0 for none.
func (in *inbound) process(b []byte, level uint8, now time.Duration) bool {
	in.reading.Lock()
	defer in.reading.Unlock()
	h, p := &in.header, &in.packet
	at, err := h.Unmarshal(b)
	if err != nil || in.over {
		return false // the rest of the call is not to suffer for it
	}
	end := len(b)
	if h.Padding && end > 0 {
		end -= int(b[end-1])
	}
	if end < at {
		return false
	}
	if (in.codec.Name == "" || h.PayloadType != in.codec.PayloadType) && !in.change(h.PayloadType) {
		return false
	}
	p.Header, p.Payload, p.Arrival = *h, b[at:end], now
	p.Level = in.soundLevel(h, level)
	if in.source.Kind() == core.Video {
		p.Kept = in.tape.keep(p.Payload)
	}
	in.mu.Lock()
	fresh := in.recv.take(h.SequenceNumber, h.Timestamp, p.Arrival)
	gap := in.nack.take(h.SequenceNumber, p.Arrival)
	in.mu.Unlock()
	if gap && in.source.Kind() == core.Video {
		in.askAgain(p.Arrival)
	}
	if fresh {
		in.pass(p)
	}
	return true
}

// interrupt has a share end although no packet of it comes any more.
func (in *inbound) interrupt() {
	in.reading.Lock()
	defer in.reading.Unlock()
	if in.source == core.Screen && in.leg.screenOff.Load() {
		in.leave()
		in.seat = nil
	}
}

func (in *inbound) soundLevel(h *rtp.Header, id uint8) uint8 {
	if id == 0 || in.source.Kind() != core.Audio {
		return core.LevelUnknown
	}
	if x := h.GetExtension(id); len(x) > 0 {
		return x[0] & 0x7f
	}
	return core.LevelUnknown
}

// pass writes to the sink of the present seat, publishing anew after each Sit.
func (in *inbound) pass(p *core.Packet) {
	if in.source == core.Screen && in.leg.screenOff.Load() {
		in.leave()
		in.seat = nil
		return
	}
	if seat := in.leg.seat.Load(); seat != in.seat {
		in.seat, in.sink = seat, nil
		if seat != nil {
			in.sink, _ = seat.seat.Publish(in.track())
		}
	}
	if in.sink != nil {
		_ = in.sink.Write(p)
	}
}

// end is the stream's: nothing is passed any more.
func (in *inbound) end() {
	in.reading.Lock()
	defer in.reading.Unlock()
	in.leave()
	in.over = true
}

// leave ends the publication. A seat that was left has forgotten its sinks.
func (in *inbound) leave() {
	if in.sink != nil && in.seat == in.leg.seat.Load() {
		_ = in.sink.Close()
	}
	in.sink = nil
}

func (in *inbound) track() core.Track {
	return core.Track{Party: in.leg.id, Source: in.source, Layer: in.layer, Codec: in.codec}
}

// askAgain sends a NACK for what is missing.
func (in *inbound) askAgain(now time.Duration) {
	in.mu.Lock()
	pairs := rtcp.NackPairsFromSequenceNumbers(in.nack.due(now, in.leg.roundTrip()))
	in.mu.Unlock()
	if len(pairs) > 0 {
		in.leg.writeRTCP(&rtcp.TransportLayerNack{SenderSSRC: in.leg.ssrc, MediaSSRC: in.ssrc.Load(), Nacks: pairs})
	}
}

// receiver counts what comes (RFC 3550, appendix A).
type receiver struct {
	rate     int
	begun    bool
	first    uint32 // extended
	highest  uint32
	packets  uint64
	jitter   float64 // in timestamp units
	transit  float64
	seen     [64]uint16 // last numbers, to tell doubles
	known    [64]bool
	expected uint32 // at the last report
	got      uint64
	srNTP    uint32 // middle of the last sender report
	srAt     time.Duration
}

// take counts a packet; false if it came before.
func (r *receiver) take(seq uint16, ts uint32, at time.Duration) bool {
	i := seq % 64
	if r.begun && r.known[i] && r.seen[i] == seq {
		return false
	}
	r.seen[i], r.known[i] = seq, true
	r.packets++
	if !r.begun {
		r.begun, r.first, r.highest = true, uint32(seq), uint32(seq)
	} else if d := int16(seq - uint16(r.highest)); d > 0 {
		r.highest += uint32(d)
	} else {
		return true // late: no measure of jitter, as it may be sent again
	}
	transit := at.Seconds()*float64(r.rate) - float64(ts)
	if d := transit - r.transit; r.packets > 1 && d < 1e6 && d > -1e6 {
		r.jitter += (max(d, -d) - r.jitter) / 16
	}
	r.transit = transit
	return true
}

func (r *receiver) lost() uint64 {
	expected := uint64(r.highest-r.first) + 1
	if !r.begun || r.packets >= expected {
		return 0
	}
	return expected - r.packets
}

// report makes the block for the receiver report (RFC 3550, section 6.4.1).
func (r *receiver) report(ssrc uint32, now time.Duration) rtcp.ReceptionReport {
	expected := r.highest - r.first + 1
	due, got := expected-r.expected, r.packets-r.got
	r.expected, r.got = expected, r.packets
	b := rtcp.ReceptionReport{
		SSRC: ssrc, LastSequenceNumber: r.highest, Jitter: uint32(r.jitter),
		TotalLost: uint32(min(r.lost(), 1<<23-1)), LastSenderReport: r.srNTP,
	}
	if lost := int64(due) - int64(got); lost > 0 && due > 0 {
		b.FractionLost = uint8(min(lost*256/int64(due), 255))
	}
	if r.srAt > 0 {
		b.Delay = uint32((now - r.srAt).Seconds() * 65536)
	}
	return b
}

// nackList is what is missing of a stream: a bounded list, each number asked for
// at most ten times.
type nackList struct {
	begun   bool
	highest uint16
	missing []missingPacket
	out     []uint16
}

type missingPacket struct {
	seq   uint16
	asked time.Duration
	tries int
}

const (
	maxMissing = 128
	maxTries   = 10
)

// take notes an arrival and tells whether it opened a gap.
func (n *nackList) take(seq uint16, _ time.Duration) (gap bool) {
	if !n.begun {
		n.begun, n.highest = true, seq
		return false
	}
	d := int16(seq - n.highest)
	if d <= 0 {
		for i, m := range n.missing {
			if m.seq == seq {
				n.missing = append(n.missing[:i], n.missing[i+1:]...)
				break
			}
		}
		return false
	}
	if d > maxMissing {
		n.missing = n.missing[:0] // too much: a keyframe will be asked for
	} else {
		for s := n.highest + 1; s != seq; s++ {
			if len(n.missing) == maxMissing {
				n.missing = append(n.missing[:0], n.missing[1:]...)
			}
			n.missing = append(n.missing, missingPacket{seq: s})
			gap = true
		}
	}
	n.highest = seq
	return gap
}

// due lists what is to be asked for now. The slice is valid until the next call.
func (n *nackList) due(now, rtt time.Duration) []uint16 {
	n.out = n.out[:0]
	kept := n.missing[:0]
	for _, m := range n.missing {
		if m.asked == 0 || now-m.asked >= max(rtt, 20*time.Millisecond)+10*time.Millisecond {
			if m.tries == maxTries {
				continue
			}
			m.asked, m.tries = now, m.tries+1
			n.out = append(n.out, m.seq)
		}
		kept = append(kept, m)
	}
	n.missing = kept
	return n.out
}
