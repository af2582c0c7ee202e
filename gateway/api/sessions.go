package api

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type tokenBody struct {
	Name string `json:"name" minLength:"1" maxLength:"64"`
	Days int    `json:"days,omitempty" minimum:"0" maximum:"3650" doc:"0: does not expire"`
}

type tokenView struct {
	store.Token
	Secret string `json:"token"`
}

type sessionView struct {
	store.Token
	Current bool `json:"current" doc:"this request's own"`
}

// tokens are keys to the API: those of programs, and those of browsers that
// signed in, the sessions. Each is its account's alone.
func (s *server) tokens(api huma.API) {
	const tag = "People"
	huma.Register(api, operation("GET", "/tokens", "list-tokens", "List your tokens", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*body[[]store.Token], error) {
		all, err := s.Store.Tokens(ctx, userOf(ctx).ID)
		return answer(slices.DeleteFunc(all, func(t store.Token) bool { return t.Session }), err)
	})
	huma.Register(api, operation("POST", "/tokens", "add-token", "Make a token; it is shown only once", store.RoleUser, tag), func(ctx context.Context, in *body[tokenBody]) (*body[tokenView], error) {
		secret, t, err := s.Store.AddToken(ctx, userOf(ctx).ID, in.Body.Name, time.Duration(in.Body.Days)*24*time.Hour)
		return answer(tokenView{t, secret}, err)
	})
	huma.Register(api, operation("DELETE", "/tokens/{id}", "remove-token", "Revoke one of your tokens", store.RoleUser, tag), s.removeToken)
	huma.Register(api, operation("GET", "/me/sessions", "list-sessions", "List the browsers that you are signed in with", store.RoleUser, tag), s.sessions)
	huma.Register(api, operation("DELETE", "/me/sessions/{id}", "remove-session", "Sign one of your browsers out", store.RoleUser, tag), s.removeToken)
	huma.Register(api, operation("POST", "/me/sessions/revoke-others", "remove-other-sessions", "Sign all of your browsers out but this one", store.RoleUser, tag), func(ctx context.Context, in *struct{ Caller }) (*nothing, error) {
		t, err := s.Store.Token(ctx, in.token)
		if err != nil {
			return nil, fail(err)
		}
		return nil, fail(s.Store.RemoveSessions(ctx, t.User, t.ID))
	})
	huma.Register(api, operation("POST", "/users/{id}/revoke-sessions", "remove-sessions", "Sign an account out everywhere, and end its calls", store.RoleSuperuser, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		u, err := s.touchable(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		err = s.Store.RemoveSessions(ctx, u.ID, "")
		s.RevokeUser(u.ID)
		return nil, fail(err)
	})
}

func (s *server) sessions(ctx context.Context, in *struct{ Caller }) (*body[[]sessionView], error) {
	mine, err := s.Store.Token(ctx, in.token)
	if err != nil {
		return nil, fail(err)
	}
	all, err := s.Store.Tokens(ctx, mine.User)
	list := []sessionView{}
	for _, t := range all {
		if t.Session {
			list = append(list, sessionView{t, t.ID == mine.ID})
		}
	}
	return answer(list, err)
}

func (s *server) removeToken(ctx context.Context, in *ByID) (*nothing, error) {
	mine, err := s.Store.Tokens(ctx, userOf(ctx).ID)
	if err != nil {
		return nil, fail(err)
	}
	if !slices.ContainsFunc(mine, func(t store.Token) bool { return t.ID == in.ID }) {
		return nil, fail(store.ErrNotFound)
	}
	return nil, fail(s.Store.RemoveToken(ctx, in.ID))
}
