package meet

import (
	"slices"
	"time"

	"bridgehead/core"
	"bridgehead/core/mix"
)

// keypad collects the keys of a command: * and what follows. No command is one
// lost key away from one that ends or removes anything.
type keypad struct {
	typed string
	at    time.Duration
}

// keyPause ends a command that was not finished.
const keyPause = 4 * time.Second

// add takes a key and returns the command that it completes, or "".
func (k *keypad) add(key byte, now time.Duration) string {
	if now-k.at > keyPause {
		k.typed = ""
	}
	k.at = now
	if k.typed == "" && key != '*' {
		return ""
	}
	k.typed += string(key)
	if k.typed == "*" || k.typed == "*9" {
		return ""
	}
	done := k.typed
	k.typed = ""
	return done
}

// press takes a key that a party pressed.
func (m *Meeting) press(p *party, key byte) {
	typed := p.keys.add(key, core.Now())
	if typed == "" || p.state == core.Waiting {
		return
	}
	switch typed {
	case "*6":
		e := core.Mute{Source: core.Microphone, On: !p.muted()}
		m.muteSelf(p, e)
		p.leg.Signal(e) // who has a button, too, sees it pressed
	case "*3":
		m.hand(p, !p.hand)
	case "*4":
		m.sayRoster(p)
	case "*2":
		m.nextLayout(p)
	case "**":
		m.say(p, map[core.Role]string{core.Host: "help-host", core.Guest: "help-guest"}[p.role])
	case "*91", "*92", "*95", "*97":
		m.pressHost(p, typed)
	}
}

func (m *Meeting) pressHost(p *party, typed string) {
	verb := map[string]core.Verb{
		"*91": core.Accept, "*92": core.Reject,
		"*95": map[bool]core.Verb{false: core.MuteAll, true: core.UnmuteAll}[m.muteAll],
		"*97": map[bool]core.Verb{false: core.Lock, true: core.Unlock}[m.locked],
	}[typed]
	if !m.may(p, verb) {
		m.say(p, "not-permitted")
		return
	}
	c := core.Command{Verb: verb}
	if i := slices.IndexFunc(m.parties, func(w *party) bool { return w.state == core.Waiting && !w.leaving() }); i >= 0 {
		c.Party = m.parties[i].info.ID // for those that concern one
	}
	_ = m.carryOut(p, c) // nobody may be waiting
}

// leaving tells that the party has been told to go.
func (p *party) leaving() bool {
	p.seat.mu.Lock()
	defer p.seat.mu.Unlock()
	return p.seat.gone
}

// sayRoster tells how many are here.
func (m *Meeting) sayRoster(p *party) {
	if p.out == nil {
		return
	}
	n := m.count()
	if n == 1 {
		m.say(p, "you-are-alone")
		return
	}
	var clips []*mix.Clip
	clips = append(clips, m.opt.Voice.Count(n)...)
	p.out.Play(append(clips, m.opt.Voice.Say("participants")...)...)
}
