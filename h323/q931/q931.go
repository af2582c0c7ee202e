// Package q931 has the call signalling messages of ITU-T Q.931 as H.225.0 §7
// uses them: on TCP, in TPKTs (RFC 1006), with a call reference of two octets,
// and an ASN.1 value, package h225's H323UserInformation, in the user-user
// information element, whose length has two octets.
package q931

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Type is a message type (Q.931 §4.4).
type Type uint8

const (
	Alerting        Type = 0x01
	CallProceeding  Type = 0x02
	Progress        Type = 0x03
	Setup           Type = 0x05
	Connect         Type = 0x07
	SetupAck        Type = 0x0d
	ConnectAck      Type = 0x0f
	ReleaseComplete Type = 0x5a
	Facility        Type = 0x62
	Notify          Type = 0x6e
	StatusInquiry   Type = 0x75
	Information     Type = 0x7b
	Status          Type = 0x7d
)

var typeNames = map[Type]string{
	Alerting: "alerting", CallProceeding: "callProceeding", Progress: "progress", Setup: "setup", Connect: "connect",
	SetupAck: "setupAcknowledge", ConnectAck: "connectAcknowledge", ReleaseComplete: "releaseComplete",
	Facility: "facility", Notify: "notify", StatusInquiry: "statusInquiry", Information: "information", Status: "status",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("%#02x", uint8(t))
}

// MarshalText writes what String gives.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

const (
	protocol = 0x08 // Q.931's protocol discriminator
	maxIEs   = 128  // of one message
	maxRef   = 0x7fff
)

// Message is a call signalling message.
type Message struct {
	CallReference uint16 `json:"callReference"` // 15 bits
	FromCallee    bool   `json:"fromCallee"`    // the flag: set by the side that did not choose the reference
	Type          Type   `json:"messageType"`
	IEs           []IE   `json:"informationElements"` // in their order
}

// IE is an information element. One of a single octet (its highest bit is set)
// is all ID, and has no Value.
type IE struct {
	ID      uint8
	Codeset uint8 // 0, or what a shift before it says (Q.931 §4.5.2)
	Value   []byte
	at      int // octets before Value in the message
}

// Offset is where in the message that it was parsed from Value begins.
func (e *IE) Offset() int { return e.at }

// Error says at which bit a message is malformed.
type Error struct {
	Bit int
	Msg string
}

func (e *Error) Error() string { return fmt.Sprintf("q931: bit %d: %s", e.Bit, e.Msg) }

func malformed(octet int, format string, args ...any) error {
	return &Error{Bit: 8 * octet, Msg: fmt.Sprintf(format, args...)}
}

// Parse reads a message. The elements' values are parts of b. Errors are of
// type *Error.
func Parse(b []byte) (*Message, error) {
	switch {
	case len(b) < 5:
		return nil, malformed(len(b), "the message ends in its header")
	case b[0] != protocol:
		return nil, malformed(0, "protocol discriminator %#02x", b[0])
	case b[1] != 2:
		return nil, malformed(1, "a call reference of %d octets; H.225.0 has 2", b[1]&0xf)
	}
	ref := binary.BigEndian.Uint16(b[2:])
	m := &Message{CallReference: ref & maxRef, FromCallee: ref > maxRef, Type: Type(b[4])}
	locked, next := uint8(0), uint8(0) // codesets
	for at := 5; at < len(b); {
		e, n, err := parseIE(b, at, next)
		if err != nil {
			return nil, err
		}
		if len(m.IEs) == maxIEs {
			return nil, malformed(at, "more than %d information elements", maxIEs)
		}
		m.IEs = append(m.IEs, e)
		at, next = n, locked
		if e.ID&0xf0 == 0x90 {
			next = e.ID & 7
			if e.ID&8 == 0 { // locking
				locked = next
			}
		}
	}
	return m, nil
}

// parseIE reads the element at b[at] and says where the next one begins.
func parseIE(b []byte, at int, codeset uint8) (IE, int, error) {
	e := IE{ID: b[at], Codeset: codeset}
	if e.ID&0x80 != 0 {
		return e, at + 1, nil
	}
	head := 1 + e.lengthSize()
	if len(b)-at < head {
		return e, 0, malformed(len(b), "the message ends in the length of element %#02x", e.ID)
	}
	n := int(b[at+1])
	if head == 3 {
		n = n<<8 | int(b[at+2])
	}
	e.at = at + head
	if len(b)-e.at < n {
		return e, 0, malformed(at+1, "element %#02x of %d octets, %d are left", e.ID, n, len(b)-e.at)
	}
	e.Value = b[e.at : e.at+n : e.at+n]
	return e, e.at + n, nil
}

// lengthSize is how many octets the length has: two in the user-user element
// (H.225.0 §7.2.2.31), elsewhere one.
func (e *IE) lengthSize() int {
	if e.ID == UserUser && e.Codeset == 0 {
		return 2
	}
	return 1
}

// Append appends the message to dst.
func (m *Message) Append(dst []byte) ([]byte, error) {
	if m.CallReference > maxRef {
		return dst, fmt.Errorf("q931: call reference %d has more than 15 bits", m.CallReference)
	}
	ref := m.CallReference
	if m.FromCallee {
		ref |= maxRef + 1
	}
	out := append(dst, protocol, 2, byte(ref>>8), byte(ref), byte(m.Type))
	for i := range m.IEs {
		e := &m.IEs[i]
		out = append(out, e.ID)
		switch n := len(e.Value); {
		case e.ID&0x80 != 0:
		case n > 255 && e.lengthSize() == 1, n > 65535:
			return dst, fmt.Errorf("q931: element %#02x of %d octets", e.ID, n)
		case e.lengthSize() == 2:
			out = append(binary.BigEndian.AppendUint16(out, uint16(n)), e.Value...)
		default:
			out = append(append(out, byte(n)), e.Value...)
		}
	}
	return out, nil
}

// Find returns the first element of that ID in codeset 0, or nil.
func (m *Message) Find(id uint8) *IE {
	for i := range m.IEs {
		if e := &m.IEs[i]; e.ID == id && e.Codeset == 0 {
			return e
		}
	}
	return nil
}

// MarshalJSON writes the element's name, its octets in hexadecimal, and what
// they mean where that is known.
func (e IE) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID      string `json:"id"`
		Name    string `json:"name,omitempty"`
		Codeset uint8  `json:"codeset,omitempty"`
		Octets  string `json:"octets"`
		Value   any    `json:"value,omitempty"`
	}{hex.EncodeToString([]byte{e.ID}), e.name(), e.Codeset, hex.EncodeToString(e.Value), e.meaning()})
}
