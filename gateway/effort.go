package main

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"bridgehead/core"
)

// effort is how much of the machine the gateway takes. At its limit new calls
// are refused: those under way would suffer with each that came in.
type effort struct {
	limit float64 // share of all cores, 0 to 1; 0: none
	log   *slog.Logger
	share atomic.Uint64 // now, in 1/1000
	full  atomic.Bool
}

const (
	effortEvery = time.Second
	// effortBack is how far below the limit calls are let in again.
	effortBack = 0.1
)

func newEffort(percent int, log *slog.Logger) *effort {
	return &effort{limit: float64(percent) / 100, log: log}
}

// admit refuses while the gateway is at its limit.
func (e *effort) admit() error {
	if !e.full.Load() {
		return nil
	}
	return core.Reason{Code: core.Overload, Say: "All lines are busy. Please try again in a few minutes.", Detail: "limits.cpu is reached"}
}

// watch runs until ctx ends.
func (e *effort) watch(ctx context.Context) {
	look := time.NewTicker(effortEvery)
	defer look.Stop()
	used, at := cpuTime(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			u := cpuTime()
			e.note(float64(u-used) / float64(now.Sub(at)) / float64(runtime.GOMAXPROCS(0)))
			used, at = u, now
		}
	}
}

// note takes the share of the last second. Two in a row over the limit close the
// door: one rush is none.
func (e *effort) note(share float64) {
	before := float64(e.share.Swap(uint64(share*1000))) / 1000
	switch {
	case e.limit == 0:
	case !e.full.Load() && share >= e.limit && before >= e.limit:
		e.full.Store(true)
		e.log.Warn("new calls are refused: the gateway uses more of the processors than limits.cpu", "share", share)
	case e.full.Load() && share < e.limit-effortBack:
		e.full.Store(false)
		e.log.Info("new calls are let in again", "share", share)
	}
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
