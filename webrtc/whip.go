package webrtc

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// servePost answers an offer by WHIP (RFC 9725), or by its mirror for playing,
// WHEP. The bearer token is the meeting's passcode. A player has one section for
// sound, gets everything mixed in it, and sees who speaks or shares.
func (e *Edge) servePost(w http.ResponseWriter, r *http.Request, plays bool) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/sdp" {
		http.Error(w, "application/sdp is needed", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSDP))
	if err != nil {
		http.Error(w, "the offer is too long", http.StatusRequestEntityTooLarge)
		return
	}
	info, err := e.caller(r)
	if err != nil {
		http.Error(w, "unknown source", http.StatusBadRequest)
		return
	}
	info.Name = clean(r.URL.Query().Get("name"), maxName)
	passcode, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	l, answer, err := e.post(r.Context(), info, r.PathValue("number"), passcode, string(body), plays, flowOf(r))
	if err != nil {
		refuseHTTP(w, core.ReasonOf(err))
		return
	}
	for _, s := range e.iceServers(l.id) {
		for _, u := range s.URLs {
			w.Header().Add("Link", fmt.Sprintf(`<%s>; rel="ice-server"; username=%q; credential=%q; credential-type="password"`,
				u, s.Username, s.Credential))
		}
	}
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", r.URL.Path+"/"+l.token)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// post makes the leg, answers its offer, and joins it to the room.
func (e *Edge) post(ctx context.Context, info core.Info, number, passcode, offer string, plays bool, flow edge.FlowInfo) (*Leg, string, error) {
	e.mu.Lock()
	plan := e.plan
	e.mu.Unlock()
	if plan == nil {
		return nil, "", core.Reason{Code: core.Shutdown}
	}
	if len(number) > maxValue || len(passcode) > maxValue {
		return nil, "", core.Reason{Code: core.NotFound}
	}
	l := newLeg(e, info)
	l.plays = plays
	l.mediaOff = core.Now() // no person is to be waited for
	to := number
	if passcode != "" {
		to += "**" + passcode
	}
	room, err := plan.Route(ctx, core.Call{To: to, From: info.Name, Info: l.Info()})
	if err != nil {
		return nil, "", err
	}
	if err := e.admit(l, info.Source); err != nil {
		return nil, "", err
	}
	m := &request{Type: "offer", SDP: offer}
	l.message(edge.Received, flow, m)
	answer, err := l.offer(m)
	if err == nil {
		err = room.Join(ctx, l)
	}
	if err != nil {
		l.Hangup(core.ReasonOf(err))
		<-l.done
		return nil, "", err
	}
	l.log.Info("call", "meeting", number, "source", info.Source, "plays", plays)
	l.answered()
	l.message(edge.Sent, flow, answerMsg{Type: "answer", SDP: answer})
	return l, answer, nil
}

// session finds the leg that a Location names.
func (e *Edge) session(r *http.Request) *Leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.legs[r.PathValue("session")]
}

// servePatch takes trickled candidates, of which none are needed. An ICE restart
// is refused (RFC 9725, section 4.3.3): the client posts anew.
func (e *Edge) servePatch(w http.ResponseWriter, r *http.Request) {
	switch {
	case e.session(r) == nil:
		http.Error(w, "no such session", http.StatusNotFound)
	case r.Header.Get("If-Match") == "*":
		http.Error(w, "ICE restart is not done here", http.StatusUnprocessableEntity)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *Edge) serveDelete(w http.ResponseWriter, r *http.Request) {
	l := e.session(r)
	if l == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	l.Hangup(core.Reason{Code: core.Normal})
}

func refuseHTTP(w http.ResponseWriter, r core.Reason) {
	status := map[core.Code]int{
		core.WrongPasscode: http.StatusUnauthorized, core.NotFound: http.StatusNotFound, core.Throttled: http.StatusTooManyRequests,
		core.Incompatible: http.StatusBadRequest, core.Full: http.StatusForbidden, core.Locked: http.StatusForbidden,
		core.Forbidden: http.StatusForbidden, core.NotEncrypted: http.StatusForbidden, core.Overload: http.StatusServiceUnavailable,
		core.Shutdown: http.StatusServiceUnavailable,
	}[r.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, say(r), status)
}

// watch lets a player see a shared screen, else who speaks.
func (l *Leg) watch(e core.Event) {
	switch e := e.(type) {
	case core.Roster:
		l.mu.Lock()
		l.screen = ""
		for _, p := range e.Parties {
			for _, s := range p.Sources {
				if s == core.Screen {
					l.screen = p.ID
				}
			}
		}
		l.mu.Unlock()
	case core.Speaking:
		if len(e.Parties) == 0 {
			return
		}
		l.mu.Lock()
		l.speaker = e.Parties[0]
		l.mu.Unlock()
	default:
		return
	}
	l.mu.Lock()
	want := core.Want{Party: l.speaker, Source: core.Camera, Height: 720}
	if l.screen != "" {
		want = core.Want{Party: l.screen, Source: core.Screen, Height: 1080}
	}
	changed := want != l.watching && want.Party != ""
	view := core.View{Wants: []core.Want{want}}
	if changed {
		l.watching = want
		l.said.note(view)
	}
	l.mu.Unlock()
	if changed {
		l.toRoom(view)
	}
}
