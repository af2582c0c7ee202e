// Package api is the HTTP side of the gateway: the JSON API with its OpenAPI
// description, events, metrics and health; it also serves the web client and
// leads browsers' signalling to the WebRTC edge. Errors are RFC 9457 problem
// details.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/chat"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/invite"
	"bridgehead/gateway/lines"
	"bridgehead/gateway/mail"
	"bridgehead/gateway/network"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// Registration is a live registration of a device.
type Registration struct {
	User     string    `json:"user"`
	Contact  string    `json:"contact"`
	Protocol string    `json:"protocol"`
	Source   string    `json:"source"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
}

// TrunkState is how a trunk is doing.
type TrunkState struct {
	State  string `json:"state"` // up, down, registered, unknown, disabled
	Detail string `json:"detail,omitempty"`
	Calls  int    `json:"calls"`
}

// CheckLine is one line of a trunk check.
type CheckLine = lines.CheckLine

// Options of [New].
type Options struct {
	Store *store.Store
	Plan  *dialplan.Plan
	Guard *dialplan.Guard
	// Blocks are the sources that are dropped; nil: none are.
	Blocks *edge.Blocks
	Book   *records.Book
	Hub    *Hub
	// Directory is who can be called.
	Directory *directory.Book
	Chat      *chat.Keeper
	// Health tells what is not up yet; nothing when all is.
	Health func() []string
	// Registrations and RevokeDevice reach the registrars.
	Registrations func() []Registration
	RevokeDevice  func(user string)
	// RevokeUser ends the calls of an account that is no more.
	RevokeUser func(id string)
	// TrunksChanged is called when trunks or numbers were changed.
	TrunksChanged func()
	TrunkState    func(name string) TrunkState
	CheckTrunk    func(ctx context.Context, t store.Trunk) []CheckLine
	// CallSynthetically has the synthetic caller of a number call now.
	CallSynthetically func(ctx context.Context, number string) (store.SyntheticCall, error)
	// Signalling serves browsers on /ws and WHIP on /whip/.
	Signalling http.Handler
	Web        fs.FS
	Metrics    prometheus.Gatherer
	// Reached tells where guests reach this gateway.
	Reached func() invite.Places
	// Mail sends a letter; nil: there is no mail server.
	Mail func(context.Context, mail.Letter) error
	// Alerts tells operators what needs them.
	Alerts *alerts.Teller
	// Network tells what clients need.
	Network func() network.Plan
	// Domain is the configured host name; empty or nil: any.
	Domain func() string
	// SignUp tells who may sign up; nil: nobody.
	SignUp func() Addresses
	// MetricsOpenTo are the networks that need no token for the metrics; nil: none.
	MetricsOpenTo func() []netip.Prefix
	Log           *slog.Logger
}

// server carries out the operations.
type server struct {
	Options
	logins    *dialplan.Guard // wrong passwords and passkeys
	questions *dialplan.Guard // to passkeys of strangers
	signing   *dialplan.Guard // up
	asked     challenges
	lettersMu sync.Mutex
	letters   edge.Keyed[string] // invitations by mail, of accounts
	rings     ringing
}

// New makes the handler of the whole HTTPS listener.
func New(o Options) http.Handler { return newServer(o).handler() }

func newServer(o Options) *server {
	s := &server{Options: o, logins: dialplan.NewGuard(wrongPerSource, wrongPerAccount, wrongWindow),
		signing:   dialplan.NewGuard(signUpsPerSource, signUpsPerSource, signUpWindow),
		questions: dialplan.NewGuard(questionsPerSource, questionsPerSource, questionWindow), asked: challenges{open: map[string]challenge{}}, letters: edge.Keyed[string]{}}
	if s.Domain == nil {
		s.Domain = func() string { return "" }
	}
	if s.SignUp == nil {
		s.SignUp = func() Addresses { return nobody{} }
	}
	if s.MetricsOpenTo == nil {
		s.MetricsOpenTo = func() []netip.Prefix { return nil }
	}
	return s
}

// operations registers those of the API, and describes it.
func (s *server) operations(mux *http.ServeMux) huma.API {
	config := huma.DefaultConfig("Bridgehead", "1")
	config.Info.Description = about
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/api/v1/openapi", "", ""
	config.CreateHooks, config.OnAddOperation = nil, []huma.AddOpFunc{illustrate}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "A token from POST /api/v1/login or `bridgehead token add`."},
	}
	api := humago.New(mux, config)
	api.UseMiddleware(s.authenticate(api), s.audit)
	s.people(api)
	s.passkeys(api)
	s.groups(api)
	s.meetings(api)
	s.moderation(api)
	s.calendars(api)
	s.calls(api)
	s.callFiles(api)
	s.reports(api)
	s.telephony(api)
	s.blocks(api)
	describeBeside(api)
	s.auditLog(api)
	s.directory(api)
	s.ring(api)
	s.chat(api)
	s.settings(api)
	s.brands(api)
	s.network(api)
	return api
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	s.operations(mux)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /api/v1/events", s.events)
	mux.Handle("GET /metrics", s.metrics(promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})))
	if s.Signalling != nil {
		mux.Handle("/ws", s.Signalling)
		mux.Handle("/whip/", s.Signalling)
		mux.Handle("/whep/", s.Signalling)
	}
	mux.Handle("/", static(s.Web))
	return guarded(http.NewCrossOriginProtection().Handler(mux))
}

// guarded sets the headers that keep the pages of the gateway its own.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; connect-src 'self' wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if r.Body != nil && !strings.HasPrefix(r.URL.Path, "/ws") {
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		}
		next.ServeHTTP(w, r)
	})
}

// Server is an HTTP server with time-outs that idle and slow clients cannot
// exhaust.
func Server(h http.Handler, tlsConfig *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, TLSConfig: tlsConfig, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if missing := s.Health(); len(missing) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(strings.Join(missing, "\n") + "\n"))
		return
	}
	w.Write([]byte("ok\n"))
}

// metrics are for superusers, and for who asks from where none is needed.
func (s *server) metrics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		open := slices.ContainsFunc(s.MetricsOpenTo(), func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
		if user, err := s.signedIn(r.Context(), r.Header.Get("Authorization"), r.Header.Get("Cookie")); !open && err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "Send a superuser's token, or open metrics.open_to.")
		} else if !open && !allowed(user.Role, store.RoleSuperuser) {
			problem(w, http.StatusForbidden, "Your role does not allow this.")
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

// static serves the web client; paths without a file are its own pages.
func static(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if strings.HasPrefix(name, "api/") || r.Method != http.MethodGet && r.Method != http.MethodHead {
			problem(w, http.StatusNotFound, "There is nothing here.")
			return
		}
		if f, err := fs.Stat(files, name); name == "" || err != nil || f.IsDir() {
			if strings.HasPrefix(name, "assets/") {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, files, "index.html")
			return
		}
		if strings.HasPrefix(name, "assets/") { // named by their content
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		server.ServeHTTP(w, r)
	})
}

// fail translates an error to a problem.
func fail(err error) error {
	var status huma.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return err
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("There is nothing by this name.")
	case errors.Is(err, store.ErrExists):
		return huma.Error409Conflict("This name or number is taken already.")
	case errors.Is(err, store.ErrBusy):
		return later(huma.Error503ServiceUnavailable("Too many passwords are being checked right now. Try again."), 2*time.Second)
	case errors.Is(err, store.ErrMembers):
		return huma.Error409Conflict("A conversation has at most 100 members.")
	case errors.Is(err, store.ErrLastAdministrator):
		return huma.Error409Conflict("This is the last administrator; make another one first.")
	}
	r := core.ReasonOf(err)
	text := r.Say
	if text == "" {
		text = "That did not work."
	}
	switch r.Code {
	case core.NotFound:
		return huma.Error404NotFound(text)
	case core.Forbidden, core.Unauthorized:
		return huma.Error403Forbidden(text)
	case core.Incompatible:
		return huma.Error422UnprocessableEntity(text)
	case core.Busy, core.Full, core.Locked:
		return huma.Error409Conflict(text)
	case core.Unreachable, core.NoAnswer:
		return huma.Error502BadGateway(text)
	case core.Throttled:
		return huma.Error429TooManyRequests(text)
	case core.Overload, core.Shutdown:
		return huma.Error503ServiceUnavailable(text)
	}
	slog.Error("API operation failed", "error", err)
	return huma.Error500InternalServerError(text)
}
