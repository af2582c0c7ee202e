package load

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bridgehead/core/clock"
)

// Cost of callers, in ms of CPU per caller-second; medians of the rounds. What
// was not measured at a size is 0.
type Cost struct {
	Meetings, Callers                        int // callers in all
	Echo, EchoGCM, Batched                   float64
	Clear, GCM, H235, Janus                  float64
	ClearRatio, GCMRatio                     float64 // to the echo of the same kind and round
	H235Ratio                                float64 // to the echo in clear
	FloorRatio                               float64 // clear to the batched echo
	JanusRatio                               float64 // Janus to clear
	Rise                                     float64 // clear to the cheapest smaller size of the sweep
	Resident                                 float64 // MiB, the server's, clear
	Sent, Received, Lost, Right, Wrong       int     // over all rounds of the bridge
	MaxGapMS                                 float64 // the worst of all its callers
	Gapped                                   int     // callers with a gap over the limit
	Starved                                  int     // runs made again, echo and bridge
	JanusSent, JanusReceived, JanusRight, Of int
	JanusFailed                              int // rounds that Janus did not take part in
	LateTicks, Ticks                         int // of the media clock, over 5 ms late
}

// way is one way to send the callers' packets.
type way struct {
	name string
	run  func(context.Context, *Cost) (*Report, error)
	cost func(*Cost) *float64
	// ratio of this way to one before it in the same round; nil: none
	ratio func(*Cost) *float64
	to    string
}

// The names of ways.
const (
	byEcho    = "echo"
	byEchoGCM = "echo, AEAD_AES_256_GCM"
	byBatch   = "echo, batched"
	byClear   = "clear"
	byGCM     = "AEAD_AES_256_GCM"
	byJanus   = "Janus"
	h235      = "H.235" // H.323 with media encrypted by AES in CBC mode
)

func (b *bench) ways() []way {
	echo := func(every time.Duration, suite string) func(context.Context, *Cost) (*Report, error) {
		return func(ctx context.Context, c *Cost) (*Report, error) { return b.echo(ctx, c.Callers, every, suite) }
	}
	return []way{
		{byEcho, echo(0, ""), func(c *Cost) *float64 { return &c.Echo }, nil, ""},
		{byClear, b.bridge(byClear), func(c *Cost) *float64 { return &c.Clear }, func(c *Cost) *float64 { return &c.ClearRatio }, byEcho},
		{byEchoGCM, echo(0, byGCM), func(c *Cost) *float64 { return &c.EchoGCM }, nil, ""},
		{byGCM, b.bridge(byGCM), func(c *Cost) *float64 { return &c.GCM }, func(c *Cost) *float64 { return &c.GCMRatio }, byEchoGCM},
		{byBatch, echo(clock.Frame, ""), func(c *Cost) *float64 { return &c.Batched }, nil, ""},
		{h235, b.bridge(h235), func(c *Cost) *float64 { return &c.H235 }, func(c *Cost) *float64 { return &c.H235Ratio }, byEcho},
		{byJanus, b.janus, func(c *Cost) *float64 { return &c.Janus }, func(c *Cost) *float64 { return &c.JanusRatio }, byClear},
	}
}

// sizes of the curve, and the ways measured beside echo and bridge in clear.
var sizes = []struct {
	meetings, callers int
	also              []string
}{
	{1, 10, nil}, {1, 50, nil}, {1, 100, []string{byEchoGCM, byGCM}},
	{1, 200, []string{byEchoGCM, byGCM, byBatch, h235, byJanus}},
	{1, 500, []string{byEchoGCM, byGCM, byBatch, h235, byJanus}},
	{1, 1000, []string{byEchoGCM, byGCM}}, {200, 1000, nil},
}

// size is one of them, measured.
type size struct {
	Cost
	ways        []way
	all, ratios map[string][]float64 // by way, of each round
	rises       []float64            // of each sweep
}

// costs measures echo and bridge in turn, size after size, so that what else
// the machine does meets all, and compares within each round.
func (b *bench) costs(ctx context.Context) error {
	var curve []*size
	for _, s := range sizes {
		c := &size{Cost: Cost{Meetings: s.meetings, Callers: s.callers}, all: map[string][]float64{}, ratios: map[string][]float64{}}
		for _, w := range b.ways() {
			always := w.name == byEcho || w.name == byClear
			if always || slices.Contains(s.also, w.name) && (w.name != byJanus || b.Janus != "") {
				c.ways = append(c.ways, w)
			}
		}
		curve = append(curve, c)
	}
	for range b.Rounds {
		for _, c := range curve {
			if err := b.round(ctx, c); err != nil {
				return err
			}
		}
	}
	if err := b.rises(ctx, curve); err != nil {
		return err
	}
	for _, c := range curve {
		for _, w := range c.ways {
			*w.cost(&c.Cost) = median(c.all[w.name])
			if w.ratio != nil {
				*w.ratio(&c.Cost) = median(c.ratios[w.name])
			}
		}
		c.FloorRatio, c.Rise = median(c.ratios[byBatch]), median(c.rises)
		b.Cost = append(b.Cost, c.Cost)
	}
	return nil
}

// sweeps through the sizes, to compare them: one is a matter of luck.
const sweeps = 5

// rises compares the sizes of one meeting, in clear: back to back, since the
// machine's speed changes by the minute, and up and down in turn.
func (b *bench) rises(ctx context.Context, curve []*size) error {
	curve = slices.DeleteFunc(slices.Clone(curve), func(c *size) bool { return c.Meetings > 1 })
	run, n := b.bridge(byClear), sweeps
	if b.Quick {
		n = 1
	}
	for i := range n {
		order := slices.Clone(curve)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			r, err := b.whole(&c.Starved, byClear, func() (*Report, error) { return run(ctx, &c.Cost) })
			if err != nil {
				return err
			}
			c.add(byClear, r)
		}
		var costs []float64
		for _, c := range curve {
			costs = append(costs, last(c.all[byClear]))
			c.rises = append(c.rises, rise(costs))
		}
	}
	return nil
}

// rise is the last of costs against the least before it; 0: there is none.
func rise(costs []float64) float64 {
	if len(costs) < 2 {
		return 0
	}
	return last(costs) / slices.Min(costs[:len(costs)-1])
}

func (c *size) add(name string, r *Report) {
	c.all[name] = append(c.all[name], cost(r))
	c.count(name, r)
}

// round measures a size in all its ways.
func (b *bench) round(ctx context.Context, c *size) error {
	for _, w := range c.ways {
		r, err := b.whole(&c.Starved, w.name, func() (*Report, error) { return w.run(ctx, &c.Cost) })
		switch {
		case err != nil && w.name == byJanus && ctx.Err() == nil:
			c.JanusFailed++
			b.opt.Progress(fmt.Sprintf("Janus, %d callers: %v", c.Callers, err))
			continue
		case err != nil:
			return err
		}
		c.add(w.name, r)
		if w.ratio != nil {
			c.ratios[w.name] = append(c.ratios[w.name], last(c.all[w.name])/last(c.all[w.to]))
		}
		if w.name == byBatch {
			c.ratios[w.name] = append(c.ratios[w.name], last(c.all[byClear])/cost(r))
		}
	}
	return nil
}

func last(list []float64) float64 { return list[len(list)-1] }

// median of what was measured; 0: nothing was.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// count adds what a run has shown beside its cost.
func (c *Cost) count(name string, r *Report) {
	switch name {
	case byEcho, byEchoGCM, byBatch:
		return
	case byJanus:
		c.JanusSent, c.JanusReceived = c.JanusSent+int(r.Sent), c.JanusReceived+int(r.Received)
		c.JanusRight, c.Of = c.JanusRight+r.Right, c.Of+c.Callers
		return
	case byClear:
		c.Resident = r.Memory
	}
	c.Sent, c.Received, c.Lost = c.Sent+int(r.Sent), c.Received+int(r.Received), c.Lost+int(r.Lost)
	c.MaxGapMS, c.Gapped = max(c.MaxGapMS, r.MaxGapMS), c.Gapped+r.Gapped
	c.Right, c.Wrong = c.Right+r.Right, c.Wrong+c.Callers-r.Right
}

// load is the part of a run's options that all scenarios share.
func (b *bench) load(p *process, callers int) Options {
	return Options{Calls: callers, PerSec: 200, Speakers: len(Tones), Settle: 1500 * time.Millisecond, Duration: b.span(4 * time.Second),
		Clear: true, Bind: netip.MustParseAddr(loopback), PID: p.pid(), Echo: p.echo, Janus: p.janus}
}

const (
	whole   = 0.98 // of the packets due; with less a run is made again
	retries = 3
)

// whole runs f until it has been given the machine; a run that was not tells
// about the machine alone. The last one counts in any case. What Janus does not
// send is its own.
func (b *bench) whole(starved *int, name string, f func() (*Report, error)) (r *Report, err error) {
	for range retries {
		if r, err = f(); err != nil || r.whole() || name == byJanus {
			return r, err
		}
		*starved++
		b.opt.Progress("the machine was busy with other work: once more")
	}
	return f()
}

func (rep *Report) whole() bool {
	return float64(rep.Received) >= whole*float64(rep.Sent) && (rep.Video == nil || float64(rep.Video.Received) >= whole*float64(rep.Video.Sent))
}

// cost is the CPU for 50 packets heard, so that packets which the bridge had
// no time to send don't make it look cheap.
func cost(r *Report) float64 {
	perSecond := float64(time.Second / clock.Frame)
	return r.CPU * 1000 * perSecond / max(1, float64(r.Received))
}

func (b *bench) echo(ctx context.Context, callers int, every time.Duration, suite string) (*Report, error) {
	p, err := startEcho(b.opt.Program, every, suite)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, callers)
	if suite != "" {
		o.Suites = []string{suite}
	}
	r, err := Run(ctx, o)
	if err == nil {
		b.opt.Progress(fmt.Sprintf("echo, %d flows, %s, looking every %v: %.3f ms/caller-s, %d of %d packets", callers, r.Suite, every, cost(r), r.Received, r.Sent))
	}
	return r, err
}

// bridge measures a gateway with the callers in one meeting or in many.
func (b *bench) bridge(name string) func(context.Context, *Cost) (*Report, error) {
	return func(ctx context.Context, c *Cost) (*Report, error) {
		p, err := startGateway(ctx, b.opt.Program)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		o := b.load(p, c.Callers)
		clear, secure := []string{p.clear}, []string{p.tls}
		if c.Meetings > 1 {
			if clear, secure, err = p.meetings(ctx, c.Meetings); err != nil {
				return nil, err
			}
		}
		switch name {
		case byClear:
			o.To = clear
		case h235:
			o.To, o.PerSec = []string{p.h323}, 100
		default:
			o.To, o.Suites = secure, []string{name}
		}
		ticks, late := p.counter(ctx, "bridgehead_clock_ticks_total"), p.counter(ctx, "bridgehead_clock_late_ticks_total")
		r, err := Run(ctx, o)
		if err != nil {
			return r, err
		}
		c.Ticks += int(p.counter(ctx, "bridgehead_clock_ticks_total") - ticks)
		c.LateTicks += int(p.counter(ctx, "bridgehead_clock_late_ticks_total") - late)
		b.opt.Progress(fmt.Sprintf("bridge, %d callers in %d, %s: %.3f ms/caller-s, %d of %d packets, %d lost, %d hear right %s",
			c.Callers, c.Meetings, r.Suite, cost(r), r.Received, r.Sent, r.Lost, r.Right, r.Example))
		return r, nil
	}
}

// janus measures an AudioBridge with the same callers. Now and then its mixer
// stops for good, or never begins; it has a second try then.
func (b *bench) janus(ctx context.Context, c *Cost) (r *Report, err error) {
	for range 2 {
		if r, err = b.janusOnce(ctx, c); err != nil || r.Received > r.Sent/2 {
			return r, err
		}
	}
	return nil, fmt.Errorf("of %d packets %d came", r.Sent, r.Received)
}

func (b *bench) janusOnce(ctx context.Context, c *Cost) (*Report, error) {
	p, err := startJanus(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, c.Callers)
	o.PerSec = 50 // when they come faster, it happens more often
	r, err := Run(ctx, o)
	if err == nil {
		b.opt.Progress(fmt.Sprintf("Janus, %d callers: %.3f ms/caller-s, %d of %d packets, %d hear right %s", c.Callers, cost(r), r.Received, r.Sent, r.Right, r.Example))
	}
	return r, err
}

func (b *bench) delays(ctx context.Context) error {
	starved := 0 // of no interest
	for _, d := range []Delay{{Name: "G.711, clear", Callers: 200}, {Name: "G.711, AEAD_AES_256_GCM", Callers: 200}, {Name: "G.711, clear", Callers: 500}, {Name: "G.711, clear", Callers: 1000}} {
		r, err := b.whole(&starved, d.Name, func() (*Report, error) {
			p, err := startGateway(ctx, b.opt.Program)
			if err != nil {
				return nil, err
			}
			defer p.stop()
			o := b.load(p, d.Callers)
			o.To, o.Bursts, o.Duration = []string{p.clear}, true, b.span(time.Duration(bursters)*time.Second)
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
		b.opt.Progress(fmt.Sprintf("delay, %s, %d callers: p50 %.1f p99 %.1f ms", d.Name, d.Callers, d.P50, d.P99))
	}
	return nil
}
