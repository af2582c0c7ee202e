package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"bridgehead/gateway/api"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
	"bridgehead/sip"
)

// trunkBoard gives the edges the trunks and numbers that are kept.
type trunkBoard struct {
	g  *gateway
	mu sync.Mutex // one load at a time
	// insecure is one profile for all trunks that ask for it, so that the edge
	// sees that a trunk has not changed.
	insecure *tls.Config
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
	var lines []sip.TrunkConfig
	for _, t := range trunks {
		lines = append(lines, b.line(t))
	}
	if err := b.g.sip.SetTrunks(lines); err != nil {
		b.g.log.Error("trunks not changed", "error", err)
	}
	if err := b.g.pstn.SetRules(dialplan.Telephone(b.g.home(), trunks, numbers)); err != nil {
		b.g.log.Error("dial-out rules not changed", "error", err)
	}
	if err := b.g.plan.Reload(ctx); err != nil {
		b.g.log.Error("dial plan not changed", "error", err)
	}
}

// line turns a trunk as it is kept into one of the SIP edge.
func (b *trunkBoard) line(t store.Trunk) sip.TrunkConfig {
	host, port := t.Host, 0
	if h, p, err := net.SplitHostPort(t.Host); err == nil {
		host = h
		port, _ = strconv.Atoi(p)
	}
	c := sip.TrunkConfig{Name: t.Name, Enabled: t.Enabled, Mode: sip.Mode(t.Mode), Transport: t.Transport, Host: host, Port: port,
		User: t.Username, Password: t.Password, Realm: t.Realm, Media: t.MediaEncryption, Codecs: t.Codecs, MaxCalls: t.MaxChannels,
		CallsPerSecond: float64(t.CallsPerSecond), Version: fmt.Sprint(t.Country, t.Strip, t.Prefix)}
	if t.Host == "" {
		c.Check = -1 // calls come in only: there is nobody to ask
	}
	for _, s := range t.Source {
		if p, err := netip.ParsePrefix(s); err == nil {
			c.Sources = append(c.Sources, p)
		}
	}
	if t.Insecure {
		if b.insecure == nil {
			b.insecure = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
		}
		c.TLS = b.insecure
	}
	country := cmp.Or(t.Country, b.g.cfg.Load().PSTN.Country)
	c.NumberIn = func(n string) string {
		if e164, err := pstn.Normalize(n, country); err == nil {
			return e164
		}
		return n
	}
	if t.Strip > 0 || t.Prefix != "" {
		c.NumberOut = func(n string) string { return t.Prefix + n[min(t.Strip, len(n)):] }
	}
	return c
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

// check tries a trunk step by step, from name to answer, on a SIP edge of its
// own, so that one that is not enabled can be tried too.
func (b *trunkBoard) check(ctx context.Context, t store.Trunk) (lines []api.CheckLine) {
	note := func(what string, err error, ok, remedy string) bool {
		l := api.CheckLine{What: what, OK: err == nil, Detail: ok}
		if err != nil {
			l.Detail, l.Remedy = err.Error(), remedy
		}
		lines = append(lines, l)
		return err == nil
	}
	if len(t.Source) == 0 && t.Mode == "static" {
		lines = append(lines, api.CheckLine{What: "sources", OK: t.Host != "", Detail: "no network is listed, so no call can come in", Remedy: "List the carrier's networks in source."})
	}
	if t.Host == "" {
		lines = append(lines, api.CheckLine{What: "host", OK: true, Detail: "none is set: calls come in only"})
		return lines
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	line := b.line(t)
	if _, err := netip.ParseAddr(line.Host); err != nil {
		addrs, err := net.DefaultResolver.LookupHost(ctx, line.Host)
		if !note("name", err, strings.Join(addrs, ", "), "Check the host name and this machine's DNS servers.") {
			return lines
		}
	}
	edge, err := sip.New(sip.Options{Legacy: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		note("SIP", err, "", "See the log.")
		return lines
	}
	defer edge.Close()
	go func() { _ = edge.Serve(ctx, nobody{}) }()
	line.Enabled, line.Check = true, -1
	if err := edge.SetTrunks([]sip.TrunkConfig{line}); err != nil {
		note("settings", err, "", "Correct the setting that is named.")
		return lines
	}
	status, err := edge.CheckTrunk(ctx, t.Name)
	note("OPTIONS", err, fmt.Sprintf("answered %d after %d ms", status.Status, status.RTT.Milliseconds()),
		"Check host, port and transport, the firewall between, and for TLS the certificate and its name.")
	if t.Mode == "static" {
		return lines
	}
	for wait := 0; wait < 50 && !status.Registered && status.Error == "" && ctx.Err() == nil; wait++ {
		time.Sleep(100 * time.Millisecond)
		if all := edge.Trunks(); len(all) == 1 {
			status = all[0]
		}
	}
	if !status.Registered {
		err = fmt.Errorf("not registered: %s", cmp.Or(status.Error, "no answer"))
	}
	note("REGISTER", err, "registered", "Check username, password and realm with the carrier.")
	return lines
}
