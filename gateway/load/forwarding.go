package load

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Forward is the cost of forwarding, in µs of CPU per packet; medians of the
// rounds.
type Forward struct {
	Name                               string
	Video                              bool
	Senders, Listeners                 int
	Small                              bool // a point of the curve: what a gateway costs anyhow is most of it, and no goal is set
	Watchers                           int  // of a large meeting: senders speak in turn and show a camera, so many listeners look at one
	Asked                              int  // browsers that were too many for the machine; 0: none
	Echo, Packet, Ratio                float64
	Track                              float64 // ms of CPU per track forwarded and second
	Suite                              string
	Sent, Received, Lost, Right, Wrong int
	MaxGapMS                           float64
	Gapped                             int     // streams of sound with a gap over the limit
	Resident                           float64 // MiB
	Starved                            int
}

// forwardings are what is forwarded.
var forwardings = []Forward{
	{Name: "audio 1→10", Small: true, Senders: 1, Listeners: 10},
	{Name: "audio 1→50", Senders: 1, Listeners: 50},
	{Name: "audio 1→200", Senders: 1, Listeners: 200},
	{Name: "audio 10→50", Senders: 10, Listeners: 50},
	{Name: "video 1→20", Video: true, Senders: 1, Listeners: 20},
	{Name: "video 1→100", Video: true, Senders: 1, Listeners: 100},
}

// The large meeting, of as many browsers as the machine holds: ten speak in turn
// and show a camera, thirty look at one.
const largeSenders, largeWatchers = 10, 30

var largeSizes = []int{300, 200, 100}

func largeMeeting(browsers int) Forward {
	return Forward{Name: fmt.Sprintf("meeting of %d, %d cameras", browsers, largeSenders), Senders: largeSenders, Listeners: browsers - largeSenders, Watchers: largeWatchers}
}

// forwards measures an echo of the same packets and the gateway in turn.
func (b *bench) forwards(ctx context.Context) error {
	for _, f := range forwardings {
		if err := b.forwarding(ctx, &f); err != nil {
			return err
		}
		b.Forward = append(b.Forward, f)
	}
	return nil
}

// large has the meeting be as large as the machine holds.
func (b *bench) large(ctx context.Context) error {
	for i, size := range largeSizes {
		f := largeMeeting(size)
		if i > 0 {
			f.Asked = largeSizes[0]
		}
		if err := b.forwarding(ctx, &f); err != nil {
			return err
		}
		if f.Held() || i == len(largeSizes)-1 {
			b.Forward = append(b.Forward, f)
			break
		}
		b.opt.Progress(fmt.Sprintf("%s: %d of %d packets, %d wrong: too many for this machine", f.Name, f.Received, f.Sent, f.Wrong))
	}
	return nil
}

// Browsers are those in the meeting.
func (f *Forward) Browsers() int { return f.Senders + f.Listeners }

// Held tells whether everybody heard and saw right and nearly all packets came.
func (f *Forward) Held() bool { return f.Wrong == 0 && float64(f.Received) >= whole*float64(f.Sent) }

// forwarding measures one; of a large meeting no more rounds than it holds.
func (b *bench) forwarding(ctx context.Context, f *Forward) error {
	var echo, packet, ratio, track []float64
	for round := 0; round < b.Rounds && (f.Watchers == 0 || f.Held()); round++ {
		e, err := b.whole(&f.Starved, f.Name, func() (*Report, error) { return b.echoForward(ctx, f) })
		if err != nil {
			return err
		}
		r, err := b.whole(&f.Starved, f.Name, func() (*Report, error) { return b.forward(ctx, f) })
		if err != nil {
			return err
		}
		n := r.forwarded()
		echo = append(echo, e.CPU*1e6/max(1, float64(e.Received)))
		packet = append(packet, r.CPU*1e6/max(1, float64(n.Received)))
		ratio = append(ratio, last(packet)/last(echo))
		track = append(track, r.CPU*1000/(r.Seconds*float64(f.tracks()+f.Watchers)))
		f.Sent, f.Received, f.Lost = f.Sent+int(n.Sent), f.Received+int(n.Received), f.Lost+int(n.Lost)
		f.Right, f.Wrong, f.Suite = f.Right+r.Right, f.Wrong+r.Calls-r.Right, r.Suite
		f.Gapped += r.Gapped
		f.MaxGapMS, f.Resident = max(f.MaxGapMS, n.MaxGapMS), r.Memory
	}
	f.Echo, f.Packet, f.Ratio, f.Track = median(echo), median(packet), median(ratio), median(track)
	return nil
}

// tracks is how many streams are forwarded, in a large meeting of sound.
func (f *Forward) tracks() int {
	heard := min(f.Senders, speakerSlots)
	switch {
	case f.Video:
		return f.Listeners
	case f.Watchers > 0:
		heard = 1 // they take turns
	}
	return (f.Listeners+f.Senders)*heard - heard
}

// forwarded is what was sent on unmixed.
func (rep *Report) forwarded() Flow {
	n := Flow{rep.Sent, rep.Received, rep.Lost, rep.MaxGapMS}
	if v := rep.Video; v != nil {
		n = Flow{n.Sent + v.Sent, n.Received + v.Received, n.Lost + v.Lost, max(n.MaxGapMS, v.MaxGapMS)}
	}
	return n
}

// echoForward has an echo answer as many packets of the same kind as there are
// to forward, encrypted as browsers are: one received for each one sent.
func (b *bench) echoForward(ctx context.Context, f *Forward) (*Report, error) {
	p, err := startEcho(b.opt.Program, 0, byGCM)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, f.tracks()+f.Watchers)
	o.Films, o.Suites = f.Watchers, []string{byGCM}
	if f.Video {
		o.Films = o.Calls
	}
	r, err := Run(ctx, o)
	if err == nil {
		b.opt.Progress(fmt.Sprintf("echo for %s: %.2f µs a packet, %d of %d", f.Name, r.CPU*1e6/max(1, float64(r.Received)), r.Received, r.Sent))
	}
	return r, err
}

func (b *bench) forward(ctx context.Context, f *Forward) (*Report, error) {
	p, err := startSettled(ctx, b.opt.Program)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := b.load(p, f.Senders+f.Listeners)
	o.To, o.PerSec, o.Speakers = []string{p.web}, 25, f.Senders
	if f.Video {
		o.Speakers, o.Cameras = 0, f.Senders
	}
	if f.Watchers > 0 {
		o.Cameras, o.Watchers, o.Turns = f.Senders, f.Watchers, true
	}
	r, err := Run(ctx, o)
	if err == nil {
		n := r.forwarded()
		b.opt.Progress(fmt.Sprintf("forwarding %s: %.2f µs a packet, %d of %d, %d lost, %d right %s", f.Name, r.CPU*1e6/max(1, float64(n.Received)), n.Received, n.Sent, n.Lost, r.Right, r.Example))
	}
	return r, err
}

// Memory of the gateway above the idle process.
type Memory struct {
	Name       string
	Parties    int
	Idle, Full float64 // MiB
	Each       float64 // KiB a party
	Goal       float64 // KiB
}

// trimmed is when a gateway has collected what a rush of calls left, and given it
// back bit by bit.
const trimmed = 40 * time.Second

// memories measures the resident set of a gateway.
func (b *bench) memories(ctx context.Context) error {
	for _, m := range []Memory{
		{Name: "dial-in, clear", Parties: 500, Goal: dialInGoal},
		{Name: "dial-in, AEAD_AES_256_GCM", Parties: 500, Goal: dialInGoal},
		{Name: "browser, one video", Parties: 100, Goal: browserGoal},
	} {
		if b.Quick && strings.Contains(m.Name, byGCM) {
			continue
		}
		if err := b.memory(ctx, &m); err != nil {
			return err
		}
		b.Memory = append(b.Memory, m)
		b.opt.Progress(fmt.Sprintf("memory, %s: %.0f KiB each above %.0f MiB", m.Name, m.Each, m.Idle))
	}
	return nil
}

func (b *bench) memory(ctx context.Context, m *Memory) error {
	p, err := startSettled(ctx, b.opt.Program)
	if err != nil {
		return err
	}
	defer p.stop()
	m.Idle = memory(p.pid())
	o := b.load(p, m.Parties)
	o.Duration = trimmed
	switch m.Name {
	case "dial-in, clear":
		o.To = []string{p.clear}
	case "browser, one video":
		o.To, o.PerSec, o.Cameras, o.Speakers = []string{p.web}, 25, 1, 0
	default:
		o.To, o.Suites = []string{p.tls}, []string{byGCM}
	}
	r, err := Run(ctx, o)
	if err != nil {
		return err
	}
	m.Full = r.Memory
	m.Each = (m.Full - m.Idle) * 1024 / float64(max(1, r.Connected))
	return nil
}

// joins has browsers join and leave.
func (b *bench) joins(ctx context.Context) error {
	p, err := startSettled(ctx, b.opt.Program)
	if err != nil {
		return err
	}
	defer p.stop()
	o := b.load(p, int(setupRate*setupSeconds(setupRate)))
	o.To, o.PerSec, o.Churn, o.Cameras = []string{p.web}, setupRate, true, 1
	r, err := warmed(ctx, o)
	if r == nil {
		return err
	}
	b.Setup = append(b.Setup, Setup{Name: byBrowser, Asked: setupRate, Reached: r.SetupRate, Calls: r.Calls, Connected: r.Connected, Took: r.SetupMS, CPU: r.SetupCPU})
	b.opt.Progress(fmt.Sprintf("browsers joining: %d of %d, %.2f ms CPU", r.Connected, r.Calls, r.SetupCPU))
	return nil
}

const byBrowser = "browser, DTLS-SRTP"

// Storm is what those inside a meeting notice while a thousand callers come.
type Storm struct {
	Limit          int // calls that the gateway takes; 0: all
	Asked, Refused int
	Connected      int
	Reached        float64
	Took           Quantiles
	Inside         int
	Sent, Received int // of those inside
	Lost           int
	MaxGapMS       float64
	Gapped         int
	Right          int
}

// storms has a thousand callers come at a hundred a second to a meeting in
// which a hundred are talking: all are taken, or only some.
func (b *bench) storms(ctx context.Context) error {
	limits := []int{0, 600}
	if b.Quick {
		limits = limits[1:]
	}
	for _, limit := range limits {
		s := Storm{Limit: limit, Asked: 1000, Inside: 100}
		if err := b.storm(ctx, &s); err != nil {
			return err
		}
		b.Storm = append(b.Storm, s)
		b.opt.Progress(fmt.Sprintf("storm, limit %d: %d in at %.0f/s, %d refused; inside %d of %d packets, worst gap %.0f ms, %d hear right",
			limit, s.Connected, s.Reached, s.Refused, s.Received, s.Sent, s.MaxGapMS, s.Right))
	}
	return nil
}

func (b *bench) storm(ctx context.Context, s *Storm) error {
	var flags []string
	if s.Limit > 0 {
		flags = []string{"--limits.calls", fmt.Sprint(s.Limit)}
	}
	p, err := startGateway(ctx, b.opt.Program, flags...)
	if err != nil {
		return err
	}
	defer p.stop()
	const rate = 100.0
	inside := b.load(p, s.Inside)
	inside.To, inside.Duration = []string{p.clear}, time.Duration(float64(s.Asked)/rate*float64(time.Second))+2*time.Second // no seat becomes free
	type result struct {
		r   *Report
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := Run(ctx, inside)
		done <- result{r, err}
	}()
	if err := sleep(ctx, time.Second+inside.Settle); err != nil {
		return err
	}
	o := b.load(p, s.Asked)
	o.To, o.PerSec, o.Speakers, o.Settle, o.Duration = []string{p.clear}, rate, 0, 0, time.Second
	r, err := Run(ctx, o)
	in := <-done
	if err == nil {
		err = in.err
	}
	if err != nil {
		return err
	}
	s.Connected, s.Reached, s.Took = r.Connected, r.SetupRate, r.SetupMS
	for _, n := range r.Failed {
		s.Refused += n
	}
	s.Sent, s.Received, s.Lost = int(in.r.Sent), int(in.r.Received), int(in.r.Lost)
	s.MaxGapMS, s.Gapped, s.Right = in.r.MaxGapMS, in.r.Gapped, in.r.Right
	return nil
}
