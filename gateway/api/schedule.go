package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// ScheduleBody is when a meeting takes place.
type ScheduleBody struct {
	Start    time.Time    `json:"start,omitzero" doc:"of the first, RFC 3339" example:"2026-03-05T09:30:00+01:00"`
	TimeZone string       `json:"time_zone,omitempty" maxLength:"64" doc:"IANA name; it repeats by the clock there" example:"Europe/Berlin"`
	Minutes  int          `json:"minutes" minimum:"0" maximum:"10080"`
	Repeat   store.Repeat `json:"repeat,omitempty" enum:"daily,weekdays,weekly,monthly"`
}

type scheduleView struct {
	ScheduleBody
	Next time.Time `json:"next,omitzero" doc:"the next, or the one that is now; missing when all are over"`
}

// schedule checks what was given; none is the zero Schedule.
func (b *ScheduleBody) schedule() (at store.Schedule, err error) {
	if b == nil || b.Minutes == 0 {
		return at, nil
	}
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil || b.TimeZone == "Local" {
		return at, huma.Error422UnprocessableEntity("There is no time zone " + b.TimeZone + "; write one like Europe/Berlin.")
	}
	if y := b.Start.Year(); y < 2000 || y > 2200 {
		return at, huma.Error422UnprocessableEntity("A schedule has a start, with the year in four digits.")
	}
	return store.Schedule{Start: b.Start.In(zone).Truncate(time.Second), Minutes: b.Minutes, Repeat: b.Repeat}, nil
}

func scheduled(at store.Schedule) *scheduleView {
	if at.Start.IsZero() {
		return nil
	}
	v := &scheduleView{ScheduleBody: ScheduleBody{at.Start, at.Start.Location().String(), at.Minutes, at.Repeat}}
	v.Next, _ = at.Next(time.Now())
	return v
}

// hosts finds the ids of accounts.
func (s *server) hosts(ctx context.Context, idsOrEmails []string) (ids []string, err error) {
	for _, who := range idsOrEmails {
		u, err := s.Store.User(ctx, who)
		if errors.Is(err, store.ErrNotFound) {
			return nil, huma.Error422UnprocessableEntity("There is no account " + who + " to be host.")
		}
		if err != nil {
			return nil, fail(err)
		}
		ids = append(ids, u.ID)
	}
	return ids, nil
}
