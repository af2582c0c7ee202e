package mix

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
	"unique"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/codecs"
	"bridgehead/core/cache"
)

// InputOptions describe a voice.
type InputOptions struct {
	Party string
	Codec core.Codec
	// Forwarded says that forwarded outputs get this voice unmixed.
	Forwarded bool
	// AGC brings the voice to the loudness of the others.
	AGC bool
	// DetectDigits has tones of keys sought in the sound; OnDigit is called
	// from Step for each and must not block. The tones are kept from the mix.
	DetectDigits bool
	OnDigit      func(key byte)
}

// Input is the voice of one party; a core.Sink for its packets.
type Input struct {
	o      InputOptions
	m      *Mixer
	party  party
	codec  *audio.Codec
	jitter *audio.Jitter
	muted  atomic.Bool
	closed atomic.Bool
	level  atomic.Uint32
	meter  meter

	// What follows belongs to Step.
	score    float64 // -dBov, quick to rise and slow to fall
	louder   int     // steps in which it was louder than the least of the heard
	blind    bool    // its packets tell no level, or none to believe
	doubt    int     // how often they told too much
	arrived  uint8   // as the packets tell that came since the last step
	measured uint8   // of the last decoded frame; audio.Silence if none was
	target   float32 // gain to reach: 1 if heard, else 0
	gain     float32

	rate    int // of the mix, that dec and res are made for
	dec     audio.Decoder
	decRate int
	res     *audio.Resampler
	agc     audio.AGC
	digits  *audio.DigitDetector
	ticks   int     // RTP ticks fetched and not yet played
	decoded bool    // pending holds their sound
	pending []int16 // at the mix rate
	pcm     []int16 // this step's frame
	work    []int16 // as decoded
}

// AddInput adds a voice. The error says that the codec is unknown.
func (m *Mixer) AddInput(o InputOptions) (*Input, error) {
	codec, ok := codecs.Lookup(o.Codec)
	if !ok {
		return nil, fmt.Errorf("mix: no audio codec %q", o.Codec.Name)
	}
	o.DetectDigits = o.DetectDigits && o.OnDigit != nil
	in := &Input{
		o: o, m: m, codec: codec, party: unique.Make(o.Party),
		jitter:   audio.NewJitter(audio.JitterOptions{Codec: codec, Max: m.o.MaxDelay}),
		score:    audio.Silence,
		measured: audio.Silence,
	}
	in.level.Store(audio.Silence)
	in.meter.loudest.Store(audio.Silence)
	m.change(func(l *lists) { l.inputs = append(l.inputs, in) })
	return in, nil
}

// comfortNoise is its static payload type (RFC 3389): silence, which the
// jitter buffer knows by the missing packets.
const comfortNoise = 13

// Write implements core.Sink. It never blocks.
func (in *Input) Write(p *core.Packet) error {
	if in.closed.Load() {
		return io.ErrClosedPipe
	}
	if p.Header.PayloadType == comfortNoise && in.o.Codec.PayloadType != comfortNoise {
		return nil
	}
	in.jitter.Put(p)
	return nil
}

// Warm implements core.Warmer.
func (in *Input) Warm() {
	cache.Fetch(in)
	in.jitter.Fetch()
}

// Close takes the voice out of the meeting with the next steps.
func (in *Input) Close() error {
	in.closed.Store(true)
	in.m.leaving.Store(true)
	return nil
}

// Mute sets whether the voice is kept from the meeting. Digits are still sought.
func (in *Input) Mute(on bool) { in.muted.Store(on) }

// Level of the voice now, -dBov.
func (in *Input) Level() uint8 { return uint8(in.level.Load()) }

// meter is read from anywhere.
type meter struct {
	listened, clipped, compared, echoes atomic.Uint64
	loudest, echoAfter                  atomic.Uint32 // -dBov; steps
}

// Meter implements core.Metered.
func (in *Input) Meter() core.Meter {
	t := &in.meter
	return core.Meter{Level: in.Level(), Loudest: uint8(t.loudest.Load()), Listened: t.listened.Load(), Clipped: t.clipped.Load(),
		Compared: t.compared.Load(), Echoes: t.echoes.Load(), EchoAfter: steps(t.echoAfter.Load())}
}

// Stats of what was received.
func (in *Input) Stats() audio.JitterStats { return in.jitter.Stats() }

// next makes the input's frame in in.pcm and reports whether it is heard.
func (in *Input) next(m *Mixer, l *lists, index int) bool {
	target := in.target
	if in.o.Forwarded && !l.plain {
		target = 0 // all listeners get it unmixed
	}
	if in.digits != nil && in.digits.Active() {
		target = 0
	}
	heard := target > 0 || in.gain > 0
	probe := in.blind && in.able() && (in == m.echo.of || (m.step+uint64(index))%uint64(m.blind/blindAtOnce+1) == 0)
	if !heard && !in.o.DetectDigits && !probe {
		in.pass(m.now)
		return false
	}
	in.prepare(m.rate)
	in.play(m, heard)
	if in.digits != nil {
		in.digits.Write(in.pcm, in.o.OnDigit)
	}
	in.measured = audio.Level(in.pcm)
	in.meter.listened.Add(1)
	if audio.Clipped(in.pcm) {
		in.meter.clipped.Add(1)
	}
	if !heard {
		return false
	}
	if in.o.AGC {
		in.agc.Frame(in.pcm)
	}
	audio.Ramp(in.pcm, in.gain, target)
	in.gain = target
	return true
}

// pass lets 20 ms go by unheard and undecoded.
func (in *Input) pass(now time.Duration) {
	step := in.codec.ClockRate / framesPerS
	for in.ticks < step {
		in.ticks += in.jitter.Get(now+in.ahead(), true).Ticks
	}
	in.ticks -= step
	in.decoded = false
	in.measured = audio.Silence
}

// ahead is how much sound is fetched beyond now.
func (in *Input) ahead() time.Duration {
	return time.Duration(in.ticks) * time.Second / time.Duration(in.codec.ClockRate)
}

// samples at the given rate in some RTP ticks.
func (in *Input) samples(ticks, rate int) int { return ticks * rate / in.codec.ClockRate }

// play decodes until there are 20 ms in in.pcm.
func (in *Input) play(m *Mixer, heard bool) {
	if !in.decoded { // what was fetched before was not decoded
		in.pending = grow(in.pending[:0], in.samples(in.ticks, in.rate))
		in.decoded = true
	}
	step := in.codec.ClockRate / framesPerS
	for in.ticks < step {
		c := in.jitter.Get(m.now+in.ahead(), !heard)
		in.ticks += c.Ticks
		in.decode(m, c)
		in.pending = grow(in.pending, in.samples(in.ticks, in.rate))
	}
	in.ticks -= step
	n := copy(in.pcm, in.pending)
	in.pending = in.pending[:copy(in.pending, in.pending[n:])]
}

// grow cuts or lengthens pcm to n samples, with silence.
func grow(pcm []int16, n int) []int16 {
	if n = min(n, cap(pcm)); n <= len(pcm) {
		return pcm[:n]
	}
	at := len(pcm)
	pcm = pcm[:n]
	clear(pcm[at:])
	return pcm
}

// decode appends a piece of the stream to in.pending.
func (in *Input) decode(m *Mixer, c audio.Coded) {
	work := in.work[:min(in.samples(c.Ticks, in.decRate), len(in.work))]
	switch c.Status {
	case audio.Nothing:
		clear(work)
	case audio.Lost:
		in.recover(work, c.Next)
	case audio.Ready:
		m.decodes.Add(1)
		n, err := in.dec.Decode(in.work, c.Payload)
		if err != nil {
			in.dec.Conceal(work)
		} else {
			work = in.work[:n]
		}
	}
	room := in.pending[len(in.pending):cap(in.pending)]
	n := in.res.Process(room, work)
	in.pending = in.pending[:len(in.pending)+n]
}

func (in *Input) recover(pcm []int16, next []byte) {
	n := 0
	if next != nil {
		n = in.dec.Recover(pcm, next)
	} else {
		n = in.dec.Conceal(pcm)
	}
	clear(pcm[n:])
}

// prepare fits decoder and buffers to the mix rate. It allocates only when that
// has changed.
func (in *Input) prepare(rate int) {
	if in.rate == rate {
		return
	}
	in.rate = rate
	if r := in.codec.Rate(rate); r != in.decRate {
		dec, err := in.codec.NewDecoder(r)
		if err != nil { // cannot be: the rate is the codec's own
			in.m.o.Log.Error("mix: no decoder", "party", in.o.Party, "codec", in.codec.Name, "err", err)
			dec = deaf{}
		}
		in.dec, in.decRate = dec, r
		in.work = make([]int16, audio.Samples(audio.MaxPacket, r))
	}
	in.res = audio.NewResampler(in.decRate, rate)
	in.pending = make([]int16, 0, audio.Samples(audio.MaxPacket+2*audio.Frame, rate))
	in.decoded = false
	in.pcm = make([]int16, rate/framesPerS)
	if in.o.DetectDigits {
		in.digits = audio.NewDigitDetector(rate)
	}
}

// deaf stands for a decoder that could not be had.
type deaf struct{}

func (deaf) Decode(pcm []int16, _ []byte) (int, error) { return 0, audio.ErrPayload }
func (d deaf) Recover(pcm []int16, _ []byte) int       { return d.Conceal(pcm) }
func (deaf) Conceal(pcm []int16) int {
	clear(pcm)
	return len(pcm)
}
