package main

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// register names what Prometheus may ask for.
func (g *gateway) register(r *prometheus.Registry) {
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bridgehead_" + name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bridgehead_" + name, Help: help}, f))
	}
	gauge("meetings", "Meetings that run.", func() float64 { return float64(len(g.plan.Live.All())) })
	gauge("participants", "Parties in meetings and waiting rooms.", func() float64 {
		n := 0
		for _, m := range g.plan.Live.All() {
			here, _ := m.Size()
			n += here
		}
		return float64(n)
	})
	gauge("sip_calls", "SIP and PSTN calls under way.", func() float64 { return float64(g.sip.Calls()) })
	gauge("rtp_ports_in_use", "RTP port pairs in use.", func() float64 { return float64(g.ports.InUse()) })
	counter("rtp_strangers_total", "Datagrams at the multiplexed media ports with an unknown ID.", func() float64 { return float64(g.ports.Strangers()) })
	gauge("blocked_networks", "Sources and networks whose messages are dropped for now.", func() float64 { return float64(len(g.blocks.List())) })
	gauge("throttled_sources", "Sources refused for wrong passcodes.", func() float64 { return float64(len(g.guard.Blocked())) })
	counter("clock_ticks_total", "Ticks of the media clock.", func() float64 { ticks, _ := g.clock.Lateness(); return float64(ticks) })
	counter("clock_late_ticks_total", "Ticks of the media clock over 5 ms late.", func() float64 { _, late := g.clock.Lateness(); return float64(late) })
	gauge("clock_worst_lateness_seconds", "Worst lateness of a tick since it was last asked for.", func() float64 { return g.clock.Worst().Seconds() })
	gauge("cpu_share", "Share of all cores that the gateway used in the last second.", func() float64 { return float64(g.effort.share.Load()) / 1000 })
	gauge("start_time_seconds", "When the gateway was started.", func() float64 { return float64(started.Unix()) })
	gauge("h323_calls", "H.323 calls under way.", func() float64 { return float64(g.h323.Calls()) })
	if c := g.composer; c != nil {
		gauge("compose_up", "Whether there is a media worker.", func() float64 { return map[bool]float64{true: 1}[c.Stats().Alive] })
		gauge("compose_scenes", "Composed pictures.", func() float64 { return float64(c.Stats().Scenes) })
		gauge("compose_cores", "Processors that the media worker keeps busy.", func() float64 { return c.Stats().Cores })
		counter("compose_restarts_total", "Media workers that ended.", func() float64 { return float64(c.Stats().Restarts) })
		counter("compose_dropped_total", "Packets that the media worker could not take.", func() float64 { return float64(c.Stats().Dropped) })
	}
	c, h := g.sip.Counters(), g.h323.Counters()
	for name, v := range map[string]struct {
		help string
		n    *atomic.Uint64
	}{
		"sip_refused_total":   {"SIP calls refused with an answer.", &c.Refused},
		"sip_unlisted_total":  {"SIP datagrams and connections dropped unanswered: no trunk's source.", &c.Unlisted},
		"sip_throttled_total": {"SIP messages dropped: too many from one source.", &c.Throttled},
		"sip_malformed_total": {"SIP messages that could not be read.", &c.Malformed},
		"sip_calls_total":     {"SIP and PSTN calls begun.", &c.Calls},
		"sip_faults_total":    {"Faults of ours survived while handling SIP.", &c.Panics},

		"h323_refused_total":   {"H.323 calls refused with an answer.", &h.Refused},
		"h323_throttled_total": {"H.323 connections refused or closed: too many, or too many messages.", &h.Throttled},
		"h323_malformed_total": {"H.323 messages that could not be read.", &h.Malformed},
		"h323_half_open_total": {"H.323 connections closed that began no call in time.", &h.HalfOpen},
		"h323_downgrade_total": {"H.323 calls refused that came without encryption.", &h.Downgrade},
		"h323_calls_total":     {"H.323 calls begun.", &h.Calls},
		"h323_faults_total":    {"Faults of ours survived while handling H.323.", &h.Panics},
	} {
		counter(name, v.help, func() float64 { return float64(v.n.Load()) })
	}
}

var started = time.Now()
