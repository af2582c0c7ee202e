package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a rush of calls, or the hashing of a password, the runtime keeps what
// they needed for minutes, in case it is needed again, and between collections
// lets as much garbage lie as there is in use. A gateway shares its machine: once
// things are quiet, it collects early and several times, since each collection
// halves a stack that has grown too large; what is free beyond what early
// collections need, the runtime then gives back bit by bit. Only where nobody is
// heard is it all given back at once: that stops everything for up to a tenth of
// a second.
const (
	trimLook    = 2 * time.Second
	trimLeast   = 16 << 20 // octets to be had
	trimQuiet   = 8 << 20  // octets allocated since the last look: things are quiet
	trimEvery   = 30 * time.Second
	trimRounds  = 3  // collections after a rush
	trimPercent = 25 // garbage, of what is in use, while things are quiet
)

// trimMemory runs until ctx ends.
func trimMemory(ctx context.Context, idle func() bool) {
	look := time.NewTicker(trimLook)
	defer look.Stop()
	var allocated uint64
	var last time.Time
	usual, rounds, quiet := 0, 0, false
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			m := readMemory()
			switch was := quiet; {
			case m.quiet(allocated) && !was:
				quiet, rounds = true, trimRounds
				usual = debug.SetGCPercent(trimPercent)
			case !m.quiet(allocated) && was:
				quiet = false
				debug.SetGCPercent(usual)
			}
			if quiet && (rounds > 0 || m.spare() && now.Sub(last) >= trimEvery) {
				last, rounds = now, max(0, rounds-1)
				if runtime.GC(); idle() {
					debug.FreeOSMemory()
				}
			}
			allocated = m.allocated
		}
	}
}

// memory is what the runtime holds, in octets.
type memory struct{ allocated, live, objects, free uint64 }

// quiet tells whether little was allocated since the last look.
func (m memory) quiet(before uint64) bool { return m.allocated-before < trimQuiet }

// spare tells whether there is something to give back.
func (m memory) spare() bool { return m.objects+m.free > m.live+trimLeast }

func readMemory() memory {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return memory{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}
