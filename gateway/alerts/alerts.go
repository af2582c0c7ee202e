// Package alerts watches the devices that register, and tells operators when one
// has gone and when it is back.
package alerts

import (
	"fmt"
	"time"
)

// Alert is what has happened to a device.
type Alert struct {
	Device string    `json:"device"` // its user name
	What   string    `json:"what"`   // gone or back
	At     time.Time `json:"at"`     // since when
}

// Recipients are set by operators at run time, and kept under [Key].
type Recipients struct {
	Mail []string `json:"mail" doc:"addresses that are written to when a registered device goes, and when it is back"`
}

// Key is that of the setting.
const Key = "alerts"

// Text is the alert in plain words.
func (a Alert) Text() string {
	if a.What == "back" {
		return fmt.Sprintf("Device %s is registered again since %s.", a.Device, a.At.Format(time.RFC1123))
	}
	return fmt.Sprintf("Device %s is not registered any more since %s. Is it switched off, or has its network or password changed?", a.Device, a.At.Format(time.RFC1123))
}

// Grace is how long a device may be away, to start anew for example, before that
// is worth an alert.
const Grace = time.Minute

// Watch remembers who was there. The zero Watch is ready; it is used by one
// goroutine.
type Watch struct {
	known map[string]*state
}

type state struct {
	seen time.Time // the last time it was registered
	gone bool      // an alert has said so
}

// Step compares who is registered now with before, and gives what is to be told.
// exists tells which devices are still configured.
func (w *Watch) Step(now time.Time, registered []string, exists func(user string) bool) (list []Alert) {
	if w.known == nil {
		w.known = map[string]*state{}
	}
	for _, user := range registered {
		s := w.known[user]
		if s == nil {
			s = &state{}
			w.known[user] = s
		}
		if s.gone {
			list = append(list, Alert{user, "back", now})
		}
		s.seen, s.gone = now, false
	}
	for user, s := range w.known {
		switch {
		case s.seen.Equal(now):
		case !exists(user):
			delete(w.known, user)
		case !s.gone && now.Sub(s.seen) >= Grace:
			s.gone = true
			list = append(list, Alert{user, "gone", s.seen})
		}
	}
	return list
}
