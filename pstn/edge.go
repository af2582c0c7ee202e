package pstn

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"

	"bridgehead/core"
)

// Line carries calls to the telephone network; a SIP trunk is one.
type Line interface {
	Name() string
	// Dial calls a number in E.164 and shows from, "" for none. It returns
	// once the call rings, or a [core.Reason].
	Dial(ctx context.Context, number, from string, into core.Room) (core.Leg, error)
}

// Route is one way out.
type Route struct {
	Line     string
	Priority int      // the lowest first
	Weight   int      // share among those of one priority; 0 counts as 1
	Prefixes []string // E.164 beginnings that it serves; empty: all
	// From is the number shown when the caller has none of ours.
	From           string
	CallsPerSecond float64       // 0: 5
	MaxDuration    time.Duration // 0: 4 h
}

// Rules decide over calls out. They are replaced as a whole.
type Rules struct {
	Country string   // whose national numbers are understood
	Allowed []string // ISO 3166 codes of countries that may be called; none: no calls
	// Premium allows premium-rate and shared-cost numbers in those countries.
	Premium bool
	Routes  []Route
	Numbers []Number // ours: they may be shown as caller
}

// Options of [New].
type Options struct {
	// Lines finds a line by its name.
	Lines func(name string) (Line, bool)
	Log   *slog.Logger
}

// Edge implements [core.Edge] for tel: addresses. Calls in come by the lines'
// own edges.
type Edge struct {
	opt Options

	mu      sync.Mutex
	rules   Rules
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

var _ core.Edge = (*Edge)(nil)

// New makes an edge that allows nothing until it has rules.
func New(opt Options) *Edge {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	return &Edge{opt: opt, buckets: map[string]*bucket{}}
}

// Name implements [core.Edge].
func (e *Edge) Name() string { return "pstn" }

// Serve implements [core.Edge].
func (e *Edge) Serve(ctx context.Context, _ core.Dialplan) error {
	<-ctx.Done()
	return nil
}

// SetRules replaces the rules, after checking them.
func (e *Edge) SetRules(r Rules) error {
	for _, c := range r.Allowed {
		if !IsCountry(c) {
			return fmt.Errorf("pstn: %q is no ISO 3166 country code", c)
		}
	}
	for _, rt := range r.Routes {
		for _, p := range rt.Prefixes {
			if !strings.HasPrefix(p, "+") || strings.Trim(p[1:], "0123456789") != "" {
				return fmt.Errorf("pstn: route over %s: prefix %q must be + and digits", rt.Line, p)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = r
	return nil
}

// Rules are those in force; they are not to be changed.
func (e *Edge) Rules() Rules {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rules
}

func refuse(code core.Code, say, detail string) error {
	return core.Reason{Code: code, Say: say, Detail: "pstn: " + detail}
}

// Check tells whether a number may be called, and gives it in E.164. The error
// is a [core.Reason].
func (e *Edge) Check(to string) (string, error) { return e.Rules().Check(to) }

// Check is [Edge.Check] by these rules.
func (r Rules) Check(to string) (string, error) {
	n, err := parse(to, r.Country)
	if err != nil {
		return "", refuse(core.NotFound, "That is not a telephone number.", "no telephone number")
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	country := phonenumbers.GetRegionCodeForNumber(n)
	if !slices.ContainsFunc(r.Allowed, func(c string) bool { return strings.EqualFold(c, country) }) {
		return "", refuse(core.Forbidden, "Calls to this country are not allowed.", fmt.Sprintf("country %s of %s is not allowed", country, e164))
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST:
		if !r.Premium {
			return "", refuse(core.Forbidden, "Calls to this kind of number are not allowed.", e164+" is a premium-rate number")
		}
	}
	return e164, nil
}

// Dial implements [core.Edge]. to is tel:NUMBER or a number. Lines are tried by
// priority and weight; the next one only when a line fails, never when the
// called party is busy or declines.
func (e *Edge) Dial(ctx context.Context, to string, into core.Room) (core.Leg, error) {
	return e.DialFrom(ctx, to, "", into)
}

// DialFrom is Dial with a number to show, which must be one of ours.
func (e *Edge) DialFrom(ctx context.Context, to, from string, into core.Room) (core.Leg, error) {
	return e.Place(ctx, Request{To: to, From: from, Limits: Limits{Allowed: e.Rules().Allowed}}, into)
}

// Limits are what a call out must keep to.
type Limits struct {
	Lines   []string // that may carry it; nil: all
	Allowed []string // ISO 3166 codes of countries that may be called
}

// Within are the rules for a call with limits.
func (r Rules) Within(l Limits) Rules {
	r.Allowed = l.Allowed
	if l.Lines != nil {
		r.Routes = slices.DeleteFunc(slices.Clone(r.Routes), func(rt Route) bool { return !slices.Contains(l.Lines, rt.Line) })
	}
	return r
}

// Request is a call out.
type Request struct {
	To   string
	From string // to show: one of ours, "" for none
	Limits
}

// Place is Dial within limits of the call's own.
func (e *Edge) Place(ctx context.Context, q Request, into core.Room) (core.Leg, error) {
	r := e.Rules().Within(q.Limits)
	number, err := r.Check(q.To)
	if err != nil {
		return nil, err
	}
	last := refuse(core.Unreachable, "There is no line for this call.", "no route for "+number)
	for _, rt := range order(r.Routes, number) {
		line, ok := e.opt.Lines(rt.Line)
		if !ok {
			continue
		}
		if !e.spend(rt) {
			last = refuse(core.Overload, "All lines are busy.", "route over "+rt.Line+": too many calls per second")
			continue
		}
		leg, err := line.Dial(ctx, number, r.shown(q.From, rt), limited(into, rt.MaxDuration))
		if err == nil {
			return leg, nil
		}
		last = err
		e.opt.Log.Warn("line refused a call", "line", rt.Line, "reason", err)
		if !failover(err) || ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// failover: what another line may do better (timeouts, 408, 5xx, transport).
func failover(err error) bool {
	switch core.ReasonOf(err).Code {
	case core.Unreachable, core.Overload, core.Failure:
		return true
	}
	return false
}

// shown is the caller's number: one of ours, or the route's.
func (r *Rules) shown(from string, rt Route) string {
	for _, n := range r.Numbers {
		if from != "" && n.Number == from && (n.Trunk == "" || n.Trunk == rt.Line) {
			return from
		}
	}
	return rt.From
}

// Serving names the lines that would carry a call to a number, by priority.
func (r Rules) Serving(number string) (lines []string) {
	for _, rt := range serving(r.Routes, number) {
		lines = append(lines, rt.Line)
	}
	return lines
}

func serving(routes []Route, number string) (list []Route) {
	for _, rt := range routes {
		if len(rt.Prefixes) == 0 || slices.ContainsFunc(rt.Prefixes, func(p string) bool { return strings.HasPrefix(number, p) }) {
			list = append(list, rt)
		}
	}
	slices.SortStableFunc(list, func(a, b Route) int { return cmp.Compare(a.Priority, b.Priority) })
	return list
}

// order lists the routes that serve a number: by priority, and within one at
// random by weight.
func order(routes []Route, number string) []Route {
	list := serving(routes, number)
	for i := range list {
		sum := 0
		for j := i; j < len(list) && list[j].Priority == list[i].Priority; j++ {
			sum += max(list[j].Weight, 1)
		}
		pick := rand.IntN(sum)
		for j := i; j < len(list); j++ {
			if pick -= max(list[j].Weight, 1); pick < 0 {
				list[i], list[j] = list[j], list[i]
				break
			}
		}
	}
	return list
}

// spend charges a call to the route's rate.
func (e *Edge) spend(rt Route) bool {
	rate := rt.CallsPerSecond
	if rate == 0 {
		rate = 5
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.buckets[rt.Line]
	if b == nil {
		if len(e.buckets) > 1000 {
			clear(e.buckets)
		}
		b = &bucket{tokens: max(rate, 1), at: now}
		e.buckets[rt.Line] = b
	}
	b.tokens = min(max(rate, 1), b.tokens+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// room ends calls that last too long. It passes on what a Watcher is told.
type room struct {
	core.Room
	longest time.Duration
}

func limited(into core.Room, longest time.Duration) core.Room {
	if longest == 0 {
		longest = 4 * time.Hour
	}
	return &room{into, longest}
}

// Join implements [core.Room].
func (r *room) Join(ctx context.Context, l core.Leg) error {
	t := time.AfterFunc(r.longest, func() {
		l.Hangup(core.Reason{Code: core.Ended, Say: "The longest time for a call is over.", Detail: "pstn: maximum call duration"})
	})
	err := r.Room.Join(ctx, &timed{l, t})
	if err != nil {
		t.Stop()
	}
	return err
}

// timed is a leg whose end stops its timer, which else would keep it for
// hours.
type timed struct {
	core.Leg
	timer *time.Timer
}

// Sit implements [core.Leg].
func (l *timed) Sit(s core.Seat) { l.Leg.Sit(timedSeat{s, l.timer}) }

type timedSeat struct {
	core.Seat
	timer *time.Timer
}

// Leave implements [core.Seat].
func (s timedSeat) Leave(r core.Reason) {
	s.timer.Stop()
	s.Seat.Leave(r)
}

// Ringing implements [core.Watcher].
func (r *room) Ringing(l core.Leg) {
	if w, ok := r.Room.(core.Watcher); ok {
		w.Ringing(l)
	}
}

// Failed implements [core.Watcher].
func (r *room) Failed(l core.Leg, why core.Reason) {
	if w, ok := r.Room.(core.Watcher); ok {
		w.Failed(l, why)
	}
}
