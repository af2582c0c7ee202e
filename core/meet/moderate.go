package meet

import (
	"strings"
	"unicode/utf8"

	"bridgehead/core"
)

// event takes one event of a party.
func (m *Meeting) event(s *seat, e core.Event) {
	p := s.p
	if p.seat != s || m.find(p.info.ID) != p {
		return // it has moved or left since
	}
	switch e := e.(type) {
	case core.Digit:
		m.press(p, e.Key)
	case core.Mute:
		m.muteSelf(p, e)
	case core.Hold:
		m.hold(p, e.On)
	case core.Changed:
		m.refresh(p, e.Video)
	case core.Rename:
		m.rename(p, e.Name)
	case core.Bitrate:
		if p.sub != nil {
			p.sub.Bitrate(e.Source, e.BitsPerSec)
		}
	case core.NeedKeyframe:
		if p.sub != nil {
			p.sub.Keyframe(e.Track)
		}
	}
	if p.state == core.Waiting {
		return // nothing else is for those outside
	}
	switch e := e.(type) {
	case core.Hand:
		m.hand(p, e.Raised)
	case core.Floor:
		if e.On {
			m.askFloor(s)
		} else {
			m.releaseFloor(s)
		}
	case core.View:
		if p.sub != nil {
			p.sub.View(e.Wants)
			m.stirred.Store(true)
		}
	case core.Text:
		m.text(p, e)
	case core.Command:
		if err := m.command(p, e); err != nil {
			r := core.ReasonOf(err)
			p.leg.Signal(core.Notice{Code: string(r.Code), Text: r.Say})
		}
	}
}

func (m *Meeting) muteSelf(p *party, e core.Mute) {
	switch e.Source {
	case core.Screen: // a share that ends is unpublished by its edge
		return
	case core.Camera:
		p.video = e.On
		p.seat.cover(e.On)
		m.changed("changed", p, core.Reason{})
		return
	}
	p.mutedBy = ""
	m.mute(p, e.On, "")
	m.say(p, map[bool]string{true: "muted", false: "unmuted"}[e.On])
}

// mute sets a microphone's mute; by names who did it, if not the party. What a
// party has done itself it is not told: by then it may have done otherwise.
func (m *Meeting) mute(p *party, on bool, by string) {
	p.seat.mute(on)
	if by != "" {
		p.mutedBy = map[bool]string{true: by}[on]
		m.say(p, map[bool]string{true: "muted-by-host", false: "unmuted-by-host"}[on])
		p.leg.Signal(core.Mute{Source: core.Microphone, On: on, By: by})
	}
	m.changed("changed", p, core.Reason{})
}

func (m *Meeting) hold(p *party, on bool) {
	if p.state == core.Waiting {
		return
	}
	p.state = map[bool]core.State{true: core.Held, false: core.Joined}[on]
	m.changed("changed", p, core.Reason{})
}

func (m *Meeting) hand(p *party, raised bool) {
	if p.hand == raised {
		return
	}
	p.hand = raised
	m.say(p, map[bool]string{true: "hand-raised", false: "hand-lowered"}[raised])
	m.changed("changed", p, core.Reason{})
}

const maxName = 64 // runes

// clean makes a name fit to show: no control characters, not too long.
func clean(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, name))
	if utf8.RuneCountInString(name) > maxName {
		name = string([]rune(name)[:maxName])
	}
	return name
}

func (m *Meeting) rename(p *party, name string) {
	if name = clean(name); name != "" {
		p.name = name
		m.changed("changed", p, core.Reason{})
	}
}

// errNotHost refuses an act of moderation.
var errNotHost = core.Reason{Code: core.Forbidden, Say: "Only a host can do that.", Detail: "not a host"}

// command carries out what a party asks for.
func (m *Meeting) command(by *party, c core.Command) error {
	if !m.may(by, c.Verb) {
		return errNotHost
	}
	return m.carryOut(by, c)
}

// Command carries out what the API asks for, with a host's right.
func (m *Meeting) Command(c core.Command) error {
	err := error(core.Reason{Code: core.NotFound, Say: "This meeting is over.", Detail: "meeting is over"})
	m.do(func() { err = m.carryOut(nil, c) })
	return err
}

func (m *Meeting) carryOut(by *party, c core.Command) error {
	switch c.Verb {
	case core.MuteAll, core.UnmuteAll:
		m.muteEverybody(by, c.Verb == core.MuteAll)
		return nil
	case core.Lock, core.Unlock:
		m.lock(c.Verb == core.Lock)
		return nil
	case core.RemoveAll:
		for _, p := range m.parties {
			if p != by {
				m.remove(p)
			}
		}
		return nil
	case core.EndMeeting:
		m.end(core.Reason{Code: core.Ended, Say: "The host has ended the meeting.", Detail: "ended by " + who(by)})
		return nil
	case core.DialOut:
		return m.dial(by, c)
	case core.SetLayout:
		if c.Party == "" {
			return m.setLayout(nil, c.Value)
		}
	}
	p := m.find(c.Party)
	if p == nil {
		return core.Reason{Code: core.NotFound, Say: "That person is not here any more.", Detail: "no participant " + c.Party}
	}
	return m.about(p, c)
}

// about carries out an act that concerns one party.
func (m *Meeting) about(p *party, c core.Command) error {
	switch c.Verb {
	case core.Accept:
		if p.state == core.Waiting && !p.leaving() {
			m.admit(p)
		}
	case core.Reject:
		if p.state == core.Waiting {
			m.farewell(p, "rejected", core.Reason{Code: core.Rejected, Say: "The host did not let you in.", Detail: "rejected by a host"})
		}
	case core.MuteParty:
		m.mute(p, true, "the host")
	case core.Unmute:
		m.mute(p, false, "the host")
	case core.StopVideo:
		p.video = true
		p.seat.cover(true)
		p.leg.Signal(core.Mute{Source: core.Camera, On: true, By: "the host"})
		m.changed("changed", p, core.Reason{})
	case core.Remove:
		m.remove(p)
	case core.MakeHost:
		p.role = core.Host
		m.placed(p)
		m.changed("changed", p, core.Reason{})
		m.begin()
	case core.LowerHand:
		m.hand(p, false)
	case core.RenameOne:
		m.rename(p, c.Value)
	case core.SetLayout:
		return m.setLayout(p, c.Value)
	default:
		return core.Reason{Code: core.Failure, Say: "That cannot be done.", Detail: "unknown verb " + string(c.Verb)}
	}
	return nil
}

func who(p *party) string {
	if p == nil {
		return "the API"
	}
	return p.info.ID
}

func (m *Meeting) remove(p *party) {
	m.farewell(p, "removed", core.Reason{Code: core.Removed, Say: "A host has removed you from the meeting.", Detail: "removed by a host"})
}

// farewell tells a party, by ear if it has no screen, that it must go. Its
// media is cut at once.
func (m *Meeting) farewell(p *party, prompt string, r core.Reason) {
	p.seat.vacate()
	clips := m.opt.Voice.Say(prompt)
	if p.info.Forwarded || p.out == nil || len(clips) == 0 {
		p.leg.Hangup(r)
		return
	}
	p.out.Close()
	if p.out = m.listen(p, m.lobby); p.out == nil {
		p.leg.Hangup(r)
		return
	}
	leg := p.leg
	p.out.PlayThen(func() { leg.Hangup(r) }, clips...)
}

func (m *Meeting) muteEverybody(by *party, on bool) {
	m.muteAll = on
	for p := range m.inside() {
		if p != by && p.role != core.Host && p.muted() != on {
			m.mute(p, on, "the host")
		}
	}
	if by != nil {
		m.say(by, map[bool]string{true: "all-muted", false: "all-unmuted"}[on])
	}
}

func (m *Meeting) lock(on bool) {
	if m.locked == on {
		return
	}
	m.locked = on
	m.dirty = true
	name := map[bool]string{true: "locked", false: "unlocked"}[on]
	m.mixer.Play(m.opt.Voice.Say(name)...)
	m.notify(Change{What: name})
}

// Dial calls an address into the meeting for who asks by the API; nil is nobody
// in particular.
func (m *Meeting) Dial(to, name string, by *core.Info) (core.Leg, error) {
	return m.opt.Dial(to, name, by, m.DoorFor(core.Guest))
}

// dial calls an address for a host; it may take a while, so it is not done
// here.
func (m *Meeting) dial(by *party, c core.Command) error {
	var asker *core.Info
	if by != nil {
		info := by.info
		asker = &info
		m.say(by, "dialling")
	}
	room := outcall{m.DoorFor(core.Guest), m, by}
	go func() {
		if _, err := m.opt.Dial(c.Value, "", asker, room); err != nil {
			room.Failed(nil, core.ReasonOf(err))
		}
	}()
	return nil
}

// outcall is the way in for one whom a host calls; the host hears how it goes.
type outcall struct {
	core.Room
	m  *Meeting
	by *party
}

// Ringing implements core.Watcher.
func (outcall) Ringing(core.Leg) {}

// Failed implements core.Watcher.
func (o outcall) Failed(_ core.Leg, why core.Reason) {
	if o.by == nil {
		return
	}
	o.by.leg.Signal(core.Notice{Code: string(why.Code), Text: why.Say})
	prompt := map[core.Code]string{core.Busy: "busy", core.NoAnswer: "no-answer", core.Unreachable: "unreachable", core.Forbidden: "not-permitted"}[why.Code]
	if prompt == "" {
		prompt = "unreachable"
	}
	o.m.queue.put(func() { o.m.say(o.by, prompt) })
}
