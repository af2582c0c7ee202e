package load

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/rtpio"
	"bridgehead/h323"
	"bridgehead/sip"
)

// Options of a run.
type Options struct {
	// To are the addresses called, in turn; empty: no calls, see Echo. A
	// meeting's https link is joined by browsers.
	To []string
	// Echo is a raw RTP echo to send to in place of calls, encrypted if Suites
	// are one; Janus the API socket of a Janus whose AudioBridge is joined.
	Echo  netip.AddrPort
	Janus string
	// Films has an echo answer the packets of so many cameras; the other calls
	// send it those of telephones.
	Films    int
	Calls    int
	PerSec   float64 // calls set up a second
	Speakers int     // of each address's calls, up to len(Tones), of browsers up to len(voices)
	Cameras  int     // browsers that send video
	Watch    int     // cameras that each browser looks at; 0: one
	Watchers int     // browsers that look at cameras, beside those that send; 0: all do
	Turns    bool    // browsers speak one after the other, and send nothing between
	Bursts   bool    // the first calls of each address say bursts in turn, to measure the delay
	// Churn hangs each call up as soon as it is answered: what is measured is
	// set-up and tear-down alone.
	Churn bool
	// Connections is over how many callers' ends, each with connections of its
	// own, the calls are spread; 0: one, as a trunk has.
	Connections int
	Settle      time.Duration
	Duration    time.Duration // measured
	// Every is how often Each is told what the time since the last has shown;
	// then only the last of them is returned. 0: once, at the end.
	Every time.Duration
	Each  func(Report)
	// Drift is by how much the parties' clocks are wrong, in ppm; those of odd
	// numbers have it with the other sign. Jitter is how late packets may be.
	// Loss is % of the packets of browsers; as many come in the wrong order.
	Drift, Loss float64
	Jitter      time.Duration
	Hears       int // tones that others than these calls say, and all must hear
	Codec       string
	Clear       bool     // allow calls without encryption
	Suites      []string // of SRTP; nil: all
	Slow        bool     // H.323 without fast connect
	Bind        netip.Addr
	// PID of the server, to measure its CPU time; 0: none.
	PID int
	Log *slog.Logger
	// Progress is told what goes on; may be nil.
	Progress func(string)
}

// Report is what a run has shown. Times are in milliseconds.
type Report struct {
	Calls     int            `json:"calls"`
	Connected int            `json:"connected"`
	Failed    map[string]int `json:"failed,omitempty"`
	Codec     string         `json:"codec"`
	Suite     string         `json:"suite"`
	SetupMS   Quantiles      `json:"setup_ms"`
	SetupRate float64        `json:"setups_per_second"`
	SetupCPU  float64        `json:"setup_cpu_ms_per_call,omitempty"`
	Seconds   float64        `json:"seconds"`
	Sent      uint64         `json:"packets_sent"`
	Received  uint64         `json:"packets_received"`
	Lost      uint64         `json:"packets_lost"`
	MaxGapMS  float64        `json:"max_gap_ms"`
	Gapped    int            `json:"gaps_over_40_ms"` // parties, or streams of a browser, with one
	Right     int            `json:"hear_right"`
	Wrong     int            `json:"hear_wrong"`
	Example   string         `json:"wrong_example,omitempty"`
	DelayMS   *Quantiles     `json:"delay_ms,omitempty"`
	// Mixed are packets of the mix that browsers got beside those above.
	Mixed     uint64            `json:"packets_mixed,omitempty"`
	Video     *Flow             `json:"video,omitempty"`
	CPU       float64           `json:"server_cpu_s,omitempty"`
	CPUCaller float64           `json:"server_cpu_ms_per_caller_s,omitempty"`
	Memory    float64           `json:"server_memory_mib,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Flow is the packets of one kind.
type Flow struct {
	Sent     uint64  `json:"packets_sent"`
	Received uint64  `json:"packets_received"`
	Lost     uint64  `json:"packets_lost"`
	MaxGapMS float64 `json:"max_gap_ms"`
}

func (f *Flow) add(a *arrivals) {
	f.Received, f.Lost = f.Received+a.packets, f.Lost+a.lost
	f.MaxGapMS = max(f.MaxGapMS, float64(a.maxGap.Microseconds())/1000)
}

// gapLimit is the longest time from one packet of sound to the next.
const gapLimit = 40 * time.Millisecond

func (rep *Report) gap(longest time.Duration) {
	rep.MaxGapMS = max(rep.MaxGapMS, float64(longest.Microseconds())/1000)
	if longest > gapLimit {
		rep.Gapped++
	}
}

// Quantiles of a distribution.
type Quantiles struct {
	N    int     `json:"n"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func quantiles(list []time.Duration) (q Quantiles) {
	if len(list) == 0 {
		return q
	}
	slices.Sort(list)
	at := func(p float64) float64 {
		return float64(list[min(len(list)-1, int(p*float64(len(list))))].Microseconds()) / 1000
	}
	return Quantiles{len(list), at(0.5), at(0.95), at(0.99), at(0.999), float64(list[len(list)-1].Microseconds()) / 1000}
}

// run is a run under way.
type run struct {
	Options
	ports   *rtpio.Ports
	clock   *clock.Clock // reads
	pacer   paced        // writes
	films   paced
	ends    []end
	parties []*Party
	report  *Report
	setups  []time.Duration
	closers []io.Closer // of flows
}

// Run makes the calls, measures, and hangs up.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if len(o.To) > 0 && isLink(o.To[0]) {
		return runBrowsers(ctx, o)
	}
	o.Speakers = min(o.Speakers, len(Tones))
	o.Codec = cmp.Or(o.Codec, "PCMU")
	r := &run{Options: o, clock: clock.New(o.Log), pacer: o.pacer(clock.Frame), films: o.pacer(picturePeriod), report: &Report{Calls: o.Calls, Failed: map[string]int{}}}
	var err error
	if r.ports, err = rtpio.New(rtpio.Options{Bind: o.Bind, Log: o.Log}); err != nil {
		return nil, err
	}
	for _, p := range r.ports.Pollers() {
		r.clock.Read(p)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	background(ctx, cancel, r.clock.Run, r.pacer.run)
	if o.Films > 0 {
		background(ctx, cancel, r.films.run)
	}
	switch {
	case o.Echo.IsValid():
		err = r.echoFlows()
	case o.Janus != "":
		err = r.janusFlows(ctx)
	default:
		err = r.calls(ctx)
	}
	if err == nil && !o.Churn {
		err = r.measure(ctx)
	}
	r.hangup()
	return r.report, err
}

// background runs parts until ctx ends; one that fails ends it.
func background(ctx context.Context, cancel context.CancelCauseFunc, parts ...func(context.Context) error) {
	for _, run := range parts {
		go func() {
			if err := run(ctx); err != nil {
				cancel(err)
			}
		}()
	}
}

// pacer is what has parties send.
func (o *Options) pacer(period time.Duration) paced {
	if o.Drift != 0 || o.Jitter != 0 {
		return &wanderers{period: period, drift: o.Drift, jitter: o.Jitter}
	}
	return newPacer(period)
}

func (r *run) codec() core.Codec { return core.Codec{Name: r.Codec} }

// partyFor makes the n-th party; those of one address speak in turn.
func (r *run) partyFor(n int) (*Party, error) {
	place := n / max(1, len(r.To))
	switch {
	case n < r.Films:
		return &Party{film: &film{}}, nil
	case r.Bursts && place == 0:
		p, err := newParty(burster, 0, r.codec(), &bursts{})
		if err == nil && r.Drift != 0 {
			p.frames = p.frames[:window] // it has every turn
		}
		return p, err
	case r.Bursts && place < bursters && r.Drift == 0: // turns are kept by one clock
		return newParty(burster, place, r.codec(), r.parties[n%max(1, len(r.To))].bursts)
	case r.Bursts:
		return newParty(listener, 0, r.codec(), r.parties[n%max(1, len(r.To))].bursts)
	case place < r.Speakers:
		return newParty(speaker, place, r.codec(), nil)
	}
	return newParty(listener, 0, r.codec(), nil)
}

// end is a callers' end: an edge, and how to call with it.
type end struct {
	edge interface {
		Serve(context.Context, core.Dialplan) error
		Calls() int
		Close() error
	}
	dial func(ctx context.Context, to string, into core.Room) (core.Leg, error)
}

// dialers opens the callers' ends, of the protocol that the addresses name.
func (r *run) dialers(ctx context.Context) error {
	for range max(1, r.Connections) {
		open := r.sipEnd
		if strings.HasPrefix(r.To[0], "h323:") {
			open = r.h323End
		}
		e, err := open()
		if err != nil {
			return err
		}
		go func() { _ = e.edge.Serve(ctx, nobody{}) }()
		r.ends = append(r.ends, e)
	}
	return nil
}

func (r *run) sipEnd() (end, error) {
	e, err := sip.New(sip.Options{Ports: r.ports, Legacy: true, Advertise: r.Bind, Suites: r.Suites, MaxCalls: r.Calls + 10, Log: r.Log})
	if err != nil {
		return end{}, err
	}
	opt := sip.DialOptions{From: "sip:load@localhost", Codecs: []string{r.Codec}, Clear: r.Clear, TLS: &tls.Config{InsecureSkipVerify: true}}
	return end{e, func(ctx context.Context, to string, into core.Room) (core.Leg, error) {
		return e.DialWith(ctx, to, into, opt)
	}}, e.Listen()
}

func (r *run) h323End() (end, error) {
	e, err := h323.New(h323.Options{Terminal: true, Ports: r.ports, Advertise: r.Bind, MaxCalls: r.Calls + 10, Log: r.Log})
	if err != nil {
		return end{}, err
	}
	opt := h323.DialOptions{From: "load", Codecs: []string{r.Codec}, Slow: r.Slow, MaxGroup: 2048, TLS: &tls.Config{InsecureSkipVerify: true}}
	return end{e, func(ctx context.Context, to string, into core.Room) (core.Leg, error) {
		return e.DialWith(ctx, to, into, opt)
	}}, e.Listen()
}

// calls sets the calls up, at the pace asked for.
func (r *run) calls(ctx context.Context) error {
	if err := r.dialers(ctx); err != nil {
		return err
	}
	for n := range r.Calls {
		p, err := r.partyFor(n)
		if err != nil {
			return err
		}
		r.parties = append(r.parties, p)
	}
	before, began := cpuTime(r.PID), time.Now()
	if err := r.place(ctx); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	r.report.Connected = len(r.setups)
	r.report.SetupMS = quantiles(r.setups)
	r.report.SetupRate = float64(len(r.setups)) / took
	if r.PID != 0 && len(r.setups) > 0 {
		r.report.SetupCPU = (cpuTime(r.PID) - before).Seconds() * 1000 / float64(len(r.setups))
	}
	r.Progress(fmt.Sprintf("%d of %d calls connected", r.report.Connected, r.Calls))
	if r.report.Connected == 0 {
		return fmt.Errorf("no call was connected: %v", r.report.Failed)
	}
	return nil
}

// place makes the calls and waits until each is answered or has failed. A call
// that is due while the one before is still being sent is made at once after.
func (r *run) place(ctx context.Context) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	began := time.Now()
	for n, p := range r.parties {
		due := time.Duration(float64(n) / max(r.PerSec, 0.1) * float64(time.Second))
		if err := sleep(ctx, due-time.Since(began)); err != nil {
			return err
		}
		all.Go(func() {
			took, err := r.call(ctx, p, n)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.report.Failed[core.ReasonOf(err).Error()]++
				return
			}
			r.setups = append(r.setups, took)
			if !r.Churn {
				r.pacer.add(n/len(r.To)+n%len(r.To), p.step)
			}
		})
	}
	all.Wait()
	return nil
}

const setupLimit = 20 * time.Second

// call places the n-th call and returns how long it took to be answered.
func (r *run) call(ctx context.Context, p *Party, n int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	began := time.Now()
	_, err = r.ends[n%len(r.ends)].dial(ctx, r.To[n%len(r.To)], p)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.joined:
		took = time.Since(began)
	case <-p.over:
		return 0, *p.reason.Load()
	case <-ctx.Done():
		return 0, core.Reason{Code: core.NoAnswer}
	}
	if r.Churn {
		p.leg.Hangup(core.Reason{Code: core.Normal})
		<-p.over
	}
	return took, nil
}

// nobody is the dial plan of an edge that only calls.
type nobody struct{}

func (nobody) Route(context.Context, core.Call) (core.Room, error) {
	return nil, core.Reason{Code: core.NotFound}
}

// echoFlows sends raw RTP to an echo: the same packets without a bridge.
func (r *run) echoFlows() error {
	for n := range r.Calls {
		if err := r.flow(n, core.Codec{Name: r.Codec, ClockRate: 8000, Channels: 1}, func(*rtpio.Session) (netip.AddrPort, error) {
			return r.Echo, nil
		}); err != nil {
			return err
		}
	}
	r.report.Connected = r.Calls
	return nil
}

// flow makes the n-th party one of plain RTP, without signalling of ours; where
// tells the far end.
func (r *run) flow(n int, codec core.Codec, where func(*rtpio.Session) (netip.AddrPort, error)) error {
	p, err := r.partyFor(n)
	if err != nil {
		return err
	}
	s, err := r.ports.Open()
	if err != nil {
		return err
	}
	r.closers = append(r.closers, s)
	to, err := where(s)
	if err != nil {
		return err
	}
	flow := rtpio.Flow{Remote: to, Mux: true, Send: codec, Receive: []core.Codec{codec}}
	if suite, ok := rtpio.SuiteNamed(strings.Join(r.Suites, "")); ok {
		flow.Keys = echoKeys(suite, false)
	}
	if err := s.Start(flow); err != nil {
		return err
	}
	s.Receive(p)
	var sink core.Sink = s
	p.out.Store(&sink)
	r.parties = append(r.parties, p)
	if p.film != nil {
		r.films.add(n, p.step)
	} else {
		r.pacer.add(n, p.step)
	}
	return nil
}

// measure listens for the time asked for.
func (r *run) measure(ctx context.Context) error {
	if err := sleep(ctx, r.Settle); err != nil {
		return err
	}
	return r.windows(ctx, r.window)
}

// windows measures once, or again and again.
func (o *Options) windows(ctx context.Context, window func(context.Context, time.Duration) (Report, error)) error {
	every := o.Duration
	if o.Every > 0 {
		every = min(o.Every, every)
	}
	for began := time.Now(); ; {
		r, err := window(ctx, every)
		if err != nil {
			return err
		}
		if o.Each != nil {
			o.Each(r)
		}
		if time.Since(began)+every/2 >= o.Duration {
			return nil
		}
	}
}

// window measures from now on, for d.
func (r *run) window(ctx context.Context, d time.Duration) (Report, error) {
	r.report.fresh()
	for _, p := range r.parties {
		p.heard.reset()
		p.active.Store(true)
	}
	before, began := cpuTime(r.PID), time.Now()
	if err := sleep(ctx, d); err != nil {
		return Report{}, err
	}
	took, cpu := time.Since(began), cpuTime(r.PID)-before
	for _, p := range r.parties {
		p.active.Store(false)
	}
	time.Sleep(2 * clock.Frame) // the pollers are done with what they had begun
	r.tally(took, cpu)
	return *r.report, nil
}

// fresh forgets what was measured, and keeps what the set-up has shown.
func (rep *Report) fresh() {
	*rep = Report{Calls: rep.Calls, Connected: rep.Connected, Failed: rep.Failed, Codec: rep.Codec, SetupMS: rep.SetupMS, SetupRate: rep.SetupRate,
		SetupCPU: rep.SetupCPU, Labels: rep.Labels}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (r *run) tally(took, cpu time.Duration) {
	rep := r.report
	rep.Seconds, rep.Codec, rep.Suite = took.Seconds(), r.Codec, "clear"
	if r.Echo.IsValid() && len(r.Suites) == 1 {
		rep.Suite = r.Suites[0]
	}
	var delays []time.Duration
	for _, p := range r.parties {
		h := &p.heard
		if h.packets == 0 && p.out.Load() == nil {
			continue // never connected
		}
		rep.Received += h.packets
		rep.Lost += h.lost
		if p.film != nil {
			rep.Sent += uint64(took/picturePeriod) * picturePackets
		} else {
			rep.Sent += uint64(took / clock.Frame)
		}
		rep.gap(h.maxGap)
		delays = append(delays, h.delays...)
		if p.verdict(max(r.Speakers, r.Hears)) {
			rep.Right++
		} else {
			rep.Wrong++
			rep.Example = fmt.Sprintf("role %d number %d hears %.0f dBov of %v", p.role, p.number, p.heard.levels, Tones)
		}
		if p.leg != nil {
			if s := p.leg.Info().Security; s.Media != "clear" {
				rep.Suite = s.Suite
			}
		}
	}
	if r.Bursts {
		q := quantiles(delays)
		rep.DelayMS = &q
	}
	if r.PID != 0 && rep.Connected > 0 {
		rep.CPU = cpu.Seconds()
		rep.CPUCaller = cpu.Seconds() * 1000 / (float64(rep.Connected) * took.Seconds())
		rep.Memory = memory(r.PID)
	}
}

func (r *run) hangup() {
	for _, p := range r.parties {
		if p.leg != nil {
			p.leg.Hangup(core.Reason{Code: core.Normal})
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for _, e := range r.ends {
		for e.edge.Calls() > 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		e.edge.Close()
	}
	for _, c := range r.closers {
		c.Close()
	}
}

// cpuTime is what a process has used, user and system; 0 if there is none.
func cpuTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	const sched = 2 // CPUCLOCK_SCHED: the scheduler's own count, in ns
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid)<<3|sched, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// memory is the resident set of a process in MiB.
func memory(pid int) float64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
