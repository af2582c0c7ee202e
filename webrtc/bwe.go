package webrtc

import (
	"math"
	"sync"
	"time"
)

// estimator is the sender side of Google congestion control
// (draft-ietf-rmcat-gcc): it tells from transport-wide feedback
// (draft-holmer-rmcat-transport-wide-cc-extensions) how much the path carries.
// The delay part fits a line to the queueing delay; the loss part backs off
// beyond 10 % loss. Its memory is bounded and a sent packet costs no allocation.
type estimator struct {
	mu   sync.Mutex
	seq  uint16       // of the next packet
	sent []sentPacket // by number, modulo a power of two; made with the first

	rate    float64 // bit/s
	loss    float64 // bound by loss, bit/s
	started bool

	// Delay: packets of one burst count as one.
	burst, last burst
	delay       float64 // accumulated, ms
	smooth      float64
	points      [trendPoints]struct{ at, delay float64 }
	count       int
	threshold   float64 // ms
	overSince   time.Duration
	lastTrend   float64
	lastUpdate  time.Duration
	state       congestion

	// What arrived, for the rate.
	acked    [acks]struct{ at, bits float64 }
	ackedAt  int
	received float64 // bit/s; 0: unknown
}

type sentPacket struct {
	at   uint32 // µs; goes round after an hour
	size uint16 // 0: nothing, or acknowledged
	seq  uint16
}

type burst struct {
	sent, arrived float64 // ms, of the last packet
	first         float64 // ms, sent time of the first
	any           bool
}

type congestion int

const (
	normal congestion = iota
	overused
	underused
)

const (
	startRate   = 1_000_000
	minRate     = 60_000
	maxRate     = 30_000_000
	trendPoints = 20
	acks        = 256
	burstMs     = 5
	ackWindow   = 1000 // ms
)

func newEstimator() *estimator {
	return &estimator{rate: startRate, loss: maxRate, threshold: 12.5}
}

// next numbers and remembers a packet about to be sent, of size bytes.
func (e *estimator) next(now time.Duration, size int) uint16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	seq, at := e.seq, uint32(now.Microseconds())
	e.seq++
	if len(e.sent) == 0 {
		e.sent = make([]sentPacket, leastSent)
	}
	for old := e.of(seq); old.size > 0 && at-old.at < waitSent && len(e.sent) < mostSent; old = e.of(seq) {
		e.grow()
	}
	*e.of(seq) = sentPacket{at, uint16(max(1, size)), seq}
	return seq
}

// So many packets are remembered, and as many as are sent in waitSent µs: by then
// the client has told of them.
const (
	leastSent = 128
	mostSent  = 4096
	waitSent  = 1_000_000
)

func (e *estimator) of(seq uint16) *sentPacket { return &e.sent[int(seq)%len(e.sent)] }

func (e *estimator) grow() {
	old := e.sent
	e.sent = make([]sentPacket, 2*len(old))
	for _, p := range old {
		*e.of(p.seq) = p
	}
}

// target is the estimate in bit/s, 0 until there was any feedback.
func (e *estimator) target() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started {
		return 0
	}
	return int(min(e.rate, e.loss))
}

// feedback takes a transport-wide feedback packet.
func (e *estimator) feedback(fb *transportFeedback, now time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.sent) == 0 {
		return
	}
	got, lost := 0, 0
	us := now.Microseconds()
	fb.each(func(seq uint16, arrived bool, at float64) {
		p := e.of(seq)
		switch {
		case p.size == 0 || p.seq != seq:
		case arrived:
			got++
			sent := us - int64(uint32(us)-p.at)
			e.arrival(float64(sent)/1e3, at, float64(p.size)*8)
			p.size = 0
		default:
			lost++
		}
	})
	if got+lost == 0 {
		return
	}
	e.started = true
	e.measure()
	e.control(now, got, lost)
}

// arrival adds a packet, times in ms, to the trend (draft, section 5.3).
func (e *estimator) arrival(sent, arrived, bits float64) {
	e.acked[e.ackedAt%acks] = struct{ at, bits float64 }{arrived, bits}
	e.ackedAt++
	b := &e.burst
	if b.any && sent-b.first < burstMs {
		b.sent, b.arrived = sent, arrived
		return
	}
	if b.any && e.last.any {
		e.trend((b.arrived-e.last.arrived)-(b.sent-e.last.sent), b.arrived)
	}
	e.last = *b
	*b = burst{sent, arrived, sent, true}
}

// trend adds a variation of the one-way delay, in ms.
func (e *estimator) trend(variation, at float64) {
	if math.Abs(variation) > 3000 {
		e.delay, e.smooth, e.count = 0, 0, 0 // the path or its clock has changed
		return
	}
	e.delay += variation
	e.smooth = 0.9*e.smooth + 0.1*e.delay
	e.points[e.count%trendPoints] = struct{ at, delay float64 }{at, e.smooth}
	e.count++
	if e.count < trendPoints {
		return
	}
	slope := e.slope() * 4 * math.Min(float64(e.count), 60)
	e.detect(slope, at)
}

// slope of the least-squares line through the points.
func (e *estimator) slope() float64 {
	var ma, md float64
	for _, p := range e.points {
		ma += p.at / trendPoints
		md += p.delay / trendPoints
	}
	var num, den float64
	for _, p := range e.points {
		num += (p.at - ma) * (p.delay - md)
		den += (p.at - ma) * (p.at - ma)
	}
	if den == 0 {
		return 0
	}
	return num / den
}

// detect compares the trend to a threshold that adapts (draft, section 5.4).
func (e *estimator) detect(trend, at float64) {
	now := time.Duration(at * 1e6)
	switch {
	case trend > e.threshold:
		if e.overSince == 0 {
			e.overSince = now
		}
		if now-e.overSince >= 10*time.Millisecond && trend >= e.lastTrend {
			e.state = overused
		}
	case trend < -e.threshold:
		e.overSince, e.state = 0, underused
	default:
		e.overSince, e.state = 0, normal
	}
	e.lastTrend = trend
	if gap := math.Abs(trend) - e.threshold; gap < 15 {
		k := 0.039
		if gap > 0 {
			k = 0.0087
		}
		e.threshold = min(max(e.threshold+k*gap*10, 6), 600)
	}
}

// measure reads the rate of the last second's arrivals.
func (e *estimator) measure() {
	n := min(e.ackedAt, acks)
	if n < 10 {
		return
	}
	newest := e.acked[(e.ackedAt-1)%acks].at
	bits, oldest := 0.0, newest
	for i := 1; i <= n; i++ {
		a := e.acked[(e.ackedAt-i)%acks]
		if a.at < newest-ackWindow {
			break
		}
		bits += a.bits
		oldest = min(oldest, a.at)
	}
	if span := newest - oldest; span > 100 {
		e.received = bits / span * 1000
	}
}

// control is the increase and decrease of the rate (draft, sections 5.5 and 6).
func (e *estimator) control(now time.Duration, got, lost int) {
	since := min((now - e.lastUpdate).Seconds(), 0.5)
	switch e.state {
	case overused:
		if e.received > 0 {
			e.rate = min(e.rate, 0.85*e.received)
		}
	case normal:
		// A meeting sends what it has, not what the path carries: growth
		// beyond what is sent is allowed far enough to try the next
		// simulcast layer, about three times larger.
		if e.rate < 4*e.received+300_000 {
			e.rate *= 1 + 0.08*since
			e.rate += 10_000 * since
		}
	}
	part := float64(lost) / float64(got+lost)
	switch {
	case part > 0.10 && got+lost >= 10:
		e.loss = min(e.loss, e.rate) * (1 - 0.5*part)
	case part < 0.02:
		e.loss = min(e.loss*(1+0.08*since), maxRate)
	}
	e.rate = min(max(e.rate, minRate), maxRate)
	e.loss = max(e.loss, minRate)
	e.lastUpdate = now
	if e.state == overused {
		e.state = normal // one decrease for one finding
		e.count = 0
	}
}
