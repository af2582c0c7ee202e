package rtpio

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/pion/rtcp"
)

// MaxRate reads how much the peer takes, in bit/s: TMMBR (RFC 5104 §4.2.1) or
// REMB (draft-alvestrand-rmcat-remb). False: the packet says nothing of it.
func MaxRate(p rtcp.Packet) (bps int, ok bool) {
	switch p := p.(type) {
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		return int(min(max(p.Bitrate, 0), math.MaxInt32)), true
	case *rtcp.RawPacket:
		b := []byte(*p)
		const tmmbr = 3
		if len(b) < 20 || b[1] != uint8(rtcp.TypeTransportSpecificFeedback) || b[0]&0x1f != tmmbr {
			return 0, false
		}
		v := binary.BigEndian.Uint32(b[16:]) // exponent, mantissa, overhead
		rate := uint64(v>>9&0x1ffff) << (v >> 26)
		if v>>26 > 40 {
			rate = math.MaxInt32
		}
		return int(min(rate, math.MaxInt32)), true
	}
	return 0, false
}

// Downspeed finds what a peer's network carries from the losses that it reports
// (RFC 3550 §6.4.1): what was sent when many were lost is too much. The zero
// value is ready; one goroutine uses it.
type Downspeed struct {
	limit  float64 // bit/s; 0: none
	octets uint64
	at     time.Duration
}

const (
	// Losses above many are answered by sending less, below few by trying more:
	// as loss-based control of congestion does (draft-ietf-rmcat-gcc-02 §6).
	many, few = 0.10, 0.02
	// slowest is what a picture that can be looked at takes, in bit/s.
	slowest = 128_000
	// faster is how much more is tried after each report without losses.
	faster = 1.08
	// enough above what is sent, the limit is none.
	enough = 4
)

// Report takes the share of packets lost, 0 to 1, since the last report, and the
// octets sent in all; what is to be sent at most from now on, in bit/s, and
// whether that is news. 0: there is no limit any more.
func (d *Downspeed) Report(now time.Duration, lost float64, octets uint64) (bps int, news bool) {
	span := (now - d.at).Seconds()
	sent := float64(octets-d.octets) * 8 / span
	begun := d.at > 0
	d.at, d.octets = now, octets
	switch {
	case !begun || span <= 0:
		return 0, false
	case lost > many:
		if d.limit == 0 || sent < d.limit {
			d.limit = sent
		}
		d.limit = max(d.limit*(1-lost/2), slowest)
	case d.limit == 0 || lost > few:
		return int(d.limit), false
	default:
		if d.limit *= faster; d.limit > enough*sent && sent > 0 {
			d.limit = 0
		}
	}
	return int(d.limit), true
}

// rateLimit is what the peer takes by its wish and by its losses, in bit/s; 0:
// no limit. Owned by the media clock.
type rateLimit struct {
	wish, carried int
	losses        Downspeed
	told          int
}

func (r *rateLimit) tell(f *flow) {
	bps := r.wish
	if bps == 0 || r.carried > 0 && r.carried < bps {
		bps = r.carried
	}
	if bps != r.told && f.OnRate != nil {
		r.told = bps
		f.OnRate(bps)
	}
}
