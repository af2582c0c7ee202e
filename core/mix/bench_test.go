package mix

import (
	"fmt"
	"testing"

	"bridgehead/core"
	"bridgehead/core/audio"
)

// benchmarkStep steps a meeting in which all take part with voice and ear,
// three speak and the others send silence.
func benchmarkStep(b *testing.B, parties int, codecs ...core.Codec) {
	e := newMeeting(b)
	for i := range parties {
		c := codecs[i%len(codecs)]
		t := e.talk(fmt.Sprint(i), c, 300+float64(i%3)*150, -20, InputOptions{AGC: true})
		t.silent = i >= 3
		t.level = audio.Silence
		if i < 3 {
			t.level = 20
		}
		if _, err := e.m.AddOutput(OutputOptions{Party: fmt.Sprint(i), Codec: c, Sink: &count{}}); err != nil {
			b.Fatal(err)
		}
	}
	e.run(60)
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for range b.N {
		e.now += audio.Frame
		for _, t := range e.talkers {
			t.send(e.now - audio.Frame/4)
		}
		b.StartTimer()
		e.m.Step(e.now)
		b.StopTimer()
	}
	perStep := float64(b.Elapsed().Microseconds()) / float64(b.N)
	b.ReportMetric(perStep*framesPerS/1000/float64(parties), "ms/caller-s")
}

func BenchmarkStepG711x10(b *testing.B)  { benchmarkStep(b, 10, pcmu) }
func BenchmarkStepG711x100(b *testing.B) { benchmarkStep(b, 100, pcmu) }
func BenchmarkStepG711x500(b *testing.B) { benchmarkStep(b, 500, pcmu) }
func BenchmarkStepOpusx10(b *testing.B)  { benchmarkStep(b, 10, opus) }
func BenchmarkStepOpusx100(b *testing.B) { benchmarkStep(b, 100, opus) }
func BenchmarkStepMixedx100(b *testing.B) {
	benchmarkStep(b, 100, pcmu, pcma, g722, opus)
}
