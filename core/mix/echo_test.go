package mix

import (
	"math/rand/v2"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
)

// speech is how loud somebody is who talks for half of the time, in words of
// 0.1 to 0.7 s, step by step.
func speech(seed uint64, steps int, dBov float64) (levels []float64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for len(levels) < steps {
		word, pause := 5+r.IntN(30), 3+r.IntN(25)
		loud := dBov - 8*r.Float64()
		for range word {
			levels = append(levels, loud-4*r.Float64())
		}
		if r.IntN(6) == 0 {
			pause += 60 // a sentence
		}
		for range pause {
			levels = append(levels, -audio.Silence)
		}
	}
	return levels[:steps]
}

// mixed are levels together, over noise.
func mixed(seed uint64, noise float64, voices ...[]float64) (levels []uint8) {
	r := rand.New(rand.NewPCG(seed, 2))
	for i := range voices[0] {
		loudest := noise - 3*r.Float64()
		for _, v := range voices {
			loudest = max(loudest, v[i])
		}
		levels = append(levels, uint8(-max(loudest, -audio.Silence)))
	}
	return levels
}

// later is a voice as its echo: delayed by steps, softer by dB.
func later(v []float64, steps int, dB float64) []float64 {
	out := make([]float64, len(v))
	for i := range out {
		out[i] = -audio.Silence
		if i >= steps {
			out[i] = v[i-steps] - dB
		}
	}
	return out
}

func TestEchoIsFoundInItsSound(t *testing.T) {
	silence := make([]float64, echoWindow)
	for i := range silence {
		silence[i] = -audio.Silence
	}
	music := make([]float64, echoWindow)
	for i := range music {
		music[i] = -25 + 4*float64(i%7)/7
	}
	taking := func(turns int, v []float64) []float64 { // every other turn
		out := later(v, 0, 0)
		for i := range out {
			if i/50%2 != turns {
				out[i] = -audio.Silence
			}
		}
		return out
	}
	const seeds = 100
	for _, c := range []struct {
		name       string
		sent, came func(seed uint64) []float64
		noise      float64
		least      int // windows in which it is found, of all
		most       int
		after      int
	}{
		{"echo at 200 ms, -20 dB", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return later(speech(s, echoWindow, -22), 10, 20) }, -75, seeds, seeds, 10},
		{"the same over noise", func(s uint64) []float64 { return speech(s, echoWindow, -20) }, func(s uint64) []float64 { return later(speech(s, echoWindow, -20), 10, 20) }, -58, seeds * 9 / 10, seeds, 10},
		{"echo at 600 ms", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return later(speech(s, echoWindow, -22), 30, 10) }, -75, seeds, seeds, 30},
		{"all of it back at once", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return later(speech(s, echoWindow, -22), 1, 0) }, -75, seeds, seeds, 1},
		{"double talk", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return speech(s+seeds, echoWindow, -22) }, -75, 0, 1, 0},
		{"a conversation in turns", func(s uint64) []float64 { return taking(0, speech(s, echoWindow, -22)) }, func(s uint64) []float64 { return taking(1, speech(s+seeds, echoWindow, -22)) }, -75, 0, 1, 0},
		{"an echo of two seconds, which is none", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return later(speech(s, echoWindow, -22), 100, 10) }, -75, 0, 1, 0},
		{"the same room, heard before it is sent", func(s uint64) []float64 { return later(speech(s, echoWindow, -22), 5, 0) }, func(s uint64) []float64 { return speech(s, echoWindow, -22) }, -75, 0, 0, 0},
		{"music", func(uint64) []float64 { return music }, func(uint64) []float64 { return later(music, 10, 10) }, -75, 0, 0, 0},
		{"silence", func(uint64) []float64 { return silence }, func(s uint64) []float64 { return speech(s, echoWindow, -22) }, -75, 0, 0, 0},
		{"a conference of several", func(s uint64) []float64 { return speech(s, echoWindow, -22) }, func(s uint64) []float64 { return speech(s+2*seeds, echoWindow, -25) }, -60, 0, 1, 0},
	} {
		found := 0
		for seed := range uint64(seeds) {
			sent := mixed(seed, -80, c.sent(seed))
			if c.name == "a conference of several" {
				sent = mixed(seed, -60, c.sent(seed), speech(seed+seeds, echoWindow, -28))
			}
			if after, _ := echo(sent, mixed(seed+1000, c.noise, c.came(seed))); after > 0 {
				found++
				if c.after > 0 && after != c.after {
					t.Errorf("%s: found after %d steps", c.name, after)
				}
			}
		}
		if found < c.least || found > c.most {
			t.Errorf("%s: found in %d of %d windows", c.name, found, seeds)
		}
	}
}

// As loud as its levels tell, one step after the other.
func (t *talker) says(levels []float64, i int) {
	t.silent = i >= len(levels) || levels[i] < -100
	if !t.silent {
		rate := len(t.pcm) * 50
		t.tone = audio.NewTone(rate, levels[i], 440)
	}
}

// In a meeting the telephone that sends the others back is told from the one that
// does not, whatever its codec.
func TestEchoIsFoundInAMeeting(t *testing.T) {
	for _, codec := range []core.Codec{pcmu, g722} {
		e := newMeeting(t)
		talks := e.talk("talks", pcmu, 440, -20, InputOptions{})
		back := e.talk("back", codec, 440, -20, InputOptions{})
		good := e.talk("good", codec, 440, -20, InputOptions{})
		browser := e.talk("browser", opus, 440, -20, InputOptions{Forwarded: true})
		browser.silent = true
		for _, party := range []string{"talks", "back", "good"} {
			e.listen(party, codec, false)
		}
		const length = 90 * framesPerS
		voice, own := speech(1, length, -20), speech(2, length, -30)
		copied := later(voice, 10, 20)
		for i, dB := range later(own, 10, 20) {
			copied[i] = max(copied[i], dB)
		}
		for i := range length {
			talks.says(voice, i)
			back.says(copied, i)
			good.says(own, i)
			e.run(1)
		}
		if m := back.in.Meter(); m.Echoes < 2 || m.Echoes < m.Compared-1 || m.EchoAfter < 140*time.Millisecond || m.EchoAfter > 320*time.Millisecond {
			t.Errorf("%s: the one that echoes: %+v", codec.Name, m)
		}
		for _, in := range []*Input{good.in, talks.in} {
			if m := in.Meter(); m.Compared == 0 || m.Echoes > 0 {
				t.Errorf("%s: %s: %+v", codec.Name, in.o.Party, m)
			}
		}
		if m := browser.in.Meter(); m.Compared > 0 {
			t.Errorf("the browser: %+v", m)
		}
	}
}

// An echo that comes at another time each time is chance.
func TestEchoesAgreeOnTheirTime(t *testing.T) {
	var m meter
	for _, after := range []int{10, 25, 0, 7, 18} {
		m.compare(after)
	}
	if n := m.echoes.Load(); n != 1 {
		t.Errorf("%d echoes", n)
	}
	for range 3 {
		m.compare(19)
	}
	if n := m.echoes.Load(); n != 4 || m.compared.Load() != 8 {
		t.Errorf("%d echoes in %d windows", n, m.compared.Load())
	}
}

// A window costs some hundred microseconds, once in ten seconds.
func BenchmarkEcho(b *testing.B) {
	v := speech(1, echoWindow, -22)
	sent, came := mixed(1, -75, v), mixed(2, -75, later(v, 10, 20))
	for b.Loop() {
		echo(sent, came)
	}
}
