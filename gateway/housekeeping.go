package main

import (
	"context"
	"errors"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/mail"
	"bridgehead/gateway/store"
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
			g.alert(ctx)
			g.blocks.List() // those that are over end
		case <-purge.C:
			g.purge(ctx, time.Now())
		}
	}
}

// alert tells operators of devices that have gone or come back: superusers by an
// event, and whom the settings name by mail.
func (g *gateway) alert(ctx context.Context) {
	exists := func(user string) bool { _, err := g.store.Device(ctx, user); return err == nil }
	for _, a := range g.absent.Step(time.Now(), g.registeredDevices(), exists) {
		g.log.Warn("device "+a.What, "device", a.Device)
		g.hub.Send(api.Event{Topic: "device", Data: a})
		g.write(ctx, "Device "+a.Device+": "+a.What, a.Text())
	}
}

// tollAlarm tells operators of a limit of calls to telephones, likewise.
func (g *gateway) tollAlarm(a dialplan.TollAlarm) {
	go func() { // the call that is refused does not wait for it
		ctx := context.Background()
		if u, err := g.store.User(ctx, a.Account); err == nil {
			a.Account = u.Email
		}
		g.log.Warn("calls to telephones are refused", "account", a.Account, "country", a.Country, "calls", a.Calls)
		g.hub.Send(api.Event{Topic: "toll", Data: a})
		g.write(ctx, "Calls to telephones are refused", a.Text())
	}()
}

// write sends a letter to whom the settings name. A slow server of mail holds up
// nothing else.
func (g *gateway) write(ctx context.Context, subject, text string) {
	set := alerts.Recipients{}
	if err := g.store.Setting(ctx, alerts.Key, &set); err != nil || len(set.Mail) == 0 || g.mail == nil {
		return
	}
	go func() {
		if err := g.mail(ctx, mail.Letter{To: set.Mail, Subject: subject, Text: text + "\n"}); err != nil {
			g.log.Error("alert not sent", "subject", subject, "error", err)
		}
	}()
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
		g.store.PurgeChat(ctx, now.AddDate(0, 0, -g.cfg.Load().Chat.Retention)))
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
