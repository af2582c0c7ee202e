package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
)

// ruleBody makes or changes a rule.
type ruleBody struct {
	Name      *string   `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Priority  *int      `json:"priority,omitempty" minimum:"0" maximum:"100000" doc:"the lowest is tried first; 100 when missing"`
	Enabled   *bool     `json:"enabled,omitempty" doc:"true when missing"`
	Direction *string   `json:"direction,omitempty" enum:"in,out" doc:"in: calls that come to the bridge; out: those that meetings place"`
	Source    *string   `json:"source,omitempty" maxLength:"80" doc:"any, trunk (any of them), trunk:NAME, stranger, device or account"`
	Class     *string   `json:"class,omitempty" enum:"any,member,superuser,administrator" doc:"the least that the caller must be; member: a registered device or an account"`
	Pattern   *string   `json:"pattern,omitempty" maxLength:"256" doc:"the beginning of the called number or name, or an RE2 expression of the whole between ^ and $"`
	Strip     *int      `json:"strip,omitempty" minimum:"0" maximum:"64" doc:"characters cut off the beginning"`
	Prepend   *string   `json:"prepend,omitempty" maxLength:"64" doc:"put before what is left"`
	Rewrite   *string   `json:"rewrite,omitempty" maxLength:"256" doc:"instead of both: a template with the groups of the expression, such as +49$1"`
	Target    *string   `json:"target,omitempty" maxLength:"255" doc:"reception, meeting (by the number called), meeting:NUMBER, user (by the extension called), user:EMAIL, trunk (any), trunk:NAME (of a trunk or a group), refuse, refuse:WORDS, or next: go on with the number as rewritten"`
	MaxCost   *float64  `json:"max_cost,omitempty" minimum:"0" doc:"most that a minute may cost by the trunks' rates; 0: any"`
	Countries *[]string `json:"countries,omitempty" maxItems:"250" doc:"that a rule with a trunk lets call, by ISO 3166 code; none: no calls"`
}

func (b ruleBody) apply(r *store.Rule) {
	set(&r.Name, b.Name)
	set(&r.Priority, b.Priority)
	set(&r.Enabled, b.Enabled)
	set(&r.Direction, b.Direction)
	set(&r.Source, b.Source)
	set(&r.Class, b.Class)
	set(&r.Pattern, b.Pattern)
	set(&r.Strip, b.Strip)
	set(&r.Prepend, b.Prepend)
	set(&r.Rewrite, b.Rewrite)
	set(&r.Target, b.Target)
	set(&r.MaxCost, b.MaxCost)
	set(&r.Countries, b.Countries)
}

// NewRule is a rule with the defaults that nothing was said about.
func NewRule() store.Rule {
	return store.Rule{RuleSettings: store.RuleSettings{Priority: 100, Enabled: true, Direction: "in", Source: "any", Class: "any", Target: "reception", Countries: []string{}}}
}

type expectationBody struct {
	Name string        `json:"name" minLength:"1" maxLength:"64"`
	Call store.Attempt `json:"call"`
	Want string        `json:"want,omitempty" maxLength:"255" doc:"outcome, or how it begins; when missing, what happens now"`
}

// kept makes a change of what calls are led by, unless it breaks what is
// expected, and has it taken up.
func (s *server) kept(ctx context.Context, change func(context.Context) error) error {
	err := dialplan.Change(ctx, s.Store, s.Plan.Home(), change)
	s.TrunksChanged()
	return err
}

func (s *server) dialplan(api huma.API) {
	const tag, admin = "Dial plan", store.RoleAdministrator
	save := func(ctx context.Context, r store.Rule, b ruleBody) (*body[store.Rule], error) {
		b.apply(&r)
		r, err := dialplan.SaveRule(ctx, s.Store, s.Plan.Home(), r)
		s.TrunksChanged()
		return answer(r, err)
	}
	huma.Register(api, operation("GET", "/dialplan", "list-rules", "List the rules of the dial plan, in their order", admin, tag), func(ctx context.Context, _ *nothing) (*body[[]store.Rule], error) {
		return answer(s.Store.Rules(ctx))
	})
	huma.Register(api, operation("POST", "/dialplan", "add-rule", "Make a rule", admin, tag), func(ctx context.Context, in *body[ruleBody]) (*body[store.Rule], error) {
		return save(ctx, NewRule(), in.Body)
	})
	huma.Register(api, operation("PATCH", "/dialplan/{id}", "change-rule", "Change a rule", admin, tag), func(ctx context.Context, in *struct {
		ByID
		Body ruleBody
	}) (*body[store.Rule], error) {
		r, err := s.Store.Rule(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		return save(ctx, r, in.Body)
	})
	huma.Register(api, operation("DELETE", "/dialplan/{id}", "remove-rule", "Remove a rule", admin, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		return nil, fail(s.kept(ctx, func(ctx context.Context) error { return s.Store.RemoveRule(ctx, in.ID) }))
	})
	huma.Register(api, operation("POST", "/dialplan/simulate", "simulate-call", "Tell where a call would lead, and why", admin, tag), func(ctx context.Context, in *body[store.Attempt]) (*body[dialplan.Decision], error) {
		return answer(s.Plan.Decide(ctx, in.Body))
	})
	s.expectations(api)
}

func (s *server) expectations(api huma.API) {
	const tag, admin = "Dial plan", store.RoleAdministrator
	huma.Register(api, operation("GET", "/dialplan/expectations", "list-expectations", "List what is expected of the dial plan, and whether it is so", admin, tag), func(ctx context.Context, _ *nothing) (*body[[]dialplan.Result], error) {
		return answer(dialplan.Expectations(ctx, s.Store, s.Plan.Home()))
	})
	huma.Register(api, operation("POST", "/dialplan/expectations", "add-expectation", "Expect where a call leads, after every change", admin, tag), func(ctx context.Context, in *body[expectationBody]) (*body[dialplan.Result], error) {
		return answer(dialplan.Expect(ctx, s.Store, s.Plan.Home(), store.Expectation{Name: in.Body.Name, Call: in.Body.Call, Want: in.Body.Want}))
	})
	huma.Register(api, operation("DELETE", "/dialplan/expectations/{id}", "remove-expectation", "Expect something no more", admin, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		return nil, fail(s.Store.RemoveExpectation(ctx, in.ID))
	})
}
