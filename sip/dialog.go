package sip

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/sip/sdp"
)

// request handles a request within the dialog (RFC 3261 12.2.2).
func (l *leg) request(tx *serverTx, in *flow) {
	req := tx.req
	answer := func(status int) { tx.respond(reply(req, status, l.localTag)) }
	switch {
	case l.flow.secure() && !in.secure():
		answer(403)
		return
	case l.state == over:
		answer(481)
		return
	case req.CSeq().SeqNo < l.remoteSeq:
		answer(500)
		return
	}
	l.remoteSeq = req.CSeq().SeqNo
	if bad := unsupported(req); bad != "" && req.Method != siplib.BYE {
		l.refuseRequest(tx, &refusal{status: 420, set: [][2]string{{"Unsupported", bad}}})
		return
	}
	if in.network == l.flow.network {
		l.flow = l.over(in) // the peer may have a new address, or a new connection
	}
	switch req.Method {
	case siplib.BYE:
		l.byed(tx)
	case siplib.INVITE, siplib.UPDATE:
		l.renegotiate(tx)
	case siplib.PRACK:
		l.prack(tx)
	case siplib.INFO:
		l.infoRequest(tx)
	case siplib.MESSAGE:
		l.e.written(tx, in, l)
	case siplib.OPTIONS:
		tx.respond(l.response(tx, 200, nil))
	case siplib.REFER:
		answer(603) // a meeting is not sent elsewhere by its guests
	case siplib.SUBSCRIBE:
		answer(489)
	case siplib.NOTIFY:
		answer(481)
	default:
		l.refuseRequest(tx, &refusal{status: 405, set: [][2]string{{"Allow", allow}}})
	}
}

// byed ends the call on the peer's BYE (RFC 3261 15.1.2).
func (l *leg) byed(tx *serverTx) {
	tx.respond(reply(tx.req, 200, l.localTag))
	if l.state == proceeding && !l.out {
		l.incall.status = 487
		l.incall.tx.respond(reply(l.incall.tx.req, 487, l.localTag))
	}
	l.ended(byeReason(tx.req))
}

// bye ends the call with a BYE that tells why (RFC 3326).
func (l *leg) bye(r core.Reason) {
	if l.state == over {
		return
	}
	req := l.newRequest(siplib.BYE)
	set(req, "Reason", reasonHeader(r))
	l.send(req, func(*response) {}, func(error) {})
	l.ended(r)
}

// renegotiate is re-INVITE (RFC 3261 14.2) and UPDATE (RFC 3311 5.2).
func (l *leg) renegotiate(tx *serverTx) {
	req, invite := tx.req, tx.req.Method == siplib.INVITE
	body := bodyOf(req, "application/sdp")
	if no := l.mayRenegotiate(invite, body != nil); no != nil {
		l.refuseRequest(tx, no)
		return
	}
	if no := l.sessionTimer(req); no != nil {
		l.refuseRequest(tx, no)
		return
	}
	var out []byte
	var agreed *sdp.Agreed
	switch {
	case body != nil:
		offer, err := sdp.Decode(body)
		if err == nil {
			if l.trunk == nil {
				l.invited(offer)
			}
			var answer *sdp.Session
			if answer, agreed, err = l.agent.Answer(offer); err == nil {
				out = answer.Marshal()
			}
		}
		if err != nil {
			l.refuseRequest(tx, l.e.unacceptable(err))
			return
		}
	case invite:
		out, l.offered = l.agent.Offer().Marshal(), true
	}
	if c := req.Contact(); c != nil && c.Address.Host != "" && !c.Address.Wildcard {
		l.target = c.Address
	}
	l.learn(req)
	res := l.response(tx, 200, out)
	l.putSessionTimer(res, req)
	if invite {
		l.theirs = tx
		l.accept(tx, res)
	} else {
		tx.respond(res)
	}
	if agreed != nil {
		l.incall.answer = out
		l.agree(agreed)
	}
}

// mayRenegotiate refuses what would cross another offer (RFC 3261 14.2, RFC
// 3311 5.2, RFC 6337 3).
func (l *leg) mayRenegotiate(invite, offer bool) *refusal {
	switch {
	case l.ours != nil && (invite || offer):
		return &refusal{status: 491}
	case l.theirs != nil, invite && l.state != confirmed, l.offered && offer, offer && l.agreed == nil:
		after := strconv.Itoa(rand.IntN(10))
		return &refusal{status: 500, set: [][2]string{{"Retry-After", after}}}
	}
	return nil
}

// infoRequest takes keys (the two forms in use: application/dtmf-relay of
// Cisco, application/dtmf) and lets others pass.
func (l *leg) infoRequest(tx *serverTx) {
	req := tx.req
	kind, _, _ := strings.Cut(strings.ToLower(first(req, "Content-Type")), ";")
	switch strings.TrimSpace(kind) {
	case "application/dtmf-relay", "application/dtmf":
		if !l.trunk.takes("info") {
			l.refuseRequest(tx, &refusal{status: 415, set: [][2]string{{"Accept", "application/media_control+xml"}}})
			return
		}
		key, ok := infoKey(string(req.Body()))
		if !ok {
			tx.respond(reply(req, 400, l.localTag))
			return
		}
		l.digit(key, "info")
	case "application/media_control+xml":
		if strings.Contains(string(req.Body()), "picture_fast_update") {
			l.renewStage()
		}
	case "":
	default:
		l.refuseRequest(tx, &refusal{status: 415, set: [][2]string{{"Accept", "application/dtmf-relay, application/dtmf, application/media_control+xml"}}})
		return
	}
	tx.respond(reply(req, 200, l.localTag))
}

// infoKey reads "Signal=5\r\nDuration=160" or just "5".
func infoKey(body string) (byte, bool) {
	v := body
	for _, line := range strings.Split(body, "\n") {
		if k, val, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(k), "Signal") {
			v = val
			break
		}
	}
	switch v = strings.ToUpper(strings.TrimSpace(v)); v {
	case "10":
		return '*', true
	case "11":
		return '#', true
	}
	if len(v) == 1 && strings.Contains("0123456789*#ABCD", v) {
		return v[0], true
	}
	return 0, false
}

// newRequest builds a request within the dialog (RFC 3261 12.2.1.1).
func (l *leg) newRequest(method siplib.RequestMethod) *request {
	req := siplib.NewRequest(method, l.target)
	req.Recipient.Headers = nil
	if n := len(l.routes); n > 0 && !hasParam(l.routes[0].UriParams, "lr") { // a strict router
		req.Recipient = l.routes[0]
		for _, r := range append(slices.Clone(l.routes[1:]), l.target) {
			req.AppendHeader(&siplib.RouteHeader{Address: r})
		}
	} else {
		for _, r := range l.routes {
			req.AppendHeader(&siplib.RouteHeader{Address: r})
		}
	}
	l.seq++
	l.identifyRequest(req, l.remoteTag)
	req.AppendHeader(&siplib.CSeqHeader{SeqNo: l.seq, MethodName: method})
	switch method {
	case siplib.INVITE, siplib.UPDATE:
		req.AppendHeader(l.contact())
		set(req, "Allow", allow)
		set(req, "Supported", l.trunk.supported())
	}
	return req
}

// identifyRequest puts on what all requests of the call share.
func (l *leg) identifyRequest(req *request, remoteTag string) {
	from := &siplib.FromHeader{DisplayName: l.local.name, Address: l.local.uri}
	from.Params.Add("tag", l.localTag)
	to := &siplib.ToHeader{DisplayName: l.remote.name, Address: l.remote.uri}
	if remoteTag != "" {
		to.Params.Add("tag", remoteTag)
	}
	id := siplib.CallIDHeader(l.callID)
	forwards := siplib.MaxForwardsHeader(70)
	req.AppendHeader(from)
	req.AppendHeader(to)
	req.AppendHeader(&id)
	req.AppendHeader(&forwards)
	set(req, "User-Agent", product)
}

// send starts a transaction of the dialog. The callbacks run in the box; a
// challenge is answered once.
func (l *leg) send(req *request, onResponse func(*response), onError func(error)) {
	f := l.way()
	start := func(f *flow) *clientTx { return l.transact(req, f, onResponse, onError, true) }
	if f.alive() {
		tx := start(f)
		if req.Method == siplib.INVITE || req.Method == siplib.UPDATE {
			l.ours = tx
		}
		return
	}
	to, conf := l.redial()
	go func() { // the connection is gone: make another
		f, err := l.e.reach(context.Background(), to, l.trunk, conf)
		l.box.Post(func() {
			if err != nil {
				onError(err)
				return
			}
			l.flow = f
			start(f)
		})
	}()
}

func (l *leg) transact(req *request, f *flow, onResponse func(*response), onError func(error), mayLogin bool) *clientTx {
	return l.e.send(req, f, func(res *response) {
		l.box.Post(func() {
			if mayLogin && (res.StatusCode == 401 || res.StatusCode == 407) && l.mayLogin(f) && l.login.authorize(req, res) == nil {
				l.seq++
				again := l.renew(req, l.seq)
				l.transact(again, f, onResponse, onError, false)
				return
			}
			onResponse(res)
		})
	}, func(err error) { l.box.Post(func() { onError(err) }) })
}

// renew is the same request as a new transaction.
func (l *leg) renew(req *request, seq uint32) *request {
	again := req.Clone()
	again.RemoveHeader("Via")
	again.CSeq().SeqNo = seq
	return again
}

// way is the flow that a request of the dialog takes: the one that the peer
// uses, since there may be NATs; but over UDP with a trunk, the address that
// its Route or Contact gives (RFC 3261 12.2.1.1).
func (l *leg) way() *flow {
	if l.flow.stream != nil || l.trunk == nil && !l.out {
		return l.flow
	}
	next := l.target
	if len(l.routes) > 0 {
		next = l.routes[0]
	}
	addr, err := netip.ParseAddr(strings.Trim(next.Host, "[]"))
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() {
		return l.flow
	}
	f := *l.flow
	f.remote = netip.AddrPortFrom(addr.Unmap(), portOr(next.Port, "udp"))
	return &f
}

// redial is where to connect when the connection has gone.
func (l *leg) redial() (target, *tlsConfig) {
	if l.outcall != nil && l.outcall.used.addr.IsValid() {
		return l.outcall.used, l.outcall.spec.tls
	}
	next := l.target
	if len(l.routes) > 0 {
		next = l.routes[0]
	}
	host := strings.Trim(next.Host, "[]")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addr = l.flow.remote.Addr()
	}
	return target{l.flow.network, netip.AddrPortFrom(addr.Unmap(), portOr(next.Port, l.flow.network)), host}, nil
}

// putVia names this end and asks for rport (RFC 3261 18.1.1, RFC 3581).
func (e *Edge) putVia(req *request, f *flow, branch string) {
	host := e.hostFor(f).String()
	via := &siplib.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(f.network), Host: host, Port: int(f.local.Port())}
	via.Params.Add("branch", branch)
	via.Params.Add("rport", "")
	req.PrependHeader(via)
}

// contact is this end's address for the dialog.
func (l *leg) contact() *siplib.ContactHeader {
	u := l.e.contactURI(l.flow, l.local.uri.User)
	if l.target.Scheme == "sips" {
		u.Scheme = "sips" // RFC 5630 5.1.1
	}
	return &siplib.ContactHeader{Address: u}
}

// contactURI names the listener that the peer can reach, else the flow itself.
func (e *Edge) contactURI(f *flow, user string) uri {
	if i := strings.Index(user, "**"); i >= 0 {
		user = user[:i] // a passcode is not spread further
	}
	name := map[string]string{"udp": "sip_udp", "tcp": "sip_tcp", "tls": "sips"}[f.network]
	e.streamsMu.Lock()
	at, ok := e.addresses[name]
	e.streamsMu.Unlock()
	if !ok {
		at = f.local
	}
	u := uri{Scheme: "sip", User: user, Host: e.hostFor(f).String(), Port: int(at.Port())}
	if f.secure() && e.opt.Host != "" && ok {
		u.Host = e.opt.Host
	}
	u.UriParams.Add("transport", f.network)
	return u
}

// refresh is the session timer of a call (RFC 4028).
type refresh struct {
	every time.Duration // 0: none
	ours  bool          // this end refreshes
	stop  func()
}

// Session intervals: what this end asks for, and the least it agrees to.
const (
	sessionExpires = 1800
	minSE          = 90
)

// sessionTimer takes the timer that a request asks for; a refusal is 422.
func (l *leg) sessionTimer(req *request) *refusal {
	v := first(req, "Session-Expires")
	if v == "" || l.sessionExpires() < 0 {
		l.refresh.every = 0
		return nil
	}
	n, who := parseExpires(v)
	if n == 0 {
		return &refusal{status: 400, reason: core.Reason{Code: core.Incompatible, Detail: "bad Session-Expires"}}
	}
	least := l.minSE()
	if n < least && has(req, "Supported", "timer") {
		return &refusal{status: 422, reason: core.Reason{Code: core.Incompatible, Detail: "session interval too small"}, set: [][2]string{{"Min-SE", strconv.Itoa(least)}}}
	}
	n = max(n, least)
	if theirs, err := strconv.ParseUint(strings.TrimSpace(first(req, "Min-SE")), 10, 31); err == nil {
		n = max(min(n, l.sessionExpires()), least, int(min(theirs, 86400)))
	}
	l.refresh.every = time.Duration(n) * time.Second
	l.refresh.ours = who != "uac" || !has(req, "Supported", "timer")
	return nil
}

func parseExpires(v string) (seconds int, refresher string) {
	num, params, _ := strings.Cut(v, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(num), 10, 31)
	if err != nil {
		return 0, ""
	}
	for _, p := range strings.Split(params, ";") {
		if k, val, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(k, "refresher") {
			refresher = strings.ToLower(strings.TrimSpace(val))
		}
	}
	return int(min(n, 86400)), refresher
}

// putSessionTimer confirms the timer on a 2xx and starts it.
func (l *leg) putSessionTimer(res *response, req *request) {
	if l.refresh.every > 0 {
		who := "uac"
		if l.refresh.ours {
			who = "uas"
		}
		set(res, "Session-Expires", strconv.Itoa(int(l.refresh.every/time.Second))+";refresher="+who)
		if !l.refresh.ours {
			set(res, "Require", "timer")
		}
	}
	l.armRefresh()
}

// armRefresh waits for the time to refresh, or for the peer to have failed to.
func (l *leg) armRefresh() {
	if l.refresh.stop != nil {
		l.refresh.stop()
		l.refresh.stop = nil
	}
	d := l.refresh.every
	switch {
	case d == 0:
	case l.refresh.ours:
		l.refresh.stop = l.after(d/2, l.refreshNow)
	default:
		l.refresh.stop = l.after(d-min(32*time.Second, d/3), func() {
			l.bye(core.Reason{Code: core.MediaTimeout, Detail: "session timer expired"})
		})
	}
}

// refreshNow sends UPDATE without SDP where the peer knows it, else a
// re-INVITE that changes nothing (RFC 4028 7.4).
func (l *leg) refreshNow() {
	if l.state != confirmed || l.ours != nil || l.theirs != nil {
		l.refresh.stop = l.after(time.Duration(1+rand.IntN(3))*time.Second, l.refreshNow)
		return
	}
	if l.peer[siplib.UPDATE] {
		req := l.newRequest(siplib.UPDATE)
		l.askTimer(req)
		l.send(req, l.refreshed, l.refreshFailed)
		return
	}
	l.reinvite(l.refreshed)
}

func (l *leg) askTimer(req *request) {
	set(req, "Session-Expires", strconv.Itoa(int(l.refresh.every/time.Second))+";refresher=uac")
	set(req, "Min-SE", strconv.Itoa(l.minSE()))
}

// reinvite offers anew what this end does.
func (l *leg) reinvite(done func(*response)) {
	req := l.newRequest(siplib.INVITE)
	if l.refresh.every > 0 {
		l.askTimer(req)
	}
	set(req, "Content-Type", "application/sdp")
	req.SetBody(l.agent.Offer().Marshal())
	l.offered = true
	l.send(req, func(res *response) {
		if res.StatusCode >= 200 && res.StatusCode < 300 {
			l.ackFor(req, res)
		}
		done(res)
	}, l.refreshFailed)
}

// refreshed takes the response to a re-INVITE or UPDATE of ours.
func (l *leg) refreshed(res *response) {
	if res.StatusCode < 200 || l.state != confirmed {
		return
	}
	fresh := l.ours != nil
	l.ours = nil
	switch s := res.StatusCode; {
	case s < 300:
		if l.offered && fresh {
			l.offered = false
			if err := l.takeAnswer(bodyOf(res, "application/sdp")); err != nil {
				l.bye(core.ReasonOf(err))
				return
			}
		}
		l.confirmTimer(res)
	case s == 408 || s == 481:
		l.bye(core.Reason{Code: core.Unreachable, Detail: "peer does not know the call any more"})
	default:
		// 491 and others: the session goes on as it was; try again after the
		// time of RFC 3261 14.1.
		l.offered = false
		wait := time.Duration(rand.IntN(2000)) * time.Millisecond
		if l.out {
			wait += 2100 * time.Millisecond
		}
		l.refresh.stop = l.after(wait, l.refreshNow)
	}
}

func (l *leg) refreshFailed(error) {
	l.ours = nil
	if l.state == confirmed {
		l.bye(core.Reason{Code: core.Unreachable, Detail: "no answer to the session refresh"})
	}
}

// confirmTimer takes the timer that a 2xx of the peer settles.
func (l *leg) confirmTimer(res *response) {
	if v := first(res, "Session-Expires"); v != "" {
		if n, who := parseExpires(v); n > 0 {
			l.refresh.every, l.refresh.ours = time.Duration(max(n, l.minSE()))*time.Second, who != "uas"
		}
	} else if !l.refresh.ours {
		l.refresh.every = 0
	}
	l.armRefresh()
}

// ackFor sends the ACK of a 2xx: a request of its own, with the credentials of
// the INVITE (RFC 3261 13.2.2.4).
func (l *leg) ackFor(invite *request, res *response) {
	req := l.newRequest(siplib.ACK)
	l.seq--
	req.CSeq().SeqNo = res.CSeq().SeqNo
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, v := range all(invite, name) {
			set(req, name, v)
		}
	}
	f := l.way()
	l.e.putVia(req, f, siplib.GenerateBranchN(16))
	finish(req)
	f.send([]byte(req.String()), req)
}
