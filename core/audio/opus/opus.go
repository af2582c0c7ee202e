// Package opus is the sound of browsers: Opus (RFC 6716) in RTP (RFC 7587), by
// libopus. The bridge mixes in mono; stereo from a browser is folded by the
// decoder.
package opus

import (
	"time"

	lib "github.com/hraban/opus"

	"bridgehead/core"
	"bridgehead/core/audio"
)

const clock = 48000

// Codec is opus.
var Codec = &audio.Codec{
	Name: "opus", ClockRate: clock, Channels: 2, PayloadType: audio.Dynamic,
	Rates: []int{8000, 12000, 16000, 24000, 48000},
	Ptimes: []time.Duration{
		10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond,
	},
	FEC:        true,
	NewEncoder: newEncoder,
	NewDecoder: newDecoder,
	Ticks:      Ticks,
	Level:      level,
}

// level knows only the empty packets of DTX; what others hold, decoding shows.
func level(payload []byte) uint8 {
	if len(payload) <= 2 {
		return audio.Silence
	}
	return core.LevelUnknown
}

type encoder struct{ *lib.Encoder }

func newEncoder(rate int, o audio.EncoderOptions) (audio.Encoder, error) {
	e, err := lib.NewEncoder(rate, 1, lib.AppVoIP)
	if err != nil {
		return nil, err
	}
	// 5 gives what 10 does within what a voice lets one hear, at half the cost.
	if o.Complexity == 0 {
		o.Complexity = 5
	}
	// The least at which libopus keeps the full band of a single voice.
	if o.BitsPerSec == 0 {
		o.BitsPerSec = 32000
	}
	for _, err := range []error{
		e.SetComplexity(o.Complexity),
		e.SetBitrate(o.BitsPerSec),
		e.SetPacketLossPerc(o.LossPercent),
		e.SetInBandFEC(o.LossPercent > 0),
		e.SetDTX(o.DTX),
	} {
		if err != nil {
			return nil, err
		}
	}
	return encoder{e}, nil
}

func (e encoder) Encode(dst []byte, pcm []int16) (int, error) {
	if len(pcm) == 0 || len(dst) == 0 {
		return 0, audio.ErrShort
	}
	return e.Encoder.Encode(pcm, dst)
}

type decoder struct {
	lib  *lib.Decoder
	rate int
}

func newDecoder(rate int) (audio.Decoder, error) {
	d, err := lib.NewDecoder(rate, 1)
	if err != nil {
		return nil, err
	}
	return &decoder{d, rate}, nil
}

func (d *decoder) Decode(pcm []int16, payload []byte) (int, error) {
	n := Ticks(payload) / (clock / d.rate)
	if n == 0 {
		return 0, audio.ErrPayload
	}
	if len(pcm) < n {
		return 0, audio.ErrShort
	}
	// The library takes the slice's capacity for its size.
	return d.lib.Decode(payload, pcm[:n:n])
}

func (d *decoder) Conceal(pcm []int16) int {
	pcm = d.whole(pcm)
	if len(pcm) == 0 || d.lib.DecodePLC(pcm) != nil {
		clear(pcm)
	}
	return len(pcm)
}

func (d *decoder) Recover(pcm []int16, next []byte) int {
	pcm = d.whole(pcm)
	if len(pcm) == 0 || Ticks(next) == 0 || d.lib.DecodeFEC(next, pcm) != nil {
		return d.Conceal(pcm)
	}
	return len(pcm)
}

// whole cuts pcm to what libopus can conceal: whole steps of 2.5 ms.
func (d *decoder) whole(pcm []int16) []int16 {
	n := len(pcm) - len(pcm)%(d.rate/400)
	return pcm[:n:n]
}

// Ticks is the length of an Opus packet at 48 kHz, from its table-of-contents
// byte and frame count (RFC 6716 §3.1, §3.2); 0 if that is malformed.
func Ticks(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	frames := 1
	switch p[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(p) < 2 {
			return 0
		}
		frames = int(p[1] & 0x3f)
	}
	n := frames * frameTicks(p[0]>>3)
	if n > audio.Samples(audio.MaxPacket, clock) {
		return 0
	}
	return n
}

// frameTicks is table 2 of RFC 6716.
func frameTicks(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [...]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	}
	return 120 << (config & 3) // CELT: 2.5, 5, 10, 20 ms
}
