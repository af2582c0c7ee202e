package edge

import "sync"

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

func (m *Mailbox) call(f func()) {
	defer func() {
		if r := recover(); r != nil && m.Fail != nil {
			m.Fail(r)
		}
	}()
	f()
}
