package alarm

import (
	"testing"
	"time"
)

func TestRingsAtTheLastTimeSet(t *testing.T) {
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	a.Set(time.Hour)
	a.Set(0)
	if !a.Wait() {
		t.Fatal("closed")
	}
	a.Set(time.Hour)
	waits := make(chan bool)
	go func() { waits <- a.Wait() }()
	a.Set(-time.Second)
	if !<-waits {
		t.Error("the alarm did not ring for who waited already")
	}
	go func() { waits <- a.Wait() }()
	a.Close()
	if <-waits {
		t.Error("the wait for a closed alarm ended as if it had rung")
	}
	a.Set(0) // does no harm
}

// Where nobody looks at the kernel's timer, the runtime's rings: once.
func TestRuntimeTimerRings(t *testing.T) {
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.file.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if !a.Wait() {
		t.Fatal("closed")
	}
	if err := a.conn.Read(func(uintptr) bool { return true }); err != nil {
		t.Errorf("it rings again: %v", err)
	}
	if a.Set(0); !a.Wait() {
		t.Error("closed")
	}
}

func TestATickAllocatesNothing(t *testing.T) {
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if n := testing.AllocsPerRun(100, func() { a.Set(0); a.Wait() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
