package audio

// VAD tells voice from background by level: it follows the noise floor and
// holds on through the pauses between syllables.
type VAD struct {
	floor float64 // -dBov, of the quietest sound of the last seconds
	hang  int     // frames still counted as voice
}

const (
	vadOver  = 9.   // dB over the floor
	vadLeast = 55   // -dBov, below which nothing is voice
	vadHang  = 15   // frames: 300 ms, the longest pause within a word
	vadRise  = 0.02 // dB a frame: 1 dB/s, so that a long vowel is not floor
)

// Frame takes the level of the next 20 ms in -dBov and reports voice.
func (v *VAD) Frame(level uint8) bool {
	l := float64(level)
	if l > v.floor { // at first, and when quieter: the floor falls at once
		v.floor = min(l, 80)
	} else {
		v.floor -= vadRise
	}
	if level <= vadLeast && l < v.floor-vadOver {
		v.hang = vadHang
	} else if v.hang > 0 {
		v.hang--
	}
	return v.hang > 0
}

// AGC brings voices to one loudness: slowly, within limits, led by voice alone
// and never lifting what is not voice.
type AGC struct {
	vad  VAD
	want float64 // dB, learnt from voice
	gain float32 // factor at the end of the last frame
}

const (
	agcTarget = 20.0 // -dBov of a frame of voice
	agcMost   = 12.0 // dB
	agcLeast  = -9.0
	agcUp     = 0.06 // dB a frame: 3 dB/s
	agcDown   = 0.3  // 15 dB/s: too loud hurts, too soft only bothers
)

// Frame changes the next 20 ms in place.
func (a *AGC) Frame(pcm []int16) {
	level := Level(pcm)
	voice := a.vad.Frame(level)
	if voice && level <= vadLeast {
		switch off := float64(level) - a.want - agcTarget; {
		case off > 2:
			a.want = min(a.want+agcUp, agcMost)
		case off < -2:
			a.want = max(a.want-agcDown, agcLeast)
		}
	}
	to := float32(Gain(a.want))
	if !voice {
		to = min(to, 1)
	}
	if a.gain == 0 {
		a.gain = 1
	}
	Ramp(pcm, a.gain, to)
	a.gain = to
}
