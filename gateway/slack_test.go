package main

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTurnsAreShort(t *testing.T) {
	type got struct {
		before, after *unix.SchedAttr
		err           error
	}
	c := make(chan got)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			c <- got{err: err}
			return
		}
		err = shorten()
		after, _ := unix.SchedGetAttr(0, 0)
		c <- got{before, after, err}
	}()
	g := <-c
	if g.err != nil {
		t.Fatal(g.err)
	}
	if g.after.Nice != g.before.Nice || g.after.Policy != g.before.Policy {
		t.Errorf("more is changed than the turn: %+v, was %+v", g.after, g.before)
	}
	// A kernel that knows of no turns tells of none.
	if took := time.Duration(g.after.Runtime); g.before.Runtime != 0 && took != turn {
		t.Errorf("a turn of %v, want %v", took, turn)
	}
}
