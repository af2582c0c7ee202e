package webrtc

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"bridgehead/core"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const audioLevelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

// inbound is one stream of packets from the client.
type inbound struct {
	leg     *Leg
	source  core.Source
	layer   string
	codec   core.Codec
	ssrc    uint32
	level   uint8 // id of the RFC 6464 extension; 0: none
	remote  *webrtc.TrackRemote
	lastPLI time.Duration // guarded by leg.mu

	libraryDue time.Duration // of the socket's reader, see [taker]

	// reading guards what a packet needs: packets come by two ways.
	reading sync.Mutex
	header  rtp.Header
	packet  core.Packet
	seat    *seating
	sink    core.Sink
	tape    tape // of a picture's packets
	over    bool

	mu   sync.Mutex // guards what RTCP needs
	recv receiver
	nack nackList
}

// onTrack reads a stream until it ends; the library calls it in a goroutine of
// its own.
func (p *peer) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	in := &inbound{leg: p.leg, remote: t, layer: t.RID(), ssrc: uint32(t.SSRC()), codec: coreCodec(t.Codec())}
	if tr := r.RTPTransceiver(); tr != nil {
		in.source = p.source(tr.Mid())
	}
	if in.source.Kind().String() != t.Kind().String() {
		return
	}
	for _, x := range r.GetParameters().HeaderExtensions {
		if x.URI == audioLevelURI {
			in.level = uint8(x.ID)
		}
	}
	in.recv.rate = int(t.Codec().ClockRate)
	if !p.addInbound(in) {
		return
	}
	in.read(p)
	p.removeInbound(in)
	in.end()
}

// maxInbound bounds the streams of one client: a microphone, three layers of
// camera and screen each, and as many again while it switches.
const maxInbound = 16

func (p *peer) addInbound(in *inbound) bool {
	l := p.leg
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p.in) >= maxInbound || p.closed {
		return false
	}
	p.in = append(p.in, in)
	return true
}

// read takes what comes by the library until the stream ends. Once it has begun,
// and if the client has agreed on AES-GCM, that is what its taker leaves to the
// library.
func (in *inbound) read(p *peer) {
	buf := make([]byte, 2048)
	for taken := false; ; {
		n, _, err := in.remote.Read(buf)
		if err != nil && in.interrupted(err) {
			continue
		}
		if err != nil {
			return
		}
		if in.process(buf[:n], core.Now()) && !taken {
			taken = true
			p.taker.add(in)
		}
	}
}

// changed takes up another format, which the client has begun to send.
func (in *inbound) changed() {
	in.leave()
	in.seat = nil
	in.codec = coreCodec(in.remote.Codec())
}

// payloadType is that of the format taken up.
func (in *inbound) payloadType() uint8 {
	in.reading.Lock()
	defer in.reading.Unlock()
	return in.codec.PayloadType
}

// process passes a packet to the room: no allocation and no lock of others. It
// is false if the packet is malformed.
func (in *inbound) process(b []byte, now time.Duration) bool {
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
	if in.source.Kind() == core.Video && h.PayloadType != in.codec.PayloadType {
		in.changed()
	}
	p.Header, p.Payload, p.Arrival = *h, b[at:end], now
	p.Level = in.soundLevel(h)
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

// index is the number that the stream has come to, with the roll-overs before it
// (RFC 3711, section 3.3.1).
func (in *inbound) index() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return uint64(in.recv.highest)
}

// interrupt has a share end although no packet of it comes any more.
func (in *inbound) interrupt() { _ = in.remote.SetReadDeadline(time.Now()) }

// interrupted takes what interrupt asks for.
func (in *inbound) interrupted(err error) bool {
	var late net.Error
	if !errors.As(err, &late) || !late.Timeout() {
		return false
	}
	_ = in.remote.SetReadDeadline(time.Time{})
	in.reading.Lock()
	defer in.reading.Unlock()
	if in.source == core.Screen && in.leg.screenOff.Load() {
		in.leave()
		in.seat = nil
	}
	return true
}

func (in *inbound) soundLevel(h *rtp.Header) uint8 {
	if in.level == 0 {
		return core.LevelUnknown
	}
	if x := h.GetExtension(in.level); len(x) > 0 {
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

func coreCodec(p webrtc.RTPCodecParameters) core.Codec {
	name := codecName(p)
	if strings.EqualFold(name, "opus") {
		name = "opus"
	}
	return core.Codec{
		Name: name, ClockRate: int(p.ClockRate), Channels: int(p.Channels),
		PayloadType: uint8(p.PayloadType), Fmtp: p.SDPFmtpLine,
	}
}

// askAgain sends a NACK for what is missing.
func (in *inbound) askAgain(now time.Duration) {
	in.mu.Lock()
	pairs := rtcp.NackPairsFromSequenceNumbers(in.nack.due(now, in.leg.roundTrip()))
	in.mu.Unlock()
	if len(pairs) > 0 {
		in.leg.writeRTCP(&rtcp.TransportLayerNack{SenderSSRC: in.leg.ssrc, MediaSSRC: in.ssrc, Nacks: pairs})
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
