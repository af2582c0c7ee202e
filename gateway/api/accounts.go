package api

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type userBody struct {
	Email       string     `json:"email" maxLength:"254" format:"email"`
	DisplayName string     `json:"display_name" maxLength:"64" required:"false"`
	Password    string     `json:"password" minLength:"10" maxLength:"1024"`
	Role        store.Role `json:"role" enum:"user,superuser,administrator" default:"user" required:"false"`
}

type userPatch struct {
	DisplayName  *string     `json:"display_name,omitempty" maxLength:"64"`
	Password     *string     `json:"password,omitempty" minLength:"10" maxLength:"1024"`
	Role         *store.Role `json:"role,omitempty" enum:"user,superuser,administrator"`
	Hidden       *bool       `json:"hidden,omitempty" doc:"leave it out of the directory; an administrator's only by itself"`
	SecondFactor *bool       `json:"second_factor,omitempty" enum:"false" doc:"false, when its owner has lost them: remove its passkeys, and ask for none"`
	Disabled     *bool       `json:"disabled,omitempty" doc:"nobody signs in with it; who has is out at once. false also approves a sign-up"`
}

// people are accounts and sign-in.
func (s *server) people(api huma.API) {
	const tag = "People"
	huma.Register(api, operation("POST", "/login", "login", "Sign in", "", tag), s.login)
	huma.Register(api, operation("POST", "/logout", "logout", "Sign out: the token is revoked", "", tag), s.logout)
	huma.Register(api, operation("GET", "/me", "me", "Who is signed in", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*body[store.User], error) {
		return answer(userOf(ctx), nil)
	})
	huma.Register(api, operation("PATCH", "/me", "change-me", "Change your own account", store.RoleUser, tag), s.changeMe)
	huma.Register(api, operation("GET", "/me/export", "export-me", "All that is kept about you", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*file, error) {
		return s.export(ctx, userOf(ctx).ID)
	})
	huma.Register(api, operation("GET", "/users", "list-users", "List accounts", store.RoleSuperuser, tag), func(ctx context.Context, _ *nothing) (*body[[]store.User], error) {
		return answer(s.Store.Users(ctx))
	})
	huma.Register(api, operation("POST", "/users", "add-user", "Make an account", store.RoleSuperuser, tag), s.addUser)
	huma.Register(api, operation("PATCH", "/users/{id}", "change-user", "Change an account", store.RoleSuperuser, tag), s.changeUser)
	huma.Register(api, operation("DELETE", "/users/{id}", "remove-user", "Remove an account", store.RoleSuperuser, tag), s.removeUser)
	export := operation("GET", "/users/{id}/export", "export-user", "All that is kept about an account's owner", store.RoleSuperuser, tag)
	export.Metadata["audited"] = true // it tells one person of another
	huma.Register(api, export, func(ctx context.Context, in *ByID) (*file, error) {
		u, err := s.touchable(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return s.export(ctx, u.ID)
	})
	s.signUps(api)
	s.tokens(api)
}

func (s *server) export(ctx context.Context, id string) (*file, error) {
	all, err := s.Store.Export(ctx, id, id == userOf(ctx).ID)
	if err != nil {
		return nil, fail(err)
	}
	return &file{ContentType: "application/json", Disposition: `attachment; filename="bridgehead-account.json"`, CacheControl: "no-store", Body: all}, nil
}

type mePatch struct {
	DisplayName  *string `json:"display_name,omitempty" maxLength:"64"`
	Password     *string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"all other sign-ins and tokens end with it"`
	SecondFactor *bool   `json:"second_factor,omitempty" doc:"ask for a passkey after the password"`
	OldPassword  string  `json:"old_password,omitempty" maxLength:"1024" doc:"the password until now, to change it or second_factor"`
}

func (s *server) changeMe(ctx context.Context, in *struct {
	Caller
	Body mePatch
}) (*body[store.User], error) {
	u, b := userOf(ctx), in.Body
	if b.Password != nil || b.SecondFactor != nil {
		if err := s.confirm(ctx, &in.Caller, b.OldPassword); err != nil {
			return nil, err
		}
	}
	if b.SecondFactor != nil {
		err := s.Store.SecondFactor(ctx, u.ID, *b.SecondFactor)
		if errors.Is(err, store.ErrNeeded) {
			err = huma.Error409Conflict("Make a passkey first, then let sign-in ask for it.")
		}
		if err != nil {
			return nil, fail(err)
		}
	}
	if b.Password != nil {
		mine, err := s.Store.Token(ctx, in.token)
		if err == nil {
			err = s.Store.SetPassword(ctx, u.ID, *b.Password, mine.ID)
		}
		if err != nil {
			return nil, fail(err)
		}
	}
	if b.DisplayName != nil {
		if err := s.Store.RenameUser(ctx, u.ID, *b.DisplayName); err != nil {
			return nil, fail(err)
		}
	}
	return answer(s.Store.User(ctx, u.ID))
}

// confirm checks the password of who is signed in, for what a session alone
// must not do.
func (s *server) confirm(ctx context.Context, c *Caller, password string) error {
	_, err := s.password(ctx, c, userOf(ctx).Email, password)
	if err == errPassword {
		err = huma.Error403Forbidden("Your password is wrong.")
	}
	return err
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
	p := in.Body
	if (p.Password != nil || p.SecondFactor != nil) && u.ID == userOf(ctx).ID {
		return nil, huma.Error403Forbidden("Change how you sign in yourself at /me: it asks for your password.")
	}
	u, err = s.Store.ChangeUser(ctx, u.ID, func(u *store.User) error {
		was := *u
		set(&u.DisplayName, p.DisplayName)
		set(&u.Role, p.Role)
		set(&u.Hidden, p.Hidden)
		set(&u.Disabled, p.Disabled)
		return permitted(userOf(ctx), was, *u)
	})
	if err == nil && p.Password != nil {
		err = s.Store.SetPassword(ctx, u.ID, *p.Password, "")
	}
	if err == nil && p.SecondFactor != nil {
		u.SecondFactor = false
		err = s.Store.RemovePasskeys(ctx, u.ID)
	}
	if err == nil && u.Disabled {
		s.RevokeUser(u.ID)
	}
	return answer(u, err)
}

// permitted checks what touching an account does not permit yet.
func permitted(me, was, u store.User) error {
	switch {
	case !allowed(me.Role, was.Role), !allowed(me.Role, u.Role):
		return huma.Error403Forbidden("You cannot give or take a role above your own.")
	case u.Hidden != was.Hidden && was.Role == store.RoleAdministrator && me.ID != was.ID:
		return huma.Error403Forbidden("Administrators hide or show nobody but themselves.")
	case u.Disabled && !was.Disabled && me.ID == was.ID:
		return huma.Error409Conflict("You cannot disable your own account.")
	}
	return nil
}

func (s *server) removeUser(ctx context.Context, in *ByID) (*nothing, error) {
	u, err := s.touchable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.Store.RemoveUser(ctx, u.ID); err != nil {
		return nil, fail(err)
	}
	s.RevokeUser(u.ID)
	return nil, nil
}
