package audio

import (
	"math"
	"sync"
)

// Resampler changes the sample rate of one stream by a whole fraction up/down,
// with a polyphase low-pass filter: flat to 85 % of the lower rate's band, more
// than 60 dB down from 115 % on, 2 ms of delay at 8 kHz.
type Resampler struct {
	up, down int
	phases   [][]float32 // one set of taps for each of the up positions
	hist     []float32   // the last taps-1 inputs, then the block at work
	phase    int         // position of the next output, in 1/up of an input
}

// taps for each phase, at the lower of the two rates.
const tapsPerPhase = 32

// maxBlock is the longest input of one Process at any of our rates.
const maxBlock = 48000 / 1000 * 120

// NewResampler from one rate to the other, both in Hz and multiples of 1000.
// Equal rates make a Resampler that copies.
func NewResampler(from, to int) *Resampler {
	g := gcd(from, to)
	r := &Resampler{up: to / g, down: from / g}
	if from != to {
		r.phases = filter(r.up, r.down)
		r.hist = make([]float32, len(r.phases[0])-1, len(r.phases[0])-1+maxBlock)
	}
	return r
}

// Len is the length of the output for n samples of input, where n is a whole
// number of milliseconds.
func (r *Resampler) Len(n int) int { return n * r.up / r.down }

// Process turns src into dst and returns how many samples it wrote. dst must
// hold Len(len(src)); src is at most 120 ms of 48 kHz.
func (r *Resampler) Process(dst, src []int16) int {
	if r.phases == nil {
		return copy(dst, src)
	}
	src = src[:min(len(src), maxBlock)]
	keep := len(r.phases[0]) - 1
	r.hist = r.hist[:keep+len(src)]
	for i, s := range src {
		r.hist[keep+i] = float32(s)
	}
	n, at := 0, 0
	for at < len(src) && n < len(dst) {
		taps := r.phases[r.phase]
		dst[n] = clip(dot(taps, r.hist[at:at+len(taps)]))
		n++
		r.phase += r.down
		at += r.phase / r.up
		r.phase %= r.up
	}
	copy(r.hist, r.hist[len(src):])
	return n
}

// Follow takes over the state of another Resampler of the same rates.
func (r *Resampler) Follow(o *Resampler) {
	if r.up != o.up || r.down != o.down || r.phases == nil {
		return
	}
	r.phase = o.phase
	r.hist = append(r.hist[:0], o.hist[:len(o.phases[0])-1]...)
}

// dot in four lanes, which the processor adds side by side.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

var filters sync.Map // [2]int{up, down} → [][]float32, shared by all streams

// filter is a Kaiser-windowed sinc, cut into its phases and turned for dot.
func filter(up, down int) [][]float32 {
	key := [2]int{up, down}
	if f, ok := filters.Load(key); ok {
		return f.([][]float32)
	}
	wide := max(up, down)
	n := tapsPerPhase * wide // taps at the common rate of up × input
	per := (n + up - 1) / up
	const beta = 6.5 // 67 dB of stop band
	phases := make([][]float32, up)
	for p := range phases {
		phases[p] = make([]float32, per)
		sum := 0.0
		for k := range per {
			i := k*up + p // tap of the prototype
			x := (float64(i) - float64(n-1)/2) / float64(wide)
			w := 2*float64(i)/float64(n-1) - 1
			if w > 1 {
				continue
			}
			v := sinc(0.98*x) * bessel(beta*math.Sqrt(max(1-w*w, 0)))
			phases[p][per-1-k] = float32(v)
			sum += v
		}
		for k := range phases[p] { // each phase passes DC as it is
			phases[p][k] /= float32(sum)
		}
	}
	filters.Store(key, phases)
	return phases
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel is the modified Bessel function I0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-9*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
