package store

import (
	"strings"
	"testing"
	"time"
)

func berlin(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// What repeats does so by the clock on the wall: an hour of summer time does
// not move it.
func TestNextTimeOfASchedule(t *testing.T) {
	zone := berlin(t)
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		start  string
		repeat Repeat
		now    string
		want   string
	}{
		{"2026-03-20 09:30", Once, "2026-03-01 00:00", "2026-03-20 09:30"},
		{"2026-03-20 09:30", Once, "2026-03-20 10:14", "2026-03-20 09:30"}, // it is on
		{"2026-03-20 09:30", Once, "2026-03-20 10:15", ""},
		{"2026-03-20 09:30", Weekly, "2026-03-20 10:15", "2026-03-27 09:30"},
		{"2026-03-20 09:30", Weekly, "2026-03-28 00:00", "2026-04-03 09:30"}, // summer time began on March 29
		{"2026-03-20 09:30", Weekdays, "2026-03-20 11:00", "2026-03-23 09:30"},
		{"2026-03-20 09:30", Daily, "2026-03-28 11:00", "2026-03-29 09:30"},
		{"2026-01-31 09:30", Monthly, "2026-02-01 00:00", "2026-03-31 09:30"},
		{"2026-03-20 23:50", Daily, "2026-03-21 00:10", "2026-03-20 23:50"},
	} {
		got, ok := Schedule{Start: at(c.start), Minutes: 45, Repeat: c.repeat}.Next(at(c.now))
		if text := got.Format("2006-01-02 15:04"); ok != (c.want != "") || ok && text != c.want {
			t.Errorf("%s %s at %s: %s, %v; want %s", c.start, c.repeat, c.now, text, ok, c.want)
		}
	}
	if _, ok := (Schedule{}).Next(at("2026-01-01 00:00")); ok {
		t.Error("no schedule has a next time")
	}
}

func TestCalendarAddressIsAnAccounts(t *testing.T) {
	s := open(t, t.TempDir())
	u, err := s.AddUser(t.Context(), User{Email: "ann@example.org", Role: RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	old, err1 := s.NewCalendar(t.Context(), u.ID)
	secret, err2 := s.NewCalendar(t.Context(), u.ID)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if got, err := s.CalendarOf(t.Context(), secret); err != nil || got.ID != u.ID {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.CalendarOf(t.Context(), old); err != ErrNotFound {
		t.Errorf("the address before: %v", err)
	}
	if strings.Contains(tables(t, s), secret) {
		t.Error("the secret is kept in clear")
	}
	if err := s.RemoveCalendar(t.Context(), u.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.CalendarOf(t.Context(), secret); err != ErrNotFound {
		t.Errorf("after its end: %v", err)
	}
}
