package per

import (
	"fmt"
	"math/bits"
)

// A reader takes bits from a message and keeps the account of what decoding
// it may cost.
type reader struct {
	b      []byte
	pos    int // the next bit
	end    int // behind the last bit
	base   int // of b in the whole message, in bits, for errors
	budget int // octets of memory left to spend
	depth  int
}

func (r *reader) fail(format string, args ...any) error {
	return &Error{Bit: r.base + r.pos, Msg: fmt.Sprintf(format, args...)}
}

func (r *reader) need(n int) error {
	if left := r.end - r.pos; n > left {
		return r.fail("the message ends: %d bits are wanted, %d are left", n, left)
	}
	return nil
}

// charge pays for n values of size octets each.
func (r *reader) charge(n, size int) error {
	if cost := n * (size + 1); cost > r.budget {
		return r.fail("%d values of %d octets are more than a message of this length can hold", n, size)
	} else {
		r.budget -= cost
	}
	return nil
}

func (r *reader) enter() error {
	if r.depth++; r.depth > maxDepth {
		return r.fail("nested deeper than %d", maxDepth)
	}
	return nil
}

func (r *reader) leave() { r.depth-- }

func (r *reader) align() error {
	pad := -r.pos & 7
	if err := r.need(pad); err != nil {
		return err
	}
	r.pos += pad
	return nil
}

func (r *reader) bit() (bool, error) {
	if r.pos >= r.end {
		return false, r.need(1)
	}
	set := r.b[r.pos>>3]>>(7-r.pos&7)&1 == 1
	r.pos++
	return set, nil
}

// bits reads n bits, at most 64.
func (r *reader) bits(n int) (v uint64, err error) {
	if err := r.need(n); err != nil {
		return 0, err
	}
	for n > 0 {
		free := 8 - r.pos&7
		take := min(n, free)
		octet := uint64(r.b[r.pos>>3]) >> (free - take) & (1<<take - 1)
		v = v<<take | octet
		r.pos += take
		n -= take
	}
	return v, nil
}

// octets returns the next n octets from an octet boundary, not a copy.
func (r *reader) octets(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil // an empty field is not aligned
	}
	if err := r.align(); err != nil {
		return nil, err
	}
	if err := r.need(8 * n); err != nil {
		return nil, err
	}
	at := r.pos >> 3
	r.pos += 8 * n
	return r.b[at : at+n], nil
}

// constrained reads a constrained whole number (X.691 11.5).
func (r *reader) constrained(lo, hi int64) (int64, error) {
	span := uint64(hi) - uint64(lo)
	at := r.pos
	var v uint64
	var err error
	switch {
	case span < 255:
		v, err = r.bits(bits.Len64(span))
	case span <= 65535:
		if err = r.align(); err == nil {
			v, err = r.bits(8 * octetLen(span))
		}
	default:
		n, e := r.constrained(1, int64(octetLen(span)))
		if e != nil {
			return 0, e
		}
		if err = r.align(); err == nil {
			v, err = r.bits(8 * int(n))
		}
	}
	if err != nil {
		return 0, err
	}
	if v > span {
		r.pos = at
		return 0, r.fail("%d is more than the highest value allowed, %d", uint64(lo)+v, hi)
	}
	return int64(uint64(lo) + v), nil
}

// octetLen says how many octets v needs, at least one.
func octetLen(v uint64) int { return max(1, (bits.Len64(v)+7)/8) }

// length reads a general length determinant (X.691 11.9.3.5 to 8). With more,
// it is that of a fragment, and another length follows what it counts.
func (r *reader) length() (n int, more bool, err error) {
	if err := r.align(); err != nil {
		return 0, false, err
	}
	v, err := r.bits(8)
	switch {
	case err != nil:
	case v < 0x80:
		return int(v), false, nil
	case v < 0xc0:
		low, err := r.bits(8)
		return int(v&0x3f)<<8 | int(low), false, err
	case v > 0xc0 && v <= 0xc4:
		return int(v&0x3f) << 14, true, nil
	default:
		err = r.fail("%#02x does not begin a length", v)
	}
	return 0, false, err
}

// small reads a normally small non-negative whole number (X.691 11.6).
func (r *reader) small() (int, error) {
	large, err := r.bit()
	if err != nil {
		return 0, err
	}
	if !large {
		v, err := r.bits(6)
		return int(v), err
	}
	n, more, err := r.length()
	if err != nil {
		return 0, err
	}
	if more || n < 1 || n > 4 {
		return 0, r.fail("an index of %d octets", n)
	}
	v, err := r.bits(8 * n)
	return int(v), err
}

// integer reads the octets of a semi-constrained (lo, X.691 11.7) or an
// unconstrained whole number (11.8).
func (r *reader) integer(lo int64, semi bool) (int64, error) {
	n, more, err := r.length()
	if err != nil {
		return 0, err
	}
	if more || n < 1 || n > 8 {
		return 0, r.fail("an INTEGER of %d octets; at most 8 are understood", n)
	}
	v, err := r.bits(8 * n)
	if err != nil || !semi {
		return int64(v<<(64-8*n)) >> (64 - 8*n), err
	}
	if v > uint64(1<<63-1-max(lo, 0)) {
		return 0, r.fail("an INTEGER beyond 63 bits")
	}
	return lo + int64(v), nil
}

// count reads the length of a string or a list under a size constraint.
func (r *reader) count(s *size) (n int, more bool, err error) {
	outside := false
	if s.ext {
		if outside, err = r.bit(); err != nil {
			return 0, false, err
		}
	}
	if s.bounded() && !outside {
		v, err := r.constrained(int64(s.lo), int64(s.hi))
		return int(v), false, err
	}
	n, more, err = r.length()
	if err == nil && !outside && !more && n < s.lo {
		err = r.fail("a size of %d, less than %d", n, s.lo)
	}
	return n, more, err
}

// string reads what count counts in units of width bits: as octets, with the
// last one filled up by zero bits. n is the number of units.
func (r *reader) string(s *size, width int) (out []byte, n int, err error) {
	part, more, err := r.count(s)
	for {
		if err != nil {
			return nil, 0, err
		}
		n += part
		if out, err = r.field(out, part*width, s.aligned(width)); err != nil {
			return nil, 0, err
		}
		if !more {
			break
		}
		part, more, err = r.length()
	}
	if out == nil {
		out = []byte{}
	}
	return out, n, nil
}

// field appends a field of n bits to out, which has whole octets so far.
func (r *reader) field(out []byte, n int, aligned bool) ([]byte, error) {
	if n == 0 {
		return out, nil
	}
	if aligned {
		if err := r.align(); err != nil {
			return nil, err
		}
	}
	if err := r.need(n); err != nil {
		return nil, err
	}
	if err := r.charge(1, (n+7)/8); err != nil {
		return nil, err
	}
	if r.pos&7 == 0 {
		at, whole := r.pos>>3, n/8
		if out == nil {
			out = make([]byte, 0, (n+7)/8)
		}
		out = append(out, r.b[at:at+whole]...)
		r.pos += 8 * whole
		n -= 8 * whole
	}
	for n > 0 {
		take := min(n, 8)
		v, err := r.bits(take)
		if err != nil {
			return nil, err
		}
		out = append(out, byte(v<<(8-take)))
		n -= take
	}
	return out, nil
}

// open reads the octets of an open type (X.691 11.2): a part of the message,
// or put together from fragments.
func (r *reader) open() (body []byte, at int, err error) {
	n, more, err := r.length()
	if err != nil {
		return nil, 0, err
	}
	at = r.pos
	body, err = r.octets(n)
	if err != nil || !more {
		return body, at, err
	}
	body = append([]byte(nil), body...)
	for more {
		if n, more, err = r.length(); err != nil {
			return nil, 0, err
		}
		part, err := r.octets(n)
		if err != nil {
			return nil, 0, err
		}
		if err := r.charge(1, n); err != nil {
			return nil, 0, err
		}
		body = append(body, part...)
	}
	return body, at, nil
}
