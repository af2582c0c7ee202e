package sip

import (
	"bridgehead/core"
	"bridgehead/sip/sdp"
)

// refusal ends an INVITE that has no leg yet.
type refusal struct {
	status int
	phrase string // "": that of the status
	reason core.Reason
	set    [][2]string
	auth   *authenticator // challenge; nil: none
	stale  bool
	wrong  bool // the credentials were
}

// reply is the response that says so.
func (no *refusal) reply(req *request, tag string) *response {
	res := reply(req, no.status, tag)
	if no.phrase != "" {
		res.Reason = no.phrase
	}
	for _, h := range no.set {
		set(res, h[0], h[1])
	}
	return res
}

// unacceptable makes a 488 that says why of a *sdp.Refusal.
func (e *Edge) unacceptable(err error) *refusal {
	no := refused(err)
	if r, ok := err.(*sdp.Refusal); ok {
		no = &refusal{status: 488, reason: core.Reason{Code: r.Code, Detail: r.Text}}
		no.set = [][2]string{{"Warning", warning(r.Warn, e.domain(), r.Text)}}
	}
	return no
}

func refused(err error) *refusal {
	r := core.ReasonOf(err)
	return &refusal{status: outcomeOf(r.Code).status, reason: r}
}

// refuseCall gives the INVITE its final response.
func (l *leg) refuseCall(r core.Reason) {
	if l.state != proceeding || l.out {
		return
	}
	o := outcomeOf(r.Code)
	res := reply(l.incall.tx.req, o.status, l.localTag)
	set(res, "Reason", reasonHeader(r))
	switch {
	case o.status == 503:
		set(res, "Retry-After", "10")
	case o.status == 488:
		text := r.Say
		if text == "" {
			text = string(r.Code)
		}
		set(res, "Warning", warning(399, l.e.domain(), text))
	}
	l.incall.status = o.status
	l.incall.tx.respond(res)
	l.e.counters.Refused.Add(1)
	l.ended(r)
}

// refuseRequest answers a request within the call; the call goes on.
func (l *leg) refuseRequest(tx *serverTx, no *refusal) {
	tx.respond(no.reply(tx.req, l.localTag))
	l.log.Info("SIP request refused within the call", "method", tx.req.Method, "status", no.status, "reason", no.reason.Error())
}
