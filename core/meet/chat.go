package meet

import (
	"fmt"
	"time"

	"bridgehead/core"
)

// Chat follows what is written in meetings, and may close that.
type Chat interface {
	// Policy tells whether parties may write, and whether who comes in is shown
	// what was written since the meeting was last empty.
	Policy() (open, history bool)
	// Said is told of every line; it must not block.
	Said(Line)
}

// Line is what a party has written in a meeting.
type Line struct {
	Meeting  string
	Protocol core.Protocol
	User     string // account or device that the party has proved to be
	Text     core.Text
}

const (
	maxLines = 100 // shown to newcomers
	// A party may write so many lines at once, and then one in each interval.
	writeBurst = 10
	writeEvery = 500 * time.Millisecond
)

func (m *Meeting) chatPolicy() (open, history bool) {
	if m.opt.Chat == nil {
		return true, true
	}
	return m.opt.Chat.Policy()
}

// text takes what a party writes to all inside, itself too.
func (m *Meeting) text(p *party, t core.Text) {
	if !core.Writable(t.Body) {
		p.leg.Signal(core.Notice{Code: "chat", Text: fmt.Sprintf("A message has 1 to %d bytes of text: yours was not sent.", core.MaxText)})
		return
	}
	if open, _ := m.chatPolicy(); !open {
		p.leg.Signal(core.Notice{Code: "chat", Text: "Chat is turned off on this bridge."})
		return
	}
	if !p.writes.Allow() {
		p.leg.Signal(core.Notice{Code: "chat", Text: "That was too fast: your last message was not sent."})
		return
	}
	t.From, t.Name = p.info.ID, p.name
	if m.said = append(m.said, t); len(m.said) > maxLines {
		m.said = m.said[1:]
	}
	for o := range m.inside() {
		o.leg.Signal(t)
	}
	if m.opt.Chat != nil {
		m.opt.Chat.Said(Line{Meeting: m.opt.Number, Protocol: p.info.Protocol, User: p.info.User, Text: t})
	}
}

// retell shows a newcomer with a screen what was written before.
func (m *Meeting) retell(p *party) {
	if _, history := m.chatPolicy(); !history || !p.info.Forwarded {
		return
	}
	for _, t := range m.said {
		p.leg.Signal(t)
	}
}
