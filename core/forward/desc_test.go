package forward

import (
	"bytes"
	"testing"
)

func TestDescriptors(t *testing.T) {
	vp8key := []byte{0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00}
	for _, c := range []struct {
		name       string
		parse      func([]byte) desc
		in         []byte
		key, start bool
		pid        int32
		tid        uint8
		height     int
	}{
		{"vp8 empty", parseVP8, nil, false, false, -1, 0, 0},
		{"vp8 key", parseVP8, vp8key, true, true, -1, 0, 180},
		{"vp8 cut key", parseVP8, vp8key[:8], false, true, -1, 0, 0},
		{"vp8 short id", parseVP8, []byte{0x90, 0x80, 0x11, 1}, false, true, 0x11, 0, 0},
		{"vp8 long id, tid 2", parseVP8, []byte{0x90, 0xe0, 0x81, 0x02, 9, 0x80, 1}, false, true, 0x102, 2, 0},
		{"vp8 cut id", parseVP8, []byte{0x90, 0x80, 0x81}, false, false, -1, 0, 0},
		{"vp8 cut extension", parseVP8, []byte{0x90}, false, false, -1, 0, 0},
		{"vp9 key", parseVP9, []byte{0x8a, 0x05, 0x18, 5, 0, 2, 0xd0, 1}, true, true, 5, 0, 720},
		{"vp9 inter flexible", parseVP9, []byte{0xf8, 0x05, 0x40, 0x03, 0x02, 1}, false, true, 5, 2, 0},
		{"vp9 endless references", parseVP9, []byte{0xf8, 0x05, 0x40, 3, 3, 3, 3}, false, false, -1, 0, 0},
		{"vp9 cut structure", parseVP9, []byte{0x8a, 0x05, 0xf8, 5}, true, true, 5, 0, 0},
		{"h264 sps", parseH264, []byte{0x67, 1}, true, true, -1, 0, 0},
		{"h264 slice", parseH264, []byte{0x61, 1}, false, true, -1, 0, 0},
		{"h264 stap-a with sps", parseH264, []byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68}, true, true, -1, 0, 0},
		{"h264 stap-a overlong", parseH264, []byte{0x78, 0xff, 0xff, 0x67}, false, true, -1, 0, 0},
		{"h264 fu-a idr start", parseH264, []byte{0x7c, 0x85, 1}, true, true, -1, 0, 0},
		{"h264 fu-a middle", parseH264, []byte{0x7c, 0x05, 1}, false, false, -1, 0, 0},
		{"av1 new sequence", parseAV1, []byte{0x08, 1}, true, true, -1, 0, 0},
		{"av1 continued", parseAV1, []byte{0x88, 1}, false, false, -1, 0, 0},
	} {
		d := c.parse(c.in)
		if d.keyframe != c.key || d.start != c.start || d.pid != c.pid || d.tid != c.tid || d.height != c.height {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// A parser must not read beyond the packet, and what it rewrites it must be
// able to put back.
func fuzz(f *testing.F, parse func([]byte) desc) {
	f.Add([]byte{})
	f.Add([]byte{0x90, 0xe0, 0x81, 0x02, 9, 0x80, 1})
	f.Add([]byte{0xfa, 0x85, 0x40, 0x03, 0x02, 0xff, 1})
	f.Add([]byte{0x78, 0, 2, 0x67, 1, 0, 1, 0x68})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		d := parse(b)
		if d.sid > maxSID || d.tid > maxTID || d.height < 0 {
			t.Fatalf("%+v", d)
		}
		var n pictures
		n.join(&d)
		n.idOff, n.tl0Off = 77, 3
		n.rewrite(&d, b)
		if again := parse(b); again.keyframe != d.keyframe || again.tid != d.tid {
			t.Fatalf("rewriting changed the frame: %+v, then %+v", d, again)
		}
		d.restore(b)
		if !bytes.Equal(before, b) {
			t.Fatalf("%x became %x", before, b)
		}
	})
}

func FuzzVP8(f *testing.F)  { fuzz(f, parseVP8) }
func FuzzVP9(f *testing.F)  { fuzz(f, parseVP9) }
func FuzzH264(f *testing.F) { fuzz(f, parseH264) }
func FuzzAV1(f *testing.F)  { fuzz(f, parseAV1) }
