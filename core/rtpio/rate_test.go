package rtpio

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestMaxRate(t *testing.T) {
	// 512 kbit/s: mantissa 64000 (17 bits), exponent 3, overhead 40.
	tmmbr := []byte{0x83, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 3<<2 | 64000>>15, 64000 >> 7 & 0xff, 64000 & 0x7f << 1, 40}
	packets, err := rtcp.Unmarshal(tmmbr)
	if err != nil {
		t.Fatal(err)
	}
	if bps, ok := MaxRate(packets[0]); !ok || bps != 512000 {
		t.Errorf("TMMBR: %d, %v", bps, ok)
	}
	if bps, ok := MaxRate(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e12}); !ok || bps <= 0 {
		t.Errorf("REMB: %d, %v", bps, ok)
	}
	for _, p := range []rtcp.Packet{&rtcp.PictureLossIndication{}, new(rtcp.RawPacket(tmmbr[:16])), new(rtcp.RawPacket{0x84, 205, 0, 4})} {
		if _, ok := MaxRate(p); ok {
			t.Errorf("%T tells a rate", p)
		}
	}
}

// A network that carries half a megabit: what is sent comes down to it, stays
// about there, and is free again when the network is.
func TestDownspeed(t *testing.T) {
	var d Downspeed
	sent, octets, now := 1_500_000.0, uint64(0), time.Second
	step := func(carries float64) {
		now += 5 * time.Second
		octets += uint64(sent * 5 / 8)
		lost := max(0, 1-carries/sent)
		if bps, news := d.Report(now, lost, octets); news {
			sent = 1_500_000
			if bps > 0 {
				sent = min(sent, float64(bps))
			}
		}
	}
	for range 12 {
		step(500_000)
	}
	for range 20 {
		step(500_000)
		if sent < 250_000 || sent > 650_000 {
			t.Fatalf("over half a megabit %.0f bit/s are sent", sent)
		}
	}
	for range 40 {
		step(10_000_000)
	}
	if sent != 1_500_000 {
		t.Errorf("%.0f bit/s are sent over a network that carries more", sent)
	}
}
