package per

import (
	"fmt"
	"math/bits"
)

// A writer appends bits to buf.
type writer struct {
	buf   []byte
	free  int // unused low bits of the last octet
	depth int
}

func invalid(format string, args ...any) error {
	return &Error{Bit: -1, Msg: fmt.Sprintf(format, args...)}
}

func (w *writer) enter() error {
	if w.depth++; w.depth > maxDepth {
		return invalid("nested deeper than %d", maxDepth)
	}
	return nil
}

func (w *writer) leave() { w.depth-- }

func (w *writer) align() { w.free = 0 }

func (w *writer) bit(set bool) {
	v := uint64(0)
	if set {
		v = 1
	}
	w.bits(v, 1)
}

// bits writes the low n bits of v.
func (w *writer) bits(v uint64, n int) {
	for n > 0 {
		if w.free == 0 {
			w.buf = append(w.buf, 0)
			w.free = 8
		}
		put := min(n, w.free)
		octet := v >> (n - put) & (1<<put - 1)
		w.buf[len(w.buf)-1] |= byte(octet << (w.free - put))
		w.free -= put
		n -= put
	}
}

// field writes the first n bits of b.
func (w *writer) field(b []byte, n int, aligned bool) {
	if n == 0 {
		return
	}
	if aligned {
		w.align()
	}
	if w.free == 0 {
		whole := n / 8
		w.buf = append(w.buf, b[:whole]...)
		b, n = b[whole:], n-8*whole
	}
	for i := 0; n > 0; i++ {
		put := min(n, 8)
		w.bits(uint64(b[i]>>(8-put)), put)
		n -= put
	}
}

// constrained writes a constrained whole number (X.691 11.5).
func (w *writer) constrained(v, lo, hi int64) error {
	if v < lo || v > hi {
		return invalid("%d is not in %d..%d", v, lo, hi)
	}
	span, off := uint64(hi)-uint64(lo), uint64(v)-uint64(lo)
	switch {
	case span < 255:
		w.bits(off, bits.Len64(span))
	case span <= 65535:
		w.align()
		w.bits(off, 8*octetLen(span))
	default:
		n := octetLen(off)
		w.bits(uint64(n-1), bits.Len64(uint64(octetLen(span)-1)))
		w.align()
		w.bits(off, 8*n)
	}
	return nil
}

const fragment = 16 << 10

// length writes a general length determinant (X.691 11.9.3.5 to 8), and says
// how many it covers: fewer than n where the rest goes into a further fragment.
func (w *writer) length(n int) int {
	w.align()
	switch {
	case n < 128:
		w.bits(uint64(n), 8)
	case n < fragment:
		w.bits(0x8000|uint64(n), 16)
	default:
		n = min(n/fragment, 4) * fragment
		w.bits(0xc0|uint64(n/fragment), 8)
	}
	return n
}

// small writes a normally small non-negative whole number (X.691 11.6).
func (w *writer) small(v int) {
	if v < 64 {
		w.bits(uint64(v), 7)
		return
	}
	w.bit(true)
	n := octetLen(uint64(v))
	w.length(n)
	w.bits(uint64(v), 8*n)
}

// integer writes an unconstrained (X.691 11.8) or, with semi, a
// semi-constrained whole number (11.7).
func (w *writer) integer(v, lo int64, semi bool) {
	off := uint64(v)
	n := 8
	if semi {
		off -= uint64(lo)
		n = octetLen(off)
	} else {
		for n > 1 && v<<(64-8*(n-1))>>(64-8*(n-1)) == v {
			n--
		}
	}
	w.length(n)
	w.bits(off, 8*n)
}

// count writes the length n of a string or a list under a size constraint, and
// says how many of them it covers.
func (w *writer) count(n int, s *size) (int, error) {
	outside := n < s.lo || s.hi >= 0 && n > s.hi
	if outside && !s.ext {
		return 0, invalid("a size of %d is not in %s", n, s)
	}
	if s.ext {
		w.bit(outside)
	}
	if s.bounded() && !outside {
		return n, w.constrained(int64(n), int64(s.lo), int64(s.hi))
	}
	return w.length(n), nil
}

// string writes n units of width bits that stand in b.
func (w *writer) string(b []byte, n int, s *size, width int) error {
	part, err := w.count(n, s)
	if err != nil {
		return err
	}
	for {
		w.field(b, part*width, s.aligned(width))
		if n -= part; n == 0 && part < fragment {
			return nil
		}
		b = b[part*width/8:]
		part = w.length(n)
	}
}

// open begins an open type (X.691 11.2); closed ends it. What is written in
// between stands on octet boundaries of its own as of the message.
func (w *writer) open() (at int) {
	w.align()
	w.buf = append(w.buf, 0) // for the length
	return len(w.buf)
}

func (w *writer) closed(at int) {
	w.align()
	if len(w.buf) == at {
		w.buf = append(w.buf, 0)
	}
	n := len(w.buf) - at
	switch {
	case n < 128:
		w.buf[at-1] = byte(n)
	case n < fragment:
		w.buf = append(w.buf, 0)
		copy(w.buf[at+1:], w.buf[at:])
		w.buf[at-1], w.buf[at] = byte(0x80|n>>8), byte(n)
	default:
		body := append([]byte(nil), w.buf[at:]...)
		w.buf = w.buf[:at-1]
		w.octets(body)
	}
}

// octets writes b behind a general length, in fragments where it is long.
func (w *writer) octets(b []byte) {
	for {
		n := w.length(len(b))
		w.field(b, 8*n, true)
		if b = b[n:]; n < fragment {
			return
		}
	}
}
