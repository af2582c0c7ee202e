package mix

import (
	"bridgehead/core/audio"
)

// stream codes one mix for one codec and packet time. It keeps its encoder from
// step to step, since all but G.711 remember what they coded.
type stream struct {
	key   groupKey
	ran   uint64 // step of its last write
	idle  int    // steps without sound
	level uint8  // of the last frame, -dBov

	mixRate int
	rate    int // of the encoder
	enc     audio.Encoder
	res     *audio.Resampler
	pend    []int16 // not yet coded, less than a packet and a step
	last    []int16 // the packet coded last
	buf     []byte
	end     uint64 // RTP ticks at the end of pend
}

// maxCoded is the room for a payload: 60 ms of G.711, and more than any Opus
// packet at our bit rates.
const maxCoded = 1275

func (s *stream) describe(k groupKey) { s.key = k }

// steps is how many steps a packet takes, at least one.
func (s *stream) steps() int { return int(max(s.key.ptime/audio.Frame, 1)) }

// begin readies a stream for this step. If it stood still, it takes over where
// from, which its listener heard until now, has come to.
func (s *stream) begin(m *Mixer, from *stream) {
	if s.ran+1 == m.step || s.ran == m.step {
		return
	}
	s.prepare(m)
	if from != nil && from.ran+1 >= m.step && from.mixRate == s.mixRate && from.ran != 0 {
		s.follow(from)
		s.ran = m.step - 1
		return
	}
	// All streams of a packet time cut their packets at the same steps, so
	// that a listener can be moved between them.
	elapsed := m.elapsed(s.rate)
	s.pend = grow(s.pend[:0], int(elapsed%uint64(audio.Samples(s.key.ptime, s.rate))))
	s.idle = 0
	s.ran = m.step - 1
}

// elapsed is the time since the mixer began, in units of rate.
func (m *Mixer) elapsed(rate int) uint64 { return (m.step - 2) * uint64(rate) / framesPerS }

func (s *stream) follow(from *stream) {
	s.pend = append(s.pend[:0], from.pend...)
	s.res.Follow(from.res)
	s.idle = from.idle
	if f, ok := s.enc.(audio.Follower); ok {
		f.Follow(from.enc)
	} else if len(from.last) > 0 {
		_, _ = s.enc.Encode(s.buf, from.last) // to have its state, not its bytes
	}
}

// prepare fits the encoder to the mix rate. It allocates only when that has
// changed.
func (s *stream) prepare(m *Mixer) {
	if s.mixRate == m.rate {
		return
	}
	s.mixRate = m.rate
	rate := s.key.codec.Rate(m.rate)
	s.res = audio.NewResampler(m.rate, rate)
	if rate == s.rate {
		return
	}
	enc, err := s.key.codec.NewEncoder(rate, audio.EncoderOptions{
		Complexity: m.o.Complexity, LossPercent: m.o.LossPercent,
	})
	if err != nil { // cannot be: the rate is the codec's own
		m.o.Log.Error("mix: no encoder", "codec", s.key.codec.Name, "err", err)
		enc = dumb{}
	}
	pend := 0
	if s.rate > 0 {
		pend = len(s.pend) * rate / s.rate
	}
	s.enc, s.rate = enc, rate
	s.pend = grow(make([]int16, 0, audio.Samples(s.key.ptime+audio.Frame, rate)), pend)
	s.last = make([]int16, 0, audio.Samples(s.key.ptime, rate))
	if s.buf == nil {
		s.buf = make([]byte, maxCoded)
	}
}

// write adds the sum of a step.
func (s *stream) write(m *Mixer, sum []int32) {
	s.prepare(m)
	pcm := m.pcm[:len(sum)]
	audio.Limit(pcm, sum)
	audio.Ramp(pcm, m.fading.from, m.fading.to)
	s.level = audio.Level(pcm)
	at := len(s.pend)
	n := s.res.Process(s.pend[at:cap(s.pend)], pcm)
	s.pend = s.pend[:at+n]
	s.ran = m.step
	clock := s.key.codec.ClockRate
	s.end = m.elapsed(clock) + uint64(clock/framesPerS)
}

// due reports whether there is sound for a packet.
func (s *stream) due() bool { return len(s.pend) >= audio.Samples(s.key.ptime, s.rate) }

// packet takes the next packet's sound and, if it is wanted, codes it. It
// returns the payload, good until the next call, or nil, and its RTP time.
func (s *stream) packet(m *Mixer, wanted bool) ([]byte, uint64) {
	n := audio.Samples(s.key.ptime, s.rate)
	s.last = append(s.last[:0], s.pend[:n]...)
	ticks := s.end - uint64(len(s.pend)*s.key.codec.ClockRate/s.rate)
	s.pend = s.pend[:copy(s.pend, s.pend[n:])]
	if !wanted {
		return nil, 0
	}
	m.encodes.Add(1)
	size, err := s.enc.Encode(s.buf, s.last)
	if err != nil || size == 0 {
		return nil, 0
	}
	return s.buf[:size], ticks
}

// dumb stands for an encoder that could not be had.
type dumb struct{}

func (dumb) Encode([]byte, []int16) (int, error) { return 0, audio.ErrRate }
