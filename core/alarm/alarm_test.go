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
