package dialplan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// What is kept at most, so that a change is checked in a moment.
const (
	maxRules        = 2000
	maxExpectations = 500
)

// Result is how an expectation fares.
type Result struct {
	store.Expectation
	Met      bool     `json:"met"`
	Decision Decision `json:"decision"`
}

// met: an outcome is as wanted, or begins so and says more.
func met(outcome, want string) bool {
	return outcome == want || strings.HasPrefix(outcome, want+" ")
}

// Expectations tries all that are kept.
func Expectations(ctx context.Context, s *store.Store, home Home) ([]Result, error) {
	kept, err := s.Expectations(ctx)
	list := []Result{}
	if err != nil || len(kept) == 0 {
		return list, err
	}
	t, err := Load(ctx, s, home)
	if err != nil {
		return nil, err
	}
	for _, e := range kept {
		d, err := t.Decide(ctx, s, e.Call)
		if err != nil {
			return nil, err
		}
		list = append(list, Result{e, met(d.Outcome, e.Want), d})
	}
	return list, nil
}

// Expect keeps an expectation. Without a time it is about this one, without an
// outcome about what happens now. One that is not met is a [core.Reason].
func Expect(ctx context.Context, s *store.Store, home Home, e store.Expectation) (Result, error) {
	if e.Call.At.IsZero() {
		e.Call.At = time.Now().UTC().Truncate(time.Minute)
	}
	var r Result
	err := s.Atomically(ctx, func(ctx context.Context) error {
		kept, err := s.Expectations(ctx)
		if err != nil {
			return err
		}
		if len(kept) >= maxExpectations {
			return invalid("there are %d expectations already, which is the most.", maxExpectations)
		}
		t, err := Load(ctx, s, home)
		if err != nil {
			return err
		}
		if r.Decision, err = t.Decide(ctx, s, e.Call); err != nil {
			return err
		}
		if e.Want == "" {
			e.Want = r.Decision.Outcome
		}
		if r.Met = met(r.Decision.Outcome, e.Want); !r.Met {
			return invalid("This is not so now: the call leads to %s, not to %s.", r.Decision.Outcome, e.Want)
		}
		r.Expectation, err = s.AddExpectation(ctx, e)
		return err
	})
	return r, err
}

// Change makes a change of rules, numbers or trunks, unless it breaks what is
// expected and was so before: then nothing of it is kept, and the error, a
// [core.Reason], names what would break.
func Change(ctx context.Context, s *store.Store, home Home, change func(context.Context) error) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		before, err := Expectations(ctx, s, home)
		if err != nil {
			return err
		}
		if err := change(ctx); err != nil {
			return err
		}
		after, err := Expectations(ctx, s, home)
		if err != nil {
			return err
		}
		var broken []string
		for i, r := range after { // the same, in the same order
			if before[i].Met && !r.Met {
				broken = append(broken, fmt.Sprintf("%q: the call to %s would lead to %s, not to %s", r.Name, r.Call.To, r.Decision.Outcome, r.Want))
			}
		}
		if len(broken) > 0 {
			text := "This would break what is expected of the dial plan: " + strings.Join(broken, "; ") + "."
			return core.Reason{Code: core.Locked, Say: text, Detail: text}
		}
		return nil
	})
}

// SaveRule checks a rule and keeps it: a new one if it has no ID.
func SaveRule(ctx context.Context, s *store.Store, home Home, r store.Rule) (store.Rule, error) {
	if r.Countries == nil {
		r.Countries = []string{}
	}
	if err := CheckRule(r); err != nil {
		return r, err
	}
	err := Change(ctx, s, home, func(ctx context.Context) (err error) {
		for _, field := range []string{r.Target, r.Source} {
			if name, ok := strings.CutPrefix(field, "trunk:"); ok {
				if err := hasTrunk(ctx, s, name); err != nil && (field == r.Source || !hasGroup(ctx, s, name)) {
					return err
				}
			}
		}
		all, err := s.Rules(ctx)
		if err == nil && r.ID == "" && len(all) >= maxRules {
			err = invalid("there are %d rules already, which is the most.", maxRules)
		}
		if err == nil {
			r, err = s.SaveRule(ctx, r)
		}
		return err
	})
	return r, err
}

func hasTrunk(ctx context.Context, s *store.Store, name string) error {
	_, err := s.Trunk(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return invalid("There is no trunk named %s.", name)
	}
	return err
}

func hasGroup(ctx context.Context, s *store.Store, name string) bool {
	all, err := s.Trunks(ctx)
	return err == nil && slices.ContainsFunc(all, func(t store.Trunk) bool { return t.Group == name })
}

// CheckSynthetic says what is wrong with a synthetic caller, as a [core.Reason].
func CheckSynthetic(ctx context.Context, s *store.Store, c store.SyntheticCaller) error {
	if _, err := s.Number(ctx, c.Number); errors.Is(err, store.ErrNotFound) {
		return invalid("%s is no number of this bridge: add it to the numbers first.", c.Number)
	} else if err != nil {
		return err
	}
	if c.Meeting != "" {
		if _, err := s.Meeting(ctx, c.Meeting); errors.Is(err, store.ErrNotFound) {
			return invalid("There is no meeting %s.", c.Meeting)
		} else if err != nil {
			return err
		}
	}
	if c.Trunk == "" {
		return nil
	}
	return hasTrunk(ctx, s, c.Trunk)
}

// CheckNumber says what is wrong with a telephone number of ours, as a
// [core.Reason], and finds its country where none is given.
func CheckNumber(ctx context.Context, s *store.Store, n *store.Number) error {
	if code := pstn.Country(n.Number); n.Country == "" && len(code) == 2 {
		n.Country = code
	}
	if err := hasTrunk(ctx, s, n.Trunk); err != nil {
		return err
	}
	if err := CheckTarget(n.Target); err != nil {
		return err
	}
	return CheckHours(n.Hours)
}
