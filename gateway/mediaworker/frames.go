package main

import (
	"errors"

	"github.com/pion/rtp/codecs"

	"bridgehead/core/compose/wire"
	"bridgehead/core/h264"
)

// frames puts together coded frames of RTP payloads that come in order: RFC
// 6184, 7741, 9628 and the payload format of AV1.
type frames struct {
	codec wire.Codec
	buf   []byte
	key   bool // a decoder can begin with this one
	stamp uint32
	open  bool // buf is a frame that has not ended
	// broken: something of this frame is missing. waiting: the decoder needs a
	// keyframe.
	broken, waiting bool

	units h264.Units
	av1   codecs.AV1Depacketizer
}

// maxCoded bounds a coded frame, in octets.
const maxCoded = 4 << 20

var errFrame = errors.New("malformed payload")

func newFrames(c wire.Codec) *frames { return &frames{codec: c, waiting: true} }

// push takes the next payload and calls f with each frame that can be decoded.
// It returns false where a keyframe is needed to go on.
func (s *frames) push(m wire.Media, lost bool, f func(frame []byte) error) bool {
	fine := true
	if s.open && (m.Stamp != s.stamp || lost) {
		s.broken = s.broken || lost
		fine = s.end(f)
	}
	if lost {
		s.broken = true
		s.units.Lost()
		s.av1 = codecs.AV1Depacketizer{}
	}
	s.stamp, s.open = m.Stamp, true
	if s.add(m.Payload) != nil || len(s.buf) > maxCoded {
		s.broken, s.buf = true, s.buf[:0]
	}
	if m.Marker {
		return s.end(f) && fine
	}
	return fine
}

func (s *frames) end(f func([]byte) error) bool {
	frame, key, broken := s.buf, s.key, s.broken
	s.buf, s.key, s.broken, s.open = s.buf[:0], false, false, false
	switch {
	case broken || len(frame) == 0:
		s.waiting = s.waiting || broken
	case s.waiting && !key:
	default:
		s.waiting = f(frame) != nil
	}
	return !s.waiting
}

// add a payload to the frame.
func (s *frames) add(b []byte) error {
	if len(b) == 0 {
		return nil // padding
	}
	switch s.codec {
	case wire.H264:
		return s.units.Push(b, func(nal []byte) {
			t := nal[0] & 0x1f
			s.key = s.key || t == h264.SPS || t == h264.IDR
			s.buf = append(append(s.buf, 0, 0, 0, 1), nal...)
		})
	case wire.VP8:
		var p codecs.VP8Packet
		part, err := p.Unmarshal(b)
		if err != nil || len(part) == 0 {
			return errFrame
		}
		if p.S == 1 && p.PID == 0 {
			s.key = part[0]&1 == 0
		}
		s.buf = append(s.buf, part...)
	case wire.VP9:
		var p codecs.VP9Packet
		part, err := p.Unmarshal(b)
		if err != nil {
			return errFrame
		}
		s.key = s.key || p.B && !p.P && p.SID == 0
		s.buf = append(s.buf, part...)
	case wire.AV1:
		s.key = s.key || b[0]&0x88 == 0x08 // a new coded video sequence
		part, err := s.av1.Unmarshal(b)
		if err != nil {
			return errFrame
		}
		s.buf = append(s.buf, part...)
	default:
		return errFrame
	}
	return nil
}
