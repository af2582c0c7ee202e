package alerts

import (
	"fmt"
	"strings"
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
			got = append(got, fmt.Sprint(a.Name, " ", OfDevice(a).What, " ", a.At.Sub(start)))
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

// A trunk that never worked is told of too; one that is deleted is not.
func TestTrunksThatAreDownAreTold(t *testing.T) {
	var w Watch
	start := time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after   time.Duration
		working []string
		want    string
	}{
		{0, nil, ""},
		{50 * time.Second, []string{"b"}, ""},
		{time.Minute, []string{"b"}, "Trunk a: down"},
		{2 * time.Minute, []string{"a", "b"}, "Trunk a: up"},
		{3 * time.Minute, []string{"a"}, "Trunk b: down"},
	} {
		var got []string
		for _, name := range []string{"a", "b"} {
			w.Expect(start.Add(c.after), name)
		}
		for _, a := range w.Step(start.Add(c.after), c.working, func(string) bool { return true }) {
			got = append(got, OfTrunk(a, "503 Service Unavailable").Title)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("after %v: %s, want %s", c.after, s, c.want)
		}
	}
	down := OfTrunk(Change{"a", false, start}, "503 Service Unavailable")
	if want := "Trunk a is down since Thu, 05 Mar 2026 09:00:00 UTC: no calls go out by it. Its last error: 503 Service Unavailable. The check of the trunk says more."; down.Text != want {
		t.Errorf("%s", down.Text)
	}
}
