package pstn

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// Line carries calls to the telephone network; a SIP trunk is one.
type Line interface {
	Name() string
	// Dial calls a number in E.164 and shows from, "" for none. It returns
	// once the call rings, or a [core.Reason]. An error with the method
	// RetryAfter() time.Duration asks to be spared calls for so long.
	Dial(ctx context.Context, number, from string, into core.Room) (core.Leg, error)
}

// Route is one way out.
type Route struct {
	Line     string
	Priority int      // the lowest first
	Weight   int      // share among those of one priority; 0 counts as 1
	Prefixes []string // E.164 beginnings that it serves; empty: all
	// Rates are what a minute costs, in any one currency, by E.164 beginnings
	// of which the longest counts. Among routes of one priority the cheapest
	// comes first, those without a rate last.
	Rates map[string]float64
	// From is the number shown when the caller has none of ours.
	From           string
	CallsPerSecond float64 // 0: 5
	// Left is how much longer all its calls together may last; nil: there is no
	// limit. It is asked before a call and once a minute while it lasts.
	Left func() time.Duration
}

// Rules decide over calls out. They are replaced as a whole.
type Rules struct {
	Country string   // whose national numbers are understood
	Allowed []string // ISO 3166 codes of countries that may be called; none: no calls
	// Premium allows premium-rate and shared-cost numbers in those countries.
	Premium bool
	Routes  []Route
	Numbers []Number // ours: they may be shown as caller
	// Enum are DNS suffixes under which a number's own SIP address is looked
	// up first, such as e164.arpa (RFC 6116).
	Enum []string

	maxCost float64
}

// Options of [New].
type Options struct {
	// Lines finds a line by its name.
	Lines func(name string) (Line, bool)
	// Resolver and Direct look numbers up by ENUM, and call what is found; nil:
	// nobody does.
	Resolver Resolver
	Direct   core.Edge
	Log      *slog.Logger
}

// Edge implements [core.Edge] for tel: addresses. Calls in come by the lines'
// own edges.
type Edge struct {
	opt Options

	mu      sync.Mutex
	rules   Rules
	rates   edge.Keyed[string]
	penalty map[string]penalty // by line
}

var _ core.Edge = (*Edge)(nil)

// New makes an edge that allows nothing until it has rules.
func New(opt Options) *Edge {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	return &Edge{opt: opt, rates: edge.Keyed[string]{}, penalty: map[string]penalty{}}
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
			if !isPrefix(p) {
				return fmt.Errorf("pstn: route over %s: prefix %q must be + and digits", rt.Line, p)
			}
		}
		for p, rate := range rt.Rates {
			if !isPrefix(p) || rate < 0 {
				return fmt.Errorf("pstn: route over %s: rate of %q: the prefix must be + and digits, the rate no less than 0", rt.Line, p)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = r
	return nil
}

func isPrefix(p string) bool {
	return strings.HasPrefix(p, "+") && strings.Trim(p[1:], "0123456789") == ""
}

// Rules are those in force; they are not to be changed.
func (e *Edge) Rules() Rules {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rules
}

func refuse(code core.Code, say, detail string) error {
	return Refusal{core.Reason{Code: code, Say: say, Detail: "pstn: " + detail}}
}

// Refusal is an error of this edge's own: no line was asked to carry the call.
type Refusal struct{ core.Reason }

// Unwrap gives the Reason.
func (r Refusal) Unwrap() error { return r.Reason }

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
	country := countryOf(n)
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
// priority, cost and weight; the next one only when a line fails, also while the
// call rings, never when the called party is busy or declines.
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
	MaxCost float64  // of a minute, by the lines' rates; 0: any
}

// Within are the rules for a call with limits.
func (r Rules) Within(l Limits) Rules {
	r.Allowed, r.maxCost = l.Allowed, l.MaxCost
	if l.Lines != nil {
		r.Enum = nil // not over another way
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
	if leg, err := e.direct(ctx, number, r, into); leg != nil || err != nil {
		return leg, err
	}
	routes := r.serving(number)
	last := refuse(core.Unreachable, "There is no line for this call.", "no route for "+number)
	if len(routes) > 0 {
		last = refuse(core.Overload, "All lines are busy.", "every line for "+number+" has asked to be spared for a while")
	}
	c := &call{e: e, ctx: ctx, number: number, from: q.From, rules: r, routes: e.order(routes, number), into: into, last: last}
	return c.next()
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

// spend charges a call to the route's rate.
func (e *Edge) spend(rt Route) bool {
	rate := cmp.Or(rt.CallsPerSecond, 5)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rates.At(time.Now(), rt.Line, rate, max(rate, 1)).Take()
}

// room is where the calls of one route lead. It ends those that have used up
// the line's time.
type room struct {
	core.Room
	call  *call
	route Route
}

// Join implements [core.Room].
func (r *room) Join(ctx context.Context, l core.Leg) error {
	if r.route.Left == nil {
		return r.Room.Join(ctx, l)
	}
	var t *time.Timer
	t = time.AfterFunc(time.Minute, func() {
		if left := r.route.Left(); left > 0 {
			t.Reset(min(left, time.Minute))
			return
		}
		l.Hangup(core.Reason{Code: core.Ended, Say: "The time for calls over this line is used up.", Detail: "pstn: daily minutes of " + r.route.Line})
	})
	t.Reset(min(max(r.route.Left(), 0), time.Minute))
	err := r.Room.Join(ctx, &timed{l, t})
	if err != nil {
		t.Stop()
	}
	return err
}

// Ringing implements [core.Watcher].
func (r *room) Ringing(l core.Leg) {
	if w, ok := r.Room.(core.Watcher); ok {
		w.Ringing(l)
	}
}

// Failed implements [core.Watcher]: a line that fails while it rings has
// another tried.
func (r *room) Failed(l core.Leg, why core.Reason) {
	if r.call.failed(r.route, why) {
		r.call.again(r.route)
		_, err := r.call.next()
		if err == nil {
			return
		}
		why = core.ReasonOf(err)
	}
	if w, ok := r.Room.(core.Watcher); ok {
		w.Failed(l, why)
	}
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
