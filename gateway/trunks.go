package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
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
	country := b.g.cfg.Load().PSTN.Country
	rules := dialplan.Telephone(b.g.home(), trunks, numbers)
	var list []sip.TrunkConfig
	for _, t := range trunks {
		line, err := lines.Config(t, country)
		if err != nil {
			b.g.log.Error("trunk left out", "trunk", t.Name, "error", err)
			continue
		}
		if line.Enabled && line.Stir == "require" && b.g.sti.Load() == nil {
			b.g.log.Warn("a trunk refuses all calls: it requires verified numbers, and stir.roots is not configured", "trunk", t.Name)
		}
		list = append(list, line)
		if i := slices.IndexFunc(rules.Routes, func(r pstn.Route) bool { return r.Line == t.Name }); i >= 0 {
			rules.Routes[i].Left = b.left(t)
		}
	}
	if err := b.g.sip.SetTrunks(list); err != nil {
		b.g.log.Error("trunks not changed", "error", err)
	}
	if err := b.g.pstn.SetRules(rules); err != nil {
		b.g.log.Error("dial-out rules not changed", "error", err)
	}
	if err := b.g.plan.Reload(ctx); err != nil {
		b.g.log.Error("dial plan not changed", "error", err)
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
	return lines.Checker{Edge: b.g.sip, Clock: b.g.clock, Blind: b.g.sti.Load() == nil}.Check(ctx, t)
}
