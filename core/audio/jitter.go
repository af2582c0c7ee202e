package audio

import (
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/cache"
)

// Jitter is the jitter buffer of one received stream: packets go in as the
// network brings them and come out in order, at the pace of the reader's clock.
//
// It plays by time: the quickest packet of the last seconds shows when a sample
// could be here at the earliest, and each sample is due a delay after that. The
// delay follows the measured jitter and never exceeds a hard maximum, whatever
// the sender's clock and the network do. It is changed by leaving out or
// putting in whole packet times, in silence where possible.
//
// Put is called from one goroutine, everything else from one other; Stats from
// any. Nothing allocates once the payload slots have grown to the stream's size.
type Jitter struct {
	codec *Codec
	max   int64 // ns

	fresh, free stack // Put → reader, reader → Put
	made        int   // slots, of Put
	received    atomic.Uint64

	// The reader's side. Times are ns, positions are RTP ticks, extended.
	waiting *slot // in the order of sequence numbers
	playing *slot // lent to the reader by the last Get

	synced      bool
	ssrc        uint32
	lastSeq     int64 // newest seen
	lastTS      int64
	started     bool  // pos is valid
	pos         int64 // next to be played
	playedEnd   int64 // end of the last packet really played
	playedSeq   int64
	ptime       int64 // ticks of the latest packet
	missed      int64 // ticks concealed or left silent since a packet played
	lossy       int   // rises with each loss, falls with each packet
	waitQuiet   int64 // ticks played while too deep
	delays      window
	lastTransit int64
	jitter      int64 // RFC 3550 §6.4.1, ns × 16

	stats jitterStats
}

// JitterOptions of a Jitter.
type JitterOptions struct {
	Codec *Codec
	// Max is the hard maximum of the delay; 0 means 200 ms.
	Max time.Duration
}

// JitterStats count packets; times are as of now.
type JitterStats struct {
	Received, Lost uint64
	// Late came after their time, or were copies of what had been played;
	// Duplicate are copies of what still waited.
	Late, Duplicate uint64
	// Dropped were good but left out to catch up, or did not fit; Inserted are
	// packet times put in to slow down.
	Dropped, Inserted uint64
	Delay             time.Duration // of the last packet played
	Jitter            time.Duration // RFC 3550
}

type jitterStats struct {
	lost, late, duplicate, dropped, inserted atomic.Uint64
	delay, jitter                            atomic.Int64
}

// Status says what Get returned.
type Status uint8

// What there may be to play.
const (
	// Nothing: silence, or no packet yet. Ticks is how long.
	Nothing Status = iota
	// Ready: Payload is to be decoded.
	Ready
	// Lost: conceal Ticks; Next, if not nil, is the packet after it.
	Lost
)

// Coded is the next piece of a stream. The slices are good until the next Get.
type Coded struct {
	Status  Status
	Payload []byte
	Next    []byte
	Ticks   int   // length in the RTP clock
	Level   uint8 // -dBov or core.LevelUnknown
}

const (
	// maxPayload bounds what a slot keeps; no audio packet of one frame on a
	// usual network is longer.
	maxPayload = 1500
	// margin is added to the measured jitter: a reader that wakes a little
	// early must not find the packet missing.
	margin = int64(3 * time.Millisecond)
	// quietLevel is taken for silence when time is to be made up or lost.
	quietLevel = 48
	// patience is how long a too deep buffer waits for silence.
	patience = 2 * time.Second
	// concealFor is how long a gap is concealed before it counts as silence.
	concealFor = 80 * time.Millisecond
	// lossyStep packets make up for one lost; from a loss in 50 on, a few
	// losses in a row reach lossyFrom.
	lossyStep = 50
	lossyFrom = 100
	// giveUp is the silence after which the next packet starts afresh.
	giveUp = 200 * time.Millisecond
)

// NewJitter makes a buffer for packets of the codec.
func NewJitter(o JitterOptions) *Jitter {
	if o.Max == 0 {
		o.Max = 200 * time.Millisecond
	}
	j := &Jitter{codec: o.Codec, max: int64(o.Max)}
	j.ptime = j.ticks(int64(Frame))
	return j
}

// Fetch has what Put needs fetched ([bridgehead/core/cache]).
func (j *Jitter) Fetch() {
	if s := j.free.top.Load(); s != nil {
		cache.Fetch(s)
		cache.FetchBytes(s.payload)
	}
}

// FetchNext has what Poll and Get need fetched.
func (j *Jitter) FetchNext() {
	cache.Fetch(j.fresh.top.Load())
	cache.Fetch(j.waiting)
}

// Put takes a packet. It never blocks; a packet too many is dropped.
func (j *Jitter) Put(p *core.Packet) {
	j.received.Add(1)
	ticks := j.codec.Ticks(p.Payload)
	if ticks <= 0 || len(p.Payload) > maxPayload {
		j.stats.dropped.Add(1)
		return
	}
	s := j.slot()
	if s == nil {
		j.stats.dropped.Add(1)
		return
	}
	s.ssrc, s.wireSeq, s.wireTS = p.Header.SSRC, p.Header.SequenceNumber, p.Header.Timestamp
	s.arrival, s.ticks = int64(p.Arrival), int64(ticks)
	s.level = levelOf(j.codec, p)
	s.payload = append(s.payload[:0], p.Payload...)
	j.fresh.push(s)
}

// slot for a packet; nil if all are in use. No more are made than ever were
// needed at once, so that the few in turn stay in the processor's cache.
func (j *Jitter) slot() *slot {
	if s := j.free.pop(); s != nil || j.made == slots {
		return s
	}
	j.made++
	return &slot{}
}

// Poll takes in what has arrived until now and returns the loudest level among
// it, core.LevelUnknown if levels are not known, Silence if nothing has come.
func (j *Jitter) Poll(now time.Duration) (level uint8) {
	level = Silence
	for s := j.fresh.all(); s != nil; {
		next := s.next
		if s.arrival == 0 {
			s.arrival = int64(now)
		}
		if s.level == core.LevelUnknown {
			level = core.LevelUnknown
		} else if level != core.LevelUnknown {
			level = min(level, s.level)
		}
		j.arrive(s)
		s = next
	}
	return level
}

// Get is the next piece to play, where now is when its first sample will be
// played. The caller has called Poll before. quiet says that nobody hears the
// stream, so that time may be made up unnoticed.
func (j *Jitter) Get(now time.Duration, quiet bool) Coded {
	if j.playing != nil {
		j.free.push(j.playing)
		j.playing = nil
	}
	if !j.started && !j.start(int64(now)) {
		return j.nothing(j.ptime)
	}
	j.bound(int64(now))
	next := j.waiting
	for next != nil && next.ts+next.ticks <= j.pos {
		j.countLost(next.seq)
		j.playedSeq = next.seq
		j.discard(next, &j.stats.late)
		next = j.waiting
	}
	switch {
	case next == nil:
		return j.underrun()
	case next.ts > j.pos:
		return j.gap(next)
	}
	return j.play(next, int64(now), quiet)
}

// Stats may be called from any goroutine.
func (j *Jitter) Stats() JitterStats {
	return JitterStats{
		Received: j.received.Load(), Lost: j.stats.lost.Load(),
		Late: j.stats.late.Load(), Duplicate: j.stats.duplicate.Load(),
		Dropped: j.stats.dropped.Load(), Inserted: j.stats.inserted.Load(),
		Delay:  time.Duration(j.stats.delay.Load()),
		Jitter: time.Duration(j.stats.jitter.Load()),
	}
}

// arrive sorts a packet in.
func (j *Jitter) arrive(s *slot) {
	if !j.synced || s.ssrc != j.ssrc {
		j.reset(s)
	}
	s.seq = j.lastSeq + int64(int16(s.wireSeq-uint16(j.lastSeq)))
	s.ts = j.lastTS + int64(int32(s.wireTS-uint32(j.lastTS)))
	if d := s.seq - j.lastSeq; d >= slots*4 || d <= -slots*4 {
		j.reset(s) // the sender has started anew
		s.seq, s.ts = j.lastSeq, j.lastTS
	}
	if j.observe(s) > j.max && s.seq > j.lastSeq {
		// Longer than we may wait for: a pause in a timestamp that should have
		// run on, a jump of the clock, or a stall of the network.
		j.reset(s)
		s.seq, s.ts = j.lastSeq, j.lastTS
		j.observe(s)
	}
	if s.seq > j.lastSeq {
		j.lastSeq, j.lastTS = s.seq, s.ts
	}
	j.ptime = s.ticks
	j.insert(s)
}

// reset forgets the stream; s begins a new one.
func (j *Jitter) reset(s *slot) {
	for j.waiting != nil {
		j.discard(j.waiting, &j.stats.dropped)
	}
	j.started, j.missed = false, 0
	j.synced, j.ssrc = true, s.ssrc
	j.lastSeq, j.lastTS = int64(s.wireSeq), int64(s.wireTS)
	j.playedSeq, j.playedEnd = j.lastSeq-1, j.lastTS
	j.delays.reset()
	j.lastTransit = 0
}

// observe measures a packet's way and returns its delay over the quickest, ns.
func (j *Jitter) observe(s *slot) int64 {
	transit := s.arrival - j.ns(s.ts)
	if j.lastTransit != 0 {
		d := transit - j.lastTransit
		j.jitter += max(d, -d) - j.jitter>>4
		j.stats.jitter.Store(j.jitter >> 4)
	}
	j.lastTransit = transit
	return j.delays.add(transit, s.arrival)
}

func (j *Jitter) insert(s *slot) {
	if j.started && s.seq <= j.playedSeq {
		j.dismiss(s, &j.stats.late)
		return
	}
	if j.started && s.ts+s.ticks <= j.pos {
		// Too late for its time. If nothing else is there, what was played
		// instead was a wait for it: play on from here, that much later.
		if j.waiting != nil || s.ts < j.playedEnd || j.depth(s.arrival, s.ts) > j.max {
			j.dismiss(s, &j.stats.late)
			return
		}
		j.pos, j.missed = s.ts, 0
		j.stats.inserted.Add(1)
	}
	at := &j.waiting
	for *at != nil && (*at).seq < s.seq {
		at = &(*at).next
	}
	if *at != nil && (*at).seq == s.seq {
		j.dismiss(s, &j.stats.duplicate)
		return
	}
	s.next, *at = *at, s
}

func (j *Jitter) dismiss(s *slot, why *atomic.Uint64) {
	why.Add(1)
	j.free.push(s)
}

// discard takes the first of those waiting out.
func (j *Jitter) discard(s *slot, why *atomic.Uint64) {
	j.waiting = s.next
	j.dismiss(s, why)
}

// start begins to play once the first packet has waited out the delay.
func (j *Jitter) start(now int64) bool {
	first := j.waiting
	if first == nil || j.depth(now, first.ts) < j.target() {
		return false
	}
	j.started, j.pos, j.missed = true, first.ts, 0
	j.countLost(first.seq)
	j.playedSeq, j.playedEnd = first.seq-1, first.ts
	return true
}

// depth is how long after its earliest possible arrival the sample at ts is
// played, if it is played at now; ns.
func (j *Jitter) depth(now, ts int64) int64 { return now - j.delays.base() - j.ns(ts) }

// target is the least depth that today's jitter allows; while packets are lost,
// deep enough to have the one after, which may repair them.
func (j *Jitter) target() int64 {
	t := j.delays.spread() + margin
	if j.codec.FEC && j.lossy > lossyFrom {
		t += j.ns(j.ptime)
	}
	return min(t, j.max)
}

// bound keeps the hard maximum by leaving out what is too old.
func (j *Jitter) bound(now int64) {
	if over := j.depth(now, j.pos) - j.max; over > 0 {
		to := now - j.delays.base() - j.target()
		j.pos += j.ticks(to - j.ns(j.pos))
	}
}

// underrun: the packet that is due is not here, nor a later one.
func (j *Jitter) underrun() Coded {
	if j.missed >= j.ticks(int64(giveUp)) {
		j.started = false
		return j.nothing(j.ptime)
	}
	return j.miss(nil)
}

// gap: a later packet is here, so the one due is lost, or the sender paused.
func (j *Jitter) gap(next *slot) Coded {
	if next.seq == j.playedSeq+1 { // nothing is missing: a pause (DTX)
		n := min(next.ts-j.pos, j.ptime)
		j.pos += n
		return j.nothing(n)
	}
	j.countLost(j.playedSeq + 2)
	lastOne := next.seq == j.playedSeq+2 && next.ts-j.pos <= j.ptime
	j.playedSeq++
	if lastOne {
		return j.miss(next)
	}
	return j.miss(nil)
}

// miss goes on without a packet.
func (j *Jitter) miss(next *slot) Coded {
	n := j.ptime
	if next != nil {
		n = next.ts - j.pos
	}
	j.pos += n
	j.missed += n
	if j.missed > j.ticks(int64(concealFor)) {
		return j.nothing(n)
	}
	c := Coded{Status: Lost, Ticks: int(n), Level: core.LevelUnknown}
	if next != nil {
		c.Next = next.payload
	}
	return c
}

func (j *Jitter) nothing(ticks int64) Coded {
	return Coded{Status: Nothing, Ticks: int(ticks), Level: Silence}
}

// play hands out a packet, unless the depth is to change here.
func (j *Jitter) play(s *slot, now int64, quiet bool) Coded {
	depth, step := j.depth(now, s.ts), j.ns(s.ticks)
	quiet = quiet || s.level != core.LevelUnknown && s.level >= quietLevel
	switch target := j.target(); {
	case depth-step >= target:
		j.waitQuiet += s.ticks
		if following := j.after(s); following != nil && (quiet || j.waitQuiet > j.ticks(int64(patience))) {
			j.leaveOut(s)
			s = following
			depth -= step
		}
	case depth < target-margin/3 && quiet:
		j.stats.inserted.Add(1)
		return j.nothing(s.ticks)
	default:
		j.waitQuiet = 0
	}
	j.waiting = s.next
	j.playing = s
	j.countLost(s.seq)
	j.pos, j.missed = s.ts+s.ticks, 0
	j.playedEnd, j.playedSeq = j.pos, s.seq
	j.lossy = max(j.lossy-1, 0)
	if j.stats.delay.Load() != depth { // storing costs more than looking
		j.stats.delay.Store(depth)
	}
	return Coded{Status: Ready, Payload: s.payload, Ticks: int(s.ticks), Level: s.level}
}

// countLost counts what is missing between the last packet and the one now due.
func (j *Jitter) countLost(due int64) {
	if n := due - 1 - j.playedSeq; n > 0 {
		j.stats.lost.Add(uint64(n))
		j.lossy = min(j.lossy+lossyStep, 4*lossyFrom)
	}
}

// after is the packet that follows s without a gap, if it is here.
func (j *Jitter) after(s *slot) *slot {
	n := s.next
	if n == nil || n.seq != s.seq+1 || n.ts != s.ts+s.ticks {
		return nil
	}
	return n
}

func (j *Jitter) leaveOut(s *slot) {
	j.waitQuiet, j.playedSeq = 0, s.seq
	j.discard(s, &j.stats.dropped)
}

func (j *Jitter) ns(ticks int64) int64 { return ticks * 1e6 / int64(j.codec.ClockRate/1000) }
func (j *Jitter) ticks(ns int64) int64 { return ns / 1e6 * int64(j.codec.ClockRate/1000) }
