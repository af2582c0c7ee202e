package caller

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"bridgehead/core/audio"
	"bridgehead/core/mix"
)

// Steady is a second of a tone, which can be played over and over: hz is a whole
// number.
func Steady(dBov, hz float64) *mix.Clip {
	pcm := make([]int16, Rate)
	audio.NewTone(Rate, dBov, hz).Read(pcm)
	return mix.NewClip(Rate, pcm)
}

// Tone is a steady sound found in what was heard.
type Tone struct {
	Hz   float64 `json:"hz"`
	DBov float64 `json:"dbov"`
}

func (t Tone) String() string { return fmt.Sprintf("%.0f Hz at %.0f dBov", t.Hz, t.DBov) }

const (
	lowest, highest, step = 100.0, 3800.0, 10.0 // Hz searched
	audible               = -45.0               // dBov
	masked                = 26.0                // dB below the loudest: leakage and distortion
	neighbours            = 40.0                // Hz within which the louder one counts
	mostTones             = 6
)

// Tones finds the steady tones in pcm, loudest first.
func Tones(pcm []int16, rate int) (found []Tone) {
	if len(pcm) > 4*rate {
		pcm = pcm[len(pcm)-4*rate:]
	}
	window := rate / 8
	if len(pcm) < 2*window {
		return nil
	}
	var freqs []float64
	for f := lowest; f <= highest; f += step {
		freqs = append(freqs, f)
	}
	power := make([]float64, len(freqs))
	windows := 0.0
	for at := 0; at+window <= len(pcm); at += window {
		for i, dB := range audio.Spectrum(pcm[at:at+window], rate, freqs...) {
			power[i] += math.Pow(10, dB/10)
		}
		windows++
	}
	for i, p := range power {
		if t := (Tone{freqs[i], 10 * math.Log10(p/windows)}); t.DBov > audible && isPeak(power, i) {
			found = append(found, refine(pcm, rate, t))
		}
	}
	return strongest(found)
}

func isPeak(power []float64, i int) bool {
	for j := max(0, i-2); j <= min(len(power)-1, i+2); j++ {
		if power[j] > power[i] {
			return false
		}
	}
	return true
}

// refine finds the frequency to a hertz in the last second.
func refine(pcm []int16, rate int, t Tone) Tone {
	last := pcm[max(0, len(pcm)-rate):]
	var freqs []float64
	for f := t.Hz - step; f <= t.Hz+step; f++ {
		freqs = append(freqs, f)
	}
	best := slices.Max(audio.Spectrum(last, rate, freqs...))
	for i, dB := range audio.Spectrum(last, rate, freqs...) {
		if dB == best && best > t.DBov-6 {
			t.Hz = freqs[i]
		}
	}
	return t
}

func strongest(tones []Tone) (list []Tone) {
	slices.SortFunc(tones, func(a, b Tone) int { return cmp.Compare(b.DBov, a.DBov) })
	for _, t := range tones {
		near := slices.ContainsFunc(list, func(o Tone) bool { return math.Abs(o.Hz-t.Hz) < neighbours })
		if !near && t.DBov > tones[0].DBov-masked && len(list) < mostTones {
			list = append(list, t)
		}
	}
	return list
}
