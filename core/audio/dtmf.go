package audio

import (
	"math"
	"strings"
	"time"
)

// The keys and their tone pairs (ITU-T Q.23).
const keys = "123A456B789C*0#D"

var (
	dtmfRows = [4]float64{697, 770, 852, 941}
	dtmfCols = [4]float64{1209, 1336, 1477, 1633}
)

// DTMF is the sound of the keys, each on and then off for the given times at
// rate Hz, each of the two sines at dBov. Unknown keys become pauses.
func DTMF(rate int, digits string, on, off time.Duration, dBov float64) []int16 {
	var pcm []int16
	for _, d := range digits {
		tone := make([]int16, Samples(on, rate))
		if k := strings.IndexRune(keys, d); k >= 0 {
			NewTone(rate, dBov, dtmfRows[k/4], dtmfCols[k%4]).Read(tone)
			fadeEdges(tone, rate*2/5) // 2 ms
		}
		pcm = append(pcm, tone...)
		pcm = append(pcm, make([]int16, Samples(off, rate))...)
	}
	return pcm
}

// Limits of a digit, from ITU-T Q.24 and what telephones really send.
const (
	dtmfMinPower  = 32768. * 32768 / 10000 // -40 dBov for both sines together
	dtmfTwist     = 8.0                    // columns over rows at most 9 dB (power ratio)
	dtmfReverse   = 4.0                    // rows over columns at most 6 dB
	dtmfOthers    = 6.3                    // over the next of its group by 8 dB
	dtmfPurity    = 0.72                   // share of all power; speech spreads wider
	dtmfHarmonic  = 0.10                   // of the column's second harmonic; vowels have more (a row's lies too near the columns)
	dtmfBlocksOn  = 2                      // alike in a row: ≥ 26 ms, so 40 ms always holds them
	dtmfBlocksOff = 2                      // without it before the same key counts anew
)

// DTMF blocks are 12.75 ms (102 samples at 8 kHz): short enough to find two
// whole ones in 40 ms, long enough to tell 697 from 770 Hz.
const dtmfBlockRate = 8000. / 102

// DigitDetector finds the keys of a telephone in its sound.
type DigitDetector struct {
	coef   [12]float64 // rows, columns, the columns' second harmonics
	block  int
	s      [12][2]float64
	n      int
	energy float64

	last, now byte // key of the block before; key being pressed
	same, off int
}

// NewDigitDetector for sound at rate Hz.
func NewDigitDetector(rate int) *DigitDetector {
	d := &DigitDetector{block: int(float64(rate)/dtmfBlockRate + 0.5)}
	freqs := append(append([]float64{}, dtmfRows[:]...), dtmfCols[:]...)
	for i := range 4 {
		freqs = append(freqs, 2*dtmfCols[i])
	}
	for i, f := range freqs {
		d.coef[i] = 2 * math.Cos(2*math.Pi*f/float64(rate))
	}
	return d
}

// Active reports whether a key is being pressed.
func (d *DigitDetector) Active() bool { return d.now != 0 }

// Write takes the next sound and calls found for each key whose tone began.
func (d *DigitDetector) Write(pcm []int16, found func(key byte)) {
	for len(pcm) > 0 {
		n := min(len(pcm), d.block-d.n)
		d.filter(pcm[:n])
		pcm = pcm[n:]
		if d.n += n; d.n == d.block {
			if key := d.step(d.decide()); key != 0 {
				found(key)
			}
			d.s, d.n, d.energy = [12][2]float64{}, 0, 0
		}
	}
}

func (d *DigitDetector) filter(pcm []int16) {
	for _, v := range pcm {
		d.energy += float64(v) * float64(v)
	}
	if d.energy < dtmfMinPower/4 {
		return // near silence: nothing in it can become a key
	}
	for k, c := range d.coef {
		s1, s2 := d.s[k][0], d.s[k][1]
		for _, v := range pcm {
			s1, s2 = float64(v)+c*s1-s2, s1
		}
		d.s[k] = [2]float64{s1, s2}
	}
}

// power of the k-th frequency, on the scale of the mean square of its sine.
func (d *DigitDetector) power(k int) float64 {
	s1, s2 := d.s[k][0], d.s[k][1]
	n := float64(d.block)
	return 2 * (s1*s1 + s2*s2 - d.coef[k]*s1*s2) / (n * n)
}

// decide which key the finished block holds; 0 if none.
func (d *DigitDetector) decide() byte {
	mean := d.energy / float64(d.block)
	if mean < dtmfMinPower {
		return 0
	}
	var p [12]float64
	for k := range p {
		p[k] = d.power(k)
	}
	row, rowClear := strongest(p[:4])
	col, colClear := strongest(p[4:8])
	pr, pc := p[row], p[4+col]
	switch {
	case !rowClear || !colClear:
	case pc > pr*dtmfTwist || pr > pc*dtmfReverse:
	case pr+pc < dtmfPurity*mean:
	case p[8+col] > dtmfHarmonic*pc:
	default:
		return keys[4*row+col]
	}
	return 0
}

// strongest of four powers, and whether it stands out.
func strongest(p []float64) (at int, clear bool) {
	for i := range p {
		if p[i] > p[at] {
			at = i
		}
	}
	for i := range p {
		if i != at && p[i]*dtmfOthers > p[at] {
			return at, false
		}
	}
	return at, true
}

// step counts alike blocks and returns a key at its beginning.
func (d *DigitDetector) step(key byte) byte {
	if key == d.last {
		d.same++
	} else {
		d.last, d.same = key, 1
	}
	if d.now != 0 && key != d.now {
		if d.off++; d.off >= dtmfBlocksOff {
			d.now = 0
		}
	} else {
		d.off = 0
	}
	if key != 0 && key != d.now && d.same >= dtmfBlocksOn {
		d.now, d.off = key, 0
		return key
	}
	return 0
}
