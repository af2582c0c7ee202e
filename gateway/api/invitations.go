package api

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/invite"
	"bridgehead/gateway/store"
)

// invitationView is an invitation in every form, and its pieces. It has the
// passcode of guests, since guests must know it, and never that of hosts.
type invitationView struct {
	Number   string          `json:"number"`
	Name     string          `json:"name"`
	Passcode string          `json:"passcode" doc:"of guests; empty: none is needed"`
	Web      string          `json:"web"`
	SIP      string          `json:"sip"`
	H323     string          `json:"h323"`
	DialIns  []invite.DialIn `json:"dial_ins"`
	Text     string          `json:"text"`
	HTML     string          `json:"html"`
	ICal     string          `json:"ics"`
}

type invitationInput struct {
	ByNumber
	Format  string    `query:"format" enum:"json,text,html,ics" default:"json"`
	Start   time.Time `query:"start" doc:"when it begins (RFC 3339); the next full hour when missing"`
	Minutes int       `query:"minutes" minimum:"1" maximum:"10080" default:"60"`
}

type invitationOutput struct {
	ContentType  string `header:"Content-Type"`
	Disposition  string `header:"Content-Disposition"`
	CacheControl string `header:"Cache-Control"`
	Body         any
}

func (s *server) invitations(api huma.API) {
	o := operation("GET", "/meetings/{number}/invitation", "invitation", "The invitation to a meeting, as text, HTML and iCalendar", store.RoleUser, "Meetings")
	view := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[invitationView](), true, "")
	plain := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	o.Responses = map[string]*huma.Response{"200": {Description: "The invitation in the format asked for",
		Content: map[string]*huma.MediaType{"application/json": {Schema: view}, "text/plain": plain, "text/html": plain, "text/calendar": plain}}}
	huma.Register(api, o, s.invitation)
}

func (s *server) invitation(ctx context.Context, in *invitationInput) (*invitationOutput, error) {
	m, err := s.mine(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	i, err := s.invite(ctx, m)
	if err != nil {
		return nil, fail(err)
	}
	now := time.Now()
	if i.Start, i.Duration = in.Start, time.Duration(in.Minutes)*time.Minute; i.Start.IsZero() {
		i.Start = now.Truncate(time.Hour).Add(time.Hour)
	}
	out := &invitationOutput{CacheControl: "no-store"}
	switch in.Format {
	case "text":
		out.ContentType, out.Body = "text/plain; charset=utf-8", []byte(i.Text())
	case "html":
		out.ContentType, out.Body = "text/html; charset=utf-8", []byte(i.HTML())
	case "ics":
		out.ContentType, out.Body = "text/calendar; charset=utf-8; method=PUBLISH", []byte(i.ICal(now))
		out.Disposition = `attachment; filename="meeting-` + m.Number + `.ics"`
	default:
		out.ContentType = "application/json"
		out.Body = invitationView{i.Number, i.Name, i.Passcode, i.Web, i.SIP, i.H323, i.DialIns, i.Text(), i.HTML(), i.ICal(now)}
	}
	return out, nil
}

// invite gathers what leads into a meeting. Numbers of trunks that are off, or
// that an encrypted meeting would refuse, lead nowhere.
func (s *server) invite(ctx context.Context, m store.Meeting) (invite.Invitation, error) {
	numbers, err1 := s.Store.Numbers(ctx)
	trunks, err2 := s.Store.Trunks(ctx)
	if err := errors.Join(err1, err2); err != nil {
		return invite.Invitation{}, err
	}
	open := map[string]bool{}
	for _, t := range trunks {
		open[t.Name] = t.Enabled && (!m.EncryptedOnly || t.MediaEncryption == "required")
	}
	var reach []store.Number
	for _, n := range numbers {
		if open[n.Trunk] {
			reach = append(reach, n)
		}
	}
	i := invite.New(m, s.Reached(), reach)
	if m.Owner != "" {
		owner, err := s.Store.User(ctx, m.Owner)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return i, err
		}
		i.Organizer = owner.Email
	}
	return i, nil
}
