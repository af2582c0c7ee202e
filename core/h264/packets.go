package h264

import (
	"bytes"
	"errors"
)

// Errors of payloads and streams.
var (
	ErrPayload = errors.New("h264: malformed RTP payload")
	errLong    = errors.New("h264: NAL unit too long")
)

// maxNAL bounds a NAL unit put together of fragments, in bytes.
const maxNAL = 1 << 20

// Units takes the NAL units out of RTP payloads (RFC 6184 §5), which come in
// order. The zero value is ready.
type Units struct {
	part []byte // of fragments so far
	open bool
}

// Lost forgets the fragments so far: a packet is missing.
func (u *Units) Lost() { u.part, u.open = u.part[:0], false }

// Push calls f for each NAL unit that the payload completes; it is valid until
// f returns.
func (u *Units) Push(b []byte, f func(nal []byte)) error {
	if len(b) == 0 {
		return ErrPayload
	}
	switch t := b[0] & 0x1f; {
	case t == STAPA:
		return aggregated(b[1:], f)
	case t == FUA:
		return u.fragment(b, f)
	case t == 0 || t > 23:
		return ErrPayload
	}
	f(b)
	return nil
}

func aggregated(b []byte, f func([]byte)) error {
	for len(b) > 0 {
		if len(b) < 3 {
			return ErrPayload
		}
		n := int(b[0])<<8 | int(b[1])
		if n == 0 || n > len(b)-2 {
			return ErrPayload
		}
		f(b[2 : 2+n])
		b = b[2+n:]
	}
	return nil
}

func (u *Units) fragment(b []byte, f func([]byte)) error {
	if len(b) < 3 {
		return ErrPayload
	}
	if b[1]&0x80 != 0 {
		u.part, u.open = append(u.part[:0], b[0]&0xe0|b[1]&0x1f), true
	}
	if !u.open {
		return ErrPayload // its beginning is missing
	}
	if len(u.part)+len(b) > maxNAL {
		u.Lost()
		return errLong
	}
	u.part = append(u.part, b[2:]...)
	if b[1]&0x40 != 0 {
		u.open = false
		f(u.part)
	}
	return nil
}

// Payloads calls f with the payloads of a NAL unit, none longer than size
// bytes: the unit itself, or fragments where mode allows them (1). A unit that
// is too long for mode 0 is an error. The slices are valid until f returns.
func Payloads(nal []byte, mode, size int, f func(payload []byte)) error {
	switch {
	case len(nal) == 0:
		return ErrPayload
	case len(nal) <= size:
		f(nal)
		return nil
	case mode == 0:
		return errLong
	}
	buf := make([]byte, 0, size)
	head, rest := nal[0], nal[1:]
	for first := true; len(rest) > 0; first = false {
		n := min(size-2, len(rest))
		fu := head & 0x1f
		if first {
			fu |= 0x80
		}
		if n == len(rest) {
			fu |= 0x40
		}
		f(append(append(buf, head&0xe0|FUA, fu), rest[:n]...))
		rest = rest[n:]
	}
	return nil
}

var startCode = []byte{0, 0, 1}

// Split lists the NAL units of a byte stream (Annex B), as slices of it.
func Split(b []byte) (nals [][]byte) {
	at := bytes.Index(b, startCode)
	for at >= 0 {
		b = b[at+3:]
		at = bytes.Index(b, startCode)
		nal := b
		if at >= 0 {
			nal = b[:at]
		}
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals
}

// Pictures groups NAL units into access units (§7.4.1.2.3, for streams whose
// pictures' slices say by first_mb_in_slice where one begins).
func Pictures(nals [][]byte) (units [][][]byte) {
	var now [][]byte
	sliced := false
	for _, n := range nals {
		t := n[0] & 0x1f
		slice := t >= Slice && t <= IDR
		begins := slice && len(n) > 1 && n[1]&0x80 != 0 || t >= SEI && t <= AUD
		if begins && sliced {
			units, now, sliced = append(units, now), nil, false
		}
		now, sliced = append(now, n), sliced || slice
	}
	if len(now) > 0 {
		units = append(units, now)
	}
	return units
}
