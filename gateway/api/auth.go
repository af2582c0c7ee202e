package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
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

// operation is a short form of huma.Operation.
func operation(method, path, id, summary string, role store.Role, tag string) huma.Operation {
	o := huma.Operation{Method: method, Path: "/api/v1" + path, OperationID: id, Summary: summary, Tags: []string{tag}, Metadata: needs(role)}
	if role != "" {
		o.Security = []map[string][]string{{"bearer": {}}}
		o.Errors = []int{401, 403, 404, 409}
	}
	switch method {
	case http.MethodPost:
		o.DefaultStatus = http.StatusOK
	case http.MethodDelete:
		o.DefaultStatus = http.StatusNoContent
	}
	return o
}

// The shapes of requests and answers that recur.
type (
	nothing     struct{}
	body[T any] struct{ Body T }
	ByID        struct {
		ID string `path:"id" maxLength:"128"`
	}
)

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, fail(err)
	}
	return &body[T]{v}, nil
}

type loginInput struct {
	remote netip.AddrPort
	Body   struct {
		User     string `json:"user" maxLength:"254" doc:"e-mail address"`
		Password string `json:"password" maxLength:"1024"`
	}
}

// Resolve takes the caller's address, against which wrong passwords count.
func (i *loginInput) Resolve(ctx huma.Context) []error {
	i.remote, _ = netip.ParseAddrPort(ctx.RemoteAddr())
	return nil
}

type session struct {
	Token   string     `json:"token"`
	Role    store.Role `json:"role"`
	Expires time.Time  `json:"expires"`
}

type loginOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      session
}

const sessionTTL = 12 * time.Hour

func (s *server) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	source := core.Info{ID: in.remote.String(), Source: in.remote.Addr()}
	if err := s.logins.Allowed(source); err != nil {
		return nil, huma.Error429TooManyRequests("Too many wrong passwords from this address. Try again in ten minutes.")
	}
	u, err := s.Store.CheckPassword(ctx, in.Body.User, in.Body.Password)
	if err != nil {
		s.logins.Wrong(source, core.Reason{})
		return nil, huma.Error401Unauthorized("E-mail address or password is wrong.")
	}
	secret, t, err := s.Store.AddToken(ctx, u.ID, "session", sessionTTL)
	if err != nil {
		return nil, fail(err)
	}
	return &loginOutput{
		SetCookie: http.Cookie{Name: Cookie, Value: secret, Path: "/", Expires: t.Expires, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode},
		Body:      session{Token: secret, Role: u.Role, Expires: t.Expires},
	}, nil
}

type logoutInput struct {
	Authorization string `header:"Authorization"`
	Cookie        string `header:"Cookie"`
}

type logoutOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *server) logout(ctx context.Context, in *logoutInput) (*logoutOutput, error) {
	_ = s.Store.RemoveToken(ctx, tokenOf(in.Authorization, in.Cookie))
	return &logoutOutput{http.Cookie{Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}}, nil
}

type userBody struct {
	Email       string     `json:"email" maxLength:"254" format:"email"`
	DisplayName string     `json:"display_name" maxLength:"64" required:"false"`
	Password    string     `json:"password" minLength:"10" maxLength:"1024"`
	Role        store.Role `json:"role" enum:"user,superuser,administrator" default:"user" required:"false"`
}

type userPatch struct {
	DisplayName *string     `json:"display_name,omitempty" maxLength:"64"`
	Password    *string     `json:"password,omitempty" minLength:"10" maxLength:"1024"`
	Role        *store.Role `json:"role,omitempty" enum:"user,superuser,administrator"`
	Hidden      *bool       `json:"hidden,omitempty" doc:"leave it out of the directory; an administrator's only by itself"`
	Disabled    *bool       `json:"disabled,omitempty" doc:"nobody signs in with it; who has is out at once"`
}

// people are accounts and sign-in.
func (s *server) people(api huma.API) {
	const tag = "People"
	huma.Register(api, operation("POST", "/login", "login", "Sign in", "", tag), s.login)
	huma.Register(api, operation("POST", "/logout", "logout", "Sign out: the token is revoked", "", tag), s.logout)
	huma.Register(api, operation("GET", "/me", "me", "Who is signed in", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*body[store.User], error) {
		return answer(userOf(ctx), nil)
	})
	huma.Register(api, operation("GET", "/users", "list-users", "List accounts", store.RoleSuperuser, tag), func(ctx context.Context, _ *nothing) (*body[[]store.User], error) {
		return answer(s.Store.Users(ctx))
	})
	huma.Register(api, operation("POST", "/users", "add-user", "Make an account", store.RoleSuperuser, tag), s.addUser)
	huma.Register(api, operation("PATCH", "/users/{id}", "change-user", "Change an account", store.RoleSuperuser, tag), s.changeUser)
	huma.Register(api, operation("DELETE", "/users/{id}", "remove-user", "Remove an account", store.RoleSuperuser, tag), s.removeUser)
}

func (s *server) addUser(ctx context.Context, in *body[userBody]) (*body[store.User], error) {
	if !allowed(userOf(ctx).Role, in.Body.Role) {
		return nil, huma.Error403Forbidden("You cannot give a role above your own.")
	}
	b := in.Body
	return answer(s.Store.AddUser(ctx, store.User{Email: b.Email, DisplayName: b.DisplayName, Role: b.Role}, b.Password))
}

// touchable finds an account that the caller may change: nobody above itself.
// It goes by its id only, so that no path in a log holds an e-mail address.
func (s *server) touchable(ctx context.Context, id string) (store.User, error) {
	u, err := s.Store.User(ctx, id)
	if err == nil && u.ID != id {
		err = store.ErrNotFound
	}
	if err != nil {
		return u, fail(err)
	}
	if !allowed(userOf(ctx).Role, u.Role) {
		return u, huma.Error403Forbidden("This account is above your role.")
	}
	return u, nil
}

func (s *server) changeUser(ctx context.Context, in *struct {
	ByID
	Body userPatch
}) (*body[store.User], error) {
	u, err := s.touchable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	was, p := u, in.Body
	set(&u.DisplayName, p.DisplayName)
	set(&u.Role, p.Role)
	set(&u.Hidden, p.Hidden)
	set(&u.Disabled, p.Disabled)
	if err := s.permitted(ctx, was, u); err != nil {
		return nil, fail(err)
	}
	password := ""
	set(&password, p.Password)
	err = s.Store.UpdateUser(ctx, u, password)
	if err == nil && u.Disabled {
		s.RevokeUser(u.ID)
	}
	return answer(u, err)
}

// permitted checks what touching an account does not permit yet.
func (s *server) permitted(ctx context.Context, was, u store.User) error {
	me := userOf(ctx)
	switch {
	case !allowed(me.Role, u.Role):
		return huma.Error403Forbidden("You cannot give a role above your own.")
	case u.Hidden != was.Hidden && was.Role == store.RoleAdministrator && me.ID != was.ID:
		return huma.Error403Forbidden("Administrators hide or show nobody but themselves.")
	case u.Disabled && !was.Disabled && me.ID == was.ID:
		return huma.Error409Conflict("You cannot disable your own account.")
	case was.Role == store.RoleAdministrator && (u.Role != was.Role || u.Disabled):
		return s.notLast(ctx, was)
	}
	return nil
}

// notLast keeps one administrator who can sign in.
func (s *server) notLast(ctx context.Context, u store.User) error {
	if u.Role != store.RoleAdministrator {
		return nil
	}
	all, err := s.Store.Users(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Role == store.RoleAdministrator && !x.Disabled && x.ID != u.ID {
			return nil
		}
	}
	return store.ErrLastAdministrator
}

func (s *server) removeUser(ctx context.Context, in *ByID) (*nothing, error) {
	u, err := s.touchable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.notLast(ctx, u); err != nil {
		return nil, fail(err)
	}
	if err := s.Store.RemoveUser(ctx, u.ID); err != nil {
		return nil, fail(err)
	}
	s.RevokeUser(u.ID)
	return nil, nil
}
