package g711

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"bridgehead/core/audio"
)

// The vectors were made with SoX (16-bit ramp in steps of 4 → codes) and FFmpeg
// (codes 0..255 → 16-bit).
func TestVectors(t *testing.T) {
	for name, c := range map[string]*audio.Codec{"mu": Mu, "a": A} {
		codes, err := os.ReadFile("testdata/sox." + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		ramp := make([]int16, 16384)
		for i := range ramp {
			ramp[i] = int16(i*4 - 32768)
		}
		enc, _ := c.NewEncoder(8000, audio.EncoderOptions{})
		got := make([]byte, len(ramp))
		if _, err := enc.Encode(got, ramp); err != nil {
			t.Fatal(err)
		}
		l := &muLaw
		if name == "a" {
			l = &aLaw
		}
		// G.711 leaves open to which side a sample on a border belongs.
		border := 0
		for i := range got {
			if got[i] == codes[i] {
				continue
			}
			border++
			lo, hi := got[max(i-2, 0)], got[min(i+2, len(got)-1)]
			if codes[i] != lo && codes[i] != hi {
				t.Errorf("%s: %d → %#x, SoX says %#x", name, ramp[i], got[i], codes[i])
			}
		}
		if border > 256 {
			t.Errorf("%s: %d codes differ, there are 255 borders", name, border)
		}

		want, err := os.ReadFile("testdata/expand." + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range l.expand {
			if w := int16(binary.LittleEndian.Uint16(want[2*i:])); v != w {
				t.Errorf("%s: code %#x → %d, FFmpeg says %d", name, i, v, w)
			}
		}
	}
}

func TestLevelOfPayload(t *testing.T) {
	pcm := make([]int16, 160)
	for _, dB := range []float64{-10, -30, -50} {
		audio.NewTone(8000, dB, 440).Read(pcm)
		for _, c := range []*audio.Codec{Mu, A} {
			enc, _ := c.NewEncoder(8000, audio.EncoderOptions{})
			payload := make([]byte, 160)
			enc.Encode(payload, pcm)
			if got := c.Level(payload); math.Abs(float64(got)+dB) > 1 {
				t.Errorf("%s: level %d, want %v", c.Name, got, -dB)
			}
		}
	}
	silence := make([]byte, 160)
	for i := range silence {
		silence[i] = 0xff
	}
	if got := Mu.Level(silence); got != audio.Silence {
		t.Errorf("level of silence %d", got)
	}
}

func TestMalformed(t *testing.T) {
	d, _ := Mu.NewDecoder(8000)
	pcm := make([]int16, 160)
	for _, payload := range [][]byte{nil, {}, make([]byte, 161), make([]byte, 65000)} {
		if _, err := d.Decode(pcm, payload); err == nil {
			t.Errorf("%d bytes were decoded", len(payload))
		}
	}
	if _, err := Mu.NewDecoder(16000); err == nil {
		t.Error("16 kHz was accepted")
	}
}

func BenchmarkDecode(b *testing.B) {
	d, _ := Mu.NewDecoder(8000)
	pcm, payload := make([]int16, 160), make([]byte, 160)
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(pcm, payload)
	}
}

func BenchmarkLevel(b *testing.B) {
	payload := make([]byte, 160)
	for b.Loop() {
		Mu.Level(payload)
	}
}
