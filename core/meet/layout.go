package meet

import (
	"cmp"

	"bridgehead/core"
	"bridgehead/core/compose"
	"bridgehead/core/forward"
)

// arrange sets the layout of those who have not chosen one.
func (m *Meeting) arrange(l compose.Layout) {
	if !l.Valid() {
		l = compose.Speaker
	}
	m.layout = l
	m.router.Layout(m.layout)
	m.dirty = true
	m.stirred.Store(true)
}

// setLayout chooses for a party, or, without one, for the meeting while it runs;
// a party that chooses nothing sees what the meeting sees.
func (m *Meeting) setLayout(p *party, name string) error {
	l := compose.Layout(name)
	if !l.Valid() && (p == nil || l != "") {
		return core.Reason{Code: core.Failure, Say: "There is no such layout.", Detail: "unknown layout"}
	}
	if p == nil {
		m.arrange(l)
		return nil
	}
	p.layout = l
	if p.sub != nil && p.state != core.Waiting {
		p.sub.Layout(l)
		m.stirred.Store(true)
	}
	return nil
}

// nextLayout steps through them, for one with keys only.
func (m *Meeting) nextLayout(p *party) {
	_ = m.setLayout(p, string(cmp.Or(p.layout, m.layout).Next()))
}

// present tells who is shown in composed pictures, where that has changed and
// anybody sees it.
func (m *Meeting) present() {
	if !m.moved || m.opt.Composer == nil || m.over || !m.watched() {
		return
	}
	m.moved = false
	var people []forward.Person
	for p := range m.inside() {
		people = append(people, forward.Person{Party: p.info.ID, Name: p.name, Muted: p.muted(), Covered: p.video, Clear: !p.info.Security.Encrypted()})
	}
	m.router.Cast(people, false)
	m.stirred.Store(true)
}
