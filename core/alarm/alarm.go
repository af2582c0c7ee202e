// Package alarm wakes one goroutine up at a time, by a timer of the kernel's
// (timerfd_create(2)). A timer of the runtime's costs wake-ups of three threads
// each time: the one that waits for the sockets is told of the new time, rounds it
// up to a millisecond and wakes another to run who waits, while a third watches.
// Here the thread that waits for the sockets runs who waits itself.
package alarm

import (
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

// Set has it ring once, d from now, at once if that has passed; what it was set to
// before is forgotten. Any goroutine may.
func (a *Alarm) Set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spec.Value = unix.NsecToTimespec(int64(max(d, 1))) // 0 would unset it
	_ = a.conn.Control(a.set)
}

// Wait returns when it rings, false once it is closed.
func (a *Alarm) Wait() bool { return a.conn.Read(a.read) == nil }

// Close ends it and the wait for it.
func (a *Alarm) Close() { a.file.Close() }
