package forward

import (
	"bytes"
	"time"

	"bridgehead/core"
)

// prelude keeps the beginning of a picture whose publisher has just changed its
// format until those who watch it are sent the new one: it is a whole picture,
// and to ask for another would cost them a blink.
type prelude struct {
	since   time.Duration
	packets []core.Packet
}

const (
	preludeFor = 500 * time.Millisecond
	maxPrelude = 200 // packets
)

// hold keeps the packet, or has all that was kept go out when there is somebody
// to get it, or when it has become too much or too old.
func (l *layer) hold(p *core.Packet) bool {
	k := l.prelude
	if k.since == 0 {
		k.since = max(p.Arrival, 1)
	}
	if len(*l.outs.Load()) == 0 && p.Arrival-k.since < preludeFor && len(k.packets) < maxPrelude {
		next := *p
		next.Payload = bytes.Clone(p.Payload)
		next.Header.Extensions, next.Header.CSRC = nil, nil
		k.packets = append(k.packets, next)
		return true
	}
	l.prelude = nil
	for i := range k.packets {
		l.forward(&k.packets[i])
	}
	return false
}
