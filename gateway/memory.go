package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// growth is by how much the heap may grow, in percent of what lives in it, before
// it is collected: a third of Go's default. What is used again is in the caches and
// need not be had from the kernel page by page: calls that come now and then cost
// less for it, and those that stay lie closer together.
const growth = 33

// tune sets it, unless whoever started the program has chosen another.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}

// After a rush of calls, or the hashing of a password, the runtime keeps what
// they needed for minutes, in case it is needed again. A gateway shares its
// machine: once things are quiet, it collects what is more than a little, and
// for a moment lets the heap hardly grow, so that the runtime gives back, bit by
// bit, what it keeps for that. Only where nobody is heard is it all given back at
// once: that stops everything for up to a tenth of a second.
const (
	trimLook   = 5 * time.Second
	trimLeast  = 8 << 20  // octets to be had
	trimIdle   = 3 << 20  // the same, while nobody is heard
	trimQuiet  = 16 << 20 // octets allocated since the last look: things are quiet
	trimRush   = 64 << 20 // octets allocated since it was last done: there was a rush
	trimEvery  = 30 * time.Second
	trimGrowth = 5 // in percent, for a moment
	trimMoment = time.Second
)

// trimMemory runs until ctx ends.
func trimMemory(ctx context.Context, idle func() bool) {
	look := time.NewTicker(trimLook)
	defer look.Stop()
	allocated, trimmed := readMemory().allocated, uint64(0)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			m := readMemory()
			least, still := uint64(trimLeast), idle()
			if still {
				least = trimIdle
			}
			if m.quiet(allocated, trimmed, least) && now.Sub(last) >= trimEvery {
				last, trimmed = now, m.allocated
				trim(ctx, still)
			}
			allocated = m.allocated
		}
	}
}

func trim(ctx context.Context, idle bool) {
	if idle {
		runtime.GC()         // what pools keep goes with the second
		debug.FreeOSMemory() // which this does
		return
	}
	runtime.GC()
	runtime.GC() // by what the first has left, the runtime knows how much to give back
	defer debug.SetGCPercent(debug.SetGCPercent(trimGrowth))
	select {
	case <-ctx.Done():
	case <-time.After(trimMoment):
	}
}

// memory is what the runtime holds, in octets.
type memory struct{ allocated, live, objects, free uint64 }

// quiet tells whether things are, and there is something to collect: a rush leaves
// much that is in use by half, whatever the last collection has found.
func (m memory) quiet(before, trimmed, least uint64) bool {
	return m.allocated-before < trimQuiet && (m.objects+m.free > m.live+least || m.allocated-trimmed > trimRush)
}

func readMemory() memory {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return memory{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64()}
}
