package audio

// Concealer hides lost packets of a waveform codec in the manner of ITU-T G.711
// Appendix I: it repeats the last pitch period, fades it from 10 ms on and
// falls silent after 60 ms, and blends into what comes next.
type Concealer struct {
	rate   int
	hist   []int16 // the last sound played, oldest first
	period []int16 // one pitch period that loops without a seam
	pos    int     // in period
	run    int     // samples concealed since the last good one; 0: none
}

// Limits of the pitch: 66 to 200 Hz, as in the appendix.
const (
	pitchMinHz = 66
	pitchMaxHz = 200
)

// NewConcealer for sound at rate Hz.
func NewConcealer(rate int) *Concealer {
	longest := rate / pitchMinHz
	return &Concealer{
		rate:   rate,
		hist:   make([]int16, longest*5/4+rate/50),
		period: make([]int16, 0, longest),
	}
}

// Good takes a decoded packet on its way to be played. After a loss its first
// 5 ms are changed: faded in over the end of the concealment.
func (c *Concealer) Good(pcm []int16) {
	if c.run > 0 {
		n := min(len(pcm), c.rate/200)
		for i := range n {
			s := int32(c.next())
			pcm[i] = int16((int32(pcm[i])*int32(i) + s*int32(n-i)) / int32(n))
		}
		c.run = 0
	}
	c.remember(pcm)
}

// Lost fills pcm with a guess.
func (c *Concealer) Lost(pcm []int16) {
	if c.run == 0 {
		c.findPeriod()
	}
	for i := range pcm {
		pcm[i] = c.next()
	}
	c.remember(pcm)
}

func (c *Concealer) remember(pcm []int16) {
	if n := len(c.hist); len(pcm) >= n {
		copy(c.hist, pcm[len(pcm)-n:])
		return
	}
	copy(c.hist, c.hist[len(pcm):])
	copy(c.hist[len(c.hist)-len(pcm):], pcm)
}

// next is the next concealing sample, faded by 20 % per 10 ms.
func (c *Concealer) next() int16 {
	full, gone := c.rate/100, c.rate*6/100
	s := int32(c.period[c.pos])
	if c.pos++; c.pos == len(c.period) {
		c.pos = 0
	}
	if c.run < gone {
		c.run++
	}
	if c.run > full {
		s = s * int32(gone-c.run) / int32(gone-full)
	}
	return int16(s)
}

// findPeriod takes the last pitch period from the history; its end is blended
// with what came before it, so that it joins its own beginning.
func (c *Concealer) findPeriod() {
	end, lag := len(c.hist), c.pitch()
	c.period = append(c.period[:0], c.hist[end-lag:]...)
	q := lag / 4
	for i := range q {
		before := int32(c.hist[end-lag-q+i])
		last := int32(c.period[lag-q+i])
		c.period[lag-q+i] = int16((last*int32(q-i) + before*int32(i)) / int32(q))
	}
	c.pos = 0
}

// pitch is the lag in samples at which the last 20 ms repeat best. Every other
// lag and sample at 8 kHz (every fourth at 16) is enough to find it.
func (c *Concealer) pitch() int {
	step := max(c.rate/4000, 1)
	end, window := len(c.hist), c.rate/50-c.rate/pitchMaxHz
	best, bestScore := c.rate/pitchMinHz, float32(0)
	for lag := c.rate / pitchMaxHz; lag <= c.rate/pitchMinHz; lag += max(step/2, 1) {
		var corr, energy float32
		for i := end - window; i < end; i += step {
			a, b := float32(c.hist[i]), float32(c.hist[i-lag])
			corr += a * b
			energy += b * b
		}
		if corr <= 0 || energy == 0 {
			continue
		}
		if score := corr * corr / energy; score > bestScore {
			best, bestScore = lag, score
		}
	}
	return best
}
