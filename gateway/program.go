package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mapProgram has the kernel read the program's own file and map all of it (Linux
// 5.14 and later), which it would do a few pages at a time as each is first used:
// no call and no packet waits for the disk then, and memory does not grow for it.
// It returns the octets mapped.
func mapProgram() (mapped uintptr, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	maps, err := os.ReadFile("/proc/self/maps") // proc_pid_maps(5)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		at, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(rest, "r-") || !strings.HasSuffix(rest, " "+program+"\n") {
			continue // what can be written to is the process's own once it was
		}
		from, to, _ := strings.Cut(at, "-")
		start, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return mapped, err
		}
		end, err := strconv.ParseUint(to, 16, 64)
		if err != nil {
			return mapped, err
		}
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_POPULATE_READ); e != 0 {
			return mapped, e
		}
		mapped += uintptr(end - start)
	}
	return mapped, nil
}
