package mix

import (
	"testing"

	"bridgehead/core"
	"bridgehead/core/audio"
)

var _ core.Metered = (*Input)(nil)

func TestMeterTellsSoftFromClipped(t *testing.T) {
	e := newMeeting(t)
	good := e.talk("good", pcmu, 440, -20, InputOptions{})
	loud := e.talk("loud", pcmu, 700, -3, InputOptions{})
	quiet := e.talk("quiet", pcmu, 900, -20, InputOptions{})
	quiet.silent = true
	e.listen("ear", pcmu, false)
	e.run(100)
	if m := good.in.Meter(); m.Loudest < 19 || m.Loudest > 21 || m.Listened < 90 || m.Clipped != 0 {
		t.Errorf("good: %+v", m)
	}
	if m := loud.in.Meter(); m.Loudest > 4 || m.Clipped < 80 {
		t.Errorf("loud: %+v", m)
	}
	if m := quiet.in.Meter(); m.Loudest != audio.Silence || m.Clipped != 0 {
		t.Errorf("quiet: %+v", m)
	}
}
