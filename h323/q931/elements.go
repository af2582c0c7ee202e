package q931

import "strings"

// Information elements that H.225.0 §7.2.2 uses.
const (
	Bearer            = 0x04
	CauseIE           = 0x08
	CallState         = 0x14
	FacilityIE        = 0x1c
	ProgressIndicator = 0x1e
	NotifyIndicator   = 0x27
	Display           = 0x28
	Keypad            = 0x2c
	Signal            = 0x34
	Calling           = 0x6c
	Called            = 0x70
	Redirecting       = 0x74
	UserUser          = 0x7e
	SendingComplete   = 0xa1
)

var names = map[uint8]string{
	Bearer: "bearerCapability", CauseIE: "cause", CallState: "callState", FacilityIE: "facility",
	ProgressIndicator: "progressIndicator", NotifyIndicator: "notificationIndicator", Display: "display",
	Keypad: "keypadFacility", Signal: "signal", Calling: "callingPartyNumber", Called: "calledPartyNumber",
	Redirecting: "redirectingNumber", UserUser: "userUser", SendingComplete: "sendingComplete",
}

func (e *IE) name() string {
	if e.Codeset != 0 {
		return ""
	}
	return names[e.ID]
}

// meaning is the element's value, or nil.
func (e *IE) meaning() any {
	if e.Codeset != 0 {
		return nil
	}
	var v any
	ok := true
	switch e.ID {
	case Bearer:
		v, ok = e.Bearer()
	case CauseIE:
		v, ok = e.Cause()
	case ProgressIndicator:
		v, ok = e.Progress()
	case Display, Keypad:
		v = e.Text()
	case Calling, Called:
		v, ok = e.Number()
	}
	if !ok {
		return nil
	}
	return v
}

// asn1 is the protocol discriminator of a user-user element in X.208/X.209
// notation, as all of H.323's are.
const asn1 = 0x05

// User returns the encoding of the H323UserInformation that the user-user
// element holds, and the octets before it in the message.
func (m *Message) User() (b []byte, offset int, ok bool) {
	e := m.Find(UserUser)
	if e == nil || len(e.Value) < 1 || e.Value[0] != asn1 {
		return nil, 0, false
	}
	return e.Value[1:], e.at + 1, true
}

// UserIE makes the user-user element of an encoded H323UserInformation.
func UserIE(b []byte) IE { return IE{ID: UserUser, Value: append([]byte{asn1}, b...)} }

// Text is the value of display and keypad facility: IA5 characters, without
// the zero that some endpoints end them with.
func (e *IE) Text() string { return strings.TrimRight(string(e.Value), "\x00") }

// Number is a calling (Q.931 §4.5.10) or called party number (§4.5.8).
type Number struct {
	Type         uint8  `json:"typeOfNumber"`  // 0 unknown, 1 international, 2 national …
	Plan         uint8  `json:"numberingPlan"` // 0 unknown, 1 E.164, 9 private
	Presentation uint8  `json:"presentation"`  // of a calling number: 0 allowed, 1 restricted
	Screening    uint8  `json:"screening"`
	Digits       string `json:"digits"`
}

// Number reads a party number.
func (e *IE) Number() (n Number, ok bool) {
	v := e.Value
	if len(v) < 1 {
		return n, false
	}
	n.Type, n.Plan = v[0]>>4&7, v[0]&0xf
	digits := v[1:]
	if v[0]&0x80 == 0 { // octet 3a
		if len(digits) < 1 {
			return n, false
		}
		n.Presentation, n.Screening = digits[0]>>5&3, digits[0]&3
		digits = digits[1:]
	}
	n.Digits = string(digits)
	return n, true
}

// CalledIE makes a called party number.
func CalledIE(n Number) IE {
	return IE{ID: Called, Value: append([]byte{0x80 | n.Type&7<<4 | n.Plan&0xf}, n.Digits...)}
}

// CallingIE makes a calling party number.
func CallingIE(n Number) IE {
	head := []byte{n.Type&7<<4 | n.Plan&0xf, 0x80 | n.Presentation&3<<5 | n.Screening&3}
	return IE{ID: Calling, Value: append(head, n.Digits...)}
}

// DisplayIE makes a display, of at most 82 characters (Q.931 §4.5.16).
func DisplayIE(s string) IE { return IE{ID: Display, Value: []byte(s[:min(len(s), 82)])} }

// Cause is why a call ends (Q.850).
type Cause struct {
	Location uint8 `json:"location"` // 0 user … 5 private network of the remote user
	Value    uint8 `json:"value"`    // 1 … 127
}

// Cause reads a cause; its diagnostics are passed over.
func (e *IE) Cause() (c Cause, ok bool) {
	v := e.Value
	if len(v) > 0 && v[0]&0x80 == 0 { // octet 3a, a recommendation
		v = v[1:]
	}
	if len(v) < 2 {
		return c, false
	}
	return Cause{Location: e.Value[0] & 0xf, Value: v[1] & 0x7f}, true
}

// CauseOf makes a cause (coding standard ITU-T).
func CauseOf(c Cause) IE {
	return IE{ID: CauseIE, Value: []byte{0x80 | c.Location&0xf, 0x80 | c.Value}}
}

// ProgressValue is a progress indicator (Q.931 §4.5.23).
type ProgressValue struct {
	Location    uint8 `json:"location"`
	Description uint8 `json:"description"` // 1 not end-to-end ISDN, 8 in-band information …
}

// Progress reads a progress indicator.
func (e *IE) Progress() (p ProgressValue, ok bool) {
	if len(e.Value) < 2 {
		return p, false
	}
	return ProgressValue{Location: e.Value[0] & 0xf, Description: e.Value[1] & 0x7f}, true
}

// ProgressIE makes a progress indicator.
func ProgressIE(p ProgressValue) IE {
	return IE{ID: ProgressIndicator, Value: []byte{0x80 | p.Location&0xf, 0x80 | p.Description}}
}

// BearerValue is a bearer capability (H.225.0 §7.2.2.1).
type BearerValue struct {
	Capability uint8 `json:"transferCapability"` // 0 speech, 8 unrestricted digital information
	Rate       uint8 `json:"transferRate"`       // 0x10 64 kbit/s, 0x18 multirate
	Multiplier uint8 `json:"rateMultiplier"`     // of 64 kbit/s, with multirate
	Layer1     uint8 `json:"layer1Protocol"`     // 2 G.711 µ-law, 3 A-law, 5 H.221 and H.242
}

const multirate = 0x18

// Bearer reads a bearer capability.
func (e *IE) Bearer() (b BearerValue, ok bool) {
	v := e.Value
	if len(v) < 2 {
		return b, false
	}
	b.Capability, b.Rate = v[0]&0x1f, v[1]&0x1f
	v = v[2:]
	if b.Rate == multirate && len(v) > 0 {
		b.Multiplier, v = v[0]&0x7f, v[1:]
	}
	if len(v) > 0 && v[0]&0x60 == 0x20 {
		b.Layer1 = v[0] & 0x1f
	}
	return b, true
}

// BearerIE makes a bearer capability in circuit mode.
func BearerIE(b BearerValue) IE {
	v := []byte{0x80 | b.Capability&0x1f, 0x80 | b.Rate&0x1f}
	if b.Rate == multirate {
		v = append(v, 0x80|b.Multiplier)
	}
	return IE{ID: Bearer, Value: append(v, 0xa0|b.Layer1&0x1f)}
}
