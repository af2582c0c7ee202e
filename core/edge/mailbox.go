package edge

import (
	"runtime"
	"sync"
	"time"

	"bridgehead/core"
)

// Mailbox runs functions one after another, in the order in which they were
// posted, without a goroutine of its own.
type Mailbox struct {
	// Crew runs them.
	Crew *Crew
	// Fail is told of a panic in one of them; the others go on.
	Fail func(any)

	mu   sync.Mutex
	list []func()
	busy bool
}

// Post queues f and returns.
func (m *Mailbox) Post(f func()) {
	m.mu.Lock()
	m.list = append(m.list, f)
	start := !m.busy
	m.busy = true
	m.mu.Unlock()
	if start {
		m.Crew.take(m)
	}
}

func (m *Mailbox) run() {
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

// Crew are the few goroutines that run the mailboxes of an edge. Were each its own,
// a thousand calls that hang up at once would be ready to run at once, and whatever
// else the machine has to do would come after them. The zero value is ready to use.
type Crew struct {
	mu      sync.Mutex
	hands   int        // at work
	waiting []*Mailbox // for one of them
	taken   uint64     // of those who waited
	watched bool       // that somebody is taken
}

// hands are enough to keep the machine busy while some of them wait.
var hands = 2 * runtime.GOMAXPROCS(0)

// patience bounds the wait for a hand, in case all wait for somebody themselves.
const patience = 20 * time.Millisecond

func (c *Crew) take(m *Mailbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hands < hands {
		c.hands++
		go c.work(m)
		return
	}
	c.waiting = append(c.waiting, m)
	if !c.watched {
		c.watch()
	}
}

func (c *Crew) work(m *Mailbox) {
	Deep()
	var rush core.Yielder
	for ; m != nil; m = c.next() {
		m.run()
		rush.Yield()
	}
}

// next is whose turn it is; nil: the hand is not needed any more.
func (c *Crew) next() *Mailbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.hands--
		return nil
	}
	return c.pop()
}

func (c *Crew) pop() *Mailbox {
	m := c.waiting[0]
	c.waiting[0] = nil
	c.waiting = c.waiting[1:]
	c.taken++
	return m
}

// watch doubles the hands whenever none of them has taken anybody for a while; c.mu
// is held.
func (c *Crew) watch() {
	seen := c.taken
	c.watched = true
	time.AfterFunc(patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.taken == seen {
			for range min(c.hands, len(c.waiting)) {
				c.hands++
				go c.work(c.pop())
			}
		}
		if c.watched = len(c.waiting) > 0; c.watched {
			c.watch()
		}
	})
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
