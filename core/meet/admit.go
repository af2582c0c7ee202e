package meet

import (
	"iter"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"bridgehead/core"
	"bridgehead/core/mix"
)

// join decides about a newcomer: inside, waiting, or a reason why not.
func (m *Meeting) join(leg core.Leg, d door) error {
	info := leg.Info()
	if why := m.refuse(info, d); why != nil {
		m.log.Info("newcomer refused", "leg", info.ID, "protocol", info.Protocol, "reason", why)
		return *why
	}
	p := &party{leg: leg, info: info, name: info.Name, role: d.role, joined: time.Now(), writes: rate.NewLimiter(rate.Every(writeEvery), writeBurst)}
	m.parties = append(m.parties, p)
	switch {
	case d.role == core.Host || d.invited:
		m.admit(p)
	case m.set.WaitForHost && !m.hosted():
		m.wait(p, core.AwaitsHost)
	case m.mustBeAccepted(info):
		m.wait(p, core.AwaitsAcceptance)
	default:
		m.admit(p)
	}
	return nil
}

// mustBeAccepted tells whether a guest is let in by somebody only.
func (m *Meeting) mustBeAccepted(info core.Info) bool {
	switch m.set.Admission {
	case Accept, AcceptAny:
		return true
	case Known:
		return info.User == ""
	}
	return false
}

// hosted tells whether a host is inside.
func (m *Meeting) hosted() bool {
	return slices.ContainsFunc(m.parties, func(p *party) bool { return p.role == core.Host && p.state != core.Waiting })
}

// begin lets in those who have waited for a host, or has them wait to be
// accepted, once there is one or none is needed any more.
func (m *Meeting) begin() {
	if m.set.WaitForHost && !m.hosted() {
		return
	}
	for _, p := range slices.Clone(m.parties) {
		switch {
		case p.awaits != core.AwaitsHost || p.leaving():
		case m.mustBeAccepted(p.info):
			m.wait(p, core.AwaitsAcceptance)
		default:
			m.admit(p)
		}
	}
}

// may tells whether a party may carry out a command.
func (m *Meeting) may(p *party, v core.Verb) bool {
	return p.role == core.Host || (v == core.Accept || v == core.Reject) && m.decides(p)
}

// decides tells whether a party may let newcomers in.
func (m *Meeting) decides(p *party) bool {
	return p.state != core.Waiting && (p.role == core.Host || m.set.Admission == AcceptAny)
}

func (m *Meeting) refuse(info core.Info, d door) *core.Reason {
	switch {
	case m.over:
		return &core.Reason{Code: core.NotFound, Say: "This meeting is over.", Detail: "meeting is over"}
	case m.set.EncryptedOnly && !info.Security.Encrypted():
		return &core.Reason{Code: core.NotEncrypted, Say: "This meeting takes encrypted calls only.", Detail: "meeting takes encrypted legs only"}
	case m.locked && d.role != core.Host && !d.invited:
		return &core.Reason{Code: core.Locked, Say: "This meeting is locked.", Detail: "meeting is locked"}
	case m.set.MaxParticipants > 0 && len(m.parties) >= m.set.MaxParticipants:
		return &core.Reason{Code: core.Full, Say: "This meeting is full.", Detail: "max_participants reached"}
	case slices.ContainsFunc(m.parties, func(p *party) bool { return p.info.ID == info.ID }):
		return &core.Reason{Code: core.Failure, Detail: "leg is in the meeting already"}
	}
	return nil
}

// wait sits the party where it hears music and nobody hears it.
func (m *Meeting) wait(p *party, what core.Awaits) {
	if p.state != core.Waiting {
		p.state = core.Waiting
		m.sit(p, false)
		p.leg.Signal(core.Answer{})
		p.out = m.listen(p, m.lobby)
	}
	if p.awaits = what; what == core.AwaitsAcceptance && m.set.Admission == AcceptAny {
		p.awaits = core.AwaitsAnybody
	}
	if p.out != nil {
		prompt, _ := m.awaited(p)
		p.out.Play(m.opt.Voice.Say(prompt)...)
	}
	m.look(p)
	m.placed(p)
	m.changed("waiting", p, core.Reason{})
	if what == core.AwaitsAcceptance {
		m.introduce(p)
	}
}

// awaited is what one who waits is told, by ear and on a screen.
func (m *Meeting) awaited(p *party) (prompt, text string) {
	switch {
	case p.awaits == core.AwaitsHost:
		return "waiting-for-host", "The meeting begins when the host joins."
	case p.awaits == core.AwaitsAnybody:
		return "waiting-for-anyone", "Somebody in the meeting will let you in."
	}
	return "waiting-for-accept", "The host will let you in."
}

// introduce tells those who decide, and have no screen, of a newcomer: its
// network, and its number where it shows one.
func (m *Meeting) introduce(p *party) {
	clips := m.opt.Voice.Say("newcomer-waiting")
	if p.info.Phone {
		clips = append(clips, m.opt.Voice.Say("newcomer-pstn")...)
		clips = append(clips, m.opt.Voice.Spell(p.info.Address)...)
	} else {
		clips = append(clips, m.opt.Voice.Say("newcomer-"+string(p.info.Protocol))...)
	}
	clips = append(clips, m.opt.Voice.Say("press-91-accept")...)
	for o := range m.inside() {
		if m.decides(o) && o.out != nil && !o.info.Forwarded {
			o.out.Play(clips...)
		}
	}
}

// admit sits the party inside.
func (m *Meeting) admit(p *party) {
	fromLobby := p.state == core.Waiting
	p.state, p.awaits = core.Joined, ""
	m.unhear(p)
	alone := m.count() == 1
	m.sit(p, true)
	p.leg.Signal(core.Answer{})
	if (m.muteAll || m.set.MuteOnEntry) && p.role != core.Host {
		m.mute(p, true, "the host")
	}
	p.out = m.listen(p, m.mixer)
	m.look(p)
	m.placed(p)
	m.retell(p)
	switch {
	case fromLobby:
		m.say(p, "accepted")
	case alone:
		m.say(p, "you-are-alone")
	}
	if !p.info.Security.Encrypted() && p.info.Phone {
		m.say(p, "leg-clear")
	}
	if !alone {
		m.announce("joined")
	}
	m.changed("joined", p, core.Reason{})
	if p.role == core.Host {
		m.begin()
	}
}

// sit gives the party a new seat; the one before takes no more media.
func (m *Meeting) sit(p *party, open bool) {
	old := p.seat
	p.seat = &seat{m: m, p: p, open: open, sinks: map[core.Track]core.Sink{}}
	if old != nil {
		old.vacate()
	}
	p.leg.Sit(p.seat)
}

// listen sends the party what the mixer makes for it; nil if it cannot hear.
func (m *Meeting) listen(p *party, mixer *mix.Mixer) *mix.Output {
	info := p.leg.Info()
	if info.Audio.Name == "" {
		return nil
	}
	sink, err := p.leg.Subscribe(core.Track{Source: core.Mix, Codec: info.Audio})
	if err == nil {
		var out *mix.Output
		if out, err = mixer.AddOutput(mix.OutputOptions{Party: info.ID, Codec: info.Audio, Sink: sink, Forwarded: info.Forwarded}); err == nil {
			return out
		}
		sink.Close()
	}
	m.log.Warn("party cannot be sent sound", "leg", info.ID, "codec", info.Audio.Name, "error", err)
	return nil
}

// look has the party sent what it can see, once it can. One who waits sees a
// screen that says so.
func (m *Meeting) look(p *party) {
	i := &p.info
	waits := p.state == core.Waiting
	switch {
	case p.sub != nil || !p.shows():
	case !waits:
		p.sub = m.router.Subscribe(p.leg)
		p.sub.Layout(p.layout)
	case !i.Forwarded:
		p.sub = m.foyer.Subscribe(p.leg)
	}
	if waits && p.sub != nil {
		_, text := m.awaited(p)
		p.sub.Writing("Please wait", text)
	}
	m.stirred.Store(true)
}

// left is the end of a party's stay.
func (m *Meeting) left(s *seat, r core.Reason) {
	p := s.p
	i := slices.Index(m.parties, p)
	if i < 0 || p.seat != s {
		return
	}
	m.parties = slices.Delete(m.parties, i, i+1)
	m.unhear(p)
	m.releaseFloor(s)
	wasIn := p.state != core.Waiting
	m.changed("left", p, r)
	if wasIn {
		m.announce("left")
	}
	if m.count() == 0 {
		m.said = nil
	}
}

func (m *Meeting) unhear(p *party) {
	if p.out != nil {
		p.out.Close()
		p.out = nil
	}
	if p.sub != nil {
		p.sub.Close()
		p.sub = nil
	}
}

// inside are those admitted.
func (m *Meeting) inside() iter.Seq[*party] {
	return func(yield func(*party) bool) {
		for _, p := range m.parties {
			if p.state != core.Waiting && !yield(p) {
				return
			}
		}
	}
}

// watched: somebody shows something.
func (m *Meeting) watched() bool { return slices.ContainsFunc(m.parties, (*party).shows) }

// count is how many are admitted.
func (m *Meeting) count() (n int) {
	for range m.inside() {
		n++
	}
	return n
}

func (m *Meeting) find(id string) *party {
	for _, p := range m.parties {
		if p.info.ID == id {
			return p
		}
	}
	return nil
}

// refresh takes up what a renegotiation has changed: all, or the pictures only.
func (m *Meeting) refresh(p *party, video bool) {
	held := p.state == core.Held
	p.info = p.leg.Info()
	mixer := m.mixer
	if p.state == core.Waiting {
		mixer = m.lobby
	}
	m.look(p)
	if !video {
		if p.out != nil {
			p.out.Close()
		}
		p.out = m.listen(p, mixer)
	}
	if p.sub != nil {
		p.sub.Refresh()
		m.stirred.Store(true)
	}
	if !held {
		m.dirty = true
	}
	m.changed("changed", p, core.Reason{})
}

// Comings and goings are heard in small meetings only, and no more often than
// one can listen to: when many come at once, one of them is announced.
const (
	announceUpTo  = 12
	announceEvery = 5 * time.Second
)

func (m *Meeting) announce(prompt string) {
	here, now := m.count(), core.Now()
	if m.set.Quiet || here == 0 || here > announceUpTo || m.announced && now-m.announcedAt < announceEvery {
		return
	}
	m.announced, m.announcedAt = true, now
	m.mixer.Play(m.opt.Voice.Say(prompt)...)
}

// say plays prompts to one party alone, if it has no screen to read.
func (m *Meeting) say(p *party, prompts ...string) {
	if p.out == nil || p.info.Forwarded {
		return
	}
	var clips []*mix.Clip
	for _, name := range prompts {
		clips = append(clips, m.opt.Voice.Say(name)...)
	}
	p.out.Play(clips...)
}

func (m *Meeting) placed(p *party) {
	p.leg.Signal(core.Placed{Meeting: m.opt.Number, Name: m.set.Name, State: p.state, Awaits: p.awaits, Role: p.role, Locked: m.locked})
}

func (m *Meeting) changed(what string, p *party, r core.Reason) {
	m.dirty, m.moved = true, true
	m.notify(Change{What: what, Party: p.view(), Reason: r, User: p.info.User})
}

func (m *Meeting) notify(c Change) {
	c.Meeting, c.Owner = m.opt.Number, m.set.Owner
	m.opt.Notify(c)
}
