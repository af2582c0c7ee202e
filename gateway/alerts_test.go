package main

import (
	"testing"
	"time"

	"bridgehead/gateway/alerts"
	"bridgehead/gateway/dialplan"
	"bridgehead/sip"
)

// told counts the alerts of a kind.
func (g *gateway) told(t *testing.T, kind string) float64 {
	t.Helper()
	families, err := g.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "bridgehead_alerts_total" && m.GetLabel()[0].GetValue() == kind {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

// A trunk that can't register is told of once; one that works, and one that is
// not enabled, are not.
func TestTrunksAreWatched(t *testing.T) {
	g := loopback(t)
	trunk := func(name string, mode sip.Mode, enabled bool) sip.TrunkConfig {
		return sip.TrunkConfig{Name: name, Enabled: enabled, Mode: mode, Transport: "udp", Host: "127.0.0.1", Port: 9, User: "acct", CheckEvery: -1}
	}
	if err := g.sip.SetTrunks([]sip.TrunkConfig{trunk("works", sip.Static, true), trunk("registers", sip.Register, true), trunk("off", sip.Register, false)}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{0, 0}, {50 * time.Second, 0}, {alerts.Grace, 1}, {2 * alerts.Grace, 1}} {
		g.lookAround(t.Context(), now.Add(c.after))
		if n := g.told(t, alerts.Trunk); n != c.want {
			t.Errorf("after %v: %v alerts, want %v", c.after, n, c.want)
		}
	}
}

func TestTollLimitIsTold(t *testing.T) {
	g := loopback(t)
	g.tollAlarm(dialplan.TollAlarm{Country: "DE", Calls: 1000, At: time.Now()})
	if n := g.told(t, alerts.Toll); n != 1 {
		t.Errorf("%v alerts", n)
	}
}
