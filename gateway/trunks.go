package main

import (
	"context"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/api"
	"bridgehead/gateway/lines"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
	"bridgehead/sip"
)

// trunkBoard gives the edges the trunks and numbers that are kept.
type trunkBoard struct {
	g  *gateway
	mu sync.Mutex // one load at a time
}

// load takes up trunks and numbers. Calls under way go on.
func (b *trunkBoard) load() {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx := context.Background()
	trunks, err := b.g.store.Trunks(ctx)
	if err != nil {
		b.g.log.Error("trunks not loaded", "error", err)
		return
	}
	numbers, err := b.g.store.Numbers(ctx)
	if err != nil {
		b.g.log.Error("numbers not loaded", "error", err)
		return
	}
	cfg := b.g.cfg.Load()
	rules := pstn.Rules{Country: cfg.PSTN.Country, Allowed: cfg.PSTN.Countries, Enum: cfg.PSTN.Enum}
	var list []sip.TrunkConfig
	for _, t := range trunks {
		line, err := lines.Config(t, cfg.PSTN.Country)
		if err != nil {
			b.g.log.Error("trunk left out", "trunk", t.Name, "error", err)
			continue
		}
		list = append(list, line)
		if t.Enabled && t.Host != "" {
			route := lines.Route(t)
			route.Left = b.left(t)
			rules.Routes = append(rules.Routes, route)
		}
	}
	for _, n := range numbers {
		rules.Numbers = append(rules.Numbers, pstn.Number{Number: n.Number, Trunk: n.Trunk})
	}
	if err := b.g.sip.SetTrunks(list); err != nil {
		b.g.log.Error("trunks not changed", "error", err)
	}
	if err := b.g.pstn.SetRules(rules); err != nil {
		b.g.log.Error("dial-out rules not changed", "error", err)
	}
}

// left is how many of a trunk's minutes are left for today.
func (b *trunkBoard) left(t store.Trunk) func() time.Duration {
	if t.DailyMinutes == 0 {
		return nil
	}
	return func() time.Duration {
		today := time.Now().UTC().Truncate(24 * time.Hour)
		spent, err := b.g.store.SpentOn(context.Background(), t.Name, today)
		if err != nil {
			b.g.log.Error("minutes of a trunk not counted", "trunk", t.Name, "error", err)
			return 0
		}
		for _, c := range b.g.book.Open() {
			if c.Trunk == t.Name && c.Direction == string(core.Out) && c.Detail.Status == 200 && !c.Started.Before(today) {
				spent += time.Since(c.Started)
			}
		}
		return time.Duration(t.DailyMinutes)*time.Minute - spent
	}
}

// state tells how a trunk is doing.
func (b *trunkBoard) state(name string) api.TrunkState {
	for _, s := range b.g.sip.Trunks() {
		if s.Name != name {
			continue
		}
		st := api.TrunkState{State: "down", Detail: s.Error, Calls: s.Calls}
		switch {
		case s.Registered:
			st.State = "registered"
		case s.Up:
			st.State = "up"
		}
		return st
	}
	return api.TrunkState{State: "disabled"}
}

// check tries a trunk, also one that is not enabled.
func (b *trunkBoard) check(ctx context.Context, t store.Trunk) []lines.CheckLine {
	return lines.Checker{Edge: b.g.sip, Country: b.g.cfg.Load().PSTN.Country}.Check(ctx, t)
}
