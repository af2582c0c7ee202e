// Package alarm wakes one goroutine up at a time, by a timer of the kernel's
// (timerfd_create(2)). A timer of the runtime's costs wake-ups of three threads
// each time: the one that waits for the sockets is told of the new time, rounds it
// up to a millisecond and wakes another to run who waits, while a third watches.
// Here the thread that waits for the sockets runs who waits itself.
//
// While every thread has something to run, nobody looks at the sockets, for as long
// as 10 ms. A timer of the runtime's, which each thread looks at between any two
// goroutines, then rings instead; and who waits is run next, not last.
package alarm

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Alarm is for one goroutine to wait for.
type Alarm struct {
	file *os.File // with the runtime's poller
	conn syscall.RawConn
	read func(fd uintptr) bool
	rang [8]byte // times, of which nobody wants to know

	mu   sync.Mutex // guards spec, which is kept here so that no Set allocates
	spec unix.ItimerSpec
	set  func(fd uintptr)
}

// New makes one that is not set.
func New() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	a := &Alarm{file: os.NewFile(uintptr(fd), "timer")}
	if a.conn, err = a.file.SyscallConn(); err != nil {
		a.Close()
		return nil, fmt.Errorf("timer: %w", err)
	}
	// Neither call waits, so the runtime need not watch them.
	a.read = func(fd uintptr) bool {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&a.rang)), uintptr(len(a.rang)))
		return errno != unix.EAGAIN
	}
	a.set = func(fd uintptr) {
		_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&a.spec)), 0, 0, 0)
	}
	return a, nil
}

// late is when the runtime's timer rings, after the kernel's should have: time enough
// for it never to be needed where a thread is idle.
const late = time.Millisecond

// Set has it ring once, d from now, at once if that has passed; what it was set to
// before is forgotten. Any goroutine may.
func (a *Alarm) Set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spec.Value = unix.NsecToTimespec(int64(max(d, 1))) // 0 would unset it
	_ = a.conn.Control(a.set)
	_ = a.file.SetReadDeadline(time.Now().Add(max(d, 0) + late))
}

// Wait returns when it rings, false once it is closed.
func (a *Alarm) Wait() bool {
	err := a.conn.Read(a.read)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err == nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.file.SetReadDeadline(time.Time{})
	_ = a.conn.Control(func(fd uintptr) { a.read(fd) }) // may ring by now, too
	return true
}

// Close ends it and the wait for it.
func (a *Alarm) Close() { a.file.Close() }
