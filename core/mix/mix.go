// Package mix is the sound of one meeting. It takes the coded audio of all who
// speak and gives each listener one coded stream of all the others.
//
// A mixer is stepped by a clock, 20 ms at a time, and has no goroutine, timer
// or lock of its own. What a step costs follows from who speaks, not from who
// listens: the loudest few are chosen by the level in their packets (RFC 6464,
// or the energy of G.711) before anything is decoded; there is one full mix and
// one without each speaker; each is encoded once per codec and packet time and
// handed to all who hear it, with their own numbering (RFC 3550).
package mix

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/cache"
)

// Options of a Mixer.
type Options struct {
	// Speakers is how many are heard at once; 0 means 5, the most is 8.
	Speakers int
	// MaxDelay bounds each jitter buffer; 0 means 200 ms.
	MaxDelay time.Duration
	// Complexity and LossPercent are for the Opus encoders; see
	// audio.EncoderOptions.
	Complexity  int
	LossPercent int
	// Log gets what an operator should know; nil means slog.Default.
	Log *slog.Logger
}

const (
	maxSpeakers = 8
	maxRate     = 48000
	maxFrame    = maxRate / 50
	framesPerS  = 50
)

// Mixer mixes one meeting. Step is called from one goroutine at a time,
// everything else from any; nothing waits for anything.
type Mixer struct {
	o     Options
	lists atomic.Pointer[lists]
	// leaving: somebody in the lists has closed.
	leaving atomic.Bool

	announce player
	music    atomic.Pointer[loop]
	heard    [maxSpeakers]atomic.Pointer[Input]
	steps    atomic.Uint64
	encodes  atomic.Uint64
	decodes  atomic.Uint64

	// What follows belongs to Step.
	step    uint64 // counts from 2, so that "the step before" is never 0
	now     time.Duration
	rate    int // Hz of all mixes
	fading  fading
	chosen  []*Input // heard, loudest first
	active  []*Input // with sound in this frame
	blind   int      // inputs whose level only decoding shows
	backing backing
	full    [maxFrame]int32 // all voices
	dialin  [maxFrame]int32 // voices that are not forwarded
	out     [maxFrame]int32
	pcm     [maxFrame]int16
	shared  []*Output // scratch: who hears a group's shared stream
	packet  core.Packet
	echo    echoWatch
}

// fading bridges a change of the mix rate: one frame fades out at the old rate,
// the next fades in at the new one, so that the change does not click.
type fading struct{ from, to float32 }

// Stats count since the mixer began.
type Stats struct{ Steps, Encodes, Decodes uint64 }

// Speaker is a party heard now.
type Speaker struct {
	Party string
	Level uint8 // -dBov
}

// lists are who takes part; never changed, only replaced.
type lists struct {
	inputs []*Input
	groups []*group
	rate   int  // that this company needs
	plain  bool // there is a listener who hears the forwarded voices here too
}

// group is all listeners of one codec, packet time and view.
type group struct {
	key    groupKey
	stream *stream // of those who do not speak
	outs   []*Output
}

type groupKey struct {
	codec     *audio.Codec
	ptime     time.Duration
	forwarded bool
}

// New makes a mixer with nobody in it.
func New(o Options) *Mixer {
	if o.Speakers <= 0 {
		o.Speakers = 5 // four who talk at once hear one another
	}
	o.Speakers = min(o.Speakers, maxSpeakers)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m := &Mixer{o: o, step: 2, fading: fading{1, 1}}
	m.chosen = make([]*Input, 0, maxSpeakers)
	m.active = make([]*Input, 0, 2*maxSpeakers)
	m.packet.Header.Version = 2
	m.lists.Store(&lists{rate: 8000})
	return m
}

// Step makes the next 20 ms of sound; now is the time on the clock of
// core.Now at which it is called. Sinks are written and callbacks called from
// here, so they must not block.
func (m *Mixer) Step(now time.Duration) {
	if m.leaving.Swap(false) {
		m.change(func(l *lists) { l.drop(&m.leaving) })
	}
	l := m.lists.Load()
	m.keepTime(now)
	m.settleRate(l.rate)
	m.listen(l)
	m.choose(l)
	m.mixVoices(l)
	m.watchEcho(l)
	m.backing.read(m)
	for _, g := range l.groups {
		m.serve(g)
	}
	if m.fading.to == 0 {
		m.rate = l.rate
	}
	m.step++
	m.steps.Add(1)
}

// maxLate is how late steps may come before the mixer's time follows them.
const maxLate = 100 * time.Millisecond

// keepTime moves m.now on by a step. A step that comes late, and those that
// then catch up, must not look like jitter of the network.
func (m *Mixer) keepTime(now time.Duration) {
	if m.now += audio.Frame; m.now > now || now-m.now > maxLate {
		m.now = now
	}
}

// settleRate begins, or ends, a change of the mix rate.
func (m *Mixer) settleRate(want int) {
	switch {
	case m.rate == 0:
		m.rate = want
	case m.fading.to == 0:
		m.fading = fading{0, 1}
	case m.rate != want:
		m.fading = fading{1, 0}
	default:
		m.fading = fading{1, 1}
	}
}

// frame is the number of samples in a step.
func (m *Mixer) frame() int { return m.rate / framesPerS }

// mixVoices adds up who is heard: m.full of all, m.dialin of those whom
// browsers do not get unmixed.
func (m *Mixer) mixVoices(l *lists) {
	n := m.frame()
	clear(m.full[:n])
	clear(m.dialin[:n])
	m.active = m.active[:0]
	for i, in := range l.inputs {
		ahead(l.inputs, i)
		if !in.next(m, l, i) {
			continue
		}
		m.active = append(m.active, in)
		add(m.full[:n], in.pcm[:n])
		if !in.o.Forwarded {
			add(m.dialin[:n], in.pcm[:n])
		}
	}
}

// serve makes and sends what a group's listeners hear.
func (m *Mixer) serve(g *group) {
	m.shared = m.shared[:0]
	view, sound := m.view(g.key.forwarded)
	for i, o := range g.outs {
		if i%together == 0 {
			for _, o := range g.outs[i:min(i+together, len(g.outs))] {
				cache.Fetch(&o.hot)
			}
		}
		alone := o.player.busy() || o.duck.down || m.speaks(o)
		if alone {
			o.own.begin(m, g.stream)
			m.serveAlone(g, o, view, sound)
		} else {
			if o.alone {
				g.stream.begin(m, &o.own)
			}
			m.shared = append(m.shared, o)
		}
		o.alone = alone
	}
	if len(m.shared) == 0 {
		return
	}
	g.stream.begin(m, nil)
	n := m.frame()
	copy(m.out[:n], view)
	m.backing.lay(m.out[:n])
	m.emit(g, g.stream, m.shared, sound)
}

// serveAlone is for a listener whose mix nobody shares: a speaker, who must not
// hear himself, or one to whom a prompt is played.
func (m *Mixer) serveAlone(g *group, o *Output, view []int32, sound bool) {
	n := m.frame()
	copy(m.out[:n], view)
	for _, in := range m.active {
		if in.party == o.party && !(g.key.forwarded && in.o.Forwarded) {
			subtract(m.out[:n], in.pcm[:n])
		}
	}
	m.backing.lay(m.out[:n])
	if o.player.busy() {
		o.duck.apply(m.out[:n], true)
		o.player.read(m, m.out[:n])
		sound = true
	} else {
		o.duck.apply(m.out[:n], false)
	}
	o.one[0] = o
	m.emit(g, &o.own, o.one[:], sound)
}

// view is the sum of the voices that a kind of listener hears mixed, and
// whether there is any sound for it.
func (m *Mixer) view(forwarded bool) (sum []int32, sound bool) {
	if !forwarded {
		return m.full[:m.frame()], true
	}
	sound = m.backing.sounds
	for _, in := range m.active {
		sound = sound || !in.o.Forwarded
	}
	return m.dialin[:m.frame()], sound
}

// speaks reports whether the listener's own voice is in its mix.
func (m *Mixer) speaks(o *Output) bool {
	for _, in := range m.active {
		if in.party == o.party && !(o.key.forwarded && in.o.Forwarded) {
			return true
		}
	}
	return false
}

// Comfort for forwarded listeners while nobody dialled in speaks: the stream
// stops after a tail, but for a packet now and then that keeps it alive.
const (
	tailSteps    = 10
	comfortSteps = 20
)

// emit codes m.out on the stream and sends it to the listeners.
func (m *Mixer) emit(g *group, s *stream, to []*Output, sound bool) {
	if sound {
		s.idle = 0
	} else {
		s.idle++
	}
	talk := s.idle <= tailSteps
	s.write(m, m.out[:m.frame()])
	for s.due() {
		payload, ticks := s.packet(m, talk || s.idle%comfortSteps < s.steps())
		if payload == nil {
			continue
		}
		m.packet.Payload, m.packet.Arrival, m.packet.Level = payload, m.now, s.level
		for some := range slices.Chunk(to, together) {
			for _, o := range some {
				cache.Fetch(&o.hot)
			}
			for _, o := range some {
				core.Warm(o.sink)
			}
			for _, o := range some {
				o.send(&m.packet, ticks, talk)
			}
		}
	}
}

// together is how many parties' memory is fetched at once: few enough for the
// nearest cache.
const together = 16

// ahead has what the inputs from the i-th on need fetched, when their turn to be
// fetched together has come.
func ahead(inputs []*Input, i int) {
	if i%together != 0 {
		return
	}
	some := inputs[i:min(i+together, len(inputs))]
	for _, in := range some {
		cache.Fetch(in)
	}
	for _, in := range some {
		in.jitter.FetchNext()
	}
}

// Speakers lists who is heard now, the loudest first.
func (m *Mixer) Speakers() []Speaker {
	var list []Speaker
	for i := range m.heard {
		in := m.heard[i].Load()
		if in == nil {
			continue
		}
		same := func(s Speaker) bool { return s.Party == in.o.Party }
		if !slices.ContainsFunc(list, same) {
			list = append(list, Speaker{in.o.Party, in.Level()})
		}
	}
	return list
}

// Stats since the mixer began.
func (m *Mixer) Stats() Stats {
	return Stats{m.steps.Load(), m.encodes.Load(), m.decodes.Load()}
}

// Empty reports whether nobody takes part.
func (m *Mixer) Empty() bool {
	l := m.lists.Load()
	return !slices.ContainsFunc(l.inputs, func(in *Input) bool { return !in.closed.Load() }) &&
		!slices.ContainsFunc(l.groups, func(g *group) bool { return slices.ContainsFunc(g.outs, (*Output).stays) })
}

// Close lets everybody go; later steps make nothing.
func (m *Mixer) Close() error {
	for _, in := range m.lists.Swap(&lists{rate: 8000}).inputs {
		in.closed.Store(true)
	}
	m.music.Store(nil)
	return nil
}

// change replaces the lists; f may be called more than once.
func (m *Mixer) change(f func(*lists)) {
	for {
		old := m.lists.Load()
		l := &lists{inputs: slices.Clone(old.inputs), groups: slices.Clone(old.groups)}
		f(l)
		l.settle()
		if m.lists.CompareAndSwap(old, l) {
			return
		}
	}
}

// drop takes out who has closed, all at once: were the lists copied for each, a
// meeting that is over would hold the clock up. later is set if there are voices that
// fade out first.
func (l *lists) drop(later *atomic.Bool) {
	l.inputs = slices.DeleteFunc(l.inputs, func(in *Input) bool {
		if !in.closed.Load() {
			return false
		}
		if in.gain > 0 {
			later.Store(true)
		}
		return in.gain == 0
	})
	for i, g := range l.groups {
		l.groups[i] = &group{g.key, g.stream, slices.DeleteFunc(slices.Clone(g.outs), func(o *Output) bool { return !o.stays() })}
	}
	l.groups = slices.DeleteFunc(l.groups, func(g *group) bool { return len(g.outs) == 0 })
}

// settle finds the rate that this company needs: the highest that some listener
// can hear and some voice he hears, or a prompt, contains.
func (l *lists) settle() {
	const prompts = 16000
	voices, dialin := prompts, prompts
	for _, in := range l.inputs {
		top := in.codec.Rates[len(in.codec.Rates)-1]
		voices = max(voices, top)
		if !in.o.Forwarded {
			dialin = max(dialin, top)
		}
	}
	l.rate = 8000
	for _, g := range l.groups {
		top := g.key.codec.Rates[len(g.key.codec.Rates)-1]
		if g.key.forwarded {
			l.rate = max(l.rate, min(top, dialin))
		} else {
			l.plain = true
			l.rate = max(l.rate, min(top, voices))
		}
	}
}

func add(sum []int32, pcm []int16) {
	for i, s := range pcm[:len(sum)] {
		sum[i] += int32(s)
	}
}

func subtract(sum []int32, pcm []int16) {
	for i, s := range pcm[:len(sum)] {
		sum[i] -= int32(s)
	}
}

type party = unique.Handle[string]
