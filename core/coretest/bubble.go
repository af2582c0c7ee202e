package coretest

import "time"

// Bubble wakes a clock up in the time of a synctest bubble, where the kernel's time
// does not count.
type Bubble struct{ timer *time.Timer }

// NewBubble is made inside the bubble.
func NewBubble() Bubble { return Bubble{time.NewTimer(time.Hour)} }

// Set has it ring d from now.
func (b Bubble) Set(d time.Duration) { b.timer.Reset(d) }

// Wait returns when it rings.
func (b Bubble) Wait() bool { <-b.timer.C; return true }

// Close ends it.
func (b Bubble) Close() { b.timer.Stop() }
