package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/store"
)

type directoryPage struct {
	Entries []directory.Entry `json:"entries"`
	Next    string            `json:"next,omitempty" doc:"cursor of the next page"`
}

// directory is who can be called. What is hidden is found by whom it belongs to
// alone, whatever the role.
func (s *server) directory(api huma.API) {
	const tag = "Directory"
	huma.Register(api, operation("GET", "/directory", "search-directory", "Find people, room systems and meetings, best first", store.RoleUser, tag), s.search)
	o := operation("GET", "/directory.vcf", "export-directory", "The directory as vCards 4.0 (RFC 6350), for a user or, by HTTP Basic, a device", "", tag)
	o.Security = []map[string][]string{{"bearer": {}}, {"device": {}}}
	o.Responses = map[string]*huma.Response{"200": {Description: "the vCards", Content: map[string]*huma.MediaType{"text/vcard": textual()}}}
	api.OpenAPI().Components.SecuritySchemes["device"] = &huma.SecurityScheme{Type: "http", Scheme: "basic", Description: "User name and password of a device."}
	huma.Register(api, o, s.exportDirectory)
}

func (s *server) search(ctx context.Context, in *struct {
	Q      string         `query:"q" maxLength:"64" doc:"beginnings or parts of words; case and accents do not matter"`
	Kind   directory.Kind `query:"kind" enum:"person,room,meeting"`
	Limit  int            `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string         `query:"cursor" maxLength:"1024"`
}) (*body[directoryPage], error) {
	found, next, err := s.Directory.Search(ctx, directory.Query{For: userOf(ctx).ID, Text: in.Q, Kind: in.Kind, Limit: in.Limit, Cursor: in.Cursor})
	if found == nil {
		found = []directory.Entry{}
	}
	return answer(directoryPage{found, next}, err)
}

type exportInput struct {
	remote        netip.AddrPort
	Authorization string `header:"Authorization" hidden:"true"`
	Cookie        string `header:"Cookie" hidden:"true"`
}

// Resolve takes the caller's address, against which wrong passwords count.
func (i *exportInput) Resolve(ctx huma.Context) []error {
	i.remote, _ = netip.ParseAddrPort(ctx.RemoteAddr())
	return nil
}

type exportOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// maxExport bounds an export.
const maxExport = 100_000

func (s *server) exportDirectory(ctx context.Context, in *exportInput) (*exportOutput, error) {
	u, err := s.signedIn(ctx, in.Authorization, in.Cookie)
	if err != nil {
		if err := s.deviceSignedIn(ctx, in); err != nil {
			return nil, err
		}
	}
	found, _, err := s.Directory.Search(ctx, directory.Query{For: u.ID, Limit: maxExport})
	if err != nil {
		return nil, fail(err)
	}
	return &exportOutput{"text/vcard; charset=utf-8", directory.VCards(found)}, nil
}

// maxUser is the longest name of a device.
const maxUser = 64

// deviceSignedIn checks HTTP Basic credentials (RFC 7617) of a device.
func (s *server) deviceSignedIn(ctx context.Context, in *exportInput) error {
	encoded, ok := strings.CutPrefix(in.Authorization, "Basic ")
	text, err := base64.StdEncoding.DecodeString(encoded)
	user, password, colon := strings.Cut(string(text), ":")
	if !ok || err != nil || !colon || len(user) > maxUser {
		return unauthorized("Sign in first, or send a valid token.")
	}
	source, target := dialplan.Source(core.Info{Source: in.remote.Addr()}), "device "+user
	if s.logins.Try(source, target) != nil {
		return later(huma.Error429TooManyRequests("Too many wrong passwords. Try again in ten minutes."), wrongWindow)
	}
	d, err := s.Store.Device(ctx, user)
	known := err == nil && d.User == user
	if !known {
		d.Password = store.NewSecret() // the work is the same
	}
	if right := store.SameSecret(password, d.Password); !right || !known {
		return unauthorized("User name or password is wrong.")
	}
	s.logins.Right(source, target)
	return nil
}

func unauthorized(text string) error {
	return huma.ErrorWithHeaders(huma.Error401Unauthorized(text), http.Header{"WWW-Authenticate": {"Bearer", `Basic realm="Bridgehead", charset="UTF-8"`}})
}
