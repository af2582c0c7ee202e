package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
)

// Caller is who sends a request, as far as sign-in goes by it.
type Caller struct {
	remote                        netip.AddrPort
	host, agent                   string
	authorization, cookies, token string
}

// Resolve implements huma.Resolver.
func (c *Caller) Resolve(ctx huma.Context) []error {
	c.remote, _ = netip.ParseAddrPort(ctx.RemoteAddr())
	c.host, c.agent = ctx.Host(), ctx.Header("User-Agent")
	c.authorization, c.cookies = ctx.Header("Authorization"), ctx.Header("Cookie")
	c.token = tokenOf(c.authorization, c.cookies)
	return nil
}

// source is what wrong passwords count against.
func (c *Caller) source() string { return dialplan.Source(core.Info{Source: c.remote.Addr()}) }

// cookie is the value of a cookie, empty if there is none.
func (c *Caller) cookie(name string) string {
	jar, _ := http.ParseCookie(c.cookies)
	for _, k := range jar {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

// Wrong passwords within the window: those from one source, after which it is
// refused, and those for one account from all sources, after which it takes
// none but from browsers that are known to it.
const (
	wrongPerSource  = 20
	wrongPerAccount = 50
	wrongWindow     = 10 * time.Minute
)

// later is a refusal that says when to try again.
func later(err error, wait time.Duration) error {
	return huma.ErrorWithHeaders(err, http.Header{"Retry-After": {strconv.Itoa(int(wait.Seconds()))}})
}

var errPassword = huma.Error401Unauthorized("E-mail address or password is wrong.")

// password finds whom e-mail address and password belong to. What it answers,
// counts and takes in time is the same for accounts that are not there.
func (s *server) password(ctx context.Context, c *Caller, email, password string) (store.User, error) {
	name := sha256.Sum256([]byte(strings.ToLower(email))) // no addresses in memory, and short
	source, target := c.source(), "account "+string(name[:16])
	u, _ := s.Store.User(ctx, email)
	if id, known := s.Store.Known(u.ID, c.known); known && u.ID != "" {
		source, target = "browser "+id, "" // others' guesses do not keep it out
	}
	if s.logins.Try(source, target) != nil {
		s.struck(c, source, edge.Flood)
		return u, later(huma.Error429TooManyRequests("Too many wrong passwords. Try again in ten minutes."), wrongWindow)
	}
	u, err := s.Store.CheckPassword(ctx, email, password)
	if errors.Is(err, store.ErrNotFound) {
		s.struck(c, source, edge.WrongPassword)
		return u, errPassword
	}
	s.logins.Right(source, target)
	return u, fail(err)
}

// struck counts what whoever guesses does against the network that it comes from,
// which is blocked in the end, unless it is a browser that is known.
func (s *server) struck(c *Caller, source string, what edge.Offence) {
	if source == c.source() {
		s.Blocks.Strike(c.remote.Addr(), false, what)
	}
}

// knownCookie is how the names of the cookies begin by which a browser shows
// that somebody has signed in with it before.
const knownCookie = "bridgehead_known_"

func (c *Caller) known(name string) string { return c.cookie(knownCookie + name) }

type loginBody struct {
	User     string `json:"user" maxLength:"254" doc:"e-mail address"`
	Password string `json:"password" maxLength:"1024"`
}

type loginInput struct {
	Caller
	Body loginBody
}

type session struct {
	Token   string     `json:"token"`
	Role    store.Role `json:"role" enum:"user,superuser,administrator"`
	Expires time.Time  `json:"expires"`
}

type loginOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      session
}

const sessionTTL = 12 * time.Hour

func cookie(name, value string, expires time.Time) http.Cookie {
	return http.Cookie{Name: name, Value: value, Path: "/", Expires: expires, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

func (s *server) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	u, err := s.password(ctx, &in.Caller, in.Body.User, in.Body.Password)
	if err != nil {
		return nil, err
	}
	if u.SecondFactor {
		return nil, s.second(ctx, &in.Caller, u)
	}
	return s.enter(ctx, &in.Caller, u)
}

// enter opens a session for an account that has proved itself.
func (s *server) enter(ctx context.Context, c *Caller, u store.User) (*loginOutput, error) {
	secret, t, err := s.Store.AddSession(ctx, u.ID, agent(c.agent), sessionTTL)
	if err != nil {
		return nil, fail(err)
	}
	name, mark := s.Store.Know(u.ID)
	return &loginOutput{
		SetCookie: []http.Cookie{cookie(Cookie, secret, t.Expires), cookie(knownCookie+name, mark, time.Now().Add(store.KnownFor))},
		Body:      session{Token: secret, Role: u.Role, Expires: t.Expires},
	}, nil
}

type logoutOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *server) logout(ctx context.Context, in *struct{ Caller }) (*logoutOutput, error) {
	_ = s.Store.RemoveToken(ctx, in.token)
	gone := cookie(Cookie, "", time.Time{})
	gone.MaxAge = -1
	return &logoutOutput{gone}, nil
}

// agents and systems by what their User-Agent headers hold; the first that
// fits is it.
var (
	agents  = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"Chrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Safari/", "Safari"}}
	systems = [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}
)

// agent is the kind of browser and system that a User-Agent header tells; its
// versions and models would tell more of the person than is needed.
func agent(header string) string {
	first := func(list [][2]string, other string) string {
		for _, x := range list {
			if strings.Contains(header, x[0]) {
				return x[1]
			}
		}
		return other
	}
	kind := first(agents, "")
	if kind == "" {
		return "a program"
	}
	if system := first(systems, ""); system != "" {
		kind += " on " + system
	}
	return kind
}
