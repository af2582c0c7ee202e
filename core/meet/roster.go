package meet

import (
	"strconv"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// rosterEvery bounds how often the roster is sent: a hundred people who join
// in a second need not each be sent a hundred rosters. In a crowd nobody follows
// who comes at all.
const (
	rosterEvery      = 200 * time.Millisecond
	crowdRosterEvery = time.Second
)

// tellRoster sends who is here, if that has changed, to those who show something.
// Those waiting are shown to those who decide about them.
func (m *Meeting) tellRoster(now time.Duration) {
	every := rosterEvery
	if len(m.parties) >= crowd {
		every = crowdRosterEvery
	}
	if !m.dirty || m.over || now-m.sentAt < every && m.sentAt != 0 {
		return // the next look at the levels, 200 ms on, comes by here again
	}
	m.dirty, m.sentAt = false, now
	if !m.watched() {
		return
	}
	var all, guests []core.Party
	for _, p := range m.parties {
		v := p.view()
		all = append(all, v)
		if p.state != core.Waiting {
			guests = append(guests, v)
		}
	}
	for p := range m.inside() {
		if !p.shows() {
			continue
		}
		if m.decides(p) {
			p.leg.Signal(core.Roster{Parties: all, Locked: m.locked, Layout: string(m.layout)})
		} else {
			p.leg.Signal(core.Roster{Parties: guests, Locked: m.locked, Layout: string(m.layout)})
		}
	}
}

// tellFormat asks those who can for pictures that all can watch. A room system
// has one format, and shows no other.
func (m *Meeting) tellFormat() {
	if !m.dirty || m.over {
		return
	}
	var format core.Codec
	for p := range m.inside() {
		if i := &p.info; !i.Forwarded && len(i.Video) > 0 && (format.Name == "" || h264.Fmtp(i.Video[0].Fmtp).Mode == 0) {
			format = core.Codec{Name: i.Video[0].Name, ClockRate: 90000, Fmtp: "packetization-mode=" + strconv.Itoa(h264.Fmtp(i.Video[0].Fmtp).Mode)}
		}
	}
	for p := range m.inside() {
		if p.info.Forwarded && p.prefer != format {
			p.prefer = format
			p.leg.Signal(core.Prefer{Video: format})
		}
	}
}

// In a crowd, which is so many, levels are sent less often, too: to tell all the
// levels of some costs as much as the sound does.
const (
	crowd      = 50
	crowdEvery = 5 // looks
)

// tellSpeaking sends who is heard, when that has changed, and the levels.
func (m *Meeting) tellSpeaking(now time.Duration) {
	m.looks++
	heard := m.mixer.Speakers()
	slots := m.router.Speaking().Slots
	e := core.Speaking{Slots: slots}
	levels := map[string]uint8{}
	for _, s := range heard {
		e.Parties = append(e.Parties, s.Party)
		levels[s.Party] = s.Level
	}
	for id, l := range m.router.Levels() {
		if _, ok := levels[id]; !ok {
			levels[id] = l
		}
	}
	m.router.Speakers(now, e.Parties)
	key := strings.Join(e.Parties, " ") + "|" + strings.Join(slots, " ")
	changed := key != m.speaking
	m.speaking = key
	for p := range m.inside() {
		if !p.info.Forwarded {
			continue // no screen
		}
		if changed {
			p.leg.Signal(e)
		}
		if len(levels) > 0 && (len(m.parties) < crowd || m.looks%crowdEvery == 0) {
			p.leg.Signal(core.Levels{Of: levels})
		}
	}
}

// Participant is a party as the API shows it.
type Participant struct {
	core.Party
	Info  core.Info
	Level uint8 // of its sound now, -dBov
}

// Participants lists who is here, those waiting too.
func (m *Meeting) Participants() (list []Participant) {
	m.do(func() {
		levels := m.router.Levels()
		for _, s := range m.mixer.Speakers() {
			levels[s.Party] = s.Level
		}
		for _, p := range m.parties {
			level, ok := levels[p.info.ID]
			if !ok {
				level = 127
			}
			list = append(list, Participant{Party: p.view(), Info: p.leg.Info(), Level: level})
		}
	})
	return list
}

// Size is how many are here and how many of them wait.
func (m *Meeting) Size() (here, waiting int) {
	m.do(func() { here, waiting = len(m.parties), len(m.parties)-m.count() })
	return here, waiting
}
