package webrtc

import "time"

// history is what was sent last in one video slot, for retransmission (RFC
// 4588). The packets themselves are kept once for all who are sent them
// ([core.Packet].Kept); what is each one's own, the numbers in the payload
// descriptor, stands at the payload's beginning.
//
// It is our own because the library's responder allocates for every packet sent
// and keeps a full buffer for each.
type history struct {
	index *[historyPackets]historyEntry // made with the first packet
	tape  tape                          // of packets that nobody has kept
}

type historyEntry struct {
	seq       uint16
	marker    bool
	pt        uint8
	timestamp uint32
	resent    uint32 // ms; 0: never
	head      [descriptor]byte
	kept      []byte // nil: nothing
}

const (
	historyPackets = 256 // 1.7 s at 1.5 Mbit/s
	// descriptor is the longest beginning of a payload in which a forwarded
	// packet differs from the one received.
	descriptor = 16
)

func (h *history) put(seq uint16, marker bool, pt uint8, ts uint32, payload, kept []byte) {
	if len(payload) == 0 {
		return
	}
	if h.index == nil {
		h.index = new([historyPackets]historyEntry)
	}
	if len(kept) != len(payload) {
		kept = h.tape.keep(payload)
	}
	e := &h.index[seq%historyPackets]
	e.seq, e.marker, e.pt, e.timestamp, e.resent, e.kept = seq, marker, pt, ts, 0, kept
	copy(e.head[:], payload)
}

// get finds a packet, unless it was sent again less than wait ago.
func (h *history) get(seq uint16, now, wait time.Duration) *historyEntry {
	if h.index == nil {
		return nil
	}
	e := &h.index[seq%historyPackets]
	ms := uint32(now.Milliseconds())
	if e.kept == nil || e.seq != seq || e.resent > 0 && ms-e.resent < uint32(wait.Milliseconds()) {
		return nil
	}
	e.resent = max(ms, 1)
	return e
}

// appendTo appends the payload as it was sent.
func (e *historyEntry) appendTo(b []byte) []byte {
	at := len(b)
	b = append(b, e.kept...)
	copy(b[at:], e.head[:])
	return b
}

// tape copies packets to where they are never changed. It is made in pieces,
// each freed when nobody holds a packet of it any more.
type tape struct{ piece []byte }

const tapePiece = 32 << 10

func (t *tape) keep(b []byte) []byte {
	if len(b) > tapePiece {
		return nil
	}
	if len(t.piece)+len(b) > cap(t.piece) {
		t.piece = make([]byte, 0, tapePiece)
	}
	at := len(t.piece)
	t.piece = append(t.piece, b...)
	return t.piece[at:len(t.piece):len(t.piece)]
}
