package audio_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bridgehead/core/audio"
	"bridgehead/core/audio/g711"
)

// speech is half a minute at 8 kHz: three voices.
func speech(t testing.TB) []int16 {
	ulaw, err := os.ReadFile("testdata/talkoff.ul")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := g711.Mu.NewDecoder(8000)
	pcm := make([]int16, 0, len(ulaw))
	buf := make([]int16, 160)
	for ; len(ulaw) >= 160; ulaw = ulaw[160:] {
		d.Decode(buf, ulaw[:160])
		pcm = append(pcm, buf...)
	}
	return pcm
}

func tone(rate, ms int, dBov float64, freqs ...float64) []int16 {
	pcm := make([]int16, rate*ms/1000)
	audio.NewTone(rate, dBov, freqs...).Read(pcm)
	return pcm
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s is %.1f, want %.1f ± %.1f", what, got, want, within)
	}
}

func TestLevel(t *testing.T) {
	square := make([]int16, 160)
	for i := range square {
		square[i] = -32768
	}
	if got := audio.Level(square); got != 0 {
		t.Errorf("full square wave is %d, want 0", got)
	}
	near(t, "sine", float64(audio.Level(tone(8000, 100, -26, 1000))), 26, 0.5)
	if got := audio.Level(make([]int16, 160)); got != 127 {
		t.Errorf("silence is %d, want 127", got)
	}
}

func TestSpectrum(t *testing.T) {
	pcm := tone(8000, 500, -18, 440)
	got := audio.Spectrum(pcm, 8000, 440, 880)
	near(t, "440 Hz", got[0], -18, 0.1)
	if got[1] > -80 {
		t.Errorf("880 Hz is %.1f", got[1])
	}
	if got := audio.Spectrum(nil, 8000, 440)[0]; got != -127 {
		t.Errorf("nothing is %.1f", got)
	}
}

func TestLimit(t *testing.T) {
	src := []int32{0, 100, -100, 20000, 40000, 90000, -90000, 1 << 30}
	dst := make([]int16, len(src))
	audio.Limit(dst, src)
	for i := range 4 {
		if int32(dst[i]) != src[i] {
			t.Errorf("%d became %d", src[i], dst[i])
		}
	}
	if dst[4] >= dst[5] || dst[5] > dst[7] || dst[6] != -dst[5] {
		t.Errorf("not rising and even: %v", dst)
	}
}

func resample(from, to int, pcm []int16) []int16 {
	r := audio.NewResampler(from, to)
	var out []int16
	buf := make([]int16, to/50)
	for n := from / 50; len(pcm) >= n; pcm = pcm[n:] {
		out = append(out, buf[:r.Process(buf, pcm[:n])]...)
	}
	return out
}

func TestResamplerPassBandIsFlat(t *testing.T) {
	rates := []int{8000, 16000, 24000, 48000}
	for _, from := range rates {
		for _, to := range rates {
			low := float64(min(from, to))
			for _, f := range []float64{100, 300, 1000, 0.3 * low, 0.42 * low} {
				out := resample(from, to, tone(from, 400, -10, f))
				if len(out) != to*400/1000 {
					t.Fatalf("%d→%d: %d samples", from, to, len(out))
				}
				near(t, "tone", audio.Spectrum(out[to/20:], to, f)[0], -10, 0.2)
			}
		}
	}
}

func TestResamplerRejectsAliases(t *testing.T) {
	for _, c := range []struct{ from, to int }{{48000, 8000}, {16000, 8000}, {48000, 16000}, {24000, 16000}} {
		for k := 0.58; k*float64(c.to) < float64(c.from)/2; k += 0.07 {
			out := resample(c.from, c.to, tone(c.from, 400, -10, k*float64(c.to)))
			if l := audio.Level(out[c.to/20:]); l < 70 {
				t.Errorf("%d→%d: %.0f Hz leaves -%d dBov of -10", c.from, c.to, k*float64(c.to), l)
			}
		}
	}
	for _, c := range []struct{ from, to int }{{8000, 48000}, {8000, 16000}, {16000, 48000}} {
		out := resample(c.from, c.to, tone(c.from, 400, -10, 1000))
		image := audio.Spectrum(out[c.to/20:], c.to, float64(c.from)-1000, float64(c.from)+1000)
		if image[0] > -70 || image[1] > -70 {
			t.Errorf("%d→%d: images at %.0f dBov", c.from, c.to, image)
		}
	}
}

func TestResamplerDoesNotAllocate(t *testing.T) {
	r := audio.NewResampler(48000, 8000)
	src, dst := make([]int16, 960), make([]int16, 160)
	if a := testing.AllocsPerRun(100, func() { r.Process(dst, src) }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func TestConcealmentContinuesAVoiceAndFades(t *testing.T) {
	pcm := tone(8000, 400, -15, 125, 250, 500)
	c := audio.NewConcealer(8000)
	for i := 0; i < 2400; i += 160 {
		c.Good(pcm[i : i+160])
	}
	lost := make([]int16, 160)
	c.Lost(lost)
	for i, s := range lost[:80] { // the first 10 ms are as they would have been
		if d := int(s) - int(pcm[2400+i]); d > 700 || d < -700 {
			t.Fatalf("sample %d is %d, was %d", i, s, pcm[2400+i])
		}
	}
	before := audio.Level(lost)
	c.Lost(lost)
	if audio.Level(lost) <= before {
		t.Error("no fade in the second lost packet")
	}
	c.Lost(lost)
	c.Lost(lost)
	if audio.Level(lost) != audio.Silence {
		t.Error("still sound after 60 ms")
	}
	c.Good(pcm[:160]) // fades in
}

func TestDTMFDigits(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000} {
		for _, on := range []int{40, 70, 200} {
			const want = "0123456789*#ABCD5556"
			pcm := audio.DTMF(rate, want, time.Duration(on)*ms, 45*ms, -15)
			if got := digits(rate, pcm); got != want {
				t.Errorf("%d Hz, %d ms: heard %q", rate, on, got)
			}
		}
	}
}

func TestDTMFTwistNoiseAndLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		row, col, noise float64 // dBov
		want            string
	}{
		{-10, -10, -40, "1"},
		{-30, -30, -60, "1"},
		{-14, -8, -40, "1"},  // twist 6 dB
		{-8, -12, -40, "1"},  // reverse 4 dB
		{-10, -30, -60, ""},  // no pair
		{-50, -50, -90, ""},  // too soft
		{-127, -10, -40, ""}, // one tone
		{-20, -20, -20, ""},  // in noise as loud
	} {
		pcm := tone(8000, 100, c.row, 697)
		for i, s := range tone(8000, 100, c.col, 1209) {
			n := rng.NormFloat64() * 32768 * audio.Gain(c.noise)
			pcm[i] += s + int16(n)
		}
		if got := digits(8000, append(pcm, make([]int16, 400)...)); got != c.want {
			t.Errorf("%+v: heard %q", c, got)
		}
	}
}

func TestDTMFSpeechIsNoDigit(t *testing.T) {
	if got := digits(8000, speech(t)); got != "" {
		t.Errorf("heard %q in speech", got)
	}
	// And a digit pressed over soft speech is heard.
	pcm := speech(t)[:8000]
	for i := range pcm {
		pcm[i] /= 16
	}
	for i, s := range audio.DTMF(8000, "7", 80*ms, 0, -12) {
		pcm[4000+i] += s
	}
	if got := digits(8000, pcm); got != "7" {
		t.Errorf("heard %q, want 7 over speech", got)
	}
}

func digits(rate int, pcm []int16) (got string) {
	d := audio.NewDigitDetector(rate)
	for n := rate / 50; len(pcm) >= n; pcm = pcm[n:] {
		d.Write(pcm[:n], func(k byte) { got += string(k) })
	}
	return got
}

func TestVAD(t *testing.T) {
	var v audio.VAD
	for range 100 {
		if v.Frame(60) {
			t.Fatal("background is voice")
		}
	}
	if !v.Frame(25) || !v.Frame(60) {
		t.Error("voice, and the pause after it, are not voice")
	}
	for range 20 {
		v.Frame(60)
	}
	if v.Frame(60) {
		t.Error("holds on for ever")
	}
}

func TestAGC(t *testing.T) {
	run := func(dB float64) (voice, noise float64) {
		a, pcm := audio.AGC{}, speech(t)
		var before, after int64
		out := make([]int16, 160)
		g := audio.Gain(dB)
		for i := 0; i+160 <= len(pcm); i += 160 {
			for k := range out {
				out[k] = int16(float64(pcm[i+k]) * g)
			}
			in := append([]int16(nil), out...)
			a.Frame(out)
			if i > len(pcm)/2 {
				for k := range out {
					before += int64(in[k]) * int64(in[k])
					after += int64(out[k]) * int64(out[k])
				}
			}
		}
		for range 100 { // then steady noise
			for k := range out {
				out[k] = int16((k*7919)%64 - 32)
			}
			a.Frame(out)
		}
		return 10 * math.Log10(float64(after)/float64(before)), float64(audio.Level(out))
	}
	soft, noise := run(-24)
	if soft < 6 || soft > 12.5 {
		t.Errorf("soft voice is lifted by %.1f dB", soft)
	}
	if noise < 64 {
		t.Errorf("noise is lifted to -%.0f dBov", noise)
	}
	if loud, _ := run(0); loud > 0.5 {
		t.Errorf("loud voice is lifted by %.1f dB", loud)
	}
}

func TestWAV(t *testing.T) {
	for _, w := range []audio.WAV{
		{Rate: 8000, Channels: 1, PCM: []int16{1, -2, 32767, -32768}},
		{Rate: 48000, Channels: 2, PCM: []int16{1, 3, 5, 7}},
	} {
		var b bytes.Buffer
		if _, err := w.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		got, err := audio.ReadWAV(bytes.NewReader(b.Bytes()))
		if err != nil || got.Rate != w.Rate || got.Channels != w.Channels || len(got.PCM) != len(w.PCM) {
			t.Fatalf("%+v, %v", got, err)
		}
		for i := range w.PCM {
			if got.PCM[i] != w.PCM[i] {
				t.Errorf("sample %d: %d", i, got.PCM[i])
			}
		}
		if w.Channels == 2 && (got.Mono()[0] != 2 || len(got.Mono()) != 2) {
			t.Errorf("mono %v", got.Mono())
		}
		for cut := range 44 {
			if _, err := audio.ReadWAV(bytes.NewReader(b.Bytes()[:cut])); err == nil {
				t.Errorf("%d bytes were read as a file", cut)
			}
		}
	}
}

func TestCadence(t *testing.T) {
	pcm := audio.BusyTone.PCM(8000)
	if len(pcm) != 8000 || audio.Level(pcm[4000:]) != audio.Silence {
		t.Errorf("%d samples, pause at -%d", len(pcm), audio.Level(pcm[4000:]))
	}
	near(t, "480 Hz", audio.Spectrum(pcm[:4000], 8000, 480)[0], -24, 0.5)
}

func FuzzReadWAV(f *testing.F) {
	var b bytes.Buffer
	(&audio.WAV{Rate: 8000, Channels: 1, PCM: []int16{1, 2}}).WriteTo(&b)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if w, err := audio.ReadWAV(bytes.NewReader(data)); err == nil {
			w.Mono()
		}
	})
}

func BenchmarkResample48to8(b *testing.B) { benchmarkResample(b, 48000, 8000) }
func BenchmarkResample8to48(b *testing.B) { benchmarkResample(b, 8000, 48000) }
func BenchmarkResample16to8(b *testing.B) { benchmarkResample(b, 16000, 8000) }

func benchmarkResample(b *testing.B, from, to int) {
	r := audio.NewResampler(from, to)
	src, dst := make([]int16, from/50), make([]int16, to/50)
	b.ReportAllocs()
	for b.Loop() {
		r.Process(dst, src)
	}
}

func BenchmarkDigitDetector(b *testing.B) {
	d, pcm := audio.NewDigitDetector(8000), speech(b)[8000:8160]
	b.ReportAllocs()
	for b.Loop() {
		d.Write(pcm, func(byte) {})
	}
}
