package webrtc

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// slot is a section in which the client receives: one RTP stream that carries
// whatever track the room puts into it. It is the library's TrackLocal; the
// core.Sink of a subscription is a [slotSink].
type slot struct {
	leg  *Leg
	peer *peer
	mid  string
	kind webrtc.RTPCodecType

	// sink is whom the slot carries; nil: free. Guarded by leg.mu.
	sink *slotSink
	// carried is whose picture it last carried: the client shows it there.
	// Guarded by leg.mu.
	carried want

	bound atomic.Pointer[binding]

	// mu serialises the writer, retransmission and RTCP.
	mu      sync.Mutex
	num     renumber
	header  rtp.Header
	ext     [2]byte
	rtx     rtp.Header
	rtxExt  [2]byte
	rtxBuf  []byte
	rtxSeq  uint16
	history history
	seal    *srtp.GCM // made of the keys sealed
	sealed  *[]byte
	wire    []byte // for TCP
	sent    uint64 // packets
	bytes   uint64
	lastTS  uint32
	lastAt  time.Duration
	remote  rtcp.ReceptionReport
	reports bool
	lastPLI time.Duration
}

// binding is what was negotiated for the slot.
type binding struct {
	ssrc, rtxSSRC uint32
	twcc          uint8 // extension id; 0: none
	codecs        []webrtc.RTPCodecParameters
	writer        webrtc.TrackLocalWriter
}

var _ webrtc.TrackLocal = (*slot)(nil)

// Bind is called by the library once the slot is negotiated.
func (s *slot) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	b := &binding{
		ssrc: uint32(c.SSRC()), rtxSSRC: uint32(c.SSRCRetransmission()),
		codecs: c.CodecParameters(), writer: c.WriteStream(),
	}
	for _, x := range c.HeaderExtensions() {
		if x.URI == twccURI && s.kind == webrtc.RTPCodecTypeVideo {
			b.twcc = uint8(x.ID)
		}
	}
	for _, p := range b.codecs {
		if codecName(p) != "rtx" {
			s.bound.Store(b)
			return p, nil
		}
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind is called by the library when the slot has gone.
func (s *slot) Unbind(webrtc.TrackLocalContext) error { s.bound.Store(nil); return nil }

// ID of the library's track.
func (s *slot) ID() string { return "slot" + s.mid }

// RID is empty: a slot is one stream.
func (s *slot) RID() string { return "" }

// StreamID is the slot's own, since what it carries changes.
func (s *slot) StreamID() string { return s.ID() }

// Kind of the slot.
func (s *slot) Kind() webrtc.RTPCodecType { return s.kind }

const twccURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

func codecName(p webrtc.RTPCodecParameters) string {
	_, name, _ := strings.Cut(p.MimeType, "/")
	if strings.EqualFold(name, "rtx") {
		return "rtx"
	}
	return name
}

// payloadType is that under which the client takes the codec, and that of its
// retransmission; false if it takes none.
func (b *binding) payloadType(c core.Codec) (pt, rtx uint8, ok bool) {
	best := -1
	for _, p := range b.codecs {
		if !strings.EqualFold(codecName(p), c.Name) {
			continue
		}
		if score := fmtpScore(p.SDPFmtpLine, c.Fmtp); score > best {
			best, pt, ok = score, uint8(p.PayloadType), true
		}
	}
	for _, p := range b.codecs {
		if codecName(p) == "rtx" && fmtpValue(p.SDPFmtpLine, "apt") == itoa(pt) {
			rtx = uint8(p.PayloadType)
		}
	}
	return pt, rtx, ok
}

// fmtpScore tells how well two parameter lines agree in what decides about
// decoding: profile and, for H.264, packetization mode (RFC 6184, section 8.2.2).
func fmtpScore(a, b string) int {
	score := 0
	for _, key := range []string{"packetization-mode", "profile-id"} {
		if fmtpValue(a, key) == fmtpValue(b, key) {
			score += 2
		}
	}
	pa, pb := fmtpValue(a, "profile-level-id"), fmtpValue(b, "profile-level-id")
	if len(pa) == 6 && len(pb) == 6 && strings.EqualFold(pa[:2], pb[:2]) {
		score++
		if strings.EqualFold(pa[:4], pb[:4]) {
			score++
		}
	}
	return score
}

func fmtpValue(line, key string) string {
	for part := range strings.SplitSeq(line, ";") {
		if k, v, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}

func itoa(n uint8) string {
	var b [3]byte
	i := len(b)
	for {
		i--
		b[i] = '0' + n%10
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

// renumber makes one stream of those of successive sinks.
type renumber struct {
	begun      bool
	seq, highS uint16
	floor      uint16 // first number of the present source
	ts         uint32
	highTS     uint32
	at         time.Duration
}

// join continues after what was sent before: the next packet is the next
// number, and as much later as it came later.
func (r *renumber) join(p *core.Packet, rate int) {
	if r.begun {
		gap := min(max(p.Arrival-r.at, time.Millisecond), time.Minute)
		r.seq = r.highS + 1 - p.Header.SequenceNumber
		r.ts = r.highTS + uint32(int64(gap)*int64(rate)/int64(time.Second)) - p.Header.Timestamp
	}
	r.begun = true
	r.highS = p.Header.SequenceNumber + r.seq - 1
	r.floor = r.highS + 1
	r.highTS, r.at = p.Header.Timestamp+r.ts, p.Arrival
}

// apply is how the packet goes out; false if it is from before the join, whose
// number another packet has had.
func (r *renumber) apply(p *core.Packet) (seq uint16, ts uint32, ok bool) {
	seq, ts = p.Header.SequenceNumber+r.seq, p.Header.Timestamp+r.ts
	if int16(seq-r.floor) < 0 {
		return 0, 0, false
	}
	if int16(seq-r.highS) > 0 {
		r.highS, r.highTS, r.at = seq, ts, p.Arrival
		if int16(seq-r.floor) > 2000 {
			r.floor = seq - 1000 // keeps the comparison within half the ring
		}
	}
	return seq, ts, true
}

// slotSink is one subscription. It holds a slot; when the client comes back with
// a new peer connection it is given one of the new slots, unseen by the room.
type slotSink struct {
	leg   *Leg
	track core.Track
	hold  atomic.Pointer[hold] // nil: closed, or no slot for it
}

// hold is a subscription's hold of a slot.
type hold struct {
	slot    *slot
	rate    int // of the timestamps, Hz
	pt, rtx uint8
	joined  bool // guarded by slot.mu
}

var errClosed = errors.New("webrtc: the slot has been given to another track")

// Write sends the packet. It neither waits nor allocates.
func (k *slotSink) Write(p *core.Packet) error {
	o := k.hold.Load()
	if o == nil {
		return errClosed
	}
	s := o.slot
	b := s.bound.Load()
	if b == nil {
		return errClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !o.joined {
		o.joined = true
		s.num.join(p, o.rate)
	}
	seq, ts, ok := s.num.apply(p)
	if !ok {
		return nil
	}
	h := &s.header
	h.Version, h.Marker, h.PayloadType = 2, p.Header.Marker, o.pt
	h.SequenceNumber, h.Timestamp, h.SSRC = seq, ts, b.ssrc
	now := core.Now()
	if b.twcc != 0 {
		s.tag(h, s.ext[:], b.twcc, now, len(p.Payload))
	}
	if o.rtx != 0 && b.rtxSSRC != 0 {
		s.history.put(seq, h.Marker, o.rtx, ts, p.Payload, p.Kept)
	}
	s.sent++
	s.bytes += uint64(len(p.Payload))
	s.lastTS, s.lastAt = ts, now
	return s.send(b, h, p.Payload)
}

// Close gives the slot back.
func (k *slotSink) Close() error {
	k.leg.free(k)
	return nil
}

// tag sets the transport-wide sequence number.
func (s *slot) tag(h *rtp.Header, ext []byte, id uint8, now time.Duration, size int) {
	seq := s.leg.bwe.next(now, size+20)
	binary.BigEndian.PutUint16(ext, seq)
	if len(h.Extensions) == 0 {
		// Only the first packet allocates: the header keeps the slice and
		// the slice its two bytes.
		_ = h.SetExtension(id, ext)
	}
}

// resend answers a NACK (RFC 4585, section 6.2.1) on the retransmission stream.
func (s *slot) resend(pairs []rtcp.NackPair, now, rtt time.Duration) {
	b := s.bound.Load()
	if b == nil || b.rtxSSRC == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := 64 // in answer to one NACK
	for _, pair := range pairs {
		pair.Range(func(seq uint16) bool {
			e := s.history.get(seq, now, max(rtt, 10*time.Millisecond))
			if e == nil {
				return true
			}
			left--
			s.rtxBuf = e.appendTo(binary.BigEndian.AppendUint16(s.rtxBuf[:0], seq))
			h := &s.rtx
			h.Version, h.Marker, h.PayloadType = 2, e.marker, e.pt
			h.SequenceNumber, h.Timestamp, h.SSRC = s.rtxSeq, e.timestamp, b.rtxSSRC
			s.rtxSeq++
			if b.twcc != 0 {
				s.tag(h, s.rtxExt[:], b.twcc, now, len(s.rtxBuf))
			}
			_ = s.send(b, h, s.rtxBuf)
			return left > 0
		})
		if left <= 0 {
			return
		}
	}
}

// senderReport tells the client how the slot's timestamps relate to the wall
// clock (RFC 3550, section 6.4.1); nil if nothing was sent lately.
func (s *slot) senderReport(now time.Duration, wall time.Time) *rtcp.SenderReport {
	b := s.bound.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil || s.sent == 0 || now-s.lastAt > 5*time.Second {
		return nil
	}
	rate := 90000
	if s.kind == webrtc.RTPCodecTypeAudio {
		rate = 48000
	}
	return &rtcp.SenderReport{
		SSRC: b.ssrc, NTPTime: ntp(wall),
		RTPTime:     s.lastTS + uint32(int64(now-s.lastAt)*int64(rate)/int64(time.Second)),
		PacketCount: uint32(s.sent), OctetCount: uint32(s.bytes),
	}
}

// ntp is the 64-bit timestamp of RFC 3550, section 4.
func ntp(t time.Time) uint64 {
	const era = 2208988800 // 1900 to 1970
	return uint64(t.Unix()+era)<<32 | uint64(t.Nanosecond())<<32/1e9
}
