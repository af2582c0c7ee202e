package codecs

import (
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		codec core.Codec
		want  string
	}{
		{core.Codec{Name: "pcmu", ClockRate: 8000}, "PCMU"},
		{core.Codec{Name: "PCMA"}, "PCMA"},
		{core.Codec{Name: "G722", ClockRate: 8000}, "G722"},
		{core.Codec{Name: "OPUS", ClockRate: 48000, Channels: 2}, "opus"},
		{core.Codec{Name: "opus", ClockRate: 8000}, ""},
		{core.Codec{Name: "G729", ClockRate: 8000}, ""},
	} {
		got, ok := Lookup(c.codec)
		if ok != (c.want != "") || ok && got.Name != c.want {
			t.Errorf("%+v is %v, want %q", c.codec, got, c.want)
		}
	}
}

// Whatever a codec makes, it takes back, at each of its rates and packet times.
func TestEveryCodecKeepsItsWord(t *testing.T) {
	for _, c := range All {
		for _, rate := range c.Rates {
			for _, want := range []time.Duration{0, 10, 20, 30, 40, 60, 500} {
				ptime := c.Ptime(want * time.Millisecond)
				enc, err := c.NewEncoder(rate, audio.EncoderOptions{})
				if err != nil {
					t.Fatal(err)
				}
				dec, err := c.NewDecoder(rate)
				if err != nil {
					t.Fatal(err)
				}
				pcm := make([]int16, audio.Samples(ptime, rate))
				audio.NewTone(rate, -20, 440).Read(pcm)
				payload := make([]byte, 1500)
				n, err := enc.Encode(payload, pcm)
				if err != nil {
					t.Fatalf("%s, %d Hz, %v: %v", c.Name, rate, ptime, err)
				}
				if got, want := c.Ticks(payload[:n]), audio.Samples(ptime, c.ClockRate); got != want {
					t.Errorf("%s, %d Hz, %v: %d ticks, want %d", c.Name, rate, ptime, got, want)
				}
				if got, err := dec.Decode(pcm, payload[:n]); err != nil || got != len(pcm) {
					t.Errorf("%s, %d Hz, %v: %d samples, %v", c.Name, rate, ptime, got, err)
				}
			}
		}
	}
}
