package main

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAllThreadsStandBack(t *testing.T) {
	if err := standBack(); err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		if a, err := unix.SchedGetAttr(id, 0); err != nil || a.Nice != 5 {
			t.Errorf("thread %d: %+v, %v", id, a, err)
		}
	}
}
