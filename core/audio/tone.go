package audio

import (
	"math"
	"time"
)

// Tone writes a sum of sines, its phase running on from call to call.
type Tone struct {
	rate  int
	sines []sine
}

type sine struct{ phase, step, peak float64 }

// NewTone of the given frequencies in Hz at rate Hz; each sine has the level
// dBov (an RMS level, negative).
func NewTone(rate int, dBov float64, freqs ...float64) *Tone {
	t := &Tone{rate: rate}
	for _, f := range freqs {
		t.sines = append(t.sines, sine{
			step: 2 * math.Pi * f / float64(rate),
			peak: 32768 * math.Sqrt2 * Gain(dBov),
		})
	}
	return t
}

// Read fills pcm.
func (t *Tone) Read(pcm []int16) {
	for i := range pcm {
		v := 0.0
		for k := range t.sines {
			s := &t.sines[k]
			v += s.peak * math.Sin(s.phase)
			s.phase += s.step
		}
		pcm[i] = clip(float32(v))
	}
	for k := range t.sines {
		t.sines[k].phase = math.Mod(t.sines[k].phase, 2*math.Pi)
	}
}

// Cadence is a tone of the telephone network, on and off in turn (ITU-T E.180;
// the frequencies are North America's, which all the world knows from films).
type Cadence struct {
	Freqs   []float64
	On, Off time.Duration
}

// The call progress tones.
var (
	Ringback   = Cadence{[]float64{440, 480}, 2 * time.Second, 4 * time.Second}
	BusyTone   = Cadence{[]float64{480, 620}, 500 * time.Millisecond, 500 * time.Millisecond}
	Congestion = Cadence{[]float64{480, 620}, 250 * time.Millisecond, 250 * time.Millisecond}
)

// PCM is one period of the cadence at rate Hz, to be looped; -24 dBov a tone.
func (c Cadence) PCM(rate int) []int16 {
	pcm := make([]int16, Samples(c.On+c.Off, rate))
	on := pcm[:Samples(c.On, rate)]
	NewTone(rate, -24, c.Freqs...).Read(on)
	fadeEdges(on, rate)
	return pcm
}

// fadeEdges softens the first and last 5 ms, so that switching does not click.
func fadeEdges(pcm []int16, rate int) {
	n := min(rate/200, len(pcm)/2)
	Ramp(pcm[:n], 0, 1)
	Ramp(pcm[len(pcm)-n:], 1, 0)
}

// Spectrum is the level in dBov of each of the frequencies in pcm (Goertzel
// under a Hann window); a full-scale sine is -3, nothing is -127.
func Spectrum(pcm []int16, rate int, freqs ...float64) []float64 {
	levels := make([]float64, len(freqs))
	windowed, norm := make([]float64, len(pcm)), 0.0
	for i, s := range pcm {
		w := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(pcm)))
		windowed[i] = w * float64(s)
		norm += w
	}
	for k, f := range freqs {
		c := 2 * math.Cos(2*math.Pi*f/float64(rate))
		var s1, s2 float64
		for _, x := range windowed {
			s1, s2 = x+c*s1-s2, s1
		}
		power := s1*s1 + s2*s2 - c*s1*s2
		peak := 2 * math.Sqrt(max(power, 0)) / max(norm, 1)
		levels[k] = max(20*math.Log10(peak/(32768*math.Sqrt2)), -Silence)
		if len(pcm) == 0 {
			levels[k] = -Silence
		}
	}
	return levels
}
