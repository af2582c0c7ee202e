package ivr

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/compose"
)

// Desk is what every room here works with.
type Desk struct {
	Clock *clock.Clock
	Voice *Voice
	// Composer writes on the screens of those who have one; nil: nothing is shown.
	Composer *compose.Composer
	Log      *slog.Logger
	// Typed is told what a caller has typed so far in answer to a question, a
	// passcode as dots, and the way in which its last key came; may be nil. It
	// must not block.
	Typed func(leg core.Leg, question, answer, via string)
	// Seated is told of callers who come to a desk, and by the function it
	// returns, that they have left it; may be nil.
	Seated func(core.Leg) (left func())
}

// Reception asks a caller for meeting number and passcode and leads it there.
type Reception struct {
	Desk
	// Enter finds the room for a number and passcode. Its Reason says how to
	// go on: WrongPasscode asks for the passcode (again), NotFound for the
	// number; every other ends the call. It counts the tries.
	Enter func(ctx context.Context, number, passcode string, who core.Info) (core.Room, error)
	// Number is set where the called number has named the meeting already.
	Number string
	// Wrong counts the wrong answers that the call has brought with it, in the
	// address dialled.
	Wrong int
}

const (
	tries     = 3                // wrong answers before the call is ended
	firstKey  = 10 * time.Second // of silence before the question is repeated
	nextKey   = 5 * time.Second  // of silence that end an entry
	maxDigits = 24
	maxStay   = 3 * time.Minute
)

// Name of the room.
func (r *Reception) Name() string { return "reception" }

// Join answers the call and begins to ask. It returns at once.
func (r *Reception) Join(ctx context.Context, leg core.Leg) error {
	c := r.seat(leg)
	leg.Signal(core.Answer{})
	go func() {
		defer c.stand()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxStay)
		defer cancel()
		c.guard(func() { r.serve(ctx, c) })
	}()
	return nil
}

// serve asks until the caller is led to a room, or the call has ended.
func (r *Reception) serve(ctx context.Context, c *caller) {
	if r.Number == "" {
		c.play("welcome")
	}
	number, passcode := r.Number, ""
	if r.Wrong > 0 && r.Number != "" {
		c.play("wrong-passcode")
	}
	for wrong := r.Wrong; ; {
		var ok bool
		if number == "" {
			if number, ok = c.ask(ctx, "enter-number"); !ok {
				return
			}
			number, passcode, _ = strings.Cut(number, "**")
		}
		room, err := r.Enter(ctx, number, passcode, c.leg.Info())
		if err == nil {
			c.lead(ctx, room)
			return
		}
		why := core.ReasonOf(err)
		switch why.Code {
		case core.WrongPasscode:
			if passcode != "" {
				wrong++
				c.play("wrong-passcode")
			}
		case core.NotFound:
			wrong++
			number = ""
			c.play("wrong-number")
		default:
			c.refuse(ctx, why)
			return
		}
		if wrong >= tries {
			why.Say, why.Detail = "Too many wrong tries.", why.Detail+"; third wrong answer"
			c.end(ctx, why, "too-many-tries")
			return
		}
		passcode = ""
		if why.Code == core.WrongPasscode {
			if passcode, ok = c.ask(ctx, "enter-passcode"); !ok {
				return
			}
		}
	}
}

// Refusal speaks to a caller why it is not let in, before the call is
// answered (early media, RFC 3960), and ends the call with the reason.
type Refusal struct {
	Desk
	Reason core.Reason
	Prompt string // that says why; when empty, the one of the reason's code
}

// Name of the room.
func (r *Refusal) Name() string { return "refusal: " + string(r.Reason.Code) }

// Join speaks; it returns at once.
func (r *Refusal) Join(ctx context.Context, leg core.Leg) error {
	c := r.seat(leg)
	go func() {
		defer c.stand()
		c.guard(func() { c.end(context.WithoutCancel(ctx), r.Reason, cmp.Or(r.Prompt, promptFor(r.Reason))) })
	}()
	return nil
}

// prompt that speaks a reason.
var promptOf = map[core.Code]string{
	core.NotFound: "number-unknown", core.WrongPasscode: "too-many-tries", core.Throttled: "throttled",
	core.Full: "meeting-full", core.Locked: "meeting-locked", core.NotEncrypted: "not-encrypted",
	core.Removed: "removed", core.Rejected: "rejected", core.Ended: "meeting-ended", core.Busy: "busy",
	core.NoAnswer: "no-answer", core.Unreachable: "unreachable", core.Forbidden: "not-permitted",
	core.Overload: "all-lines-busy",
}

func promptFor(why core.Reason) string { return cmp.Or(promptOf[why.Code], "error") }

func (c *caller) refuse(ctx context.Context, why core.Reason) { c.end(ctx, why, promptFor(why)) }
