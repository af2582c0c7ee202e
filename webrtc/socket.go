package webrtc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// Times of the signalling; docs/signalling.md states them.
const (
	joinTimeout  = 10 * time.Second
	retryTimeout = 2 * time.Minute // people type passcodes
	pingEvery    = 20 * time.Second
	writeTimeout = 10 * time.Second
	passcodes    = 3 // tries at a passcode
)

// closeCodes of the WebSocket.
var closeCodes = map[core.Code]websocket.StatusCode{
	core.Normal: websocket.StatusNormalClosure, core.Failure: 4000, core.Ended: 4001, core.Removed: 4002,
	core.Rejected: 4003, core.NotFound: 4004, core.WrongPasscode: 4005, core.Throttled: 4006, core.Full: 4007,
	core.Locked: 4008, core.NotEncrypted: 4009, core.Incompatible: 4010, core.Forbidden: 4011,
	core.Unauthorized: 4012, core.Busy: 4013, core.MediaTimeout: 4014, core.Overload: 4015, core.Revoked: 4016,
	core.Shutdown: 4017, codeReplaced: 4018, codeBadMessage: 4020, codeTimeout: 4021,
}

// Codes of the signalling itself, beyond those of core.
const (
	codeReplaced      core.Code = "replaced"
	codeResumeUnknown core.Code = "resume-unknown"
	codeBadMessage    core.Code = "bad-message"
	codeTimeout       core.Code = "timeout"
)

func closeCode(c core.Code) websocket.StatusCode {
	if code, ok := closeCodes[c]; ok {
		return code
	}
	return 4000
}

// socket is one WebSocket of a client.
type socket struct {
	edge   *Edge
	conn   *websocket.Conn
	ctx    context.Context
	cancel context.CancelFunc
	source netip.Addr
	flow   edge.FlowInfo
	leg    *Leg // nil until it is known; set by the joining goroutine alone
	info   core.Info
	// session is the token that the page's cookie brought; empty: none.
	session string
	msgs    *rate.Limiter
	offers  *rate.Limiter

	// What the client knows of who is here; the writer's own.
	told  bool
	known []core.Party

	once   sync.Once
	final  core.Reason
	ending chan struct{} // closed once final is set: the writer says bye and closes
}

// Handler serves the signalling: GET /ws, and /whip/ and /whep/.
func (e *Edge) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", e.serveSocket)
	mux.HandleFunc("POST /whip/{number}", func(w http.ResponseWriter, r *http.Request) { e.servePost(w, r, false) })
	mux.HandleFunc("POST /whep/{number}", func(w http.ResponseWriter, r *http.Request) { e.servePost(w, r, true) })
	for _, path := range []string{"/whip/{number}/{session}", "/whep/{number}/{session}"} {
		mux.HandleFunc("PATCH "+path, e.servePatch)
		mux.HandleFunc("DELETE "+path, e.serveDelete)
	}
	return mux
}

func (e *Edge) serveSocket(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	ctx := e.ctx
	e.mu.Unlock()
	if ctx == nil || ctx.Err() != nil {
		http.Error(w, "not serving", http.StatusServiceUnavailable)
		return
	}
	info, err := e.caller(r)
	if err != nil {
		http.Error(w, "unknown source", http.StatusBadRequest)
		return
	}
	source := info.Source
	if !e.openSocket(source) {
		http.Error(w, "too many connections", http.StatusTooManyRequests)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns: e.o.Origins, Subprotocols: []string{"bridgehead.v1"}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		e.closeSocket(source)
		return // Accept has answered
	}
	conn.SetReadLimit(maxMessage)
	s := &socket{
		edge: e, conn: conn, source: source, flow: flowOf(r), info: info, ending: make(chan struct{}),
		msgs: rate.NewLimiter(20, 60), offers: rate.NewLimiter(1, 10),
	}
	if c, err := r.Cookie(e.o.Cookie); err == nil {
		s.session = c.Value
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// Not in the server's goroutine, whose stack is 32 KiB by now and would stay
	// so, nor with its request, for as long as the call lasts.
	go s.serve()
}

func (s *socket) serve() {
	defer s.edge.closeSocket(s.source)
	defer func() { _ = s.conn.CloseNow() }()
	defer s.cancel()
	defer s.survive()
	s.run()
}

// survive keeps a fault in what one client sends from being everybody's.
func (s *socket) survive() {
	if r := recover(); r != nil {
		s.edge.log.Error("fault in a browser's signalling", "panic", r, "stack", string(debug.Stack()))
	}
}

// caller is what a request tells of who makes it.
func (e *Edge) caller(r *http.Request) (core.Info, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	info := core.Info{
		Protocol: core.WebRTC, Direction: core.In, Source: from.Addr().Unmap(),
		Security: core.Security{Signalling: "tls", Media: "dtls-srtp"},
	}
	if e.o.Clear && r.TLS == nil {
		info.Security.Signalling = "clear"
	}
	return info, err
}

// openSocket bounds the sockets of a source, joined or not.
func (e *Edge) openSocket(source netip.Addr) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sockets[source] >= 2*e.o.MaxPerSource {
		return false
	}
	e.sockets[source]++
	return true
}

func (e *Edge) closeSocket(source netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sockets[source]--; e.sockets[source] <= 0 {
		delete(e.sockets, source)
	}
}

// run is the socket's life: join, then messages until it closes.
func (s *socket) run() {
	l, why := s.join()
	if l == nil {
		if why.Code != "" {
			s.close(why)
		}
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(l)
	}()
	err := s.read(l)
	l.detach(s)
	var r core.Reason
	if errors.As(err, &r) {
		s.end(r)
	} else {
		s.cancel()
	}
	<-written
}

// next reads a message, at the rate allowed.
func (s *socket) next(ctx context.Context) (*request, error) {
	if err := s.msgs.Wait(ctx); err != nil {
		return nil, err
	}
	kind, b, err := s.conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	m, err := parse(b)
	if err != nil || kind != websocket.MessageText {
		return m, core.Reason{Code: codeBadMessage, Say: "The message was not understood."}
	}
	return m, nil
}

// join admits the client, however many tries it takes; nil and the reason to
// close with if it is not admitted.
func (s *socket) join() (*Leg, core.Reason) {
	wrong := 0
	wait := joinTimeout
	for {
		late := time.AfterFunc(wait, func() { s.close(core.Reason{Code: codeTimeout, Say: "No join in time."}) })
		m, err := s.next(s.ctx)
		late.Stop()
		switch {
		case err != nil:
			var r core.Reason
			errors.As(err, &r)
			return nil, r
		case m.Type == "ping":
			s.send(simpleMsg{Type: "pong", T: &m.T})
			continue
		case m.Type != "join":
			return nil, core.Reason{Code: codeBadMessage, Say: "The first message must be join."}
		}
		wait = retryTimeout
		if m.Resume != "" {
			if l := s.edge.resume(m.Resume); l != nil {
				s.leg = l
				if l.attach(s) {
					return l, core.Reason{}
				}
				s.leg = nil
			}
			s.send(errorMsg{Type: "error", Code: codeResumeUnknown, Message: "The call is over. Join again.", Retry: true})
			continue
		}
		l, err := s.enter(m)
		if err == nil {
			return l, core.Reason{}
		}
		r := core.ReasonOf(err)
		switch {
		case r.Code == core.WrongPasscode && m.Passcode == "":
			s.send(simpleMsg{Type: "need-passcode", Message: say(r)})
		case r.Code == core.WrongPasscode && wrong+1 < passcodes:
			wrong++
			left := passcodes - wrong
			s.send(errorMsg{Type: "error", Code: r.Code, Message: say(r), Retry: true, TriesLeft: &left})
		default:
			s.send(errorMsg{Type: "error", Code: r.Code, Message: say(r)})
			return nil, r
		}
	}
}

// enter routes the call and joins the room.
func (s *socket) enter(m *request) (*Leg, error) {
	info := s.info
	info.Name = m.Name
	if m.Token == "" && s.edge.o.Authenticate != nil && s.session != "" {
		// One that has run out makes a stranger, who may come in all the same.
		info.User, _ = s.edge.o.Authenticate(s.ctx, s.session)
	}
	l := newLeg(s.edge, info)
	s.leg = l
	l.message(edge.Received, s.flow, m)
	if m.Token != "" {
		user, err := s.edge.authenticate(s.ctx, m.Token)
		if err != nil {
			s.edge.refuse(l, m.Meeting, core.ReasonOf(err))
			return nil, err
		}
		l.info.User = user
	}
	to := m.Meeting
	if m.Passcode != "" {
		to += "**" + m.Passcode
	}
	if err := s.edge.admit(l, s.source); err != nil {
		s.edge.refuse(l, m.Meeting, core.ReasonOf(err))
		return nil, err
	}
	room, err := s.edge.plan.Route(s.ctx, core.Call{To: to, From: m.Name, Info: l.Info()})
	if err == nil {
		err = room.Join(s.ctx, l)
	}
	if err != nil {
		l.Hangup(core.ReasonOf(err))
		<-l.done
		return nil, err
	}
	l.log.Info("call", "meeting", m.Meeting, "source", s.source)
	l.answered()
	l.attach(s)
	return l, nil
}

// authenticate finds the account of a token that a page has sent.
func (e *Edge) authenticate(ctx context.Context, token string) (string, error) {
	if e.o.Authenticate == nil {
		return "", core.Reason{Code: core.Unauthorized}
	}
	user, err := e.o.Authenticate(ctx, token)
	if err != nil {
		return "", core.Reason{Code: core.Unauthorized, Detail: "token refused"}
	}
	return user, nil
}

// attach gives the leg this socket, in place of any before; false if the leg
// has ended meanwhile and this is a resume.
func (l *Leg) attach(s *socket) bool {
	l.mu.Lock()
	resumed := l.socketOff > 0 || l.socket != nil
	if l.ended {
		why := l.why
		l.mu.Unlock()
		if !resumed {
			s.end(why)
		}
		return !resumed
	}
	old := l.socket
	l.socket, l.socketOff = s, 0
	msg := joinedMsg{"joined", l.id, l.token, resumed, list(l.edge.iceServers(l.id))}
	l.mu.Unlock()
	if old != nil {
		old.end(core.Reason{Code: codeReplaced, Say: "The call goes on elsewhere."})
	}
	s.send(msg)
	if resumed {
		l.out.again()
		l.toRoom(core.Changed{})
	}
	return true
}

// detach notes that the socket is gone. The leg stays for Options.Resume.
func (l *Leg) detach(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == s {
		l.socket, l.socketOff = nil, core.Now()
	}
}

// read carries out the client's messages until the socket ends.
func (s *socket) read(l *Leg) error {
	for {
		m, err := s.next(s.ctx)
		if err != nil {
			return err
		}
		if err := s.do(l, m); err != nil {
			return err
		}
	}
}

func (s *socket) do(l *Leg, m *request) error {
	l.message(edge.Received, s.flow, m)
	switch m.Type {
	case "offer":
		// Its stack is deep, and goes with it.
		var offer sync.WaitGroup
		offer.Go(func() {
			defer s.survive()
			s.offer(l, m)
		})
		offer.Wait()
	case "ping":
		l.out.put(simpleMsg{Type: "pong", T: &m.T})
	case "leave":
		l.Hangup(core.Reason{Code: core.Normal})
	case "candidate", "join":
		// The server needs no candidates, and the client has joined.
	default:
		e, err := m.event()
		if err != nil {
			return core.Reason{Code: codeBadMessage, Say: "The message was not understood."}
		}
		l.note(m, e)
		if e != nil {
			l.toRoom(e)
		}
	}
	return nil
}

// note keeps what the edge itself must know of a message.
func (l *Leg) note(m *request, e core.Event) {
	l.mu.Lock()
	l.said.note(e)
	l.mu.Unlock()
	switch {
	case m.Type == "mute" && m.Source == core.Screen:
		l.screenOff.Store(m.On)
		l.endShare()
	case m.Type == "rename" && m.Name != "":
		l.mu.Lock()
		l.info.Name = m.Name
		l.mu.Unlock()
	case m.Type == "view":
		hints := map[want]string{}
		for _, w := range m.Wants {
			hints[want{Party: w.Party, Source: w.Source}] = w.Mid
		}
		l.mu.Lock()
		l.hints = hints
		l.mu.Unlock()
	}
}

func (s *socket) offer(l *Leg, m *request) {
	refuse := func(r core.Reason) {
		l.log.Info("offer refused", "code", r.Code, "detail", r.Detail)
		l.out.put(errorMsg{Type: "error", Code: r.Code, Message: say(r), ID: &m.ID})
	}
	if !s.offers.Allow() {
		refuse(core.Reason{Code: core.Throttled, Say: "Too many offers."})
		return
	}
	answer, err := l.offer(m)
	if err != nil {
		refuse(core.ReasonOf(err))
		return
	}
	l.out.put(answerMsg{"answer", m.ID, answer})
	l.negotiated()
}

// write sends what is queued until the socket ends.
func (s *socket) write(l *Leg) {
	defer s.cancel()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.ending:
			s.close(s.final)
			return
		case <-l.out.wake:
			for _, m := range l.out.take() {
				if _, ok := m.(slotsChanged); ok {
					m = l.slots()
				} else if e, ok := m.(core.Roster); ok {
					m = s.roster(e)
				} else if e, ok := m.(core.Event); ok {
					m = message(e)
				}
				if m != nil && !s.send(m) {
					return
				}
			}
		case <-ping.C:
			ctx, cancel := context.WithTimeout(s.ctx, pingEvery)
			err := s.conn.Ping(ctx)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// roster tells the client who is here: all, and from then on what changes.
func (s *socket) roster(r core.Roster) any {
	old, told := s.known, s.told
	s.known, s.told = r.Parties, true
	if !told {
		return roster(r)
	}
	return rosterChange(old, r)
}

func (s *socket) send(m any) bool {
	s.leg.message(edge.Sent, s.flow, m)
	b, err := json.Marshal(m)
	if err != nil {
		s.edge.log.Error("signalling message", "error", err)
		return true
	}
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, b) == nil
}

// end makes the writer say bye and close. Only the first reason counts.
func (s *socket) end(r core.Reason) {
	s.once.Do(func() {
		s.final = r
		close(s.ending)
	})
}

func (s *socket) close(r core.Reason) {
	s.send(byeMsg{"bye", r.Code, say(r)})
	_ = s.conn.Close(closeCode(r.Code), string(r.Code))
}

// say is what the client is to read: never the operator's detail.
func say(r core.Reason) string {
	if r.Say != "" {
		return r.Say
	}
	switch r.Code {
	case core.Normal:
		return "The call has ended."
	case core.NotFound:
		return "There is no such meeting."
	case core.WrongPasscode:
		return "The passcode is wrong."
	case core.Failure:
		return "The server has a fault."
	}
	return "The call has ended: " + strings.ReplaceAll(string(r.Code), "-", " ") + "."
}
