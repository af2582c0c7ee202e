package webrtc

import (
	"testing"
	"time"
)

func TestHistory(t *testing.T) {
	var source tape
	var h, other history
	for i := range 1000 {
		p := make([]byte, 1000)
		p[0], p[1], p[999] = byte(i>>8), byte(i), byte(i)
		kept := source.keep(p)
		h.put(uint16(i+65000), i%2 == 0, 97, uint32(i), p, kept)
		p[0], p[1] = 77, 78 // as the other is sent it
		other.put(uint16(i), false, 97, uint32(i), p, kept)
		if i == 999 && &h.index[uint16(i+65000)%historyPackets].kept[0] != &other.index[i%historyPackets].kept[0] {
			t.Error("a packet is kept twice")
		}
	}
	found := 0
	for i := range 1000 {
		e := h.get(uint16(i+65000), time.Second, 0)
		if e == nil {
			continue
		}
		found++
		if p := e.appendTo(nil); p[0] != byte(i>>8) || p[1] != byte(i) || p[999] != byte(i) || len(p) != 1000 || e.timestamp != uint32(i) {
			t.Fatalf("packet %d is another: %+v", i, e)
		}
		if p := other.get(uint16(i), time.Second, 0).appendTo([]byte{1}); p[1] != 77 || p[2] != 78 || p[1000] != byte(i) {
			t.Fatalf("packet %d is another to the other", i)
		}
	}
	if found != historyPackets {
		t.Errorf("%d packets kept", found)
	}
	h.put(1, false, 97, 0, []byte{1}, nil)
	if e := h.get(1, time.Second, 100*time.Millisecond); e == nil || len(e.appendTo(nil)) != 1 {
		t.Error("not found")
	}
	if e := h.get(1, time.Second+50*time.Millisecond, 100*time.Millisecond); e != nil {
		t.Error("sent again too soon")
	}
}
