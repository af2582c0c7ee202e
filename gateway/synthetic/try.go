package synthetic

import (
	"context"
	"fmt"
	"math"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/rtpio"
	"bridgehead/gateway/caller"
	"bridgehead/gateway/store"
)

const (
	tone      = 1004.0 // Hz, that the caller says
	toneLevel = -20.0  // dBov

	answeredIn = 60 * time.Second
	greetedIn  = 10 * time.Second // after the answer
	insideIn   = 15 * time.Second // after the last key
	listenFor  = 4 * time.Second  // inside
	hangupIn   = 3 * time.Second

	audible = -50.0 // dBov
	poor    = 3.1   // MOS: nearly all users dissatisfied (G.107 table B.1)
)

// fault is what went wrong, in sentences to be read.
type fault string

func (f fault) Error() string { return string(f) }

// try is one call on its way. Its steps end with the first that fails.
type try struct {
	k     *Keeper
	c     store.SyntheticCaller
	r     store.SyntheticCall
	party *caller.Caller
}

func (t *try) run(ctx context.Context) error {
	t.party = caller.New(caller.Options{Play: caller.Steady(toneLevel, tone), Keep: 2 * time.Minute})
	defer t.party.Close()
	defer t.k.opt.Clock.Mix(t.party)()
	leg, err := t.k.opt.Call(ctx, t.c.Number, t.c.Trunk, t.party)
	if err != nil {
		return fault("It could not be placed: " + said(err))
	}
	defer t.hangup(leg)
	t.r.Call = leg.Info().ID
	for _, step := range []func(context.Context) error{t.answered, t.greeted, t.inside, t.sound} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *try) hangup(leg core.Leg) {
	done := core.Reason{Code: core.Normal, Detail: "the synthetic caller is done"}
	leg.Hangup(done)
	t.party.Hangup(done) // another leg, where a line has failed
	select {
	case <-t.party.Over():
	case <-time.After(hangupIn):
	}
}

// wait ends with nil when ok says so; with the fault when the time is over or the
// call has ended.
func (t *try) wait(ctx context.Context, limit time.Duration, why string, ok func() bool) error {
	if t.party.Until(ctx, limit, ok) {
		return nil
	}
	select {
	case <-t.party.Over():
		return t.ended(why)
	default:
		return fault(why)
	}
}

// ended says besides why the call is over.
func (t *try) ended(why string) error {
	return fault(why + " The call was ended: " + said(t.party.Reason()))
}

func ms(d time.Duration) int { return int(d.Milliseconds()) }

func (t *try) answered(ctx context.Context) error {
	const why = "It was not answered."
	late := time.NewTimer(answeredIn)
	defer late.Stop()
	select {
	case <-t.party.Answered():
		t.r.AnswerMS = ms(time.Since(t.r.At))
		return nil
	case <-t.party.Over():
		return t.ended(why)
	case <-late.C:
		return fault(why)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// greeted waits for a voice: half a second of sound that is not our own.
func (t *try) greeted(ctx context.Context) error {
	at, loud := 0, 0
	return t.wait(ctx, greetedIn, "It was answered, but no greeting was heard.", func() bool {
		const window = caller.Rate / 10
		pcm := t.party.HeardSince(at)
		for len(pcm) >= window {
			if spoken(pcm[:window]) {
				if loud++; loud == 1 {
					t.r.GreetingMS = max(1, at*1000/caller.Rate)
				}
			}
			pcm, at = pcm[window:], at+window
		}
		return loud >= 5
	})
}

// spoken tells whether there is something to hear beside our own tone.
func spoken(pcm []int16) bool {
	all := -float64(audio.Level(pcm))
	own := audio.Spectrum(pcm, caller.Rate, tone)[0]
	return all > audible && own < all-3
}

// inside presses the keys and waits for the meeting.
func (t *try) inside(ctx context.Context) error {
	t.party.Press(t.c.Keys)
	pressed := time.Now()
	came := func() (store.Call, bool) {
		return t.k.opt.Book.Seek(func(c *store.Call) bool {
			return c.Direction == string(core.In) && c.To == t.c.Number && !c.Started.Before(t.r.At)
		})
	}
	err := t.wait(ctx, insideIn, "It was answered, but did not come in here: does the carrier lead the number elsewhere?", func() bool {
		c, ok := came()
		t.r.Came = c.ID
		return ok
	})
	if err != nil || t.c.Meeting == "" {
		return err
	}
	err = t.wait(ctx, insideIn, "It came in, but did not reach meeting "+t.c.Meeting+".", func() bool {
		c, _ := came()
		return c.Meeting == t.c.Meeting
	})
	t.r.MeetingMS = ms(time.Since(pressed))
	if err != nil && ctx.Err() == nil {
		return fault(err.Error() + " " + t.keys(ctx))
	}
	return err
}

// keys tells what came of those that were pressed.
func (t *try) keys(ctx context.Context) string {
	t.party.Hangup(core.Reason{Code: core.Normal, Detail: "the synthetic caller gives up"})
	select { // the record is closed with the call
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	c, err := t.k.opt.Book.Find(ctx, t.r.Came)
	if err != nil {
		return ""
	}
	n := 0
	for _, of := range c.Detail.Keys {
		n += of
	}
	sent := 0
	for _, k := range t.c.Keys {
		if k != ',' {
			sent++
		}
	}
	if n < sent {
		return fmt.Sprintf("Of %d keys, %d came: see dtmf of the trunks.", sent, n)
	}
	return "All keys came: are meeting number and passcode right, and does it let callers in?"
}

// sound listens for a while, on both sides.
func (t *try) sound(ctx context.Context) error {
	over := time.NewTimer(listenFor)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.party.Over():
		return fault(fmt.Sprintf("It was ended after %v: %s", time.Since(t.r.At).Round(time.Second), said(t.party.Reason())))
	}
	i := t.party.Info()
	s := i.AudioStats
	if all := s.PacketsReceived + s.PacketsLost; all > 0 {
		t.r.LossPercent = math.Round(1000*float64(s.PacketsLost)/float64(all)) / 10
	}
	t.r.JitterMS = math.Round(10*float64(s.Jitter)/float64(time.Millisecond)) / 10
	t.r.MOS = rtpio.MOS(s, i.RTT)
	if t.c.Meeting != "" {
		t.r.LevelDBov = -int(t.k.opt.Book.Meter(t.r.Came).Level)
	}
	switch {
	case t.c.Meeting != "" && float64(t.r.LevelDBov) < audible:
		return fault(fmt.Sprintf("It reached the meeting, but its tone of %.0f dBov came in at %d dBov: its sound does not arrive.", toneLevel, t.r.LevelDBov))
	case t.r.MOS < poor:
		return fault(fmt.Sprintf("It came through, but sounds poor: MOS %.1f, %.1f %% lost, jitter %.0f ms.", t.r.MOS, t.r.LossPercent, t.r.JitterMS))
	}
	return nil
}
