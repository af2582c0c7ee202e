package mix

import (
	"math"
	"time"

	"bridgehead/core/audio"
)

// A telephone that sends back what it is sent makes the others hear themselves,
// and itself hears nothing wrong. It is found by comparing how loud the sound was
// that it was sent with what came from it later, 20 ms by 20 ms: an echo has the
// words and pauses of the others, a voice has its own. One party of a meeting is
// looked at for some seconds, then the next, so that this costs nothing worth
// measuring.
const (
	echoWindow = 10 * framesPerS // in which levels are compared
	echoFirst  = 1               // steps after which an echo may come: 20 ms,
	echoLast   = 30              // to 600 ms
	// likeness is the least correlation of an echo. What two people say who do not
	// listen to each other reaches 0.75 in one window of some ten thousand.
	likeness = 0.75
	// An echo that was found again comes as late as before, but for jitter buffers
	// and clocks.
	echoDrift = 3 // steps
	// floor is the level below which all is silence; above talking, in -dBov, the
	// others do, for echoTalk steps at least, with so much difference between words
	// and pauses as only speech has.
	echoFloor  = 70
	talking    = 45
	echoTalk   = echoWindow / 5
	echoSpread = 6 // dB
)

// echoWatch compares for one party at a time; it belongs to Step.
type echoWatch struct {
	of         *Input
	n          int
	sent, came [echoWindow]uint8 // -dBov
}

// watchEcho takes down a step.
func (m *Mixer) watchEcho(l *lists) {
	e := &m.echo
	if e.of == nil || !e.of.able() {
		e.of, e.n = m.nextForEcho(l), 0
		if e.of == nil {
			return
		}
	}
	e.sent[e.n], e.came[e.n] = m.sentTo(e.of), e.of.arrived
	if e.of.blind {
		e.came[e.n] = e.of.measured
	}
	if e.n++; e.n < echoWindow {
		return
	}
	if after, talked := echo(e.sent[:], e.came[:]); talked {
		e.of.meter.compare(after)
	}
	e.of, e.n = m.nextForEcho(l), 0
}

// nextForEcho is the party after the one that was looked at; browsers, which are
// forwarded, cancel echoes themselves. Where there is none, it is not sought again
// at once.
func (m *Mixer) nextForEcho(l *lists) *Input {
	if m.echo.of == nil && m.step%framesPerS != 0 {
		return nil
	}
	var first, next *Input
	passed := false
	for _, in := range l.inputs {
		if in.o.Forwarded || !in.able() {
			continue
		}
		if first == nil {
			first = in
		}
		if passed && next == nil {
			next = in
		}
		passed = passed || in == m.echo.of
	}
	if next == nil {
		return first
	}
	return next
}

// sentTo is how loud all others are in this step, -dBov.
func (m *Mixer) sentTo(in *Input) uint8 {
	n := m.frame()
	others := false
	for _, a := range m.active {
		others = others || a.party != in.party
	}
	if !others {
		return audio.Silence
	}
	copy(m.out[:n], m.full[:n])
	for _, a := range m.active {
		if a.party == in.party {
			subtract(m.out[:n], a.pcm[:n])
		}
	}
	audio.Limit(m.pcm[:n], m.out[:n])
	return audio.Level(m.pcm[:n])
}

// echo looks for the words that were sent in what came; after is in steps, 0: they
// are not. talked is false where too little was said to tell. Whoever hears an echo
// of his own was the first to say it: what comes from him fits better to what he is
// sent later.
func echo(sent, came []uint8) (after int, talked bool) {
	var s, c [echoWindow]float64
	words := above(s[:], sent)
	above(c[:], came)
	if _, spread := spreadOf(s[:]); words < echoTalk || spread < echoSpread {
		return 0, false
	}
	best := likeness
	for lag := -echoLast; lag <= echoLast; lag++ {
		if r := correlation(s[max(-lag, 0):echoWindow-max(lag, 0)], c[max(lag, 0):echoWindow-max(-lag, 0)]); r > best {
			best, after = r, lag
		}
	}
	if after < echoFirst {
		after = 0
	}
	return after, true
}

// above turns levels into dB above the floor, each the loudest of three steps,
// since packets come unevenly; it counts those at which somebody talks.
func above(dB []float64, levels []uint8) (words int) {
	for i := range dB {
		level := min(levels[i], levels[max(i-1, 0)], levels[max(i-2, 0)])
		dB[i] = max(0, echoFloor-float64(level))
		if level < talking {
			words++
		}
	}
	return words
}

func spreadOf(list []float64) (mean, spread float64) {
	for _, v := range list {
		mean += v
	}
	mean /= float64(len(list))
	for _, v := range list {
		spread += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(spread / float64(len(list)))
}

// correlation is Pearson's, from -1 to 1; 0 where one of them does not change.
func correlation(a, b []float64) float64 {
	ma, sa := spreadOf(a)
	mb, sb := spreadOf(b)
	if sa == 0 || sb == 0 {
		return 0
	}
	sum := 0.0
	for i := range a {
		sum += (a[i] - ma) * (b[i] - mb)
	}
	return sum / float64(len(a)) / (sa * sb)
}

// compare counts a window. An echo that comes at another time than the last is
// the first of its kind.
func (t *meter) compare(after int) {
	t.compared.Add(1)
	if after == 0 {
		return
	}
	before := int(t.echoAfter.Swap(uint32(after)))
	if before-after > echoDrift || after-before > echoDrift {
		t.echoes.Store(0)
	}
	t.echoes.Add(1)
}

func steps(n uint32) time.Duration { return time.Duration(n) * audio.Frame }
