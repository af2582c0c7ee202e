// Package wire is what the gateway and its media worker say to each other over
// a stream socket: framed messages of bounded length. The gateway sends the
// packets of sources and says which scenes to make of them; the worker sends
// the scenes' packets back, asks for whole pictures and reports how it does.
//
// A frame is its length in four octets, its kind in one, and its body. Media is
// binary, what comes seldom is JSON.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
)

// Kind of a frame.
type Kind byte

// The kinds of frames. ID is a body of four octets.
const (
	Packet    Kind = iota + 1 // either way: Media of a source, or of a scene
	SetScene                  // to the worker: a Scene, new or changed
	EndScene                  // to the worker: ID of a scene
	EndSource                 // to the worker: ID of a source
	Keyframe                  // ID of a scene to the worker, of a source from it
	Health                    // from the worker: Report, some times a second
)

// Limits of frames and scenes.
const (
	MaxFrame  = 1 << 17 // octets
	MaxWidth  = 1920
	MaxHeight = 1088
	MaxRate   = 30 // pictures a second
	MaxCells  = 16
	MaxText   = 256 // octets
	maxLines  = 8
	maxBits   = 20_000_000
)

// Errors of what is read.
var (
	ErrFrame = errors.New("wire: malformed frame")
	ErrScene = errors.New("wire: scene beyond the limits")
)

// Codec of a source's packets.
type Codec byte

// The codecs.
const (
	H264 Codec = iota + 1
	VP8
	VP9
	AV1
)

// Media is one RTP payload.
type Media struct {
	ID      uint32
	Codec   Codec
	Marker  bool
	Seq     uint16
	Stamp   uint32
	Payload []byte
}

const mediaHead = 12

// Append adds the frame of a packet to b.
func (m *Media) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+mediaHead+len(m.Payload)))
	b = append(b, byte(Packet))
	b = binary.BigEndian.AppendUint32(b, m.ID)
	flags := byte(0)
	if m.Marker {
		flags = 1
	}
	b = append(b, byte(m.Codec), flags)
	b = binary.BigEndian.AppendUint16(b, m.Seq)
	b = binary.BigEndian.AppendUint32(b, m.Stamp)
	return append(b, m.Payload...)
}

// ParseMedia reads the body of a Packet; the payload is a part of b.
func ParseMedia(b []byte) (m Media, err error) {
	if len(b) < mediaHead || b[5] > 1 || b[4] > byte(AV1) {
		return m, ErrFrame
	}
	return Media{ID: binary.BigEndian.Uint32(b), Codec: Codec(b[4]), Marker: b[5] == 1,
		Seq: binary.BigEndian.Uint16(b[6:]), Stamp: binary.BigEndian.Uint32(b[8:]), Payload: b[mediaHead:]}, nil
}

// AppendID adds a frame that names a source or scene.
func AppendID(b []byte, k Kind, id uint32) []byte {
	b = append(binary.BigEndian.AppendUint32(b, 5), byte(k))
	return binary.BigEndian.AppendUint32(b, id)
}

// ParseID reads the body of such a frame.
func ParseID(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, ErrFrame
	}
	return binary.BigEndian.Uint32(b), nil
}

// AppendJSON adds a frame with a body in JSON.
func AppendJSON(b []byte, k Kind, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil || len(body) >= MaxFrame {
		return b, ErrFrame
	}
	b = append(binary.BigEndian.AppendUint32(b, uint32(1+len(body))), byte(k))
	return append(b, body...), nil
}

// Read takes one frame; the body is valid until the next, in buf, which is at
// least MaxFrame long.
func Read(r io.Reader, buf []byte) (k Kind, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n, k := binary.BigEndian.Uint32(head[:]), Kind(head[4])
	if n < 1 || n > MaxFrame || k < Packet || k > Health {
		return 0, nil, ErrFrame
	}
	body = buf[:n-1]
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, err
	}
	return k, body, nil
}

// Scene is a picture to be made of others and encoded: H.264 constrained
// baseline, in payloads that fit packetization mode 0 (RFC 6184).
type Scene struct {
	ID         uint32
	Width      int // pixels, even
	Height     int
	Rate       int // pictures a second, at most
	BitsPerSec int
	Cells      []Cell   `json:",omitempty"`
	Title      string   `json:",omitempty"` // a screen of text
	Lines      []string `json:",omitempty"`
	Recording  bool     `json:",omitempty"`
}

// Cell is where a source is shown, or the name of one who has no picture.
type Cell struct {
	X, Y, W, H int    // pixels, even
	Source     uint32 `json:",omitempty"` // 0: none
	Name       string `json:",omitempty"`
	Muted      bool   `json:",omitempty"`
	Clear      bool   `json:",omitempty"` // a leg that is not encrypted
}

// Check tells whether the scene can be made.
func (s *Scene) Check() error {
	if s.Width < 16 || s.Width > MaxWidth || s.Height < 16 || s.Height > MaxHeight || (s.Width|s.Height)&1 != 0 ||
		s.Rate < 1 || s.Rate > MaxRate || s.BitsPerSec < 1000 || s.BitsPerSec > maxBits ||
		len(s.Cells) > MaxCells || len(s.Lines) > maxLines || len(s.Title) > MaxText {
		return ErrScene
	}
	for _, l := range s.Lines {
		if len(l) > MaxText {
			return ErrScene
		}
	}
	for _, c := range s.Cells {
		if c.X < 0 || c.Y < 0 || c.W < 2 || c.H < 2 || c.W > MaxWidth || c.H > MaxHeight || c.X > s.Width-c.W || c.Y > s.Height-c.H ||
			(c.X|c.Y|c.W|c.H)&1 != 0 || len(c.Name) > MaxText {
			return ErrScene
		}
	}
	return nil
}

// ParseScene reads the body of a SetScene.
func ParseScene(b []byte) (s Scene, err error) {
	if json.Unmarshal(b, &s) != nil {
		return s, ErrFrame
	}
	return s, s.Check()
}

// Report is how the worker does.
type Report struct {
	CPU     int64 // used since it began, in nanoseconds
	Sources int   // of which pictures are decoded
	Pixels  int64 // decoded and encoded since it began, by size of the pictures
}
