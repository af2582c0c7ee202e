package h264

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

func sps(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// As x264 writes them.
const (
	sps360  = "6742c016d900a02ff970110000030001000003001e0f162e48"
	sps1080 = "67640028acd940780227e5c044000003000400000300783c60c658"
)

func TestParseSPS(t *testing.T) {
	for in, want := range map[string]Picture{
		sps360:  {Profile: 66, Constraints: 0xc0, Level: 22, Width: 640, Height: 360},
		sps1080: {Profile: 100, Level: 40, Width: 1920, Height: 1080},
	} {
		if got, err := ParseSPS(sps(t, in)); err != nil || got != want {
			t.Errorf("ParseSPS(%s) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "67", "6842c016d9", "6742c016", "6742c01600000000000000"} {
		if _, err := ParseSPS(sps(t, in)); err == nil {
			t.Errorf("ParseSPS(%q) takes it", in)
		}
	}
}

func TestFmtp(t *testing.T) {
	p := Fmtp("profile-level-id=42e01f;packetization-mode=1;max-fs=8192; max-mbps=5")
	want := Params{Profile: 66, Constraints: 0xe0, Level: 31, Mode: 1, MaxMBPS: 108000, MaxFS: 8192, MaxBR: 14_000_000}
	if p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
	if p := Fmtp("profile-level-id=zz;packetization-mode=x;max-br=999999999999"); p != (Params{Profile: 66, Level: 10, MaxMBPS: 1485, MaxFS: 99, MaxBR: 64000}) {
		t.Errorf("what is malformed gives %+v", p)
	}
	for fmtp, lines := range map[string]int{"profile-level-id=42e00d": 240, "profile-level-id=42e01f": 720, "profile-level-id=42e028": 1088, "profile-level-id=42e033": 2304, "": 144} {
		if got := Fmtp(fmtp).Lines(); got != lines {
			t.Errorf("%q allows %d lines, want %d", fmtp, got, lines)
		}
	}
}

func TestTakes(t *testing.T) {
	base0, base1 := Fmtp("profile-level-id=42e01f"), Fmtp("profile-level-id=42e01f;packetization-mode=1")
	high1 := Fmtp("profile-level-id=640028;packetization-mode=1")
	for _, c := range []struct {
		to, sent Params
		want     bool
	}{{base1, base0, true}, {base0, base1, false}, {high1, base1, true}, {base1, high1, false}, {high1, high1, true}} {
		if got := c.to.Takes(c.sent); got != c.want {
			t.Errorf("%+v takes %+v: %v", c.to, c.sent, got)
		}
	}
}

// stream makes NAL units of many sizes.
func stream() (nals [][]byte) {
	for i, n := range []int{20, 8, 3000, 1100, 1101, 5} {
		nal := bytes.Repeat([]byte{byte(i + 1)}, n)
		nal[0] = []byte{0x67, 0x68, 0x65, 0x41, 0x41, 0x41}[i]
		nal[1] |= 0x80
		nals = append(nals, nal)
	}
	return nals
}

func TestPayloadsAndUnits(t *testing.T) {
	var u Units
	var got [][]byte
	for _, nal := range stream() {
		err := Payloads(nal, 1, 1100, func(b []byte) {
			if len(b) > 1100 {
				t.Errorf("payload of %d bytes", len(b))
			}
			if err := u.Push(b, func(n []byte) { got = append(got, bytes.Clone(n)) }); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, stream()) {
		t.Error("fragmenting and putting together changes the units")
	}
	if Payloads(make([]byte, 1101), 0, 1100, func([]byte) {}) == nil {
		t.Error("mode 0 takes what must be fragmented")
	}
}

func TestUnitsLost(t *testing.T) {
	var u Units
	var parts [][]byte
	_ = Payloads(stream()[2], 1, 1100, func(b []byte) { parts = append(parts, bytes.Clone(b)) })
	none := func([]byte) { t.Error("a unit of which a part is missing") }
	_ = u.Push(parts[0], none)
	u.Lost()
	if u.Push(parts[1], none) == nil || u.Push(parts[2], none) == nil {
		t.Error("fragments without a beginning are taken")
	}
}

func TestPictures(t *testing.T) {
	var b []byte
	for _, n := range stream() {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	nals := Split(b)
	if !reflect.DeepEqual(nals, stream()) {
		t.Fatal("Split changes the units")
	}
	var sizes []int
	for _, p := range Pictures(nals) {
		sizes = append(sizes, len(p))
	}
	if !reflect.DeepEqual(sizes, []int{3, 1, 1, 1}) {
		t.Errorf("pictures of %v units", sizes)
	}
}

func FuzzParseSPS(f *testing.F) {
	f.Add(sps(f, sps360))
	f.Add(sps(f, sps1080))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseSPS(b); err == nil && (p.Width <= 0 || p.Height <= 0 || p.Width > 1<<15 || p.Height > 1<<16) {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzUnits(f *testing.F) {
	f.Add([]byte{0x7c, 0x85, 1, 2}, []byte{0x7c, 0x45, 3})
	f.Add([]byte{0x78, 0, 2, 0x67, 1}, []byte{0x65, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var u Units
		for _, p := range [][]byte{a, b} {
			_ = u.Push(p, func(n []byte) {
				if len(n) == 0 {
					t.Error("an empty unit")
				}
			})
		}
		for _, p := range Pictures(Split(append(a, b...))) {
			if len(p) == 0 {
				t.Error("an empty picture")
			}
		}
	})
}
