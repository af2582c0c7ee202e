package load

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core/clock"
)

func TestWanderersDriftAndAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ppm = 10000 // a hundredth, to see it within a second
		w := &wanderers{period: clock.Frame, drift: ppm, jitter: 30 * time.Millisecond}
		counts, order := [2]int{}, true
		for n := range counts {
			w.add(n, func(frame int) {
				order = order && frame == counts[n]
				counts[n]++
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		go w.run(ctx)
		time.Sleep(20 * time.Second)
		cancel()
		synctest.Wait()
		if fast, slow := counts[0], counts[1]; fast < 1008 || fast > 1012 || slow < 988 || slow > 992 {
			t.Errorf("%d and %d steps in 20 s, want about 1010 and 990", fast, slow)
		}
		if !order {
			t.Error("steps were left out or came twice")
		}
	})
}

func TestABadLineLosesAndSwaps(t *testing.T) {
	var got []int
	line := bad{loss: 0.1}
	const sent = 10000
	for i := range sent {
		line.pass(func() { got = append(got, i) })
	}
	swapped := 0
	for i := range got[1:] {
		if got[i+1] < got[i] {
			swapped++
		}
	}
	if lost := sent - len(got); lost < sent/20 || lost > sent/5 || swapped < sent/20 || swapped > sent/5 {
		t.Errorf("%d lost, %d swapped of %d; want about a tenth each", lost, swapped, sent)
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != sent-(sent-len(got)) {
		t.Error("something came twice")
	}
	good := bad{}
	n := 0
	for range 100 {
		good.pass(func() { n++ })
	}
	if n != 100 {
		t.Errorf("a good line passed %d of 100", n)
	}
}

func TestASoakTellsWhatIsWrong(t *testing.T) {
	well := func() *Soaked {
		s := &Soaked{Windows: map[string][]Spell{}}
		for _, name := range []string{soakFast, soakSlow, soakTones, soakWeb, soakHeard} {
			s.Windows[name] = []Spell{{At: 60, Memory: 80, Delay: Quantiles{P50: 25, P99: 30}}, {At: 120, Memory: 82, Delay: Quantiles{P50: 30, P99: 40}}}
		}
		return s
	}
	s := well()
	if s.judge(); len(s.Verdict) != 0 {
		t.Errorf("all is well, and it says %q", s.Verdict)
	}
	for want, spoil := range map[string]func(*Soaked){
		"nothing was measured":         func(s *Soaked) { delete(s.Windows, soakWeb) },
		"3 hear wrong at 120 s":        func(s *Soaked) { s.Windows[soakTones][1].Wrong = 3 },
		"the delay's median is 60 ms":  func(s *Soaked) { s.Windows[soakFast][1].Delay.P50 = 60 },
		"the delay's p99 is 200 ms":    func(s *Soaked) { s.Windows[soakSlow][1].Delay.P99 = 200 },
		"memory grew from 80 to 200":   func(s *Soaked) { s.Windows[soakHeard][1].Memory = 200 },
		"1 of 5 calls were not set up": func(s *Soaked) { s.Churned, s.Unmade = 4, 1 },
	} {
		s := well()
		spoil(s)
		if s.judge(); len(s.Verdict) != 1 || !strings.Contains(s.Verdict[0], want) {
			t.Errorf("it says %q, want %q", s.Verdict, want)
		}
	}
}
