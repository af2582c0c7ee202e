package meet

import "bridgehead/core"

// One party at a time presents. Those who ask at the same moment are served in
// the order in which their wishes come to the meeting's goroutine.

// askFloor has a party present, if the one who does now gives way.
func (m *Meeting) askFloor(s *seat) {
	p := s.p
	if p.seat != s || m.find(p.info.ID) != p || p.state == core.Waiting {
		return
	}
	now := m.floor
	switch {
	case now == p:
		p.seat.present(true)
		p.leg.Signal(core.Floor{On: true})
		return
	case now != nil && (m.set.KeepFloor || now.role == core.Host && p.role != core.Host):
		p.leg.Signal(core.Floor{By: now.name})
		p.leg.Signal(core.Notice{Code: "presenting", Text: now.name + " is presenting."})
		return
	case now != nil:
		m.floor = nil
		now.seat.present(false)
		now.leg.Signal(core.Floor{By: p.name})
		m.changed("changed", now, core.Reason{})
	}
	m.floor = p
	p.seat.present(true)
	p.leg.Signal(core.Floor{On: true})
	m.stirred.Store(true)
	m.changed("changed", p, core.Reason{})
}

// releaseFloor ends what a party presents.
func (m *Meeting) releaseFloor(s *seat) {
	p := s.p
	if m.floor != p || p.seat != s {
		return
	}
	m.floor = nil
	s.present(false)
	m.changed("changed", p, core.Reason{})
}
