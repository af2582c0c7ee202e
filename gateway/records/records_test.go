package records

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
	"bridgehead/gateway/store"
)

// bookOf gives a book that writes nothing: its records wait in the queue.
func bookOf(t *testing.T) *Book {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return New(s, slog.New(slog.DiscardHandler))
}

func TestLateStepBeginsNoRecord(t *testing.T) {
	b := bookOf(t)
	who := core.Info{ID: "a"}
	b.Step("a", store.Step{What: "INVITE"}) // before it is routed
	b.Begin(core.Call{Info: who})
	b.End(who, core.Reason{Code: core.Normal})
	b.Step("a", store.Step{What: "200 to the BYE"})
	if open := b.Open(); len(open) != 0 {
		t.Errorf("the ended call is open again: %+v", open)
	}
	if c := <-b.save; len(c.Ladder) != 2 || c.Ladder[0].What != "INVITE" {
		t.Errorf("ladder %+v", c.Ladder)
	}
}

// room takes whoever comes.
type room struct{}

func (room) Name() string                         { return "room" }
func (room) Join(context.Context, core.Leg) error { return nil }

func TestCallsThatReachNoRoomAreSwept(t *testing.T) {
	b := bookOf(t)
	inside := coretest.New(0, nil)
	b.Begin(core.Call{Info: inside.Info()})
	b.Begin(core.Call{Info: core.Info{ID: "turned away", Protocol: core.WebRTC}})
	if err := b.Watch(room{}).Join(t.Context(), inside); err != nil {
		t.Fatal(err)
	}
	if b.Sweep(time.Hour); len(b.Open()) != 2 {
		t.Error("swept before its time")
	}
	if c := <-b.save; c.ID != inside.Info().ID || !c.Ended.IsZero() {
		t.Errorf("record of one inside: %+v", c)
	}
	b.Sweep(0)
	if open := b.Open(); len(open) != 1 || open[0].ID != inside.Info().ID {
		t.Errorf("open: %+v", open)
	}
	if c := <-b.save; c.ID != "turned away" || c.Protocol != "webrtc" || c.Code != string(core.Overload) {
		t.Errorf("record %+v", c)
	}
}

// What a party is told of its picture is a line of its ladder.
func TestPictureIsInTheLadder(t *testing.T) {
	b := bookOf(t)
	leg := coretest.New(0, nil)
	b.Begin(core.Call{Info: leg.Info()})
	watched := &watchedLeg{Leg: leg, book: b, id: leg.Info().ID}
	watched.Signal(core.Notice{Code: core.PictureNotice, Text: "switched, not composed"})
	watched.Signal(core.Notice{Code: "busy", Text: "The line is busy."})
	b.End(leg.Info(), core.Reason{Code: core.Normal})
	if c := <-b.save; len(c.Ladder) != 2 || c.Ladder[0].What != "picture" || c.Ladder[0].Text != "switched, not composed" {
		t.Errorf("ladder %+v", c.Ladder)
	}
	if len(leg.Told()) != 2 {
		t.Errorf("the party was told %v", leg.Told())
	}
}

// A call out may have ended before its record begins.
func TestRecordOfAnEndedCallDoesNotBegin(t *testing.T) {
	b := bookOf(t)
	who := core.Info{ID: "a"}
	b.Step("a", store.Step{What: "INVITE"})
	b.End(who, core.Reason{Code: core.Busy})
	b.Begin(core.Call{Info: who})
	if open := b.Open(); len(open) != 0 || len(b.joined) != 0 {
		t.Errorf("open: %+v", open)
	}
}

func TestBookIsBounded(t *testing.T) {
	b := bookOf(t)
	for i := range maxOpen + 100 {
		id := fmt.Sprint("open", i)
		b.Step(id, store.Step{})
		b.Begin(core.Call{Info: core.Info{ID: id}})
		b.Drop(fmt.Sprint("gone", i))
	}
	if len(b.open) > maxOpen || len(b.gone)+len(b.older) > 2*maxGone {
		t.Errorf("%d open, %d and %d gone", len(b.open), len(b.gone), len(b.older))
	}
	for range 2 * maxSteps {
		b.Step("open1", store.Step{})
	}
	if n := len(b.open["open1"].Ladder); n > maxSteps {
		t.Errorf("a ladder of %d steps", n)
	}
}

// A call is kept from the moment it reaches a room, and is seen with its end
// before that is written.
func TestRecordIsKeptFromTheBeginning(t *testing.T) {
	b := bookOf(t)
	leg := coretest.New(0, nil)
	id := leg.Info().ID
	b.Begin(core.Call{Info: leg.Info()})
	if err := b.Watch(room{}).Join(t.Context(), leg); err != nil {
		t.Fatal(err)
	}
	b.write(<-b.save)
	if c, err := b.store.Call(t.Context(), id); err != nil || !c.Ended.IsZero() {
		t.Errorf("kept while it lasts: %+v, %v", c, err)
	}
	listed := func(ended bool) {
		t.Helper()
		l, err := b.List(t.Context(), "", 10)
		if err != nil || len(l) != 1 || l[0].ID != id || l[0].Ended.IsZero() == ended {
			t.Errorf("listed: %+v, %v", l, err)
		}
		if c, err := b.Find(t.Context(), id); err != nil || c.Ended.IsZero() == ended {
			t.Errorf("found: %+v, %v", c, err)
		}
	}
	listed(false)
	b.End(leg.Info(), core.Reason{Code: core.Normal})
	listed(true)
	b.write(<-b.save)
	if len(b.unwritten) != 0 {
		t.Error("what is written is still held")
	}
	listed(true)
}
