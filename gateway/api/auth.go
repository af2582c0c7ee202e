package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// who is the key of the signed-in user in a context.
type who struct{}

// Cookie is the name of the cookie that holds the token of a web session.
const Cookie = "bridgehead_session"

// rank orders the roles.
var rank = []store.Role{store.RoleUser, store.RoleSuperuser, store.RoleAdministrator}

// needs is an operation's least role; "" is for everybody.
func needs(role store.Role) map[string]any { return map[string]any{"role": role} }

func allowed(have, need store.Role) bool {
	return slices.Index(rank, have) >= slices.Index(rank, need)
}

// authenticate lets an operation be called by those who may.
func (s *server) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		need, _ := ctx.Operation().Metadata["role"].(store.Role)
		user, err := s.signedIn(ctx.Context(), ctx.Header("Authorization"), ctx.Header("Cookie"))
		if err == nil {
			source, _ := netip.ParseAddrPort(ctx.RemoteAddr())
			s.Blocks.Proved(source.Addr())
		}
		switch {
		case need == "":
		case err != nil:
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(api, ctx, http.StatusUnauthorized, "Sign in first, or send a valid token.")
			return
		case !allowed(user.Role, need):
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, "Your role does not allow this.")
			return
		}
		next(huma.WithValue(ctx, who{}, user))
	}
}

func (s *server) signedIn(ctx context.Context, authorization, cookies string) (store.User, error) {
	token := tokenOf(authorization, cookies)
	if token == "" {
		return store.User{}, store.ErrNotFound
	}
	return s.Store.Authenticate(ctx, token)
}

// tokenOf finds the token in a request's headers; empty: there is none.
func tokenOf(authorization, cookies string) string {
	if token, ok := strings.CutPrefix(authorization, "Bearer "); ok {
		return token
	}
	jar, _ := http.ParseCookie(cookies)
	for _, c := range jar {
		if c.Name == Cookie {
			return c.Value
		}
	}
	return ""
}

// userOf is who calls the operation.
func userOf(ctx context.Context) store.User {
	u, _ := ctx.Value(who{}).(store.User)
	return u
}

// The shapes of requests and answers that recur.
type (
	nothing     struct{}
	body[T any] struct{ Body T }
	ByID        struct {
		ID string `path:"id" maxLength:"128"`
	}
)

// file is an answer that is no JSON, or is to be kept.
type file struct {
	ContentType  string `header:"Content-Type"`
	Disposition  string `header:"Content-Disposition"`
	CacheControl string `header:"Cache-Control"`
	Body         any
}

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, fail(err)
	}
	return &body[T]{v}, nil
}
