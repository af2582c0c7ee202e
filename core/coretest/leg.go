// Package coretest has a leg for tests of rooms: it publishes tones, measures
// what it is sent, and keeps the events it gets.
package coretest

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/g711"
)

// Leg is a party with a G.711 telephone.
type Leg struct {
	mu     sync.Mutex
	info   core.Info
	seat   core.Seat
	mic    core.Sink
	events []core.Event
	told   chan core.Event
	pcm    []int16
	reason *core.Reason
	ended  chan struct{}
	seats  int

	tone    *audio.Tone
	encoder audio.Encoder
	stamp   uint32
	seq     uint16
}

// PCMU is the leg's codec.
var PCMU = core.Codec{Name: "PCMU", ClockRate: 8000, Channels: 1}

var legs atomic.Int64

// New makes a leg that says a tone of hz Hz at -18 dBov; 0: silence.
func New(hz float64, change func(*core.Info)) *Leg {
	n := legs.Add(1)
	l := &Leg{told: make(chan core.Event, 1000), ended: make(chan struct{})}
	l.info = core.Info{ID: fmt.Sprintf("leg-%d", n), Name: fmt.Sprintf("Leg %d", n), Protocol: core.SIP, Direction: core.In,
		Security: core.Security{Signalling: "tls", Media: "sdes-srtp"}, Source: netip.MustParseAddr("192.0.2.1"), Audio: PCMU}
	if change != nil {
		change(&l.info)
	}
	var err error
	if l.encoder, err = g711.Mu.NewEncoder(8000, audio.EncoderOptions{}); err != nil {
		panic(err)
	}
	if hz > 0 {
		l.tone = audio.NewTone(8000, -18, hz)
	}
	return l
}

// Info implements core.Leg.
func (l *Leg) Info() core.Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info
}

// Sit implements core.Leg: it publishes a microphone.
func (l *Leg) Sit(s core.Seat) {
	l.mu.Lock()
	l.seat = s
	l.seats++
	l.mu.Unlock()
	mic, err := s.Publish(core.Track{Source: core.Microphone, Codec: PCMU})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.mic = mic
	}
}

// Subscribe implements core.Leg.
func (l *Leg) Subscribe(core.Track) (core.Sink, error) {
	d, err := g711.Mu.NewDecoder(8000)
	return &ear{l, d}, err
}

type ear struct {
	leg     *Leg
	decoder audio.Decoder
}

func (e *ear) Write(p *core.Packet) error {
	e.leg.mu.Lock()
	defer e.leg.mu.Unlock()
	pcm := make([]int16, len(p.Payload))
	n, err := e.decoder.Decode(pcm, p.Payload)
	e.leg.pcm = append(e.leg.pcm, pcm[:n]...)
	return err
}

func (e *ear) Close() error { return nil }

// Signal implements core.Leg.
func (l *Leg) Signal(e core.Event) {
	l.mu.Lock()
	l.events = append(l.events, e)
	l.mu.Unlock()
	select {
	case l.told <- e:
	default:
	}
}

// Hangup implements core.Leg.
func (l *Leg) Hangup(r core.Reason) {
	l.mu.Lock()
	if l.reason != nil {
		l.mu.Unlock()
		return
	}
	l.reason = &r
	seat := l.seat
	l.mu.Unlock()
	if seat != nil {
		seat.Leave(r)
	}
	close(l.ended)
}

// Ended is closed when the leg was hung up on.
func (l *Leg) Ended() <-chan struct{} { return l.ended }

// Reason is why the leg was hung up on; nil while it is not.
func (l *Leg) Reason() *core.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

// Told are the events that the leg has got.
func (l *Leg) Told() []core.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// Events delivers the same as they come.
func (l *Leg) Events() <-chan core.Event { return l.told }

// Seat is where the leg sits.
func (l *Leg) Seat() core.Seat {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seat
}

// Seats counts how often the leg was sat.
func (l *Leg) Seats() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seats
}

// Mic is the sink of the leg's microphone.
func (l *Leg) Mic() core.Sink {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mic
}

// Press sends keys to the room.
func (l *Leg) Press(keys string) {
	for _, k := range []byte(keys) {
		l.Seat().Signal(core.Digit{Key: k, Via: "rfc4733"})
	}
}

// Speak says 20 ms into sink, or into the present microphone if it is nil.
func (l *Leg) Speak(sink core.Sink) {
	if sink == nil {
		sink = l.Mic()
	}
	if sink == nil {
		return
	}
	pcm := make([]int16, 160)
	if l.tone != nil {
		l.tone.Read(pcm)
	}
	payload := make([]byte, 160)
	if _, err := l.encoder.Encode(payload, pcm); err != nil {
		panic(err)
	}
	p := core.Packet{Payload: payload, Arrival: core.Now(), Level: core.LevelUnknown}
	p.Header.Version, p.Header.SSRC, p.Header.SequenceNumber, p.Header.Timestamp = 2, 7, l.seq, l.stamp
	l.seq++
	l.stamp += 160
	_ = sink.Write(&p)
}

// Forget drops what was heard so far.
func (l *Leg) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pcm = nil
}

// Hears gives the level in dBov of each frequency in what was heard.
func (l *Leg) Hears(hz ...float64) []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return audio.Spectrum(l.pcm, 8000, hz...)
}

// Heard is the level of all that was heard, in -dBov; 127: nothing.
func (l *Leg) Heard() uint8 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pcm) == 0 {
		return 127
	}
	return audio.Level(l.pcm)
}
