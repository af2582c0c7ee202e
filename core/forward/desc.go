package forward

import (
	"strings"

	"bridgehead/core/h264"
)

// desc is what the SFU needs to know of one packet of video.
type desc struct {
	keyframe bool // first packet of a frame at which a decoder can start
	start    bool // first packet of a frame (of a layer frame, in VP9)
	end      bool // last packet of a VP9 layer frame
	upswitch bool // frames of higher temporal layers may follow from here
	sps      bool // H.264: carries a sequence parameter set
	idrOnly  bool // H.264: keyframe without one
	fragment bool // H.264: part of a NAL unit
	vp8      bool
	tid, sid uint8
	height   int // told by a keyframe; 0: not told
	// pid is the picture id at pidAt, in one byte or two; -1: none.
	pid    int32
	pidAt  int
	pid15  bool
	tl0    int16 // -1: none
	tl0At  int
	marked byte // the byte at pidAt as it came, for its flag
}

// The highest temporal and spatial layers there can be (3 bits each).
const (
	maxTID = 7
	maxSID = 7
)

var none = desc{pid: -1, tl0: -1}

// parserOf the payload format; a stream of an unknown one is taken to be all
// keyframes, which forwards it unswitched.
func parserOf(codec string) func([]byte) desc {
	switch strings.ToUpper(codec) {
	case "VP8":
		return parseVP8
	case "VP9":
		return parseVP9
	case "H264":
		return parseH264
	case "AV1":
		return parseAV1
	}
	return func([]byte) desc { d := none; d.keyframe, d.start = true, true; return d }
}

// putPID writes a picture id over that in the payload, in the same width.
func (d *desc) putPID(b []byte, id uint16) {
	if d.pid15 {
		b[d.pidAt] = 0x80 | byte(id>>8)&0x7f
		b[d.pidAt+1] = byte(id)
		return
	}
	b[d.pidAt] = d.marked&0x80 | byte(id)&0x7f
}

// restore puts the publisher's own numbers back.
func (d *desc) restore(b []byte) {
	if d.pid >= 0 {
		d.putPID(b, uint16(d.pid))
	}
	if d.tl0 >= 0 {
		b[d.tl0At] = uint8(d.tl0)
	}
}

// parseVP8 reads the payload descriptor of RFC 7741, section 4.2, and the first
// bytes of the frame (RFC 6386, section 9.1). What is cut short counts as the
// middle of a frame.
func parseVP8(b []byte) desc {
	d := none
	d.vp8 = true
	if len(b) == 0 {
		return d
	}
	first, at := b[0], 1
	start := first&0x10 != 0 && first&0x07 == 0
	if first&0x80 != 0 {
		if at >= len(b) {
			return d
		}
		if at = parseVP8Extension(b, &d); at == 0 {
			return none
		}
	}
	if at >= len(b) {
		return d
	}
	d.start = start
	d.keyframe = start && b[at]&1 == 0 && len(b) >= at+10 &&
		b[at+3] == 0x9d && b[at+4] == 0x01 && b[at+5] == 0x2a
	if d.keyframe {
		d.height = int(b[at+8]) | int(b[at+9]&0x3f)<<8
	}
	return d
}

// parseVP8Extension reads the optional fields; 0 if they are cut short.
func parseVP8Extension(b []byte, d *desc) int {
	x, at := b[1], 2
	if x&0x80 != 0 { // I: picture id
		if at >= len(b) {
			return 0
		}
		if at = d.readPID(b, at); at == 0 {
			return 0
		}
	}
	if x&0x40 != 0 { // L: TL0PICIDX
		if at >= len(b) {
			return 0
		}
		d.tl0, d.tl0At = int16(b[at]), at
		at++
	}
	if x&0x30 != 0 { // T or K
		if at >= len(b) {
			return 0
		}
		if x&0x20 != 0 {
			d.tid, d.upswitch = b[at]>>6, b[at]&0x20 != 0
		}
		at++
	}
	return at
}

// readPID reads a picture id of 7 or 15 bits and returns the offset after it; 0
// if it is cut short.
func (d *desc) readPID(b []byte, at int) int {
	d.pidAt, d.marked = at, b[at]
	if b[at]&0x80 == 0 {
		d.pid = int32(b[at])
		return at + 1
	}
	if at+1 >= len(b) {
		return 0
	}
	d.pid15 = true
	d.pid = int32(b[at]&0x7f)<<8 | int32(b[at+1])
	return at + 2
}

// parseVP9 reads the payload descriptor of RFC 9628, section 4.2.
func parseVP9(b []byte) desc {
	d := none
	if len(b) == 0 {
		return d
	}
	first, at := b[0], 1
	inter, layers, flexible := first&0x40 != 0, first&0x20 != 0, first&0x10 != 0
	if first&0x80 != 0 { // I: picture id
		if at >= len(b) {
			return none
		}
		if at = d.readPID(b, at); at == 0 {
			return none
		}
	}
	if layers {
		if at >= len(b) {
			return none
		}
		d.tid, d.sid = b[at]>>5, b[at]>>1&7
		d.upswitch = b[at]&0x10 != 0
		at++
		if !flexible {
			at++ // TL0PICIDX stays as it is: frames left out do not change it
		}
	}
	if inter && flexible {
		if at = skipVP9Refs(b, at); at == 0 {
			return none
		}
	}
	if at > len(b) {
		return none
	}
	d.start, d.end = first&0x08 != 0, first&0x04 != 0
	d.keyframe = d.start && !inter && d.sid == 0
	if d.keyframe && first&0x02 != 0 {
		d.height = vp9Height(b, at)
	}
	return d
}

// skipVP9Refs passes the reference indices: at most three, each but the last
// with its low bit set.
func skipVP9Refs(b []byte, at int) int {
	for range 3 {
		if at >= len(b) {
			return 0
		}
		at++
		if b[at-1]&1 == 0 {
			return at
		}
	}
	return 0
}

// vp9Height is that of the largest spatial layer in the scalability structure
// at offset at; 0 if it tells none.
func vp9Height(b []byte, at int) int {
	if at >= len(b) || b[at]&0x10 == 0 {
		return 0
	}
	last := at + 1 + int(b[at]>>5)*4
	if last+4 > len(b) {
		return 0
	}
	return int(b[last+2])<<8 | int(b[last+3])
}

// parseH264 looks for what a decoder can start at: a sequence parameter set, or
// an IDR picture of a stream that sends its sets otherwise.
func parseH264(b []byte) desc {
	d := none
	if len(b) == 0 {
		return d
	}
	switch t := b[0] & 0x1f; t {
	case h264.STAPA:
		d.start = true
		for b = b[1:]; len(b) > 2; {
			n := int(b[0])<<8 | int(b[1])
			if n == 0 || n > len(b)-2 {
				return d
			}
			d.addNAL(b[2 : 2+n])
			b = b[2+n:]
		}
	case h264.FUA:
		d.fragment = true
		if len(b) > 1 && b[1]&0x80 != 0 {
			d.start = true
			d.addNAL(b[1:2])
		}
	default:
		d.start = true
		d.addNAL(b)
	}
	return d
}

// addNAL notes a NAL unit, of which the beginning is there.
func (d *desc) addNAL(nal []byte) {
	switch nal[0] & 0x1f {
	case h264.SPS:
		d.keyframe, d.sps, d.idrOnly = true, true, false
		if p, err := h264.ParseSPS(nal); err == nil {
			d.height = p.Height
		}
	case h264.IDR:
		d.idrOnly = !d.sps
		d.keyframe = true
	}
}

// parseAV1 reads the aggregation header (AV1 RTP payload format, section 4.4):
// its N bit marks the first packet of a coded video sequence. Without the
// dependency descriptor layers cannot be told apart, so all are sent.
func parseAV1(b []byte) desc {
	d := none
	if len(b) < 2 {
		return d
	}
	d.start = b[0]&0x80 == 0
	d.keyframe = d.start && b[0]&0x08 != 0
	return d
}
