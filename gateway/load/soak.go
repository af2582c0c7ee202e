package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// SoakOptions of [Soak].
type SoakOptions struct {
	Program  string
	Duration time.Duration
	Every    time.Duration // one line of the report; 0: a minute
	Drift    float64       // ppm, of all that send
	Jitter   time.Duration
	Loss     float64 // % of what the browsers send; as many come in the wrong order
	Progress func(string)
}

// Soaked is what a long run has shown.
type Soaked struct {
	Seconds   float64            `json:"seconds"`
	Windows   map[string][]Spell `json:"windows"` // by meeting
	Churned   int                `json:"calls_set_up_and_torn_down"`
	Unmade    int                `json:"calls_failed"`
	MemoryMiB [2]float64         `json:"server_memory_mib_after_first_and_last_window"`
	LateTicks int                `json:"ticks_late"`
	Ticks     int                `json:"ticks"`
	Verdict   []string           `json:"wrong,omitempty"` // empty: all is well
}

// Spell is one window of one meeting.
type Spell struct {
	At       float64   `json:"at_s"`
	Sent     uint64    `json:"packets_due"`
	Received uint64    `json:"packets_received"`
	Lost     uint64    `json:"packets_lost"`
	MaxGapMS float64   `json:"max_gap_ms"`
	Gapped   int       `json:"gaps_over_40_ms"`
	Wrong    int       `json:"hear_wrong"`
	Example  string    `json:"wrong_example,omitempty"`
	Delay    Quantiles `json:"delay_ms,omitzero"`
	CPU      float64   `json:"server_cpu_s"`
	Memory   float64   `json:"server_memory_mib"`
}

// soak is one under way.
type soak struct {
	SoakOptions
	p     *process
	began time.Time
	mu    sync.Mutex
	Soaked
}

// The meetings of a soak, and who is in them.
const (
	soakFast  = "bursts by a fast clock"
	soakSlow  = "bursts by a slow clock"
	soakTones = "tones, encrypted, while others come and go"
	soakWeb   = "browsers on bad lines"
	soakHeard = "callers who hear these browsers"
	soakSize  = 20 // parties of a meeting
)

// Soak runs a gateway for hours with senders whose clocks drift, whose packets
// are late, lost or in the wrong order, and with callers who come and go. Delay
// must stay, memory must stay, and everybody must hear right to the end.
func Soak(ctx context.Context, o SoakOptions) (*Soaked, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	p, err := startGateway(ctx, o.Program)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	clear, _, err := p.meetings(ctx, 3)
	if err != nil {
		return nil, err
	}
	s := &soak{SoakOptions: o, p: p, began: time.Now(), Soaked: Soaked{Windows: map[string][]Spell{}}}
	ticks, late := p.counter(ctx, "bridgehead_clock_ticks_total"), p.counter(ctx, "bridgehead_clock_late_ticks_total")
	err = s.all(ctx, clear)
	s.Seconds = time.Since(s.began).Seconds()
	s.Ticks = int(p.counter(context.WithoutCancel(ctx), "bridgehead_clock_ticks_total") - ticks)
	s.LateTicks = int(p.counter(context.WithoutCancel(ctx), "bridgehead_clock_late_ticks_total") - late)
	s.judge()
	if errors.Is(err, context.Canceled) {
		err = nil // stopped early, and what was seen counts
	}
	return &s.Soaked, err
}

// all runs the meetings side by side until the time is over.
func (s *soak) all(ctx context.Context, clear []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	base := (&bench{}).load(s.p, soakSize)
	base.PerSec, base.Settle, base.Duration, base.Drift, base.Jitter, base.Every = 10, 5*time.Second, s.Duration, s.Drift, s.Jitter, s.Every
	fast, slow, tones, web, heard := base, base, base, base, base
	fast.To, fast.Bursts = clear[:1], true
	slow.To, slow.Bursts, slow.Drift = clear[1:2], true, -s.Drift
	tones.To = []string{s.p.tls}
	web.To, web.Loss, web.Calls = []string{s.p.https + "/join/8002"}, s.Loss, 6
	web.Duration += 2 * s.Every // they are heard to the end
	heard.To, heard.Speakers, heard.Hears = clear[2:3], 0, len(Tones)
	var meetings sync.WaitGroup
	for name, o := range map[string]Options{soakFast: fast, soakSlow: slow, soakTones: tones, soakWeb: web, soakHeard: heard} {
		o.Each = func(r Report) { s.note(name, r) }
		meetings.Go(func() {
			if _, err := Run(ctx, o); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	churning, stop := context.WithCancel(ctx)
	var churn sync.WaitGroup
	churn.Go(func() { s.churn(churning, base) })
	meetings.Wait()
	err := context.Cause(ctx)
	stop()
	churn.Wait()
	return err
}

// churn has callers come and go, ten at a time.
func (s *soak) churn(ctx context.Context, o Options) {
	o.Churn, o.Calls, o.PerSec, o.Drift, o.Each, o.Every = true, 10, 2, 0, nil, 0
	for n := 0; ctx.Err() == nil; n++ {
		o.To = []string{[]string{s.p.clear, s.p.tls}[n%2]}
		r, err := Run(ctx, o)
		s.mu.Lock()
		if r != nil && ctx.Err() == nil {
			s.Churned, s.Unmade = s.Churned+r.Connected, s.Unmade+r.Calls-r.Connected
		} else if err != nil && ctx.Err() == nil {
			s.Unmade += o.Calls
		}
		s.mu.Unlock()
	}
}

// note takes one window of a meeting.
func (s *soak) note(name string, r Report) {
	one := Spell{At: time.Since(s.began).Seconds(), Sent: r.Sent, Received: r.Received, Lost: r.Lost, MaxGapMS: r.MaxGapMS, Gapped: r.Gapped,
		Wrong: r.Wrong, Example: r.Example, CPU: r.CPU, Memory: r.Memory}
	if r.DelayMS != nil {
		one.Delay = *r.DelayMS
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Windows[name] = append(s.Windows[name], one)
	s.Progress(fmt.Sprintf("%6.0f s, %s: %d of %d packets, %d lost, worst gap %.0f ms, %d hear wrong %s, delay p50 %.1f p99 %.1f ms, %.0f MiB, %d calls come and gone",
		one.At, name, one.Received, one.Sent, one.Lost, one.MaxGapMS, one.Wrong, one.Example, one.Delay.P50, one.Delay.P99, one.Memory, s.Churned))
}

const (
	// creep is by how much a later window's median delay may be above the first's.
	creep = 20.0 // ms, a frame
	// growth is what memory may grow by after the first window, in MiB.
	growth = 32.0
)

// judge says what went wrong.
func (s *Soaked) judge() {
	for _, name := range []string{soakFast, soakSlow, soakTones, soakWeb, soakHeard} {
		list := s.Windows[name]
		if len(list) == 0 {
			s.Verdict = append(s.Verdict, name+": nothing was measured")
			continue
		}
		first, final := list[0], list[len(list)-1]
		if s.MemoryMiB[0] == 0 {
			s.MemoryMiB[0] = first.Memory
		}
		s.MemoryMiB[1] = max(s.MemoryMiB[1], final.Memory)
		for _, w := range list {
			switch {
			case w.Wrong > 0:
				s.Verdict = append(s.Verdict, fmt.Sprintf("%s: %d hear wrong at %.0f s: %s", name, w.Wrong, w.At, w.Example))
			case w.Delay.P50 > first.Delay.P50+creep:
				s.Verdict = append(s.Verdict, fmt.Sprintf("%s: the delay's median is %.0f ms at %.0f s, and was %.0f", name, w.Delay.P50, w.At, first.Delay.P50))
			case w.Delay.P99 > delayGoal+creep*2:
				s.Verdict = append(s.Verdict, fmt.Sprintf("%s: the delay's p99 is %.0f ms at %.0f s", name, w.Delay.P99, w.At))
			}
		}
	}
	if s.MemoryMiB[1] > s.MemoryMiB[0]+growth {
		s.Verdict = append(s.Verdict, fmt.Sprintf("memory grew from %.0f to %.0f MiB", s.MemoryMiB[0], s.MemoryMiB[1]))
	}
	if s.Unmade > 0 {
		s.Verdict = append(s.Verdict, fmt.Sprintf("%d of %d calls were not set up", s.Unmade, s.Unmade+s.Churned))
	}
}
