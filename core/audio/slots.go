package audio

import "sync/atomic"

// slots of a jitter buffer: 320 ms of 10 ms packets.
const slots = 32

// slot holds a copy of one packet on its way through the jitter buffer.
type slot struct {
	next    *slot // in the list that it is in
	seq     int64 // extended sequence number
	ts      int64 // extended timestamp
	ticks   int64 // length in the RTP clock
	ssrc    uint32
	wireSeq uint16
	level   uint8
	wireTS  uint32
	arrival int64 // ns
	payload []byte
}

// stack passes slots from one goroutine to one other, without locks, and touches
// no more memory than those slots: with hundreds of callers that is what counts.
type stack struct{ top atomic.Pointer[slot] }

func (q *stack) push(s *slot) {
	for {
		s.next = q.top.Load()
		if q.top.CompareAndSwap(s.next, s) {
			return
		}
	}
}

// pop takes the slot pushed last. As nobody else takes any, it stays where it is
// until then.
func (q *stack) pop() *slot {
	for {
		s := q.top.Load()
		if s == nil || q.top.CompareAndSwap(s, s.next) {
			return s
		}
	}
}

// all takes all slots, the one pushed first first.
func (q *stack) all() (first *slot) {
	if q.top.Load() == nil {
		return nil
	}
	for s := q.top.Swap(nil); s != nil; {
		s.next, first, s = first, s, s.next
	}
	return first
}
