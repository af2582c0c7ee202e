package api

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

// passkeys are WebAuthn credentials (W3C, Level 3): by one alone, which its
// owner unlocks, or by one after the password, people sign in.
func (s *server) passkeys(api huma.API) {
	const tag = "Passkeys"
	huma.Register(api, operation("POST", "/login/passkey/begin", "begin-passkey-login", "Sign in by passkey: the question", "", tag), s.beginPasskeyLogin)
	huma.Register(api, operation("POST", "/login/passkey/finish", "finish-passkey-login", "Sign in by passkey: the answer", "", tag), s.finishPasskeyLogin)
	huma.Register(api, operation("GET", "/me/passkeys", "list-passkeys", "List your passkeys", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*body[[]store.Passkey], error) {
		return answer(s.Store.Passkeys(ctx, userOf(ctx).ID))
	})
	huma.Register(api, operation("POST", "/me/passkeys/begin", "begin-passkey", "Make a passkey: the question", store.RoleUser, tag), s.beginPasskey)
	huma.Register(api, operation("POST", "/me/passkeys/finish", "finish-passkey", "Make a passkey: the answer", store.RoleUser, tag), s.finishPasskey)
	huma.Register(api, operation("PATCH", "/me/passkeys/{id}", "rename-passkey", "Rename a passkey", store.RoleUser, tag), func(ctx context.Context, in *struct {
		ByID
		Body nameBody
	}) (*nothing, error) {
		return nil, fail(s.Store.RenamePasskey(ctx, userOf(ctx).ID, in.ID, in.Body.Name))
	})
	huma.Register(api, operation("DELETE", "/me/passkeys/{id}", "remove-passkey", "Remove a passkey", store.RoleUser, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		err := s.Store.RemovePasskey(ctx, userOf(ctx).ID, in.ID)
		if errors.Is(err, store.ErrNeeded) {
			return nil, huma.Error409Conflict("This is your last passkey, and sign-in asks for one: turn that off first.")
		}
		return nil, fail(err)
	})
}

// question is what a browser passes to its authenticator.
type question struct {
	Challenge string `json:"challenge" doc:"name of the question, to be given back with the answer"`
	Options   any    `json:"options" doc:"argument of navigator.credentials.create or get, as PublicKeyCredential.parse…FromJSON takes it"`
}

type answeredBody struct {
	Challenge string          `json:"challenge" maxLength:"64"`
	Name      string          `json:"name,omitempty" maxLength:"64" doc:"of a new passkey"`
	Response  json.RawMessage `json:"response" doc:"the credential, as its toJSON gives it"`
}

type answered struct {
	Caller
	Body answeredBody
}

type nameBody struct {
	Name string `json:"name" minLength:"1" maxLength:"64"`
}

type passwordBody struct {
	Password string `json:"password" maxLength:"1024" doc:"yours: a passkey is a new way in"`
}

// party is this gateway by the host name that the browser used, to which its
// passkeys are bound.
func (s *server) party(c *Caller) (*webauthn.WebAuthn, error) {
	host := strings.ToLower(c.host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "" {
		return nil, huma.Error422UnprocessableEntity("Passkeys are bound to a host name, and this page was opened by an IP address. Open it by its name.")
	}
	if domain := strings.ToLower(s.Domain()); domain != "" && domain != host {
		return nil, huma.Error422UnprocessableEntity("Passkeys work at " + domain + " only. Open this page there.")
	}
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: challengeTTL, TimeoutUVD: challengeTTL}
	w, err := webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: "Bridgehead", RPOrigins: []string{"https://" + strings.ToLower(c.host)},
		AttestationPreference: protocol.PreferNoAttestation, Timeouts: webauthn.TimeoutsConfig{Login: limit, Registration: limit}})
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("Passkeys do not work by this host name: " + host + ".")
	}
	return w, nil
}

// holder is an account with its passkeys of one host, for the library.
type holder struct {
	user store.User
	keys []store.Passkey
}

func (h holder) WebAuthnID() []byte          { return []byte(h.user.ID) }
func (h holder) WebAuthnName() string        { return h.user.Email }
func (h holder) WebAuthnDisplayName() string { return h.user.DisplayName }
func (h holder) WebAuthnCredentials() (list []webauthn.Credential) {
	for _, k := range h.keys {
		var c webauthn.Credential
		if json.Unmarshal(k.Credential, &c) == nil {
			list = append(list, c)
		}
	}
	return list
}

func (s *server) holder(ctx context.Context, user, host string) (h holder, err error) {
	if h.user, err = s.Store.User(ctx, user); err != nil || h.user.ID != user || h.user.Disabled {
		return h, store.ErrNotFound
	}
	all, err := s.Store.Passkeys(ctx, user)
	for _, k := range all {
		if k.Host == host {
			h.keys = append(h.keys, k)
		}
	}
	return h, err
}

func (s *server) beginPasskey(ctx context.Context, in *struct {
	Caller
	Body passwordBody
}) (*body[question], error) {
	w, err := s.party(&in.Caller)
	if err != nil {
		return nil, err
	}
	if err := s.confirm(ctx, &in.Caller, in.Body.Password); err != nil {
		return nil, err
	}
	h, err := s.holder(ctx, userOf(ctx).ID, w.Config.RPID)
	if err != nil {
		return nil, fail(err)
	}
	required := true
	options, session, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: &required, UserVerification: protocol.VerificationRequired}))
	if err != nil {
		return nil, err
	}
	return answer(question{s.asked.ask(challenge{purpose: toRegister, user: h.user.ID, session: *session}), options.Response}, nil)
}

var errChallenge = huma.Error422UnprocessableEntity("This question is answered already, or was asked too long ago. Begin again.")

func (s *server) finishPasskey(ctx context.Context, in *answered) (*body[store.Passkey], error) {
	w, err := s.party(&in.Caller)
	if err != nil {
		return nil, err
	}
	me := userOf(ctx)
	q, ok := s.asked.take(in.Body.Challenge)
	if !ok || q.purpose != toRegister || q.user != me.ID {
		return nil, errChallenge
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(in.Body.Response)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("The answer of the authenticator could not be read.")
	}
	c, err := w.CreateCredential(holder{user: me}, q.session, parsed)
	if err != nil {
		s.Log.Info("a new passkey was not accepted", "user", me.ID, "error", err)
		return nil, huma.Error422UnprocessableEntity("The passkey was not accepted.")
	}
	c.Attestation, c.Authenticator.AAGUID = webauthn.CredentialAttestation{}, nil // what kind of device it is concerns nobody
	kept, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	name := in.Body.Name
	if name == "" {
		name = agent(in.agent)
	}
	p, err := s.Store.AddPasskey(ctx, store.Passkey{User: me.ID, Name: name, Host: w.Config.RPID, Handle: c.ID, Credential: kept})
	if errors.Is(err, store.ErrTooMany) {
		return nil, huma.Error409Conflict("You have as many passkeys as an account may have. Remove one first.")
	}
	return answer(p, err)
}

// Questions to strangers, from one source within a time.
const (
	questionsPerSource = 100
	questionWindow     = 10 * time.Minute
)

func (s *server) beginPasskeyLogin(_ context.Context, in *struct{ Caller }) (*body[question], error) {
	w, err := s.party(&in.Caller)
	if err != nil {
		return nil, err
	}
	if s.questions.Try(in.source(), "") != nil {
		return nil, later(huma.Error429TooManyRequests("Too many tries from this address. Try again in ten minutes."), questionWindow)
	}
	options, session, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, err
	}
	return answer(question{s.asked.ask(challenge{purpose: toSignIn, session: *session}), options.Response}, nil)
}

// passkeyNeeded is the problem of a right password that is not enough.
type passkeyNeeded struct {
	*huma.ErrorModel
	question
}

// second asks for a passkey after the password.
func (s *server) second(ctx context.Context, c *Caller, u store.User) error {
	w, err := s.party(c)
	if err != nil {
		return err
	}
	h, err := s.holder(ctx, u.ID, w.Config.RPID)
	if err != nil {
		return fail(err)
	}
	if len(h.keys) == 0 {
		return huma.Error403Forbidden("This account asks for a passkey, and has none for " + w.Config.RPID + ". Open this page by the name that it was made at.")
	}
	options, session, err := w.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationPreferred))
	if err != nil {
		return err
	}
	return &passkeyNeeded{&huma.ErrorModel{Type: "urn:bridgehead:passkey-needed", Title: "Unauthorized", Status: 401, Detail: "The password is right. Now show a passkey."},
		question{s.asked.ask(challenge{purpose: toConfirm, user: u.ID, session: *session}), options.Response}}
}

var errPasskey = huma.Error401Unauthorized("This passkey was not accepted.")

func (s *server) finishPasskeyLogin(ctx context.Context, in *answered) (*loginOutput, error) {
	w, err := s.party(&in.Caller)
	if err != nil {
		return nil, err
	}
	source := in.source()
	if s.logins.Try(source, "") != nil {
		s.struck(&in.Caller, source, edge.Flood)
		return nil, later(huma.Error429TooManyRequests("Too many wrong tries from this address. Try again in ten minutes."), wrongWindow)
	}
	q, ok := s.asked.take(in.Body.Challenge)
	if !ok || q.purpose == toRegister {
		return nil, errChallenge
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(in.Body.Response)
	if err != nil {
		return nil, errPasskey
	}
	u, err := s.shown(ctx, w, q, parsed)
	if err != nil {
		s.struck(&in.Caller, source, edge.WrongPassword)
		s.Log.Info("a passkey was not accepted", "source", source, "error", err)
		return nil, errPasskey
	}
	s.logins.Right(source, "")
	return s.enter(ctx, &in.Caller, u)
}

// shown finds whose passkey has answered.
func (s *server) shown(ctx context.Context, w *webauthn.WebAuthn, q challenge, parsed *protocol.ParsedCredentialAssertionData) (u store.User, err error) {
	var h holder
	var c *webauthn.Credential
	if q.user != "" {
		if h, err = s.holder(ctx, q.user, w.Config.RPID); err == nil {
			c, err = w.ValidateLogin(h, q.session, parsed)
		}
	} else {
		_, c, err = w.ValidatePasskeyLogin(func(_, id []byte) (webauthn.User, error) {
			h, err = s.holder(ctx, string(id), w.Config.RPID)
			return h, err
		}, q.session, parsed)
	}
	if err != nil {
		return u, err
	}
	if c.Authenticator.CloneWarning {
		return u, errors.New("its counter went back: it may be a copy")
	}
	for _, k := range h.keys {
		if string(k.Handle) == string(c.ID) {
			if k.Credential, err = json.Marshal(c); err != nil {
				return u, err
			}
			return h.user, s.Store.UsedPasskey(ctx, k)
		}
	}
	return u, store.ErrNotFound
}
