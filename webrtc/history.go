package webrtc

import "time"

// history keeps what was sent last in one video slot, for retransmission (RFC
// 4588). It is one ring of bytes, so its memory is bounded whatever the packets'
// sizes: a second and a half at 1.5 Mbit/s.
//
// It is our own because the library's responder allocates for every packet sent
// and keeps a full buffer for each; this copies, and nothing more.
type history struct {
	bytes []byte
	at    int
	tail  uint16 // sequence number of the oldest entry that may be kept
	begun bool
	index [historyPackets]historyEntry
}

type historyEntry struct {
	seq       uint16
	kept      bool
	marker    bool
	pt        uint8
	timestamp uint32
	from, to  int
	resent    time.Duration
}

const (
	historyBytes   = 256 << 10
	historyPackets = 512
)

func (h *history) put(seq uint16, marker bool, pt uint8, ts uint32, payload []byte) {
	if len(payload) == 0 || len(payload) > historyBytes/8 {
		return
	}
	if h.bytes == nil {
		h.bytes = make([]byte, historyBytes)
	}
	if h.at+len(payload) > len(h.bytes) {
		h.at = 0
	}
	from := h.at
	h.at += copy(h.bytes[from:], payload)
	h.forget(seq, from, h.at)
	h.index[seq%historyPackets] = historyEntry{seq: seq, kept: true, marker: marker, pt: pt, timestamp: ts, from: from, to: h.at}
}

// forget drops the entries whose bytes have just been overwritten. They are the
// oldest, so the walk from the tail ends at the first that is whole.
func (h *history) forget(next uint16, from, to int) {
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
	e := &h.index[seq%historyPackets]
	if !e.kept || e.seq != seq || e.resent > 0 && now-e.resent < wait {
		return nil, nil
	}
	e.resent = now
	return e, h.bytes[e.from:e.to]
}
