package dialplan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// Decision is where a call leads and why. What routes calls and what explains
// them is the same: [Table.Decide].
type Decision struct {
	Outcome string   `json:"outcome" doc:"reception, echo, meeting:NUMBER, device:USER, user:EMAIL, address:URI, trunk:NAME +NUMBER or refuse CODE"`
	Rule    string   `json:"rule,omitempty" doc:"name of the rule that decided"`
	Number  string   `json:"number,omitempty" doc:"as it is called, in E.164"`
	Lines   []string `json:"lines,omitempty" doc:"trunks that carry the call, by priority"`
	Says    string   `json:"says,omitempty" doc:"what a refused caller is told"`
	Steps   []Tried  `json:"steps" doc:"what was tried, in this order"`

	kind     string // of target, or one of those below
	value    string
	meeting  store.Meeting // that the call is led to
	open     bool          // no passcode is asked for
	language string        // of the number called
	reason   core.Reason
	prompt   string // that speaks the refusal; "": the code's own
	fallback bool   // nothing knew the number
	exit     exit
}

// Kinds of decisions beside those of targets.
const (
	toEcho    = "echo"
	toDevice  = "device"
	toAddress = "address"
)

// Tried is one thing that might have led the call.
type Tried struct {
	What    string `json:"what" enum:"number,meeting,device,rule,default"`
	Name    string `json:"name,omitempty"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// String is the decision for a call's record: a line for each thing tried.
func (d Decision) String() string {
	var b strings.Builder
	for _, s := range d.Steps {
		mark := "-"
		if s.Matched {
			mark = "+"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", mark, strings.TrimSpace(s.What+" "+s.Name), s.Why)
	}
	b.WriteString("= " + d.Outcome)
	if d.Says != "" {
		b.WriteString(": " + d.Says)
	}
	return b.String()
}

// exit is leave to call a telephone. Only [walk.leave] makes one that calls
// anybody else than the bridge's own numbers ([Plan.CallOwn]), and
// [Plan.telephoned] is the only way out.
type exit struct{ pstn.Request }

// Home is what numbers and calls are subject to, where no rule says otherwise.
type Home struct {
	Country   string   // whose national numbers are understood
	Countries []string // that may be called
	Enum      []string // DNS suffixes where numbers are looked up first (RFC 6116)
}

// Table is the dial plan made ready. It is never changed.
type Table struct {
	rules  []*rule
	trunks []store.Trunk
	out    pstn.Rules
}

// Load reads the dial plan.
func Load(ctx context.Context, s *store.Store, home Home) (*Table, error) {
	rules, err := s.Rules(ctx)
	trunks, err2 := s.Trunks(ctx)
	numbers, err3 := s.Numbers(ctx)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	t := &Table{trunks: trunks, out: Telephone(home, trunks, numbers)}
	for _, r := range rules {
		t.rules = append(t.rules, compile(r))
	}
	return t, nil
}

// Telephone are the rules of the telephone network by what is set up.
func Telephone(home Home, trunks []store.Trunk, numbers []store.Number) pstn.Rules {
	r := pstn.Rules{Country: home.Country, Allowed: home.Countries, Enum: home.Enum}
	for _, t := range trunks {
		if t.Enabled && t.Host != "" {
			r.Routes = append(r.Routes, Route(t))
		}
	}
	for _, n := range numbers {
		r.Numbers = append(r.Numbers, pstn.Number{Number: n.Number, Trunk: n.Trunk})
	}
	return r
}

// Route is a trunk as a way out.
func Route(t store.Trunk) pstn.Route {
	return pstn.Route{Line: t.Name, Priority: t.Priority, Weight: t.Weight, Prefixes: t.Prefixes, Rates: t.Rates, From: t.CallerID, CallsPerSecond: float64(t.CallsPerSecond)}
}

// walk is one call's way through the plan.
type walk struct {
	*Table
	ctx    context.Context
	store  *store.Store
	call   store.Attempt
	called string // as it is now
	scheme string // of calls out
	Decision
}

// Decide finds where a call leads: first by what is there (numbers, meetings,
// devices and accounts), then by the rules in their order, of which the first
// that matches decides, then by default. It changes nothing. Errors are the
// store's.
func (t *Table) Decide(ctx context.Context, s *store.Store, call store.Attempt) (Decision, error) {
	if call.At.IsZero() {
		call.At = time.Now()
	}
	w := &walk{Table: t, ctx: ctx, store: s, call: call}
	w.Steps = []Tried{}
	err := w.run()
	if w.Outcome == "" {
		w.Outcome = w.kind
		if w.value != "" {
			w.Outcome += ":" + w.value
		}
	}
	return w.Decision, err
}

func (w *walk) run() error {
	w.called = strings.TrimSpace(w.call.To)
	if len(w.called) > maxCalled {
		w.refuse(core.NotFound, "That is no number or address.", "longer than 255 characters")
		return nil
	}
	if w.call.Direction == "out" {
		w.parse()
	} else if n, ok := strings.CutPrefix(w.called, "tel:"); ok {
		w.called = n
	}
	for next := 0; ; {
		if err := w.services(); err != nil || w.kind != "" {
			return err
		}
		at, err := w.rulesFrom(next)
		if err != nil || w.kind != "" {
			return err
		}
		if at == len(w.rules) {
			return w.byDefault()
		}
		next = at + 1 // so it ends, whatever rules say
	}
}

// parse takes the address of a call out apart.
func (w *walk) parse() {
	scheme, rest, ok := strings.Cut(w.called, ":")
	if !ok {
		return
	}
	w.scheme, w.called = strings.ToLower(scheme), rest
	if w.scheme == "tel" {
		if e164, err := pstn.Normalize(rest, w.out.Country); err == nil {
			w.called = e164
		}
	}
}

func (w *walk) tried(what, name string, matched bool, why string) {
	w.Steps = append(w.Steps, Tried{what, name, matched, why})
}

func (w *walk) lead(kind, value string) { w.kind, w.value = kind, value }

func (w *walk) refuse(code core.Code, say, detail string) {
	w.lead(toRefuse, "")
	w.Outcome, w.Says = "refuse "+string(code), say
	w.reason = core.Reason{Code: code, Say: say, Detail: detail}
}

// services are what can be called by a number or name of its own. They come
// before all rules, so that no rule takes a meeting from those who know it.
func (w *walk) services() error {
	if w.call.Direction == "out" {
		if w.scheme != "" {
			return nil
		}
		_, err := w.ring(w.called)
		return err
	}
	if w.call.Trunk != "" {
		return w.number()
	}
	if w.called == echo {
		w.tried("meeting", echo, true, "callers hear themselves")
		w.lead(toEcho, "")
		return nil
	}
	if isNumber(w.called) {
		if kept, err := w.store.Meeting(w.ctx, w.called); err == nil {
			w.tried("meeting", w.called, true, "there is a meeting with this number")
			w.meet(kept)
			return nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		w.tried("meeting", "", false, "no meeting has the number "+w.called)
	}
	if !proved(w.call) {
		w.tried("device", "", false, "strangers ring nobody")
		return nil
	}
	if err := w.number(); err != nil || w.kind != "" {
		return err
	}
	_, err := w.ring(w.called)
	return err
}

// number looks for a telephone number of ours.
func (w *walk) number() error {
	n, err := w.store.Number(w.ctx, w.called)
	switch {
	case errors.Is(err, store.ErrNotFound):
		w.tried("number", "", false, w.called+" is no number of this bridge")
		return nil
	case err != nil:
		return err
	case w.call.Trunk != "" && n.Trunk != w.call.Trunk:
		w.tried("number", n.Number, false, "it belongs to trunk "+n.Trunk+", the call comes over "+w.call.Trunk)
		return nil
	}
	w.language, w.open = n.Language, n.NoPasscode
	isOpen, when, err := Open(n.Hours, w.call.At)
	switch {
	case err != nil:
		return err
	case isOpen:
		w.tried("number", n.Number, true, "it leads to "+n.Target+when)
		return w.target(n.Target)
	case n.Hours.Otherwise != "":
		w.tried("number", n.Number, true, "it is closed"+when+", and then leads to "+n.Hours.Otherwise)
		return w.target(n.Hours.Otherwise)
	}
	w.tried("number", n.Number, true, "it is closed"+when)
	w.refuse(core.Unreachable, "Nobody takes calls at this hour.", "number "+n.Number+" is closed"+when)
	w.prompt = "closed"
	return nil
}

// target leads to that of a number.
func (w *walk) target(target string) error {
	kind, value, _ := strings.Cut(target, ":")
	switch kind {
	case toMeeting:
		return w.toMeeting(value)
	case toUser:
		return w.user(value)
	}
	w.lead(toReception, "")
	return nil
}

func (w *walk) toMeeting(number string) error {
	switch kept, err := w.store.Meeting(w.ctx, number); {
	case errors.Is(err, store.ErrNotFound):
		w.refuse(core.NotFound, "There is no meeting with this number.", "no meeting "+number)
	case err != nil:
		return err
	default:
		w.meet(kept)
	}
	return nil
}

func (w *walk) meet(kept store.Meeting) {
	w.lead(toMeeting, kept.Number)
	w.meeting = kept
}

// user leads to a device or account that is to be there.
func (w *walk) user(key string) error {
	found, err := w.ring(key)
	if err == nil && !found {
		w.refuse(core.Unreachable, "Nobody can be reached at this number.", "user "+key+" has no device")
	}
	return err
}

// ring looks for a device, or an account that has one.
func (w *walk) ring(key string) (bool, error) {
	d, err := w.store.Device(w.ctx, key)
	if err == nil {
		w.tried("device", d.User, true, key+" is the device "+cmp.Or(d.Name, d.User))
		w.lead(toDevice, d.User)
		return true, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	owned, name, err := owned(w.ctx, w.store, key)
	if err != nil {
		return false, err
	}
	if len(owned) == 0 {
		w.tried("device", "", false, key+" is neither a device nor an account with one")
		return false, nil
	}
	w.tried("device", name, true, fmt.Sprintf("the account has %d devices", len(owned)))
	w.lead(toUser, name)
	return true, nil
}

// owned are the devices of an account, by its id or address.
func owned(ctx context.Context, s *store.Store, key string) (list []store.Device, email string, err error) {
	u, err := s.User(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", nil
	}
	if err == nil {
		list, err = s.DevicesOf(ctx, u.ID)
	}
	return list, u.Email, err
}

// rulesFrom tries the rules from the nth on: it gives the one that says to go
// on with another number, or how many there are.
func (w *walk) rulesFrom(n int) (int, error) {
	for i, r := range w.rules[n:] {
		rewritten, why := r.match(w.call, w.called)
		if why == "" && len(rewritten) > maxCalled {
			why = "it makes the number longer than 255 characters"
		}
		if why != "" {
			w.tried("rule", r.Name, false, why)
			continue
		}
		text := w.called + " matches " + r.Pattern
		if rewritten != w.called {
			text += " and becomes " + rewritten
		}
		w.tried("rule", r.Name, true, text+": "+r.Target)
		if r.kind == toNext {
			w.called = rewritten
			return n + i, nil
		}
		w.Rule, w.open = r.Name, false
		return 0, w.follow(r, rewritten)
	}
	return len(w.rules), nil
}

// follow leads to the target of a rule.
func (w *walk) follow(r *rule, number string) error {
	switch r.kind {
	case toMeeting:
		return w.toMeeting(cmp.Or(r.value, number))
	case toUser:
		return w.user(cmp.Or(r.value, number))
	case toTrunk:
		w.leave(number, r.value, pstn.Limits{Allowed: r.Countries, MaxCost: r.MaxCost})
	case toRefuse:
		w.refuse(core.Forbidden, cmp.Or(r.value, "Calls to this number are not allowed."), "rule "+r.Name)
	default:
		w.lead(toReception, "")
	}
	return nil
}

func (w *walk) byDefault() error {
	w.fallback = true
	in := w.call.Direction != "out"
	switch {
	case in && w.call.Trunk != "":
		w.tried("default", "", true, "calls from the telephone network lead nowhere else")
		w.refuse(core.NotFound, "This number is not in service.", "number "+w.called+" is not configured for trunk "+w.call.Trunk)
	case in:
		w.tried("default", "", true, "the reception asks for a meeting's number")
		w.lead(toReception, "")
	case w.scheme == "tel":
		w.tried("default", "", true, "telephones in the countries of pstn.countries: "+cmp.Or(strings.Join(w.out.Allowed, ", "), "none"))
		w.leave(w.called, "", pstn.Limits{Allowed: w.out.Allowed})
	case w.scheme != "":
		w.tried("default", "", true, "it is an address, and called as such")
		w.lead(toAddress, w.scheme+":"+w.called)
	default:
		w.tried("default", "", true, "nothing has this name")
		w.refuse(core.NotFound, "There is nobody with this address. Write sip:…, sips:… or tel:+….", "dial-out to unknown device")
	}
	return nil
}

// leave is the one place where calls are let out to the telephone network,
// whatever led them here: a caller who has not proved who it is goes no
// further.
func (w *walk) leave(to, trunk string, limits pstn.Limits) {
	if !proved(w.call) {
		w.refuse(core.Forbidden, "Only people who are signed in may call telephones.", "a stranger may not reach the telephone network")
		return
	}
	if trunk != "" {
		limits.Lines = w.lines(trunk)
	}
	rules := w.out.Within(limits)
	number, err := rules.Check(to)
	if err != nil {
		r := core.ReasonOf(err)
		w.refuse(r.Code, r.Say, r.Detail)
		return
	}
	if w.Lines = rules.Serving(number); len(w.Lines) == 0 && len(rules.Enum) == 0 {
		w.refuse(core.Unreachable, "There is no line for this call.", "no enabled trunk "+trunk+" takes "+number+", at the cost allowed")
		return
	}
	w.lead(toTrunk, trunk)
	w.Number = number
	w.Outcome = "trunk:" + cmp.Or(trunk, strings.Join(w.Lines, ",")) + " " + number
	w.exit = exit{pstn.Request{To: number, Limits: limits}}
}

// lines are those of a trunk or of a group by its name.
func (w *walk) lines(name string) []string {
	list := []string{}
	for _, t := range w.trunks {
		if t.Name == name || t.Group == name {
			list = append(list, t.Name)
		}
	}
	return list
}
