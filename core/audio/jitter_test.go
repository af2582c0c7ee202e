package audio_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/g711"
)

const ms = time.Millisecond

// network feeds a jitter buffer from a simulated sender and plays it stepped.
type network struct {
	t     *testing.T
	j     *audio.Jitter
	seq   uint16
	ts    uint32
	ssrc  uint32
	now   time.Duration
	ptime time.Duration
	loud  byte
	queue []core.Packet // in flight; Arrival tells when they are put
}

func newNetwork(t *testing.T) *network {
	return &network{
		t: t, j: audio.NewJitter(audio.JitterOptions{Codec: g711.Mu}),
		seq: 65500, ts: 0xfffff000, ssrc: 7, ptime: 20 * ms, loud: 0x80,
	}
}

// send puts the next packet in flight, to arrive at the given time. The first
// payload byte tells its number, the others its loudness.
func (n *network) send(arrival time.Duration) {
	p := core.Packet{Arrival: arrival, Level: core.LevelUnknown, Payload: make([]byte, n.ptime/ms*8)}
	for i := range p.Payload {
		p.Payload[i] = n.loud
	}
	p.Payload[0] = byte(n.seq)
	p.Header.SequenceNumber, p.Header.Timestamp, p.Header.SSRC = n.seq, n.ts, n.ssrc
	n.queue = append(n.queue, p)
	n.skip()
}

// skip counts a packet that never arrives.
func (n *network) skip() {
	n.seq++
	n.ts += uint32(n.ptime / ms * 8)
}

// step delivers what has arrived by now+20 ms and plays 20 ms.
func (n *network) step(quiet bool) (got []audio.Coded) {
	n.now += 20 * ms
	keep := n.queue[:0]
	for _, p := range n.queue {
		if p.Arrival <= n.now {
			n.j.Put(&p)
		} else {
			keep = append(keep, p)
		}
	}
	n.queue = keep
	n.j.Poll(n.now)
	for ticks := 0; ticks < 160; {
		c := n.j.Get(n.now+time.Duration(ticks)*125*time.Microsecond, quiet)
		c.Payload = append([]byte(nil), c.Payload...)
		got = append(got, c)
		if c.Ticks <= 0 {
			n.t.Fatalf("Get returned %d ticks", c.Ticks)
		}
		ticks += c.Ticks
	}
	return got
}

func TestJitterSteadyStreamIsPlayedInOrderAtOnce(t *testing.T) {
	n := newNetwork(t)
	next := byte(n.seq)
	for i := range 500 {
		n.send(n.now + 20*ms - 1*ms) // 1 ms before the step
		for _, c := range n.step(false) {
			if c.Status != audio.Ready {
				if i > 2 {
					t.Fatalf("step %d: status %d", i, c.Status)
				}
				continue
			}
			if c.Payload[0] != next {
				t.Fatalf("step %d: packet %d, want %d", i, c.Payload[0], next)
			}
			next++
		}
	}
	if s := n.j.Stats(); s.Delay > 25*ms || s.Lost+s.Late+s.Dropped != 0 {
		t.Errorf("stats %+v, want at most one frame of delay and nothing lost", s)
	}
}

func TestJitterReorderedAndDuplicatePackets(t *testing.T) {
	n := newNetwork(t)
	var got []byte
	first := byte(n.seq)
	for i := range 300 {
		at := n.now + 10*ms
		switch i % 3 {
		case 1:
			at += 18 * ms // arrives with, and after, the next one
		case 2:
			n.send(at)
			n.queue[0], n.queue[len(n.queue)-1] = n.queue[len(n.queue)-1], n.queue[0]
			n.queue = append(n.queue, n.queue[0])
			at = 0
		}
		if at != 0 {
			n.send(at)
		}
		for _, c := range n.step(true) {
			if c.Status == audio.Ready && i > 100 {
				got = append(got, c.Payload[0])
			}
		}
	}
	for i := 1; i < len(got); i++ {
		if got[i] != got[i-1]+1 {
			t.Fatalf("packet %d after %d (first %d)", got[i], got[i-1], first)
		}
	}
	if s := n.j.Stats(); s.Late+s.Duplicate == 0 || len(got) < 190 {
		t.Errorf("stats %+v, %d played", s, len(got))
	}
}

func TestJitterLossIsConcealedWithTheNextAtHand(t *testing.T) {
	for _, fec := range []bool{false, true} {
		codec := *g711.Mu
		codec.FEC = fec
		n := newNetwork(t)
		n.j = audio.NewJitter(audio.JitterOptions{Codec: &codec})
		lost, next := 0, 0
		for i := range 400 {
			if i%10 == 5 {
				n.skip()
			} else {
				n.send(n.now + 5*ms)
			}
			for _, c := range n.step(i%10 == 1) {
				if i > 2 && c.Status == audio.Lost {
					lost++
					if c.Next != nil {
						next++
					}
				}
			}
		}
		if lost != 40 || n.j.Stats().Lost != 40 {
			t.Errorf("%d concealed, %d counted, want 40", lost, n.j.Stats().Lost)
		}
		if fec && next < 35 {
			t.Errorf("the packet after a loss was there %d times of %d", next, lost)
		}
		if d := n.j.Stats().Delay; !fec && d > 30*ms {
			t.Errorf("delay %v, though no packet can repair another", d)
		}
	}
}

// Sockets are read every 10 ms, just before the mixers step every 20 ms, so
// packets seem to arrive in bursts, and the reading itself is late at times.
func TestJitterBridgeDelay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var delays []time.Duration
	missing := 0
	for range 40 {
		n := newNetwork(t)
		phase := time.Duration(rng.Int64N(int64(20 * ms)))
		came := map[byte]time.Duration{}
		var sent time.Duration
		for i := range 500 {
			for sent+phase <= n.now+20*ms {
				at := sent + phase + time.Duration(rng.Int64N(int64(ms)))
				poll := (at + 10*ms - 1).Truncate(10 * ms) // next poll
				came[byte(n.seq)] = at
				n.send(poll + time.Duration(rng.Int64N(int64(ms/2))) - ms/2)
				sent += 20 * ms
			}
			for _, c := range n.step(false) {
				if i < 100 {
					continue
				}
				if c.Status != audio.Ready {
					missing++
					continue
				}
				delays = append(delays, n.now-came[c.Payload[0]])
			}
		}
	}
	slices.Sort(delays)
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	if p50 > 30*ms || p99 > 40*ms {
		t.Errorf("delay p50 %v, p99 %v, want at most 30 and 40 ms", p50, p99)
	}
	if missing > 40 {
		t.Errorf("%d of %d packets concealed, none was lost", missing, len(delays))
	}
}

func TestJitterAdaptsAndComesBack(t *testing.T) {
	n := newNetwork(t)
	rng := rand.New(rand.NewPCG(1, 2))
	run := func(steps int, jitter time.Duration) (missing int) {
		for i := range steps {
			var d time.Duration
			if jitter > 0 {
				d = time.Duration(rng.Int64N(int64(jitter)))
			}
			n.send(n.now + 5*ms + d)
			for _, c := range n.step(i%50 > 40) {
				if c.Status != audio.Ready && i > steps/2 {
					missing++
				}
			}
		}
		return missing
	}
	run(100, 0)
	if m := run(1000, 60*ms); m > 25 {
		t.Errorf("%d of 500 missing under 60 ms of jitter", m)
	}
	if d := n.j.Stats().Delay; d < 40*ms || d > 100*ms {
		t.Errorf("delay %v under 60 ms of jitter", d)
	}
	run(1000, 0)
	if d := n.j.Stats().Delay; d > 40*ms {
		t.Errorf("delay %v long after the jitter", d)
	}
}

func TestJitterHardMaximumUnderBurst(t *testing.T) {
	n := newNetwork(t)
	for range 50 {
		n.send(n.now + 5*ms)
		n.step(false)
	}
	stall := n.now + 600*ms
	for n.now < stall { // the network stands still, then brings all at once
		n.send(stall)
		n.step(false)
	}
	for range 20 {
		n.send(n.now + 5*ms)
		n.step(false)
	}
	if d := n.j.Stats().Delay; d > 220*ms {
		t.Errorf("delay %v after a stall, maximum is 200 ms", d)
	}
	for range 400 {
		n.send(n.now + 5*ms)
		n.step(false)
	}
	if d := n.j.Stats().Delay; d > 60*ms {
		t.Errorf("delay %v does not recover from a stall", d)
	}
}

func TestJitterClockDrift(t *testing.T) {
	for _, ppm := range []int64{-200, 200} {
		n := newNetwork(t)
		var sent time.Duration
		missing := 0
		for i := range 60 * 60 * 50 / 4 { // a quarter of an hour
			for sent <= n.now+20*ms {
				n.send(sent + 5*ms)
				sent += 20*ms + time.Duration(20*ms.Nanoseconds()*ppm/1e6)
			}
			for _, c := range n.step(i%100 < 10) {
				if c.Status == audio.Lost {
					missing++
				}
			}
		}
		s := n.j.Stats()
		if s.Delay > 50*ms {
			t.Errorf("%d ppm: delay grew to %v", ppm, s.Delay)
		}
		if missing > 5 {
			t.Errorf("%d ppm: %d packets concealed, none was lost", ppm, missing)
		}
		if s.Dropped+s.Inserted == 0 || s.Dropped+s.Inserted > 40 {
			t.Errorf("%d ppm: %d dropped, %d inserted, want about 9", ppm, s.Dropped, s.Inserted)
		}
	}
}

func TestJitterPtimes(t *testing.T) {
	for _, p := range []time.Duration{10, 20, 30, 40, 60} {
		n := newNetwork(t)
		n.ptime = p * ms
		var sent time.Duration
		ready := 0
		for range 300 {
			for sent <= n.now {
				n.send(sent + 2*ms)
				sent += n.ptime
			}
			for _, c := range n.step(false) {
				if c.Status == audio.Ready {
					ready++
				}
			}
		}
		if want := int(6000/p) - 12; ready < want {
			t.Errorf("ptime %d ms: %d packets played, want %d", p, ready, want)
		}
	}
}

func TestJitterPauseIsNotLoss(t *testing.T) {
	n := newNetwork(t)
	for i := range 400 {
		if i%40 < 30 { // 10 packet times of pause: DTX
			n.send(n.now + 5*ms)
		} else {
			n.ts += 160
		}
		n.step(true)
	}
	if s := n.j.Stats(); s.Lost != 0 || s.Late != 0 {
		t.Errorf("stats %+v, want no loss", s)
	}
}

func TestJitterJumps(t *testing.T) {
	jumps := map[string]func(*network){
		"new SSRC":        func(n *network) { n.ssrc, n.seq, n.ts = 99, 5, 5 },
		"clock forward":   func(n *network) { n.ts += 8000 * 3600 },
		"clock back":      func(n *network) { n.ts -= 8000 * 3600 },
		"sequence jump":   func(n *network) { n.seq += 20000 },
		"half the circle": func(n *network) { n.ts += 1 << 31; n.seq += 1 << 15 },
		"clock stood":     func(n *network) { n.now += 3 * time.Second },
	}
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			played := 0
			for i := range 200 {
				if i == 100 {
					jump(n)
				}
				n.send(n.now + 5*ms)
				for _, c := range n.step(false) {
					if i > 120 && c.Status == audio.Ready {
						played++
					}
				}
			}
			if d := n.j.Stats().Delay; played < 75 || d > 60*ms {
				t.Errorf("%d of 79 played after the jump, delay %v", played, d)
			}
		})
	}
}

func TestJitterDoesNotAllocate(t *testing.T) {
	n := newNetwork(t)
	p := core.Packet{Level: core.LevelUnknown, Payload: make([]byte, 160)}
	now := time.Duration(0)
	step := func() {
		now += 20 * ms
		p.Arrival = now
		p.Header.SequenceNumber++
		p.Header.Timestamp += 160
		n.j.Put(&p)
		n.j.Poll(now)
		n.j.Get(now, false)
	}
	for range 100 {
		step()
	}
	if a := testing.AllocsPerRun(1000, step); a != 0 {
		t.Errorf("%v allocations per packet", a)
	}
}

// FuzzJitter plays a hostile network: any sequence numbers, timestamps, sizes
// and arrivals. Nothing may panic, and each Get must make progress.
func FuzzJitter(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Fuzz(func(t *testing.T, data []byte) {
		j := audio.NewJitter(audio.JitterOptions{Codec: g711.Mu})
		now := time.Duration(0)
		for len(data) >= 8 {
			var p core.Packet
			p.Header.SequenceNumber = uint16(data[0])<<8 | uint16(data[1])
			p.Header.Timestamp = uint32(data[2])<<24 | uint32(data[3])<<10
			p.Header.SSRC = uint32(data[4] & 1)
			p.Payload = make([]byte, int(data[5])*8)
			p.Arrival = now + time.Duration(int8(data[6]))*ms
			p.Level = data[7]
			j.Put(&p)
			now += time.Duration(data[7]) * ms
			j.Poll(now)
			if c := j.Get(now, data[6]&1 == 0); c.Ticks <= 0 {
				t.Fatalf("no progress: %+v", c)
			}
			data = data[8:]
		}
	})
}

func BenchmarkJitter(b *testing.B) {
	j := audio.NewJitter(audio.JitterOptions{Codec: g711.Mu})
	p := core.Packet{Level: core.LevelUnknown, Payload: make([]byte, 160)}
	b.ReportAllocs()
	for i := range b.N {
		p.Arrival = time.Duration(i) * 20 * ms
		p.Header.SequenceNumber++
		p.Header.Timestamp += 160
		j.Put(&p)
		j.Poll(p.Arrival)
		j.Get(p.Arrival, false)
	}
}
