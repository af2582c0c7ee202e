//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans are what an OTLP collector is sent.
type spans struct {
	mu   sync.Mutex
	list []*otlp.Span
}

func (s *spans) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var got collector.ExportTraceServiceRequest
	if proto.Unmarshal(body, &got) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range got.ResourceSpans {
		for _, scope := range r.ScopeSpans {
			s.list = append(s.list, scope.Spans...)
		}
	}
}

// of is the tree of a trace, in one line.
func (s *spans) of(trace string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.below(trace, "")
}

func (s *spans) below(trace, parent string) string {
	var names []string
	for _, span := range s.list {
		if fmt.Sprintf("%x", span.TraceId) == trace && string(span.ParentSpanId) == parent {
			names = append(names, span.Name+s.below(trace, string(span.SpanId)))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "(" + strings.Join(names, " ") + ")"
}

// A call in, and a call out whose first trunk is
// silent, are one trace each, whose name is in their records; and the silent
// trunk is where the time went.
func TestCallsAreTraced(t *testing.T) {
	s := &spans{}
	server := httptest.NewServer(s)
	defer server.Close()
	g := serve(t, "--pstn.countries", "US", "--telemetry.otlp_endpoint", server.URL)
	g.meeting(map[string]any{"number": "7003"})
	call(t, "sips:7003@"+g.at["sips"], "--duration", "2s")
	g.left()
	var records []struct {
		Direction, Trunk string
		Detail           struct {
			TraceID string `json:"trace_id"`
		}
	}
	g.api("GET", "/calls", nil, &records)
	traces := map[string]string{}
	for _, r := range records {
		traces[r.Direction+r.Trunk] = r.Detail.TraceID
	}
	traced := func(id, want string) {
		t.Helper()
		got := func() string { return strings.Replace(s.of(id), " reception", "", 1) } // which takes no time at all, or less
		for end := time.Now().Add(15 * time.Second); got() != want; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("trace %q is %s, want %s", id, got(), want)
			}
		}
	}
	traced(traces["in"], "(call in(dial plan ring meeting))")
	out := traces["outsilent"]
	if out == "" || out != traces["outafter silence"] {
		t.Errorf("the attempts of a call out are of traces %v", traces)
	}
	traced(out, "(call out(attempt(place) attempt(place join meeting)))")
	for _, span := range s.list {
		if took := time.Duration(span.EndTimeUnixNano - span.StartTimeUnixNano); fmt.Sprintf("%x", span.TraceId) == out && span.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR && (took < 3*time.Second || took > 6*time.Second) {
			t.Errorf("the silent trunk took %v by its span", took)
		}
	}
}
