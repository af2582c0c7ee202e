package ivr

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/mix"
)

// caller is one leg at a desk: it alone hears what is said to it, and nobody
// hears it. It is the leg's Seat.
type caller struct {
	desk    *Desk
	leg     core.Leg
	mixer   *mix.Mixer
	unclock func()
	unseat  func()
	screen  *screen // nil: nothing is shown
	keys    chan core.Digit
	gone    chan struct{}
	echo    bool // it hears itself

	mu    sync.Mutex
	out   *mix.Output
	sinks []core.Sink
	left  bool
}

func (d *Desk) seat(leg core.Leg) *caller { return d.place(leg, false) }

func (d *Desk) place(leg core.Leg, echo bool) *caller {
	c := &caller{desk: d, leg: leg, echo: echo, mixer: mix.New(mix.Options{Log: d.Log}), keys: make(chan core.Digit, 32), gone: make(chan struct{})}
	if d.Seated != nil {
		c.unseat = d.Seated(leg)
	}
	c.unclock = d.Clock.Mix(c.mixer)
	c.screen = d.light(leg)
	leg.Sit(c)
	c.listen()
	return c
}

// listen begins what the caller hears.
func (c *caller) listen() {
	info := c.leg.Info()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.Close()
		c.out = nil
	}
	if info.Audio.Name == "" || c.left {
		return
	}
	sink, err := c.leg.Subscribe(core.Track{Source: core.Mix, Codec: info.Audio})
	if err == nil {
		c.out, err = c.mixer.AddOutput(mix.OutputOptions{Party: info.ID, Codec: info.Audio, Sink: sink})
	}
	if err != nil && c.desk.Log != nil {
		c.desk.Log.Warn("caller cannot be sent sound", "leg", info.ID, "error", err)
	}
}

// Publish takes the caller's sound to look for keys in it, or to give it back.
func (c *caller) Publish(t core.Track) (core.Sink, error) {
	info := c.leg.Info()
	if t.Source != core.Microphone || !info.InbandDigits && !c.echo {
		return core.Discard, nil
	}
	opt := mix.InputOptions{Party: info.ID, Codec: t.Codec, DetectDigits: info.InbandDigits, OnDigit: func(k byte) { c.key(core.Digit{Key: k, Via: "inband"}) }}
	if c.echo {
		opt.Party = "echo of " + opt.Party // a party does not hear its own
	}
	in, err := c.mixer.AddInput(opt)
	if err != nil {
		return nil, core.Reason{Code: core.Incompatible, Detail: err.Error()}
	}
	in.Mute(!c.echo)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range c.sinks {
		old.Close()
	}
	c.sinks = []core.Sink{in}
	return in, nil
}

func (c *caller) key(k core.Digit) {
	select {
	case c.keys <- k:
	default: // faster than anybody types
	}
}

// Signal takes the caller's events.
func (c *caller) Signal(e core.Event) {
	switch e := e.(type) {
	case core.Digit:
		c.key(e)
	case core.Changed:
		if !e.Video {
			c.listen()
		}
	}
	c.screen.signal(e)
}

// Leave ends the conversation.
func (c *caller) Leave(core.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.left {
		c.left = true
		close(c.gone)
	}
}

// stand frees what the desk held for the caller.
func (c *caller) stand() {
	c.unclock()
	c.screen.close()
	c.mixer.Close()
	if c.unseat != nil {
		c.unseat()
	}
}

// guard survives a fault in one conversation.
func (c *caller) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			if c.desk.Log != nil {
				c.desk.Log.Error("fault at the reception", "panic", r, "stack", string(debug.Stack()))
			}
			c.leg.Hangup(core.Reason{Code: core.Failure, Detail: "fault at the reception"})
		}
	}()
	f()
}

// play queues a prompt behind those now playing.
func (c *caller) play(name string) (done <-chan struct{}) {
	over := make(chan struct{})
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	clips := c.desk.Voice.Say(name)
	if out == nil || len(clips) == 0 {
		close(over)
		return over
	}
	out.PlayThen(func() { close(over) }, clips...)
	return over
}

func (c *caller) hush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.StopPlay()
	}
}

// ask plays a question and collects keys up to #. A key interrupts the prompt;
// silence repeats the question. False: the caller is gone or has given up.
func (c *caller) ask(ctx context.Context, question string) (string, bool) {
	for range tries {
		done := c.play(question)
		typed, ok := c.collect(ctx, done, func(typed []byte, via string) { c.show(question, masked(question, typed), via) })
		if !ok {
			return "", false
		}
		if typed != "" {
			return typed, true
		}
	}
	c.end(ctx, core.Reason{Code: core.NoAnswer, Say: "Nothing was entered.", Detail: "no keys at the reception"}, "goodbye")
	return "", false
}

// show tells the caller's screen, and whom else it concerns, what is typed.
func (c *caller) show(question, answer, via string) {
	c.screen.ask(question, answer)
	if c.desk.Typed != nil && answer != "" {
		c.desk.Typed(c.leg, question, answer, via)
	}
}

// masked is what may be seen of what is typed: a passcode as dots.
func masked(question string, typed []byte) string {
	number, passcode, both := strings.Cut(string(typed), "**")
	switch {
	case question == "enter-passcode":
		return strings.Repeat("●", len(typed))
	case both:
		return number + "**" + strings.Repeat("●", len(passcode))
	}
	return string(typed)
}

// collect keys; show is told what there is so far.
func (c *caller) collect(ctx context.Context, played <-chan struct{}, show func(typed []byte, via string)) (string, bool) {
	wait := time.NewTimer(time.Minute) // begins to run when the prompt is over
	defer wait.Stop()
	var typed []byte
	via := ""
	for {
		show(typed, via)
		select {
		case <-c.gone:
			return "", false
		case <-ctx.Done():
			c.leg.Hangup(core.Reason{Code: core.NoAnswer, Say: "You took too long.", Detail: "stayed too long at the reception"})
			return "", false
		case <-played:
			played = nil
			wait.Reset(firstKey)
		case <-wait.C:
			return string(typed), true
		case k := <-c.keys:
			c.hush()
			via = k.Via
			if k.Key == '#' && len(typed) > 0 {
				return string(typed), true
			}
			if k.Key != '#' && len(typed) < maxDigits {
				typed = append(typed, k.Key)
			}
			played = nil
			wait.Reset(nextKey)
		}
	}
}

// end says why, then hangs up.
func (c *caller) end(ctx context.Context, why core.Reason, prompt string) {
	select {
	case <-c.play(prompt):
	case <-c.gone:
	case <-ctx.Done():
	}
	c.leg.Hangup(why)
}

// lead takes the caller to a room.
func (c *caller) lead(ctx context.Context, room core.Room) {
	c.hush()
	c.screen.close()
	c.mu.Lock()
	if c.out != nil {
		c.out.Close()
		c.out = nil
	}
	gone := c.left
	c.mu.Unlock()
	if gone {
		return
	}
	if err := room.Join(ctx, c.leg); err != nil {
		c.listen()
		c.refuse(ctx, core.ReasonOf(err))
	}
}
