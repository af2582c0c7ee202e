package sip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core/edge"
)

// start begins to register and to look whether the other side is there.
func (t *trunk) start() {
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = func() {
		cancel()
		t.mu.Lock()
		defer t.mu.Unlock()
		for a := range t.peers {
			t.e.guard.unknow(a)
		}
		t.peers = nil // knows nobody from now on
	}
	if t.config.Mode != Static {
		go t.keepRegistered(ctx)
	}
	if t.config.Host != "" && t.config.CheckEvery >= 0 {
		go t.keepChecking(ctx)
	}
}

// pause waits; false when the trunk is stopped.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}
	return true
}

// lost wakes the registration when its connection has gone.
func (t *trunk) lost(*stream) {
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// keepRegistered registers, refreshes, and tries again when it fails: soon,
// but after 403, which more tries would only make worse, after ten minutes.
func (t *trunk) keepRegistered(ctx context.Context) {
	defer t.e.survive("trunk registration")
	for {
		granted, status, err := t.register(ctx, t.config.expires())
		t.noteRegistered(status, err)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if !t.stayRegistered(ctx, granted) {
				bye, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				t.register(bye, 0)
				cancel()
				return
			}
		case status == 403:
			if !pause(ctx, forbiddenWait, nil) {
				return
			}
		default:
			jitter := time.Duration(rand.Int64N(int64(registerRetry / 2)))
			if !pause(ctx, registerRetry/2+jitter, nil) {
				return
			}
		}
	}
}

// stayRegistered keeps the way open until it is time to refresh (RFC 5626
// 3.5.1); false when the trunk is stopped.
func (t *trunk) stayRegistered(ctx context.Context, granted time.Duration) bool {
	due := time.Now().Add(granted - min(granted/5, time.Minute) - time.Duration(rand.Int64N(int64(granted/20)+1)))
	for left := time.Until(due); left > 0; left = time.Until(due) {
		if !pause(ctx, min(left, aliveEvery), t.woken) {
			return false
		}
		t.mu.Lock()
		f := t.flow
		t.mu.Unlock()
		if !f.alive() {
			return true
		}
		if f.stream != nil {
			f.stream.write([]byte("\r\n\r\n"))
		} else {
			f.udp.WriteToUDPAddrPort([]byte("\r\n\r\n"), f.remote)
		}
	}
	return true
}

func (t *trunk) noteRegistered(status int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.status.Registered
	t.status.Registered, t.status.Status, t.status.Error = err == nil, status, ""
	if err != nil {
		t.status.Error = err.Error()
	}
	if was != t.status.Registered {
		t.status.Since = time.Now()
		t.e.log.Info("SIP trunk registration", "trunk", t.config.Name, "registered", err == nil, "status", status, "error", t.status.Error)
	} else if err != nil {
		t.e.log.Debug("SIP trunk registration failed", "trunk", t.config.Name, "status", status, "error", err)
	}
}

// register sends REGISTER to the servers of the trunk, in turn.
func (t *trunk) register(ctx context.Context, expires time.Duration) (granted time.Duration, status int, err error) {
	err = t.each(ctx, func(f *flow) (int, error) {
		t.mu.Lock()
		t.flow = f
		t.mu.Unlock()
		granted, status, err = t.registerOver(ctx, f, expires)
		return status, err
	})
	return granted, status, err
}

// registerOver sends REGISTER to one server. status is 0 when it does not
// answer.
func (t *trunk) registerOver(ctx context.Context, f *flow, expires time.Duration) (granted time.Duration, status int, err error) {
	for range 2 {
		res, err := t.ask(ctx, f, t.registerRequest(f, expires))
		if err != nil {
			return 0, 0, err
		}
		status = res.StatusCode
		if status == 423 {
			if n, err := strconv.ParseUint(strings.TrimSpace(first(res, "Min-Expires")), 10, 31); err == nil && n <= 86400 {
				expires = time.Duration(n) * time.Second
				continue
			}
		}
		if status >= 300 {
			return 0, status, fmt.Errorf("%d %s", status, edge.Clean(res.Reason, 60))
		}
		return grantedOf(res, t.contactUser(), expires), status, nil
	}
	return 0, status, errors.New("registration interval not agreed")
}

func (c *TrunkConfig) expires() time.Duration { return cmp.Or(c.Expires, time.Hour) }

func (t *trunk) contactUser() string { return t.config.User }

// grantedOf reads how long the registration holds.
func grantedOf(res *response, user string, asked time.Duration) time.Duration {
	n := expiresOf(first(res, "Expires"), int(asked/time.Second))
	for _, h := range res.GetHeaders("Contact") {
		if c, ok := h.(*siplib.ContactHeader); ok && c.Address.User == user {
			n = expiresOf(param(c.Params, "expires"), n)
		}
	}
	return time.Duration(max(min(n, 86400), 10)) * time.Second
}

func (t *trunk) registerRequest(f *flow, expires time.Duration) *request {
	req := siplib.NewRequest(siplib.REGISTER, uri{Scheme: "sip", Host: t.config.Host})
	t.head(req, t.config.User)
	req.AppendHeader(&siplib.ContactHeader{Address: t.e.contactURI(f, t.contactUser())})
	set(req, "Expires", strconv.Itoa(int(expires/time.Second)))
	return req
}

// head puts on what REGISTER and OPTIONS of the trunk share.
func (t *trunk) head(req *request, user string) {
	t.mu.Lock()
	t.seq++
	seq := t.seq
	t.mu.Unlock()
	aor := uri{Scheme: "sip", User: user, Host: t.config.Host}
	from := &siplib.FromHeader{Address: aor}
	from.Params.Add("tag", newTag())
	id := siplib.CallIDHeader(t.callID + "-" + string(req.Method) + "@" + t.e.domain())
	forwards := siplib.MaxForwardsHeader(70)
	req.AppendHeader(from)
	req.AppendHeader(&siplib.ToHeader{Address: aor})
	req.AppendHeader(&id)
	req.AppendHeader(&siplib.CSeqHeader{SeqNo: seq, MethodName: req.Method})
	req.AppendHeader(&forwards)
	set(req, "User-Agent", product)
}

// each tries the trunk's servers until f does not ask for the next: after an
// error without a status, or with 5xx and 408.
func (t *trunk) each(ctx context.Context, f func(*flow) (status int, err error)) error {
	host, port, network, secure := t.server(t.config.Host)
	targets, err := t.e.locator.find(ctx, host, port, network, secure)
	if err != nil {
		return err
	}
	for _, to := range targets {
		t.know(to.addr.Addr())
		var fl *flow
		if fl, err = t.e.reach(ctx, to, t, t.config.TLS); err != nil {
			t.e.locator.fail(to, penaltyTime)
			continue
		}
		var status int
		if status, err = f(fl); err == nil || status != 0 && status != 408 && status < 500 {
			return err
		}
		t.e.locator.fail(to, penaltyTime)
		if ctx.Err() != nil {
			break
		}
	}
	return err
}

// know lets the other side's answers past the guard.
func (t *trunk) know(a netip.Addr) {
	if t.owns(a) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers != nil && !t.peers[a] && len(t.peers) < 64 {
		t.peers[a] = true
		t.e.guard.know(a)
	}
}

// ask sends a request outside of calls and waits for the final response,
// answering a challenge once or, where the nonce was stale, twice.
func (t *trunk) ask(ctx context.Context, f *flow, req *request) (*response, error) {
	for try := 0; ; try++ {
		res, err := t.e.exchange(ctx, f, req)
		if err != nil || res.StatusCode != 401 && res.StatusCode != 407 || try == 2 {
			return res, err
		}
		again := req.Clone()
		again.RemoveHeader("Via")
		if t.login.authorize(again, res) != nil {
			return res, nil
		}
		t.mu.Lock()
		t.seq++
		again.CSeq().SeqNo = t.seq
		t.mu.Unlock()
		req = again
	}
}

// exchange sends one request and waits for its final response.
func (e *Edge) exchange(ctx context.Context, f *flow, req *request) (*response, error) {
	type result struct {
		res *response
		err error
	}
	done := make(chan result, 1)
	put := func(r result) {
		select {
		case done <- r:
		default:
		}
	}
	e.send(req, f, func(res *response) {
		if res.StatusCode >= 200 {
			put(result{res: res})
		}
	}, func(err error) { put(result{err: err}) })
	select {
	case r := <-done:
		return r.res, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keepChecking sends OPTIONS. One lost answer says nothing: a trunk goes down
// after three misses and comes up after two hits.
func (t *trunk) keepChecking(ctx context.Context) {
	defer t.e.survive("trunk check")
	every := t.config.CheckEvery
	if every == 0 {
		every = checkEvery
	}
	for {
		t.checkOnce(ctx, every)
		if !pause(ctx, every, nil) {
			return
		}
	}
}

func (t *trunk) checkOnce(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, min(limit, 10*time.Second))
	defer cancel()
	start := time.Now()
	status := 0
	err := t.each(ctx, func(f *flow) (int, error) {
		res, err := t.ask(ctx, f, t.optionsRequest())
		if err != nil {
			return 0, err
		}
		status = res.StatusCode
		return status, lifeless(res)
	})
	t.noteCheck(status, err, time.Since(start))
}

// lifeless is the error of an answer to OPTIONS that speaks for somebody else;
// any other, even a refusal, is a sign of life.
func lifeless(res *response) error {
	if s := res.StatusCode; s == 408 || s == 503 {
		return fmt.Errorf("%d %s", s, edge.Clean(res.Reason, 60))
	}
	return nil
}

func (t *trunk) noteCheck(status int, err error, rtt time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.status.Up
	if err == nil {
		t.misses, t.hits = 0, t.hits+1
		t.status.RTT = rtt
		if t.hits >= upAfter {
			t.status.Up = true
		}
		if t.status.Registered || t.config.Mode == Static {
			t.status.Error, t.status.Status = "", status
		}
	} else {
		t.hits, t.misses = 0, t.misses+1
		if t.misses >= downAfter {
			t.status.Up = false
		}
		t.status.Error, t.status.Status = err.Error(), status
	}
	if was != t.status.Up {
		t.status.Since = time.Now()
		t.e.log.Warn("SIP trunk", "trunk", t.config.Name, "up", t.status.Up, "error", t.status.Error)
	}
}
