package capture

import (
	"encoding/json"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// report, sender, block and extended are named as Kamailio's, Asterisk's and
// RTPEngine's are, which Homer reads. What is not known is left out.
type report struct {
	Type     int       `json:"type"` // 200: sender report, 201: receiver report (RFC 3550 §6.4)
	SSRC     uint32    `json:"ssrc"`
	Count    int       `json:"report_count"`
	Sender   *sender   `json:"sender_information,omitempty"`
	Blocks   []block   `json:"report_blocks"`
	Extended *extended `json:"report_blocks_xr,omitempty"`
}

type sender struct {
	Seconds  int64  `json:"ntp_timestamp_sec"`
	Fraction int64  `json:"ntp_timestamp_usec"` // of 2^32 to a second, whatever its name says
	Packets  uint64 `json:"packets"`
	Octets   uint64 `json:"octets"`
}

type block struct {
	Source   uint32 `json:"source_ssrc"`
	Fraction uint64 `json:"fraction_lost"` // of 256, since the report before
	Lost     uint64 `json:"packets_lost"`  // since the call began
	Jitter   int64  `json:"ia_jitter"`     // in units of the RTP time stamp
	Last     uint32 `json:"lsr"`
	Delay    uint32 `json:"dlsr"`
}

type extended struct {
	RoundTrip int64 `json:"round_trip_delay"` // ms
}

// sinceNTP is from NTP's epoch to Unix's, in seconds.
const sinceNTP = 2208988800

// Reports are what both sides of a call have heard between two looks at it, as
// the JSON that HEP has for RTCP. theirs is nil while the peer tells nothing.
func Reports(st core.Stats, rtt time.Duration, before, now store.Sample) (ours, theirs []byte) {
	r := report{Type: 201, SSRC: st.SSRC, Count: 1, Blocks: []block{{Source: st.PeerSSRC, Lost: now.Lost, Fraction: fraction(now.Lost-before.Lost, now.Received-before.Received),
		Jitter: units(st.Jitter, st.ClockRate)}}}
	if now.Sent > 0 {
		r.Type, r.Sender = 200, &sender{now.At.Unix() + sinceNTP, int64(now.At.Nanosecond()) << 32 / 1e9, now.Sent, st.Octets}
	}
	if rtt > 0 {
		r.Extended = &extended{rtt.Milliseconds()}
	}
	ours = marshal(r)
	if rtt == 0 && st.RemoteJitter == 0 && now.RemoteLost == 0 {
		return ours, nil
	}
	lost, sent := now.RemoteLost-before.RemoteLost, now.Sent-before.Sent
	return ours, marshal(report{Type: 201, SSRC: st.PeerSSRC, Count: 1, Blocks: []block{{Source: st.SSRC, Lost: now.RemoteLost, Fraction: fraction(lost, sent-lost),
		Jitter: units(st.RemoteJitter, st.ClockRate)}}})
}

func marshal(r report) []byte {
	b, _ := json.Marshal(r) // numbers alone cannot fail
	return b
}

func units(jitter time.Duration, clockRate int) int64 {
	return int64(jitter.Seconds() * float64(clockRate))
}

// fraction of what was sent that is lost, in 256ths. Either may have gone back: a
// new source counts anew, and what is late is not lost after all.
func fraction(lost, came uint64) uint64 {
	if int64(lost) <= 0 || int64(came) < 0 {
		return 0
	}
	return min(255, lost*256/(lost+came))
}
