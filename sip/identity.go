package sip

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/stir"
)

// A call that must be verified waits for the signer's certificate no longer
// than people do before they hear it ring; others go on meanwhile.
const (
	requireTime = 1500 * time.Millisecond
	showTime    = 10 * time.Second
)

// vouch finds out whether the caller's number is its own (RFC 8224 6.2). It
// does so beside the call, which is told when it is known; only where the trunk
// requires it the call waits, and is given the refusal.
func (l *leg) vouch(ctx context.Context, req *request) *refusal {
	t := l.trunk
	switch {
	case t == nil || t.config.Stir == "off":
	case t.config.Stir == "require":
		return l.verify(ctx, req, requireTime)
	case count(req, "Identity") == 0: // nobody is asked
		l.verify(ctx, req, showTime)
	default:
		go func() {
			defer l.e.survive("verification of a caller")
			l.verify(ctx, req, showTime)
		}()
	}
	return nil
}

// verify looks at the number and attaches what it finds. The refusal is for those
// who want it.
func (l *leg) verify(ctx context.Context, req *request, limit time.Duration) *refusal {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := l.trunk
	found, err := t.vouched(ctx, req, time.Now())
	text := found.Result
	if why := (*stir.Fault)(nil); errors.As(err, &why) {
		text = why.Error()
	} else if found.Attest != "" {
		text += ", attestation " + found.Attest
	}
	if found != (core.Stir{}) {
		text = edge.Clean("by the "+found.By+": "+text, 256)
		l.update(func(i *core.Info) { i.Stir = found })
		info := l.Info()
		l.e.trace(edge.TraceEvent{Kind: edge.Vouched, CallID: l.callID, Leg: info.ID, Trunk: l.trunkName(), Text: text, Info: info})
		l.log.Info("SIP caller's number", "stir", found.Result, "attest", found.Attest, "by", found.By)
		l.box.Post(l.tellVouched)
	}
	if err == nil {
		return nil
	}
	verdict := stir.Verdict(found.Result)
	no := &refusal{status: verdict.Status(), reason: core.Reason{Code: core.Forbidden, Detail: "the caller's number, " + text}}
	if verdict == stir.Stale {
		no.phrase = "Stale Date"
	}
	return no
}

// tellVouched has the room read Info again.
func (l *leg) tellVouched() {
	if l.seat != nil && l.Info().Stir != (core.Stir{}) {
		l.seat.Signal(core.Changed{Video: true})
	}
}

// vouched is what can be known of the caller's number. An error, a [stir.Fault],
// says that it is not verified.
func (t *trunk) vouched(ctx context.Context, req *request, now time.Time) (core.Stir, error) {
	identities := all(req, "Identity")
	said := t.carriersWord(req)
	must := t.config.Stir == "require"
	if !must && (!t.e.opt.Stir.On() || identities == nil && said.Result != "") {
		return said, nil
	}
	_, from := t.asserted(req)
	call := stir.Call{From: from, To: t.calledNumber(req)}
	call.Date, _ = http.ParseTime(first(req, "Date"))
	p, err := t.e.opt.Stir.Verify(ctx, identities, call, now)
	found := core.Stir{Result: core.Verified, By: "bridge"}
	var why *stir.Fault
	switch {
	case err == nil:
		found.Attest = p.Attest
	case errors.As(err, &why):
		found.Result = string(why.Verdict)
	}
	return found, err
}

// carriersWord is what the carrier says that it has verified itself: by verstat,
// a parameter of the number (3GPP TS 24.229 7.2A.20). Only who is a trunk is
// believed, and only about the number that is shown.
func (t *trunk) carriersWord(req *request) core.Stir {
	_, shown := t.asserted(req)
	for _, source := range []string{"pai", "from"} {
		_, u := identity(req, source)
		number := called(u)
		if t.config.NumberIn != nil {
			number = t.config.NumberIn(number)
		}
		word, attest := verstat(u)
		if word == "" || number != shown {
			continue
		}
		said := core.Stir{Result: "not verified", Attest: attest, By: "carrier"}
		switch word {
		case "tn-validation-passed":
			said.Result = core.Verified
		case "tn-validation-failed":
			said.Result = "failed"
		}
		return said
	}
	return core.Stir{}
}

// verstat reads the parameter, which stands in the user part or behind the host,
// and the attestation that some carriers add to it.
func verstat(u uri) (word, attest string) {
	word = param(u.UriParams, "verstat")
	for _, p := range strings.Split(u.User+";"+u.Raw(), ";") {
		if name, v, _ := strings.Cut(p, "="); strings.EqualFold(name, "verstat") {
			word = v
		}
	}
	word = strings.ToLower(word)
	if n := len(word) - 2; n > 0 && word[n] == '-' && word[n+1] >= 'a' && word[n+1] <= 'c' {
		word, attest = word[:n], strings.ToUpper(word[n+1:])
	}
	return word, attest
}

// turnAway refuses a call that has not been routed.
func (l *leg) turnAway(no *refusal) {
	if l.state != proceeding {
		return
	}
	in := &l.incall
	in.status, in.refused = no.status, true
	in.tx.respond(no.reply(in.tx.req, l.localTag))
	l.e.counters.Refused.Add(1)
	l.ended(no.reason)
}

// signs makes the headers that sign a call out (RFC 8224 6.1), each time anew; a
// call that shows no number has none.
func (t *trunk) signs(number, from string) func(time.Time) [][2]string {
	signer, attest := t.config.Signer, t.config.Attest
	if signer == nil || stir.Digits(from) == "" {
		return nil
	}
	if attest == "" {
		attest = "B"
		if owned := t.e.opt.Owned; owned != nil && owned(from) {
			attest = "A"
		}
	}
	return func(now time.Time) [][2]string {
		value, err := signer.Sign(attest, stir.Call{From: from, To: number}, now)
		if err != nil {
			t.e.log.Error("SIP call not signed", "trunk", t.config.Name, "error", err)
			return nil
		}
		return [][2]string{{"Date", now.UTC().Format(http.TimeFormat)}, {"Identity", value}}
	}
}
