package webrtc

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// lost stands for a packet that did not arrive.
const lost = time.Duration(-1)

// feedbackOn makes transport-wide feedback on packets that arrived at these
// times: vectors of two bits, deltas of two bytes.
func feedbackOn(base uint16, arrived ...time.Duration) []byte {
	last := slices.MaxFunc(arrived, func(a, b time.Duration) int { return int(a - b) }).Truncate(64 * time.Millisecond)
	if i := slices.IndexFunc(arrived, func(d time.Duration) bool { return d != lost }); i >= 0 {
		last = arrived[i].Truncate(64 * time.Millisecond)
	}
	b := []byte{0x80 | rtcp.FormatTCC, uint8(rtcp.TypeTransportSpecificFeedback), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, base)
	b = binary.BigEndian.AppendUint16(b, uint16(len(arrived)))
	b = binary.BigEndian.AppendUint32(b, uint32(last/(64*time.Millisecond))<<8)
	var deltas []byte
	for seven := range slices.Chunk(arrived, 7) {
		c := uint16(3 << 14)
		for i, at := range seven {
			if at != lost {
				c |= arrivedLate << (12 - 2*i)
				deltas = binary.BigEndian.AppendUint16(deltas, uint16(int16((at-last)/(250*time.Microsecond))))
				last = at
			}
		}
		b = binary.BigEndian.AppendUint16(b, c)
	}
	b = append(b, deltas...)
	for len(b)%4 > 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

func read(t *testing.T, b []byte) *transportFeedback {
	t.Helper()
	f, ok := readTransportFeedback(b)
	if !ok {
		t.Fatalf("not read: %x", b)
	}
	return &f
}

// FuzzTransportFeedback compares with what the library reads.
func FuzzTransportFeedback(f *testing.F) {
	f.Add(feedbackOn(65530, 64*time.Millisecond, lost, 70*time.Millisecond, 69*time.Millisecond, lost, lost, lost, 90*time.Millisecond))
	f.Add([]byte{0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 3, 0, 0, 1, 0, 0x20, 3, 1, 2, 3, 0, 0, 0})    // a run
	f.Add([]byte{0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 5, 0, 0, 1, 0, 0xa8, 0, 1, 2, 0, 0, 0, 0})    // a vector of one bit
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0xff, 0xff, 0, 0, 1, 0, 0x1f, 0xff, 0x3f, 0xff}) // too short
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := readTransportFeedback(b)
		var lib rtcp.TransportLayerCC
		if lib.Unmarshal(b) != nil || int(lib.Header.Length+1)*4 != len(b) {
			got.each(func(uint16, bool, float64) {})
			return
		}
		if !ok || got.media != lib.MediaSSRC || got.base != lib.BaseSequenceNumber || got.count != int(lib.PacketStatusCount) {
			t.Fatalf("%v %+v, the library reads %+v", ok, got, lib)
		}
		at, n := float64(lib.ReferenceTime)*64, 0
		seq := got.base
		got.each(func(s uint16, arrived bool, when float64) {
			if arrived {
				at += float64(lib.RecvDeltas[n].Delta) / 1000
				n++
			}
			if s != seq || when != at {
				t.Fatalf("packet %d at %v, want %d at %v", s, when, seq, at)
			}
			seq++
		})
		if n != len(lib.RecvDeltas) || seq-got.base != lib.PacketStatusCount {
			t.Fatalf("%d arrived of %d, the library reads %d of %d", n, seq-got.base, len(lib.RecvDeltas), lib.PacketStatusCount)
		}
	})
}

func TestFeedbackIsTakenWithoutAllocation(t *testing.T) {
	p := &peer{leg: &Leg{bwe: newEstimator()}}
	first := p.leg.bwe.next(time.Second, 1200)
	b := feedbackOn(first, time.Second, lost)
	if n := testing.AllocsPerRun(100, func() {
		binary.BigEndian.PutUint16(b[12:], p.leg.bwe.next(time.Second, 1200))
		p.control(b)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if p.leg.bwe.target() == 0 {
		t.Error("the feedback was not taken")
	}
}
