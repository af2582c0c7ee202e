// Package caller is the party at this end of a call that is placed to try
// something, by `bridgehead call`, a synthetic caller or the check of a trunk: it
// plays a sound, presses keys, records what it hears and measures it. It is a Room of one, so that any edge can call for it.
package caller

import (
	"context"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/codecs"
	"bridgehead/core/mix"
)

// Options of [New].
type Options struct {
	// Play is said in a loop; nil: silence.
	Play *mix.Clip
	// Digits are pressed once the call is answered; "," waits a second.
	Digits string
	// Film is shown in a loop; nil: nothing.
	Film *Film
	// Slides are presented beside it; nil: nothing.
	Slides *Film
	// Watch keeps what is seen.
	Watch bool
	// Keep bounds what is kept of what is heard; 0: ten minutes.
	Keep time.Duration
}

// Rate of what is kept, in Hz.
const Rate = 16000

// Caller is a core.Room for one call. Step it by the media clock.
type Caller struct {
	opt      Options
	mixer    *mix.Mixer
	answered chan struct{}
	over     chan struct{}

	mu     sync.Mutex
	leg    core.Leg
	ear    *ear
	pcm    []int16
	camera *camera
	screen *screen
	slides *camera // presented
	wall   *screen // what the far end presents
	joined time.Duration
	reason core.Reason
	done   bool
	events []core.Event
}

// New makes a caller.
func New(o Options) *Caller {
	if o.Keep == 0 {
		o.Keep = 10 * time.Minute
	}
	c := &Caller{opt: o, mixer: mix.New(mix.Options{}), answered: make(chan struct{}), over: make(chan struct{})}
	if o.Play != nil {
		c.mixer.Music(o.Play, true)
	}
	return c
}

// Name of the room.
func (c *Caller) Name() string { return "caller" }

// Join takes the answered call.
func (c *Caller) Join(_ context.Context, leg core.Leg) error {
	c.mu.Lock()
	c.leg, c.joined = leg, core.Now()
	c.mu.Unlock()
	leg.Sit(c)
	if err := c.listen(leg); err != nil {
		return err
	}
	c.show(leg)
	if c.opt.Slides != nil {
		leg.Signal(core.Roster{Parties: []core.Party{{ID: "slides", Sources: []core.Source{core.Screen}}}})
	}
	close(c.answered)
	go c.Press(c.opt.Digits)
	return nil
}

// listen sends the leg what is played.
func (c *Caller) listen(leg core.Leg) error {
	info := leg.Info()
	sink, err := leg.Subscribe(core.Track{Source: core.Mix, Codec: info.Audio})
	if err != nil {
		return err
	}
	_, err = c.mixer.AddOutput(mix.OutputOptions{Party: info.ID, Codec: info.Audio, Sink: sink})
	return err
}

// show sends the leg the film, if it takes pictures now.
func (c *Caller) show(leg core.Leg) {
	var next *camera
	if video := leg.Info().Video; c.opt.Film != nil && len(video) > 0 {
		if sink, err := leg.Subscribe(core.Track{Source: core.Stage, Codec: video[0]}); err == nil {
			next = newCamera(c.opt.Film, sink, video[0])
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != nil && c.camera != nil { // the numbers go on
		next.p.Header, next.sent, next.asked = c.camera.p.Header, c.camera.sent, c.camera.asked
	}
	if next != nil || c.camera == nil {
		c.camera = next
	} else {
		c.camera.sink = core.Discard
	}
}

// project presents the slides while the leg wants them.
func (c *Caller) project(leg core.Leg, wants []core.Want) {
	var next *camera
	if content := leg.Info().Content; len(wants) > 0 && len(content) > 0 {
		if sink, err := leg.Subscribe(core.Track{Party: wants[0].Party, Source: core.Screen, Codec: content[0]}); err == nil {
			next = newCamera(c.opt.Slides, sink, content[0])
		}
	}
	c.mu.Lock()
	old := c.slides
	if next != nil && old != nil {
		next.p.Header, next.sent, next.asked = old.p.Header, old.sent, old.asked
	}
	if next != nil {
		c.slides = next
	}
	c.mu.Unlock()
	if old != nil {
		_ = old.sink.Close()
	}
}

const keyPause = 250 * time.Millisecond

// Press presses keys one after the other; "," waits a second. It returns when all
// are pressed, or the call is over. The call must be answered.
func (c *Caller) Press(keys string) {
	c.mu.Lock()
	leg := c.leg
	c.mu.Unlock()
	for _, k := range []byte(keys) {
		wait := keyPause
		if k == ',' {
			wait = time.Second
		} else {
			leg.Signal(core.Digit{Key: k})
		}
		select {
		case <-time.After(wait):
		case <-c.over:
			return
		}
	}
}

// Publish takes what the far end says.
func (c *Caller) Publish(t core.Track) (core.Sink, error) {
	switch t.Source {
	case core.Camera:
		return c.watch(&c.screen, t), nil
	case core.Screen:
		return c.watch(&c.wall, t), nil
	}
	if t.Source.Kind() != core.Audio {
		return core.Discard, nil
	}
	codec, ok := codecs.Lookup(t.Codec)
	if !ok {
		return nil, core.Reason{Code: core.Incompatible, Detail: "codec " + t.Codec.Name}
	}
	dec, err := codec.NewDecoder(codec.Rate(Rate))
	if err != nil {
		return nil, err
	}
	e := &ear{codec: codec, dec: dec, res: audio.NewResampler(codec.Rate(Rate), Rate), jitter: audio.NewJitter(audio.JitterOptions{Codec: codec})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ear = e
	return e, nil
}

// watch takes one of the far end's pictures.
func (c *Caller) watch(at **screen, t core.Track) core.Sink {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *at == nil {
		leg := c.leg
		*at = newScreen(t.Codec, c.joined, c.opt.Watch, func() {
			leg.Signal(core.NeedKeyframe{Track: core.Track{Source: t.Source}})
		})
	} else {
		(*at).restart()
	}
	return *at
}

// ear turns what arrives to sound.
type ear struct {
	codec  *audio.Codec
	dec    audio.Decoder
	res    *audio.Resampler
	jitter *audio.Jitter
	ticks  int
}

// Write implements core.Sink.
func (e *ear) Write(p *core.Packet) error {
	e.jitter.Put(p)
	return nil
}

// Close implements core.Sink.
func (e *ear) Close() error { return nil }

// hear appends 20 ms to pcm.
func (e *ear) hear(pcm []int16, now time.Duration) []int16 {
	e.jitter.Poll(now)
	rate := e.codec.Rate(Rate)
	for step := e.codec.ClockRate / 50; e.ticks < step; {
		c := e.jitter.Get(now, false)
		if c.Ticks == 0 {
			break
		}
		e.ticks += c.Ticks
		work := make([]int16, max(c.Ticks*rate/e.codec.ClockRate, rate/8))
		n := c.Ticks * rate / e.codec.ClockRate
		switch c.Status {
		case audio.Ready:
			if m, err := e.dec.Decode(work, c.Payload); err == nil {
				n = m
			}
		case audio.Lost:
			e.dec.Conceal(work[:n])
		}
		out := make([]int16, n*Rate/rate+16)
		pcm = append(pcm, out[:e.res.Process(out, work[:n])]...)
	}
	e.ticks -= e.codec.ClockRate / 50
	return pcm
}

// Step is called by the media clock once a frame.
func (c *Caller) Step(now time.Duration) {
	c.mixer.Step(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ear != nil && len(c.pcm) < int(c.opt.Keep.Seconds()*Rate) {
		c.pcm = c.ear.hear(c.pcm, now)
	}
	for _, show := range []*camera{c.camera, c.slides} {
		if show != nil {
			show.step(now)
		}
	}
}

// Signal takes the far end's events.
func (c *Caller) Signal(e core.Event) {
	c.mu.Lock()
	leg := c.leg
	if len(c.events) < 1000 {
		c.events = append(c.events, e)
	}
	if k, ok := e.(core.NeedKeyframe); ok {
		show := c.camera
		if k.Track.Source == core.Screen {
			show = c.slides
		}
		if show != nil {
			show.renew = true
			show.asked++
		}
	}
	c.mu.Unlock()
	if v, ok := e.(core.View); ok && leg != nil && c.opt.Slides != nil {
		go c.project(leg, v.Wants)
	}
	if f, ok := e.(core.Floor); ok && leg != nil && f.On {
		leg.Signal(core.Floor{On: true})
	}
	if change, ok := e.(core.Changed); ok && leg != nil {
		if !change.Video {
			_ = c.listen(leg)
		}
		c.show(leg)
	}
}

// Leave: the call has ended.
func (c *Caller) Leave(r core.Reason) { c.end(r) }

// Ringing implements core.Watcher.
func (c *Caller) Ringing(core.Leg) {}

// Failed implements core.Watcher.
func (c *Caller) Failed(_ core.Leg, r core.Reason) { c.end(r) }

func (c *Caller) end(r core.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		c.done, c.reason = true, r
		close(c.over)
	}
}

// Answered is closed when the far end answers, Over when the call has ended.
func (c *Caller) Answered() <-chan struct{} { return c.answered }

// Over is closed when the call has ended; Reason then tells why.
func (c *Caller) Over() <-chan struct{} { return c.over }

// Until asks ok every 100 ms, and tells whether it has said so before the limit,
// the call and ctx were over.
func (c *Caller) Until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	late := time.NewTimer(limit)
	defer late.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-c.over:
			return false
		case <-late.C:
			return false
		case <-look.C:
			if ok() {
				return true
			}
		}
	}
}

// Hangup ends the call, if it is answered.
func (c *Caller) Hangup(r core.Reason) {
	c.mu.Lock()
	leg := c.leg
	c.mu.Unlock()
	if leg != nil {
		leg.Hangup(r)
	}
}

// Info is that of the answered call.
func (c *Caller) Info() core.Info {
	c.mu.Lock()
	leg := c.leg
	c.mu.Unlock()
	return leg.Info()
}

// Digits are the keys that the far end has pressed.
func (c *Caller) Digits() (keys []core.Digit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if d, ok := e.(core.Digit); ok {
			keys = append(keys, d)
		}
	}
	return keys
}

// Reason of the end.
func (c *Caller) Reason() core.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// Heard is a copy of what was heard so far, mono at [Rate].
func (c *Caller) Heard() []int16 { return c.HeardSince(0) }

// HeardSince is a copy of it from the sample at on.
func (c *Caller) HeardSince(at int) []int16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pcm[min(at, len(c.pcm)):])
}

// Seen tells of the pictures, and what was seen as an H.264 byte stream, if it
// was kept; nil where the call had none.
func (c *Caller) Seen() (*Video, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return seen(c.screen, c.camera)
}

// Presented tells the same of what is presented beside the pictures.
func (c *Caller) Presented() (*Video, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return seen(c.wall, c.slides)
}

func seen(s *screen, ours *camera) (*Video, []byte) {
	if ours == nil && s == nil {
		return nil, nil
	}
	v, stream := Video{}, []byte(nil)
	if s != nil {
		s.mu.Lock()
		v, stream = s.stats, slices.Clone(s.seen)
		v.PictureMS = slices.Clone(v.PictureMS)
		s.mu.Unlock()
	}
	if ours != nil {
		v.PicturesSent, v.KeyframesAsked = ours.sent, ours.asked
	}
	return &v, stream
}

// Close frees what the caller held.
func (c *Caller) Close() { c.mixer.Close() }
