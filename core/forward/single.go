package forward

import (
	"bridgehead/core"
	"bridgehead/core/h264"
)

// single makes of an H.264 stream in which nothing is fragmented one for a
// receiver that takes a single NAL unit in a packet (RFC 6184, section 6.2):
// aggregates are taken apart. A fragment that comes all the same is left out,
// and its number stays missing, so that the receiver knows.
type single struct {
	core.Sink
	begun   bool
	highest uint16 // that came
	extra   uint16 // packets made beyond those that came
	pkt     core.Packet
}

// Write implements [core.Sink]. A late packet has no number left and is lost.
func (s *single) Write(p *core.Packet) error {
	if d := int16(p.Header.SequenceNumber - s.highest); s.begun && d <= 0 {
		return nil
	}
	s.begun, s.highest = true, p.Header.SequenceNumber
	s.pkt = *p
	s.pkt.Kept = nil
	if len(p.Payload) == 0 || p.Payload[0]&0x1f == h264.FUA {
		return nil
	}
	if p.Payload[0]&0x1f != h264.STAPA {
		return s.put(p.Payload, p.Header.Marker)
	}
	return s.apart(p)
}

// apart sends each unit of an aggregate; a malformed rest is left out.
func (s *single) apart(p *core.Packet) error {
	b := p.Payload[1:]
	for len(b) > 2 {
		n := int(b[0])<<8 | int(b[1])
		if n == 0 || n > len(b)-2 {
			return h264.ErrPayload
		}
		nal := b[2 : 2+n]
		b = b[2+n:]
		last := len(b) <= 2
		_ = s.put(nal, last && p.Header.Marker)
		if !last {
			s.extra++
		}
	}
	return nil
}

func (s *single) put(nal []byte, marker bool) error {
	s.pkt.Header.SequenceNumber = s.highest + s.extra
	s.pkt.Header.Marker = marker
	s.pkt.Payload = nal
	return s.Sink.Write(&s.pkt)
}
