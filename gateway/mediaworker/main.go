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
	"syscall"
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
	// Sound goes first.
	return syscall.Setpriority(syscall.PRIO_PROCESS, 0, 5)
}
