package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bridgehead/config"
	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/compose"
	"bridgehead/core/edge"
	"bridgehead/core/ivr"
	"bridgehead/core/ivr/prompts"
	"bridgehead/core/meet"
	"bridgehead/core/rtpio"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/api"
	"bridgehead/gateway/capture"
	"bridgehead/gateway/chat"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/mail"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
	"bridgehead/gateway/synthetic"
	"bridgehead/gateway/telemetry"
	"bridgehead/gateway/web"
	"bridgehead/h323"
	"bridgehead/h323/ras"
	"bridgehead/pstn"
	"bridgehead/sip"
	"bridgehead/sip/bfcp"
	"bridgehead/sip/stir"
	"bridgehead/webrtc"
)

// gateway is the whole: everything is made and joined here, and nowhere else.
type gateway struct {
	cfg      atomic.Pointer[config.Config]
	log      *slog.Logger
	store    *store.Store
	lock     *os.File                                 // of the data directory
	mail     func(context.Context, mail.Letter) error // nil: none is sent
	alerts   *alerts.Teller
	tolls    *dialplan.Tolls
	absent   alerts.Watch // devices
	down     alerts.Watch // trunks
	clock    *clock.Clock
	effort   *effort
	ports    *rtpio.Ports
	cert     *certificate
	sti      atomic.Pointer[x509.CertPool] // who vouches for signers of callers' numbers; nil: none is verified
	book     *records.Book
	guard    *dialplan.Guard
	blocks   *edge.Blocks
	plan     *dialplan.Plan
	composer *compose.Composer // nil: nothing is composed
	hub      *api.Hub
	people   *directory.Book
	chat     *chat.Keeper
	sip      *sip.Edge
	pstn     *pstn.Edge
	webrtc   *webrtc.Edge
	h323     *h323.Edge
	ras      *ras.Gatekeeper // nil: off
	client   *ras.Client     // at an outside gatekeeper; nil: none

	floor     *bfcp.Port // nil: off
	https     net.Listener
	handler   http.Handler
	metrics   *prometheus.Registry
	ready     atomic.Bool
	trunks    *trunkBoard
	synthetic *synthetic.Keeper
	homer     *capture.Exporter // nil: none
	media     answeredCalls
	tracer    *telemetry.Tracer // nil: none
}

// newGateway makes everything and opens every port. Nothing is answered yet.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gateway, error) {
	g := &gateway{log: log, clock: clock.New(log), hub: api.NewHub(), cert: &certificate{}}
	g.cfg.Store(cfg)
	if err := g.open(ctx, cfg); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *gateway) open(ctx context.Context, cfg *config.Config) (err error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := g.cert.load(cfg); err != nil {
		return err
	}
	if err := g.loadSTI(cfg); err != nil {
		return err
	}
	if g.lock, err = lockData(cfg.Data); err != nil {
		return err
	}
	if g.store, err = store.Open(ctx, cfg.Data); err != nil {
		return err
	}
	if err := g.openRooms(ctx, cfg); err != nil {
		return err
	}
	if err := g.openEdges(cfg); err != nil {
		return err
	}
	return g.openAPI(cfg)
}

// openRooms makes what calls can lead to.
func (g *gateway) openRooms(ctx context.Context, cfg *config.Config) error {
	voice, err := ivr.NewVoice(cfg.Language, filepath.Join(cfg.Data, "prompts"))
	if err != nil {
		return err
	}
	g.effort = newEffort(cfg.Limits.CPU, g.log)
	g.guard = dialplan.NewGuard(cfg.Passcode.Tries, cfg.Passcode.Meeting, cfg.Passcode.WindowDuration())
	g.blocks = edge.NewBlocks(g.blocking(cfg))
	g.tolls = dialplan.NewTolls(cfg.PSTN.PerHour, cfg.PSTN.ToCountry, func(a dialplan.TollAlarm) { go g.tollAlarm(a) }) // a refused call does not wait for the database
	placed, err := g.store.CallsOut(ctx, time.Now().Add(-dialplan.TollWindow))
	if err != nil {
		return err
	}
	g.tolls.Resume(placed)
	g.book = records.New(g.store, g.log)
	g.metrics = prometheus.NewRegistry()
	letters, err := mail.New(mail.Options{Server: cfg.Mail.Server, Security: cfg.Mail.Security, User: cfg.Mail.User, Password: cfg.Mail.Password, From: cfg.Mail.From, Host: cfg.Domain})
	if err != nil {
		return err
	}
	g.mail = letters.Func()
	g.alerts = alerts.New(alerts.Options{Settings: func(ctx context.Context) (alerts.Settings, error) { return alerts.Load(ctx, g.store) },
		Event: func(a alerts.Alert) { g.hub.Send(api.Event{Topic: a.Kind, Data: a}) }, Mail: g.mail, Metrics: g.metrics, Log: g.log})
	ended := g.newCallMetrics(g.metrics)
	if cfg.Telemetry.OTLP != "" {
		if g.tracer, err = telemetry.New(telemetry.Options{Endpoint: cfg.Telemetry.OTLP, Version: version, Log: g.log}); err != nil {
			return fmt.Errorf("telemetry.otlp_endpoint: %w", err)
		}
		g.book.TraceID = telemetry.TraceID
	}
	g.book.Sampled = g.heard
	g.book.Notify = func(c store.Call) {
		ended.take(c)
		if g.tracer != nil {
			g.tracer.Take(c)
		}
		g.hub.Send(api.Event{Topic: "call", Data: c})
	}
	g.people = &directory.Book{Store: g.store, Hosts: func() directory.Hosts {
		at := g.places()
		return directory.Hosts{SIPS: at.SIPS, H323: at.H323}
	}, Registrations: g.registeredDevices, Notify: g.cameOrWent}
	g.hub.Attended = g.people.Attended
	g.chat = chat.New(g.store, g.log)
	g.chat.Notify = func(m store.Message, readers []string) { g.hub.Send(api.Event{Topic: "message", To: readers, Data: m}) }
	if err := g.chat.Load(ctx); err != nil {
		return err
	}
	g.composer = newComposer(cfg, g.log)
	g.plan = dialplan.New(dialplan.Options{Store: g.store, Clock: g.clock, Voice: voice, Composer: g.composer, Layout: compose.Layout(cfg.Video.Layout),
		Voices: g.voices(cfg), Home: g.home, Guard: g.guard, Blocks: g.blocks, Book: g.book, Tolls: g.tolls, Admit: g.effort.admit, Chat: g.chat, Notify: g.changed, Typed: g.typed, Log: g.log})
	return nil
}

// blocking is when sources are blocked, by the configuration.
func (g *gateway) blocking(cfg *config.Config) edge.BlockOptions {
	b := cfg.Block
	return edge.BlockOptions{Strikes: b.Strikes, Window: time.Duration(b.Window) * time.Second, Length: time.Duration(b.Length) * time.Second, Allow: b.Prefixes(), Log: g.log,
		Notify: func(b edge.Block) { g.hub.Send(api.Event{Topic: "block", Data: b}) }}
}

// home is what calls to telephones are subject to, by the configuration.
func (g *gateway) home() dialplan.Home { return homeOf(g.cfg.Load()) }

func homeOf(cfg *config.Config) dialplan.Home {
	return dialplan.Home{Country: cfg.PSTN.Country, Countries: cfg.PSTN.Countries, Enum: cfg.PSTN.Enum}
}

// voices speak the languages of telephone numbers; each is read when it is first
// needed.
func (g *gateway) voices(cfg *config.Config) func(string) *ivr.Voice {
	all := map[string]func() *ivr.Voice{}
	for _, language := range prompts.Languages() {
		all[language] = sync.OnceValue(func() *ivr.Voice {
			v, err := ivr.NewVoice(language, filepath.Join(cfg.Data, "prompts"))
			if err != nil {
				g.log.Error("prompts not read", "language", language, "error", err)
			}
			return v
		})
	}
	return func(language string) *ivr.Voice {
		if read := all[language]; read != nil {
			return read()
		}
		return nil
	}
}

func address(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

// advertised is the address told to peers, as far as it is configured.
func advertised(cfg *config.Config) (list []netip.Addr) {
	if a := address(cfg.RTP.Advertise); a.IsValid() {
		list = append(list, a)
	}
	return list
}

// openEdges opens the ports of every protocol.
func (g *gateway) openEdges(cfg *config.Config) (err error) {
	if cfg.Homer.Server != "" {
		if g.homer, err = capture.NewExporter(cfg.Homer.Server, uint32(cfg.Homer.Agent), g.log); err != nil {
			return fmt.Errorf("homer.server: %w", err)
		}
	}
	first, last := cfg.RTPPorts()
	if g.ports, err = rtpio.New(rtpio.Options{Bind: address(cfg.RTP.Bind), First: first, Last: last, Share: cfg.RTP.Share, Log: g.log}); err != nil {
		return err
	}
	for _, p := range g.ports.Pollers() {
		g.clock.Read(p)
	}
	for _, s := range g.ports.Senders() {
		g.clock.Send(s)
	}
	if cfg.Listen.BFCP != "" {
		if g.floor, err = bfcp.Listen(cfg.Listen.BFCP, g.log); err != nil {
			return err
		}
	}
	g.sip, err = sip.New(sip.Options{
		SIPS: cfg.Listen.SIPS, SIP: cfg.Listen.SIP, TLS: func() *tls.Config { return g.cert.config() }, Legacy: cfg.SIP.Legacy,
		Domain: cfg.Domain, Advertise: address(cfg.RTP.Advertise), Ports: g.ports, Floor: g.floor, Lines: cfg.Video.Lines, Devices: devices{g.store},
		Stir: &stir.Verifier{Roots: g.sti.Load, Fetch: stir.NewFetcher(stir.FetchOptions{Allow: cfg.Stir.Prefixes()}).Get}, Owned: g.owns,
		MaxCalls: cfg.Limits.Calls, CallsPerSource: cfg.Limits.CallsPerSrc, SetupsPerSource: cfg.Limits.SetupsPerSrc, Blocks: g.blocks,
		MediaTimeout: time.Duration(cfg.Limits.MediaTimeout) * time.Second, HoldTimeout: time.Duration(cfg.Limits.HoldTimeout) * time.Second,
		Trace: g.trace, Log: g.log,
	})
	if err != nil {
		return err
	}
	if err := g.sip.Listen(); err != nil {
		return err
	}
	g.pstn = pstn.New(pstn.Options{Log: g.log, Resolver: sip.DNS(), Direct: g.sip, Lines: func(name string) (pstn.Line, bool) { return g.sip.Line(name) }})
	if err := g.openH323(cfg); err != nil {
		return err
	}
	g.plan.Present = g.people.Registered
	g.plan.Dialer(g.sip, "sip", "sips")
	g.plan.Dialer(g.h323, "h323")
	g.plan.Telephone(g.pstn)
	if cfg.Listen.WebRTC == "" {
		return nil
	}
	g.webrtc, err = webrtc.New(webrtc.Options{
		Listen: cfg.Listen.WebRTC, ListenTCP: cfg.Listen.WebRTCTCP, TURN: cfg.Listen.TURN, TURNS: cfg.Listen.TURNS, TLS: g.cert.config(),
		Advertise: advertised(cfg), Origins: cfg.WebRTC.Origins, PublicHost: cfg.Domain, MaxLegs: cfg.Limits.Calls,
		MaxPerSource: cfg.Limits.CallsPerSrc, Trace: g.trace, Log: g.log,
		Cookie: api.Cookie, Authenticate: func(ctx context.Context, token string) (string, error) {
			u, err := g.store.Authenticate(ctx, token)
			return u.ID, err
		},
	})
	return err
}

// openAPI opens the HTTPS port.
func (g *gateway) openAPI(cfg *config.Config) (err error) {
	g.trunks = &trunkBoard{g: g}
	g.synthetic = synthetic.New(synthetic.Options{Store: g.store, Clock: g.clock, Book: g.book, Call: g.plan.CallOwn, Told: g.calledSynthetically, Log: g.log})
	var signalling http.Handler
	if g.webrtc != nil {
		signalling = g.webrtc.Handler()
	}
	g.register(g.metrics)
	g.handler = api.New(api.Options{
		Store: g.store, Plan: g.plan, Guard: g.guard, Blocks: g.blocks, Book: g.book, Hub: g.hub, Directory: g.people, Chat: g.chat, Health: g.health, Registrations: g.registrations,
		RevokeDevice: g.revoke, RevokeUser: g.revokeUser, TrunksChanged: g.trunks.load, TrunkState: g.trunks.state, CheckTrunk: g.trunks.check, CallSynthetically: g.synthetic.Call, Reached: g.places, Network: g.network, Mail: g.mail, Alerts: g.alerts, Domain: func() string { return g.cfg.Load().Domain },
		SignUp: func() api.Addresses { return g.cfg.Load().SignUp }, MetricsOpenTo: func() []netip.Prefix { return g.cfg.Load().Metrics.Prefixes() },
		Signalling: signalling, Web: web.Files(), Metrics: g.metrics, Log: g.log,
	})
	if cfg.Listen.HTTPS == "" {
		return nil
	}
	if g.https, err = net.Listen("tcp", cfg.Listen.HTTPS); err != nil {
		return fmt.Errorf("listen.https: %w", err)
	}
	return nil
}

// run answers calls until ctx ends.
func (g *gateway) run(ctx context.Context, out io.Writer) error {
	defer g.close()
	cfg := g.cfg.Load()
	if err := errors.Join(g.store.CloseOpenCalls(ctx), g.store.CloseOpenStays(ctx)); err != nil {
		return err
	}
	g.trunks.load()
	at := g.addresses()
	if err := firstRun(ctx, g.store, cfg.Data, at, out); err != nil {
		return err
	}
	var names []string
	for name := range at {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		g.log.Info("listening", "on", name, "address", at[name])
	}
	if err := at.write(cfg.Data); err != nil {
		return fmt.Errorf("addresses.json: %w", err)
	}
	return g.serve(ctx)
}

// serve runs every part; the first that fails ends all.
func (g *gateway) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts, behind sync.WaitGroup
	part := func(name string, f func(context.Context) error) {
		parts.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	late, stop := context.WithCancel(context.WithoutCancel(ctx)) // media and records go on while calls are ended
	defer stop()
	behind.Go(func() {
		if err := g.clock.Run(late); err != nil {
			cancel(err)
		}
	})
	behind.Go(func() { g.book.Run(late) })
	behind.Go(func() { g.book.Follow(late) })
	behind.Go(func() { trimMemory(late, g.clock.Idle) })
	behind.Go(func() { g.effort.watch(late) })
	behind.Go(func() { g.people.Run(late) })
	behind.Go(func() { g.chat.Run(late) })
	behind.Go(func() { g.alerts.Run(late) })
	if g.tracer != nil {
		behind.Go(func() { g.tracer.Run(late) })
	}
	if g.composer != nil {
		behind.Go(func() { g.composer.Run(late) })
	}
	edges := []core.Edge{g.sip, g.pstn, g.h323}
	if g.webrtc != nil {
		edges = append(edges, g.webrtc)
	}
	edgeCtx, stopEdges := context.WithCancel(late)
	defer stopEdges()
	for _, e := range edges {
		parts.Go(func() {
			if err := e.Serve(edgeCtx, g.plan); err != nil && edgeCtx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", e.Name(), err))
			}
		})
	}
	part("https", g.serveHTTPS)
	part("ras", g.serveRAS)
	part("housekeeping", g.housekeep)
	part("synthetic callers", g.synthetic.Run)
	g.ready.Store(true)
	<-ctx.Done()
	g.ready.Store(false)
	g.plan.Live.Shutdown()
	time.Sleep(farewell) // for BYE and close messages to go out
	stopEdges()
	parts.Wait()
	stop()
	behind.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// farewell is the time that calls have to be ended in order at shutdown.
const farewell = 300 * time.Millisecond

func (g *gateway) serveHTTPS(ctx context.Context) error {
	if g.https == nil {
		return nil
	}
	s := api.Server(g.handler, g.cert.config("h2", "http/1.1"), g.log)
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.ServeTLS(api.Listener(g.https, g.blocks), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// changed passes on what happens in meetings.
func (g *gateway) changed(c meet.Change) {
	topic := "participant"
	if c.Party.ID == "" {
		topic = "meeting"
	}
	g.hub.Send(api.Event{Topic: topic, Owner: c.Owner, Data: c})
	g.people.Changed(c)
	g.chat.Changed(c)
}

// typed tells superusers what a caller types at the reception.
func (g *gateway) typed(leg core.Leg, question, answer, via string) {
	g.hub.Send(api.Event{Topic: "typed", Data: api.Typed{Call: leg.Info().ID, Question: question, Answer: answer, Via: via}})
}

// cameOrWent tells of who can be called: everybody, or one account alone.
func (g *gateway) cameOrWent(e directory.Entry, only string) {
	event := api.Event{Topic: "registrations", All: only == "", Data: e}
	if only != "" {
		event.To = []string{only}
	}
	g.hub.Send(event)
}

// reload takes up a new configuration, as far as calls need not be dropped.
func (g *gateway) reload(_ context.Context, cfg *config.Config) error {
	old := g.cfg.Load()
	if err := errors.Join(g.cert.load(cfg), g.loadSTI(cfg)); err != nil {
		return err
	}
	g.cfg.Store(cfg)
	g.guard.Set(cfg.Passcode.Tries, cfg.Passcode.Meeting, cfg.Passcode.WindowDuration())
	g.tolls.Set(cfg.PSTN.PerHour, cfg.PSTN.ToCountry)
	g.blocks.Set(g.blocking(cfg))
	g.trunks.load()
	if keys := needRestart(old, cfg); len(keys) > 0 {
		g.log.Warn("some changes take effect at the next restart", "keys", keys)
	}
	return nil
}

func (g *gateway) health() []string {
	if !g.ready.Load() {
		return []string{"starting or stopping"}
	}
	return nil
}

// addresses lists where everything really listens.
func (g *gateway) addresses() addresses {
	at := addresses{}
	if g.https != nil {
		at["https"] = g.https.Addr().String()
	}
	for name, a := range g.sip.Addresses() {
		at[name] = a.String()
	}
	for name, a := range g.h323.Addresses() {
		at[name] = a.String()
	}
	if g.ras != nil {
		at["ras"] = g.ras.Addr().String()
	}
	if g.floor != nil {
		at["bfcp"] = g.floor.Addr().String()
	}
	if g.webrtc != nil {
		for name, a := range g.webrtc.Addresses() {
			at[name] = a
		}
	}
	return at
}

func (g *gateway) registrations() (list []api.Registration) {
	for _, r := range g.sip.Registrations() {
		list = append(list, api.Registration{User: r.User, Contact: r.Contact, Protocol: "sip", Source: r.Source.String(), Expires: r.Expires})
	}
	if g.ras == nil {
		return list
	}
	for _, r := range g.ras.Registrations() {
		list = append(list, api.Registration{User: r.User, Contact: r.CallSignal.String(), Protocol: "h323", Source: r.Peer.Addr.String(), Expires: r.Expires})
	}
	return list
}

func (g *gateway) registeredDevices() (users []string) {
	for _, r := range g.registrations() {
		users = append(users, r.User)
	}
	return users
}

// revoke ends a device's registrations and calls at once.
func (g *gateway) revoke(user string) {
	g.sip.Revoke(user)
	if g.ras != nil {
		g.ras.Revoke(user)
	}
	g.h323.Drop(user)
}

// revokeUser ends the calls of an account at once.
func (g *gateway) revokeUser(id string) {
	if g.webrtc != nil {
		g.webrtc.Revoke(id)
	}
}

func (g *gateway) close() {
	if g.https != nil {
		g.https.Close()
	}
	if g.sip != nil {
		g.sip.Close()
	}
	if g.floor != nil {
		g.floor.Close()
	}
	if g.h323 != nil {
		g.h323.Close()
	}
	if g.ras != nil {
		g.ras.Close()
	}
	if g.homer != nil {
		g.homer.Close()
	}
	if g.store != nil {
		g.store.Close()
	}
	_ = os.Remove(filepath.Join(g.cfg.Load().Data, "addresses.json"))
	if g.lock != nil {
		g.lock.Close()
	}
}
