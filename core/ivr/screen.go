package ivr

import (
	"cmp"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/forward"
)

// screen is what a caller with a picture reads while it is spoken to. A nil one
// shows nothing.
type screen struct {
	router  *forward.Router
	sub     *forward.Subscriber
	unclock func()
	over    atomic.Bool
	steps   int // counted by the clock
}

// stepEvery is how often a screen is brought up to date, in frames: 100 ms.
const stepEvery = 5

func (d *Desk) light(leg core.Leg) *screen {
	if d.Composer == nil || leg.Info().Forwarded {
		return nil
	}
	s := &screen{router: forward.New(forward.Options{Composer: d.Composer, Log: d.Log})}
	s.sub = s.router.Subscribe(leg)
	s.sub.Writing("Welcome")
	s.unclock = d.Clock.Mix(s)
	return s
}

// Step implements [clock.Stepper].
func (s *screen) Step(now time.Duration) {
	over := s.over.Load()
	if s.steps++; over || s.steps%stepEvery == 1 {
		s.router.Step(now)
	}
	if over {
		s.router.Close()
		s.unclock()
	}
}

func (s *screen) signal(e core.Event) {
	if s == nil {
		return
	}
	switch e := e.(type) {
	case core.Changed:
		s.sub.Refresh()
	case core.Bitrate:
		s.sub.Bitrate(e.Source, e.BitsPerSec)
	case core.NeedKeyframe:
		s.sub.Keyframe(e.Track)
	}
}

// ask shows a question and what may be seen of the answer.
func (s *screen) ask(question, answer string) {
	if s == nil {
		return
	}
	title := "Enter the meeting number and press #"
	if question == "enter-passcode" {
		title = "Enter the passcode and press #"
	}
	s.sub.Writing(title, cmp.Or(answer, "_"))
}

// close takes the picture from the caller; the clock clears up. It may be called
// again.
func (s *screen) close() {
	if s == nil {
		return
	}
	s.sub.Close()
	s.over.Store(true)
}
