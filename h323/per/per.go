// Package per is the aligned variant of ASN.1's Packed Encoding Rules
// (BASIC-PER ALIGNED, ITU-T X.691), in which every message of H.323 is
// written: H.225.0, H.245, H.235 and what they carry.
//
// A Go type is its own description, as in encoding/json:
//
//	SEQUENCE     a struct; an OPTIONAL component is a pointer, or a slice that
//	             is nil when absent
//	CHOICE       a struct whose first field is "_ Choice", with a pointer for
//	             each alternative, of which one is not nil
//	"..."        a field of type Extensions where the marker stands; the
//	             fields behind it are extension additions, all of which may
//	             be absent, and the field itself keeps those that the type
//	             does not know
//	SEQUENCE OF  a slice
//	INTEGER      int or int64 (at most 64 bits)
//	ENUMERATED   a named int
//	others       bool, string, Null, OctetString, BitString, OID, OpenType
//
// Constraints that PER can see stand in the tag "per", in words that are
// separated by blanks: "1..128" and "1.." (value), "size 1..8", "size 4",
// "from 0123456789", a string's kind (ia5, numeric, printable, visible, bmp,
// general), "enum 4" (how many in the root), "optional" (of a slice), and
// "of" before the constraints of a list's elements. ",..." behind a range or a
// number says that it is extensible. A component's ASN.1 name is the name in
// its tag "json".
//
// What is decoded is taken to be hostile: nesting, counts and the memory that
// a message may cost are bounded, and an error says at which bit and in which
// component it arose.
package per

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxDepth    = 64    // of nested SEQUENCE, CHOICE and SEQUENCE OF
	maxBitmap   = 16383 // extension additions of one SEQUENCE
	budgetBase  = 64 << 10
	budgetTimes = 256 // octets of memory that an octet of a message may cost
)

// Choice, as the type of a struct's first field, makes the struct a CHOICE.
type Choice struct{}

// Null is the value of type NULL.
type Null struct{}

// MarshalJSON writes null.
func (Null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON accepts anything.
func (*Null) UnmarshalJSON([]byte) error { return nil }

// OctetString is an OCTET STRING; as text it is hexadecimal.
type OctetString []byte

// MarshalText writes hexadecimal digits.
func (o OctetString) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, o), nil }

// OpenType is the complete encoding of a value of some other type.
type OpenType []byte

// MarshalText writes hexadecimal digits.
func (o OpenType) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, o), nil }

// BitString is a BIT STRING of Len bits, the first in the highest bit of
// Bytes[0]. Unused bits of the last octet are zero.
type BitString struct {
	Bytes []byte
	Len   int
}

// Bits is a bit string of whole octets.
func Bits(b []byte) BitString { return BitString{Bytes: b, Len: 8 * len(b)} }

// MarshalText writes hexadecimal digits, and ":n" behind them if the number of
// bits, n, is not that of whole octets.
func (b BitString) MarshalText() ([]byte, error) {
	t := hex.AppendEncode(nil, b.Bytes)
	if b.Len != 8*len(b.Bytes) {
		t = strconv.AppendInt(append(t, ':'), int64(b.Len), 10)
	}
	return t, nil
}

// Extensions are the extension additions of a SEQUENCE, or the one alternative
// of a CHOICE, that its type does not know: a newer version's.
type Extensions []Addition

// Addition is one unknown extension addition.
type Addition struct {
	Index int         `json:"index"` // among the additions of the type, from 0
	Value OctetString `json:"value"` // its encoding
}

// Error says what was wrong with a message or a value, and where.
type Error struct {
	Bit  int    // of the message, from 0; -1 for a value that can't be encoded
	Path string // components, as "setup.sourceAddress[0].h323-ID"
	Msg  string
}

func (e *Error) Error() string {
	where := strings.TrimPrefix(e.Path, ".")
	if where != "" {
		where += ": "
	}
	if e.Bit < 0 {
		return "per: " + where + e.Msg
	}
	return fmt.Sprintf("per: bit %d: %s%s", e.Bit, where, e.Msg)
}

// within puts a component's name before the path of an error.
func within(err error, name string) error {
	if e, ok := err.(*Error); ok {
		e.Path = "." + name + e.Path
	}
	return err
}

// withinItem puts the index of a list's element before the path of an error.
func withinItem(err error, i int) error {
	if e, ok := err.(*Error); ok {
		e.Path = "[" + strconv.Itoa(i) + "]" + e.Path
	}
	return err
}

// EnumName is the name of an ENUMERATED's value, or its number if it has none.
func EnumName(v int, names ...string) string {
	if v >= 0 && v < len(names) {
		return names[v]
	}
	return strconv.Itoa(v)
}
