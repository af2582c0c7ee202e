package load

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"bridgehead/core/clock"
)

// BenchOptions of [Bench].
type BenchOptions struct {
	Program string // this program, to run gateways and echoes with
	Quick   bool   // one round, short: figures for a glance
	// Progress is told what goes on; may be nil.
	Progress func(string)
}

// Results of a benchmark; the document is made of them.
type Results struct {
	Date, CPU, Kernel, Go string
	Cores                 int
	Busy                  float64 // % of all cores used by others before the start
	Quick                 bool
	Rounds                int
	IdleCPU               float64 // % of a core
	IdleMemory            float64 // MiB
	Cost                  []Cost
	Delay                 []Delay
	Setup                 []Setup
	Paths                 []Path
}

// Cost of callers in one meeting, in ms of CPU per caller-second; medians of
// the rounds.
type Cost struct {
	Callers                            int
	Echo, Batched, Clear, GCM128       float64
	GCM256, H235                       float64
	ClearRatio, GCM128Ratio            float64 // to the echo of the same round
	GCM256Ratio, H235Ratio, FloorRatio float64 // FloorRatio: clear to the batched echo
	Resident                           float64 // MiB, the server's, clear
	Sent, Received, Lost, Right, Wrong int     // over all rounds of the bridge
	Starved                            int     // runs made again, echo and bridge
}

// Delay of the bridge.
type Delay struct {
	Name    string
	Callers int
	Quantiles
}

// Setup of calls.
type Setup struct {
	Name      string
	Asked     float64 // calls a second
	Reached   float64
	Calls     int
	Connected int
	Took      Quantiles
	CPU       float64 // ms per call, set-up and tear-down
}

// Path is a benchmark of one packet's way.
type Path struct {
	Name   string
	NS     float64
	Bytes  int
	Allocs int
}

type bench struct {
	opt BenchOptions
	Results
}

// Bench measures all that docs/performance.md tells. It takes about a quarter
// of an hour, five minutes if quick.
func Bench(ctx context.Context, o BenchOptions) (*Results, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	b := &bench{opt: o}
	b.machine()
	b.Quick, b.Rounds = o.Quick, 3
	if o.Quick {
		b.Rounds = 1
	}
	busy, err := othersCPU(ctx)
	if err != nil {
		return nil, err
	}
	b.Busy = busy
	for _, step := range []func(context.Context) error{b.idle, b.costs, b.delays, b.setups, b.paths} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return &b.Results, nil
}

func (b *bench) machine() {
	b.Date, b.Go, b.Cores = time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU()
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ := strings.Cut(strings.TrimSpace(string(data)), "-")
		b.Kernel = "Linux " + release
	}
	b.CPU = runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, model, ok := strings.Cut(string(data), "model name\t: "); ok {
			b.CPU, _, _ = strings.Cut(model, "\n")
		}
	}
}

// othersCPU is how busy the machine is while we do nothing, in percent.
func othersCPU(ctx context.Context) (float64, error) {
	read := func() (idle, all float64) {
		data, _ := os.ReadFile("/proc/stat")
		line, _, _ := strings.Cut(string(data), "\n")
		for i, f := range strings.Fields(line)[1:] {
			v, _ := strconv.ParseFloat(f, 64)
			all += v
			if i == 3 || i == 4 { // idle, iowait
				idle += v
			}
		}
		return idle, all
	}
	idle, all := read()
	if err := sleep(ctx, 3*time.Second); err != nil {
		return 0, err
	}
	idle2, all2 := read()
	return 100 * (1 - (idle2-idle)/max(1, all2-all)), nil
}

// idle is what a gateway costs that nobody calls.
func (b *bench) idle(ctx context.Context) error {
	p, err := startGateway(ctx, b.opt.Program)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	before, began := cpuTime(p.pid()), time.Now()
	if err := sleep(ctx, b.span(10*time.Second)); err != nil {
		return err
	}
	b.IdleCPU = 100 * (cpuTime(p.pid()) - before).Seconds() / time.Since(began).Seconds()
	b.IdleMemory = memory(p.pid())
	return nil
}

func (b *bench) span(d time.Duration) time.Duration {
	if b.Quick {
		return d / 2
	}
	return d
}

// load is the part of a run's options that all scenarios share.
func (b *bench) load(p *process, callers int) Options {
	return Options{Calls: callers, PerSec: 100, Speakers: len(Tones), Settle: 2 * time.Second, Duration: b.span(8 * time.Second),
		Clear: true, Bind: netip.MustParseAddr(loopback), PID: p.pid(), Echo: p.echo}
}

const (
	whole   = 0.98 // of the packets due; with less a run is made again
	retries = 3
)

// whole runs f until it has been given the machine; a run that was not tells
// about the machine alone. The last one counts in any case.
func (b *bench) whole(c *Cost, f func() (*Report, error)) (r *Report, err error) {
	for range retries {
		if r, err = f(); err != nil || float64(r.Received) >= whole*float64(r.Sent) {
			return r, err
		}
		c.Starved++
		b.opt.Progress("the machine was busy with other work: once more")
	}
	return f()
}

// cost is the CPU for 50 packets heard, so that packets which the bridge had
// no time to send don't make it look cheap.
func cost(r *Report) float64 {
	perSecond := float64(time.Second / clock.Frame)
	return r.CPU * 1000 * perSecond / max(1, float64(r.Received))
}

// costs measures echo and bridge in turn, so that what else the machine does
// meets both, and compares within each round.
func (b *bench) costs(ctx context.Context) error {
	for _, callers := range []int{10, 100, 500} {
		c := Cost{Callers: callers}
		var all [11][]float64
		for range b.Rounds {
			var cpu [6]float64
			for i, run := range []func() (*Report, error){
				func() (*Report, error) { return b.echo(ctx, callers, 0) },
				func() (*Report, error) { return b.echo(ctx, callers, clock.Frame) },
				func() (*Report, error) { return b.bridge(ctx, callers, nil) },
				func() (*Report, error) { return b.bridge(ctx, callers, []string{"AEAD_AES_128_GCM"}) },
				func() (*Report, error) { return b.bridge(ctx, callers, []string{"AEAD_AES_256_GCM"}) },
				func() (*Report, error) { return b.bridge(ctx, callers, []string{h235}) },
			} {
				r, err := b.whole(&c, run)
				if err != nil {
					return err
				}
				cpu[i] = cost(r)
				all[i] = append(all[i], cpu[i])
				if i >= 2 {
					c.count(r)
				}
			}
			for i, v := range []float64{cpu[2] / cpu[0], cpu[3] / cpu[0], cpu[4] / cpu[0], cpu[5] / cpu[0], cpu[2] / cpu[1]} {
				all[6+i] = append(all[6+i], v)
			}
		}
		for i, to := range []*float64{&c.Echo, &c.Batched, &c.Clear, &c.GCM128, &c.GCM256, &c.H235, &c.ClearRatio, &c.GCM128Ratio, &c.GCM256Ratio, &c.H235Ratio, &c.FloorRatio} {
			*to = median(all[i])
		}
		b.Cost = append(b.Cost, c)
	}
	return nil
}

func (c *Cost) count(r *Report) {
	if r.Suite == "clear" {
		c.Resident = r.Memory
	}
	c.Sent, c.Received, c.Lost = c.Sent+int(r.Sent), c.Received+int(r.Received), c.Lost+int(r.Lost)
	c.Right, c.Wrong = c.Right+r.Right, c.Wrong+c.Callers-r.Right
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func (b *bench) echo(ctx context.Context, callers int, every time.Duration) (*Report, error) {
	p, err := startEcho(b.opt.Program, every)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	r, err := Run(ctx, b.load(p, callers))
	if err == nil {
		b.opt.Progress(fmt.Sprintf("echo, %d flows, looking every %v: %.3f ms/caller-s, %d of %d packets", callers, every, cost(r), r.Received, r.Sent))
	}
	return r, err
}

// h235 stands among the suites of SRTP for H.323 with media encrypted by AES in
// CBC mode.
const h235 = "H.235"

// bridge measures a meeting, in clear without suites.
func (b *bench) bridge(ctx context.Context, callers int, suites []string) (*Report, error) {
	p, err := startGateway(ctx, b.opt.Program)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, callers)
	o.To = []string{p.clear}
	switch {
	case slices.Contains(suites, h235):
		o.To = []string{p.h323}
	case suites != nil:
		o.To, o.Suites = []string{p.tls}, suites
	}
	r, err := Run(ctx, o)
	if err == nil {
		b.opt.Progress(fmt.Sprintf("bridge, %d callers, %s: %.3f ms/caller-s, %d of %d packets, %d hear right", callers, r.Suite, cost(r), r.Received, r.Sent, r.Right))
	}
	return r, err
}

func (b *bench) delays(ctx context.Context) error {
	var c Cost // of no interest
	for _, d := range []Delay{{Name: "G.711, clear", Callers: 100}, {Name: "G.711, AEAD_AES_256_GCM", Callers: 100}} {
		r, err := b.whole(&c, func() (*Report, error) {
			p, err := startGateway(ctx, b.opt.Program)
			if err != nil {
				return nil, err
			}
			defer p.stop()
			o := b.load(p, d.Callers)
			o.To, o.Bursts, o.Duration = []string{p.clear}, true, time.Duration(bursters)*time.Second
			if strings.Contains(d.Name, "GCM") {
				o.To = []string{p.tls}
			}
			return Run(ctx, o)
		})
		if err != nil {
			return err
		}
		d.Quantiles = *r.DelayMS
		b.Delay = append(b.Delay, d)
		b.opt.Progress(fmt.Sprintf("delay, %s: p50 %.1f p99 %.1f ms", d.Name, d.P50, d.P99))
	}
	return nil
}

const (
	overUDP   = "UDP, clear RTP"
	setupRate = 20.0 // calls a second at which the CPU of a call is judged
)

// setups makes calls that are hung up at once, faster and faster.
func (b *bench) setups(ctx context.Context) error {
	const seconds = 5
	for _, s := range []struct {
		name  string
		to    func(*process) string
		own   bool
		slow  bool
		rates []float64
	}{
		{overUDP, func(p *process) string { return p.clear }, false, false, []float64{setupRate, 100, 200, 400}},
		{"TLS, one connection, SRTP", func(p *process) string { return p.tls }, false, false, []float64{setupRate, 100, 200, 400}},
		{"TLS, a connection a call, SRTP", func(p *process) string { return p.tls }, true, false, []float64{setupRate, 100}},
		{"H.323, fast connect, H.235", func(p *process) string { return p.h323 }, false, false, []float64{setupRate, 50, 100}},
		{"H.323, slow start, H.235", func(p *process) string { return p.h323 }, false, true, []float64{setupRate, 50, 100}},
	} {
		for _, rate := range s.rates {
			p, err := startGateway(ctx, b.opt.Program)
			if err != nil {
				return err
			}
			o := b.load(p, int(rate*seconds))
			o.To, o.Churn, o.PerSec, o.Slow = []string{s.to(p)}, true, rate, s.slow
			if s.own {
				o.Connections = o.Calls
			}
			r, err := Run(ctx, o)
			p.stop()
			if r == nil {
				return err
			}
			b.Setup = append(b.Setup, Setup{s.name, rate, r.SetupRate, r.Calls, r.Connected, r.SetupMS, r.SetupCPU})
			b.opt.Progress(fmt.Sprintf("set-up, %s, %.0f/s: %d of %d at %.0f/s, p99 %.1f ms, %.2f ms CPU", s.name, rate, r.Connected, r.Calls, r.SetupRate, r.SetupMS.P99, r.SetupCPU))
		}
	}
	return nil
}

// pathBenchmarks are the benchmarks of the packet paths, by package.
var pathBenchmarks = []struct{ pkg, match string }{
	{"core/rtpio", "RoundTrip"}, {"core/mix", "StepG711x100|StepG711x500|StepOpusx100"}, {"core/audio", "Jitter"},
	{"core/forward", "."}, {"webrtc", "SlotWrite"}, {"sip", "Earpiece|Unlisted"},
	{"h323/h235", "Encrypt"}, {"h323/q931", "."}, {"h323/h225", "."}, {"h323/h245", "."}, {"h323/control", "Negotiation"}, {"h323/ras", "Register"},
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(\d+) B/op\s+(\d+) allocs/op`)

// paths runs the Go benchmarks, where there is a Go and the source.
func (b *bench) paths(ctx context.Context) error {
	if _, err := exec.LookPath("go"); err != nil {
		b.opt.Progress("no Go here: the benchmarks of single packets are left out")
		return nil
	}
	if _, err := os.Stat("go.mod"); err != nil {
		b.opt.Progress("no source here: the benchmarks of single packets are left out")
		return nil
	}
	for _, p := range pathBenchmarks {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", p.match, "-benchmem", "-benchtime", b.span(time.Second).String(), "./"+p.pkg).CombinedOutput()
		if err != nil {
			b.opt.Progress(fmt.Sprintf("benchmarks of %s left out: %v\n%s", p.pkg, err, out[max(0, len(out)-1000):]))
		}
		b.Paths = append(b.Paths, parseBenchmarks(p.pkg, string(out))...)
	}
	return nil
}

func parseBenchmarks(pkg, out string) (list []Path) {
	for _, m := range benchmarkLine.FindAllStringSubmatch(out, -1) {
		ns, _ := strconv.ParseFloat(m[2], 64)
		bytes, _ := strconv.Atoi(m[3])
		allocs, _ := strconv.Atoi(m[4])
		list = append(list, Path{Name: pkg + " " + m[1], NS: ns, Bytes: bytes, Allocs: allocs})
	}
	return list
}
