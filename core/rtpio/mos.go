package rtpio

import (
	"math"
	"strings"
	"time"

	"bridgehead/core"
)

// MOS estimates how a listener would grade what was received, from 1 to 4.5,
// by the E-model (ITU-T G.107, simplified as in G.107 Annex B): delay, loss,
// and the codec's equipment impairment and robustness (G.113).
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
	delay := float64((rtt/2 + 2*s.Jitter + 40*time.Millisecond).Milliseconds())
	id := 0.024 * delay
	if delay > 177.3 {
		id += 0.11 * (delay - 177.3)
	}
	r := 93.2 - id - (ie + (95-ie)*loss/(loss+bpl))
	r = max(0, min(100, r))
	mos := 1 + 0.035*r + r*(r-60)*(100-r)*7e-6
	return math.Round(100*max(1, min(4.5, mos))) / 100
}
