package store

import "time"

// Schedule is when a meeting takes place; the zero Schedule is at any time.
type Schedule struct {
	Start   time.Time // of the first; in the time zone by whose clock it repeats
	Minutes int
	Repeat  Repeat
}

// Repeat is how a meeting comes again.
type Repeat string

// The ways of repeating, by the clock of the time zone.
const (
	Once     Repeat = ""
	Daily    Repeat = "daily"
	Weekdays Repeat = "weekdays" // Monday to Friday
	Weekly   Repeat = "weekly"
	Monthly  Repeat = "monthly" // on the same day; months without it are left out
)

// maxSteps bounds the search for the next time: a day in 60 years.
const maxSteps = 22000

// Next is the first occurrence that ends after now; false: there is none.
func (s Schedule) Next(now time.Time) (time.Time, bool) {
	if s.Start.IsZero() {
		return time.Time{}, false
	}
	for n := range maxSteps {
		at, ok := s.nth(n)
		if ok && at.Add(time.Duration(s.Minutes)*time.Minute).After(now) {
			return at, true
		}
		if s.Repeat == Once {
			break
		}
	}
	return time.Time{}, false
}

// nth is the nth step of the repetition; false: it is left out.
func (s Schedule) nth(n int) (time.Time, bool) {
	switch s.Repeat {
	case Daily:
		return s.Start.AddDate(0, 0, n), true
	case Weekdays:
		at := s.Start.AddDate(0, 0, n)
		return at, n == 0 || at.Weekday() != time.Saturday && at.Weekday() != time.Sunday
	case Weekly:
		return s.Start.AddDate(0, 0, 7*n), true
	case Monthly:
		at := s.Start.AddDate(0, n, 0)
		return at, at.Day() == s.Start.Day()
	}
	return s.Start, true
}
