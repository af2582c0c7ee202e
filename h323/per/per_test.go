package per_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"bridgehead/h323/per"
)

type (
	flag[T any] struct {
		B bool `json:"b"`
		V T    `json:"v"`
	}
	letter int
	choice struct {
		_          per.Choice
		A          *int           `json:"a" per:"0..7"`
		B          *bool          `json:"b"`
		Extensions per.Extensions `json:"..."`
		C          *int           `json:"c" per:"0..65535"`
		D          *per.Null      `json:"d"`
	}
	sequence struct {
		A          *int            `json:"a" per:"0..7"`
		B          bool            `json:"b"`
		Extensions per.Extensions  `json:"..."`
		C          *int            `json:"c" per:"0..65535"`
		D          *bool           `json:"d"`
		E          per.OctetString `json:"e"`
	}
)

// of is a value under the constraints of a tag: structs in which reflect sets
// the tag are the shortest way to many of them.
func of(value any, tag string) any {
	t := reflect.StructOf([]reflect.StructField{
		{Name: "V", Type: reflect.TypeOf(value), Tag: reflect.StructTag(`json:"v" per:"` + tag + `"`)}})
	s := reflect.New(t)
	s.Elem().Field(0).Set(reflect.ValueOf(value))
	return s.Interface()
}

// after is the same behind a BOOLEAN that is true, off the octet boundary.
func after(value any, tag string) any {
	t := reflect.StructOf([]reflect.StructField{
		{Name: "B", Type: reflect.TypeFor[bool](), Tag: `json:"b"`},
		{Name: "V", Type: reflect.TypeOf(value), Tag: reflect.StructTag(`json:"v" per:"` + tag + `"`)}})
	s := reflect.New(t)
	s.Elem().Field(0).SetBool(true)
	s.Elem().Field(1).Set(reflect.ValueOf(value))
	return s.Interface()
}

func bitString(n int, b ...byte) per.BitString { return per.BitString{Bytes: b, Len: n} }

func sevens(n int) per.OctetString { return bytes.Repeat([]byte{7}, n) }

func trues(n int) []bool {
	b := make([]bool, n)
	for i := range b {
		b[i] = true
	}
	return b
}

// What Erlang's asn1ct (-bper) writes. Of a long encoding, the first eight
// octets and the SHA-256 of all.
var primitives = []struct {
	value any
	wire  string
}{
	{of(5, "5"), "00"}, {of(5, "0..7"), "a0"}, {of(254, "0..254"), "fe"}, {of(255, "0..255"), "ff"},
	{of(256, "1..256"), "ff"}, {of(256, "0..256"), "0100"}, {of(258, "0..65535"), "0102"},
	{of(65536, "0..65536"), "80010000"}, {of(1, "0..65536"), "0001"},
	{of(int64(0x01020304), "0..4294967295"), "c001020304"}, {of(int64(300), "0..4294967295"), "40012c"},
	{of(-20, "-20..20"), "00"}, {of(20, "-20..20"), "a0"},
	{of(int64(1), "1.."), "0100"}, {of(int64(256), "1.."), "01ff"}, {of(int64(257), "1.."), "020100"},
	{of(int64(0), ""), "0100"}, {of(int64(-1), ""), "01ff"}, {of(int64(127), ""), "017f"}, {of(int64(128), ""), "020080"},
	{of(int64(-128), ""), "0180"}, {of(int64(-129), ""), "02ff7f"}, {of(int64(1<<63-1), ""), "087fffffffffffffff"},
	{of(int64(10), "1..10,..."), "48"}, {of(int64(11), "1..10,..."), "80010b"}, {of(int64(-5), "1..10,..."), "8001fb"},
	{after(258, "0..65535"), "800102"},

	{after(per.OctetString{1, 2}, "size 2"), "808100"}, {after(per.OctetString{1, 2, 3, 4}, "size 4"), "8001020304"},
	{after(per.OctetString{}, "size 0..3"), "80"}, {after(per.OctetString{1, 2}, "size 0..3"), "c00102"},
	{after(per.OctetString{1}, "size 1..2,..."), "8001"}, {after(per.OctetString{1, 2, 3}, "size 1..2,..."), "c003010203"},
	{of(per.OctetString{}, ""), "00"},
	{of(sevens(200), ""), "80c8070707070707c9f04f2e4fdab13d434dd209e9ce61f477f682a12285c7de665e664a414e1681"},
	{of(sevens(16384), ""), "c1070707070707077131d33b198cfeff8d9737bb430b8e956228ec92684865de98a9464367e4cc4e"},
	{of(sevens(70000), ""), "c407070707070707b6c1659496252b962271ec330f14fb8685d0b74dcb9f2c622ed7cf59bb5dc094"},
	{after(bitString(12, 0xab, 0xc0), "size 12"), "d5e0"}, {after(bitString(17, 0xab, 0xcd, 0x80), "size 17"), "80abcd80"},
	{after(bitString(0, []byte{}...), "size 0..20"), "80"}, {after(bitString(3, 0xa0), "size 0..20"), "8ca0"}, {of(bitString(12, 0xab, 0xc0), ""), "0cabc0"},

	{after("123", "numeric size 1..3"), "c468"}, {after("1", "numeric size 1..3"), "84"},
	{after("", "numeric size 0..40"), "80"}, {after("12 9", "numeric size 0..40"), "88230a"},
	{after("7001*#,", "ia5 size 1..128 from 0123456789#*,"), "86a3341020"}, {after("!", "ia5 size 1 from 0123456789#*ABCD!"), "9080"},
	{after("abc", "ia5"), "8003616263"}, {after("bob", "bmp size 1..128"), "820062006f0062"},
	{after("1#", "general"), "80023123"}, {after("ab", "visible size 1..2"), "c06162"}, {after("a", "visible size 1..2"), "8061"},

	{after([]int{1, 2, 7}, "size 1..256 of 0..7"), "80022b80"}, {of([]bool{true, false, true}, ""), "03a0"}, {of([]bool{}, ""), "00"},
	{of(trues(16384), ""), "c1ffffffffffffff82fdd9b0a2c6f369ba9135e43f72801ca411f551a77317ac9ac707c3c4576ea7"},
	{of(trues(20000), ""), "c1ffffffffffffff3db27f3b214ff67cd3c4aa379918db466142c09b0fcda08a29324ea53ae4f7e4"},
	{after([]per.OctetString{}, "size 0..3 of size 0..2"), "80"},
	{after(letter(2), "enum 3,..."), "a0"}, {after(letter(4), "enum 3,..."), "c080"},
	{&choice{A: new(5)}, "28"}, {&choice{B: new(true)}, "60"}, {&choice{C: new(258)}, "80020102"}, {&choice{D: new(per.Null)}, "810100"},
	{&sequence{A: new(5), B: true}, "6c"}, {&sequence{B: true, C: new(258), E: per.OctetString{1, 2}}, "a0a802010203020102"},
	{&sequence{A: new(3), C: new(1), D: new(true), E: sevens(200)}, "d81702000101808096125d4215f608d001420547cdbc948a8b47a1831bf26238195fd2722dffe1fb"},
	{of(per.OID("0.0.8.2250.0.7"), ""), "060008914a0007"}, {of(per.OID("2.16.840.1.101.3.4.1.2"), ""), "09608648016503040102"}, {of(per.OID("1.39.1"), ""), "024f01"},
}

func TestPrimitives(t *testing.T) {
	for _, c := range primitives {
		b, err := per.Encode(c.value)
		if err != nil {
			t.Errorf("%+v: %v", c.value, err)
			continue
		}
		wire := b
		if len(b) > 60 {
			sum := sha256.Sum256(b)
			wire = append(append([]byte{}, b[:8]...), sum[:]...)
		}
		if hex.EncodeToString(wire) != c.wire {
			t.Errorf("%.60v is written as %x instead of %s", c.value, wire, c.wire)
		}
		again := reflect.New(reflect.TypeOf(c.value).Elem()).Interface()
		if n, err := per.Decode(b, again); err != nil || n != len(b) || !reflect.DeepEqual(again, c.value) {
			t.Errorf("%.60v is read as %.60v (%d octets), %v", c.value, again, n, err)
		}
		for cut := 0; cut < len(b) && cut < 100; cut++ {
			if _, err := per.Decode(b[:cut], reflect.New(reflect.TypeOf(c.value).Elem()).Interface()); err == nil {
				t.Errorf("%.60v: its first %d octets are a value", c.value, cut)
			}
		}
	}
}

// A UUID below 2.25 has an arc of 128 bits.
func TestLongArcs(t *testing.T) {
	oid := per.OID("2.25.340282366920938463463374607431768211455.1")
	b, err := per.Encode(&oid)
	if err != nil || hex.EncodeToString(b) != "156983ffffffffffffffffffffffffffffffffff7f01" {
		t.Errorf("%x, %v", b, err)
	}
	var again per.OID
	if _, err := per.Decode(b, &again); err != nil || again != oid {
		t.Errorf("%s, %v", again, err)
	}
}

// A newer peer's additions are kept and written again; an older one's bitmap
// may be shorter.
func TestUnknownExtensions(t *testing.T) {
	type older struct {
		B          bool           `json:"b"`
		Extensions per.Extensions `json:"..."`
		C          *int           `json:"c" per:"0..65535"`
	}
	type newer struct {
		B          bool           `json:"b"`
		Extensions per.Extensions `json:"..."`
		C          *int           `json:"c" per:"0..65535"`
		D          *bool          `json:"d"`
		E          *string        `json:"e" per:"ia5"`
	}
	whole := newer{B: true, C: new(1), E: new("new")}
	b, err := per.Encode(whole)
	if err != nil {
		t.Fatal(err)
	}
	var old older
	if _, err := per.Decode(b, &old); err != nil || len(old.Extensions) != 1 || old.Extensions[0].Index != 2 || *old.C != 1 {
		t.Fatalf("%+v, %v", old, err)
	}
	if again, err := per.Encode(old); err != nil || !bytes.Equal(again, b) {
		t.Errorf("%x instead of %x, %v", again, b, err)
	}
	short, err := per.Encode(older{C: new(9)})
	if err != nil {
		t.Fatal(err)
	}
	var young newer
	if _, err := per.Decode(short, &young); err != nil || *young.C != 9 || young.D != nil {
		t.Errorf("%+v, %v", young, err)
	}

	var c choice
	wire := []byte{0xbf, 2, 1, 2} // alternative 63
	if _, err := per.Decode(wire, &c); err != nil || len(c.Extensions) != 1 || c.Extensions[0].Index != 63 {
		t.Fatalf("%+v, %v", c, err)
	}
	if again, err := per.Encode(c); err != nil || !bytes.Equal(again, wire) {
		t.Errorf("%x, %v", again, err)
	}
}

type nested struct {
	N *nested `json:"n"`
}

func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name, wire string
		into       any
		message    string
	}{
		{"too high", "ff00", of(0, "0..200"), "bit 0: v: 255 is more than the highest value allowed, 200"},
		{"a count of 65535 NULLs", "ffff", &[]per.Null{}, "does not begin a length"},
		{"endless fragments of NULLs", strings.Repeat("c4", 300), &[]per.Null{}, "more than a message of this length can hold"},
		{"a list of 16383 structs", "bfff", &[]struct{ A, B, C, D, E, F, G, H, I bool }{}, "more than a message"},
		{"octets that are not there", "bfff00", &per.OctetString{}, "the message ends"},
		{"deep nesting", strings.Repeat("ff", 40), &nested{}, "nested deeper than 64"},
		{"a length of four fragments and nothing", "c4", &per.OctetString{}, "the message ends"},
		{"an INTEGER of 9 octets", "09010101010101010101", new(int64), "at most 8"},
		{"an INTEGER of none", "00", new(int64), "0 octets"},
		{"a bad digit", "00f0", of("", "ia5 size 1..128 from 0123456789#*,"), "is not one of"},
		{"an unended arc", "0281", new(per.OID), "the message ends"},
		{"an arc with a leading zero", "03008001", new(per.OID), "no OBJECT IDENTIFIER"},
		{"an OBJECT IDENTIFIER of none", "00", new(per.OID), "no OBJECT IDENTIFIER"},
		{"a bitmap of 16383", "e0bfff", &sequence{}, "the message ends"},
		{"inside of an addition", "80010102", &choice{}, "bit 16: c: the message ends"},
	} {
		b, err := hex.DecodeString(c.wire)
		if err != nil {
			t.Fatal(err)
		}
		_, err = per.Decode(b, c.into)
		var at *per.Error
		if !errors.As(err, &at) || at.Bit > 8*len(b) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestValuesThatAreNotAllowed(t *testing.T) {
	for _, c := range []struct {
		value any
		path  string
	}{
		{of(8, "0..7"), "v"}, {of(int64(0), "1.."), "v"}, {of(per.OctetString{1}, "size 2"), "v"}, {of("", "ia5 size 1..2"), "v"},
		{of("a", "numeric"), "v"}, {of("\xff", "bmp"), "v"}, {of([]int{1, 9}, "of 0..7"), "v[1]"}, {of(per.OID("1"), ""), "v"},
		{of(per.OID("1.40"), ""), "v"}, {of(per.OID("3.1"), ""), "v"}, {of(per.OID("1.2."), ""), "v"}, {of(per.OID("1.02"), ""), "v"},
		{of(bitString(9, 1), ""), "v"}, {of(choice{}, ""), "v"}, {&sequence{Extensions: per.Extensions{{Index: 1}}}, "..."}, {of(per.OpenType{}, ""), "v"},
	} {
		_, err := per.Encode(c.value)
		var e *per.Error
		if !errors.As(err, &e) || strings.TrimPrefix(e.Path, ".") != c.path {
			t.Errorf("%+v: %v, want one at %s", c.value, err, c.path)
		}
	}
	if _, err := per.Encode(struct{ F float64 }{}); err == nil {
		t.Error("a type that ASN.1 does not have is encoded")
	}
	if _, err := per.Decode([]byte{0}, flag[int]{}); err == nil {
		t.Error("a value is decoded into no pointer")
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal(flag[[]any]{V: []any{per.Null{}, per.OctetString{0xab}, bitString(3, 0xa0), per.Bits([]byte{1}), per.OpenType{9}}})
	if want := `{"b":false,"v":[null,"ab","a0:3","01","09"]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}
