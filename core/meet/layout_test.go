package meet

import (
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/compose"
	"bridgehead/core/coretest"
)

// layoutTold is the layout that a party was last told of.
func layoutTold(l *coretest.Leg) (layout string) {
	for _, e := range l.Told() {
		if r, ok := e.(core.Roster); ok {
			layout = r.Layout
		}
	}
	return layout
}

func TestP68LayoutOfMeetingAndParty(t *testing.T) {
	run(t, func(o *Options) { o.Layout = compose.Grid2 }, func(h *hall) {
		screen := func(i *core.Info) { i.Forwarded = true }
		host, guest := coretest.New(440, screen), coretest.New(500, screen)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		own := func() (l compose.Layout) {
			h.do(func() { l = h.find(guest.Info().ID).layout })
			return l
		}
		h.speak(400 * time.Millisecond)
		if l := layoutTold(host); l != "2x2" {
			t.Errorf("told of %q", l)
		}
		guest.Seat().Signal(core.Command{Verb: core.SetLayout, Value: "3x3"})
		host.Seat().Signal(core.Command{Verb: core.SetLayout, Value: "1+7"})
		h.speak(400 * time.Millisecond)
		if l := layoutTold(guest); l != "1+7" {
			t.Errorf("the host has chosen 1+7; told of %q", l)
		}
		guest.Press("*2")
		h.settle()
		if l := own(); l != compose.OneSeven.Next() {
			t.Errorf("one press of *2 leads from 1+7 to %q", l)
		}
		guest.Press("*2*2")
		h.settle()
		if l := own(); l != compose.OneSeven.Next().Next().Next() {
			t.Errorf("two more lead to %q", l)
		}
		for value, fine := range map[string]bool{"": true, "switched": true, "single": false, "9x9": false} {
			if err := h.Command(core.Command{Verb: core.SetLayout, Party: guest.Info().ID, Value: value}); (err == nil) != fine {
				t.Errorf("%q for a party: %v", value, err)
			}
		}
		for value, fine := range map[string]bool{"": false, "4x4": true, "nonsense": false} {
			if err := h.Command(core.Command{Verb: core.SetLayout, Value: value}); (err == nil) != fine {
				t.Errorf("%q for the meeting: %v", value, err)
			}
		}
		// What is kept of the meeting changes: only a new layout undoes what the
		// host chose.
		set, _ := h.Settings()
		set.Name = "Another"
		h.Update(set)
		h.speak(400 * time.Millisecond)
		if l := layoutTold(host); l != "4x4" {
			t.Errorf("a new name made it %q", l)
		}
		set.Layout = compose.Switched
		h.Update(set)
		h.speak(400 * time.Millisecond)
		if l := layoutTold(host); l != "switched" {
			t.Errorf("told of %q", l)
		}
	})
}
