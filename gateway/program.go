package main

import (
	"os"

	"github.com/prometheus/procfs"
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
	self, err := procfs.Self()
	if err != nil {
		return 0, err
	}
	maps, err := self.ProcMaps()
	if err != nil {
		return 0, err
	}
	for _, m := range maps {
		if m.Pathname != program || !m.Perms.Read || m.Perms.Write {
			continue // what can be written to is the process's own once it was
		}
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.StartAddr, m.EndAddr-m.StartAddr, unix.MADV_POPULATE_READ); e != 0 {
			return mapped, e
		}
		mapped += m.EndAddr - m.StartAddr
	}
	return mapped, nil
}
