package sip

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// maxRedirects is how many times one call may be sent on.
const maxRedirects = 3

// Busy is the refusal of a trunk that wants no calls for a while (503 with
// Retry-After).
type Busy struct {
	core.Reason
	After time.Duration
}

// Unwrap gives the Reason.
func (b *Busy) Unwrap() error { return b.Reason }

// RetryAfter is how long the trunk wants to be left alone.
func (b *Busy) RetryAfter() time.Duration { return b.After }

// retryAfter reads how long a server asks to be spared (RFC 3261 20.33); 0: it
// doesn't. More than an hour is not believed.
func retryAfter(res *response) time.Duration {
	if res.StatusCode != 503 {
		return 0
	}
	v, _, _ := strings.Cut(first(res, "Retry-After"), ";")
	v, _, _ = strings.Cut(v, "(")
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, 3600)) * time.Second
}

// place makes the call: server after server until one takes it (RFC 3263 4.3).
// It returns once the call rings; the end of ctx before the answer gives up.
func (e *Edge) place(ctx context.Context, s *spec, into core.Room) (core.Leg, error) {
	var targets []target
	if s.flows == nil {
		var err error
		if targets, err = e.locator.find(ctx, s.host, s.port, s.network, s.secure); err != nil {
			return nil, e.unplaced(s, core.Reason{Code: core.Unreachable, Say: "The address can't be found.", Detail: "sip: " + err.Error()})
		}
		if s.trunk == nil {
			if err := e.notTrunks(ctx, targets); err != nil {
				return nil, e.unplaced(s, core.ReasonOf(err))
			}
		}
	}
	l, err := e.caller(s, into)
	if err != nil {
		return nil, err
	}
	n := l.hunt(ctx, targets)
	for range maxRedirects {
		if n.to == nil {
			break
		}
		if targets, err = s.trunk.redirect(ctx, *n.to); err != nil {
			n.err, n.to = core.Reason{Code: core.Incompatible, Detail: "sip: " + err.Error()}, nil
			break
		}
		n = l.redirect(ctx, *n.to, targets)
	}
	switch {
	case n.rings:
		context.AfterFunc(ctx, func() { l.box.Post(l.unheeded) })
		return l, nil
	case n.left:
		return nil, n.err
	}
	l.box.Post(func() { l.outcall.told = true; l.ended(core.ReasonOf(n.err)) })
	if n.wait > 0 {
		return nil, &Busy{edge.InWords(core.ReasonOf(n.err)), n.wait}
	}
	return nil, n.err
}

// unheeded gives up a call that has rung for as long as its caller waits.
func (l *leg) unheeded() {
	if l.state == proceeding {
		l.cancelAll(core.Reason{Code: core.NoAnswer, Detail: "not answered in time"})
	}
}

// hunt tries the servers in turn. A trunk that says nothing costs its caller
// dialTime in all, since another trunk may be waiting; of other peers the last
// server has all the time of RFC 3261.
func (l *leg) hunt(ctx context.Context, targets []target) news {
	n := news{err: core.Reason{Code: core.Unreachable, Detail: "no server"}}
	until := time.Now().Add(dialTime)
	for i := 0; i < max(len(targets), 1); i++ {
		patience := time.Duration(0)
		switch {
		case l.trunk != nil && len(targets) > 0:
			left := time.Until(until)
			if left <= 0 {
				return n
			}
			patience = max(left/time.Duration(len(targets)-i), time.Second)
		case i+1 < len(targets):
			patience = dialTime
		}
		if n = l.tryServer(ctx, targets, i, patience); n.rings || n.left {
			return n
		}
		if len(targets) > 0 && n.again {
			l.e.locator.fail(targets[i], max(n.wait, penaltyTime))
		}
		if !n.again || ctx.Err() != nil {
			break
		}
	}
	return n
}

func (l *leg) tryServer(ctx context.Context, targets []target, i int, patience time.Duration) news {
	flows := l.outcall.spec.flows
	if flows == nil {
		within, cancel := ctx, context.CancelFunc(func() {})
		if patience > 0 {
			within, cancel = context.WithTimeout(ctx, patience)
		}
		f, err := l.connect(within, targets[i])
		cancel()
		if err != nil {
			return news{again: true, err: core.Reason{Code: core.Unreachable, Say: "The address does not answer.", Detail: "sip: " + err.Error()}}
		}
		flows = []*flow{f}
	}
	return l.await(ctx, flows, targets, i, patience)
}

func (l *leg) connect(ctx context.Context, t target) (*flow, error) {
	s := &l.outcall.spec
	if s.trunk != nil {
		s.trunk.know(t.addr.Addr())
	}
	if t.network == "udp" {
		// Room for the SDP: a long INVITE goes by TCP where the peer has it
		// (RFC 3261 18.1.1); ours is short of 1300 bytes
		// unless it is signed.
		l.e.guard.know(t.addr.Addr())
		l.box.Post(func() {
			if l.state == over {
				l.e.guard.unknow(t.addr.Addr())
				return
			}
			l.outcall.peers = append(l.outcall.peers, t.addr.Addr())
		})
	}
	return l.e.reach(ctx, t, s.trunk, s.tls)
}

// await sends the INVITE over each of the flows and waits until one rings, all
// have failed, or patience is over.
func (l *leg) await(ctx context.Context, flows []*flow, targets []target, i int, patience time.Duration) news {
	l.box.Post(func() {
		for j, f := range flows {
			a := &attempt{flow: f, uri: l.outcall.spec.uri}
			if len(targets) > 0 {
				a.target = targets[i]
				l.outcall.used = targets[i]
			} else {
				a.uri = l.outcall.spec.targetURI[j]
			}
			if err := l.inviteOver(a); err != nil {
				l.tell(news{err: err})
				return
			}
		}
	})
	var late <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	select {
	case n := <-l.outcall.news:
		return n
	case <-late:
		l.box.Post(func() { l.giveUp() })
		return <-l.outcall.news
	case <-ctx.Done():
		r := core.Reason{Code: core.Normal, Detail: "given up by the caller"}
		l.Hangup(r)
		return news{err: r, left: true}
	}
}

// giveUp leaves a server that has not said a word for the next one.
func (l *leg) giveUp() {
	if l.state != proceeding {
		return
	}
	for _, a := range l.outcall.attempts {
		if a.provisional && !a.done {
			l.tell(news{rings: true})
			return
		}
	}
	for _, a := range l.outcall.attempts {
		a.cancelled, a.done, a.left = true, true, true
	}
	l.tell(news{err: core.Reason{Code: core.Unreachable, Say: "The address does not answer.", Detail: "sip: no answer"}, again: true})
}

// redirected reads where a 3xx sends the call. Only a trunk may do that, and
// only to itself: nobody chooses whom else this bridge calls.
func (l *leg) redirected(res *response) news {
	r := core.Reason{Code: core.Incompatible, Detail: fmt.Sprintf("%d %s: redirections are not followed", res.StatusCode, edge.Clean(res.Reason, 80))}
	c := res.Contact()
	if l.trunk == nil || c == nil || c.Address.Host == "" || c.Address.Wildcard {
		return news{err: edge.InWords(r)}
	}
	to := c.Address
	return news{err: edge.InWords(r), to: &to}
}

// redirect finds the servers that the trunk names in a 3xx: another of its own
// for the same number, or none.
func (t *trunk) redirect(ctx context.Context, to uri) ([]target, error) {
	at := edge.Clean(to.Host, 128)
	if to.Scheme != "sip" && to.Scheme != "sips" {
		return nil, fmt.Errorf("the trunk redirects to a %s: address", edge.Clean(to.Scheme, 16))
	}
	list, err := t.e.locator.find(ctx, to.Host, to.Port, t.config.Transport, t.config.Transport == "tls")
	if err != nil {
		return nil, fmt.Errorf("the trunk redirects to %s: %w", at, err)
	}
	var own []target
	for _, x := range list {
		if t.owns(x.addr.Addr()) {
			x.host = t.config.Host // whose certificate it is to have
			own = append(own, x)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("the trunk redirects to %s, which is none of its sources", at)
	}
	return own, nil
}

// redirect places the call anew at what a 3xx has named. The number called stays.
func (l *leg) redirect(ctx context.Context, to uri, targets []target) news {
	l.box.Post(func() {
		s := &l.outcall.spec
		s.uri.Host, s.uri.Port, s.uri.UriParams = to.Host, to.Port, to.UriParams
		l.log.Info("SIP call out redirected", "host", edge.Clean(to.Host, 128))
	})
	return l.hunt(ctx, targets)
}
