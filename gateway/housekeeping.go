package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
	"bridgehead/gateway/synthetic"
)

// housekeep notices what the command line changed in the database, and deletes
// what has been kept long enough.
func (g *gateway) housekeep(ctx context.Context) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	purge := time.NewTicker(time.Hour)
	defer purge.Stop()
	long := time.NewTicker(10 * time.Second)
	defer long.Stop()
	seen, _ := g.store.Version(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if v, err := g.store.Version(ctx); err == nil && v != seen {
				seen = v
				g.changedOutside(ctx)
				g.hub.Send(api.Event{Topic: "configured", Data: map[string]int64{"version": v}})
			}
		case <-long.C:
			g.plan.Live.EndLong(time.Duration(g.cfg.Load().Limits.MaxCallMinute) * time.Minute)
			g.book.Sweep(2 * time.Minute) // longer than anybody is let ring
			g.lookAround(ctx, time.Now())
			g.blocks.List() // those that are over end
		case <-purge.C:
			g.purge(ctx, time.Now())
		}
	}
}

// lookAround tells operators of devices and trunks that have gone or come back.
func (g *gateway) lookAround(ctx context.Context, now time.Time) {
	exists := func(user string) bool { _, err := g.store.Device(ctx, user); return err == nil }
	for _, c := range g.absent.Step(now, g.registeredDevices(), exists) {
		g.alerts.Tell(alerts.OfDevice(c))
	}
	enabled, working := map[string]string{}, []string{}
	for _, t := range g.sip.Trunks() {
		enabled[t.Name] = t.Error
		g.down.Expect(now, t.Name)
		if t.Working {
			working = append(working, t.Name)
		}
	}
	for _, c := range g.down.Step(now, working, func(name string) bool { _, is := enabled[name]; return is }) {
		g.alerts.Tell(alerts.OfTrunk(c, enabled[c.Name]))
	}
}

// tollAlarm tells operators of a limit of calls to telephones.
func (g *gateway) tollAlarm(a dialplan.TollAlarm) {
	if u, err := g.store.User(context.Background(), a.Account); err == nil {
		a.Account = u.Email
	}
	g.alerts.Tell(alerts.Alert{Kind: alerts.Toll, What: "limit", Name: cmp.Or(a.Account, a.Country), Title: "Calls to telephones are refused", Text: a.Text(), At: a.At})
}

// calledSynthetically tells of a synthetic call: superusers of each, and whom
// alerts concern when it went otherwise than the one before.
func (g *gateway) calledSynthetically(c store.SyntheticCall, news bool) {
	g.hub.Send(api.Event{Topic: "synthetic", Data: c})
	if news {
		g.alerts.Tell(alerts.OfNumber(c.Number, c.OK, synthetic.Text(c), c.At))
	}
}

// What is kept for how many days: the audit log, and sign-ups that nobody
// approves.
const auditDays, signUpDays = 30, 30

// mostTraces bounds the calls whose signalling is kept, whatever the days: a
// flood of attempts is not to fill the disk.
const mostTraces = 50_000

func (g *gateway) purge(ctx context.Context, now time.Time) {
	keep := g.cfg.Load().Records
	err := errors.Join(g.store.PurgeCalls(ctx, now.AddDate(0, 0, -keep.Days)), g.store.PurgeTraces(ctx, now.AddDate(0, 0, -keep.TraceDays), mostTraces), g.store.PurgeActs(ctx, now.AddDate(0, 0, -auditDays)),
		g.store.PurgeTokens(ctx), g.store.PurgeSignUps(ctx, now.AddDate(0, 0, -signUpDays)),
		g.store.PurgeSyntheticCalls(ctx, now.AddDate(0, 0, -keep.Days)), g.store.PurgeChat(ctx, now.AddDate(0, 0, -g.cfg.Load().Chat.Retention)))
	if err = errors.Join(err, g.store.Forget(ctx)); err != nil {
		g.log.Error("old records not deleted", "error", err)
	}
}

// changedOutside takes up changes that another process made.
func (g *gateway) changedOutside(ctx context.Context) {
	g.trunks.load()
	if err := g.chat.Load(ctx); err != nil {
		g.log.Error("settings of chat not read", "error", err)
	}
	for _, r := range g.registrations() {
		if r.User == "" {
			continue // of a legacy listener: no device's
		}
		if _, err := g.store.Device(ctx, r.User); errors.Is(err, store.ErrNotFound) {
			g.revoke(r.User)
		}
	}
	if g.webrtc != nil {
		for _, id := range g.webrtc.Users() {
			if u, err := g.store.User(ctx, id); errors.Is(err, store.ErrNotFound) || u.Disabled {
				g.webrtc.Revoke(id)
			}
		}
	}
	for _, m := range g.plan.Live.All() {
		kept, err := g.store.Meeting(ctx, m.Name())
		if errors.Is(err, store.ErrNotFound) {
			m.End(core.Reason{Code: core.Ended, Say: "This meeting has been deleted.", Detail: "deleted from the command line"})
		} else if err == nil {
			g.plan.Live.Update(kept)
		}
	}
}
