package opus

import (
	"math"
	"testing"

	"bridgehead/core/audio"
)

func TestRoundTrip(t *testing.T) {
	for _, rate := range Codec.Rates {
		enc, err := Codec.NewEncoder(rate, audio.EncoderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		dec, err := Codec.NewDecoder(rate)
		if err != nil {
			t.Fatal(err)
		}
		tone := audio.NewTone(rate, -20, 440)
		pcm, out := make([]int16, rate/50), make([]int16, rate/50)
		buf := make([]byte, 1500)
		var heard []int16
		for i := range 50 {
			tone.Read(pcm)
			n, err := enc.Encode(buf, pcm)
			if err != nil {
				t.Fatal(err)
			}
			if Ticks(buf[:n]) != 960 {
				t.Fatalf("%d Hz: %d ticks, want 960", rate, Ticks(buf[:n]))
			}
			switch { // a loss now and then, not measured
			case i > 40 && i%5 == 0:
				if dec.Conceal(out) != len(out) {
					t.Fatal("concealed less than asked")
				}
			case i > 40 && i%5 == 1:
				if dec.Recover(out, buf[:n]) != len(out) {
					t.Fatal("recovered less than asked")
				}
			default:
				if _, err := dec.Decode(out, buf[:n]); err != nil {
					t.Fatal(err)
				}
			}
			if i > 10 && i <= 40 {
				heard = append(heard, out...)
			}
		}
		if got := audio.Spectrum(heard, rate, 440)[0]; math.Abs(got+20) > 2 {
			t.Errorf("%d Hz: hears 440 Hz at %.1f dBov, want -20", rate, got)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		want   int
	}{
		{nil, 0},
		{[]byte{0x78}, 960},     // hybrid 20 ms
		{[]byte{0x08}, 960},     // SILK 20 ms
		{[]byte{0x18}, 2880},    // SILK 60 ms
		{[]byte{0x80}, 120},     // CELT 2.5 ms
		{[]byte{0xf9}, 1920},    // CELT 20 ms × 2
		{[]byte{0x1b, 2}, 5760}, // SILK 60 ms × 2
		{[]byte{0x1b, 3}, 0},    // 180 ms: too long
		{[]byte{0x1b}, 0},       // no frame count
		{[]byte{0xfb, 0x3f}, 0}, // 63 × 20 ms
		{[]byte{0xfb, 0xc0}, 0}, // no frames
	} {
		if got := Ticks(c.packet); got != c.want {
			t.Errorf("Ticks(%x) = %d, want %d", c.packet, got, c.want)
		}
	}
}

func TestDoesNotAllocate(t *testing.T) {
	enc, _ := Codec.NewEncoder(48000, audio.EncoderOptions{})
	dec, _ := Codec.NewDecoder(48000)
	pcm, buf := make([]int16, 960), make([]byte, 1500)
	if a := testing.AllocsPerRun(100, func() {
		n, _ := enc.Encode(buf, pcm)
		dec.Decode(pcm, buf[:n])
		dec.Conceal(pcm)
	}); a != 0 {
		t.Errorf("%v allocations per packet", a)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x78, 1, 2, 3, 4})
	f.Add([]byte{0xfb, 0x81, 9, 9, 9, 9})
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := Codec.NewDecoder(16000)
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, 16000/1000*120)
		n, err := d.Decode(pcm, payload)
		if err == nil && n != Ticks(payload)/3 {
			t.Errorf("%d samples, Ticks says %d", n, Ticks(payload)/3)
		}
		d.Recover(pcm[:320], payload)
		d.Conceal(pcm[:320])
	})
}

func BenchmarkEncode48k(b *testing.B) { benchmarkEncode(b, 48000) }
func BenchmarkEncode16k(b *testing.B) { benchmarkEncode(b, 16000) }
func BenchmarkEncode8k(b *testing.B)  { benchmarkEncode(b, 8000) }

func benchmarkEncode(b *testing.B, rate int) {
	e, _ := Codec.NewEncoder(rate, audio.EncoderOptions{})
	pcm, buf := make([]int16, rate/50), make([]byte, 1500)
	tone := audio.NewTone(rate, -20, 300, 720, 1330)
	b.ReportAllocs()
	for b.Loop() {
		tone.Read(pcm)
		e.Encode(buf, pcm)
	}
}
