package load

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlotsAreWholeAndLabelled(t *testing.T) {
	r := &Results{
		Cost: []Cost{
			{Meetings: 1, Callers: 10, Echo: 3, Clear: 2, GCM: 2.1, ClearRatio: 0.66, GCMRatio: 0.7},
			{Meetings: 1, Callers: 1000, Echo: 0.35, Clear: 0.6, GCM: 0.87, ClearRatio: 1.7, GCMRatio: 2.4},
			{Meetings: 200, Callers: 1000, Echo: 0.35, Clear: 7},
		},
		Forward: []Forward{{Senders: 1, Listeners: 50, Packet: 12, Echo: 8}, {Senders: 10, Listeners: 50, Packet: 99, Echo: 8},
			{Senders: 10, Listeners: 290, Watchers: 30, Packet: 14, Echo: 13}},
	}
	dir := filepath.Join(t.TempDir(), "performance")
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		text   []string
		points int // drawn, over all lines
	}{
		"callers.svg":    {[]string{"What a caller costs", "ms of CPU a caller and second", "callers in one meeting", ">clear<", ">1000<"}, 6},
		"ratios.svg":     {[]string{"× the echo", ">goal<", "stroke-dasharray"}, 4},
		"forwarding.svg": {[]string{"µs of CPU a packet", ">audio<", ">echo, audio<", ">290<"}, 4},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(strings.NewReader(string(data))); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, s := range want.text {
			if !strings.Contains(string(data), s) {
				t.Errorf("%s lacks %q", name, s)
			}
		}
		if n := strings.Count(string(data), "<circle"); n != want.points {
			t.Errorf("%s: %d points, want %d", name, n, want.points)
		}
		if strings.Contains(string(data), "NaN") || strings.Contains(string(data), "Inf") {
			t.Errorf("%s has a point that is nowhere", name)
		}
	}
}

func TestWhatWasNotMeasuredIsNotDrawn(t *testing.T) {
	dir := t.TempDir()
	if err := (&Results{}).WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	if found, _ := os.ReadDir(dir); len(found) != 0 {
		t.Errorf("drawings of nothing: %v", found)
	}
}

func TestAPointOnTheLimitIsWithinTheDrawing(t *testing.T) {
	p := plot{title: "one", lines: []line{{"a", [][2]float64{{100, 5}}}}, limit: 5}
	if lo, hi, top, step := p.span(); lo != 100 || hi != 100 || top < 5 || step <= 0 {
		t.Errorf("from %v to %v, up to %v by %v", lo, hi, top, step)
	}
	var b strings.Builder
	if err := p.write(&b); err != nil || !strings.Contains(b.String(), "<circle") {
		t.Errorf("%v: %s", err, b.String())
	}
}
