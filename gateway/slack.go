package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The runtime has a thread that watches all others: while anything runs, it sleeps
// for 20 µs at a time, and did so ten times for each message of a call. The kernel
// may put such a sleep off by a timer's slack. Media does not wait for timers that
// have any (core/alarm), so it is a millisecond in place of 50 µs.
const (
	timerSlack   = time.Millisecond
	defaultSlack = 50 * time.Microsecond // of Linux
)

// turn is how long the kernel lets a thread run before another may. Where programs
// keep every core busy, one that wakes up waits for theirs to end, 3 ms each; Linux
// 6.12 and later lets those go first who ask for short ones, and no longer overall.
const turn = 100 * time.Microsecond

// shorten asks for short turns for this thread and those that it begins.
func shorten() error {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil || a.Policy != unix.SCHED_NORMAL {
		return err // whoever started the program has put it before all others
	}
	a.Runtime = uint64(turn)
	return unix.SchedSetAttr(0, a, 0)
}

// slacken starts the program anew with timers of more slack, and short turns, which
// threads have from those that begin them: the watching one begins before main. It
// returns if they have it, or whoever started the program has chosen another, or it
// can't be.
func slacken() {
	runtime.LockOSThread() // the new program takes the slack of the thread that starts it
	defer runtime.UnlockOSThread()
	if now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || time.Duration(now) != defaultSlack {
		return
	}
	program, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	_ = shorten()                                    // else turns are as they were
	_ = syscall.Exec(program, os.Args, os.Environ()) // else the timers are as they were, but for this thread's
}
