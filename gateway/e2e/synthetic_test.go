//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"
)

type syntheticCall struct {
	OK          bool
	Fault       string
	Call, Came  string
	AnswerMS    int     `json:"answer_ms"`
	GreetingMS  int     `json:"greeting_ms"`
	MeetingMS   int     `json:"meeting_ms"`
	LevelDBov   int     `json:"level_dbov"`
	LossPercent float64 `json:"loss_percent"`
	MOS         float64
}

// A synthetic caller goes out to the carrier and comes back in, through greeting
// and passcode into the meeting; what breaks on that way is told, once.
func TestSyntheticCallerTriesTheWholeWay(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t)
	patient := *g.http // a call that fails takes its time
	patient.Timeout = 2 * time.Minute
	g.http = &patient
	k := newKamailio(t, freePort(t))
	g.registers("carrier", k, 0)
	g.api("POST", "/numbers", map[string]any{"number": "+15550100", "trunk": "carrier", "target": "reception"}, nil)
	g.meeting(map[string]any{"number": "7009", "guest_passcode": "4711"})
	g.api("POST", "/synthetic-callers", map[string]any{"number": "+15550100", "meeting": "7009", "keys": "7009#,,4711#", "every": 60}, nil)
	var list []struct {
		HasKeys bool `json:"has_keys"`
		Last    *syntheticCall
	}
	eventually(t, 60*time.Second, "the first call is due at once and goes through", func() bool {
		g.api("GET", "/synthetic-callers", nil, &list)
		return len(list) == 1 && list[0].Last != nil
	})
	first := *list[0].Last
	t.Logf("%+v", first)
	if !first.OK || !list[0].HasKeys || first.Call == "" || first.Came == "" || first.Call == first.Came {
		t.Fatalf("the first call: %+v", first)
	}
	if first.LevelDBov < -30 || first.LevelDBov > -15 || first.MOS < 4 || first.GreetingMS > 3000 || first.MeetingMS < 1 {
		t.Errorf("measured: %+v", first)
	}
	if n := len(g.participants("7009")); n != 0 {
		t.Errorf("%d are left in the meeting", n)
	}
	call := func() (c syntheticCall) {
		t.Helper()
		g.api("POST", "/synthetic-callers/+15550100/call", nil, &c)
		t.Logf("%+v", c)
		return c
	}
	g.api("PATCH", "/meetings/7009", map[string]any{"guest_passcode": "9999"}, nil)
	if c := call(); c.OK || !strings.Contains(c.Fault, "did not reach meeting 7009. All keys came") {
		t.Errorf("with another passcode: %+v", c)
	}
	g.api("PATCH", "/meetings/7009", map[string]any{"guest_passcode": "4711"}, nil)
	if c := call(); !c.OK {
		t.Errorf("with the right one again: %+v", c)
	}
	k.kill()
	for range 2 {
		if c := call(); c.OK || !strings.Contains(c.Fault, "could not be placed") {
			t.Errorf("with a dead carrier: %+v", c)
		}
	}
	var history []syntheticCall
	g.api("GET", "/synthetic-callers/+15550100/calls", nil, &history)
	if len(history) != 5 || history[4].Call != first.Call {
		t.Errorf("the history: %+v", history)
	}
	_, metrics := g.metrics()
	for _, want := range []string{`bridgehead_alerts_total{kind="number"} 3`, `bridgehead_synthetic_ok{number="+15550100"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
