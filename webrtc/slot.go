package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/cache"
	"bridgehead/core/srtp"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// slot is a section in which the client receives: one RTP stream that carries
// whatever track the room puts into it. The core.Sink of a subscription is a
// [slotSink].
type slot struct {
	leg  *Leg
	peer *peer
	mid  string
	kind core.Kind

	// sink is whom the slot carries; nil: free. Guarded by leg.mu.
	sink *slotSink
	// carried is whose picture it last carried: the client shows it there.
	// Guarded by leg.mu.
	carried want

	bound atomic.Pointer[binding]
	seal  atomic.Pointer[sealing]

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
	formats       []format
}

// sealing is made of the client's keys.
type sealing struct {
	sealer
	keys *keys
}

// bind takes up what was agreed on for the slot's section. Its SSRCs stay.
func (s *slot) bind(sec *section, ids *extensions) {
	b := &binding{formats: sec.formats}
	if had := s.bound.Load(); had != nil {
		b.ssrc, b.rtxSSRC = had.ssrc, had.rtxSSRC
	} else {
		b.ssrc = randomSSRC()
	}
	again := slices.ContainsFunc(sec.formats, func(f format) bool { return f.name == rtx })
	switch {
	case !again:
		b.rtxSSRC = 0
	case b.rtxSSRC == 0:
		b.rtxSSRC = randomSSRC()
	}
	if s.kind == core.Video {
		b.twcc = ids.twcc
	}
	s.bound.Store(b)
}

// randomSSRC is one (RFC 3550, section 8.1).
func randomSSRC() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// payloadType is that under which the client takes the codec, and that of its
// retransmission; false if it takes none.
func (b *binding) payloadType(c core.Codec) (pt, again uint8, ok bool) {
	best := -1
	for _, f := range b.formats {
		if !strings.EqualFold(f.name, c.Name) {
			continue
		}
		if score := fmtpScore(f.fmtp, c.Fmtp); score > best {
			best, pt, ok = score, f.pt, true
		}
	}
	for _, f := range b.formats {
		if f.name == rtx && f.apt == pt {
			again = f.pt
		}
	}
	return pt, again, ok
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
	return s.send(h, p.Payload)
}

// Warm implements [core.Warmer].
func (k *slotSink) Warm() {
	o := k.hold.Load()
	if o == nil {
		return
	}
	s := o.slot
	cache.Fetch(s)
	cache.Fetch(s.bound.Load())
	cache.Fetch(s.peer.way.Load())
	if seal := s.seal.Load(); seal != nil {
		if g, ok := seal.sealer.(*srtp.GCM); ok {
			g.Warm()
		}
	}
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
			_ = s.send(h, s.rtxBuf)
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
	if s.kind == core.Audio {
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
