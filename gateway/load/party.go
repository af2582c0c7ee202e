// Package load makes many calls at once and measures what each of them hears:
// the load generator behind `bridgehead load` and the benchmark of
// docs/performance.md. Its parties share the polled sockets of core/rtpio and
// one clock, so that they cost less than what they measure.
package load

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/codecs"
)

// Tones that speakers say, in Hz, by their number; none is a multiple of
// another. Listeners look for all of them.
var Tones = []float64{437, 703, 1109}

const (
	loud     = -18.0 // dBov of a speaker
	present  = -30.0 // a tone that is heard is louder
	absent   = -42.0 // one that is not is quieter
	window   = 50    // packets looked at together: one second
	burstOn  = 5     // packets of sound in a burst
	bursters = slots // they take turns, one a second, each at its own phase
	burstLow = 45    // -dBov: louder than this is a burst
)

// role of a party.
type role uint8

const (
	listener role = iota
	speaker
	burster
)

// Party is one caller of the load: a core.Room, its Seat and its Sink.
type Party struct {
	role   role
	number int // of Tones, for a speaker; of the turn, for a burster
	bursts *bursts
	frames [][]byte // coded 20 ms pieces, said in a loop
	film   *film    // sent in place of them

	joined chan struct{}
	over   chan struct{}
	once   sync.Once
	out    atomic.Pointer[core.Sink]
	leg    core.Leg
	reason atomic.Pointer[core.Reason]
	packet core.Packet

	active atomic.Bool // measuring
	heard  heard
}

// bursts is the time at which the last burst began.
type bursts struct{ last atomic.Int64 }

// newParty makes the party and its sound. Codecs other than G.711 are not
// verified by tone.
func newParty(r role, number int, c core.Codec, b *bursts) (*Party, error) {
	p := &Party{role: r, number: number, bursts: b, joined: make(chan struct{}), over: make(chan struct{})}
	codec, ok := codecs.Lookup(c)
	if !ok {
		return nil, core.Reason{Code: core.Incompatible, Detail: "codec " + c.Name}
	}
	rate := codec.Rate(8000)
	enc, err := codec.NewEncoder(rate, audio.EncoderOptions{})
	if err != nil {
		return nil, err
	}
	pcm := make([]int16, rate)
	switch r {
	case speaker:
		audio.NewTone(rate, loud, Tones[number]).Read(pcm)
	case burster:
		audio.NewTone(rate, -12, 1000).Read(pcm[:rate/50*burstOn])
	}
	for i := range window {
		buf := make([]byte, 1500)
		n, err := enc.Encode(buf, pcm[i*rate/50:(i+1)*rate/50])
		if err != nil {
			return nil, err
		}
		p.frames = append(p.frames, buf[:n:n])
	}
	if r == burster {
		p.takeTurns()
	}
	p.heard.init(codec)
	p.packet.Level = core.LevelUnknown
	return p, nil
}

// takeTurns makes a loop of one second for each burster, silent in all but its
// own.
func (p *Party) takeTurns() {
	second := p.frames
	p.frames = nil
	for n := range bursters * window {
		if n/window == p.number {
			p.frames = append(p.frames, second[n%window])
		} else {
			p.frames = append(p.frames, second[window-1])
		}
	}
}

// Name of the room.
func (p *Party) Name() string { return "load" }

// Join begins to speak.
func (p *Party) Join(_ context.Context, leg core.Leg) error {
	p.leg = leg
	leg.Sit(p)
	sink, err := leg.Subscribe(core.Track{Source: core.Mix, Codec: leg.Info().Audio})
	if err != nil {
		return err
	}
	p.out.Store(&sink)
	close(p.joined)
	return nil
}

// Publish takes what the bridge sends.
func (p *Party) Publish(t core.Track) (core.Sink, error) { return p, nil }

// Signal ignores events.
func (p *Party) Signal(core.Event) {}

// Leave implements core.Seat.
func (p *Party) Leave(r core.Reason) { p.end(r) }

// Ringing implements core.Watcher.
func (p *Party) Ringing(core.Leg) {}

// Failed implements core.Watcher.
func (p *Party) Failed(_ core.Leg, r core.Reason) { p.end(r) }

func (p *Party) end(r core.Reason) {
	p.once.Do(func() {
		p.reason.Store(&r)
		close(p.over)
	})
}

// step sends the frame-th 20 ms.
func (p *Party) step(frame int) {
	sink := p.out.Load()
	if sink == nil {
		return
	}
	if p.film != nil {
		p.film.picture(false, func(payload []byte, last bool) {
			p.packet.Payload, p.packet.Header.Marker = payload, last
			_ = (*sink).Write(&p.packet)
		})
		return
	}
	at := frame % len(p.frames)
	if p.role == burster && at == p.number*window {
		p.bursts.last.Store(int64(core.Now()))
	}
	p.packet.Payload = p.frames[at]
	p.packet.Header.Timestamp += 160
	_ = (*sink).Write(&p.packet)
}

// Close implements core.Sink.
func (p *Party) Close() error { return nil }

// Write takes one packet that the bridge has sent.
func (p *Party) Write(pkt *core.Packet) error {
	if p.active.Load() {
		p.heard.packet(pkt, p.bursts)
	}
	return nil
}

// arrivals counts the packets of one RTP stream.
type arrivals struct {
	packets uint64
	lost    uint64 // by the gaps in their numbers
	maxGap  time.Duration
	seq     uint16
	last    time.Duration
}

// note counts a packet. One that comes late fills the gap that it had left.
func (a *arrivals) note(seq uint16, at time.Duration) {
	a.packets++
	if a.packets == 1 {
		a.seq, a.last = seq, at
		return
	}
	ahead := int16(seq - a.seq)
	if ahead <= 0 {
		a.lost -= min(a.lost, 1)
		return
	}
	a.lost += uint64(ahead - 1)
	a.maxGap = max(a.maxGap, at-a.last)
	a.seq, a.last = seq, at
}

// heard is what a party measures of what it is sent. It is written by the
// poller and read after it has stopped measuring.
type heard struct {
	arrivals
	table    *[256]float32 // nil: not G.711
	coeff    [3]float64
	s1, s2   [3]float64
	n        int
	levels   [3]float64 // dBov in the last whole window
	windows  int
	quiet    int
	delays   []time.Duration
	lastDone int64 // burst already measured
}

func (h *heard) init(c *audio.Codec) {
	for i, f := range Tones {
		h.coeff[i] = 2 * math.Cos(2*math.Pi*f/8000)
	}
	if c.Name != "PCMU" && c.Name != "PCMA" {
		return
	}
	dec, err := c.NewDecoder(8000)
	if err != nil {
		return
	}
	h.table = new([256]float32)
	pcm := make([]int16, 160)
	payload := make([]byte, 160)
	for b := range 256 {
		for i := range payload {
			payload[i] = byte(b)
		}
		if _, err := dec.Decode(pcm, payload); err == nil {
			h.table[b] = float32(pcm[80])
		}
	}
}

// reset forgets all but how to look.
func (h *heard) reset() { *h = heard{table: h.table, coeff: h.coeff, lastDone: h.lastDone} }

func (h *heard) packet(p *core.Packet, b *bursts) {
	h.note(p.Header.SequenceNumber, p.Arrival)
	if h.table == nil {
		return
	}
	if b != nil {
		h.burst(p, b)
		return
	}
	h.analyse(p.Payload)
}

// analyse runs a Goertzel filter for each tone over a second.
func (h *heard) analyse(payload []byte) {
	for k := range h.coeff {
		s1, s2, c := h.s1[k], h.s2[k], h.coeff[k]
		for _, x := range payload {
			s1, s2 = float64(h.table[x])+c*s1-s2, s1
		}
		h.s1[k], h.s2[k] = s1, s2
	}
	if h.n++; h.n < window {
		return
	}
	for k := range h.coeff {
		power := h.s1[k]*h.s1[k] + h.s2[k]*h.s2[k] - h.coeff[k]*h.s1[k]*h.s2[k]
		peak := 2 * math.Sqrt(max(power, 1e-9)) / (window * 160)
		h.levels[k] = 20 * math.Log10(peak/(32768*math.Sqrt2)+1e-9)
		h.s1[k], h.s2[k] = 0, 0
	}
	h.n = 0
	h.windows++
}

// burst measures the time from the burster's packet to ours.
func (h *heard) burst(p *core.Packet, b *bursts) {
	var sum float64
	for _, x := range p.Payload {
		v := float64(h.table[x])
		sum += v * v
	}
	level := 10 * math.Log10(sum/float64(max(1, len(p.Payload)))/(32768*32768)+1e-13)
	if level < -burstLow {
		h.quiet++
		return
	}
	began := b.last.Load()
	if h.quiet > 10 && began != h.lastDone && began != 0 {
		h.lastDone = began
		if d := p.Arrival - time.Duration(began); d > 0 && d < 900*time.Millisecond {
			h.delays = append(h.delays, d)
		}
	}
	h.quiet = 0
}

// verdict tells whether the party heard what it should: every speaker but
// itself. Parties whose codec is not looked into are taken to be right.
func (p *Party) verdict(speakers int) bool {
	if p.heard.table == nil || p.bursts != nil {
		return p.heard.packets > 0
	}
	if p.heard.windows == 0 {
		return false
	}
	for k := range speakers {
		own := p.role == speaker && p.number == k
		if own && p.heard.levels[k] > absent || !own && p.heard.levels[k] < present {
			return false
		}
	}
	return true
}
