package webrtc

import "time"

// history keeps what was sent last in one video slot, for retransmission (RFC
// 4588). It is one ring of bytes, so its memory is bounded whatever the packets'
// sizes; it grows until it holds half a second, or its bound.
//
// It is our own because the library's responder allocates for every packet sent
// and keeps a full buffer for each; this copies, and nothing more.
type history struct {
	bytes []byte
	at    int
	tail  uint16 // sequence number of the oldest entry that may be kept
	begun bool
	turn  time.Duration // when the ring was last begun
	index *[historyPackets]historyEntry
}

type historyEntry struct {
	seq       uint16
	kept      bool
	marker    bool
	pt        uint8
	timestamp uint32
	from, to  uint32
	resent    uint32 // ms; 0: never
}

const (
	leastHistory   = 32 << 10
	mostHistory    = 256 << 10
	historyFor     = 500 * time.Millisecond
	historyPackets = 512
)

func (h *history) put(seq uint16, marker bool, pt uint8, ts uint32, payload []byte, now time.Duration) {
	if len(payload) == 0 || len(payload) > leastHistory/8 {
		return
	}
	if h.index == nil {
		h.index, h.bytes, h.turn = new([historyPackets]historyEntry), make([]byte, leastHistory), now
	}
	if h.at+len(payload) > len(h.bytes) {
		h.wrap(now)
	}
	from := h.at
	h.at += copy(h.bytes[from:], payload)
	h.forget(seq, uint32(from), uint32(h.at))
	h.index[seq%historyPackets] = historyEntry{seq: seq, kept: true, marker: marker, pt: pt, timestamp: ts, from: uint32(from), to: uint32(h.at)}
}

// wrap begins the ring anew, or makes it longer if it was soon full.
func (h *history) wrap(now time.Duration) {
	if now-h.turn < historyFor && len(h.bytes) < mostHistory {
		h.bytes = append(h.bytes, make([]byte, len(h.bytes))...)
		return
	}
	h.at, h.turn = 0, now
}

// forget drops the entries whose bytes have just been overwritten. They are the
// oldest, so the walk from the tail ends at the first that is whole.
func (h *history) forget(next uint16, from, to uint32) {
	if !h.begun || next-h.tail > historyPackets {
		h.begun, h.tail = true, next-historyPackets
	}
	for ; h.tail != next; h.tail++ {
		e := &h.index[h.tail%historyPackets]
		if !e.kept || e.seq != h.tail {
			continue
		}
		if e.to <= from || to <= e.from {
			return
		}
		e.kept = false
	}
}

// get finds a packet, unless it was sent again less than wait ago.
func (h *history) get(seq uint16, now, wait time.Duration) (*historyEntry, []byte) {
	if h.index == nil {
		return nil, nil
	}
	e := &h.index[seq%historyPackets]
	ms := uint32(now.Milliseconds())
	if !e.kept || e.seq != seq || e.resent > 0 && ms-e.resent < uint32(wait.Milliseconds()) {
		return nil, nil
	}
	e.resent = max(ms, 1)
	return e, h.bytes[e.from:e.to]
}
