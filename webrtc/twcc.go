package webrtc

import (
	"encoding/binary"

	"bridgehead/core"

	"github.com/pion/rtcp"
)

// transportFeedback is what a client tells of each packet's arrival, as it came
// (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1). The library
// makes an object of every packet in it; these come ten times a second from each
// browser that looks at somebody.
type transportFeedback struct {
	media     uint32 // SSRC
	base      uint16 // number of the first packet
	count     int    // packets
	reference uint32 // 64 ms
	chunks    []byte
	deltas    []byte
}

// Status symbols of a packet; the others stand for lost.
const (
	arrivedSoon = 1 // with a delta of one byte
	arrivedLate = 2 // of two
)

// readTransportFeedback reads one RTCP packet; false: it is something else, or
// malformed.
func readTransportFeedback(b []byte) (f transportFeedback, ok bool) {
	if len(b) < 20 || b[0]&0x1f != rtcp.FormatTCC || b[1] != uint8(rtcp.TypeTransportSpecificFeedback) {
		return f, false
	}
	f.media = binary.BigEndian.Uint32(b[8:])
	f.base, f.count = binary.BigEndian.Uint16(b[12:]), int(binary.BigEndian.Uint16(b[14:]))
	f.reference = binary.BigEndian.Uint32(b[16:]) >> 8
	f.deltas = b[20:]
	for n := 0; n < f.count; f.deltas = f.deltas[2:] {
		if len(f.deltas) < 2 {
			return f, false
		}
		n += chunk(binary.BigEndian.Uint16(f.deltas)).packets()
	}
	f.chunks = b[20 : len(b)-len(f.deltas)]
	return f, true
}

// each tells of every packet, in order, when it arrived, in ms; it ends early if
// deltas are missing.
func (f *transportFeedback) each(one func(seq uint16, arrived bool, at float64)) {
	seq, left, deltas, at := f.base, f.count, f.deltas, float64(f.reference)*64
	for rest := f.chunks; len(rest) > 0; rest = rest[2:] {
		c := chunk(binary.BigEndian.Uint16(rest))
		n := min(c.packets(), left)
		left -= n
		for i := range n {
			status := c.status(i)
			switch {
			case status == arrivedSoon && len(deltas) >= 1:
				at += float64(deltas[0]) / 4
				deltas = deltas[1:]
			case status == arrivedLate && len(deltas) >= 2:
				at += float64(int16(binary.BigEndian.Uint16(deltas))) / 4
				deltas = deltas[2:]
			case status == arrivedSoon || status == arrivedLate:
				return
			}
			one(seq, status == arrivedSoon || status == arrivedLate, at)
			seq++
		}
	}
}

// chunk is a run of packets of one status, or a vector of 14 of one bit or of
// seven of two.
type chunk uint16

func (c chunk) packets() int {
	switch {
	case c>>15 == 0:
		return int(c & 0x1fff)
	case c>>14&1 == 0:
		return 14
	}
	return 7
}

func (c chunk) status(i int) uint8 {
	switch {
	case c>>15 == 0:
		return uint8(c >> 13 & 3)
	case c>>14&1 == 0:
		return uint8(c >> (13 - i) & 1)
	}
	return uint8(c >> (12 - 2*i) & 3)
}

// control takes RTCP as it was decrypted. A part that is malformed ends it; the
// call goes on.
func (p *peer) control(b []byte) {
	for len(b) >= 4 {
		n := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if n > len(b) {
			return
		}
		p.controlOne(b[:n])
		b = b[n:]
	}
}

func (p *peer) controlOne(b []byte) {
	if f, ok := readTransportFeedback(b); ok {
		p.leg.bwe.feedback(&f, core.Now())
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return
	}
	for _, packet := range packets {
		for _, ssrc := range packet.DestinationSSRC() {
			p.rtcp(ssrc, packet)
		}
	}
}
