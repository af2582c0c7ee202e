package g722

import (
	"bytes"
	"os"
	"testing"

	"bridgehead/core/audio"
)

func readWAV(t testing.TB, name string) []int16 {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := audio.ReadWAV(f)
	if err != nil {
		t.Fatal(err)
	}
	return w.PCM
}

// The vectors are speech, a sweep over the band and full-scale noise, coded and
// decoded by FFmpeg.
func TestVectors(t *testing.T) {
	pcm := readWAV(t, "testdata/in.wav")
	want, err := os.ReadFile("testdata/in.g722")
	if err != nil {
		t.Fatal(err)
	}
	enc, _ := Codec.NewEncoder(16000, audio.EncoderOptions{})
	got := make([]byte, len(pcm)/2)
	if _, err := enc.Encode(got, pcm[:len(got)*2]); err != nil {
		t.Fatal(err)
	}
	differ := 0
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			differ++
		}
	}
	t.Logf("%d of %d codes differ", differ, len(got))
	if !bytes.Equal(got, want[:len(got)]) {
		t.Errorf("%d of %d codes differ from FFmpeg's", differ, len(got))
	}

	dec, _ := Codec.NewDecoder(16000)
	out := readWAV(t, "testdata/out.wav")
	buf := make([]int16, 320)
	for i := 0; i+160 <= len(want) && 2*i+320 <= len(out); i += 160 {
		if _, err := dec.Decode(buf, want[i:i+160]); err != nil {
			t.Fatal(err)
		}
		for k, s := range buf {
			if s != out[2*i+k] {
				t.Fatalf("sample %d is %d, FFmpeg says %d", 2*i+k, s, out[2*i+k])
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	d, _ := Codec.NewDecoder(16000)
	pcm := make([]int16, 320)
	for _, n := range []int{0, 161, 65000} {
		if _, err := d.Decode(pcm, make([]byte, n)); err == nil {
			t.Errorf("%d bytes were decoded", n)
		}
	}
	e, _ := Codec.NewEncoder(16000, audio.EncoderOptions{})
	if _, err := e.Encode(make([]byte, 10), pcm); err == nil {
		t.Error("encoded into a buffer too short")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xff, 0, 0x80, 0x7f})
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, _ := Codec.NewDecoder(16000)
		pcm := make([]int16, 16000/1000*120)
		d.Decode(pcm, payload)
		d.Conceal(pcm)
	})
}

func BenchmarkEncode(b *testing.B) {
	e, _ := Codec.NewEncoder(16000, audio.EncoderOptions{})
	pcm, dst := readWAV(b, "testdata/in.wav")[:320], make([]byte, 160)
	b.ReportAllocs()
	for b.Loop() {
		e.Encode(dst, pcm)
	}
}

func BenchmarkDecode(b *testing.B) {
	d, _ := Codec.NewDecoder(16000)
	pcm, src := make([]int16, 320), make([]byte, 160)
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(pcm, src)
	}
}
