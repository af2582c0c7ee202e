package api

import (
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
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
	ID      string       `json:"id"`
	Verdict string       `json:"verdict"`
	Steps   []store.Step `json:"steps"`
}

func (s *server) ladder(ctx context.Context, in *ByID) (*body[ladder], error) {
	c, err := s.Book.Find(ctx, in.ID)
	if c.Ladder == nil {
		c.Ladder = []store.Step{}
	}
	return answer(ladder{ID: in.ID, Verdict: verdict(c), Steps: c.Ladder}, err)
}

// verdicts in plain words, by the code of the end.
var verdicts = map[core.Code]string{
	core.Normal: "The call ended normally.", core.Ended: "The meeting was ended by a host.", core.Removed: "A host removed the caller.",
	core.Rejected: "A host did not accept the caller.", core.NotFound: "There is no meeting or number like the one called.",
	core.WrongPasscode: "The passcode was wrong three times.", core.Throttled: "Too many wrong passcodes or numbers came from this source.",
	core.Full: "The meeting was full.", core.Locked: "The meeting was locked.", core.NotEncrypted: "The call was not encrypted where encryption is required.",
	core.Incompatible: "Caller and bridge had no codec in common, or the offer could not be understood.",
	core.Forbidden:    "The caller was not allowed to do this.", core.Unauthorized: "User name or password was wrong.", core.Busy: "The called party was busy.",
	core.NoAnswer: "Nobody answered.", core.Unreachable: "The called party could not be reached.", core.Declined: "The called party declined.",
	core.MediaTimeout: "No sound came from the caller any more, so the call was ended.", core.Overload: "The bridge had no room for another call.",
	core.Revoked: "The caller's account or device was revoked.", core.Shutdown: "The bridge was shut down.", core.Failure: "The bridge made a mistake; its log tells more.",
}

func verdict(c store.Call) string {
	if c.Code == "" {
		return "The call is under way."
	}
	v := verdicts[core.Code(c.Code)]
	if v == "" {
		v = "The call ended: " + c.Code + "."
	}
	if c.Detail.Reason != "" {
		v += fmt.Sprintf(" (%s)", c.Detail.Reason)
	}
	return v
}

// historyLine is a call as its own caller sees it.
type historyLine struct {
	ID        string    `json:"id"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Protocol  string    `json:"protocol"`
	Direction string    `json:"direction"`
	To        string    `json:"to" doc:"as it was called; passcodes are left out"`
	Meeting   string    `json:"meeting,omitempty" doc:"its number"`
	Name      string    `json:"name,omitempty" doc:"of the meeting, while it is there"`
	Code      string    `json:"code"`
	MOS       float64   `json:"mos,omitempty"`
	Security  any       `json:"security,omitempty"`
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
