// Package g722 is ITU-T G.722 in mode 1 (64 kbit/s), the wideband sound of
// desk phones and room systems: two sub-bands of 16 kHz PCM, each coded by
// ADPCM, six bits for the lower and two for the upper (RFC 3551 §4.5.2). The
// functions carry the names of the standard's blocks.
package g722

import "bridgehead/core/audio"

const rate = 16000

// Codec is G722. Its RTP clock is half its sample rate: a byte is a tick.
var Codec = &audio.Codec{
	Name: "G722", ClockRate: 8000, Channels: 1, PayloadType: 9, Rates: []int{rate},
	NewEncoder: func(r int, _ audio.EncoderOptions) (audio.Encoder, error) {
		if r != rate {
			return nil, audio.ErrRate
		}
		e := &encoder{}
		e.low.det, e.high.det = 32, 8
		return e, nil
	},
	NewDecoder: func(r int) (audio.Decoder, error) {
		if r != rate {
			return nil, audio.ErrRate
		}
		d := &decoder{plc: audio.NewConcealer(rate)}
		d.low.det, d.high.det = 32, 8
		return d, nil
	},
	Ticks: ticks,
}

func ticks(payload []byte) int {
	if len(payload) > audio.Samples(audio.MaxPacket, rate/2) {
		return 0
	}
	return len(payload)
}

// encoder of one stream (G.722 §3).
type encoder struct {
	qmf       qmf
	low, high band
}

// Follow implements audio.Follower.
func (e *encoder) Follow(other audio.Encoder) {
	if o, ok := other.(*encoder); ok {
		*e = *o
	}
}

func (e *encoder) Encode(dst []byte, pcm []int16) (int, error) {
	n := len(pcm) / 2
	if len(pcm)%2 != 0 || len(dst) < n {
		return 0, audio.ErrShort
	}
	for i := range n {
		low, high := e.qmf.split(pcm[2*i], pcm[2*i+1])
		dst[i] = byte(e.encodeHigh(high)<<6 | e.encodeLow(low))
	}
	return n, nil
}

// encodeLow is QUANTL, INVQAL, LOGSCL and SCALEL of the lower band.
func (e *encoder) encodeLow(x int) int {
	b := &e.low
	el := sat(x - b.s)
	mag := el
	if el < 0 {
		mag = ^el
	}
	i := 1
	for i < 30 && mag >= q6[i]*b.det>>12 {
		i++
	}
	code := ilp[i]
	if el < 0 {
		code = iln[i]
	}
	b.adaptLow(code >> 2)
	return code
}

// encodeHigh is QUANTH, INVQAH, LOGSCH and SCALEH of the upper band.
func (e *encoder) encodeHigh(x int) int {
	b := &e.high
	eh := sat(x - b.s)
	mag := eh
	if eh < 0 {
		mag = ^eh
	}
	outer := mag >= 564*b.det>>12
	code := 3
	switch {
	case eh < 0 && outer:
		code = 0
	case eh < 0:
		code = 1
	case outer:
		code = 2
	}
	b.adaptHigh(code)
	return code
}

// decoder of one stream (G.722 §4).
type decoder struct {
	qmf       qmf
	low, high band
	plc       *audio.Concealer
}

func (d *decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || ticks(payload) == 0 {
		return 0, audio.ErrPayload
	}
	n := 2 * len(payload)
	if len(pcm) < n {
		return 0, audio.ErrShort
	}
	for i, c := range payload {
		il, ih := int(c&0x3f), int(c>>6)
		low := limit(d.low.s + d.low.det*qm6[il]>>15)
		d.low.adaptLow(il >> 2)
		high := limit(d.high.s + d.high.det*qm2[ih]>>15)
		d.high.adaptHigh(ih)
		pcm[2*i], pcm[2*i+1] = d.qmf.join(low, high)
	}
	d.plc.Good(pcm[:n])
	return n, nil
}

func (d *decoder) Conceal(pcm []int16) int {
	d.plc.Lost(pcm)
	return len(pcm)
}

func (d *decoder) Recover(pcm []int16, _ []byte) int { return d.Conceal(pcm) }

// band is the ADPCM state of one sub-band, scaled as in the standard.
type band struct {
	s, sz int    // predictor output: all, and of the zero section
	nb    int    // logarithmic scale factor
	det   int    // scale factor
	r, p  [3]int // reconstructed and partially reconstructed signal
	a     [3]int // pole coefficients a[1], a[2]
	d, b  [7]int // difference signal and zero coefficients b[1]..b[6]
}

// adaptLow follows the four upper bits of a lower-band code.
func (b *band) adaptLow(ril int) {
	d := b.det * qm4[ril] >> 15
	b.nb = min(max(b.nb*127>>7+wl[rl42[ril]], 0), 18432)
	b.det = scale(b.nb, 8)
	b.predict(d)
}

// adaptHigh follows an upper-band code.
func (b *band) adaptHigh(ih int) {
	d := b.det * qm2[ih] >> 15
	b.nb = min(max(b.nb*127>>7+wh[ih&1], 0), 22528)
	b.det = scale(b.nb, 10)
	b.predict(d)
}

// scale is SCALEL and SCALEH: the antilogarithm of nb.
func scale(nb, shift int) int {
	v := ilb[nb>>6&31]
	if shift -= nb >> 11; shift < 0 {
		return v << -shift << 2
	}
	return v >> shift << 2
}

// predict is block 4: RECONS, PARREC, UPPOL2, UPPOL1, UPZERO, DELAYA, FILTEP,
// FILTEZ and PREDIC, given the quantised difference d.
func (b *band) predict(d int) {
	b.d[0] = d
	b.r[0] = sat(b.s + d)
	b.p[0] = sat(b.sz + d)
	b.updatePoles()
	b.updateZeros()

	b.r[2], b.r[1] = b.r[1], b.r[0]
	b.p[2], b.p[1] = b.p[1], b.p[0]
	sp := sat(b.a[1]*sat(2*b.r[1])>>15 + b.a[2]*sat(2*b.r[2])>>15)
	sz := 0
	for i := 6; i > 0; i-- {
		b.d[i] = b.d[i-1]
		sz += b.b[i] * sat(2*b.d[i]) >> 15
	}
	b.sz = sat(sz)
	b.s = sat(sp + b.sz)
}

func (b *band) updatePoles() {
	same1 := b.p[0] < 0 == (b.p[1] < 0)
	same2 := b.p[0] < 0 == (b.p[2] < 0)
	w := sat(4 * b.a[1])
	if same1 {
		w = -w
	}
	a2 := min(w, 32767)>>7 + b.a[2]*32512>>15
	if same2 {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = min(max(a2, -12288), 12288)
	a1 := b.a[1] * 32640 >> 15
	if same1 {
		a1 += 192
	} else {
		a1 -= 192
	}
	bound := sat(15360 - a2)
	b.a[1], b.a[2] = min(max(sat(a1), -bound), bound), a2
}

func (b *band) updateZeros() {
	step := 128
	if b.d[0] == 0 {
		step = 0
	}
	for i := 1; i < 7; i++ {
		w := step
		if b.d[0] < 0 != (b.d[i] < 0) {
			w = -step
		}
		b.b[i] = sat(w + b.b[i]*32640>>15)
	}
}

// qmf is the 24-tap quadrature mirror filter between full band and sub-bands.
type qmf struct{ x [24]int32 }

func (q *qmf) split(s0, s1 int16) (low, high int) {
	copy(q.x[:], q.x[2:])
	q.x[22], q.x[23] = int32(s0), int32(s1)
	var odd, even int32
	for i, c := range taps {
		odd += q.x[2*i] * c
		even += q.x[2*i+1] * taps[11-i]
	}
	return int(even+odd) >> 14, int(even-odd) >> 14
}

func (q *qmf) join(low, high int) (s0, s1 int16) {
	copy(q.x[:], q.x[2:])
	q.x[22], q.x[23] = int32(low+high), int32(low-high)
	var a, b int32
	for i, c := range taps {
		a += q.x[2*i+1] * taps[11-i]
		b += q.x[2*i] * c
	}
	return int16(sat(int(a >> 11))), int16(sat(int(b >> 11)))
}

func sat(v int) int   { return min(max(v, -32768), 32767) }
func limit(v int) int { return min(max(v, -16384), 16383) }
