package q931

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"bridgehead/h323/internal/vectors"
)

func load(tb testing.TB) []vectors.Vector {
	all, err := vectors.Load("H323-UserInformation")
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestMessagesOfPeers(t *testing.T) {
	for _, v := range load(t) {
		m, err := Parse(v.Q931)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		// the name of the message is part of the file's, but for Facility with an empty body
		if name := strings.Split(v.Name, "-")[2]; name != m.Type.String() && name != "empty" {
			t.Errorf("%s is taken for %v", v.Name, m.Type)
		}
		user, at, ok := m.User()
		if !ok || !bytes.Equal(user, v.Bytes) || !bytes.Equal(v.Q931[at:], v.Bytes) {
			t.Errorf("%s: the user-user element is %x (at %d)", v.Name, user, at)
		}
		if b, err := m.Append(nil); err != nil || !bytes.Equal(b, v.Q931) {
			t.Errorf("%s: encoded as %x: %v", v.Name, b, err)
		}
	}
}

// Cut off between two elements, a message is whole; else it is an error that
// points into what there is.
func TestTruncated(t *testing.T) {
	for _, v := range load(t) {
		whole, err := Parse(v.Q931)
		if err != nil {
			t.Fatal(err)
		}
		ends := map[int]bool{5: true}
		for _, e := range whole.IEs {
			ends[e.Offset()+len(e.Value)] = true
		}
		for cut := range v.Q931 {
			_, err := Parse(v.Q931[:cut])
			var at *Error
			if ends[cut] != (err == nil) || err != nil && (!errors.As(err, &at) || at.Bit > 8*cut) {
				t.Fatalf("%s cut off at %d: %v", v.Name, cut, err)
			}
		}
	}
}

func TestElements(t *testing.T) {
	number := Number{Type: 1, Plan: 1, Presentation: 1, Screening: 3, Digits: "15550100"}
	called := Number{Plan: 1, Digits: "7001"}
	bearer := BearerValue{Capability: 8, Rate: 0x18, Multiplier: 12, Layer1: 5}
	for _, c := range []struct {
		ie   IE
		want any
		wire string
	}{
		{BearerIE(bearer), bearer, "\x88\x98\x8c\xa5"},
		{BearerIE(BearerValue{Rate: 0x10, Layer1: 3}), BearerValue{Rate: 0x10, Layer1: 3}, "\x80\x90\xa3"},
		{CauseOf(Cause{Location: 5, Value: 16}), Cause{Location: 5, Value: 16}, "\x85\x90"},
		{IE{ID: CauseIE, Value: []byte{0x05, 0x80, 0x91}}, Cause{Location: 5, Value: 17}, "\x05\x80\x91"},
		{ProgressIE(ProgressValue{Description: 8}), ProgressValue{Description: 8}, "\x80\x88"},
		{DisplayIE("Anna"), "Anna", "Anna"},
		{IE{ID: Keypad, Value: []byte("12#")}, "12#", "12#"},
		{CalledIE(called), called, "\x817001"},
		{CallingIE(number), number, "\x11\xa315550100"},
	} {
		if got := c.ie.meaning(); !reflect.DeepEqual(got, c.want) || string(c.ie.Value) != c.wire {
			t.Errorf("%s: %+v (%x), want %+v (%x)", c.ie.name(), got, c.ie.Value, c.want, c.wire)
		}
	}
	for _, id := range []uint8{Bearer, CauseIE, ProgressIndicator, Calling, Called} {
		if e := (IE{ID: id}); e.meaning() != nil {
			t.Errorf("an empty %s means %v", e.name(), e.meaning())
		}
	}
}

func TestShiftsAndSingleOctets(t *testing.T) {
	// sending complete; a non-locking shift to 5, for one element; a locking one to 6
	wire := []byte{8, 2, 0, 1, 5, 0xa1, 0x9d, 0x7e, 1, 9, 0x7e, 0, 2, 5, 7, 0x96, 0x28, 1, 'x', 0x7e, 1, 2}
	m, err := Parse(wire)
	if err != nil {
		t.Fatal(err)
	}
	if user, at, ok := m.User(); !ok || at != 14 || !bytes.Equal(user, []byte{7}) {
		t.Errorf("user-user: %x at %d", user, at)
	}
	if m.Find(Display) != nil {
		t.Error("a display of codeset 6 is taken for one of codeset 0")
	}
	if b, err := m.Append(nil); err != nil || !bytes.Equal(b, wire) {
		t.Errorf("%x, %v", b, err)
	}
	j, err := json.Marshal(m)
	if err != nil || !strings.Contains(string(j), `{"id":"a1","name":"sendingComplete","octets":""}`) {
		t.Errorf("%s, %v", j, err)
	}
}

func TestMalformed(t *testing.T) {
	endless := []byte{8, 2, 0, 1, 5}
	for range 200 {
		endless = append(endless, 0xa1)
	}
	for _, c := range []struct {
		wire []byte
		bit  int
	}{
		{nil, 0}, {[]byte{8, 2, 0, 1}, 32}, {[]byte{9, 2, 0, 1, 5}, 0}, {[]byte{8, 1, 0, 1, 5}, 8},
		{[]byte{8, 2, 0, 1, 5, 0x7e, 0xff, 0xff, 5}, 48}, {[]byte{8, 2, 0, 1, 5, 0x28, 0xff, 5}, 48}, {endless, 8 * (5 + maxIEs)},
	} {
		var at *Error
		if _, err := Parse(c.wire); !errors.As(err, &at) || at.Bit != c.bit {
			t.Errorf("%x: %v, want bit %d", c.wire, err, c.bit)
		}
	}
	for _, m := range []*Message{{CallReference: 0x8000}, {IEs: []IE{{ID: Display, Value: make([]byte, 256)}}}, {IEs: []IE{UserIE(make([]byte, 65535))}}} {
		if _, err := m.Append(nil); err == nil {
			t.Errorf("reference %d with %d elements is encoded", m.CallReference, len(m.IEs))
		}
	}
}

func TestTPKT(t *testing.T) {
	big := bytes.Repeat([]byte{7}, MaxTPKT)
	stream := []byte{3, 0, 0, 6, 1, 2, 3, 99, 0, 5, 3, 3, 0, 0, 4, 0, 3, 4, 0}
	stream, err := AppendTPKT(stream, big)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(stream)
	for i, want := range [][]byte{{1, 2}, {3}, {}, {}, big} {
		if got, err := ReadTPKT(r, nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("packet %d: %x, %v", i, got, err)
		}
	}
	if _, err := ReadTPKT(r, nil); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for wire, want := range map[string]error{
		"\x03\x00\x00\x03": ErrTPKT, "\x04\x00\x00\x05x": ErrTPKT, "\x03\x00\x00\x00": ErrTPKT,
		"\x03\x00\x00\x05": io.ErrUnexpectedEOF, "\x03\x00": io.ErrUnexpectedEOF, "\x03\x00\xff\xffx": io.ErrUnexpectedEOF,
	} {
		if _, err := ReadTPKT(strings.NewReader(wire), nil); err != want {
			t.Errorf("%x: %v, want %v", wire, err, want)
		}
	}
	if _, err := AppendTPKT(nil, make([]byte, MaxTPKT+1)); err == nil {
		t.Error("a TPKT of more than 65535 octets is written")
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range load(f) {
		f.Add(v.Q931)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ReadTPKT(bytes.NewReader(b), nil); err == nil && len(n) > 0 && len(n) != int(binary.BigEndian.Uint16(b[2:]))-4 {
			t.Fatal("a TPKT of another length")
		}
		m, err := Parse(b)
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		if again, err := m.Append(nil); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	wire := load(b)[0].Q931
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(wire); err != nil {
			b.Fatal(err)
		}
	}
}
