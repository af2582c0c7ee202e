package h264

import "errors"

// Picture is what a sequence parameter set tells of the pictures.
type Picture struct {
	Profile, Constraints, Level uint8
	Width, Height               int // in pixels, after cropping
}

var errSPS = errors.New("h264: malformed sequence parameter set")

// largest size taken for real, in macroblocks: that of level 6.2.
const maxMacroblocks = 1055

// maxSPS is how much of a parameter set is looked at, in bytes.
const maxSPS = 256

// ParseSPS reads a NAL unit of type SPS, with its header octet.
func ParseSPS(nal []byte) (Picture, error) {
	if len(nal) < 5 || nal[0]&0x1f != SPS {
		return Picture{}, errSPS
	}
	p := Picture{Profile: nal[1], Constraints: nal[2], Level: nal[3]}
	var buf [maxSPS]byte // on the stack: it may come with every picture
	r := bits{b: unescape(buf[:0], nal[4:min(len(nal), maxSPS)])}
	r.ue() // seq_parameter_set_id
	chroma := uint32(1)
	switch p.Profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma = r.high()
	}
	r.ue() // log2_max_frame_num_minus4
	r.order()
	r.ue() // max_num_ref_frames
	r.u(1) // gaps_in_frame_num_value_allowed_flag
	w, h := r.ue()+1, r.ue()+1
	frames := r.u(1)
	if frames == 0 {
		r.u(1) // mb_adaptive_frame_field_flag
	}
	r.u(1) // direct_8x8_inference_flag
	var left, right, top, bottom uint32
	if r.u(1) == 1 {
		left, right, top, bottom = r.ue(), r.ue(), r.ue(), r.ue()
	}
	if r.short || w > maxMacroblocks || h > maxMacroblocks || max(left, right, top, bottom) > 1<<14 {
		return Picture{}, errSPS
	}
	unitX, unitY := uint32(1), 2-frames
	if chroma == 1 || chroma == 2 {
		unitX = 2
	}
	if chroma == 1 {
		unitY *= 2
	}
	p.Width = int(w*16) - int(unitX*(left+right))
	p.Height = int(h*16*(2-frames)) - int(unitY*(top+bottom))
	if p.Width <= 0 || p.Height <= 0 {
		return Picture{}, errSPS
	}
	return p, nil
}

// bits reads from a raw byte sequence payload. Beyond the end it reads zeros
// and is short.
type bits struct {
	b     []byte
	at    int // bit
	short bool
}

func (r *bits) u(n int) (v uint32) {
	for range n {
		if r.at>>3 >= len(r.b) {
			r.short = true
			return v << 1
		}
		v = v<<1 | uint32(r.b[r.at>>3]>>(7-r.at&7)&1)
		r.at++
	}
	return v
}

// ue reads an unsigned Exp-Golomb code (§9.1).
func (r *bits) ue() uint32 {
	zeros := 0
	for r.u(1) == 0 {
		if zeros++; zeros > 31 || r.short {
			r.short = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bits) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}

// high reads what the high profiles have between, and returns chroma_format_idc.
func (r *bits) high() uint32 {
	chroma := r.ue()
	lists := 8
	if chroma == 3 {
		r.u(1) // separate_colour_plane_flag
		lists = 12
	}
	r.ue() // bit_depth_luma_minus8
	r.ue() // bit_depth_chroma_minus8
	r.u(1) // qpprime_y_zero_transform_bypass_flag
	if r.u(1) == 1 {
		for i := range lists {
			if r.u(1) == 1 {
				r.scaling(i)
			}
		}
	}
	return chroma
}

// scaling passes a scaling list (§7.3.2.1.1.1).
func (r *bits) scaling(i int) {
	size := 16
	if i >= 6 {
		size = 64
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + r.se() + 256) % 256
		}
		if next != 0 {
			last = next
		}
	}
}

// order passes the picture order count's parameters.
func (r *bits) order() {
	switch r.ue() {
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.u(1)
		r.se()
		r.se()
		for range min(r.ue(), 255) {
			r.se()
		}
	}
}

// unescape takes the emulation prevention bytes out (§7.4.1).
func unescape(out, b []byte) []byte {
	zeros := 0
	for _, x := range b {
		if zeros >= 2 && x == 3 {
			zeros = 0
			continue
		}
		if x == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, x)
	}
	return out
}
