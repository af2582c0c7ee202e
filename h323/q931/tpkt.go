package q931

import (
	"encoding/binary"
	"errors"
	"io"
)

// MaxTPKT is the most octets a TPKT can carry.
const MaxTPKT = 65535 - tpktHeader

const (
	tpktHeader  = 4
	tpktVersion = 3
)

// ErrTPKT says that a stream is not a sequence of TPKTs: it can't be read on.
var ErrTPKT = errors.New("q931: not a TPKT")

// ReadTPKT reads the next TPKT of a stream (RFC 1006 §6; H.225.0 uses it for
// call signalling, H.245 does too) into buf, which grows as it must, and
// returns what it carries, a part of buf. A keep-alive carries nothing: either
// an empty TPKT, or the octets 00 03 04 00 that some endpoints send. The
// reserved octet may be anything.
func ReadTPKT(r io.Reader, buf []byte) ([]byte, error) {
	var h [tpktHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	if h == [4]byte{0, 3, 4, 0} {
		return buf[:0], nil
	}
	n := int(binary.BigEndian.Uint16(h[2:])) - tpktHeader
	if h[0] != tpktVersion || n < 0 {
		return nil, ErrTPKT
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return buf[:n], nil
}

// AppendTPKT appends payload, of at most MaxTPKT octets, as a TPKT to dst; an
// empty one is a keep-alive.
func AppendTPKT(dst, payload []byte) ([]byte, error) {
	if len(payload) > MaxTPKT {
		return dst, ErrTPKT
	}
	dst = append(dst, tpktVersion, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)+tpktHeader))
	return append(dst, payload...), nil
}
