package api

import (
	"cmp"
	"context"
	"errors"
	"net/mail"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/invite"
	post "bridgehead/gateway/mail"
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

// When a meeting takes place that an invitation is for.
type When struct {
	Start   time.Time `query:"start" json:"start,omitzero" doc:"when it begins (RFC 3339); as scheduled, or at the next full hour, when missing"`
	Minutes int       `query:"minutes" json:"minutes,omitempty" minimum:"1" maximum:"10080" doc:"as scheduled, or 60, when missing"`
}

// date sets when the meeting takes place.
func (w When) date(i *invite.Invitation, m store.Meeting, now time.Time) {
	i.Start, i.Duration = w.Start, time.Duration(cmp.Or(w.Minutes, m.Schedule.Minutes, 60))*time.Minute
	if i.Start.IsZero() {
		i.Start, i.Repeat = m.Schedule.Start, m.Schedule.Repeat
	}
	if i.Start.IsZero() {
		i.Start = now.Truncate(time.Hour).Add(time.Hour)
	}
}

type invitationInput struct {
	ByNumber
	Format string `query:"format" enum:"json,text,html,ics" default:"json"`
	When
}

func (s *server) invitations(api huma.API) {
	o := operation("GET", "/meetings/{number}/invitation", "invitation", "The invitation to a meeting, as text, HTML and iCalendar", store.RoleUser, "Meetings")
	view := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[invitationView](), true, "")
	o.Responses = map[string]*huma.Response{"200": {Description: "The invitation in the format asked for",
		Content: map[string]*huma.MediaType{"application/json": {Schema: view}, "text/plain": textual(), "text/html": textual(), "text/calendar": textual()}}}
	huma.Register(api, o, s.invitation)
	huma.Register(api, operation("POST", "/meetings/{number}/invitation", "send-invitation", "Send the invitation by mail, to each alone", store.RoleUser, "Meetings"), s.sendInvitation)
}

type lettersBody struct {
	To []string `json:"to" minItems:"1" maxItems:"50" doc:"e-mail addresses"`
	When
}

// lettersAnHour is how many people an account may invite by mail.
const lettersAnHour = 200

func (s *server) sendInvitation(ctx context.Context, in *struct {
	ByNumber
	Body lettersBody
}) (*nothing, error) {
	m, err := s.hosted(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	for _, to := range in.Body.To {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			return nil, huma.Error422UnprocessableEntity(to + " is no e-mail address.")
		}
	}
	if s.Mail == nil {
		return nil, huma.Error409Conflict("Mail is not set up here: the operator has to set mail.server and mail.from.")
	}
	if !s.maySend(userOf(ctx).ID, len(in.Body.To)) {
		return nil, huma.Error429TooManyRequests("You have invited many people; try again in an hour.")
	}
	i, err := s.invite(ctx, m)
	if err != nil {
		return nil, fail(err)
	}
	now := time.Now()
	in.Body.date(&i, m, now)
	err = s.Mail(ctx, post.Letter{To: in.Body.To, ReplyTo: i.Organizer, Subject: "Invitation: " + i.Name, Text: i.Text(), HTML: i.HTML(), ICal: i.ICal(now)})
	if err != nil {
		s.Log.Error("invitation not sent", "meeting", m.Number, "error", err)
		return nil, huma.Error502BadGateway("The mail server did not take the invitation. The log of the gateway says why.")
	}
	return nil, nil
}

// maySend counts letters of an account.
func (s *server) maySend(account string, letters int) bool {
	s.lettersMu.Lock()
	defer s.lettersMu.Unlock()
	return s.letters.At(time.Now(), account, lettersAnHour/time.Hour.Seconds(), lettersAnHour).TakeAll(letters)
}

func (s *server) invitation(ctx context.Context, in *invitationInput) (*file, error) {
	m, err := s.hosted(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	i, err := s.invite(ctx, m)
	if err != nil {
		return nil, fail(err)
	}
	now := time.Now()
	in.date(&i, m, now)
	out := &file{CacheControl: "no-store"}
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
