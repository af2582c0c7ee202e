package main

import (
	"log/slog"
	"testing"

	"bridgehead/core"
)

func TestNewCallsAreRefusedAtTheLimit(t *testing.T) {
	e := newEffort(85, slog.New(slog.DiscardHandler))
	for i, x := range []struct {
		share float64
		full  bool
	}{
		{0.2, false}, {0.9, false}, {0.5, false}, {0.9, false}, {0.86, true}, {0.8, true}, {0.76, true}, {0.74, false}, {0.84, false},
	} {
		e.note(x.share)
		if got := e.admit() != nil; got != x.full {
			t.Errorf("%d: at %v refused: %v", i, x.share, got)
		}
	}
	e.note(1)
	e.note(1)
	if r := core.ReasonOf(e.admit()); r.Code != core.Overload || r.Say == "" {
		t.Errorf("%+v", r)
	}
	e = newEffort(0, slog.New(slog.DiscardHandler))
	e.note(1)
	e.note(1)
	if e.admit() != nil {
		t.Error("refused without a limit")
	}
}
