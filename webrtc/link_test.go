package webrtc

import (
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
)

// link is a simulated path: a queue that drains at a rate, a delay, and losses
// spread evenly. Its time is stepped.
type link struct {
	rate  float64 // bit/s
	delay time.Duration
	loss  float64
	owed  float64       // of the next packet's loss
	free  time.Duration // when the queue is empty
}

// pass is when a packet sent now arrives; false: it does not.
func (l *link) pass(now time.Duration, size int) (time.Duration, bool) {
	if l.owed += l.loss; l.owed >= 1 {
		l.owed--
		return 0, false
	}
	if l.free = max(l.free, now); l.free-now > 300*time.Millisecond {
		return 0, false // a full queue
	}
	l.free += time.Duration(float64(size*8) / l.rate * float64(time.Second))
	return l.free + l.delay, true
}

// layersOf a camera, in bit/s, as a browser sends them.
var layersOf = []float64{150_000, 500_000, 1_500_000}

// caller sends a camera's layer over a link and follows the estimate, as
// core/forward does: it goes down at once and up after a wait, which doubles
// with each try that fails.
type caller struct {
	e       *estimator
	l       *link
	now     time.Duration
	layer   int
	raised  time.Duration
	lowered time.Duration
	wait    time.Duration
	changes int
	flight  []flying
	rec     *twcc.Recorder
}

type flying struct {
	seq uint16
	at  time.Duration
}

// run steps the link: pictures 30 times a second, feedback every 100 ms.
func (c *caller) run(d time.Duration) {
	const tick = time.Millisecond
	for end := c.now + d; c.now < end; c.now += tick {
		if c.now%(33*tick) == 0 {
			for left := int(layersOf[c.layer] / 30 / 8); left > 0; left -= 1100 {
				size := min(left, 1100)
				seq := c.e.next(c.now, size)
				if at, ok := c.l.pass(c.now, size); ok {
					c.flight = append(c.flight, flying{seq, at})
				}
			}
		}
		for len(c.flight) > 0 && c.flight[0].at <= c.now {
			c.rec.Record(1, c.flight[0].seq, c.flight[0].at.Microseconds())
			c.flight = c.flight[1:]
		}
		if c.now%(100*tick) == 0 {
			for _, p := range c.rec.BuildFeedbackPacket() {
				b, _ := p.Marshal()
				if fb, ok := readTransportFeedback(b); ok {
					c.e.feedback(&fb, c.now)
				}
			}
			c.choose()
		}
	}
}

func (c *caller) choose() {
	best := 0
	for i, r := range layersOf {
		if float64(c.e.target()) >= r+100_000 {
			best = i
		}
	}
	switch {
	case best == c.layer, best > c.layer && c.now-c.lowered < c.wait:
		return
	case best > c.layer:
		c.raised = c.now
	default:
		if c.now-c.raised < 10*time.Second {
			c.wait = min(2*c.wait, time.Minute)
		}
		c.lowered = c.now
	}
	c.layer = best
	c.changes++
}

// The layer settles within seconds of a step of the path, and stays. Where a
// larger one does not fit, it may be tried once in half a minute: up, down below
// what fits, and back.
func TestLayersAreSteady(t *testing.T) {
	c := &caller{e: newEstimator(), l: &link{rate: 3e6, delay: 20 * time.Millisecond}, rec: twcc.NewRecorder(1), wait: 4 * time.Second}
	for _, step := range []struct {
		name    string
		change  func(*link)
		settles time.Duration
		layer   int
	}{
		{"3 Mbit/s", func(*link) {}, 25 * time.Second, 2},
		{"600 kbit/s", func(l *link) { l.rate = 700e3 }, 8 * time.Second, 1},
		{"2 Mbit/s", func(l *link) { l.rate = 2e6 }, 40 * time.Second, 2},
		{"100 ms more delay", func(l *link) { l.delay += 100 * time.Millisecond }, 20 * time.Second, 2},
		{"2 % loss", func(l *link) { l.loss = 0.02 }, 5 * time.Second, 2},
		{"no loss", func(l *link) { l.loss = 0 }, 5 * time.Second, 2},
	} {
		step.change(c.l)
		c.run(step.settles)
		c.changes = 0
		layer := c.layer
		c.run(30 * time.Second)
		t.Logf("%s: layer %d, estimate %d, %d changes in 30 s", step.name, c.layer, c.e.target(), c.changes)
		if layer != step.layer || c.layer != step.layer || c.changes > 0 && (layer == 2 || c.changes > 3) {
			t.Errorf("%s: layer %d, then %d, wanted %d; %d changes in 30 s once it has settled", step.name, layer, c.layer, step.layer, c.changes)
		}
	}
}
