package caller

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// pattern has bars in red, green and blue, 640 by 360 pixels, over a black band
// along which a white square of 40 pixels runs by 12 pixels a picture. It is
// constrained baseline, level 3, with a keyframe each second and slices of at
// most 1100 bytes, which a receiver of packetization mode 0 takes, too:
//
//	ffmpeg -f lavfi -i color=red:s=214x300:r=25 -f lavfi -i color=lime:s=212x300:r=25 -f lavfi -i color=blue:s=214x300:r=25
//	  -f lavfi -i color=black:s=640x60:r=25 -f lavfi -i color=white:s=40x40:r=25 -filter_complex
//	  "[0][1][2]hstack=3[t];[t][3]vstack[p];[p][4]overlay=x='mod(n*12\,600)':y=310" -frames:v 50 -pix_fmt yuv420p
//	  -c:v libx264 -profile:v baseline -x264-params keyint=25:min-keyint=25:scenecut=0:slice-max-size=1100:ref=1:repeat-headers=1
//	  -b:v 300k -bsf:v filter_units=remove_types=6 pattern.h264
//
//go:embed pattern.h264
var pattern []byte

// Film is H.264 to be sent over and over.
type Film struct {
	units [][][]byte // NAL units of each picture
	keys  []bool
	every time.Duration // from picture to picture
}

const (
	// FilmRate is how many pictures of a film are sent in a second.
	FilmRate = 25
	maxFilm  = 64 << 20 // bytes
	videoMTU = 1200     // bytes of payload
)

// TestFilm is a moving pattern with bars in red, green and blue.
func TestFilm() *Film {
	f, err := newFilm(pattern)
	if err != nil {
		panic(err) // it is part of the program
	}
	return f
}

// ReadFilm reads an H.264 byte stream (Annex B). It fails where that is no such
// stream or does not begin with a keyframe.
func ReadFilm(r io.Reader) (*Film, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFilm+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFilm {
		return nil, fmt.Errorf("longer than %d MiB", maxFilm>>20)
	}
	return newFilm(b)
}

func newFilm(b []byte) (*Film, error) {
	f := &Film{units: h264.Pictures(h264.Split(b)), every: time.Second / FilmRate}
	for _, u := range f.units {
		f.keys = append(f.keys, isKeyframe(u))
	}
	if len(f.units) == 0 || !f.keys[0] {
		return nil, fmt.Errorf("no H.264 byte stream (Annex B) that begins with a keyframe")
	}
	return f, nil
}

// isKeyframe: a whole picture with the parameters to decode it.
func isKeyframe(nals [][]byte) bool {
	sps, idr := false, false
	for _, n := range nals {
		sps = sps || n[0]&0x1f == h264.SPS
		idr = idr || n[0]&0x1f == h264.IDR
	}
	return sps && idr
}

// camera sends a film. Under the caller's lock.
type camera struct {
	film  *Film
	sink  core.Sink
	mode  int
	at    int
	began bool
	next  time.Duration
	sent  int
	p     core.Packet
	renew bool // the far end wants a keyframe
	asked int
}

func newCamera(f *Film, sink core.Sink, codec core.Codec) *camera {
	return &camera{film: f, sink: sink, mode: h264.Fmtp(codec.Fmtp).Mode}
}

// step sends the picture that is due.
func (c *camera) step(now time.Duration) {
	if !c.began || now-c.next > time.Second {
		c.began, c.next = true, now
	}
	if now < c.next {
		return
	}
	c.next += c.film.every
	if c.renew {
		c.renew = false
		for !c.film.keys[c.at] {
			c.at = (c.at + 1) % len(c.film.units)
		}
	}
	nals := c.film.units[c.at]
	went := true
	for i, n := range nals {
		went = c.send(n, i == len(nals)-1) && went
	}
	c.at = (c.at + 1) % len(c.film.units)
	c.p.Header.Timestamp += uint32(90000 / FilmRate)
	if went {
		c.sent++
	}
}

// send a NAL unit; false if it did not go, as one that is too long for the
// receiver's packetization mode.
func (c *camera) send(nal []byte, last bool) bool {
	var payloads [][]byte
	err := h264.Payloads(nal, c.mode, videoMTU, func(b []byte) { payloads = append(payloads, append([]byte(nil), b...)) })
	for i, b := range payloads {
		c.p.Header.Version, c.p.Header.Marker = 2, last && i == len(payloads)-1
		c.p.Payload, c.p.Kept = b, b
		err = errors.Join(err, c.sink.Write(&c.p))
		c.p.Header.SequenceNumber++
	}
	return err == nil
}
