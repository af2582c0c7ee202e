package webrtc

import (
	"crypto/rand"
	"net"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"
)

// TestPathToTheSocketDoesNotAllocate sends video the whole way: slot, SRTP with
// GCM, UDP.
func TestPathToTheSocketDoesNotAllocate(t *testing.T) {
	sink := connected(t)
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

// connected gives a camera's sink of a client that is there and reads nothing.
func connected(t *testing.T) core.Sink {
	p := testPeer(t)
	client, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	o, err := readOffer(sampleOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1x\r\na=recvonly\r\n")
	if err != nil {
		t.Fatal(err)
	}
	video := &o.sections[3]
	video.formats, video.bundled = o.sections[1].formats, true
	if _, err := p.answer(o, nil); err != nil {
		t.Fatal(err)
	}
	master := make([]byte, 44)
	_, _ = rand.Read(master)
	suite, _ := srtp.SuiteNamed("AEAD_AES_256_GCM")
	k, err := keysOf(suite, master, master)
	if err != nil {
		t.Fatal(err)
	}
	p.keys.Store(k)
	at := client.LocalAddr().(*net.UDPAddr).AddrPort()
	w := &way{peer: p, from: at, udp: p.leg.edge.port.Address(at)}
	w.heard.Store(int64(core.Now()))
	p.way.Store(w)
	sink, err := p.leg.Subscribe(core.Track{Party: "x", Source: core.Camera, Codec: core.Codec{Name: "VP8"}})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}
