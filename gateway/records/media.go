package records

import (
	"net/netip"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// Stats of one kind of media as records and API show them.
type Stats = store.Stats

// Media makes core.Stats fit to show to all who see the party: where its media
// comes from is not among it.
func Media(s core.Stats, rtt time.Duration) Stats {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Stats{Codec: s.Codec, PacketsReceived: s.PacketsReceived, PacketsSent: s.PacketsSent, PacketsLost: s.PacketsLost,
		JitterMS: ms(s.Jitter), RemoteLost: s.RemoteLost, RemoteJitterMS: ms(s.RemoteJitter), RTTMS: ms(rtt),
		Width: s.Width, Height: s.Height, FPS: s.FPS, BitrateKbps: s.BitsPerSec / 1000}
}

// whole is Media with the way that it takes, for operators.
func whole(s core.Stats, rtt time.Duration) Stats {
	m, w := Media(s, rtt), s.Way
	m.Port, m.Signalled, m.Found, m.First, m.Last = w.Port, place(w.Signalled), place(w.Found), w.First, w.Last
	m.Strange, m.Stranger, m.Unknown, m.UnknownType, m.Forged = w.Strange, place(w.Stranger), w.Alien, int(w.AlienType), w.Forged
	return m
}

// place is an address as it is shown; empty for none.
func place(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}
