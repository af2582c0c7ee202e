package mix

import (
	"testing"

	"bridgehead/core"
	"bridgehead/core/audio"
)

func clipOf(rate, ms int, hz, dBov float64) *Clip {
	pcm := make([]int16, rate*ms/1000)
	audio.NewTone(rate, dBov, hz).Read(pcm)
	return NewClip(rate, pcm)
}

func TestPrivatePrompt(t *testing.T) {
	e := newMeeting(t)
	e.talk("a", pcmu, 440, -20, InputOptions{})
	b, c := e.listen("b", pcmu, false), e.listen("c", pcmu, false)
	e.run(50)
	played := 0
	b.out.PlayThen(func() { played++ }, clipOf(16000, 500, 700, -20), clipOf(16000, 500, 1100, -20))
	e.run(24)
	if got := b.hears(15, 700, 440); got[0] < -22 || got[1] > -30 {
		t.Errorf("hears the prompt at %.1f, the voice under it at %.1f", got[0], got[1])
	}
	e.expectNot("c", c, 700)
	e.run(25)
	if got := b.hears(15, 1100); got[0] < -22 {
		t.Errorf("hears the second clip at %.1f", got[0])
	}
	if played != 0 {
		t.Error("done before the end")
	}
	e.run(50)
	if played != 1 {
		t.Errorf("done called %d times", played)
	}
	e.expect("b", b, 440, -20, 1)
	e.expectNot("b", b, 1100)
	if b.out.own.ran == e.m.step-1 {
		t.Error("still coded apart after the prompt")
	}
}

func TestStopPlay(t *testing.T) {
	e := newMeeting(t)
	b := e.listen("b", pcmu, false)
	b.out.PlayThen(func() { t.Error("done, though stopped") }, clipOf(8000, 5000, 700, -20))
	e.run(20)
	b.out.StopPlay()
	b.out.Play(clipOf(8000, 200, 1100, -20))
	e.run(12)
	if got := b.hears(8, 700, 1100); got[0] > -50 || got[1] < -25 {
		t.Errorf("hears the stopped prompt at %.1f, the next at %.1f", got[0], got[1])
	}
	e.run(40)
	if b.hears(20, 1100)[0] > -60 {
		t.Error("plays on")
	}
	b.out.StopPlay() // with nothing playing
	e.run(2)
}

func TestAnnouncementReachesAll(t *testing.T) {
	e := newMeeting(t)
	e.talk("a", pcmu, 440, -20, InputOptions{})
	ears := []*ear{e.listen("a", pcmu, false), e.listen("b", pcmu, false), e.listen("c", opus, true)}
	e.run(50)
	e.m.Play(clipOf(16000, 1000, 700, -20))
	e.run(45)
	for i, r := range ears {
		if got := r.hears(20, 700)[0]; got < -23 {
			t.Errorf("listener %d hears it at %.1f", i, got)
		}
	}
	if got := ears[1].hears(20, 440)[0]; got > -29 {
		t.Errorf("the voice under it is at %.1f", got)
	}
}

func TestMusicLoopsAndIsShared(t *testing.T) {
	e := newMeeting(t)
	a, b := e.listen("a", pcmu, false), e.listen("b", pcmu, false)
	music := clipOf(16000, 300, 600, -30) // 180 whole periods
	e.m.Music(music, true)
	e.run(100)
	before := e.m.Stats().Encodes
	e.run(50)
	if n := e.m.Stats().Encodes - before; n != 50 {
		t.Errorf("%d encodes in 50 steps for two listeners to music", n)
	}
	e.expect("a", a, 600, -30, 1)
	e.expect("b", b, 600, -30, 1)
	e.m.Music(nil, false)
	e.run(50)
	e.expectNot("a", a, 600)

	e.m.Music(music, false)
	e.run(10)
	if e.m.music.Load() == nil {
		t.Error("the music ended too soon")
	}
	e.run(50)
	if e.m.music.Load() != nil {
		t.Error("played more than once")
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	e := newMeeting(t)
	for i, c := range []core.Codec{pcmu, g722, opus, pcma} {
		e.talk(c.Name, c, 300+200*float64(i), -20, InputOptions{AGC: true, DetectDigits: i == 0, OnDigit: func(byte) {}})
		for range 3 {
			if _, err := e.m.AddOutput(OutputOptions{Party: c.Name, Codec: c, Sink: &count{}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.m.AddOutput(OutputOptions{Party: "w", Codec: opus, Sink: &count{}, Forwarded: true})
	e.m.Music(clipOf(16000, 300, 600, -30), true)
	e.run(100)
	if a := testing.AllocsPerRun(200, func() { e.run(1) }); a != 0 {
		t.Errorf("%v allocations in a step", a)
	}
}
