// Package codec decodes and encodes pictures with the usual C libraries:
// OpenH264 for H.264, libvpx for VP8 and VP9, dav1d for AV1, libyuv for scaling.
// It is linked into the media worker alone: what a hostile stream breaks here
// breaks no call.
package codec

import (
	"errors"

	"bridgehead/core/compose/wire"
)

// Picture is planar YUV 4:2:0 with limited range, as all these codecs have it.
// The strides are those of luma and of either chroma, in octets.
type Picture struct {
	W, H      int
	Y, U, V   []byte
	YS, CS    int
	allocated bool
}

// NewPicture makes a black one; w and h are even.
func NewPicture(w, h int) *Picture {
	p := &Picture{W: w, H: h, YS: w, CS: (w + 1) / 2, allocated: true}
	n := p.CS * ((h + 1) / 2)
	p.Y, p.U, p.V = make([]byte, w*h), make([]byte, n), make([]byte, n)
	p.Fill(16, 128, 128)
	return p
}

// Fill paints all of it.
func (p *Picture) Fill(y, u, v byte) {
	fill(p.Y, y)
	fill(p.U, u)
	fill(p.V, v)
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// Part is the rectangle of p at x, y, which are even.
func (p *Picture) Part(x, y, w, h int) *Picture {
	at := y/2*p.CS + x/2
	return &Picture{W: w, H: h, YS: p.YS, CS: p.CS, Y: p.Y[y*p.YS+x:], U: p.U[at:], V: p.V[at:]}
}

// Decoder of one stream. It is used from one goroutine at a time.
type Decoder interface {
	// Decode takes one coded frame and returns the picture, valid until the
	// next call; nil if there is none yet.
	Decode(frame []byte) (*Picture, error)
	Close()
}

// Errors of decoders.
var (
	ErrCodec = errors.New("codec: cannot be set up")
	ErrFrame = errors.New("codec: frame cannot be decoded")
	ErrSize  = errors.New("codec: picture too large")
)

// largest picture that is decoded, in pixels: 4K.
const maxPixels = 4096 * 2304

// NewDecoder makes one.
func NewDecoder(c wire.Codec) (Decoder, error) {
	switch c {
	case wire.H264:
		return newH264()
	case wire.VP8, wire.VP9:
		return newVPX(c == wire.VP9)
	case wire.AV1:
		return newAV1()
	}
	return nil, ErrCodec
}
