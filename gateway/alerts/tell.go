package alerts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bridgehead/gateway/mail"
)

// Options of [New].
type Options struct {
	// Settings gives those of now.
	Settings func(context.Context) (Settings, error)
	// Event passes an alert on to who listens; it must not block.
	Event func(Alert)
	// Mail sends a letter; nil: there is no mail server.
	Mail func(context.Context, mail.Letter) error
	// Client posts to the webhook; nil: one that follows no redirections.
	Client  *http.Client
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Teller tells operators of alerts. It is safe for use from any goroutine.
type Teller struct {
	opt    Options
	ways   []*way
	told   *prometheus.CounterVec
	unsent *prometheus.CounterVec
}

// way is one of those that take time: each has a queue of its own, so that a
// slow one holds up neither callers nor the other.
type way struct {
	name  string
	queue chan Alert
	// send delivers an alert; sent is false where the settings have nobody to
	// deliver to.
	send func(context.Context, Settings, Alert) (sent bool, err error)
}

// What waits for one way at most, how long a try of the webhook may take, and
// the pauses before the second try and the third.
const (
	maxWaiting = 64
	hookTime   = 10 * time.Second
)

var pauses = []time.Duration{5 * time.Second, 30 * time.Second}

// New makes a teller, whose counts go to o.Metrics.
func New(o Options) *Teller {
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	t := &Teller{opt: o,
		told: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgehead_alerts_total", Help: "Alerts that operators were told of."}, []string{"kind"}),
		unsent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bridgehead_alerts_unsent_total", Help: "Alerts that mail or webhook did not take."},
			[]string{"way"})}
	t.ways = []*way{{"mail", make(chan Alert, maxWaiting), t.write}, {"webhook", make(chan Alert, maxWaiting), t.post}}
	for _, kind := range []string{Device, Trunk, Toll, Number} {
		t.told.WithLabelValues(kind)
	}
	for _, w := range t.ways {
		t.unsent.WithLabelValues(w.name)
	}
	o.Metrics.MustRegister(t.told, t.unsent)
	return t
}

// Tell tells of an alert. It never blocks: what takes time is done behind.
func (t *Teller) Tell(a Alert) {
	t.announce(a)
	for _, w := range t.ways {
		select {
		case w.queue <- a:
		default:
			t.lost(w, a, errors.New("too many wait"))
		}
	}
}

func (t *Teller) announce(a Alert) {
	t.told.WithLabelValues(a.Kind).Inc()
	t.opt.Log.Warn("alert: "+a.Title, "kind", a.Kind, "what", a.What, "name", a.Name, "text", a.Text)
	t.opt.Event(a)
}

func (t *Teller) lost(w *way, a Alert, err error) {
	t.unsent.WithLabelValues(w.name).Inc()
	t.opt.Log.Error("alert not sent", "by", w.name, "alert", a.Title, "error", err)
}

// Run sends what waits until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range t.ways {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case a := <-w.queue:
					t.deliver(ctx, w, a)
				}
			}
		})
	}
	all.Wait()
}

// deliver tries three times.
func (t *Teller) deliver(ctx context.Context, w *way, a Alert) {
	for try := 0; ; try++ {
		_, err := t.try(ctx, w, a)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case try == len(pauses):
			t.lost(w, a, err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pauses[try]):
		}
	}
}

func (t *Teller) try(ctx context.Context, w *way, a Alert) (sent bool, err error) {
	set, err := t.opt.Settings(ctx)
	if err != nil {
		return false, err
	}
	return w.send(ctx, set, a)
}

// Delivery is what has become of an alert on one way.
type Delivery struct {
	Way   string `json:"way" enum:"mail,webhook"`
	Sent  bool   `json:"sent" doc:"false without an error: the settings name nobody to send to, or there is no mail server"`
	Error string `json:"error,omitempty"`
}

// Try tells of a test, tries every way once, and says how that went.
func (t *Teller) Try(ctx context.Context) []Delivery {
	a := Alert{Kind: Test, What: "test", Title: "Test of alerts", Text: "This is a test: alerts of this gateway reach you.", At: time.Now()}
	t.announce(a)
	list := make([]Delivery, len(t.ways))
	var all sync.WaitGroup
	for i, w := range t.ways {
		all.Go(func() {
			sent, err := t.try(ctx, w, a)
			list[i] = Delivery{Way: w.name, Sent: sent && err == nil}
			if err != nil {
				list[i].Error = err.Error()
			}
		})
	}
	all.Wait()
	return list
}

// write sends the alert by mail.
func (t *Teller) write(ctx context.Context, set Settings, a Alert) (bool, error) {
	if len(set.Mail) == 0 || t.opt.Mail == nil {
		return false, nil
	}
	return true, t.opt.Mail(ctx, mail.Letter{To: set.Mail, Subject: a.Title, Text: a.Text + "\n"})
}

// SignatureHeader has "sha256=" and the HMAC-SHA256 of the body by the secret, in
// hexadecimal digits, as GitHub's webhooks do it.
const SignatureHeader = "X-Bridgehead-Signature-256"

// post sends the alert to the webhook, as JSON.
func (t *Teller) post(ctx context.Context, set Settings, a Alert) (bool, error) {
	if set.Webhook == "" {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	body, err := json.Marshal(a)
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, set.Webhook, bytes.NewReader(body))
	if err != nil {
		return true, bare(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Bridgehead")
	if set.Secret != "" {
		req.Header.Set(SignatureHeader, sign(set.Secret, body))
	}
	res, err := t.opt.Client.Do(req)
	if err != nil {
		return true, bare(err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // so that the connection can serve again
	if res.StatusCode/100 != 2 {
		return true, fmt.Errorf("the webhook answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	return true, nil
}

func sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// bare is an error without the address, which may have a key in it: many
// services know their callers by that.
func bare(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return cmp.Or(e.Err, err)
	}
	return err
}
