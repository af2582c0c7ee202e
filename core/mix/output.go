package mix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"unique"

	"bridgehead/core"
	"bridgehead/core/audio/codecs"
)

// OutputOptions describe a listener.
type OutputOptions struct {
	Party string
	// Codec, with its payload type and packet time, that the sink takes.
	Codec core.Codec
	Sink  core.Sink
	// Forwarded says that this listener gets forwarded voices unmixed; its mix
	// has the others only, and pauses while there are none. Any other listener
	// gets packets without end, silence included.
	Forwarded bool
	// OnPlayed is called from Step whenever a prompt queued with Play has been
	// played to its end; it must not block. Nil is fine.
	OnPlayed func()
}

// Output is one listener.
type Output struct {
	hot
	o      OutputOptions
	m      *Mixer
	key    groupKey
	failed atomic.Uint64
	own    stream // while what it hears is shared with nobody; of Step
	one    [1]*Output
}

// hot is what each step needs of an Output, in few cache lines; all but closed,
// sent and the player's orders belongs to Step.
type hot struct {
	sink    core.Sink
	party   party
	sent    atomic.Uint64
	closed  atomic.Bool
	alone   bool // own was used in the last step
	duck    duck
	talking bool
	// of the packets: type, number of the next, source, RTP timestamp at the mixer's beginning
	payloadType uint8
	number      uint16
	ssrc, ts    uint32
	player      player
}

// AddOutput adds a listener. Its sink is written from Step, at the latest one
// step after Close, and is left for the caller to close. The error says that
// the codec is unknown.
func (m *Mixer) AddOutput(opt OutputOptions) (*Output, error) {
	codec, ok := codecs.Lookup(opt.Codec)
	if !ok {
		return nil, fmt.Errorf("mix: no audio codec %q", opt.Codec.Name)
	}
	o := &Output{o: opt, m: m}
	o.hot = hot{sink: opt.Sink, party: unique.Make(opt.Party), payloadType: opt.Codec.PayloadType, number: uint16(rand.Uint32()), ssrc: rand.Uint32(), ts: rand.Uint32()}
	o.key = groupKey{codec, codec.Ptime(opt.Codec.Ptime), opt.Forwarded}
	o.own.describe(o.key)
	m.change(func(l *lists) { l.join(o) })
	return o, nil
}

func (l *lists) join(o *Output) {
	for i, g := range l.groups {
		if g.key == o.key {
			l.groups[i] = &group{g.key, g.stream, append(slices.Clone(g.outs), o)}
			return
		}
	}
	s := &stream{}
	s.describe(o.key)
	l.groups = append(l.groups, &group{o.key, s, []*Output{o}})
}

// Close takes the listener out: nothing more is written.
func (o *Output) Close() error {
	o.closed.Store(true)
	o.m.leaving.Store(true)
	return nil
}

func (o *Output) stays() bool { return !o.closed.Load() }

// Play queues prompts for this listener alone, over what it hears, which is
// lowered meanwhile.
func (o *Output) Play(clips ...*Clip) { o.player.play(o.m, o.o.OnPlayed, clips) }

// PlayThen is Play, and then calls done from Step, which must not block, unless
// the prompts are stopped before.
func (o *Output) PlayThen(done func(), clips ...*Clip) { o.player.play(o.m, done, clips) }

// StopPlay ends all that is playing and queued.
func (o *Output) StopPlay() { o.player.stop() }

// Sent counts the packets written, and those of them that the sink refused.
func (o *Output) Sent() (packets, refused uint64) { return o.sent.Load(), o.failed.Load() }

// send numbers a packet, which all listeners in turn are written, for this one and
// writes it. ticks is its place on the mixer's RTP clock; talk says that it is no
// mere sign of life.
func (o *Output) send(p *core.Packet, ticks uint64, talk bool) {
	if o.closed.Load() {
		return
	}
	h := &p.Header
	h.Marker = talk && !o.talking
	h.PayloadType, h.SSRC = o.payloadType, o.ssrc
	h.Timestamp = o.ts + uint32(ticks)
	h.SequenceNumber = o.number
	o.talking = talk
	if o.sink.Write(p) != nil {
		o.failed.Add(1)
	}
	o.sent.Add(1)
	o.number++
}
