package wire

import (
	"bytes"
	"reflect"
	"testing"
)

func TestFramesComeBackAsTheyWent(t *testing.T) {
	m := Media{ID: 7, Codec: VP8, Marker: true, Seq: 65535, Stamp: 1 << 31, Payload: []byte("picture")}
	s := Scene{ID: 9, Width: 1280, Height: 720, Rate: 30, BitsPerSec: 1_500_000, Cells: []Cell{{X: 640, W: 640, H: 360, Source: 7, Name: "Zoë", Muted: true}}}
	b := AppendID(m.Append(nil), Keyframe, 3)
	b, err := AppendJSON(b, SetScene, s)
	if err != nil {
		t.Fatal(err)
	}
	r, buf := bytes.NewReader(b), make([]byte, MaxFrame)
	if k, body, err := Read(r, buf); err != nil || k != Packet {
		t.Fatal(k, err)
	} else if got, err := ParseMedia(body); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, %v", got, err)
	}
	if k, body, err := Read(r, buf); err != nil || k != Keyframe {
		t.Fatal(k, err)
	} else if id, err := ParseID(body); err != nil || id != 3 {
		t.Error(id, err)
	}
	if k, body, err := Read(r, buf); err != nil || k != SetScene {
		t.Fatal(k, err)
	} else if got, err := ParseScene(body); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestScenesBeyondTheLimitsAreRefused(t *testing.T) {
	fits := Scene{ID: 1, Width: 640, Height: 360, Rate: 30, BitsPerSec: 500_000}
	for what, change := range map[string]func(*Scene){
		"odd width":       func(s *Scene) { s.Width = 641 },
		"too high":        func(s *Scene) { s.Height = 4000 },
		"no rate":         func(s *Scene) { s.Rate = 0 },
		"cell outside":    func(s *Scene) { s.Cells = []Cell{{X: 600, Y: 0, W: 64, H: 64}} },
		"cell before":     func(s *Scene) { s.Cells = []Cell{{X: -2, Y: 0, W: 64, H: 64}} },
		"odd cell":        func(s *Scene) { s.Cells = []Cell{{X: 1, Y: 0, W: 64, H: 64}} },
		"too many cells":  func(s *Scene) { s.Cells = make([]Cell, MaxCells+1) },
		"too long a name": func(s *Scene) { s.Cells = []Cell{{W: 64, H: 64, Name: string(make([]byte, MaxText+1))}} },
		"too much text":   func(s *Scene) { s.Lines = make([]string, maxLines+1) },
	} {
		s := fits
		if change(&s); s.Check() == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if err := fits.Check(); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	m := Media{ID: 1, Codec: H264, Payload: []byte{0x65}}
	s, _ := AppendJSON(nil, SetScene, Scene{ID: 1, Width: 64, Height: 64, Rate: 1, BitsPerSec: 5000})
	f.Add(m.Append(nil))
	f.Add(AppendID(s, EndScene, 1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, buf := bytes.NewReader(b), make([]byte, MaxFrame)
		for {
			k, body, err := Read(r, buf)
			if err != nil {
				return
			}
			switch k {
			case Packet:
				if m, err := ParseMedia(body); err == nil && !bytes.Equal(m.Append(nil)[5:], body) {
					t.Error("a packet that is written otherwise than it was read")
				}
			case SetScene:
				if s, err := ParseScene(body); err == nil && s.Check() != nil {
					t.Error("a scene beyond the limits")
				}
			default:
				_, _ = ParseID(body)
			}
		}
	})
}
