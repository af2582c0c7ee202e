package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/doctor"
	"bridgehead/gateway/store"
)

// calls are the records.
func (s *server) calls(api huma.API) {
	const tag = "Calls"
	huma.Register(api, operation("GET", "/calls", "list-calls", "Call records, newest first; those under way and refused attempts too", store.RoleSuperuser, tag), s.listCalls)
	huma.Register(api, operation("GET", "/calls/{id}", "get-call", "Show a call record", store.RoleSuperuser, tag), func(ctx context.Context, in *ByID) (*body[store.Call], error) {
		return answer(s.Book.Find(ctx, in.ID))
	})
	huma.Register(api, operation("GET", "/me/calls", "history", "One's own calls, and those of one's devices, newest first", store.RoleUser, tag), s.history)
	huma.Register(api, operation("GET", "/calls/{id}/ladder", "get-ladder", "The signalling and media of a call on one time line, with a verdict", store.RoleSuperuser, tag), s.ladder)
}

func (s *server) listCalls(ctx context.Context, in *struct {
	Meeting string `query:"meeting" maxLength:"32"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*body[[]store.Call], error) {
	return answer(s.Book.List(ctx, in.Meeting, in.Limit))
}

type ladder struct {
	ID       string          `json:"id"`
	Verdict  string          `json:"verdict" doc:"how the call went and what would help, in plain words"`
	Findings []store.Finding `json:"findings" doc:"all that there is to say, the verdict first"`
	Steps    []store.Step    `json:"steps"`
	LeftOut  int             `json:"left_out,omitempty" doc:"steps that the ladder had no room for, from its middle"`
	Media    []store.Sample  `json:"media" doc:"the sound over the call's time"`
}

func (s *server) ladder(ctx context.Context, in *ByID) (*body[ladder], error) {
	c, err := s.Book.Find(ctx, in.ID)
	if err != nil {
		return nil, fail(err)
	}
	found := findings(c)
	return answer(ladder{ID: in.ID, Verdict: doctor.Verdict(found), Findings: found, Steps: notNil(c.Ladder), LeftOut: c.Detail.LeftOut, Media: notNil(c.Media)}, nil)
}

// notNil has an empty list shown as one.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// historyLine is a call as its own caller sees it.
type historyLine struct {
	ID        string             `json:"id"`
	Started   time.Time          `json:"started"`
	Ended     time.Time          `json:"ended"`
	Protocol  string             `json:"protocol"`
	Direction string             `json:"direction"`
	To        string             `json:"to" doc:"as it was called; passcodes are left out"`
	Meeting   string             `json:"meeting,omitempty" doc:"its number"`
	Name      string             `json:"name,omitempty" doc:"of the meeting, while it is there"`
	Code      string             `json:"code"`
	MOS       float64            `json:"mos,omitempty"`
	Security  store.CallSecurity `json:"security,omitzero"`
}

func (s *server) history(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100"`
}) (*body[[]historyLine], error) {
	calls, err := s.Store.CallsOf(ctx, userOf(ctx).ID, in.Limit)
	if err != nil {
		return nil, fail(err)
	}
	list, names := []historyLine{}, map[string]string{}
	for _, c := range calls {
		if _, known := names[c.Meeting]; !known {
			m, _ := s.Store.Meeting(ctx, c.Meeting)
			names[c.Meeting] = m.Name
		}
		list = append(list, historyLine{c.ID, c.Started, c.Ended, c.Protocol, c.Direction, c.To, c.Meeting, names[c.Meeting], c.Code, c.Detail.MOS, c.Detail.Security})
	}
	return answer(list, nil)
}
