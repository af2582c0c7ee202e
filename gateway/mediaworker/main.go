// Command bridgehead-media is the gateway's media worker: it decodes the
// pictures of parties, composes scenes of them and encodes those, for the
// gateway that started it and over a socket that it was given. It is a process of
// its own since it parses what strangers send in C: it may crash, hang or be
// killed, and the gateway starts another.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFD is where the gateway puts the worker's socket.
const socketFD = 3

// maxMemory bounds the address space, so that no stream takes the machine's.
const maxMemory = 6 << 30

func main() {
	if err := confine(); err != nil {
		fmt.Fprintln(os.Stderr, "bridgehead-media:", err)
		os.Exit(1)
	}
	f := os.NewFile(socketFD, "gateway")
	w := newWorker(bufio.NewWriterSize(f, 1<<16))
	if err := w.serve(bufio.NewReaderSize(f, 1<<18)); err != nil {
		fmt.Fprintln(os.Stderr, "bridgehead-media:", err)
		os.Exit(1)
	}
}

// confine takes from this process what it does not need.
func confine() error {
	var s syscall.Stat_t
	if err := syscall.Fstat(socketFD, &s); err != nil || s.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return fmt.Errorf("is started by bridgehead, not by hand")
	}
	for what, most := range map[int]uint64{syscall.RLIMIT_AS: maxMemory, syscall.RLIMIT_CORE: 0, syscall.RLIMIT_FSIZE: 0} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	debug.SetMemoryLimit(1 << 30)
	return standBack()
}

// standBack lets sound go first: all threads so far, and so those that they begin,
// come after others, and not in short turns as the gateway's.
func standBack() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	const nice = 5
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
		}
		if err != nil {
			return fmt.Errorf("thread %s: %w", t.Name(), err)
		}
		_ = unix.SchedSetAttr(id, &unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: nice}, 0) // else they are as short
	}
	return nil
}
