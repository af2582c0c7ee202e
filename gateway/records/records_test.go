package records

import (
	"fmt"
	"log/slog"
	"testing"

	"bridgehead/core"
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
