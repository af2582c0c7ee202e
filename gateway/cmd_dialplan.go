package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bridgehead/config"
	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
)

// leading is [with] for what decides about calls, which depends on the
// configuration too.
func leading(f func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (any, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		file, _ := cmd.Flags().GetString("config")
		none := pflag.NewFlagSet("", pflag.ContinueOnError)
		config.Flags(none)
		cfg, err := config.Load(file, none)
		if err != nil {
			return err
		}
		return with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
			return f(ctx, s, homeOf(cfg), args)
		})(cmd, args)
	}
}

// kept makes a change of what calls are led by, unless it breaks what is
// expected.
func kept(change func(context.Context, *store.Store, []string) (any, error)) func(*cobra.Command, []string) error {
	return leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (v any, err error) {
		err = dialplan.Change(ctx, s, home, func(ctx context.Context) (err error) {
			v, err = change(ctx, s, args)
			return err
		})
		return v, err
	})
}

// removeLine is remove for trunks, numbers and rules.
func removeLine(what, short string, f func(*store.Store, context.Context, string) error) *cobra.Command {
	return &cobra.Command{Use: "remove " + what, Short: short, Args: cobra.ExactArgs(1),
		RunE: kept(func(ctx context.Context, s *store.Store, args []string) (any, error) { return nil, f(s, ctx, args[0]) })}
}

func dialplanCommand() *cobra.Command {
	r := api.NewRule()
	disabled := false
	add := &cobra.Command{Use: "add NAME", Short: "Make a rule, or replace the one of this name", Args: cobra.ExactArgs(1),
		Long: "What can be called by a number or name of its own comes before all rules; of these, tried by their priority, the first that matches decides.",
		RunE: leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (any, error) {
			r.Name, r.Enabled = args[0], !disabled
			if old, err := s.Rule(ctx, r.Name); err == nil {
				r.ID = old.ID
			}
			return dialplan.SaveRule(ctx, s, home, r)
		})}
	f := add.Flags()
	f.IntVar(&r.Priority, "priority", r.Priority, "the lowest is tried first")
	f.StringVar(&r.Direction, "direction", r.Direction, "in: calls that come to the bridge; out: those that meetings place")
	f.StringVar(&r.Source, "source", r.Source, "any, trunk, trunk:NAME, stranger, device or account")
	f.StringVar(&r.Class, "class", r.Class, "the least that the caller must be: any, member, superuser or administrator")
	f.StringVar(&r.Pattern, "pattern", "", "beginning of the called number, or an RE2 expression of the whole between ^ and $")
	f.IntVar(&r.Strip, "strip", 0, "characters cut off the beginning")
	f.StringVar(&r.Prepend, "prepend", "", "put before what is left")
	f.StringVar(&r.Rewrite, "rewrite", "", "instead of both: a template with the groups of the expression, such as +49$1")
	f.StringVar(&r.Target, "target", r.Target, "reception, meeting, meeting:NUMBER, user, user:EMAIL, trunk, trunk:NAME, refuse, refuse:WORDS or next")
	f.StringSliceVar(&r.Countries, "countries", nil, "that a rule with a trunk lets call, such as DE,AT; none when empty")
	f.Float64Var(&r.MaxCost, "max-cost", 0, "most that a minute may cost by the trunks' rates; 0: any")
	f.BoolVar(&disabled, "disabled", false, "do not use it yet")
	return group("dialplan", "Rules that lead calls", add,
		&cobra.Command{Use: "list", Short: "List the rules in their order", Args: cobra.NoArgs, RunE: with(func(ctx context.Context, s *store.Store, _ []string) (any, error) { return s.Rules(ctx) })},
		removeLine("NAME", "Remove a rule", (*store.Store).RemoveRule), simulateCommand(), expectCommand(),
		&cobra.Command{Use: "expectations", Short: "List what is expected, and whether it is so", Args: cobra.NoArgs, RunE: leading(expectations)},
		&cobra.Command{Use: "forget NAME", Short: "Expect something no more", Args: cobra.ExactArgs(1),
			RunE: with(func(ctx context.Context, s *store.Store, args []string) (any, error) {
				return nil, s.RemoveExpectation(ctx, args[0])
			})})
}

// attempted adds the flags that describe a call.
func attempted(c *cobra.Command) func(to string) (store.Attempt, error) {
	a, at := store.Attempt{}, ""
	f := c.Flags()
	f.StringVar(&a.Direction, "direction", "", "in: it comes to the bridge; out: a meeting places it; when empty, in if --trunk or no address is given")
	f.StringVar(&a.From, "from", "", "the caller's number")
	f.StringVar(&a.Trunk, "trunk", "", "over which it comes in")
	f.StringVar(&a.Class, "class", "stranger", "who calls, or has somebody called: stranger, device, user, superuser or administrator")
	f.StringVar(&at, "at", "", "when, such as 2026-11-30T18:00:00Z, or 18:00 today; now when empty")
	return func(to string) (store.Attempt, error) {
		var err error
		a.To = to
		if a.Direction == "" {
			a.Direction = "in"
			if a.Trunk == "" && strings.Contains(to, ":") {
				a.Direction = "out"
			}
		}
		a.At, err = readTime(at, time.Now())
		return a, err
	}
}

// readTime reads an RFC 3339 time, or one of the day of now.
func readTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if t, err := time.Parse("15:04", text); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--at %s: write 2026-11-30T18:00:00Z, or 18:00", text)
	}
	return t, nil
}

func simulateCommand() *cobra.Command {
	c := &cobra.Command{Use: "simulate NUMBER", Short: "Tell where a call would lead, and each rule that was tried; none is placed", Args: cobra.ExactArgs(1)}
	attempt := attempted(c)
	c.RunE = leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (any, error) {
		a, err := attempt(args[0])
		if err != nil {
			return nil, err
		}
		plan, err := dialplan.Load(ctx, s, home)
		if err != nil {
			return nil, err
		}
		return plan.Decide(ctx, s, a)
	})
	return c
}

func expectCommand() *cobra.Command {
	e := store.Expectation{}
	c := &cobra.Command{Use: "expect NAME NUMBER", Short: "Expect where a call leads: changes that break it are refused", Args: cobra.ExactArgs(2)}
	attempt := attempted(c)
	c.Flags().StringVar(&e.Want, "want", "", "outcome, or how it begins; what happens now, when empty")
	c.RunE = leading(func(ctx context.Context, s *store.Store, home dialplan.Home, args []string) (_ any, err error) {
		e.Name = args[0]
		if e.Call, err = attempt(args[1]); err != nil {
			return nil, err
		}
		r, err := dialplan.Expect(ctx, s, home, e)
		return lineOfExpectation(r), err
	})
	return c
}

// expectation is a line of their list.
type expectation struct {
	Name string `json:"name"`
	To   string `json:"to"`
	Want string `json:"want"`
	Is   string `json:"is"`
	Met  bool   `json:"met"`
}

func lineOfExpectation(r dialplan.Result) expectation {
	return expectation{r.Name, r.Call.To, r.Want, r.Decision.Outcome, r.Met}
}

func expectations(ctx context.Context, s *store.Store, home dialplan.Home, _ []string) (any, error) {
	all, err := dialplan.Expectations(ctx, s, home)
	lines := []expectation{}
	for _, r := range all {
		lines = append(lines, lineOfExpectation(r))
	}
	return lines, err
}
