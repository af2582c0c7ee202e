package rtpio

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/pion/rtp"
)

// keys by RFC 4733 event code (§3.2).
const keys = "0123456789*#ABCD"

// lastDigit recognises the packets of one key press. A press is known by its
// timestamp: marker bits get lost, and each of the packets may be.
type lastDigit struct {
	seen  bool
	ended bool
	stamp uint32
	event byte
}

// sloppy is how far the timestamp of one press may move (in 1/8 ms): some
// gateways wrongly advance it with every packet.
const sloppy = 2400

// digit reads a telephone-event payload (RFC 4733 §2.3).
func (s *Session) digit(f *flow, h *rtp.Header, payload []byte) {
	if len(payload) < 4 || int(payload[0]) >= len(keys) {
		return
	}
	d := &s.in.digit
	code, end := payload[0], payload[1]&0x80 != 0
	same := d.seen && d.event == code && (h.Timestamp == d.stamp || !d.ended && h.Timestamp-d.stamp < sloppy)
	late := d.seen && int32(h.Timestamp-d.stamp) < 0 && d.stamp-h.Timestamp < sloppy
	switch {
	case same:
		d.stamp, d.ended = h.Timestamp, d.ended || end
		return
	case late: // reordered packet of a press already reported
		return
	}
	*d = lastDigit{seen: true, ended: end, stamp: h.Timestamp, event: code}
	if f.OnDigit != nil {
		f.OnDigit(keys[code])
	}
}

// digits is the queue of keys to send.
type digits struct {
	queue string
	left  int // packets still to send of the key now pressed
	gap   int // frames of sound before the next key
	stamp uint32
	dur   uint16
}

const (
	digitPackets = 5 // 100 ms of 20-ms packets
	digitEnds    = 3 // the last packet is sent three times (RFC 4733 §2.5.1.4)
	digitGap     = 4
	digitVolume  = 10 // -dBm0
	digitsQueued = 64
)

// ErrNoDigits says that the peer takes no telephone events.
var ErrNoDigits = errors.New("the peer has not agreed to RFC 4733 telephone events")

// SendDigits queues keys (0-9, *, #, A-D). They go out in the place of sound
// packets, so at the pace at which sound is written.
func (s *Session) SendDigits(press string) error {
	f := s.flow.Load()
	if f == nil || f.DigitsOut.Name == "" {
		return ErrNoDigits
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	for _, k := range strings.ToUpper(press) {
		if strings.ContainsRune(keys, k) && len(s.out.digits.queue) < digitsQueued {
			s.out.digits.queue += string(k)
		}
	}
	return nil
}

// writeDigit sends the event packet that is due instead of sound; the lock is
// held.
func (s *Session) writeDigit(f *flow) bool {
	d := &s.out.digits
	switch {
	case d.left == 0 && d.gap > 0:
		d.gap--
		return false
	case d.left == 0 && d.queue == "", !f.digits:
		return false
	}
	first := d.left == 0
	if first {
		d.left, d.stamp, d.dur = digitPackets+digitEnds-1, s.out.stamp, 0
	}
	d.left--
	flags := byte(digitVolume)
	if d.left < digitEnds {
		flags |= 0x80
	}
	if d.left >= digitEnds-1 {
		d.dur += uint16(f.DigitsOut.ClockRate / 50)
	}
	var payload [4]byte
	payload[0], payload[1] = byte(strings.IndexByte(keys, d.queue[0])), flags
	binary.BigEndian.PutUint16(payload[2:], d.dur)
	s.out.header = header{marker: first, payloadType: f.DigitsOut.PayloadType, stamp: d.stamp, ssrc: s.ssrc}
	_ = s.sendRTP(f, payload[:])
	if d.left == 0 {
		d.queue, d.gap = d.queue[1:], digitGap
	}
	return true
}
