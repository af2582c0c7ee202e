package compose

import "sync"

// queue is what goes to the worker. Who puts in never waits: what is too much is
// refused. One goroutine takes all there is at once.
type queue struct {
	mu     sync.Mutex // held for a copy
	buf    []byte
	spare  []byte
	closed bool
	ready  chan struct{}
}

// Bounds of what waits, in octets: media gives way to control.
const (
	maxMedia   = 4 << 20
	maxControl = 6 << 20
)

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// put adds what frame appends to its argument; false: there is no room.
func (q *queue) put(most int, frame func([]byte) []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.buf) > most {
		return false
	}
	q.buf = frame(q.buf)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// take waits for something; nil at the end. It is valid until the next.
func (q *queue) take() []byte {
	for range q.ready {
		q.mu.Lock()
		b := q.buf
		q.buf, q.spare = q.spare[:0], b
		q.mu.Unlock()
		if len(b) > 0 {
			return b
		}
	}
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.ready)
	}
}
