package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"

	"bridgehead/core/compose/wire"
	"bridgehead/core/h264"
	"bridgehead/gateway/mediaworker/codec"
	"bridgehead/gateway/mediaworker/paint"
)

var (
	red   = paint.Colour{Y: 81, U: 90, V: 240}
	green = paint.Colour{Y: 145, U: 54, V: 34}
	blue  = paint.Colour{Y: 41, U: 240, V: 110}
)

// studio runs a worker and is its gateway.
type studio struct {
	t    testing.TB
	conn net.Conn
	from *bufio.Reader
	buf  []byte
	over chan error
	sees codec.Decoder
}

func open(t testing.TB) *studio {
	ours, theirs := net.Pipe()
	s := &studio{t: t, conn: ours, from: bufio.NewReader(ours), buf: make([]byte, wire.MaxFrame), over: make(chan error, 1)}
	var err error
	if s.sees, err = codec.NewDecoder(wire.H264); err != nil {
		t.Fatal(err)
	}
	w := newWorker(bufio.NewWriterSize(theirs, 1<<16))
	go func() { s.over <- w.serve(bufio.NewReader(theirs)) }()
	t.Cleanup(func() {
		ours.Close()
		<-s.over
		s.sees.Close()
	})
	_ = ours.SetDeadline(time.Now().Add(30 * time.Second))
	return s
}

func (s *studio) say(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *studio) set(spec wire.Scene) {
	s.t.Helper()
	b, err := wire.AppendJSON(nil, wire.SetScene, spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.say(b)
}

// watch decodes a scene until a picture satisfies; it fails at the deadline.
// Payloads must fit packetization mode 0, and keyframes begin with their sets.
func (s *studio) watch(id uint32, satisfies func(*codec.Picture) bool) {
	s.t.Helper()
	var frame []byte
	var last *codec.Picture
	for {
		k, body, err := wire.Read(s.from, s.buf)
		if err != nil {
			if last != nil {
				s.t.Logf("the last picture has %v in the middle", at(last, last.W/2, last.H/2))
			}
			s.t.Fatalf("never seen: %v", err)
		}
		m, err := wire.ParseMedia(body)
		if k != wire.Packet || m.ID != id {
			continue
		}
		if err != nil || len(m.Payload) > 1200 {
			s.t.Fatalf("payload of %d octets, %v", len(m.Payload), err)
		}
		if t := m.Payload[0] & 0x1f; len(frame) == 0 && t == h264.IDR {
			s.t.Fatal("a keyframe without its parameter sets")
		}
		frame = append(append(frame, 0, 0, 0, 1), m.Payload...)
		if !m.Marker {
			continue
		}
		p, err := s.sees.Decode(frame)
		if err != nil {
			s.t.Fatalf("the worker's picture cannot be decoded: %v", err)
		}
		frame = frame[:0]
		if p == nil {
			continue
		}
		if last = p; satisfies(p) {
			return
		}
	}
}

func at(p *codec.Picture, x, y int) paint.Colour {
	c := y/2*p.CS + x/2
	return paint.Colour{Y: p.Y[y*p.YS+x], U: p.U[c], V: p.V[c]}
}

func near(a, b paint.Colour) bool {
	far := func(x, y byte) bool { d := int(x) - int(y); return d > 12 || d < -12 }
	return !far(a.Y, b.Y) && !far(a.U, b.U) && !far(a.V, b.V)
}

// colour makes the frames of an H.264 stream of one colour.
func colour(t testing.TB, w, h int, c paint.Colour, frames int) (list [][][]byte) {
	e, err := codec.NewEncoder(w, h, 30, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := codec.NewPicture(w, h)
	p.Fill(c.Y, c.U, c.V)
	for i := range frames {
		nals, err := e.Encode(p, i == 0, time.Duration(i)*33*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		var own [][]byte
		for _, n := range nals {
			own = append(own, bytes.Clone(n))
		}
		list = append(list, own)
	}
	return list
}

// camera sends frames as a source.
type camera struct {
	id    uint32
	codec wire.Codec
	seq   uint16
	stamp uint32
}

func (c *camera) send(b []byte, payloads [][]byte) []byte {
	c.stamp += 3000
	for i, p := range payloads {
		m := wire.Media{ID: c.id, Codec: c.codec, Seq: c.seq, Stamp: c.stamp, Marker: i == len(payloads)-1, Payload: p}
		b = m.Append(b)
		c.seq++
	}
	return b
}

func grid() wire.Scene {
	s := wire.Scene{ID: 100, Width: 640, Height: 360, Rate: 30, BitsPerSec: 1_000_000}
	for i := range 4 {
		s.Cells = append(s.Cells, wire.Cell{X: i % 2 * 320, Y: i / 2 * 180, W: 320, H: 180, Source: uint32(i + 1)})
	}
	s.Cells[3].Source, s.Cells[3].Name = 0, "A telephone"
	return s
}

func TestPicturesComeIntoTheirCells(t *testing.T) {
	s := open(t)
	s.set(grid())
	for i, c := range []paint.Colour{red, green, blue} {
		size := [][2]int{{640, 360}, {320, 180}, {240, 180}}[i]
		cam := camera{id: uint32(i + 1), codec: wire.H264}
		for _, f := range colour(t, size[0], size[1], c, 3) {
			s.say(cam.send(nil, f))
		}
	}
	s.watch(100, func(p *codec.Picture) bool {
		return p.W == 640 && p.H == 360 && near(at(p, 160, 90), red) && near(at(p, 480, 90), green) && near(at(p, 160, 270), blue) &&
			near(at(p, 10, 8), red) && near(at(p, 8, 270), paint.Card) && near(at(p, 340, 196), paint.Card)
	})
	// The card says a name: some of it is white.
	s.say(wire.AppendID(nil, wire.Keyframe, 100))
	s.watch(100, func(p *codec.Picture) bool {
		white := 0
		for x := 330; x < 630; x++ {
			for y := 250; y < 290; y++ {
				if at(p, x, y).Y > 180 {
					white++
				}
			}
		}
		return white > 100
	})
	// Somebody is muted and leaves the cell; another takes it.
	spec := grid()
	spec.Cells[0].Source, spec.Cells[1].Source = 2, 1
	spec.Cells[0].Muted, spec.Cells[0].Name, spec.Recording = true, "Green", true
	s.set(spec)
	s.watch(100, func(p *codec.Picture) bool { return near(at(p, 160, 40), green) && near(at(p, 400, 90), red) })
	s.say(wire.AppendID(nil, wire.EndSource, 1))
	s.watch(100, func(p *codec.Picture) bool { return near(at(p, 400, 90), paint.Card) && near(at(p, 160, 40), green) })
	s.say(wire.AppendID(nil, wire.EndScene, 100))
}

func TestAScreenOfWriting(t *testing.T) {
	s := open(t)
	s.set(wire.Scene{ID: 5, Width: 640, Height: 360, Rate: 15, BitsPerSec: 200_000, Title: "Please wait", Lines: []string{"The host will let you in."}})
	s.watch(5, func(p *codec.Picture) bool {
		white, ground := 0, 0
		for x := range p.W {
			for y := range p.H {
				switch c := at(p, x, y); {
				case c.Y > 150:
					white++
				case near(c, paint.Ground):
					ground++
				}
			}
		}
		return white > 300 && ground > p.W*p.H/2
	})
}

// lost packets: the picture stands until a keyframe, which is asked for.
func TestLossAsksForAKeyframe(t *testing.T) {
	s := open(t)
	one := wire.Scene{ID: 100, Width: 320, Height: 180, Rate: 30, BitsPerSec: 500_000, Cells: []wire.Cell{{W: 320, H: 180, Source: 1}}}
	s.set(one)
	cam := camera{id: 1, codec: wire.H264}
	f := colour(t, 320, 180, red, 6)
	s.say(cam.send(nil, f[0]))
	s.watch(100, func(p *codec.Picture) bool { return near(at(p, 160, 90), red) })
	cam.seq += 3
	for _, n := range f[1:] {
		time.Sleep(patience / 3)
		s.say(cam.send(nil, n))
	}
	for {
		k, body, err := wire.Read(s.from, s.buf)
		if err != nil {
			t.Fatalf("no keyframe was asked for: %v", err)
		}
		if id, _ := wire.ParseID(body); k == wire.Keyframe && id == 1 {
			break
		}
	}
	s.say(cam.send(nil, colour(t, 320, 180, green, 1)[0]))
	s.watch(100, func(p *codec.Picture) bool { return near(at(p, 160, 90), green) })
}

// filmed has ffmpeg make a short stream of red in another codec.
func filmed(t *testing.T, args ...string) (frames [][]byte) {
	args = append([]string{"-v", "error", "-f", "lavfi", "-i", "color=0xff0000:s=320x180:r=10:d=0.5"}, args...)
	out, err := exec.Command("ffmpeg", append(args, "-f", "ivf", "-")...).Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	for b := out[32:]; len(b) > 12; {
		n := int(binary.LittleEndian.Uint32(b))
		frames = append(frames, b[12:12+n])
		b = b[12+n:]
	}
	return frames
}

func TestEveryCodecIsDecoded(t *testing.T) {
	for c, how := range map[wire.Codec]struct {
		args     []string
		payloads interface {
			Payload(mtu uint16, b []byte) [][]byte
		}
	}{
		wire.VP8: {[]string{"-c:v", "libvpx"}, &codecs.VP8Payloader{EnablePictureID: true}},
		wire.VP9: {[]string{"-c:v", "libvpx-vp9"}, &codecs.VP9Payloader{}},
		wire.AV1: {[]string{"-c:v", "libaom-av1", "-cpu-used", "8", "-lag-in-frames", "0"}, &codecs.AV1Payloader{}},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s := open(t)
			s.set(wire.Scene{ID: 100, Width: 320, Height: 180, Rate: 30, BitsPerSec: 500_000, Cells: []wire.Cell{{W: 320, H: 180, Source: 1}}})
			cam := camera{id: 1, codec: c}
			for _, f := range filmed(t, how.args...) {
				if c == wire.AV1 {
					f = f[2:] // a temporal delimiter is not sent
				}
				s.say(cam.send(nil, how.payloads.Payload(300, f)))
			}
			s.watch(100, func(p *codec.Picture) bool { return near(at(p, 160, 90), red) })
		})
	}
}

// hurt flips, cuts and repeats.
func hurt(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return []byte{byte(r.Uint32())}
		}
		switch r.IntN(4) {
		case 0:
			b = b[:r.IntN(len(b)+1)]
		case 1:
			b = append(b, b[:r.IntN(len(b))]...)
		default:
			b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
		}
	}
	return b
}

// What is damaged is never more than a picture that stands still: here it is
// the Go part that must not fall; the libraries may, in their own process.
func FuzzFrames(f *testing.F) {
	f.Add(byte(wire.H264), []byte{0x67, 1, 2, 3}, []byte{0x7c, 0x85, 1})
	f.Add(byte(wire.VP8), []byte{0x90, 0x80, 1, 0x9d}, []byte{0x10, 0})
	f.Add(byte(wire.VP9), []byte{0x8a, 0x80, 1, 0x9d}, []byte{0x0a, 0x10})
	f.Add(byte(wire.AV1), []byte{0x18, 0x0a, 1, 0x9d}, []byte{0x30, 5, 1})
	f.Fuzz(func(t *testing.T, c byte, a, b []byte) {
		var o order
		s := newFrames(wire.Codec(c%5 + 1))
		now := time.Now()
		for i, p := range [][]byte{a, b, a, b} {
			m := wire.Media{Seq: uint16(i * len(a)), Stamp: uint32(len(b) * i / 2), Marker: i&1 == 1, Payload: append([]byte{}, p...)}
			o.push(m, now, func(m wire.Media, lost bool) {
				s.push(m, lost, func(b []byte) error {
					if len(b) == 0 {
						t.Error("an empty frame")
					}
					return nil
				})
			})
			now = now.Add(50 * time.Millisecond)
		}
	})
}

func TestDamagedStreamsDoNotStopTheWorker(t *testing.T) {
	s := open(t)
	s.set(grid())
	r := rand.New(rand.NewPCG(1, 2))
	good := colour(t, 640, 360, red, 4)
	go func() {
		cam := camera{id: 2, codec: wire.H264}
		fine := camera{id: 1, codec: wire.H264}
		for i := range 300 {
			var parts [][]byte
			for _, n := range good[i%4] {
				if r.IntN(2) == 0 {
					n = hurt(r, n)
				}
				parts = append(parts, n)
			}
			if _, err := s.conn.Write(fine.send(cam.send(nil, parts), good[i%4])); err != nil {
				return
			}
		}
	}()
	s.watch(100, func(p *codec.Picture) bool { return near(at(p, 160, 90), red) })
}

func TestABrokenFrameEndsTheWorker(t *testing.T) {
	ours, theirs := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- newWorker(bufio.NewWriter(theirs)).serve(theirs) }()
	go io.Copy(io.Discard, ours)
	_, _ = ours.Write([]byte{0xff, 0, 0, 0, 1})
	if err := <-over; err == nil {
		t.Error("it went on")
	}
	ours.Close()
}

func TestOrderWaitsForWhatIsLate(t *testing.T) {
	var o order
	var got []uint16
	losses := 0
	now := time.Now()
	push := func(after time.Duration, seqs ...uint16) {
		now = now.Add(after)
		for _, n := range seqs {
			o.push(wire.Media{Seq: n, Payload: []byte{1}}, now, func(m wire.Media, lost bool) {
				got = append(got, m.Seq)
				if lost {
					losses++
				}
			})
		}
	}
	push(0, 65534, 65535, 1, 2)
	push(10*time.Millisecond, 0, 4)
	push(patience+time.Millisecond, 5, 3)
	if fmt.Sprint(got) != "[65534 65535 0 1 2 4 5]" || losses != 1 {
		t.Errorf("%v, %d losses", got, losses)
	}
}
