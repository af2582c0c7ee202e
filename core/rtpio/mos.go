package rtpio

import (
	"math"
	"strings"
	"time"

	"bridgehead/core"
)

// MOS estimates how a listener would grade what was received, from 1 to 4.5,
// by the E-model (ITU-T G.107) with its default values: delay, loss, and the
// codec's impairment and robustness (G.113 Appendix I; Opus, which is not listed
// there, is taken to bear a little more than G.711 with concealment).
func MOS(s core.Stats, rtt time.Duration) float64 {
	ie, bpl := 0.0, 25.1 // G.711 with loss concealment
	switch {
	case strings.EqualFold(s.Codec, "opus"):
		bpl = 30
	case strings.EqualFold(s.Codec, "G722"):
		ie, bpl = 4, 20
	}
	loss := 0.0
	if n := s.PacketsReceived + s.PacketsLost; n > 0 {
		loss = 100 * float64(s.PacketsLost) / float64(n)
	}
	delay := rtt/2 + 2*s.Jitter + 40*time.Millisecond // with the jitter buffer, and a packet at either end
	return math.Round(100*mosOf(ratingAfter(delay)-(ie+(95-ie)*loss/(loss+bpl)))) / 100
}

// ratingAfter is the rating R of G.107 §7 for a one-way delay, before what
// codec and loss take from it.
func ratingAfter(oneWay time.Duration) float64 {
	const (
		noise        = -61.18 // No, dBm0p
		signal       = 15 - 1.5*(8+noise)
		simultaneous = 1.41 // Is
		telr, wepl   = 65, 110
	)
	t := float64(oneWay) / float64(time.Millisecond)
	// The talker's echo (Idte), the listener's (Idle), and the delay (Idd).
	terv := telr - 40*math.Log10((1+t/10)/(1+t/150)) + 6*math.Exp(-0.3*t*t)
	d := -1.5*(noise-2) - (80 + 2.5*(terv-14))
	talker := (d/2 + math.Sqrt(d*d/4+100) - 1) * (1 - math.Exp(-t))
	d = signal - 10.5*(wepl+7)*math.Pow(2*t+1, -0.25)
	listener := d/2 + math.Sqrt(d*d/4+169)
	long := 0.0
	if t > 100 {
		x := math.Log2(t / 100)
		long = 25 * (math.Pow(1+math.Pow(x, 6), 1.0/6) - 3*math.Pow(1+math.Pow(x/3, 6), 1.0/6) + 2)
	}
	return signal - simultaneous - talker - listener - long
}

// mosOf is G.107 Annex B.
func mosOf(r float64) float64 {
	r = max(0, min(100, r))
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}
