package cache

import (
	"testing"
	"unsafe"
)

// What is asked for may lie at the end of memory, or nowhere.
func TestFetchNeedsNothing(t *testing.T) {
	page := make([]byte, 1<<16)
	for n := range 200 {
		FetchBytes(page[len(page)-n:])
	}
	Fetch[[4096]byte](nil)
	prefetch(unsafe.Pointer(unsafe.SliceData(page)), 1<<20) // beyond what is ours
	if n := testing.AllocsPerRun(100, func() { Fetch(&[256]byte{}); FetchBytes(page) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
