// Package alerts tells operators what needs them: a device or a trunk that has
// gone and is back, a limit that was reached. All alerts leave the house by
// [Teller.Tell], and by it alone: to the log, as an event, by mail, by a webhook,
// and as a count for Prometheus.
package alerts

import (
	"fmt"
	"time"
)

// Alert is something that operators are told of.
type Alert struct {
	Kind  string    `json:"kind"`           // what it is about: one of the kinds below, which label its count
	What  string    `json:"what"`           // what has happened: gone, back, down, up, limit, failing, works, test
	Name  string    `json:"name,omitempty"` // of the device, the trunk, the number, the account or the country
	Title string    `json:"title"`          // in a few words
	Text  string    `json:"text"`           // in plain words, with what may help
	At    time.Time `json:"at"`             // since when
}

// Kinds of alerts; events have them for their topics.
const (
	Device = "device"
	Trunk  = "trunk"
	Toll   = "toll"
	Number = "number"
	Test   = "test"
)

// OfDevice is about a device that has gone or is back.
func OfDevice(c Change) Alert {
	a := Alert{Kind: Device, What: "gone", Name: c.Name, At: c.At,
		Text: fmt.Sprintf("Device %s is not registered any more since %s. Is it switched off, or has its network or password changed?", c.Name, when(c.At))}
	if c.Back {
		a.What, a.Text = "back", fmt.Sprintf("Device %s is registered again since %s.", c.Name, when(c.At))
	}
	a.Title = "Device " + c.Name + ": " + a.What
	return a
}

// OfTrunk is about a trunk that is down or up again; why is its last error.
func OfTrunk(c Change, why string) Alert {
	a := Alert{Kind: Trunk, What: "down", Name: c.Name, At: c.At,
		Text: fmt.Sprintf("Trunk %s is down since %s: no calls go out by it. %s", c.Name, when(c.At), sentence(why, "The check of the trunk says more."))}
	if c.Back {
		a.What, a.Text = "up", fmt.Sprintf("Trunk %s is up again since %s.", c.Name, when(c.At))
	}
	a.Title = "Trunk " + c.Name + ": " + a.What
	return a
}

// OfNumber is about a telephone number whose synthetic caller fails, or comes
// through again; text says how.
func OfNumber(number string, works bool, text string, at time.Time) Alert {
	a := Alert{Kind: Number, What: "failing", Name: number, Text: text, At: at}
	if works {
		a.What = "works"
	}
	a.Title = "Number " + number + ": " + a.What
	return a
}

// sentence says why, if that is known, before what helps.
func sentence(why, helps string) string {
	if why == "" {
		return helps
	}
	return "Its last error: " + why + ". " + helps
}

func when(at time.Time) string { return at.Format(time.RFC1123) }

// Grace is how long something may be away, to start anew for example, before that
// is worth an alert.
const Grace = time.Minute

// Watch remembers what was there: devices that are registered, trunks that work.
// The zero Watch is ready; it is used by one goroutine.
type Watch struct {
	known map[string]*state
}

type state struct {
	seen time.Time // the last time it was there
	gone bool      // an alert has said so
}

// Change is that something has gone, or is back.
type Change struct {
	Name string
	Back bool
	At   time.Time // since when
}

// Expect makes known what ought to be there from now on, though it was not seen
// yet.
func (w *Watch) Expect(now time.Time, name string) { w.of(name, now) }

func (w *Watch) of(name string, now time.Time) *state {
	if w.known == nil {
		w.known = map[string]*state{}
	}
	s := w.known[name]
	if s == nil {
		s = &state{seen: now}
		w.known[name] = s
	}
	return s
}

// Step compares what is there now with before, and gives what is to be told.
// exists tells what is still configured.
func (w *Watch) Step(now time.Time, there []string, exists func(name string) bool) (list []Change) {
	for _, name := range there {
		s := w.of(name, now)
		if s.gone {
			list = append(list, Change{name, true, now})
		}
		s.seen, s.gone = now, false
	}
	for name, s := range w.known {
		switch {
		case s.seen.Equal(now):
		case !exists(name):
			delete(w.known, name)
		case !s.gone && now.Sub(s.seen) >= Grace:
			s.gone = true
			list = append(list, Change{name, false, s.seen})
		}
	}
	return list
}
