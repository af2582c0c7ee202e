package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
)

// What is left over is seen, and seen to be gone once it was given back.
func TestLeftOverMemoryIsSeen(t *testing.T) {
	left := make([][]byte, 64)
	for i := range left {
		left[i] = make([]byte, 1<<20)
	}
	runtime.GC() // all of it counts as live
	runtime.KeepAlive(left)
	left = nil
	runtime.GC()
	m := readMemory()
	if !m.quiet(m.allocated, m.allocated, trimLeast) {
		t.Errorf("64 MiB left over are not seen: %+v", m)
	}
	if m.quiet(m.allocated-2*trimQuiet, m.allocated, trimLeast) {
		t.Error("memory is given back in a rush")
	}
	debug.FreeOSMemory()
	if m = readMemory(); m.quiet(m.allocated, m.allocated, trimLeast) {
		t.Errorf("memory given back still counts: %+v", m)
	}
	if !m.quiet(m.allocated, m.allocated-2*trimRush, trimLeast) {
		t.Error("a rush is not seen")
	}
}

func TestTrimLetsTheHeapGrowAsBefore(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(growth))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no moment is waited
	trim(ctx, false)
	if n := debug.SetGCPercent(growth); n != growth {
		t.Errorf("it grows by %d %% afterwards, %d before", n, growth)
	}
}
