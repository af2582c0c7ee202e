package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/rtpio"
	"bridgehead/sip"
)

// rooms are SIP room systems in one meeting, over TLS with SRTP.
type rooms struct {
	to     string
	edge   *sip.Edge
	sounds *pacer
	films  *pacer
	list   []*room
	cancel context.CancelFunc
}

func newRooms(ctx context.Context, to string) (*rooms, error) {
	log := slog.New(slog.DiscardHandler)
	ports, err := rtpio.New(rtpio.Options{Bind: netip.MustParseAddr(loopback), Log: log})
	if err != nil {
		return nil, err
	}
	e, err := sip.New(sip.Options{Ports: ports, Legacy: true, Advertise: netip.MustParseAddr(loopback), MaxCalls: 100, Log: log})
	if err != nil {
		return nil, err
	}
	if err := e.Listen(); err != nil {
		return nil, err
	}
	c := clock.New(log)
	for _, p := range ports.Pollers() {
		c.Read(p)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &rooms{to: to, edge: e, sounds: newPacer(clock.Frame), films: newPacer(picturePeriod), cancel: func() { cancel(nil) }}
	background(ctx, cancel, c.Run, r.sounds.run, r.films.run)
	go func() { _ = e.Serve(ctx, nobody{}) }()
	return r, nil
}

// add has one more join.
func (r *rooms) add(ctx context.Context, m *room) error {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	_, err := r.edge.DialWith(ctx, r.to, m, sip.DialOptions{From: "sip:room@localhost", Codecs: []string{"PCMU"}, Video: true, TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		return err
	}
	select {
	case <-m.joined:
	case <-m.over:
		return *m.reason.Load()
	case <-ctx.Done():
		return core.Reason{Code: core.NoAnswer}
	}
	n := len(r.list)
	r.list = append(r.list, m)
	r.sounds.add(n, m.step)
	if m.clip != nil {
		r.films.add(5*n, m.show)
	}
	return nil
}

// measure looks at what all are shown for a time, and at the CPU of a process and
// those that it has started.
func (r *rooms) measure(ctx context.Context, pid int, d time.Duration) (took, cpu time.Duration, err error) {
	for _, m := range r.list {
		m.heard.reset()
		m.screen.reset()
		m.filmed.Store(0)
	}
	for _, m := range r.list {
		m.active.Store(true)
	}
	before, began := familyCPU(pid), time.Now()
	if err := sleep(ctx, d); err != nil {
		return 0, 0, err
	}
	took, cpu = time.Since(began), familyCPU(pid)-before
	for _, m := range r.list {
		m.active.Store(false)
	}
	time.Sleep(5 * clock.Frame) // what has left comes in, too
	return took, cpu, nil
}

func (r *rooms) hangup() {
	for _, m := range r.list {
		m.leg.Hangup(core.Reason{Code: core.Normal})
	}
	for deadline := time.Now().Add(5 * time.Second); r.edge.Calls() > 0 && time.Now().Before(deadline); {
		time.Sleep(clock.Frame)
	}
	r.edge.Close()
	r.cancel()
}

// familyCPU is what a process and its children have used, the living ones.
func familyCPU(pid int) time.Duration {
	sum := cpuTime(pid)
	for _, c := range children(pid) {
		sum += cpuTime(c)
	}
	return sum
}

// children are the processes that a process has started (proc(5), the fourth
// field of stat).
func children(pid int) (list []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			if child, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// verdict is what is wrong with what a room is shown; due are the packets that
// the camera sent, if it is to see that unchanged, else pictures.
func (m *room) verdict(due uint64) (wrong string) {
	s := &m.screen
	switch {
	case s.strange > 0:
		return fmt.Sprintf("%d packets of video that nobody sent", s.strange)
	case s.lost > 0:
		return fmt.Sprintf("%d packets of video lost", s.lost)
	case m.of != nil && float64(s.packets) < whole*float64(due):
		return fmt.Sprintf("%d of %d packets of video", s.packets, due)
	case m.of == nil && float64(s.pictures) < composedWhole*float64(due):
		return fmt.Sprintf("%d of %d pictures", s.pictures, due)
	case m.of == nil && (s.size.Width != 1280 || s.size.Height != pictureLines):
		return fmt.Sprintf("pictures of %d × %d", s.size.Width, s.size.Height)
	}
	return ""
}

// composedWhole of the pictures of a composed stream must come.
const composedWhole = 0.95
