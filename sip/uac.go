package sip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
)

type tlsConfig = tls.Config

// outgoing is a call of ours until it is answered.
type outgoing struct {
	spec     spec
	into     core.Room
	body     []byte
	attempts []*attempt
	news     chan news // to the goroutine that dials; never blocks
	told     bool      // Dial has returned
	used     target
	peers    []netip.Addr
	guard    *guard
	closing  *core.Reason
	minSE    int
}

// news is what becomes of the attempts under way.
type news struct {
	rings bool
	err   error
	again bool          // another server may do better
	wait  time.Duration // … and this one wants to be left alone for so long
	to    *uri          // the call is redirected there
	left  bool          // the caller went away: the leg winds up by itself
}

// attempt is one INVITE under way.
type attempt struct {
	tx          *clientTx
	req         *request
	flow        *flow
	target      target
	uri         uri
	provisional bool
	done        bool // answered finally, or left
	left        bool // for another server
	cancelled   bool // not wanted any more …
	cancelSent  bool // … and the peer knows
	logins      int
	rseq        uint32
}

func (o *outgoing) release() {
	for _, a := range o.peers {
		o.guard.unknow(a)
	}
	o.peers = nil
}

// unplaced records a call that was not even begun.
func (e *Edge) unplaced(s *spec, r core.Reason) error {
	info := s.info
	info.ID, info.Protocol, info.Direction = newID(), s.protocol, core.Out
	t := edge.TraceEvent{Kind: edge.Refused, Leg: info.ID, From: s.from.uri.User, To: s.called(), Reason: r, Info: info}
	if s.trunk != nil {
		t.Trunk = s.trunk.config.Name
	}
	e.trace(t)
	return r
}

// called is whom a call is for, as records show it.
func (s *spec) called() string {
	if s.trunk != nil {
		return edge.MaskPasscode(s.uri.User)
	}
	return edge.MaskPasscode(hostPortUser(s.uri))
}

// caller builds the leg of a call out.
func (e *Edge) caller(s *spec, into core.Room) (*leg, error) {
	l := e.newLeg(newID()+"@"+e.domain(), true)
	l.local, l.remote, l.target, l.trunk, l.login, l.to = s.from, s.to, s.uri, s.trunk, s.login, edge.MaskPasscode(s.uri.User)
	l.outcall = &outgoing{spec: *s, into: into, news: make(chan news, 64), guard: e.guard}
	i := &l.info
	i.Name, i.Address, i.Phone, i.User, i.Request, i.Protocol = s.info.Name, s.info.Address, s.info.Phone, s.info.User, s.info.Request, s.protocol
	if l.trunk != nil && !l.trunk.enter() {
		return nil, e.unplaced(s, core.Reason{Code: core.Overload, Detail: "trunk " + l.trunk.config.Name + ": all channels are in use"})
	}
	if err := e.enlist(l); err != nil {
		if l.trunk != nil {
			l.trunk.calls.Add(-1)
		}
		return nil, err
	}
	l.log.Info("SIP call out", "to", l.to, "trunk", l.trunkName())
	e.trace(edge.TraceEvent{Kind: edge.Started, CallID: l.callID, Leg: i.ID, Trunk: l.trunkName(), From: s.from.uri.User, To: s.called(), Info: *i})
	return l, nil
}

func (l *leg) tell(n news) {
	o := l.outcall
	if o.told {
		return
	}
	o.told = n.rings
	select {
	case o.news <- n:
	default:
	}
}

// inviteOver sends one INVITE.
func (l *leg) inviteOver(a *attempt) error {
	o := l.outcall
	if l.state != proceeding {
		return l.reason
	}
	l.flow = a.flow
	if l.media == nil {
		if err := l.openMedia(a.flow, o.spec.policy, o.spec.codecs, netip.AddrPort{}); err != nil {
			return err
		}
		if o.spec.video {
			l.openVideo()
			if a.flow.reliable() { // the offer does not fit a datagram
				l.openContent(o.spec.presents)
			}
		}
		o.body = l.agent.Offer().Marshal()
		l.update(func(i *core.Info) {
			i.Source = a.flow.remote.Addr()
			if a.flow.secure() {
				i.Security.Signalling = "tls"
			}
		})
	}
	req := siplib.NewRequest(siplib.INVITE, a.uri)
	l.seq++
	l.identifyRequest(req, "")
	req.AppendHeader(&siplib.CSeqHeader{SeqNo: l.seq, MethodName: siplib.INVITE})
	req.AppendHeader(l.contact())
	set(req, "Allow", allow)
	set(req, "Supported", l.trunk.supported())
	if l.trunk.mustBeReliable() {
		set(req, "Require", "100rel")
	}
	l.offerTimer(req)
	for _, h := range o.spec.headers {
		set(req, h[0], h[1])
	}
	if o.spec.signs != nil {
		for _, h := range o.spec.signs(time.Now()) {
			set(req, h[0], h[1])
		}
	}
	set(req, "Content-Type", "application/sdp")
	req.SetBody(o.body)
	o.attempts = append(o.attempts, a)
	l.try(a, req)
	return nil
}

func (l *leg) try(a *attempt, req *request) {
	a.req = req
	a.tx = l.e.send(req, a.flow,
		func(res *response) { l.box.Post(func() { l.responded(a, req, res) }) },
		func(err error) { l.box.Post(func() { l.unanswered(a, err) }) })
}

// unanswered: the server can't be reached, or keeps silent.
func (l *leg) unanswered(a *attempt, err error) {
	if a.done {
		return
	}
	a.done = true
	r := core.Reason{Code: core.Unreachable, Say: "The address does not answer.", Detail: "sip: " + a.flow.remote.String() + ": " + err.Error()}
	if errors.Is(err, errTimeout) && a.provisional {
		r.Code = core.NoAnswer
	}
	l.e.locator.fail(a.target, penaltyTime)
	l.failed(news{err: r, again: true})
}

// failed notes the end of one attempt; the call has failed when none is left.
func (l *leg) failed(n news) {
	o := l.outcall
	if l.state != proceeding || slices.ContainsFunc(o.attempts, func(a *attempt) bool { return !a.done }) {
		return
	}
	if o.closing != nil {
		l.fail(*o.closing)
		return
	}
	if o.told {
		l.fail(core.ReasonOf(n.err))
		return
	}
	l.tell(n)
}

// fail ends a call that Dial has returned already.
func (l *leg) fail(r core.Reason) {
	into, told := l.outcall.into, l.outcall.told
	l.tell(news{err: r})
	l.ended(r)
	if w, ok := into.(core.Watcher); ok && told {
		go w.Failed(l, edge.InWords(r))
	}
}

// cancelAll ends a call of ours that is not answered (RFC 3261 9.1).
func (l *leg) cancelAll(r core.Reason) {
	o := l.outcall
	if o.closing != nil {
		return
	}
	o.closing = &r
	l.tell(news{err: r, left: true})
	open := false
	for _, a := range o.attempts {
		open = open || !a.done
		l.cancelAttempt(a)
	}
	if !open {
		l.fail(r)
	}
}

// cancelAttempt sends CANCEL once the peer has answered provisionally; before
// that it only notes the wish.
func (l *leg) cancelAttempt(a *attempt) {
	if a.done && !a.left {
		return
	}
	a.cancelled = true
	if !a.provisional || a.cancelSent {
		return
	}
	a.cancelSent = true
	switch {
	case l.state == confirmed:
		a.tx.cancel(`SIP;cause=200;text="Call completed elsewhere"`)
	case l.outcall.closing != nil:
		a.tx.cancel(reasonHeader(*l.outcall.closing))
	default:
		a.tx.cancel("")
	}
}

// responded takes a response to an INVITE of ours (RFC 3261 13.2.2).
func (l *leg) responded(a *attempt, req *request, res *response) {
	switch s := res.StatusCode; {
	case s < 200:
		l.provisional(a, res)
	case s < 300:
		l.accepted(a, req, res)
	case req != a.req || a.done:
	case s == 401 || s == 407:
		l.challenged(a, res)
	case s == 422 && l.outcall.minSE == 0 && !a.cancelled && l.sessionExpires() > 0:
		n, err := strconv.ParseUint(strings.TrimSpace(first(res, "Min-SE")), 10, 31)
		if err != nil || n > 86400 {
			n = 3600
		}
		l.outcall.minSE = int(n)
		again := l.again(a)
		again.RemoveHeader("Session-Expires")
		again.RemoveHeader("Min-SE")
		l.offerTimer(again)
		l.try(a, again)
	case s < 400 && !a.cancelled && !l.outcall.told:
		a.done = true
		l.failed(l.redirected(res))
	default:
		a.done = true
		r := failure(res)
		if s == 408 && l.outcall.told {
			r.Code = core.NoAnswer // it has rung
		}
		again := s == 408 || s == 430 || s >= 500 && s < 600 && s != 501 && s != 505
		l.failed(news{err: r, again: again, wait: retryAfter(res)})
	}
}

func (l *leg) again(a *attempt) *request {
	l.seq++
	return l.renew(a.req, l.seq)
}

func (l *leg) challenged(a *attempt, res *response) {
	again := l.again(a)
	if a.logins++; a.logins > 2 || a.cancelled || l.login.authorize(again, res) != nil {
		a.done = true
		l.failed(news{err: failure(res)})
		return
	}
	l.try(a, again)
}

// provisional: ringing, early media, and PRACK where it is asked for.
func (l *leg) provisional(a *attempt, res *response) {
	a.provisional = true
	if a.cancelled {
		l.cancelAttempt(a)
		return
	}
	if l.state != proceeding || res.StatusCode == 100 {
		return
	}
	tag := param(res.To().Params, "tag")
	if tag != "" {
		l.adopt(a, res)
		if !l.reliably(a, res) {
			return // seen before, or out of order
		}
	}
	if body := bodyOf(res, "application/sdp"); body != nil && tag != "" {
		if err := l.takeAnswer(body); err != nil {
			l.log.Info("SIP early media refused", "reason", err)
		}
	}
	if res.StatusCode >= 180 {
		if w, ok := l.outcall.into.(core.Watcher); ok {
			go w.Ringing(l)
		}
		l.tell(news{rings: true})
	}
}

// adopt takes the dialog that a response sets up (RFC 3261 12.1.2).
func (l *leg) adopt(a *attempt, res *response) {
	l.flow = a.flow
	l.remoteTag = param(res.To().Params, "tag")
	if c := res.Contact(); c != nil && c.Address.Host != "" && !c.Address.Wildcard {
		l.target = c.Address
	}
	l.routes = nil
	for _, h := range res.GetHeaders("Record-Route") {
		if rr, ok := h.(*siplib.RecordRouteHeader); ok && len(l.routes) < 16 {
			l.routes = append(l.routes, rr.Address)
		}
	}
	slices.Reverse(l.routes)
	l.learn(res)
}

// reliably acknowledges a reliable response by PRACK (RFC 3262 4); false when
// it is to be ignored.
func (l *leg) reliably(a *attempt, res *response) bool {
	if !has(res, "Require", "100rel") {
		return true
	}
	n, err := strconv.ParseUint(strings.TrimSpace(first(res, "RSeq")), 10, 32)
	if err != nil || n == 0 || a.rseq != 0 && uint32(n) != a.rseq+1 {
		return false
	}
	a.rseq = uint32(n)
	req := l.newRequest(siplib.PRACK)
	set(req, "RAck", fmt.Sprintf("%d %d INVITE", n, res.CSeq().SeqNo))
	l.transact(req, l.way(), func(*response) {}, func(error) {}, true)
	return true
}

// accepted takes a 2xx: the first connects the call, those of other forks and
// those after a CANCEL are acknowledged and ended at once.
func (l *leg) accepted(a *attempt, req *request, res *response) {
	tag := param(res.To().Params, "tag")
	if l.state == confirmed && tag == l.remoteTag && a.done {
		l.ackFor(req, res) // ours was lost
		return
	}
	if l.state != proceeding || a.cancelled || l.outcall.closing != nil {
		l.refuseFork(a, req, res)
		if !a.done {
			a.done = true
			l.failed(news{err: core.Reason{Code: core.Normal}})
		}
		return
	}
	a.done = true
	l.adopt(a, res)
	l.outcall.used = a.target
	l.state = confirmed
	l.box.Post(l.startWriting) // what it was sent while it rang
	l.ackFor(req, res)
	for _, other := range l.outcall.attempts {
		if other != a {
			l.cancelAttempt(other)
		}
	}
	if body := bodyOf(res, "application/sdp"); body != nil || l.agreed == nil {
		if err := l.takeAnswer(body); err != nil {
			r := core.ReasonOf(err)
			l.tell(news{err: r})
			l.bye(r)
			return
		}
	}
	l.refresh.ours = true
	l.confirmTimer(res)
	l.watchMedia()
	l.limitLength()
	l.log.Info("SIP call out answered", "codec", l.Info().Audio.Name)
	l.e.trace(edge.TraceEvent{Kind: edge.Answered, CallID: l.callID, Leg: l.info.ID, Flow: l.flowInfo(), Trunk: l.trunkName(), Status: res.StatusCode, Info: l.Info()})
	l.tell(news{rings: true})
	go l.join()
}

func (l *leg) join() {
	if err := l.outcall.into.Join(l.e.serving(), l); err != nil {
		l.Hangup(core.ReasonOf(err))
	}
}

// refuseFork sends ACK and BYE in the dialog of a 2xx that is not wanted.
func (l *leg) refuseFork(a *attempt, req *request, res *response) {
	fork := &leg{e: l.e, out: true, callID: l.callID, localTag: l.localTag, local: l.local, remote: l.remote, target: a.uri, seq: l.seq, login: l.login, trunk: l.trunk}
	fork.adopt(a, res)
	fork.ackFor(req, res)
	bye := fork.newRequest(siplib.BYE)
	l.seq = fork.seq
	l.e.send(bye, fork.way(), func(*response) {}, func(error) {})
}
