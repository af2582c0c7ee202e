// Package cache has the processor fetch memory ahead of its use. What a bridge
// knows of one caller lies far from what it knows of the next, and other work
// has driven both out of the cache since the last packet: who waits for each
// line when it is needed waits for most of the time. Asked for some callers
// ahead, they come side by side.
package cache

import "unsafe"

// Fetch begins to bring *p, all of it, into the nearest cache. It does not wait,
// changes nothing and may be given nil.
func Fetch[T any](p *T) { prefetch(unsafe.Pointer(p), unsafe.Sizeof(*p)) }

// FetchHeld is Fetch of the first so many octets of what the interface *p, of the
// type I, holds by a pointer. They may be more than there are.
func FetchHeld[I any](p *I, octets int) {
	prefetch((*[2]unsafe.Pointer)(unsafe.Pointer(p))[1], uintptr(octets))
}

// FetchBytes is Fetch of a slice's elements.
func FetchBytes(b []byte) { prefetch(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))) }
