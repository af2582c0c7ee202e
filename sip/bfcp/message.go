// Package bfcp is the Binary Floor Control Protocol (RFC 8855): by it a room
// system asks for the right to present, the floor, and learns who has it. There
// is one floor to a call here, that of the content.
//
// A [Conn] carries the protocol for one call, as the floor control server or as
// a participant, over a stream (TCP, TLS) or datagrams (UDP, DTLS). A [Port]
// takes the connections of all calls on one number. The SDP that leads to them
// (RFC 8856) is in sip/sdp.
package bfcp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Primitive is the kind of a message (RFC 8855, table 1).
type Primitive uint8

// The primitives.
const (
	FloorRequest Primitive = iota + 1
	FloorRelease
	FloorRequestQuery
	FloorRequestStatus
	UserQuery
	UserStatus
	FloorQuery
	FloorStatus
	ChairAction
	ChairActionAck
	Hello
	HelloAck
	ErrorMessage
	FloorRequestStatusAck
	FloorStatusAck
	Goodbye
	GoodbyeAck
)

// Status of a request for the floor (RFC 8855, table 4).
type Status uint8

// The states of a request.
const (
	Pending Status = iota + 1
	Accepted
	Granted
	Denied
	Cancelled
	Released
	Revoked
)

// Codes of errors (RFC 8855, table 5).
const (
	noConference     = 1
	noUser           = 2
	unknownPrimitive = 3
	invalidFloor     = 6
	noRequest        = 7
)

// attribute types (RFC 8855, table 2).
const (
	attrBeneficiary    = 1
	attrFloor          = 2
	attrFloorRequest   = 3
	attrRequestStatus  = 5
	attrErrorCode      = 6
	attrAttributes     = 10
	attrPrimitives     = 11
	attrBeneficiaryInf = 14
	attrRequestInf     = 15
	attrFloorStatus    = 17
	attrOverallStatus  = 18
)

// Message is one message, with what a bridge that knows one floor needs of its
// attributes.
type Message struct {
	// Version is 1 over a stream and 2 over datagrams.
	Version     uint8
	Response    bool // version 2 only
	Primitive   Primitive
	Conference  uint32
	Transaction uint16
	User        uint16

	Floor       uint16  // FLOOR-ID; 0: none
	Beneficiary uint16  // BENEFICIARY-ID
	Error       uint8   // ERROR-CODE
	Request     uint16  // FLOOR-REQUEST-ID, where it stands alone
	Status      *Report // FLOOR-REQUEST-INFORMATION
}

// Report tells how a request for a floor stands.
type Report struct {
	Request     uint16
	Floor       uint16
	Status      Status
	Beneficiary uint16
}

const (
	headerSize = 12
	// maxPayload bounds what is read of a message, in bytes: far more than one
	// floor needs.
	maxPayload = 4096
	maxDepth   = 3
	maxAttrs   = 64
)

// ErrMalformed is what all errors of parsing wrap.
var ErrMalformed = errors.New("bfcp: malformed message")

func malformed(what string, at int) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, at)
}

// payloadSize reads the header's length, in bytes.
func payloadSize(header []byte) int { return 4 * int(binary.BigEndian.Uint16(header[2:])) }

// Parse reads a message, which b holds exactly.
func Parse(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, malformed("header cut short", len(b))
	}
	m := Message{
		Version: b[0] >> 5, Response: b[0]>>4 == 2<<1|1, Primitive: Primitive(b[1]), Conference: binary.BigEndian.Uint32(b[4:]),
		Transaction: binary.BigEndian.Uint16(b[8:]), User: binary.BigEndian.Uint16(b[10:]),
	}
	switch {
	case m.Version != 1 && m.Version != 2:
		return m, malformed(fmt.Sprintf("version %d", m.Version), 0)
	case b[0]&0x08 != 0:
		return m, malformed("a fragment, of which none is needed here", 0)
	case payloadSize(b) != len(b)-headerSize || len(b)-headerSize > maxPayload:
		return m, malformed(fmt.Sprintf("payload of %d bytes in a message of %d", payloadSize(b), len(b)), 2)
	}
	return m, m.attributes(b, headerSize, 0)
}

// attributes reads those from b[at:]. Groups are read like what they hold.
func (m *Message) attributes(b []byte, at, depth int) error {
	for n := 0; at < len(b); n++ {
		if len(b)-at < 2 {
			return malformed("attribute cut short", at)
		}
		kind, size := b[at]>>1, int(b[at+1])
		if size < 2 || at+size > len(b) || n == maxAttrs {
			return malformed(fmt.Sprintf("attribute %d of %d bytes", kind, size), at)
		}
		if err := m.attribute(kind, b[:at+size], at+2, depth); err != nil {
			return err
		}
		at += (size + 3) &^ 3
	}
	return nil
}

func (m *Message) attribute(kind uint8, b []byte, at, depth int) error {
	switch kind {
	case attrBeneficiary, attrFloor, attrFloorRequest, attrRequestStatus, attrRequestInf, attrFloorStatus, attrOverallStatus, attrBeneficiaryInf:
		if len(b)-at < 2 {
			return malformed("value cut short", at)
		}
	case attrErrorCode:
		if m.Primitive == ErrorMessage && len(b) > at { // it means nothing elsewhere
			m.Error = b[at]
		}
		return nil
	default:
		return nil
	}
	v := binary.BigEndian.Uint16(b[at:])
	switch kind {
	case attrBeneficiary:
		m.Beneficiary = v
	case attrFloor:
		m.Floor = v
	case attrFloorRequest:
		m.Request = v
	case attrRequestStatus:
		m.report().Status = Status(b[at])
	case attrBeneficiaryInf:
		m.report().Beneficiary = v
	case attrRequestInf:
		m.report().Request = v
		return m.group(b, at, depth)
	case attrFloorStatus:
		m.report().Floor = v
		return m.group(b, at, depth)
	case attrOverallStatus:
		return m.group(b, at, depth)
	}
	return nil
}

func (m *Message) group(b []byte, at, depth int) error {
	if depth == maxDepth {
		return malformed("groups within groups", at)
	}
	return m.attributes(b, at+2, depth+1)
}

func (m *Message) report() *Report {
	if m.Status == nil {
		m.Status = &Report{}
	}
	return m.Status
}

// Append writes the message after b.
func (m *Message) Append(b []byte) []byte {
	at := len(b)
	first := m.Version << 5
	if m.Response && m.Version == 2 {
		first |= 0x10
	}
	b = append(b, first, byte(m.Primitive), 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.Conference)
	b = binary.BigEndian.AppendUint16(b, m.Transaction)
	b = binary.BigEndian.AppendUint16(b, m.User)
	if m.Floor != 0 {
		b = appendID(b, attrFloor, m.Floor)
	}
	if m.Beneficiary != 0 {
		b = appendID(b, attrBeneficiary, m.Beneficiary)
	}
	if m.Request != 0 {
		b = appendID(b, attrFloorRequest, m.Request)
	}
	if m.Status != nil {
		b = m.Status.append(b)
	}
	switch m.Primitive {
	case ErrorMessage:
		b = append(b, attrErrorCode<<1|1, 3, m.Error, 0)
	case HelloAck:
		b = appendList(b, attrPrimitives, func(p uint8) uint8 { return p }, uint8(GoodbyeAck))
		b = appendList(b, attrAttributes, func(a uint8) uint8 { return a << 1 }, attrOverallStatus)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-headerSize)/4)
	return b
}

func appendID(b []byte, kind uint8, v uint16) []byte {
	return append(b, kind<<1|1, 4, byte(v>>8), byte(v))
}

// appendList says that everything from 1 to the last is supported.
func appendList(b []byte, kind uint8, write func(uint8) uint8, last uint8) []byte {
	b = append(b, kind<<1|1, 2+last)
	for i := uint8(1); i <= last; i++ {
		b = append(b, write(i))
	}
	for ; (2+last)%4 != 0; last++ {
		b = append(b, 0)
	}
	return b
}

// append writes FLOOR-REQUEST-INFORMATION (RFC 8855, section 5.2.15).
func (r *Report) append(b []byte) []byte {
	at := len(b)
	b = appendID(b, attrRequestInf, r.Request)
	b = append(appendID(b, attrOverallStatus, r.Request), attrRequestStatus<<1|1, 4, byte(r.Status), 0)
	b[len(b)-7] = 8 // the group's length
	b = append(appendID(b, attrFloorStatus, r.Floor), attrRequestStatus<<1|1, 4, byte(r.Status), 0)
	b[len(b)-7] = 8
	if r.Beneficiary != 0 {
		b = appendID(b, attrBeneficiaryInf, r.Beneficiary)
	}
	b[at+1] = byte(len(b) - at)
	return b
}
