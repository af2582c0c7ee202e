package edge

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// However many boxes have something to do, few are at work at once, and each is
// in the end.
func TestFewMailboxesWorkAtOnce(t *testing.T) {
	var now, most atomic.Int32
	var all sync.WaitGroup
	boxes := make([]Mailbox, 1000)
	for i := range boxes {
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
	if n := most.Load(); n > int32(cap(turns)) {
		t.Errorf("%d mailboxes at work at once, want %d at most", n, cap(turns))
	}
}

// Boxes that all wait for another box do not stop it.
func TestMailboxesThatWaitForAnother(t *testing.T) {
	old := turns
	defer func() { turns = old }()
	synctest.Test(t, func(t *testing.T) {
		turns = make(chan struct{}, cap(old))
		boxes, last := make([]Mailbox, cap(turns)), Mailbox{}
		done := make(chan struct{})
		for i := range boxes {
			boxes[i].Post(func() { <-done })
		}
		synctest.Wait()
		last.Post(func() { close(done) })
		<-done
		synctest.Wait()
	})
}
