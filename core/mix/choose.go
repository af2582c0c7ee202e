package mix

import (
	"slices"

	"bridgehead/core"
)

// How speakers are chosen.
const (
	audible = 55.0 // -dBov; softer voices are not heard
	release = 58.0 // at which one heard falls silent
	decay   = 0.5  // dB a step: after a word of -25 dBov one stays for 1.3 s
	lead    = 6.0  // dB by which another must be louder to take one's place,
	leadFor = 3    // for so many steps: a cough is not enough
	// blindAtOnce is how many voices without a level in their packets are
	// decoded in one step just to measure them.
	blindAtOnce = 8
	// A sender that states more than it sends, by falseBy dB for falseFor steps
	// more than not, is believed no longer: it would keep others from being heard.
	falseBy  = 20
	falseFor = 50
)

// listen takes in what has arrived and rates each voice. It sees packets a
// jitter buffer's depth before they are played, so no beginning is cut off.
func (m *Mixer) listen(l *lists) {
	m.blind = 0
	for i, in := range l.inputs {
		ahead(l.inputs, i)
		in.arrived = in.jitter.Poll(m.now)
		level := in.trust(in.arrived)
		if in.blind {
			m.blind++
		}
		if s := float64(level); s < in.score {
			in.score = s
		} else {
			in.score = min(in.score+decay, s)
		}
		in.level.Store(uint32(in.score))
		if uint32(in.score) < in.meter.loudest.Load() {
			in.meter.loudest.Store(uint32(in.score))
		}
	}
}

// trust is the level to go by, given the one that the last packets state.
func (in *Input) trust(stated uint8) uint8 {
	in.blind = stated == core.LevelUnknown || in.doubt > falseFor
	if in.gain == 0 || stated == core.LevelUnknown {
		if in.blind {
			return in.measured
		}
		return stated
	}
	if in.measured > stated+falseBy {
		in.doubt = min(in.doubt+1, 2*falseFor)
	} else if stated < audible {
		in.doubt = max(in.doubt-1, 0)
	}
	return max(stated, in.measured)
}

// choose picks the speakers: those heard stay until they fall silent or another
// is clearly louder, so that nobody flaps.
func (m *Mixer) choose(l *lists) {
	m.chosen = slices.DeleteFunc(m.chosen, func(in *Input) bool {
		gone := !in.able() || in.score > release
		if gone {
			in.target = 0
		}
		return gone
	})
	for _, in := range l.inputs {
		if in.target == 0 && in.able() && in.score <= audible {
			m.admit(in)
		} else {
			in.louder = 0
		}
	}
	slices.SortStableFunc(m.chosen, louder)
	for i := range m.heard {
		var in *Input
		if i < len(m.chosen) {
			in = m.chosen[i]
		}
		if m.heard[i].Load() != in {
			m.heard[i].Store(in)
		}
	}
}

func louder(a, b *Input) int {
	switch {
	case a.score < b.score:
		return -1
	case a.score > b.score:
		return 1
	}
	return 0
}

// admit gives a voice a free place, or that of a clearly softer one.
func (m *Mixer) admit(in *Input) {
	if len(m.chosen) < m.o.Speakers {
		in.target, in.louder = 1, 0
		m.chosen = append(m.chosen, in)
		return
	}
	least := slices.MaxFunc(m.chosen, louder)
	if in.score+lead > least.score {
		in.louder = 0
		return
	}
	if in.louder++; in.louder >= leadFor {
		in.target, in.louder, least.target = 1, 0, 0
		m.chosen[slices.Index(m.chosen, least)] = in
	}
}

// able: may be heard at all.
func (in *Input) able() bool { return !in.muted.Load() && !in.closed.Load() }
