package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bridgehead/gateway/mail"
)

// hook is a webhook without a network.
type hook struct {
	mu     sync.Mutex
	answer func(n int) (status int, err error) // to the n-th request
	came   []time.Time
	bodies []string
	signed []string
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.came, h.bodies, h.signed = append(h.came, time.Now()), append(h.bodies, string(body)), append(h.signed, r.Header.Get(SignatureHeader))
	n := len(h.came)
	h.mu.Unlock()
	status, err := h.answer(n)
	if err == nil && status == 0 { // silent
		<-r.Context().Done()
		err = r.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, err
}

// world is a teller with all that it tells.
type world struct {
	*Teller
	hook    *hook
	set     Settings
	mu      sync.Mutex
	events  []Alert
	letters []mail.Letter
	log     bytes.Buffer
	metrics *prometheus.Registry
}

// count is a counter's value, of one label.
func (w *world) count(name, label string) float64 {
	families, _ := w.metrics.Gather()
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && m.Label[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func newWorld(answer func(int) (int, error)) *world {
	w := &world{hook: &hook{answer: answer}, set: Settings{Mail: []string{"ops@example.org"}, Webhook: "https://alerts.example.org/hook?key=K3Y", Secret: "s3cret"}, metrics: prometheus.NewRegistry()}
	w.Teller = New(Options{Settings: func(context.Context) (Settings, error) { return w.set, nil }, Metrics: w.metrics,
		Event: func(a Alert) { w.events = append(w.events, a) }, Client: &http.Client{Transport: w.hook}, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Mail: func(_ context.Context, l mail.Letter) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.letters = append(w.letters, l)
			return nil
		}})
	return w
}

// run runs the teller in the bubble of a synctest until f returns.
func (w *world) run(f func()) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	f()
	stop()
	<-done
}

var gone = OfDevice(Change{"room1", false, time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)})

func TestAlertsGoEveryWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(int) (int, error) { return 204, nil })
		w.run(func() {
			w.Tell(gone)
			synctest.Wait()
		})
		var posted Alert
		if err := json.Unmarshal([]byte(w.hook.bodies[0]), &posted); err != nil || posted != gone {
			t.Errorf("posted %s, %v", w.hook.bodies[0], err)
		}
		if w.hook.signed[0] != sign("s3cret", []byte(w.hook.bodies[0])) {
			t.Errorf("signed %s", w.hook.signed[0])
		}
		if len(w.events) != 1 || len(w.letters) != 1 || w.letters[0].Subject != "Device room1: gone" || !strings.Contains(w.log.String(), "Device room1: gone") {
			t.Errorf("events %v, letters %v, log %s", w.events, w.letters, &w.log)
		}
		if n := w.count("bridgehead_alerts_total", Device); n != 1 {
			t.Errorf("counted %v", n)
		}
	})
}

// HMAC-SHA256 as GitHub documents it, by its own example.
func TestSignature(t *testing.T) {
	if got, want := sign("It's a Secret to Everybody", []byte("Hello, World!")), "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWebhookIsTriedThreeTimes(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(int) (int, error)
		want   string // when it was tried
		lost   float64
	}{
		{"fails once", func(n int) (int, error) { return map[bool]int{true: 500, false: 200}[n == 1], nil }, "[0s 5s]", 0},
		{"is not there", func(int) (int, error) { return 0, errors.New("connection refused") }, "[0s 5s 35s]", 1},
		{"says nothing", func(int) (int, error) { return 0, nil }, "[0s 15s 55s]", 1},
		{"is moved", func(int) (int, error) { return 302, nil }, "[0s 5s 35s]", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(c.answer)
				start := time.Now()
				w.run(func() {
					w.Tell(gone)
					time.Sleep(2 * time.Minute)
				})
				var came []time.Duration
				for _, at := range w.hook.came {
					came = append(came, at.Sub(start))
				}
				if fmt.Sprint(came) != c.want || w.count("bridgehead_alerts_unsent_total", "webhook") != c.lost || len(w.letters) != 1 {
					t.Errorf("tried after %v, want %s; %d letters", came, c.want, len(w.letters))
				}
				if s := w.log.String(); strings.Contains(s, "K3Y") || strings.Contains(s, "s3cret") {
					t.Errorf("a secret is in the log: %s", s)
				}
			})
		})
	}
}

// Who tells never waits, and a dead webhook keeps a bounded number of alerts.
func TestTellNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(int) (int, error) { return 0, nil })
		start := time.Now()
		w.run(func() {
			for range 3 * maxWaiting {
				w.Tell(gone)
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("to tell took %v", d)
			}
		})
		if lost := w.count("bridgehead_alerts_unsent_total", "webhook"); lost < 2*maxWaiting-1 || lost > 2*maxWaiting {
			t.Errorf("%v alerts were not sent", lost)
		}
	})
}

func TestWebhookFault(t *testing.T) {
	for address, good := range map[string]bool{
		"": true, "https://alerts.example.org/hook?a=b": true, "http://127.0.0.1:8080/": true, "http://localhost/x": true, "http://[::1]:1/": true, "http://10.1.2.3/": true,
		"http://[::ffff:192.168.0.1]/": true, "http://alerts.example.org/": false, "http://192.0.2.1/": false, "ftp://10.0.0.1/": false, "https://": false, "https:///x": false,
		"https:alerts": false, "alerts.example.org": false, "https://u:p@alerts.example.org/": false, "https://a b/": false, "https://x/" + strings.Repeat("y", maxURL): false,
	} {
		if fault := WebhookFault(address); (fault == "") != good {
			t.Errorf("%q: %q", address, fault)
		}
	}
}

// Whatever is taken for a webhook can be posted to, and in clear to near hosts only.
func FuzzWebhookFault(f *testing.F) {
	for _, s := range []string{"https://a.example/x", "http://127.0.0.1", "http://[fe80::1%25eth0]/", "https://u@h", "http://localhost:99999/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if address == "" || WebhookFault(address) != "" {
			return
		}
		r, err := http.NewRequest(http.MethodPost, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL.Scheme != "https" && !near(r.URL.Hostname()) || r.URL.User != nil {
			t.Fatalf("%s is taken", address)
		}
	})
}
