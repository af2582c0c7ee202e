package telemetry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"bridgehead/gateway/store"
)

// homeOfTraces is an OTLP collector over HTTP without a network.
type homeOfTraces struct {
	mu     sync.Mutex
	spans  []*otlp.Span
	answer func() error
}

func (h *homeOfTraces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var got collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &got) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range got.ResourceSpans {
		for _, s := range r.ScopeSpans {
			h.spans = append(h.spans, s.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (h *homeOfTraces) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.answer != nil {
		if err := h.answer(); err != nil {
			return nil, err
		}
		<-r.Context().Done() // it says nothing
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// shown is the tree of the spans below one, with their times in milliseconds
// since the beginning.
func (h *homeOfTraces) shown(parent string, origin time.Time, indent string) (text string) {
	for _, s := range h.spans {
		if string(s.ParentSpanId) != parent {
			continue
		}
		at := func(ns uint64) int64 { return time.Unix(0, int64(ns)).Sub(origin).Milliseconds() }
		text += fmt.Sprintf("%s%s %d-%d", indent, s.Name, at(s.StartTimeUnixNano), at(s.EndTimeUnixNano))
		if s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
			text += " " + s.Status.Message
		}
		text += "\n" + h.shown(string(s.SpanId), origin, indent+"  ")
	}
	return text
}

// world runs f with a tracer and its collector in the bubble of a synctest.
func world(t *testing.T, h *homeOfTraces, f func(*Tracer)) {
	tracer, err := New(Options{Endpoint: "http://127.0.0.1:4318", Version: "test", Client: &http.Client{Transport: h}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); tracer.Run(ctx) }()
	f(tracer)
	stop()
	<-done
}

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

func after(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func step(ms int, what string) store.Step {
	s := store.Step{At: after(ms), What: what}
	if strings.Contains(what, "SIP") {
		s.From, s.To = "192.0.2.1:5060", "192.0.2.2:5060"
	}
	return s
}

// A call in is one trace; its phases follow one another, and the last that it
// has reached lasts to its end.
func TestCallsInAreTraced(t *testing.T) {
	answered := store.CallDetail{Answered: after(150)}
	for _, c := range []struct {
		name string
		call store.Call
		want string
	}{
		{"by a device", store.Call{Detail: answered, Ended: after(60000), Ladder: []store.Step{step(0, "INVITE sip:7001@x SIP/2.0"), step(2, "SIP/2.0 401 Unauthorized"), step(30, "INVITE sip:7001@x SIP/2.0"),
			step(40, "dial plan"), step(45, "routed"), step(9000, "room")}},
			"call in 0-60000\n  authenticate 0-30\n  dial plan 30-45\n  ring 45-150\n  reception 150-9000\n  meeting 9000-60000\n"},
		{"straight into a meeting", store.Call{Detail: answered, Ended: after(60000), Ladder: []store.Step{step(5, "routed"), step(120, "room")}},
			"call in 0-60000\n  dial plan 0-5\n  ring 5-150\n  meeting 150-60000\n"},
		{"refused", store.Call{Code: "not-found", Ended: after(8), Detail: store.CallDetail{Reason: "no such number"}, Ladder: []store.Step{step(7, "refused")}},
			"call in 0-8 not-found: no such number\n  dial plan 0-8 not-found: no such number\n"},
		{"without the password", store.Call{Code: "unauthorized", Ended: after(8), Ladder: []store.Step{step(1, "SIP/2.0 401 Unauthorized")}},
			"call in 0-8 unauthorized\n  authenticate 0-8 unauthorized\n"},
		{"hangs up while it rings", store.Call{Code: "normal", Ended: after(5000), Ladder: []store.Step{step(10, "routed")}},
			"call in 0-5000 normal\n  dial plan 0-10\n  ring 10-5000 normal\n"},
		{"in the reception", store.Call{Detail: answered, Ended: after(5000), Ladder: []store.Step{step(10, "routed")}},
			"call in 0-5000\n  dial plan 0-10\n  ring 10-150\n  reception 150-5000\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &homeOfTraces{}
				c.call.ID, c.call.Protocol, c.call.Direction, c.call.Started, c.call.Meeting = "a", "sip", "in", noon, "7001"
				world(t, h, func(tracer *Tracer) {
					began := c.call
					began.Ended = time.Time{}
					tracer.Take(began)
					tracer.Take(c.call)
					time.Sleep(time.Minute)
				})
				if got := h.shown("", noon, ""); got != c.want {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
				for _, s := range h.spans {
					if hex.EncodeToString(s.TraceId) != TraceID("a") {
						t.Errorf("%s is of trace %x", s.Name, s.TraceId)
					}
				}
			})
		})
	}
}

// Every attempt of a call out is a span of the same trace.
func TestAttemptsAreOneTrace(t *testing.T) {
	attempt := func(id, trunk, code string, start, ring, answer, end int) store.Call {
		c := store.Call{ID: id, Protocol: "pstn", Direction: "out", Trunk: trunk, To: "+4930123456", Code: code, Started: after(start), Ended: after(end), Detail: store.CallDetail{Request: store.CallRequest{ID: "r"}}}
		if ring > 0 {
			c.Ladder = append(c.Ladder, step(ring, "SIP/2.0 180 Ringing"))
		}
		if answer > 0 {
			c.Detail.Answered = after(answer)
			c.Ladder = append(c.Ladder, step(answer+5, "room"))
		}
		return c
	}
	dead, alive := attempt("a", "one", "unreachable", 0, 0, 0, 4000), attempt("b", "two", "normal", 4001, 4500, 14500, 60000)
	synctest.Test(t, func(t *testing.T) {
		h := &homeOfTraces{}
		world(t, h, func(tracer *Tracer) {
			for _, c := range []store.Call{dead, alive} {
				began := c
				began.Ended = time.Time{}
				tracer.Take(began)
				time.Sleep(c.Ended.Sub(c.Started))
				tracer.Take(c)
			}
			busy := attempt("c", "one", "busy", 0, 100, 0, 2000)
			busy.Detail.Request.ID = "s"
			tracer.Take(busy)
			time.Sleep(time.Minute)
			tracer.mu.Lock()
			defer tracer.mu.Unlock()
			if len(tracer.out) > 0 {
				t.Errorf("%d calls out are followed still", len(tracer.out))
			}
		})
		want := "call out 0-60000\n  attempt 0-4000 unreachable\n    place 0-4000 unreachable\n" +
			"  attempt 4001-60000\n    place 4001-4500\n    ring 4500-14500\n    join 14500-14505\n    meeting 14505-60000\n" +
			"call out 0-2000 busy\n  attempt 0-2000 busy\n    place 0-100\n    ring 100-2000 busy\n"
		if got := h.shown("", noon, ""); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		traces := map[string]int{}
		for _, s := range h.spans {
			traces[hex.EncodeToString(s.TraceId)]++
		}
		if len(traces) != 2 || traces[TraceID("r")] != 8 || traces[TraceID("s")] != 4 {
			t.Errorf("spans by trace: %v", traces)
		}
	})
}

// What is exported of a call is what its record shows.
func TestSpansSayWhatTheRecordSays(t *testing.T) {
	s := callIn(store.Call{ID: "a", Protocol: "pstn", Direction: "in", From: "+15550100", To: "+15550199", Source: "192.0.2.1", Trunk: "line", Meeting: "7001", Code: "normal", Started: noon, Ended: after(1000),
		Detail: store.CallDetail{Status: 200, Answered: after(10), MOS: 4.1, Findings: []store.Finding{{Code: "good"}}}})
	var got []string
	for _, a := range s.attributes {
		got = append(got, string(a.Key)+"="+a.Value.String())
	}
	want := "bridgehead.call.id=a bridgehead.call.from=+15550100 bridgehead.call.to=+15550199 bridgehead.call.meeting=7001 bridgehead.trunk=line bridgehead.call.code=normal " +
		"network.protocol.name=pstn client.address=192.0.2.1 bridgehead.call.status=200 bridgehead.call.mos=4.1 bridgehead.call.verdict=good"
	if strings.Join(got, " ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, " "), want)
	}
}

// A collector that is dead, or says nothing, costs traces and no time.
func TestDeadCollectorHoldsNobodyUp(t *testing.T) {
	for name, answer := range map[string]func() error{"dead": func() error { return errors.New("connection refused") }, "silent": func() error { return nil }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 3 * maxQueued
				h := &homeOfTraces{answer: answer}
				world(t, h, func(tracer *Tracer) {
					start := time.Now()
					for i := range calls {
						tracer.Take(store.Call{ID: fmt.Sprint(i), Protocol: "sip", Direction: "in", Started: noon, Ended: after(1)})
					}
					if d := time.Since(start); d != 0 {
						t.Errorf("to tell took %v", d)
					}
					time.Sleep(time.Hour)
					if lost := tracer.Lost.Load(); lost != calls {
						t.Errorf("%d traces lost of %d", lost, calls)
					}
				})
			})
		})
	}
}
