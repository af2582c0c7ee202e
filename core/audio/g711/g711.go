// Package g711 is ITU-T G.711, the sound of the telephone network: PCMU (µ-law)
// and PCMA (A-law) of RFC 3551 §4.5.14, 8 kHz and 64 kbit/s.
package g711

import (
	"math"

	"bridgehead/core/audio"
)

const rate = 8000

// Mu is PCMU.
var Mu = describe("PCMU", 0, &muLaw)

// A is PCMA.
var A = describe("PCMA", 8, &aLaw)

// law holds a companding law as tables: 16 KB and 1 KB cost less than the
// arithmetic for each sample.
type law struct {
	compress [1 << 14]byte // by the sample's upper 14 bits, offset to unsigned
	expand   [256]int16
	energy   [256]uint32 // square of expand
}

var muLaw, aLaw law

func init() {
	muLaw.fill(compressMu, expandMu)
	aLaw.fill(compressA, expandA)
}

func (l *law) fill(compress func(int) byte, expand func(byte) int) {
	for i := range l.compress {
		l.compress[i] = compress(i<<2 - 32768)
	}
	for i := range l.expand {
		v := expand(byte(i))
		l.expand[i] = int16(v)
		l.energy[i] = uint32(v * v)
	}
}

func describe(name string, pt uint8, l *law) *audio.Codec {
	return &audio.Codec{
		Name: name, ClockRate: rate, Channels: 1, PayloadType: pt, Rates: []int{rate},
		NewEncoder: func(r int, _ audio.EncoderOptions) (audio.Encoder, error) {
			if r != rate {
				return nil, audio.ErrRate
			}
			return encoder{l}, nil
		},
		NewDecoder: func(r int) (audio.Decoder, error) {
			if r != rate {
				return nil, audio.ErrRate
			}
			return &decoder{law: l, plc: audio.NewConcealer(rate)}, nil
		},
		Ticks: ticks,
		Level: l.level,
	}
}

// ticks: a byte is a sample is a tick.
func ticks(payload []byte) int {
	if len(payload) > audio.Samples(audio.MaxPacket, rate) {
		return 0
	}
	return len(payload)
}

func (l *law) level(payload []byte) uint8 {
	var sum int64
	for _, b := range payload {
		sum += int64(l.energy[b])
	}
	return audio.LevelOf(sum, len(payload))
}

type encoder struct{ *law }

func (e encoder) Encode(dst []byte, pcm []int16) (int, error) {
	if len(dst) < len(pcm) {
		return 0, audio.ErrShort
	}
	dst = dst[:len(pcm)]
	for i, s := range pcm {
		dst[i] = e.compress[uint16(int32(s)+32768)>>2]
	}
	return len(pcm), nil
}

// Follow implements audio.Follower: there is no state to take over.
func (e encoder) Follow(audio.Encoder) {}

type decoder struct {
	*law
	plc *audio.Concealer
}

func (d *decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || ticks(payload) == 0 {
		return 0, audio.ErrPayload
	}
	if len(pcm) < len(payload) {
		return 0, audio.ErrShort
	}
	pcm = pcm[:len(payload)]
	for i, b := range payload {
		pcm[i] = d.expand[b]
	}
	d.plc.Good(pcm)
	return len(pcm), nil
}

func (d *decoder) Conceal(pcm []int16) int {
	d.plc.Lost(pcm)
	return len(pcm)
}

func (d *decoder) Recover(pcm []int16, _ []byte) int { return d.Conceal(pcm) }

// compressMu is the µ-law of G.711 table 2 on a 16-bit sample: sign, segment
// and step of the magnitude (14 bits with a bias of 33), all bits inverted.
func compressMu(s int) byte {
	sign := byte(0x80)
	if s < 0 {
		s, sign = ^s, 0
	}
	m := min(s>>2+33, 0x1fff)
	seg := int(math.Log2(float64(m))) - 5
	return sign | ^(byte(seg<<4)|byte(m>>(seg+1)&0xf))&0x7f
}

func expandMu(b byte) int { return int(audio.ExpandMu(b)) }

// compressA is the A-law of G.711 table 1 on a 16-bit sample: sign, segment
// and step of the magnitude (12 bits), even bits inverted.
func compressA(s int) byte {
	sign := byte(0x80)
	if s < 0 {
		s, sign = ^s, 0
	}
	m := s >> 4     // 0..2047
	code := byte(m) // the first two segments have steps of one
	if m >= 32 {
		seg := int(math.Log2(float64(m))) - 3
		code = byte(seg<<4) | byte(m>>(seg-1)&0xf)
	}
	return sign ^ code ^ 0x55
}

func expandA(b byte) int {
	b ^= 0x55
	seg, step := int(b>>4&7), int(b&0xf)
	m := step<<1 + 1
	if seg > 0 {
		m = (m + 32) << (seg - 1)
	}
	if m <<= 3; b&0x80 == 0 {
		return -m
	}
	return m
}
