package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core/edge"
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

// maxExport bounds an export.
const maxExport = 100_000

func (s *server) exportDirectory(ctx context.Context, in *struct{ Caller }) (*file, error) {
	u := userOf(ctx)
	if u.ID == "" {
		if err := s.deviceSignedIn(ctx, &in.Caller); err != nil {
			return nil, err
		}
	}
	found, _, err := s.Directory.Search(ctx, directory.Query{For: u.ID, Limit: maxExport})
	if err != nil {
		return nil, fail(err)
	}
	return &file{ContentType: "text/vcard; charset=utf-8", Body: directory.VCards(found)}, nil
}

// maxUser is the longest name of a device.
const maxUser = 64

// deviceSignedIn checks HTTP Basic credentials (RFC 7617) of a device.
func (s *server) deviceSignedIn(ctx context.Context, c *Caller) error {
	user, password, ok := (&http.Request{Header: http.Header{"Authorization": {c.authorization}}}).BasicAuth()
	if !ok || len(user) > maxUser {
		return unauthorized("Sign in first, or send a valid token.")
	}
	source, target := c.source(), "device "+user
	if s.logins.Try(source, target) != nil {
		s.struck(c, source, edge.Flood)
		return later(huma.Error429TooManyRequests("Too many wrong passwords. Try again in ten minutes."), wrongWindow)
	}
	d, err := s.Store.Device(ctx, user)
	known := err == nil && d.User == user
	if !known {
		d.Password = store.NewSecret() // the work is the same
	}
	if right := store.SameSecret(password, d.Password); !right || !known {
		s.struck(c, source, edge.WrongPassword)
		return unauthorized("User name or password is wrong.")
	}
	s.logins.Right(source, target)
	return nil
}

func unauthorized(text string) error {
	return huma.ErrorWithHeaders(huma.Error401Unauthorized(text), http.Header{"WWW-Authenticate": {"Bearer", `Basic realm="Bridgehead", charset="UTF-8"`}})
}
