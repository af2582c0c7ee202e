package sip

import (
	"strconv"
	"strings"
	"time"

	"bridgehead/core"
)

// reliable is a provisional response that has no PRACK yet (RFC 3262 3).
type reliable struct {
	res   *response
	rseq  uint32
	stop  func()
	delay time.Duration
	spent time.Duration
}

// provision sends a provisional response, reliably where it carries SDP and
// the peer can (RFC 3262 3), or always when it demands that.
func (l *leg) provision(status int, body []byte) {
	in := &l.incall
	res := l.response(in.tx, status, body)
	if !in.mustRel && (body == nil || !in.rel) {
		in.tx.respond(res)
		return
	}
	if in.reliable != nil {
		return // one at a time; what is lost is a mere ringing
	}
	in.rseq++
	if in.rseq == 1 {
		in.rseq = 1 + uint32(time.Now().UnixNano())&0xffff
	}
	set(res, "Require", "100rel")
	set(res, "RSeq", strconv.Itoa(int(in.rseq)))
	in.told = in.told || body != nil
	in.reliable = &reliable{res: res, rseq: in.rseq, delay: t1}
	in.tx.respond(res)
	l.repeatReliable()
}

// repeatReliable sends it again until PRACK, or gives the call up after 64*T1.
func (l *leg) repeatReliable() {
	r := l.incall.reliable
	r.stop = l.after(r.delay, func() {
		if r.spent += r.delay; r.spent >= end {
			l.refuseCall(core.Reason{Code: core.Failure, Detail: "no PRACK"})
			return
		}
		r.delay = min(2*r.delay, end-r.spent)
		l.incall.tx.flow.send([]byte(r.res.String()), nil)
		l.repeatReliable()
	})
}

// prack acknowledges a reliable response (RFC 3262 3); it may carry a new
// offer.
func (l *leg) prack(tx *serverTx) {
	r := l.incall.reliable
	f := strings.Fields(first(tx.req, "RAck"))
	if r == nil || len(f) != 3 || f[0] != strconv.Itoa(int(r.rseq)) || f[1] != strconv.Itoa(int(r.res.CSeq().SeqNo)) || !strings.EqualFold(f[2], "INVITE") {
		tx.respond(reply(tx.req, 481, l.localTag))
		return
	}
	r.stop()
	l.incall.reliable = nil
	res := reply(tx.req, 200, l.localTag)
	if body := bodyOf(tx.req, "application/sdp"); body != nil {
		offer, no := l.readOffer(body)
		if no == nil {
			no = l.takeOffer(offer)
		}
		if no != nil {
			l.refuseRequest(tx, no)
			return
		}
		set(res, "Content-Type", "application/sdp")
		res.SetBody(l.incall.answer)
	}
	tx.respond(res)
	switch {
	case l.incall.waiting:
		l.incall.waiting = false
		l.answer()
	case l.seat != nil:
		l.early() // it had to wait for the PRACK of the ringing
	}
}
