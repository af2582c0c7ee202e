package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/invite"
	"bridgehead/gateway/store"
)

// calendarView is the address by which calendar programs fetch the caller's
// meetings. Whoever knows it can read them, so it is told only once.
type calendarView struct {
	URL string `json:"url"`
}

// calendars are subscriptions (RFC 5545), so that people's own calendars show
// their meetings with one-click joins.
func (s *server) calendars(api huma.API) {
	const tag = "Meetings"
	huma.Register(api, operation("POST", "/me/calendar", "add-calendar", "Make a new address of one's calendar; the one before is good no more", store.RoleUser, tag), s.addCalendar)
	huma.Register(api, operation("DELETE", "/me/calendar", "remove-calendar", "End the address of one's calendar", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*nothing, error) {
		if err := s.Store.RemoveCalendar(ctx, userOf(ctx).ID); !errors.Is(err, store.ErrNotFound) {
			return nil, fail(err)
		}
		return nil, nil
	})
	o := operation("GET", "/calendar/{secret}", "calendar", "The meetings of the account whose calendar address this is, as iCalendar", "", tag)
	o.Responses = map[string]*huma.Response{"200": {Description: "the calendar", Content: map[string]*huma.MediaType{"text/calendar": textual()}}}
	huma.Register(api, o, s.calendar)
}

func (s *server) addCalendar(ctx context.Context, _ *nothing) (*body[calendarView], error) {
	web := s.Reached().Web
	if web == "" {
		return nil, huma.Error409Conflict("This gateway has no web address (listen.https).")
	}
	secret, err := s.Store.NewCalendar(ctx, userOf(ctx).ID)
	return answer(calendarView{"https://" + web + "/api/v1/calendar/" + secret}, err)
}

func (s *server) calendar(ctx context.Context, in *struct {
	Secret string `path:"secret" maxLength:"64"`
}) (*file, error) {
	owner, err := s.Store.CalendarOf(ctx, in.Secret)
	if err != nil {
		return nil, fail(err)
	}
	all, err := s.Store.Meetings(ctx)
	if err != nil {
		return nil, fail(err)
	}
	var list []invite.Invitation
	now := time.Now()
	for _, m := range all {
		if m.Schedule.Start.IsZero() || m.Owner != owner.ID && !slices.Contains(m.Hosts, owner.ID) {
			continue
		}
		i, err := s.invite(ctx, m)
		if err != nil {
			return nil, fail(err)
		}
		When{}.date(&i, m, now)
		list = append(list, i)
	}
	return &file{ContentType: "text/calendar; charset=utf-8", CacheControl: "private, max-age=60", Body: []byte(invite.Calendar("Meetings of "+owner.Shown(), list, now))}, nil
}
