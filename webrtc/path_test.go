package webrtc

import (
	"testing"
	"time"

	"bridgehead/core"
)

// TestPathToTheSocketDoesNotAllocate sends video the whole way: slot, SRTP with
// GCM, ICE, UDP. What the client and RTCP allocate meanwhile is in the count.
func TestPathToTheSocketDoesNotAllocate(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.enter()
	leg := <-w.m.legs
	ann.await("stats", nil) // the connection is up
	track := core.Track{Party: "x", Source: core.Camera, Codec: core.Codec{Name: "VP8"}}
	sink, err := leg.Subscribe(track)
	if err != nil {
		t.Fatal(err)
	}
	p := &core.Packet{Payload: make([]byte, 1100), Arrival: time.Second}
	write := func() {
		p.Header.SequenceNumber++
		if err := sink.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		write()
	}
	n := testing.AllocsPerRun(5000, write)
	began := time.Now()
	for range 20000 {
		write()
	}
	t.Logf("%.2f allocations and %v a packet, from the slot to the socket", n, time.Since(began)/20000)
	if n >= 1+raceAllocs {
		t.Errorf("%v allocations a packet", n)
	}
}
