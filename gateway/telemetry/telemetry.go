// Package telemetry exports a trace of each call, by OpenTelemetry's OTLP over
// HTTP: where the time of its set-up went. Traces are made of call records when
// the calls have ended, so that they cost calls nothing.
package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"bridgehead/gateway/store"
)

// Tracer makes traces of records and exports them. It is safe for use from any
// goroutine.
type Tracer struct {
	// Lost counts the traces that the collector did not take.
	Lost atomic.Uint64

	log      *slog.Logger
	exporter sdk.SpanExporter
	provider *sdk.TracerProvider
	done     batch
	queue    chan made

	mu  sync.Mutex
	out map[string]*request
}

// made is a trace that waits to be exported.
type made struct {
	id   trace.TraceID
	root span
}

// request is a call out, with what has become of its attempts so far.
type request struct {
	open     map[string]bool // attempts under way, by the ID of their call
	attempts []store.Call
	over     *time.Timer // waits whether another attempt follows; nil: one is under way
}

const (
	maxQueued = 2048             // traces
	maxOut    = 20000            // calls out followed at one time
	maxTries  = 20               // of one call out that are traced
	gather    = time.Second      // traces of so long go together
	sendTime  = 10 * time.Second // for one export
	farewell  = 2 * time.Second  // for the last
	follows   = 5 * time.Second  // by then another attempt has begun, if there is one
)

// Options of [New].
type Options struct {
	// Endpoint is the collector's address, such as http://127.0.0.1:4318; without a
	// path it is /v1/traces.
	Endpoint string
	Version  string       // of this program
	Client   *http.Client // nil: OpenTelemetry's own
	Log      *slog.Logger
}

// New makes a tracer. The variables OTEL_EXPORTER_OTLP_HEADERS and
// OTEL_EXPORTER_OTLP_CERTIFICATE of the environment hold, as OpenTelemetry defines
// them.
func New(o Options) (*Tracer, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	opts := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithTimeout(sendTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: sendTime})}
	if o.Client != nil {
		opts = append(opts, otlptracehttp.WithHTTPClient(o.Client))
	}
	exporter := otlptrace.NewUnstarted(otlptracehttp.NewClient(opts...))
	t := &Tracer{log: o.Log, exporter: exporter, queue: make(chan made, maxQueued), out: map[string]*request{}}
	about := resource.NewSchemaless(semconv.ServiceName("bridgehead"), semconv.ServiceVersion(o.Version))
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSpanProcessor(&t.done), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()))
	return t, exporter.Start(context.Background())
}

// TraceID is that of a call, or of a call out by its request, in hexadecimal
// digits.
func TraceID(id string) string {
	t := traceID(id)
	return hex.EncodeToString(t[:])
}

func traceID(id string) trace.TraceID {
	h := sha256.Sum256([]byte("trace of " + id))
	return trace.TraceID(h[:16])
}

// Take is told of every call that begins and ends, as a record. It never blocks.
func (t *Tracer) Take(c store.Call) {
	switch {
	case c.Protocol == "":
	case c.Detail.Request.ID != "":
		t.attempt(c)
	case c.Ended.IsZero():
	case c.Direction == "out":
		t.put(c.ID, callOut([]store.Call{c}))
	default:
		t.put(c.ID, callIn(c))
	}
}

// attempt waits for the others of its call out.
func (t *Tracer) attempt(c store.Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := c.Detail.Request.ID
	r := t.out[id]
	if r == nil {
		if len(t.out) >= maxOut {
			t.Lost.Add(1)
			return
		}
		r = &request{open: map[string]bool{}}
		t.out[id] = r
	}
	if r.over != nil {
		r.over.Stop()
	}
	if c.Ended.IsZero() {
		r.open[c.ID] = true
		return
	}
	delete(r.open, c.ID)
	if len(r.attempts) < maxTries {
		r.attempts = append(r.attempts, c)
	}
	if len(r.open) > 0 {
		return
	}
	wait := follows
	if !c.Detail.Answered.IsZero() {
		wait = 0
	}
	r.over = time.AfterFunc(wait, func() { t.finish(id) })
}

// finish makes the trace of a call out, unless it goes on.
func (t *Tracer) finish(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.out[id]
	if r == nil || len(r.open) > 0 {
		return
	}
	delete(t.out, id)
	slices.SortStableFunc(r.attempts, func(a, b store.Call) int { return a.Started.Compare(b.Started) })
	t.put(id, callOut(r.attempts))
}

func (t *Tracer) put(id string, root span) {
	select {
	case t.queue <- made{traceID(id), root}:
	default:
		t.Lost.Add(1)
	}
}

// Run exports until ctx ends, then what is queued still.
func (t *Tracer) Run(ctx context.Context) {
	for {
		select {
		case m := <-t.queue:
			pause(ctx, gather)
			t.export(ctx, m)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			for len(t.queue) > 0 && ctx.Err() == nil {
				t.export(ctx, <-t.queue)
			}
			_ = t.exporter.Shutdown(ctx)
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// maxTogether bounds an export, in traces.
const maxTogether = 256

// export sends a trace and those queued behind it.
func (t *Tracer) export(ctx context.Context, m made) {
	n := uint64(0)
	for more := true; more; n++ {
		t.emit(context.WithValue(ctx, traceKey{}, m.id), m.root)
		more = false
		if n+1 < maxTogether {
			select {
			case m = <-t.queue:
				more = true
			default:
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := t.exporter.ExportSpans(ctx, t.done.take()); err != nil {
		t.Lost.Add(n)
		t.log.Warn("traces not exported", "traces", n, "error", err)
	}
}

// emit makes OpenTelemetry's spans, which the provider puts into t.done.
func (t *Tracer) emit(ctx context.Context, s span) {
	ctx, made := t.provider.Tracer("bridgehead").Start(ctx, s.name, trace.WithTimestamp(s.start), trace.WithSpanKind(s.kind), trace.WithAttributes(s.attributes...))
	for _, in := range s.inside {
		t.emit(ctx, in)
	}
	if s.fault != "" {
		made.SetStatus(codes.Error, s.fault)
	}
	made.End(trace.WithTimestamp(s.end))
}

// batch keeps the spans that have ended, for the one goroutine that makes them.
type batch struct{ spans []sdk.ReadOnlySpan }

func (b *batch) take() []sdk.ReadOnlySpan {
	list := b.spans
	b.spans = nil
	return list
}

// OnStart implements sdk.SpanProcessor, as the others do.
func (b *batch) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (b *batch) OnEnd(s sdk.ReadOnlySpan)                   { b.spans = append(b.spans, s) }
func (b *batch) Shutdown(context.Context) error             { return nil }
func (b *batch) ForceFlush(context.Context) error           { return nil }

// ids gives a trace the ID that its record shows.
type ids struct{}

type traceKey struct{}

// NewIDs implements sdk.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(traceKey{}).(trace.TraceID)
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		for i := range id {
			id[i] = byte(rand.Uint32())
		}
	}
	return id
}
