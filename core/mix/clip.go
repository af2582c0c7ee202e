package mix

import (
	"io"
	"sync/atomic"

	"bridgehead/core/audio"
)

// Clip is a prompt or piece of music. It may be played by any number of mixers
// at once.
type Clip struct {
	rate int
	pcm  []int16
	at   [3]atomic.Pointer[[]int16] // at 8, 16 and 48 kHz, made when first needed
}

// NewClip of mono PCM at rate Hz, a multiple of 1000. The PCM is kept.
func NewClip(rate int, pcm []int16) *Clip { return &Clip{rate: rate, pcm: pcm} }

// ReadClip reads a WAV file.
func ReadClip(r io.Reader) (*Clip, error) {
	w, err := audio.ReadWAV(r)
	if err != nil {
		return nil, err
	}
	if w.Rate%1000 != 0 {
		return nil, audio.ErrRate
	}
	return NewClip(w.Rate, w.Mono()), nil
}

// Frames is the clip's length in steps of 20 ms, the last one filled up.
func (c *Clip) Frames() int {
	n := c.rate / framesPerS
	return (len(c.pcm) + n - 1) / n
}

// pcmAt is the clip at one of the mix rates. The first call for a rate takes
// about 0.5 ms for a second of sound.
func (c *Clip) pcmAt(rate int) []int16 {
	if rate == c.rate {
		return c.pcm
	}
	slot := &c.at[map8to48(rate)]
	if p := slot.Load(); p != nil {
		return *p
	}
	pcm := make([]int16, 0, (len(c.pcm)+1)*rate/c.rate+maxFrame)
	res, n := audio.NewResampler(c.rate, rate), c.rate/framesPerS
	for at := 0; at < len(c.pcm); at += n {
		block := c.pcm[at:min(at+n, len(c.pcm))]
		pcm = pcm[:len(pcm)+res.Process(pcm[len(pcm):cap(pcm)], block)]
	}
	slot.Store(&pcm)
	return pcm
}

func map8to48(rate int) int {
	switch rate {
	case 8000:
		return 0
	case 16000:
		return 1
	}
	return 2
}

// frame is the clip's i-th 20 ms at rate Hz; short or empty at the end.
func (c *Clip) frame(i, rate int) []int16 {
	pcm, n := c.pcmAt(rate), rate/framesPerS
	return pcm[min(i*n, len(pcm)):min((i+1)*n, len(pcm))]
}

// ready has the clip at the rate that the mixer needs now, so that Step does
// not have to make it.
func (c *Clip) ready(m *Mixer) { c.pcmAt(m.lists.Load().rate) }

// order is a wish to a player; orders wait in a list, the latest first.
type order struct {
	clips []*Clip
	done  func()
	stop  bool
	next  *order
}

// player plays clips one after another. Orders come from any goroutine, the
// rest belongs to Step.
type player struct {
	inbox   atomic.Pointer[order]
	queue   []*order
	frame   int // of the first clip of the first order
	ending  bool
	playing bool
}

func (p *player) play(m *Mixer, done func(), clips []*Clip) {
	for _, c := range clips {
		c.ready(m)
	}
	p.put(&order{clips: clips, done: done})
}

func (p *player) stop() { p.put(&order{stop: true}) }

func (p *player) put(o *order) {
	for {
		o.next = p.inbox.Load()
		if p.inbox.CompareAndSwap(o.next, o) {
			return
		}
	}
}

// busy reports whether there is something to play in this step.
func (p *player) busy() bool {
	if p.inbox.Load() != nil {
		p.take(p.inbox.Swap(nil))
	}
	return p.ending || len(p.queue) > 0
}

// take sorts the orders in, the earliest first.
func (p *player) take(o *order) {
	if o == nil {
		return
	}
	p.take(o.next)
	o.next = nil
	if !o.stop {
		p.queue = append(p.queue, o)
		return
	}
	if p.playing && len(p.queue) > 0 {
		p.ending = true // one frame more, to fade out
		p.queue = p.queue[:1]
	} else {
		p.queue = p.queue[:0]
	}
}

// read adds the next 20 ms to sum.
func (p *player) read(m *Mixer, sum []int32) {
	p.skipEmpty()
	if len(p.queue) == 0 {
		p.ending, p.playing = false, false
		return
	}
	o := p.queue[0]
	pcm := o.clips[0].frame(p.frame, m.rate)
	if p.ending {
		p.queue = p.queue[:copy(p.queue, p.queue[1:])]
		p.ending, p.playing, p.frame = false, false, 0
		for i, s := range pcm {
			sum[i] += int32(s) * int32(len(pcm)-i) / int32(len(pcm))
		}
		return
	}
	p.playing = true
	add(sum[:len(pcm)], pcm)
	if p.frame++; p.frame >= o.clips[0].Frames() {
		o.clips, p.frame = o.clips[1:], 0
		p.skipEmpty()
	}
}

// skipEmpty ends orders that have nothing left to play.
func (p *player) skipEmpty() {
	for len(p.queue) > 0 && len(p.queue[0].clips) == 0 {
		done := p.queue[0].done
		p.queue = p.queue[:copy(p.queue, p.queue[1:])]
		p.playing = len(p.queue) > 0
		if done != nil {
			done()
		}
	}
}

// loop is the music.
type loop struct {
	clip  *Clip
	again bool
}

// Play announces the clips, one after another, to all listeners. Voices and
// music are lowered meanwhile.
func (m *Mixer) Play(clips ...*Clip) { m.announce.play(m, nil, clips) }

// Music plays in the background for everyone, again and again if wanted, until
// it is replaced; nil ends it.
func (m *Mixer) Music(clip *Clip, again bool) {
	if clip == nil || len(clip.pcm) == 0 {
		m.music.Store(nil)
		return
	}
	clip.ready(m)
	m.music.Store(&loop{clip, again})
}

// ducked is the gain of what lies under a prompt: -12 dB.
const ducked = 0.25

// duck lowers what lies under a prompt, and raises it again, over a frame.
type duck struct{ down bool }

func (d *duck) apply(sum []int32, down bool) {
	from, to := float32(1), float32(1)
	if d.down {
		from = ducked
	}
	if down {
		to = ducked
	}
	d.down = down
	scale(sum, from, to)
}

// scale multiplies by a gain that goes evenly from one value to the other.
func scale(sum []int32, from, to float32) {
	if from == 1 && to == 1 {
		return
	}
	by := (to - from) / float32(len(sum))
	for i, s := range sum {
		sum[i] = int32(float32(s) * from)
		from += by
	}
}

// backing is what all listeners hear beside the voices: music and
// announcements.
type backing struct {
	sounds   bool
	from, to float32 // gain of the voices in this frame
	now      *loop   // being played
	frame    int
	sum      [maxFrame]int32
}

// read makes this step's backing.
func (b *backing) read(m *Mixer) {
	n := m.frame()
	clear(b.sum[:n])
	announcing := m.announce.busy()
	b.from = b.to
	if b.from == 0 {
		b.from = 1
	}
	if b.to = 1; announcing {
		b.to = ducked
	}
	b.sounds = announcing
	b.readMusic(m, b.sum[:n])
	if announcing {
		m.announce.read(m, b.sum[:n])
	}
}

func (b *backing) readMusic(m *Mixer, sum []int32) {
	want := m.music.Load()
	from, to := b.from, b.to
	if b.now != want {
		if b.now == nil {
			b.now, b.frame, from = want, 0, 0
		} else {
			to = 0
		}
	}
	if b.now == nil {
		return
	}
	b.sounds = true
	pcm := b.now.clip.frame(b.frame, m.rate)
	add(sum[:len(pcm)], pcm)
	scale(sum, from, to)
	if b.frame++; b.frame >= b.now.clip.Frames() {
		if b.frame = 0; !b.now.again {
			m.music.CompareAndSwap(b.now, nil)
			b.now = nil
		}
	}
	if to == 0 {
		b.now = nil
	}
}

// lay puts the backing under, or over, the voices in sum.
func (b *backing) lay(sum []int32) {
	scale(sum, b.from, b.to)
	if b.sounds {
		for i, s := range b.sum[:len(sum)] {
			sum[i] += s
		}
	}
}
