package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"bridgehead/gateway/store"
)

// Hub hands events to everybody who listens. One who is too slow is cut off
// and comes again.
type Hub struct {
	// Attended is told, and must not block, when an account begins to listen
	// and when it does no more; nil: nobody is. Set it before the first listener
	// comes.
	Attended func(account string, here bool)

	mu        sync.Mutex
	listeners map[chan Event]string // the account that listens
	accounts  map[string]int        // how often each does
}

// Event is something that has changed.
type Event struct {
	Topic string // meeting, participant, call, typed, configured, device, registrations, message, ring, declined, block, and the kinds of alerts
	// Owner is the account whose meeting it is of, told beside superusers;
	// empty: they alone.
	Owner string
	// To names the accounts that are told instead, and nobody else; All is
	// everybody who is signed in.
	To   []string
	All  bool
	Data any
}

// concerns tells whether an account may hear of it.
func (e Event) concerns(u store.User) bool {
	switch {
	case e.All:
		return true
	case e.To != nil:
		return slices.Contains(e.To, u.ID)
	}
	return allowed(u.Role, store.RoleSuperuser) || e.Owner != "" && e.Owner == u.ID
}

// Typed is what a caller has typed so far at the reception.
type Typed struct {
	Call     string `json:"call"`
	Question string `json:"question"` // enter-number or enter-passcode
	Answer   string `json:"answer"`   // a passcode as dots
	Via      string `json:"via"`      // rfc4733, info, inband or uii
}

const (
	hubBuffer    = 256
	hubListeners = 1000
	heartbeat    = 2 * time.Second // after which a revoked listener is gone, too
)

// NewHub returns a hub without listeners.
func NewHub() *Hub { return &Hub{listeners: map[chan Event]string{}, accounts: map[string]int{}} }

// Send never blocks.
func (h *Hub) Send(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.listeners {
		select {
		case c <- e:
		default:
			h.drop(c)
		}
	}
}

// listens tells whether an account has a stream of events open.
func (h *Hub) listens(account string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accounts[account] > 0
}

func (h *Hub) listen(account string) (events chan Event, stop func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) >= hubListeners {
		return nil, nil, false
	}
	c := make(chan Event, hubBuffer)
	h.listeners[c] = account
	h.attend(account, 1)
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.drop(c)
	}, true
}

// drop ends a listener, if it is one. h.mu is held.
func (h *Hub) drop(c chan Event) {
	account, ok := h.listeners[c]
	if !ok {
		return
	}
	delete(h.listeners, c)
	close(c)
	h.attend(account, -1)
}

func (h *Hub) attend(account string, n int) {
	was := h.accounts[account]
	h.accounts[account] = was + n
	if was+n == 0 {
		delete(h.accounts, account)
	}
	if (was == 0 || was+n == 0) && h.Attended != nil {
		h.Attended(account, was+n > 0)
	}
}

// events serves server-sent events (HTML Living Standard §9.2): to superusers
// all of them, to users what happens in their own meetings.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	authorization, cookies := r.Header.Get("Authorization"), r.Header.Get("Cookie")
	user, err := s.signedIn(r.Context(), authorization, cookies)
	if err != nil {
		problem(w, http.StatusUnauthorized, "Sign in first, or send a valid token.")
		return
	}
	events, stop, ok := s.Hub.listen(user.ID)
	if !ok {
		problem(w, http.StatusServiceUnavailable, "Too many listeners.")
		return
	}
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	fmt.Fprint(w, ": connected\n\n")
	_ = out.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			if user, err = s.signedIn(r.Context(), authorization, cookies); err != nil {
				return // revoked meanwhile
			}
			fmt.Fprint(w, ": still here\n\n")
		case e, ok := <-events:
			if !ok {
				return
			}
			if !e.concerns(user) {
				continue
			}
			data, err := json.Marshal(e.Data)
			if err != nil {
				continue
			}
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Topic, data)
		}
		if out.Flush() != nil {
			return
		}
	}
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
