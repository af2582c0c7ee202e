package sip

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// incoming is the INVITE that began a call, until its ACK.
type incoming struct {
	tx       *serverTx
	merge    string
	started  bool // media runs
	late     bool // the INVITE had no offer: ours goes in the 200
	rang     bool
	status   int
	answer   []byte // SDP that answers the INVITE's offer
	told     bool   // … has gone out in a reliable response
	rel      bool   // the peer knows 100rel
	mustRel  bool   // … and demands it
	rseq     uint32
	reliable *reliable
	refused  bool // before it was routed
	waiting  bool // to be answered once the reliable response is acknowledged
	stopAck  func()
	byeLater *core.Reason // BYE after the ACK (RFC 3261 15)
	cancel   context.CancelFunc
}

// caller is who calls, as far as the network and digest tell.
type caller struct {
	trunk  *trunk
	user   string
	name   string
	policy sdp.Policy
	codecs []core.Codec
}

// invite begins a call (RFC 3261 13.3.1).
func (e *Edge) invite(tx *serverTx, in *flow) {
	tx.hurry()
	l, no := e.incoming(tx, in)
	if no == nil {
		l.box.Post(func() { l.begin() })
		return
	}
	if l != nil && l.media != nil {
		l.media.Close()
	}
	res := no.reply(tx.req, newTag())
	if no.status == 503 {
		set(res, "Retry-After", "10")
	}
	if no.auth != nil {
		no.auth.challenge(tx.req, res, no.stale)
		if !no.wrong {
			tx.respond(res)
			e.forget(callID(tx.req), "")
			return // the first half of every login is no refused call
		}
	}
	tx.respond(res)
	from, trunk := tx.req.From().Address.User, ""
	if t := e.trunkOf(in); t != nil {
		trunk = t.config.Name
	}
	e.refuse(edge.TraceEvent{Trunk: trunk, CallID: callID(tx.req), Flow: flowInfo(in), Status: no.status, Reason: no.reason, From: from, To: called(tx.req.Recipient)})
}

// incoming checks an INVITE and builds its leg.
func (e *Edge) incoming(tx *serverTx, in *flow) (*leg, *refusal) {
	req := tx.req
	if no := e.sane(req); no != nil {
		return nil, no
	}
	who, no := e.identify(req, in)
	if no != nil {
		return nil, no
	}
	body := bodyOf(req, "application/sdp")
	if body == nil && len(req.Body()) > 0 {
		return nil, &refusal{status: 415, reason: core.Reason{Code: core.Incompatible, Detail: "body is not SDP"}, set: [][2]string{{"Accept", "application/sdp"}}}
	}
	l := e.newLeg(callID(req), false)
	l.trunk = who.trunk
	l.dialogOf(req, in)
	l.incall = incoming{tx: tx, late: body == nil, rel: has(req, "Supported", "100rel") || has(req, "Require", "100rel"), mustRel: has(req, "Require", "100rel")}
	if no := l.reliability(); no != nil {
		return nil, no
	}
	l.describe(who, req, in)
	if no := l.sessionTimer(req); no != nil {
		return nil, no
	}
	var offer *sdp.Session
	if body != nil {
		if offer, no = l.readOffer(body); no != nil {
			return nil, no
		}
	}
	if err := l.openMedia(l.flow, who.policy, who.codecs, who.sendsFrom(offer, in)); err != nil {
		return nil, refused(err)
	}
	if l.trunk == nil {
		l.invited(offer)
	}
	if offer != nil {
		if no := l.takeOffer(offer); no != nil {
			return l, no
		}
	} else if who.policy == sdp.Required {
		l.info.Security.Media = "sdes-srtp" // whatever the ACK brings, or no call
	}
	if no := l.register(req); no != nil {
		return l, no
	}
	return l, nil
}

// sane checks what does not depend on who calls.
func (e *Edge) sane(req *request) *refusal {
	bad := func(status int, detail string) *refusal {
		return &refusal{status: status, reason: core.Reason{Code: core.Incompatible, Detail: detail}}
	}
	if f := req.MaxForwards(); f != nil && f.Val() == 0 {
		return bad(483, "Max-Forwards is 0")
	}
	if s := req.Recipient.Scheme; s != "sip" && s != "sips" && s != "tel" {
		return bad(416, "URI scheme "+edge.Clean(s, 20))
	}
	if enc := first(req, "Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		no := bad(415, "Content-Encoding")
		no.set = [][2]string{{"Accept-Encoding", "identity"}}
		return no
	}
	return nil
}

// identify finds the trunk, the device or the right to call as a stranger.
func (e *Edge) identify(req *request, in *flow) (caller, *refusal) {
	if t := e.trunkOf(in); t != nil {
		if !t.spend() {
			return caller{}, &refusal{status: 503, reason: core.Reason{Code: core.Overload, Detail: "trunk " + t.config.Name + ": too many calls per second"}}
		}
		return caller{trunk: t, policy: t.policy(in), codecs: t.codecs}, e.mayCall(t, req, in)
	}
	if !in.secure() && (!e.opt.Legacy || in.client) {
		return caller{}, &refusal{status: 403, reason: core.Reason{Code: core.Forbidden, Detail: "no trunk has this source address and transport, and the legacy listener is off"}}
	}
	who := caller{policy: sdp.Required, codecs: e.codecs}
	if !in.secure() {
		who.policy = sdp.Optional
	}
	from := req.From().Address.User
	if e.opt.Devices == nil {
		return who, nil
	}
	d, isDevice := e.opt.Devices.Device(from)
	if in.stream != nil && isDevice {
		if u := in.stream.user.Load(); u != nil && *u == from {
			who.user, who.name = from, d.Name
			return who, nil
		}
	}
	// A name of ours is not lent to strangers (RFC 3261 22.2).
	if isDevice || len(all(req, "Authorization")) > 0 {
		user, d, v := e.verify(e.auth, req, in)
		switch v {
		case authOK:
		case authBlocked:
			return who, &refusal{status: 403, reason: errGuessing, set: [][2]string{{"Retry-After", "60"}}}
		default:
			return who, &refusal{status: 401, auth: e.auth, stale: v == authStale, wrong: v == authWrong, reason: core.Reason{Code: core.Unauthorized, Detail: "wrong user name or password"}}
		}
		who.user, who.name = user, d.Name
	}
	return who, nil
}

// describe fills in the leg's Info.
func (l *leg) describe(who caller, req *request, in *flow) {
	i := &l.info
	i.Source, i.User = in.remote.Addr(), who.user
	if in.secure() {
		i.Security.Signalling = "tls"
	}
	if who.trunk != nil {
		i.Protocol, i.Phone = core.PSTN, true
		i.Name, i.Address = who.trunk.callerID(req)
		return
	}
	from := req.From()
	i.Name, i.Address = who.name, hostPortUser(from.Address)
	if i.Name == "" {
		i.Name = edge.Clean(strings.TrimSpace(strings.Trim(from.DisplayName, `"`)), 64)
	}
	if i.Name == "" {
		i.Name = edge.Clean(from.Address.User, 64)
	}
	if i.Name == "" {
		i.Name = i.Source.String()
	}
}

func hostPortUser(u uri) string {
	if u.User == "" {
		return edge.Clean(u.Host, 128)
	}
	return edge.Clean(unescape(u.User)+"@"+u.Host, 128)
}

// called is the number or name that the INVITE is for.
func called(u uri) string {
	user := u.User
	if u.Scheme == "tel" {
		user = u.Raw()
	}
	user, _, _ = strings.Cut(user, ";")
	return unescape(user)
}

func unescape(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		s = out
	}
	return edge.Clean(s, 128)
}

func (l *leg) readOffer(body []byte) (*sdp.Session, *refusal) {
	offer, err := sdp.Decode(body)
	if err != nil {
		return nil, &refusal{status: 400, reason: core.Reason{Code: core.Incompatible, Detail: err.Error()}, set: [][2]string{{"Warning", warning(399, l.e.domain(), "Malformed session description")}}}
	}
	return offer, nil
}

// sendsFrom is where the caller's media is to come from, if that may be
// believed: what a trunk says, and what anybody says of the host that calls.
// Another's may be of a private network, which is not the one we know.
func (c *caller) sendsFrom(offer *sdp.Session, in *flow) netip.AddrPort {
	if offer == nil {
		return netip.AddrPort{}
	}
	i := slices.IndexFunc(offer.Media, func(m sdp.Media) bool { return m.Kind == "audio" && m.Port != 0 })
	if i < 0 || c.trunk == nil && offer.Media[i].Addr != in.remote.Addr() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(offer.Media[i].Addr, uint16(offer.Media[i].Port))
}

// takeOffer answers the INVITE's offer.
func (l *leg) takeOffer(offer *sdp.Session) *refusal {
	answer, agreed, err := l.agent.Answer(offer)
	if err != nil {
		return l.e.unacceptable(err)
	}
	l.incall.answer = answer.Marshal()
	l.agree(agreed)
	return nil
}

// register enters the leg in the tables: not twice for one INVITE that came by
// two ways (RFC 3261 8.2.2.2).
func (l *leg) register(req *request) *refusal {
	e := l.e
	merge := callID(req) + "|" + l.remoteTag + "|" + strconv.Itoa(int(l.remoteSeq))
	e.legsMu.Lock()
	_, twice := e.merged[merge]
	if !twice {
		e.merged[merge] = l
	}
	e.legsMu.Unlock()
	if twice {
		return &refusal{status: 482, reason: core.Reason{Code: core.Incompatible, Detail: "the same INVITE came by two ways"}}
	}
	undo := func() {
		e.legsMu.Lock()
		delete(e.merged, merge)
		e.legsMu.Unlock()
	}
	if t := l.trunk; t != nil && !t.enter() {
		undo()
		return &refusal{status: 503, reason: core.Reason{Code: core.Overload, Detail: "trunk " + t.config.Name + ": all channels are in use"}}
	}
	if l.trunk == nil {
		if err := e.guard.callers.Enter(l.info.Source); err != nil {
			undo()
			return refused(err)
		}
	}
	if err := e.enlist(l); err != nil {
		undo()
		if l.trunk != nil {
			l.trunk.calls.Add(-1)
		} else {
			e.guard.callers.Leave(l.info.Source)
		}
		return refused(err)
	}
	l.incall.merge = merge
	return nil
}

// begin routes the call. The room's answer comes as calls of the leg's
// methods, or as an error.
func (l *leg) begin() {
	e := l.e
	if s := l.flow.stream; s != nil {
		s.trusted.Store(true)
	}
	tx := l.incall.tx
	tx.mu.Lock()
	tx.onCancel = func(c *request) { l.box.Post(func() { l.cancelled(c) }) }
	tx.mu.Unlock()
	ctx, cancel := context.WithCancel(e.serving())
	l.incall.cancel = cancel
	call := core.Call{To: called(tx.req.Recipient), From: l.info.Address, Info: l.Info(), Trunk: l.trunkName()}
	if l.trunk != nil {
		call.To = l.trunk.calledNumber(tx.req)
	}
	l.to = edge.MaskPasscode(call.To)
	l.log.Info("SIP call", "from", l.info.Address, "to", l.to, "source", l.flow.remote, "trunk", l.trunkName(), "media", l.info.Security.Media)
	e.trace(edge.TraceEvent{Kind: edge.Started, CallID: l.callID, Leg: l.info.ID, Flow: l.flowInfo(), Trunk: l.trunkName(), From: l.info.Address, To: l.to, Info: call.Info})
	go l.route(ctx, call, tx.req)
}

func (e *Edge) serving() context.Context {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	return e.ctx
}

func (l *leg) route(ctx context.Context, call core.Call, req *request) {
	edge.Deep()
	defer func() {
		if r := recover(); r != nil {
			l.box.Fail(r)
		}
	}()
	l.e.legsMu.Lock()
	plan := l.e.plan
	l.e.legsMu.Unlock()
	if plan == nil {
		l.Hangup(core.Reason{Code: core.Unreachable, Detail: "this end takes no calls"})
		return
	}
	if no := l.vouch(ctx, req); no != nil {
		l.box.Post(func() { l.turnAway(no) })
		return
	}
	call.Info = l.Info()
	room, err := plan.Route(ctx, call)
	if err == nil {
		err = room.Join(ctx, l)
	}
	if err != nil {
		l.Hangup(core.ReasonOf(err))
	}
}

// response builds a response to the INVITE within the dialog.
func (l *leg) response(tx *serverTx, status int, body []byte) *response {
	res := reply(tx.req, status, l.localTag)
	res.AppendHeader(l.contact())
	set(res, "Allow", allow)
	set(res, "Supported", l.trunk.supported())
	if body != nil {
		set(res, "Content-Type", "application/sdp")
	}
	res.SetBody(body)
	return res
}

// ringing sends 180.
func (l *leg) ringing() {
	if l.out || l.state != proceeding || l.incall.rang {
		return
	}
	l.incall.rang = true
	l.provision(180, nil)
}

// early sends 183 with the answer, so that the caller hears the room before
// the call is connected (RFC 3960).
func (l *leg) early() {
	if l.out || l.state != proceeding || l.incall.answer == nil || l.incall.told || l.incall.waiting || l.trunk != nil && l.trunk.config.NoEarlyMedia {
		return
	}
	l.provision(183, l.incall.answer)
}

// answer sends 200.
func (l *leg) answer() {
	in := &l.incall
	if l.out || l.state != proceeding {
		return
	}
	if in.reliable != nil {
		in.waiting = true // RFC 3262 3: not before its PRACK
		return
	}
	body := in.answer
	switch {
	case in.late:
		body, l.offered = l.agent.Offer().Marshal(), true
	case in.told:
		body = nil // RFC 6337 2.2: the answer was given reliably
	}
	res := l.response(in.tx, 200, body)
	l.putSessionTimer(res, in.tx.req)
	l.state, in.status = answered, 200
	l.startMedia()
	l.e.trace(edge.TraceEvent{Kind: edge.Answered, CallID: l.callID, Leg: l.info.ID, Flow: l.flowInfo(), Trunk: l.trunkName(), Status: 200, Info: l.Info()})
	l.accept(in.tx, res)
	if !in.late {
		l.watchMedia()
	}
	l.limitLength()
	l.log.Info("SIP call answered", "codec", l.Info().Audio.Name)
}

// accept sends a 2xx to an INVITE and repeats it until the ACK, over every
// transport (RFC 3261 13.3.1.4).
func (l *leg) accept(tx *serverTx, res *response) {
	tx.respond(res)
	delay, spent := t1, time.Duration(0)
	var again func()
	again = func() {
		if spent += delay; spent >= end {
			l.state = confirmed
			l.bye(core.Reason{Code: core.Failure, Detail: "no ACK"})
			return
		}
		delay = min(2*delay, t2)
		tx.repeat()
		l.incall.stopAck = l.after(delay, again)
	}
	l.incall.stopAck = l.after(delay, again)
}

// ack ends the wait of accept; it carries the answer to an offer of ours.
func (l *leg) ack(req *request) {
	in := &l.incall
	if l.state == over || in.stopAck == nil {
		return // repeated
	}
	in.stopAck()
	in.stopAck, l.theirs = nil, nil
	if l.state == answered {
		l.state = confirmed
		in.tx, in.answer = nil, nil // a call may be long
		l.startWriting()
	}
	if l.offered {
		l.offered = false
		if err := l.takeAnswer(bodyOf(req, "application/sdp")); err != nil {
			l.bye(core.ReasonOf(err))
			return
		}
		if in.late {
			in.late = false
			l.watchMedia()
		}
	}
	if in.byeLater != nil {
		l.bye(*in.byeLater)
	}
}

// takeAnswer adopts the answer to our offer; the error is a core.Reason.
func (l *leg) takeAnswer(body []byte) error {
	if body == nil {
		return core.Reason{Code: core.Incompatible, Detail: "no answer to the offer"}
	}
	answer, err := sdp.Decode(body)
	if err != nil {
		return core.Reason{Code: core.Incompatible, Detail: err.Error()}
	}
	agreed, err := l.agent.Accept(answer)
	if err != nil {
		code := core.Incompatible
		if r, ok := err.(*sdp.Refusal); ok {
			code = r.Code
		}
		return core.Reason{Code: code, Detail: err.Error()}
	}
	l.agree(agreed)
	return nil
}

// cancelled answers the INVITE 487, unless that is too late (RFC 3261 9.2).
func (l *leg) cancelled(c *request) {
	if l.state != proceeding {
		return
	}
	l.incall.status = 487
	l.incall.tx.respond(reply(l.incall.tx.req, 487, l.localTag))
	r := byeReason(c)
	r.Detail = strings.TrimSuffix("cancelled by the caller; "+r.Detail, "; ")
	l.ended(r)
}

// dialogOf takes the dialog's state from the INVITE (RFC 3261 12.1.1).
func (l *leg) dialogOf(req *request, in *flow) {
	l.flow = l.over(in)
	l.remoteTag = param(req.From().Params, "tag")
	l.remoteSeq = req.CSeq().SeqNo
	l.local = party{req.To().DisplayName, req.To().Address}
	l.remote = party{req.From().DisplayName, req.From().Address}
	l.target = req.From().Address
	if c := req.Contact(); c != nil && c.Address.Host != "" && !c.Address.Wildcard {
		l.target = c.Address
	}
	for _, h := range req.GetHeaders("Record-Route") {
		if rr, ok := h.(*siplib.RecordRouteHeader); ok && len(l.routes) < 16 {
			l.routes = append(l.routes, rr.Address)
		}
	}
	l.learn(req)
}

// learn notes which methods the peer allows.
func (l *leg) learn(m message) {
	if methods := tokens(m, "Allow"); len(methods) > 0 {
		l.peer = make(map[siplib.RequestMethod]bool, len(methods))
		for _, x := range methods {
			l.peer[siplib.RequestMethod(strings.ToUpper(x))] = true
		}
	}
}
