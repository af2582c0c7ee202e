package load

import (
	"encoding/binary"
	"math"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/codecs"
)

// voices are the tones that browsers say, in Hz, by their number; those beyond
// the last begin anew. None is a multiple of another.
var voices = []float64{437, 703, 1109, 1259, 1531, 1823, 2039, 2297, 2543, 2789}

// opusTone is a second of a tone in Opus, in pieces of 20 ms to be said in a
// loop.
func opusTone(hz float64) ([][]byte, error) {
	const rate = 48000
	codec, _ := codecs.Lookup(core.Codec{Name: "opus"})
	enc, err := codec.NewEncoder(rate, audio.EncoderOptions{BitsPerSec: 32000})
	if err != nil {
		return nil, err
	}
	pcm := make([]int16, rate)
	audio.NewTone(rate, loud, hz).Read(pcm)
	frames := make([][]byte, window)
	for i := range 2 * window { // the second time the encoder has settled
		buf := make([]byte, 400)
		at := i % window * rate / window
		n, err := enc.Encode(buf, pcm[at:at+rate/window])
		if err != nil {
			return nil, err
		}
		frames[i%window] = buf[:n:n]
	}
	return frames, nil
}

// tonesIn measures the voices in a second of Opus, in dBov: the mean power in pieces
// of 100 ms, each by itself. Where a packet is lost or out of place a tone's phase
// jumps, and over a whole second it could cancel itself out.
func tonesIn(frames [][]byte) (levels []float64, err error) {
	const rate = 8000
	codec, _ := codecs.Lookup(core.Codec{Name: "opus"})
	dec, err := codec.NewDecoder(rate)
	if err != nil {
		return nil, err
	}
	pcm := make([]int16, 0, rate)
	piece := make([]int16, rate*120/1000)
	for _, f := range frames {
		n, err := dec.Decode(piece, f)
		if err != nil {
			return nil, err
		}
		pcm = append(pcm, piece[:n]...)
	}
	pcm = pcm[len(pcm)/5:] // the decoder begins in the middle of a stream
	levels = make([]float64, len(voices))
	pieces := len(pcm) / len(hann)
	for n := range pieces {
		var shaped [len(hann)]float64
		for i, x := range pcm[n*len(hann):][:len(hann)] {
			shaped[i] = float64(x) * hann[i]
		}
		for k, hz := range voices {
			levels[k] += goertzel(shaped[:], hz/rate)
		}
	}
	for k, power := range levels {
		levels[k] = 10 * math.Log10(power/float64(max(1, pieces))+1e-18)
	}
	return levels, nil
}

// hann shapes 100 ms: what is beside a tone by 20 Hz and more counts little.
var hann = func() (w [800]float64) {
	for i := range w {
		w[i] = 1 - math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(w)))
	}
	return w
}()

// goertzel is the power of a tone, of so many cycles a sample, against 0 dBov.
func goertzel(pcm []float64, tone float64) float64 {
	c := 2 * math.Cos(2*math.Pi*tone)
	s1, s2 := 0.0, 0.0
	for _, x := range pcm {
		s1, s2 = x+c*s1-s2, s1
	}
	peak := 2 / float64(len(pcm)) / 32768
	return peak * peak / 2 * max(s1*s1+s2*s2-c*s1*s2, 0)
}

// The stream of a camera: 1.5 Mbit/s in 30 pictures a second, each of as many
// packets as fit a network's frame.
const (
	picturePeriod  = 33 * time.Millisecond
	picturePackets = 6
	packetSize     = 1040
	keyPackets     = 4 * picturePackets
	pictureLines   = 720
)

// film makes the RTP payloads of VP8 (RFC 7741): right payload descriptors and
// frame headers, and no picture, which nobody on the way looks at.
type film struct {
	pid uint16
	buf [packetSize]byte
}

// picture makes the next one and hands its packets to send, which doesn't keep
// them.
func (f *film) picture(key bool, send func(payload []byte, last bool)) {
	packets := picturePackets
	if key {
		packets = keyPackets
	}
	f.pid = (f.pid + 1) & 0x7fff
	for i := range packets {
		b := f.buf[:]
		b[0] = 0x80 // X: extended
		b[1] = 0x80 // I: picture id
		binary.BigEndian.PutUint16(b[2:], f.pid|0x8000)
		b[4] = 1 // not a key frame
		if i == 0 {
			b[0] |= 0x10 // S: start of the partition
			if key {
				copy(b[4:], []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 1280 & 0xff, 1280 >> 8, pictureLines & 0xff, pictureLines >> 8})
			}
		}
		send(b, i == packets-1)
	}
}

// pictureID reads what picture wrote; start tells whether a picture begins.
func pictureID(payload []byte) (pid uint16, start, ok bool) {
	if len(payload) < 5 || payload[0]&0x80 == 0 || payload[1]&0x80 == 0 || payload[2]&0x80 == 0 {
		return 0, false, false
	}
	return binary.BigEndian.Uint16(payload[2:]) & 0x7fff, payload[0]&0x10 != 0, true
}
