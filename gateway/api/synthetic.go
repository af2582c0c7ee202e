package api

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
	"bridgehead/gateway/synthetic"
)

// SyntheticBody makes or changes a synthetic caller. The keys go in and never
// come out.
type SyntheticBody struct {
	Trunk   *string `json:"trunk,omitempty" maxLength:"64" doc:"over which it calls out; empty: that of the number"`
	Meeting *string `json:"meeting,omitempty" pattern:"^([0-9]{3,20})?$" doc:"that the call must reach; best one that is for this alone. Empty: the greeting is enough"`
	Keys    *string `json:"keys,omitempty" pattern:"^[0-9*#,]*$" maxLength:"64" doc:"pressed after the greeting, such as 7001#,,1234#; a comma waits a second"`
	Every   *int    `json:"every,omitempty" minimum:"1" maximum:"1440" doc:"minutes from call to call; 15 when missing"`
	Enabled *bool   `json:"enabled,omitempty" doc:"true when missing"`
}

type syntheticNew struct {
	Number string `json:"number" pattern:"^\\+[1-9][0-9]{4,14}$" doc:"one of the bridge's"`
	SyntheticBody
}

func (b SyntheticBody) apply(c *store.SyntheticCaller) {
	set(&c.Trunk, b.Trunk)
	set(&c.Meeting, b.Meeting)
	set(&c.Keys, b.Keys)
	set(&c.Every, b.Every)
	set(&c.Enabled, b.Enabled)
}

type syntheticView struct {
	store.SyntheticCaller
	HasKeys bool                 `json:"has_keys"`
	Last    *store.SyntheticCall `json:"last,omitempty" doc:"the latest call"`
}

// syntheticShown is how many calls of a synthetic caller are listed.
const syntheticShown = 500

func (s *server) synthetic(api huma.API) {
	const tag, admin = "Numbers", store.RoleAdministrator
	type ByNumber struct {
		Number string `path:"number" maxLength:"32"`
	}
	save := func(ctx context.Context, c store.SyntheticCaller, b SyntheticBody, keep func(context.Context, store.SyntheticCaller) error) (*body[syntheticView], error) {
		b.apply(&c)
		if err := dialplan.CheckSynthetic(ctx, s.Store, c); err != nil {
			return nil, fail(err)
		}
		return answer(syntheticView{SyntheticCaller: c, HasKeys: c.Keys != ""}, keep(ctx, c))
	}
	huma.Register(api, operation("GET", "/synthetic-callers", "list-synthetic-callers", "List the synthetic callers, and what each met last", admin, tag), func(ctx context.Context, _ *nothing) (*body[[]syntheticView], error) {
		all, err := s.Store.SyntheticCallers(ctx)
		if err != nil {
			return nil, fail(err)
		}
		latest, err := s.Store.LastSyntheticCalls(ctx)
		last := map[string]*store.SyntheticCall{}
		for i, c := range latest {
			last[c.Number] = &latest[i]
		}
		list := []syntheticView{}
		for _, c := range all {
			list = append(list, syntheticView{c, c.Keys != "", last[c.Number]})
		}
		return answer(list, err)
	})
	huma.Register(api, operation("POST", "/synthetic-callers", "add-synthetic-caller", "Have a number called from time to time", admin, tag), func(ctx context.Context, in *body[syntheticNew]) (*body[syntheticView], error) {
		c := store.SyntheticCaller{Number: in.Body.Number, SyntheticSettings: store.SyntheticSettings{Every: 15, Enabled: true}}
		return save(ctx, c, in.Body.SyntheticBody, s.Store.AddSyntheticCaller)
	})
	huma.Register(api, operation("PATCH", "/synthetic-callers/{number}", "change-synthetic-caller", "Change a synthetic caller", admin, tag), func(ctx context.Context, in *struct {
		ByNumber
		Body SyntheticBody
	}) (*body[syntheticView], error) {
		c, err := s.Store.SyntheticCaller(ctx, in.Number)
		if err != nil {
			return nil, fail(err)
		}
		return save(ctx, c, in.Body, s.Store.UpdateSyntheticCaller)
	})
	huma.Register(api, operation("DELETE", "/synthetic-callers/{number}", "remove-synthetic-caller", "Remove a synthetic caller with its history", admin, tag), func(ctx context.Context, in *ByNumber) (*nothing, error) {
		return nil, fail(s.Store.RemoveSyntheticCaller(ctx, in.Number))
	})
	huma.Register(api, operation("GET", "/synthetic-callers/{number}/calls", "list-synthetic-calls", "List what a synthetic caller met, the latest first", admin, tag), func(ctx context.Context, in *ByNumber) (*body[[]store.SyntheticCall], error) {
		if _, err := s.Store.SyntheticCaller(ctx, in.Number); err != nil {
			return nil, fail(err)
		}
		return answer(s.Store.SyntheticCalls(ctx, in.Number, syntheticShown))
	})
	huma.Register(api, operation("POST", "/synthetic-callers/{number}/call", "call-synthetically", "Have a synthetic caller call now", admin, tag), func(ctx context.Context, in *ByNumber) (*body[store.SyntheticCall], error) {
		c, err := s.CallSynthetically(ctx, in.Number)
		if errors.Is(err, synthetic.ErrCalling) {
			return nil, huma.Error409Conflict("It is calling already.")
		}
		return answer(c, err)
	})
}
