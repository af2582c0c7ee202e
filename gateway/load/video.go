package load

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"bridgehead/core"
)

// Rooms is what pictures cost that room systems send and see.
type Rooms struct {
	Absent  string // why something was not measured; empty: all was
	Watch   int    // rooms that see a camera switched
	Encoder string // ffmpeg's

	// Switched: CPU of the gateway, µs a packet, and ms per track and second.
	Echo, Packet, Ratio, Track float64
	Sent, Received, Lost       int
	Switching                  Quantiles // packet in to packet out, ms

	// Composed of four: ms of CPU a second, of gateway and worker; with ten
	// viewers more; of ffmpeg.
	Composed, More, Ffmpeg float64
	Rate                   float64   // pictures a second that viewers got
	Composing              Quantiles // a change's way, ms

	Right, Wrong int
	Example      string
}

const (
	roomsWatch   = 20
	roomsMore    = 10
	composeFour  = 4
	roomSettle   = 2 * time.Second
	roomMeasures = 5 * time.Second
)

// lab is what the measurements of rooms share.
type lab struct {
	*bench
	*Rooms
	dir    string
	files  []string
	clips  []*clip
	flash  *clip
	coding []string
}

// rooms measures switched and composed pictures.
func (b *bench) rooms(ctx context.Context) error {
	l := &lab{bench: b, Rooms: &Rooms{Watch: roomsWatch}}
	b.Rooms = l.Rooms
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		l.Absent = "ffmpeg is not installed here, which makes the pictures: nothing was measured."
		b.opt.Progress(l.Absent)
		return nil
	}
	var err error
	if l.dir, err = os.MkdirTemp("", "bridgehead-clips"); err != nil {
		return err
	}
	defer os.RemoveAll(l.dir)
	for n := range composeFour {
		file, c, err := makeClip(ctx, l.dir, n, false)
		if err != nil {
			return err
		}
		l.files, l.clips = append(l.files, file), append(l.clips, c)
	}
	if _, l.flash, err = makeClip(ctx, l.dir, 0, true); err != nil {
		return err
	}
	l.Encoder, l.coding = ffmpegEncoder(ctx)
	if err := l.switched(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(b.opt.Program), "bridgehead-media")); err != nil {
		l.Absent = "There is no media worker beside the gateway: composing was not measured."
		b.opt.Progress(l.Absent)
		return nil
	}
	return l.composed(ctx)
}

// enter starts a gateway with a meeting of the layout, and rooms that call it. It
// has no trunks: calls over these have no pictures.
func (l *lab) enter(ctx context.Context, layout string) (p *process, r *rooms, err error) {
	if p, err = startEmpty(ctx, l.opt.Program, "--video.cpu", "100"); err != nil {
		return nil, nil, err
	}
	m := meeting("7002")
	m["layout"] = layout
	if err = p.post(ctx, "meetings", m); err == nil {
		r, err = newRooms(ctx, "sips:7002@"+p.sip[1])
	}
	if err != nil {
		p.stop()
	}
	return p, r, err
}

// switched has one camera be seen by many, and an echo answer as many packets.
func (l *lab) switched(ctx context.Context) error {
	var echo, packet, ratio, track []float64
	var delays []time.Duration
	for range l.Rounds {
		e, err := l.echoRooms(ctx)
		if err != nil {
			return err
		}
		took, cpu, got, late, err := l.switchedOnce(ctx)
		if err != nil {
			return err
		}
		echo, packet = append(echo, e), append(packet, cpu.Seconds()*1e6/max(1, float64(got)))
		ratio = append(ratio, last(packet)/last(echo))
		track = append(track, cpu.Seconds()*1000/(took.Seconds()*roomsWatch))
		delays = append(delays, late...)
		l.opt.Progress(fmt.Sprintf("switched to %d rooms: %.2f µs a packet, echo %.2f, %.2f ms a track and second, %d of %d packets %s", roomsWatch, last(packet), e, last(track), l.Received, l.Sent, l.Example))
	}
	l.Echo, l.Packet, l.Ratio, l.Track = median(echo), median(packet), median(ratio), median(track)
	l.Switching = quantiles(delays)
	return nil
}

// echoRooms is what an echo needs for each packet of as many cameras and
// telephones, in µs.
func (l *lab) echoRooms(ctx context.Context) (float64, error) {
	p, err := startEcho(l.opt.Program, 0, byGCM)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	o := l.load(p, 2*roomsWatch+1)
	o.Films, o.Suites = roomsWatch, []string{byGCM}
	r, err := Run(ctx, o)
	if err != nil {
		return 0, err
	}
	return r.CPU * 1e6 / max(1, float64(r.Received)), nil
}

// switchedOnce returns the CPU for so many packets sent to rooms, of pictures and
// of sound.
func (l *lab) switchedOnce(ctx context.Context) (took, cpu time.Duration, got uint64, delays []time.Duration, err error) {
	p, r, err := l.enter(ctx, "switched")
	if err != nil {
		return
	}
	defer p.stop()
	defer r.hangup()
	camera, err := newRoom(l.clips[0], nil)
	if err != nil {
		return
	}
	if err = r.add(ctx, camera); err != nil {
		return
	}
	if err = r.watch(ctx, roomsWatch, camera); err != nil {
		return
	}
	if err = sleep(ctx, roomSettle); err != nil {
		return
	}
	if took, cpu, err = r.measure(ctx, p.pid(), l.span(roomMeasures)); err != nil {
		return
	}
	for _, m := range r.list {
		got += m.heard.packets
		if m == camera {
			continue
		}
		got += m.screen.packets
		delays = append(delays, m.screen.delays...)
		l.Sent, l.Received, l.Lost = l.Sent+int(camera.filmed.Load()), l.Received+int(m.screen.packets), l.Lost+int(m.screen.lost)
		l.judge(m, camera.filmed.Load())
	}
	return
}

// watch has n rooms join that only look.
func (r *rooms) watch(ctx context.Context, n int, of *room) error {
	for range n {
		m, err := newRoom(nil, of)
		if err != nil {
			return err
		}
		if err := r.add(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) judge(m *room, due uint64) {
	if wrong := m.verdict(due); wrong != "" {
		l.Wrong, l.Example = l.Wrong+1, wrong
	} else {
		l.Right++
	}
}

// composed has four cameras be seen in one picture.
func (l *lab) composed(ctx context.Context) error {
	var composed, more, by, rate []float64
	for range l.Rounds {
		four, fourteen, pictures, err := l.composedOnce(ctx)
		if err != nil {
			return err
		}
		f, err := ffmpegComposes(ctx, l.files, l.coding, int(roomMeasures.Seconds()))
		if err != nil {
			return err
		}
		composed, more, by, rate = append(composed, four), append(more, fourteen-four), append(by, f*1000), append(rate, pictures)
		l.opt.Progress(fmt.Sprintf("composed of four: %.0f ms of CPU a second, %.0f with ten viewers more, ffmpeg (%s) %.0f; %.1f pictures a second %s", four, fourteen, l.Encoder, f*1000, pictures, l.Example))
	}
	l.Composed, l.More, l.Ffmpeg, l.Rate = median(composed), median(more), median(by), median(rate)
	delays, err := l.flashes(ctx)
	if err != nil {
		return err
	}
	l.Composing = quantiles(delays)
	l.opt.Progress(fmt.Sprintf("composing: %d changes, p50 %.0f ms, p99 %.0f ms", l.Composing.N, l.Composing.P50, l.Composing.P99))
	return nil
}

// four has the cameras join a meeting that is composed.
func (l *lab) four(ctx context.Context, clips []*clip, keeps bool) (*process, *rooms, error) {
	p, r, err := l.enter(ctx, "2x2")
	if err != nil {
		return nil, nil, err
	}
	for _, c := range clips {
		m, err := newRoom(c, nil)
		if err == nil {
			m.screen.keeps = keeps && len(r.list) == 0
			err = r.add(ctx, m)
		}
		if err != nil {
			r.hangup()
			p.stop()
			return nil, nil, err
		}
	}
	return p, r, sleep(ctx, roomSettle)
}

// composedOnce returns the CPU in ms a second of four who see each other, the
// same with viewers more, and pictures a second.
func (l *lab) composedOnce(ctx context.Context) (four, more, rate float64, err error) {
	p, r, err := l.four(ctx, l.clips, false)
	if err != nil {
		return 0, 0, 0, err
	}
	defer p.stop()
	defer r.hangup()
	look := func() (float64, error) {
		took, cpu, err := r.measure(ctx, p.pid(), l.span(roomMeasures))
		if err != nil {
			return 0, err
		}
		pictures := 0.0
		for _, m := range r.list {
			l.judge(m, uint64(30*took.Seconds()))
			pictures += float64(m.screen.pictures)
		}
		rate = pictures / took.Seconds() / float64(len(r.list))
		return cpu.Seconds() * 1000 / took.Seconds(), nil
	}
	if four, err = look(); err != nil {
		return
	}
	if err = r.watch(ctx, roomsMore, nil); err != nil {
		return
	}
	if err = sleep(ctx, roomSettle); err != nil {
		return
	}
	more, err = look()
	return
}

// flashes has four cameras change between dark and bright; what one viewer is sent
// is decoded afterwards, and the first picture found that shows each change.
func (l *lab) flashes(ctx context.Context) (delays []time.Duration, err error) {
	p, r, err := l.four(ctx, []*clip{l.flash, l.flash, l.flash, l.flash}, true)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	viewer, settled := r.list[0], core.Now()
	viewer.active.Store(true)
	err = sleep(ctx, 3*roomMeasures)
	viewer.active.Store(false)
	r.hangup()
	if err != nil {
		return nil, err
	}
	s := &viewer.screen
	l.judge(viewer, uint64(30*3*roomMeasures.Seconds()))
	if s.lost > 0 {
		return nil, nil // a picture without its end is not seen, but decoded
	}
	file := filepath.Join(l.dir, "seen.h264")
	if err := os.WriteFile(file, s.stream[:s.kept], 0o600); err != nil {
		return nil, err
	}
	for cell := range composeFour {
		light, err := cellLight(ctx, file, cell)
		if err != nil {
			return nil, err
		}
		if len(light) != len(s.shown) {
			return nil, fmt.Errorf("load: %d pictures seen, %d decoded", len(s.shown), len(light))
		}
		delays = append(delays, changes(light, s.shown, r.list[cell].flashed, settled)...)
	}
	return delays, nil
}

// goals of what was measured.
func (r *Rooms) goals() (list []Goal) {
	if r == nil {
		return nil
	}
	if r.Ratio > 0 {
		list = append(list, atMost(fmt.Sprintf("a camera switched to %d room systems", r.Watch), "× the echo that encrypts", forwardGoal, r.Ratio),
			Goal{"delay of switching", fmt.Sprintf("p99 at most %.0f ms", switchGoal), fmt.Sprintf("%.1f ms", r.Switching.P99), r.Switching.P99 <= switchGoal})
	}
	if r.Composed > 0 {
		list = append(list, atMost("a picture composed of four, gateway and worker", "× ffmpeg making the same", composedGoal, r.ToFfmpeg()),
			Goal{"delay of composing", fmt.Sprintf("p99 at most %.0f ms", composeGoal), fmt.Sprintf("%.1f ms", r.Composing.P99), r.Composing.N > 0 && r.Composing.P99 <= composeGoal})
	}
	return list
}

// ToFfmpeg is what a composed picture costs, ffmpeg's being 1.
func (r *Rooms) ToFfmpeg() float64 { return r.Composed / max(1, r.Ffmpeg) }

// Each is what a viewer more costs, in ms of CPU a second.
func (r *Rooms) Each() float64 { return r.More / roomsMore }
