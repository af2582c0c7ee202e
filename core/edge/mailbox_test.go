package edge

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However many boxes have something to do, few are at work at once, and each is
// in the end.
func TestFewMailboxesWorkAtOnce(t *testing.T) {
	var now, most atomic.Int32
	var all sync.WaitGroup
	var crew Crew
	boxes := make([]Mailbox, 1000)
	for i := range boxes {
		boxes[i].Crew = &crew
		all.Add(1)
		boxes[i].Post(func() {
			defer all.Done()
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			now.Add(-1)
		})
	}
	all.Wait()
	if n := most.Load(); n > int32(hands) {
		t.Errorf("%d mailboxes at work at once, want %d at most", n, hands)
	}
}

// Boxes that all wait for another box do not stop it.
func TestMailboxesThatWaitForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crew Crew
		boxes, last := make([]Mailbox, 10*hands), Mailbox{Crew: &crew}
		done := make(chan struct{})
		for i := range boxes {
			boxes[i].Crew = &crew
			boxes[i].Post(func() { <-done })
		}
		began := time.Now()
		last.Post(func() { close(done) })
		<-done
		if took := time.Since(began); took > 4*patience {
			t.Errorf("it took %v to get past those who wait", took)
		}
		synctest.Wait()
	})
}
