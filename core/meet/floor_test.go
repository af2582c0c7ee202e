package meet

import (
	"slices"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
)

// presenting are those of whom the roster shows a screen.
func (h *hall) presenting() (names []string) {
	for _, p := range h.Participants() {
		if slices.Contains(p.Sources, core.Screen) {
			names = append(names, p.Name)
		}
	}
	return names
}

func floors(l *coretest.Leg) (list []core.Floor) {
	for _, e := range l.Told() {
		if f, ok := e.(core.Floor); ok {
			list = append(list, f)
		}
	}
	return list
}

func share(t *testing.T, l *coretest.Leg) core.Sink {
	t.Helper()
	s, err := l.Seat().Publish(core.Track{Source: core.Screen, Codec: core.Codec{Name: "VP8", ClockRate: 90000}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func named(name string) func(*core.Info) {
	return func(i *core.Info) { i.Name, i.Forwarded = name, true }
}

func TestWhoeverBeginsToPresentTakesOver(t *testing.T) {
	run(t, nil, func(h *hall) {
		a, b := coretest.New(440, named("A")), coretest.New(500, named("B"))
		h.mustJoin(core.Guest, a, b)
		first := share(t, a)
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"A"}) {
			t.Fatalf("%q present", got)
		}
		second := share(t, b)
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"B"}) {
			t.Fatalf("%q present", got)
		}
		if got := floors(a); !slices.Equal(got, []core.Floor{{On: true}, {By: "B"}}) {
			t.Errorf("A was told %v", got)
		}
		first.Close() // late: it is not A's floor any more
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"B"}) {
			t.Errorf("%q present", got)
		}
		second.Close()
		h.settle()
		if got := h.presenting(); got != nil {
			t.Errorf("%q present", got)
		}
	})
}

func TestGuestsDoNotTakeOverFromHosts(t *testing.T) {
	run(t, nil, func(h *hall) {
		host, guest := coretest.New(440, named("H")), coretest.New(500, named("G"))
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		host.Seat().Signal(core.Floor{On: true}) // asks first, as by BFCP
		guest.Seat().Signal(core.Floor{On: true})
		h.settle()
		if got := floors(guest); !slices.Equal(got, []core.Floor{{By: "H"}}) {
			t.Errorf("the guest was told %v", got)
		}
		share(t, guest) // and begins all the same
		share(t, host)
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"H"}) {
			t.Errorf("%q present", got)
		}
		host.Hangup(core.Reason{Code: core.Normal})
		h.speak(time.Second)
		guest.Seat().Signal(core.Floor{On: true})
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"G"}) {
			t.Errorf("%q present", got)
		}
	})
}

func TestFloorIsKept(t *testing.T) {
	run(t, func(o *Options) { o.KeepFloor = true }, func(h *hall) {
		a, b := coretest.New(440, named("A")), coretest.New(500, named("B"))
		h.mustJoin(core.Host, a, b)
		share(t, a)
		share(t, b)
		h.settle()
		if got := h.presenting(); !slices.Equal(got, []string{"A"}) {
			t.Errorf("%q present", got)
		}
	})
}
