package control

import (
	"strings"

	"bridgehead/h323/h245"
)

const (
	keyNames = "0123456789*#ABCD"
	maxKeys  = 64 // of one UserInputIndication
)

// Digit sends a key: as a signal if the peer takes signals, and else as a
// string (H.245 7.12.7).
func (m *Machine) Digit(key byte) {
	if key >= 'a' && key <= 'd' {
		key -= 'a' - 'A'
	}
	if m.ended || !isKey(key) {
		return
	}
	u := &h245.UserInputIndication{Alphanumeric: new(string(key))}
	if m.peer.takesSignals() {
		u = &h245.UserInputIndication{Signal: &h245.UserInputIndicationSignal{SignalType: string(key)}}
	}
	m.indicate(h245.IndicationMessage{UserInput: u})
}

func isKey(key byte) bool { return strings.IndexByte(keyNames, key) >= 0 }

// userInput takes the peer's keys. A signal that says that it is in RTP too
// (RFC 4733) is taken from there, and an update only tells its length.
func (m *Machine) userInput(u *h245.UserInputIndication) {
	switch {
	case u.Alphanumeric != nil:
		m.pressed(*u.Alphanumeric)
	case u.ExtendedAlphanumeric != nil && u.ExtendedAlphanumeric.RtpPayloadIndication == nil:
		m.pressed(u.ExtendedAlphanumeric.Alphanumeric)
	case u.Signal != nil && u.Signal.RtpPayloadIndication == nil:
		m.pressed(u.Signal.SignalType)
	}
}

func (m *Machine) pressed(keys string) {
	for i := range min(len(keys), maxKeys) {
		key := keys[i]
		if key >= 'a' && key <= 'd' {
			key -= 'a' - 'A'
		}
		if isKey(key) {
			m.tell(Digit{Key: key})
		}
	}
}
