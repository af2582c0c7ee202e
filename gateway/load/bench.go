package load

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BenchOptions of [Bench].
type BenchOptions struct {
	Program string // this program, to run gateways and echoes with
	Quick   bool   // one round, short: figures for a glance
	// Only names the parts to measure; empty: all. See [BenchParts].
	Only []string
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
	Janus                 string  // version; empty: not installed
	Cost                  []Cost
	Forward               []Forward
	Rooms                 *Rooms // nil: not measured
	Memory                []Memory
	Storm                 []Storm
	Delay                 []Delay
	Setup                 []Setup
	Paths                 []Path
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
	Bare      float64 // the same of a bare SIP server, in the same run; 0: none
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

// BenchParts are the parts of the benchmark, in their order.
var BenchParts = []string{"idle", "callers", "forwarding", "large", "rooms", "memory", "delay", "storm", "set-up", "browsers", "packets"}

// Bench measures all that docs/performance.md tells. It takes about half an
// hour, eight minutes if quick.
func Bench(ctx context.Context, o BenchOptions) (*Results, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	b := &bench{opt: o}
	b.machine()
	b.Quick, b.Rounds = o.Quick, 3
	if janusHome() != "" {
		b.Janus = janusVersion(ctx)
	}
	if o.Quick {
		b.Rounds = 1
	}
	busy, err := othersCPU(ctx)
	if err != nil {
		return nil, err
	}
	b.Busy = busy
	for i, measure := range []func(context.Context) error{
		b.idle, b.costs, b.forwards, b.large, b.rooms, b.memories, b.delays, b.storms, b.setups, b.joins, b.paths,
	} {
		if len(o.Only) > 0 && !slices.Contains(o.Only, BenchParts[i]) {
			continue
		}
		if err := measure(ctx); err != nil {
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
	p, err := startSettled(ctx, b.opt.Program)
	if err != nil {
		return err
	}
	defer p.stop()
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

const (
	overUDP   = "UDP, clear RTP"
	overTLS   = "TLS, one connection, SRTP"
	setupRate = 20.0 // calls a second at which the CPU of a call is judged
)

// setups makes calls that are hung up at once, faster and faster.
func (b *bench) setups(ctx context.Context) error {
	for _, s := range []struct {
		name  string
		to    func(*process) string
		own   bool
		slow  bool
		bare  bool
		rates []float64
	}{
		{overUDP, func(p *process) string { return p.clear }, false, false, true, []float64{setupRate, 100, 200, 400}},
		{overTLS, func(p *process) string { return p.tls }, false, false, true, []float64{setupRate, 100, 200, 400}},
		{"TLS, a connection a call, SRTP", func(p *process) string { return p.tls }, true, false, true, []float64{setupRate, 100}},
		{"H.323, fast connect, H.235", func(p *process) string { return p.h323 }, false, false, false, []float64{setupRate, 100}},
		{"H.323, slow start, H.235", func(p *process) string { return p.h323 }, false, true, false, []float64{setupRate, 100}},
	} {
		if b.Quick {
			s.rates = s.rates[:1]
		}
		for i, rate := range s.rates {
			o := Options{PerSec: rate, Slow: s.slow}
			if s.own {
				o.Connections = int(rate * setupSeconds(rate))
			}
			one := Setup{Name: s.name, Asked: rate}
			if s.bare && i == 0 {
				bare, err := b.setup(ctx, func() (*process, error) { return startAnswer(b.opt.Program, s.name != overUDP) }, s.to, o)
				if err != nil {
					return err
				}
				one.Bare = bare.SetupCPU
			}
			r, err := b.setup(ctx, func() (*process, error) { return startSettled(ctx, b.opt.Program) }, s.to, o)
			if err != nil {
				return err
			}
			one.Reached, one.Calls, one.Connected, one.Took, one.CPU = r.SetupRate, r.Calls, r.Connected, r.SetupMS, r.SetupCPU
			b.Setup = append(b.Setup, one)
			b.opt.Progress(fmt.Sprintf("set-up, %s, %.0f/s: %d of %d at %.0f/s, p99 %.1f ms, %.2f ms CPU, bare %.2f", s.name, rate, r.Connected, r.Calls, r.SetupRate, r.SetupMS.P99, r.SetupCPU, one.Bare))
		}
	}
	return nil
}

// setupSeconds is how long calls are made at a rate: longest where their CPU is
// judged, with some collections of the heap in it.
func setupSeconds(rate float64) float64 {
	if rate == setupRate {
		return 15
	}
	return 5
}

// setup makes calls to one server. With none set up it is an error.
func (b *bench) setup(ctx context.Context, start func() (*process, error), to func(*process) string, s Options) (*Report, error) {
	p, err := start()
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, int(s.PerSec*setupSeconds(s.PerSec)))
	o.To, o.Churn, o.PerSec, o.Slow, o.Connections = []string{to(p)}, true, s.PerSec, s.Slow, s.Connections
	return warmed(ctx, o)
}

// warmed makes calls before those that count: the first of a process read its code
// from the disk, and have memory made for them.
func warmed(ctx context.Context, o Options) (*Report, error) {
	first := o
	first.Calls, first.Connections = min(o.Calls, warmUp), min(o.Connections, warmUp)
	if _, err := Run(ctx, first); err != nil {
		return nil, err
	}
	return Run(ctx, o)
}

const warmUp = 40

// pathBenchmarks are the benchmarks of the packet paths, by package.
var pathBenchmarks = []struct{ pkg, match string }{
	{"core/rtpio", "RoundTrip"}, {"core/mix", "StepG711x100|StepG711x500|StepOpusx100"}, {"core/audio", "Jitter"},
	{"core/forward", "."}, {"webrtc", "SlotWrite"}, {"sip", "Earpiece|Unlisted"},
	{"h323/h235", "Encrypt"}, {"h323/q931", "."}, {"h323/h225", "."}, {"h323/h245", "."}, {"h323/control", "Negotiation"}, {"h323/ras", "Register"},
}

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op.*?(\d+) B/op\s+(\d+) allocs/op`)

// paths runs the Go benchmarks, where there is a Go and the source; not in a quick
// run, unless asked for.
func (b *bench) paths(ctx context.Context) error {
	if b.Quick && len(b.opt.Only) == 0 {
		return nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		b.opt.Progress("no Go here: the benchmarks of single packets are left out")
		return nil
	}
	if _, err := os.Stat("go.mod"); err != nil {
		b.opt.Progress("no source here: the benchmarks of single packets are left out")
		return nil
	}
	for _, p := range pathBenchmarks {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", p.match, "-benchmem", "-benchtime", b.span(500*time.Millisecond).String(), "./"+p.pkg).CombinedOutput()
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
