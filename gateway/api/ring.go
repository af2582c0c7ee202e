package api

import (
	"context"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// ringFor is how long a person may answer.
const ringFor = time.Minute

// ringing is who is being called, in the pages that they have open.
type ringing struct {
	mu    sync.Mutex
	calls map[rung]time.Time
}

// rung is a call of an account to a meeting.
type rung struct{ meeting, account string }

// maxRinging bounds the calls that ring at once.
const maxRinging = 10_000

// begin notes a call; false: there are too many.
func (r *ringing) begin(c rung, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[rung]time.Time{}
	}
	for old, at := range r.calls {
		if now.Sub(at) > ringFor {
			delete(r.calls, old)
		}
	}
	if len(r.calls) >= maxRinging {
		return false
	}
	r.calls[c] = now
	return true
}

// end forgets a call; false: it does not ring.
func (r *ringing) end(c rung, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.calls[c]
	delete(r.calls, c)
	return ok && now.Sub(at) <= ringFor
}

// ringEvent tells a page that its account is called, and the caller that it
// declines.
type ringEvent struct {
	Meeting string `json:"meeting"`
	Account string `json:"account" doc:"of who calls, or declines"`
	Name    string `json:"name" doc:"its name"`
}

type ringBody struct {
	Account string `json:"account" minLength:"1" maxLength:"128" doc:"its id"`
}

// ring calls people in the pages that they have open.
func (s *server) ring(api huma.API) {
	const tag, user = "Directory", store.RoleUser
	huma.Register(api, operation("POST", "/meetings/{number}/ring", "ring", "Call a person into a meeting, in the pages that it has open", user, tag),
		func(ctx context.Context, in *struct {
			ByNumber
			Body ringBody
		}) (*nothing, error) {
			if _, err := s.mine(ctx, in.Number); err != nil {
				return nil, err
			}
			me := userOf(ctx)
			if err := s.Chat.Pace(me.ID); err != nil {
				return nil, fail(err)
			}
			if !s.Hub.listens(in.Body.Account) {
				return nil, huma.Error404NotFound("This person cannot be reached now.")
			}
			if !s.rings.begin(rung{in.Number, in.Body.Account}, time.Now()) {
				return nil, fail(core.Reason{Code: core.Overload, Say: "Too many calls ring now."})
			}
			s.Hub.Send(Event{Topic: "ring", To: []string{in.Body.Account}, Data: ringEvent{in.Number, me.ID, me.Shown()}})
			return nil, nil
		})
	huma.Register(api, operation("POST", "/meetings/{number}/decline", "decline", "Do not take a call that rings", user, tag),
		func(ctx context.Context, in *ByNumber) (*nothing, error) {
			me := userOf(ctx)
			m, err := s.Store.Meeting(ctx, in.Number)
			if err != nil || !s.rings.end(rung{in.Number, me.ID}, time.Now()) {
				return nil, huma.Error404NotFound("This call does not ring any more.")
			}
			s.Hub.Send(Event{Topic: "declined", To: []string{m.Owner, me.ID}, Data: ringEvent{in.Number, me.ID, me.Shown()}})
			return nil, nil
		})
}
