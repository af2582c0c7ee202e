package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/sip/sdp"
)

// Probe is what a look at the other side of a trunk has shown, step by step.
// The first error ends it, but that REGISTER is tried though OPTIONS failed.
type Probe struct {
	Servers  []string // found by RFC 3263, best first
	FindErr  error
	Server   string // that was asked
	ReachErr error  // of the connection; a [*TLSError] if it is TLS's
	TLS      *tls.ConnectionState

	Status     int // of the answer to OPTIONS
	RTT        time.Duration
	OptionsErr error
	// Told is this end's address as it says, Seen as the other side sees it;
	// zero when that does not say.
	Told, Seen netip.AddrPort
	Skew       time.Duration // of the other side's clock, ahead of ours
	HasDate    bool          // … if it tells the time
	Codecs     []string      // that it names; nil: it names none

	RegisterStatus int // 0: none was tried, or it was not answered
	RegisterErr    error
}

// TLSError is the fault of a connection whose handshake failed.
type TLSError struct {
	Host string
	err  error
}

func (e *TLSError) Error() string { return "TLS to " + e.Host + ": " + e.err.Error() }

// Unwrap gives the cause.
func (e *TLSError) Unwrap() error { return e.err }

// Probe tries a trunk: it finds its servers, connects to the first that can be
// reached, and asks it by OPTIONS and, if register is set, by REGISTER; keep
// leaves the registration there. The trunk need not be one of [Edge.SetTrunks];
// if it is, and is registered, that is not done again.
func (e *Edge) Probe(ctx context.Context, c TrunkConfig, register, keep bool) (p Probe, err error) {
	if err := c.Check(); err != nil {
		return p, err
	}
	t := e.trunkNamed(c.Name)
	if t == nil || !t.config.equal(c) {
		if t, err = e.newTrunk(c); err != nil {
			return p, err
		}
		defer t.forget()
	} else if register && t.snapshot().Registered {
		register, p.RegisterStatus = false, 200
	}
	host, port, network, secure := t.server(c.Host)
	targets, err := e.locator.find(ctx, host, port, network, secure)
	if p.FindErr = err; err != nil {
		return p, nil
	}
	for _, to := range targets {
		p.Servers = append(p.Servers, to.String())
	}
	f := p.reach(ctx, t, targets)
	if f == nil {
		return p, nil
	}
	p.options(ctx, t, f)
	if register {
		_, p.RegisterStatus, p.RegisterErr = t.registerOver(ctx, f, c.expires())
		if p.RegisterErr == nil && !keep {
			t.registerOver(ctx, f, 0)
		}
	}
	return p, nil
}

// Try calls a number over a trunk that need not be one of [Edge.SetTrunks], nor be
// up. done frees what the trunk held, once the call is over. Otherwise as
// [Line.Dial].
func (e *Edge) Try(ctx context.Context, c TrunkConfig, number, from string, into core.Room) (leg core.Leg, done func(), err error) {
	if err := c.Check(); err != nil {
		return nil, nil, err
	}
	done = func() {}
	t := e.trunkNamed(c.Name)
	if t == nil || !t.config.equal(c) {
		if t, err = e.newTrunk(c); err != nil {
			return nil, nil, err
		}
		done = t.forget
	}
	s, err := t.spec(number, from)
	if err == nil {
		leg, err = e.placeOver(ctx, s, into)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return leg, done, nil
}

func (p *Probe) reach(ctx context.Context, t *trunk, targets []target) *flow {
	for _, to := range targets {
		t.know(to.addr.Addr())
		p.Server = to.String()
		f, err := t.e.reach(ctx, to, t, t.config.TLS)
		if p.ReachErr = err; err != nil {
			continue
		}
		if f.stream != nil {
			if c, ok := f.stream.Conn.(*tls.Conn); ok {
				state := c.ConnectionState()
				p.TLS = &state
			}
		}
		return f
	}
	return nil
}

func (p *Probe) options(ctx context.Context, t *trunk, f *flow) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	begun := time.Now()
	res, err := t.ask(ctx, f, t.optionsRequest())
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errTimeout
		}
		p.OptionsErr = err
		return
	}
	p.Status, p.RTT = res.StatusCode, time.Since(begun)
	p.OptionsErr = lifeless(res)
	p.Told = netip.AddrPortFrom(t.e.hostFor(f), f.local.Port())
	p.Seen = seenAt(res, p.Told)
	if at, err := http.ParseTime(first(res, "Date")); err == nil {
		// The header has whole seconds, and the answer took its time.
		p.Skew, p.HasDate = at.Sub(begun.Add(p.RTT/2)).Round(time.Second), true
	}
	if body := bodyOf(res, "application/sdp"); body != nil {
		p.Codecs = codecsOf(body)
	}
}

// seenAt reads from the Via of a response where the request came from (RFC
// 3261 18.2.1, RFC 3581); zero: it does not say.
func seenAt(res *response, told netip.AddrPort) netip.AddrPort {
	via := res.Via()
	if via == nil {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(param(via.Params, "received"))
	port, bad := strconv.ParseUint(param(via.Params, "rport"), 10, 16)
	switch {
	case err != nil && bad != nil:
		return netip.AddrPort{}
	case err != nil:
		addr = told.Addr()
	case bad != nil:
		port = uint64(told.Port())
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}

func codecsOf(body []byte) (names []string) {
	s, err := sdp.Decode(body)
	if err != nil {
		return nil
	}
	for _, m := range s.Media {
		if m.Kind == "audio" {
			for _, c := range m.Codecs {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// forget closes what a trunk that was never started has opened.
func (t *trunk) forget() {
	t.mu.Lock()
	for a := range t.peers {
		t.e.guard.unknow(a)
	}
	t.peers = nil
	t.mu.Unlock()
	t.e.streamsMu.Lock()
	var open []*stream
	for s := range t.e.streams {
		if s.flow.trunk == t {
			open = append(open, s)
		}
	}
	t.e.streamsMu.Unlock()
	for _, s := range open {
		s.Conn.Close()
	}
}

func (t *trunk) optionsRequest() *request {
	req := siplib.NewRequest(siplib.OPTIONS, uri{Scheme: "sip", Host: t.config.Host})
	t.head(req, t.config.User)
	set(req, "Accept", "application/sdp")
	return req
}
