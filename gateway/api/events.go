package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// Hub hands events to everybody who listens. One who is too slow is cut off
// and comes again.
type Hub struct {
	mu        sync.Mutex
	listeners map[chan Event]bool
}

// Event is a change of meetings, participants or calls.
type Event struct {
	Topic string // meeting, participant, call
	Owner string // the account whose meeting it is of; empty: nobody's, so superusers' alone
	Data  any
}

const (
	hubBuffer    = 256
	hubListeners = 1000
	heartbeat    = 2 * time.Second // after which a revoked listener is gone, too
)

// NewHub returns a hub without listeners.
func NewHub() *Hub { return &Hub{listeners: map[chan Event]bool{}} }

// Send never blocks.
func (h *Hub) Send(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.listeners {
		select {
		case c <- e:
		default:
			delete(h.listeners, c)
			close(c)
		}
	}
}

func (h *Hub) listen() (events chan Event, stop func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) >= hubListeners {
		return nil, nil, false
	}
	c := make(chan Event, hubBuffer)
	h.listeners[c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.listeners[c] {
			delete(h.listeners, c)
			close(c)
		}
	}, true
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
	events, stop, ok := s.Hub.listen()
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
			if !allowed(user.Role, store.RoleSuperuser) && (e.Owner == "" || e.Owner != user.ID) {
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

// describeEvents puts the stream into the description of the API, which knows
// only what answers once.
func describeEvents(api huma.API) {
	o := operation("GET", "/events", "events", "Every change of meetings, participants and calls, as server-sent events", store.RoleUser, "Calls")
	o.Description = "Topics: meeting, participant, call. Users are told of their own meetings, superusers of all and of calls. The stream ends when the right to it does."
	o.Responses = map[string]*huma.Response{"200": {Description: "the events, for as long as the connection lasts", Content: map[string]*huma.MediaType{"text/event-stream": {}}}}
	api.OpenAPI().AddOperation(&o)
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
