package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"bridgehead/gateway/store"
)

// callMetrics count the calls that have ended. Labels are of few values: protocols,
// directions, the codes of ends, and the trunks that are set up.
type callMetrics struct {
	ended, verdicts, trunk *prometheus.CounterVec
	setup, length, mos     *prometheus.HistogramVec
}

// newCallMetrics makes and registers them, and what is read of records and trunks.
func (g *gateway) newCallMetrics(r *prometheus.Registry) *callMetrics {
	name := func(s string) string { return "bridgehead_" + s }
	m := &callMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("calls_ended_total"), Help: "Calls and refused attempts that have ended, by the code of their end."},
			[]string{"protocol", "direction", "code"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("call_verdicts_total"), Help: "Calls and refused attempts that have ended, by the call doctor's verdict and its grade."},
			[]string{"verdict", "grade"}),
		trunk: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("trunk_calls_ended_total"), Help: "Calls over a trunk that have ended, by the code of their end."},
			[]string{"trunk", "direction", "code"}),
		setup: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("call_setup_seconds"), Help: "Time from a call's first message to its answer.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 10, 20, 40, 60}}, []string{"protocol", "direction"}),
		length: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("call_duration_seconds"), Help: "Length of answered calls.",
			Buckets: []float64{5, 15, 60, 300, 900, 1800, 3600, 7200, 14400}}, []string{"protocol", "direction"}),
		mos: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("call_mos"), Help: "What was heard of answered calls, by the E-model (ITU-T G.107).",
			Buckets: []float64{1.5, 2, 2.5, 3, 3.5, 3.8, 4, 4.2, 4.4}}, []string{"protocol"}),
	}
	r.MustRegister(m.ended, m.verdicts, m.trunk, m.setup, m.length, m.mos, trunkMetrics{g}, syntheticMetrics{g})
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name("call_records_lost_total"), Help: "Call records that the disk was too slow for."},
		func() float64 { return float64(g.book.Lost()) }))
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name("homer_lost_total"), Help: "Messages that were not sent to Homer."}, func() float64 {
		if g.homer == nil {
			return 0
		}
		return float64(g.homer.Lost.Load())
	}))
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name("traces_lost_total"), Help: "Traces of calls that the collector did not take."}, func() float64 {
		if g.tracer == nil {
			return 0
		}
		return float64(g.tracer.Lost.Load())
	}))
	return m
}

// take counts a call that has ended; one that has not is left.
func (m *callMetrics) take(c store.Call) {
	if c.Ended.IsZero() || c.Protocol == "" {
		return
	}
	m.ended.WithLabelValues(c.Protocol, c.Direction, c.Code).Inc()
	if c.Trunk != "" {
		m.trunk.WithLabelValues(c.Trunk, c.Direction, c.Code).Inc()
	}
	if f := c.Detail.Findings; len(f) > 0 {
		m.verdicts.WithLabelValues(f[0].Code, f[0].Grade).Inc()
	}
	if c.Detail.Answered.IsZero() {
		return
	}
	m.setup.WithLabelValues(c.Protocol, c.Direction).Observe(c.Detail.Answered.Sub(c.Started).Seconds())
	m.length.WithLabelValues(c.Protocol, c.Direction).Observe(c.Ended.Sub(c.Detail.Answered).Seconds())
	if c.Detail.MOS > 0 {
		m.mos.WithLabelValues(c.Protocol).Observe(c.Detail.MOS)
	}
}

// trunkMetrics are read off the trunks and the calls under way when they are
// asked for.
type trunkMetrics struct{ g *gateway }

var (
	trunkUp      = prometheus.NewDesc("bridgehead_trunk_up", "Whether a trunk answers, or is registered where it is to be.", []string{"trunk"}, nil)
	trunkCalls   = prometheus.NewDesc("bridgehead_trunk_calls", "Calls under way over a trunk.", []string{"trunk"}, nil)
	trunkLatency = prometheus.NewDesc("bridgehead_trunk_latency_seconds", "Time to the answer of the last OPTIONS of a trunk.", []string{"trunk"}, nil)
	callsNow     = prometheus.NewDesc("bridgehead_calls", "Calls under way.", []string{"protocol", "direction"}, nil)
)

// Describe implements prometheus.Collector.
func (trunkMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{trunkUp, trunkCalls, trunkLatency, callsNow} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (t trunkMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range t.g.sip.Trunks() {
		gauge(trunkUp, map[bool]float64{true: 1}[s.Up || s.Registered], s.Name)
		gauge(trunkCalls, float64(s.Calls), s.Name)
		gauge(trunkLatency, s.RTT.Seconds(), s.Name)
	}
	for of, n := range t.g.book.Count() {
		gauge(callsNow, float64(n), of[0], of[1])
	}
}

// syntheticMetrics are what synthetic callers met last.
type syntheticMetrics struct{ g *gateway }

var (
	syntheticOK     = prometheus.NewDesc("bridgehead_synthetic_ok", "Whether the last synthetic call to a number came through.", []string{"number"}, nil)
	syntheticMOS    = prometheus.NewDesc("bridgehead_synthetic_mos", "How the last synthetic call to a number sounded, by the E-model (ITU-T G.107).", []string{"number"}, nil)
	syntheticAnswer = prometheus.NewDesc("bridgehead_synthetic_answer_seconds", "Time to the answer of the last synthetic call to a number.", []string{"number"}, nil)
	syntheticTime   = prometheus.NewDesc("bridgehead_synthetic_time_seconds", "When the last synthetic call to a number was placed.", []string{"number"}, nil)
)

// Describe implements prometheus.Collector.
func (syntheticMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{syntheticOK, syntheticMOS, syntheticAnswer, syntheticTime} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s syntheticMetrics) Collect(to chan<- prometheus.Metric) {
	last, err := s.g.store.LastSyntheticCalls(context.Background())
	if err != nil {
		s.g.log.Error("synthetic calls not read", "error", err)
		return
	}
	for _, c := range last {
		gauge := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, c.Number)
		}
		gauge(syntheticOK, map[bool]float64{true: 1}[c.OK])
		gauge(syntheticTime, float64(c.At.Unix()))
		if c.AnswerMS > 0 {
			gauge(syntheticAnswer, float64(c.AnswerMS)/1000)
		}
		if c.MOS > 0 {
			gauge(syntheticMOS, c.MOS)
		}
	}
}
