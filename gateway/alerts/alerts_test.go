package alerts

import (
	"fmt"
	"testing"
	"time"
)

func TestP62DevicesThatGoAndComeBackAreTold(t *testing.T) {
	var w Watch
	start := time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)
	exists := map[string]bool{"room1": true, "room2": true}
	for _, c := range []struct {
		after      time.Duration
		registered []string
		want       string
	}{
		{0, nil, "[]"},
		{5 * time.Second, []string{"room1", "room2"}, "[]"},
		{10 * time.Second, []string{"room2"}, "[]"},
		{40 * time.Second, []string{"room1", "room2"}, "[]"}, // it has only started anew
		{45 * time.Second, []string{"room2"}, "[]"},
		{100 * time.Second, []string{"room2"}, "[room1 gone 40s]"},
		{105 * time.Second, []string{"room2"}, "[]"}, // told once
		{900 * time.Second, []string{"room1", "room2"}, "[room1 back 15m0s]"},
		{905 * time.Second, []string{"room1", "room2"}, "[]"},
	} {
		got := []string{}
		for _, a := range w.Step(start.Add(c.after), c.registered, func(u string) bool { return exists[u] }) {
			got = append(got, fmt.Sprint(a.Device, " ", a.What, " ", a.At.Sub(start)))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("after %v: %v, want %s", c.after, got, c.want)
		}
	}
	delete(exists, "room2")
	if got := w.Step(start.Add(2000*time.Second), []string{"room1"}, func(u string) bool { return exists[u] }); len(got) != 0 || len(w.known) != 1 {
		t.Errorf("of a device that was deleted: %v, %d known", got, len(w.known))
	}
}
