package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// Sign-ups from one source within a time.
const (
	signUpsPerSource = 5
	signUpWindow     = time.Hour
)

type signUpBody struct {
	Email       string `json:"email" maxLength:"254"`
	DisplayName string `json:"display_name" maxLength:"64" required:"false"`
	Password    string `json:"password" minLength:"10" maxLength:"1024"`
}

type signUpState struct {
	Open bool `json:"open" doc:"whether anybody may sign up at all"`
}

type notice struct {
	Detail string `json:"detail"`
}

// Addresses are those that may sign up.
type Addresses interface {
	Open() bool                            // whether there are any
	Mailbox(address string) (string, bool) // its one form, and whether it is among them
}

type nobody struct{}

func (nobody) Open() bool                    { return false }
func (nobody) Mailbox(string) (string, bool) { return "", false }

// signUps are accounts that people make for themselves, where the
// configuration lets addresses of their domain.
func (s *server) signUps(api huma.API) {
	const tag = "People"
	huma.Register(api, operation("GET", "/signup", "get-signup", "Whether one may sign up", "", tag), func(context.Context, *nothing) (*body[signUpState], error) {
		return answer(signUpState{s.SignUp().Open()}, nil)
	})
	huma.Register(api, operation("POST", "/signup", "signup", "Sign up; a superuser has to approve it", "", tag), s.signUp)
}

func (s *server) signUp(ctx context.Context, in *struct {
	Caller
	Body signUpBody
}) (*body[notice], error) {
	who := s.SignUp()
	if !who.Open() {
		return nil, huma.Error403Forbidden("There is no sign-up here. Ask whoever runs this bridge for an account.")
	}
	if s.signing.Try(in.source(), "") != nil {
		return nil, later(huma.Error429TooManyRequests("Too many sign-ups from this address. Try again in an hour."), signUpWindow)
	}
	email, ok := who.Mailbox(in.Body.Email)
	if !ok {
		return nil, huma.Error422UnprocessableEntity("Addresses of this domain cannot sign up here.")
	}
	err := s.Store.SignUp(ctx, email, in.Body.DisplayName, in.Body.Password)
	switch {
	case errors.Is(err, store.ErrTooMany):
		s.Log.Warn("a sign-up is not kept: too many wait for approval")
	case err != nil:
		return nil, fail(err)
	}
	return answer(notice{"Thank you. You can sign in once an administrator has approved your account."}, nil)
}
