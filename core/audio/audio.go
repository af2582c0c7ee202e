// Package audio is sound inside the bridge: 16-bit linear PCM, mono, and all
// that is done with it. Codecs (one folder each, listed in audio/codecs),
// resampling, the jitter buffer (RFC 3550), levels (RFC 6464), concealment of
// lost packets, gain control, tones and telephone digits (ITU-T Q.23, Q.24)
// live here; nothing here has a goroutine or a timer of its own.
//
// Types are used from one goroutine at a time unless they say otherwise, and
// none allocates after its constructor, so that media never waits.
package audio

import (
	"errors"
	"math"
	"time"

	"bridgehead/core"
)

// Frame is the length of sound that a mixer steps in.
const Frame = 20 * time.Millisecond

// Dynamic is the PayloadType of a codec that has no static one (RFC 3551).
const Dynamic = 255

// MaxPacket is the longest sound in one packet: what Opus allows (RFC 6716
// §2.1.4). A payload that claims more is refused.
const MaxPacket = 120 * time.Millisecond

// Errors of codecs.
var (
	ErrRate    = errors.New("audio: sample rate not possible with this codec")
	ErrShort   = errors.New("audio: buffer too short")
	ErrPayload = errors.New("audio: malformed payload")
)

// Codec describes a payload format. It is never changed.
type Codec struct {
	// Name as registered with SDP; compared without regard to case.
	Name string
	// ClockRate is the RTP clock in Hz; 8000 for G722 by an old mistake that
	// RFC 3551 §4.5.2 made law.
	ClockRate int
	// Channels as written in rtpmap: 2 for opus always (RFC 7587 §7).
	Channels int
	// PayloadType is the static one, or Dynamic.
	PayloadType uint8
	// Rates lists the sample rates in Hz that it codes from and to, rising.
	Rates []int
	// Ptimes lists the packet times it can make, rising; empty means any
	// whole number of milliseconds.
	Ptimes []time.Duration

	// FEC says that a packet may carry a coarse copy of the one before.
	FEC bool

	// NewEncoder makes an encoder of mono sound at one of Rates.
	NewEncoder func(rate int, o EncoderOptions) (Encoder, error)
	// NewDecoder makes a decoder to mono sound at one of Rates.
	NewDecoder func(rate int) (Decoder, error)
	// Ticks is the length of a payload in units of ClockRate; 0 if malformed
	// or longer than MaxPacket. It costs next to nothing.
	Ticks func(payload []byte) int
	// Level is the sound level of a payload in -dBov, found without decoding,
	// or core.LevelUnknown; nil if the format never allows that.
	Level func(payload []byte) uint8
}

// Rate is the lowest of the codec's rates that keeps all of want Hz, or its
// highest.
func (c *Codec) Rate(want int) int {
	for _, r := range c.Rates {
		if r >= want {
			return r
		}
	}
	return c.Rates[len(c.Rates)-1]
}

// Ptime is the longest packet time up to want that the codec can make, between
// 10 and 60 ms; 20 ms if want is 0.
func (c *Codec) Ptime(want time.Duration) time.Duration {
	if want == 0 {
		want = Frame
	}
	want = min(max(want.Truncate(10*time.Millisecond), 10*time.Millisecond), 60*time.Millisecond)
	for i := len(c.Ptimes) - 1; i >= 0; i-- {
		if c.Ptimes[i] <= want {
			return c.Ptimes[i]
		}
	}
	return want
}

// EncoderOptions are wishes; a codec ignores those that mean nothing to it.
type EncoderOptions struct {
	// Complexity from 1 to 10; 0 means 5.
	Complexity int
	// BitsPerSec; 0 lets the codec choose.
	BitsPerSec int
	// LossPercent is what the network is expected to lose; above 0 the codec
	// adds forward error correction.
	LossPercent int
	// DTX lets the encoder make nearly empty packets of silence.
	DTX bool
}

// Encoder turns PCM to payloads of one stream.
type Encoder interface {
	// Encode codes the whole of pcm into dst and returns the payload's length.
	Encode(dst []byte, pcm []int16) (int, error)
}

// Follower is an Encoder that can take over the state of another of its kind,
// so that a listener moved between them hears no seam.
type Follower interface{ Follow(Encoder) }

// Decoder turns payloads of one stream to PCM.
type Decoder interface {
	// Decode fills pcm and returns how many samples there are. The payload may
	// be anything; it is not kept. An error leaves the decoder usable.
	Decode(pcm []int16, payload []byte) (int, error)
	// Conceal fills the whole of pcm with what a lost packet may have held.
	Conceal(pcm []int16) int
	// Recover is Conceal with the packet after the lost one at hand, which may
	// carry a coarse copy of it (forward error correction).
	Recover(pcm []int16, next []byte) int
}

// Silence is the level of no sound at all, in -dBov.
const Silence = 127

// Level of PCM in -dBov as RFC 6464 and 6465 define it: 0 is a full-scale
// square wave, a full-scale sine is 3, silence 127.
func Level(pcm []int16) uint8 {
	var sum int64
	for _, s := range pcm {
		sum += int64(s) * int64(s)
	}
	return LevelOf(sum, len(pcm))
}

// Clipped tells whether a frame reaches full scale, as G.711 and 16 bits have
// it, in more than a single sample.
func Clipped(pcm []int16) bool {
	const full, few = 32000, 3
	n := 0
	for _, s := range pcm {
		if s >= full || s <= -full {
			n++
		}
	}
	return n >= few
}

// LevelOf is the level in -dBov of n samples whose squares add up to sum.
func LevelOf(sum int64, n int) uint8 {
	if sum <= 0 || n == 0 {
		return Silence
	}
	db := -10 * math.Log10(float64(sum)/float64(n)/(32768*32768))
	return uint8(min(max(db+0.5, 0), Silence))
}

// Gain is the factor that dB stand for.
func Gain(dB float64) float64 { return math.Pow(10, dB/20) }

// Samples in d at rate Hz.
func Samples(d time.Duration, rate int) int { return int(d * time.Duration(rate) / time.Second) }

// knee is where Limit begins to bend: -3 dB of full scale, since the sum of
// two or three ordinary voices stays below it.
const knee = 23198

// Limit brings the sum src into dst, bending what exceeds -3 dB of full scale
// softly instead of cutting it. The lengths are the same.
func Limit(dst []int16, src []int32) {
	for i, v := range src {
		if v > knee || v < -knee {
			v = bend(v)
		}
		dst[i] = int16(v)
	}
}

// bend maps [knee, ∞) to [knee, 32767] with slope 1 at the knee.
func bend(v int32) int32 {
	const room = 32767 - knee
	if v < 0 {
		return -bend(-v)
	}
	over := float32(v-knee) / room
	return knee + int32(room*over/(1+over))
}

// Ramp scales pcm in place by a gain that goes evenly from one value to the
// other, so that a change makes no click.
func Ramp(pcm []int16, from, to float32) {
	if from == 1 && to == 1 || len(pcm) == 0 {
		return
	}
	step := (to - from) / float32(len(pcm))
	for i, s := range pcm {
		pcm[i] = clip(float32(s) * from)
		from += step
	}
}

func clip(v float32) int16 {
	switch {
	case v >= 32767:
		return 32767
	case v <= -32768:
		return -32768
	case v < 0:
		return int16(v - 0.5)
	}
	return int16(v + 0.5)
}

// levelOf is the level that the sender states, else what the payload shows,
// else LevelUnknown.
func levelOf(c *Codec, p *core.Packet) uint8 {
	if p.Level != core.LevelUnknown {
		return min(p.Level, Silence)
	}
	if c.Level != nil {
		return c.Level(p.Payload)
	}
	return core.LevelUnknown
}
