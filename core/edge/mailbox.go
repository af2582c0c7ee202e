package edge

import (
	"runtime"
	"sync"
	"time"
)

// Mailbox runs functions one after another, in the order in which they were
// posted, without a goroutine of its own while there are none.
type Mailbox struct {
	mu   sync.Mutex
	list []func()
	busy bool
	// Fail is told of a panic in one of them; the others go on.
	Fail func(any)
}

// Post queues f and returns.
func (m *Mailbox) Post(f func()) {
	m.mu.Lock()
	m.list = append(m.list, f)
	start := !m.busy
	m.busy = true
	m.mu.Unlock()
	if start {
		go m.run()
	}
}

// turns are taken by the mailboxes at work. The runtime runs what is ready in the
// order in which it became so: were a thousand calls that hang up at once all ready
// at once, the media clock would come after them. Those who wait for a turn are
// not ready.
var turns = make(chan struct{}, 2*runtime.GOMAXPROCS(0))

// patience bounds the wait for a turn, in case those who have one wait for
// somebody themselves.
const patience = 20 * time.Millisecond

// turn waits for a turn and returns what ends it.
func turn() (done func()) {
	all := turns
	end := func() { <-all }
	select {
	case all <- struct{}{}:
		return end
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case all <- struct{}{}:
		return end
	case <-late.C:
		return func() {}
	}
}

func (m *Mailbox) run() {
	defer turn()()
	Deep()
	for {
		m.mu.Lock()
		if len(m.list) == 0 {
			m.list, m.busy = nil, false
			m.mu.Unlock()
			return
		}
		f := m.list[0]
		m.list = m.list[1:]
		m.mu.Unlock()
		m.call(f)
	}
}

// Deep gives a goroutine that has just begun the stack that dealing with a message
// takes. Else the runtime would double it again and again on the way down, and copy
// it each time.
//
//go:noinline
func Deep() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

func (m *Mailbox) call(f func()) {
	defer func() {
		if r := recover(); r != nil && m.Fail != nil {
			m.Fail(r)
		}
	}()
	f()
}

// Timers are those of one mailbox's owner. Only functions in the box touch them.
type Timers map[*time.Timer]bool

// After runs f in the box after d, unless it is stopped before.
func (t *Timers) After(box *Mailbox, d time.Duration, f func()) (stop func()) {
	if *t == nil {
		*t = Timers{}
	}
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(d, func() {
		<-ready
		box.Post(func() {
			if (*t)[timer] {
				delete(*t, timer)
				f()
			}
		})
	})
	(*t)[timer] = true
	close(ready)
	return func() {
		timer.Stop()
		delete(*t, timer)
	}
}

// Stop stops them all.
func (t *Timers) Stop() {
	for timer := range *t {
		timer.Stop()
	}
	clear(*t)
}
