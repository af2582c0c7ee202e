package forward

import (
	"time"

	"bridgehead/core"
)

// numbering makes one continuous RTP stream (sequence numbers and timestamps,
// RFC 3550) of the streams that follow one another in it, some of whose packets
// are left out.
type numbering struct {
	begun   bool
	offset  uint16 // taken off the source's sequence number
	highest uint16 // of the source
	floor   uint16 // first of the source since join; older ones are strays
	out     uint16 // highest sent
	tsShift uint32 // added to the source's timestamp
	lastTS  uint32 // sent with the highest
	arrived time.Duration
	// past remembers the offset before each of the latest packets, so that a
	// late one gets the number that was kept free for it.
	past [64]struct {
		seq, offset uint16
		known       bool
	}
}

// jump is the gap in sequence numbers taken as a new stream.
const jump = 3000

// strayed tells that the source's numbers have jumped, as after a restart.
func (n *numbering) strayed(p *core.Packet) bool {
	d := int16(p.Header.SequenceNumber - n.highest)
	return n.begun && (d > jump || d < -jump)
}

// join begins a new source with packet p, right after what was sent before. The
// timestamp goes on by the time that has passed; rate is in Hz.
func (n *numbering) join(p *core.Packet, rate int) {
	seq := p.Header.SequenceNumber
	if !n.begun {
		n.out, n.lastTS = seq-1, p.Header.Timestamp-1
	} else {
		gap := min(max(p.Arrival-n.arrived, time.Millisecond), time.Minute)
		n.lastTS += uint32(int64(gap) * int64(rate) / int64(time.Second))
	}
	if n.begun {
		n.tsShift = n.lastTS - p.Header.Timestamp
	}
	n.begun = true
	n.offset = seq - (n.out + 1)
	n.highest, n.floor = seq-1, seq
	clear(n.past[:])
}

// next is the number under which the source's packet goes out; false for a
// packet from before the join, one that came before, or one older than is
// remembered. No number is given twice: under SRTP that would reuse a keystream
// (RFC 7714, section 8.4).
func (n *numbering) next(seq uint16) (uint16, bool) {
	if int16(seq-n.highest) > 0 {
		n.remember(seq)
		n.highest = seq
		n.out = seq - n.offset
		return n.out, true
	}
	offset, ok := n.before(seq)
	return seq - offset, ok
}

// skip leaves the source's packet out, closing the gap.
func (n *numbering) skip(seq uint16) {
	if int16(seq-n.highest) > 0 {
		n.remember(seq)
		n.highest = seq
		n.offset++
	}
}

func (n *numbering) remember(seq uint16) {
	e := &n.past[seq%64]
	e.seq, e.offset, e.known = seq, n.offset, true
}

// before finds the offset that held when a late packet should have come: that
// before the next packet that did come.
func (n *numbering) before(seq uint16) (uint16, bool) {
	own := &n.past[seq%64]
	if int16(seq-n.floor) < 0 || n.highest-seq >= 64 || own.known && own.seq == seq {
		return 0, false
	}
	for s := seq + 1; int16(s-n.highest) <= 0; s++ {
		if e := &n.past[s%64]; e.known && e.seq == s {
			own.seq, own.offset, own.known = seq, e.offset, true
			return e.offset, true
		}
	}
	return 0, false
}

// timestamp is that under which the packet goes out.
func (n *numbering) timestamp(p *core.Packet) uint32 {
	ts := p.Header.Timestamp + n.tsShift
	if int32(ts-n.lastTS) >= 0 {
		n.lastTS, n.arrived = ts, p.Arrival
	}
	return ts
}
