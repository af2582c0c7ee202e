package audio

import "sync/atomic"

// slots of a jitter buffer: 320 ms of 10 ms packets.
const slots = 32

// slot holds a copy of one packet on its way through the jitter buffer.
type slot struct {
	seq     int64 // extended sequence number
	ts      int64 // extended timestamp
	ticks   int64 // length in the RTP clock
	ssrc    uint32
	wireSeq uint16
	wireTS  uint32
	arrival int64 // ns
	level   uint8
	payload []byte
}

// queue passes slots from one goroutine to one other, without locks. It holds
// all the slots there are, so push never finds it full.
type queue struct {
	ring [slots]*slot
	head atomic.Uint32 // next to pop; written by the reader
	tail atomic.Uint32 // next to push; written by the writer
}

func (q *queue) push(s *slot) {
	t := q.tail.Load()
	q.ring[t%slots] = s
	q.tail.Store(t + 1)
}

func (q *queue) pop() *slot {
	h := q.head.Load()
	if h == q.tail.Load() {
		return nil
	}
	s := q.ring[h%slots]
	q.head.Store(h + 1)
	return s
}
