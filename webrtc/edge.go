// Package webrtc is the edge for browsers: a peer connection a browser (RFC
// 8829), answered by an ICE-lite agent (RFC 8445) on one UDP port for all and,
// where UDP is blocked, over TCP (RFC 6544) or the embedded TURN server
// (RFC 8656). Media is DTLS-SRTP (RFC 5764), AEAD_AES_256_GCM first (RFC 7714).
// Signalling is JSON over a WebSocket, described in docs/signalling.md.
//
// The client always offers and the server always answers, so there is no glare.
// A leg can be subscribed to a track once its client has offered a free
// receiving section for it; Subscribe fails until then, and the leg signals
// core.Changed after each negotiation.
package webrtc

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/alarm"
	"bridgehead/core/edge"
	"bridgehead/core/udp"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

// Options of the edge. Addresses are host:port; port 0 takes a free one.
type Options struct {
	// Listen is the UDP address of all media; needed.
	Listen string
	// ListenTCP is the address of ICE-TCP; empty: none.
	ListenTCP string
	// TURN is the address of the STUN/TURN server, UDP and TCP; TURNS that of
	// TURN over TLS, which needs TLS. Empty: none.
	TURN, TURNS string
	TLS         *tls.Config
	// Advertise are the addresses told to clients in place of the sockets'
	// own, where the server is behind a 1:1 NAT.
	Advertise []netip.Addr
	// Origins are hosts, beside the page's own, whose pages may connect.
	Origins []string
	// PublicHost is the name under which clients reach the TURN server, as
	// in its certificate; empty: the address of the media socket.
	PublicHost string
	// Authenticate finds the account of a signed-in user's token; nil:
	// tokens are refused.
	Authenticate func(ctx context.Context, token string) (user string, err error)
	// Cookie is the name of the cookie in which the pages of the gateway bring
	// the token; empty: none.
	Cookie string
	// Clear says that signalling is not under TLS, neither here nor at a
	// proxy in front; a leg's Info then shows it.
	Clear bool
	// MaxLegs bounds the legs in all (0: 1000), MaxPerSource those from one
	// network address (0: 100; offices are behind one).
	MaxLegs, MaxPerSource int
	// Resume is how long a leg is kept whose client is gone; 0: 30 s.
	Resume time.Duration
	// Trace is told what happens in calls; it must not block. nil: nobody is.
	Trace func(edge.TraceEvent)
	Log   *slog.Logger
}

// Edge is the WebRTC edge.
type Edge struct {
	o           Options
	log         *slog.Logger
	port        *port
	tcp         net.Listener
	relay       *relay
	dtls        []dtls.ServerOption
	fingerprint string       // of our certificate
	hosts       []netip.Addr // at which the media socket is reached
	lines       []string     // of an answer: the candidates
	clock       *alarm.Alarm // of the legs' feedback; it stands still while there is none

	mu    sync.Mutex
	plan  core.Dialplan // nil unless serving
	ctx   context.Context
	legs  map[string]*Leg // by resume token
	bySrc map[netip.Addr]int
	// sockets counts those open, by source.
	sockets map[netip.Addr]int
	closed  bool
}

// New opens the sockets; they are answered once Serve is called.
func New(o Options) (_ *Edge, err error) {
	o.MaxLegs = cmp.Or(o.MaxLegs, 1000)
	o.MaxPerSource = cmp.Or(o.MaxPerSource, 100)
	o.Resume = cmp.Or(o.Resume, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	e := &Edge{o: o, log: o.Log.With("edge", "webrtc"), legs: map[string]*Leg{}, bySrc: map[netip.Addr]int{}, sockets: map[netip.Addr]int{}}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.clock, err = alarm.New(); err != nil {
		return nil, fmt.Errorf("webrtc: %w", err)
	}
	cert, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("webrtc: certificate: %w", err)
	}
	e.dtls, e.fingerprint = dtlsOptions(cert, logFactory{e.log}), fingerprintOf(cert.Certificate[0])
	if err := e.listen(); err != nil {
		return nil, err
	}
	if o.TURN != "" || o.TURNS != "" {
		if e.relay, err = newRelay(o, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Edge) listen() error {
	addr, err := net.ResolveUDPAddr("udp", e.o.Listen)
	if err != nil {
		return fmt.Errorf("webrtc: listen address %q: %w", e.o.Listen, err)
	}
	plain, err := net.ListenUDP("udp", addr)
	if err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	conn, err := udp.NewConn(plain)
	if err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	e.port = newPort(conn, e.log)
	e.hosts = e.findHosts()
	// One socket takes what all browsers send: room for bursts of keyframes.
	// The system may grant less.
	_ = e.port.SetReadBuffer(4 << 20)
	_ = e.port.SetWriteBuffer(4 << 20)
	if e.o.ListenTCP != "" {
		if e.tcp, err = net.Listen("tcp", e.o.ListenTCP); err != nil {
			return fmt.Errorf("webrtc: %w", err)
		}
		go e.port.serveTCP(bounded(e.tcp, 2*e.o.MaxLegs, 2*e.o.MaxPerSource))
	}
	e.lines = e.candidates()
	go e.port.serve()
	return nil
}

// Name of the edge.
func (e *Edge) Name() string { return "webrtc" }

// Addresses of the sockets, by name: webrtc_udp, webrtc_tcp, turn, turns.
func (e *Edge) Addresses() map[string]string {
	a := map[string]string{"webrtc_udp": e.port.LocalAddr().String()}
	if e.tcp != nil {
		a["webrtc_tcp"] = e.tcp.Addr().String()
	}
	if e.relay != nil {
		e.relay.addresses(a)
	}
	return a
}

// mediaAddr tells whether an address is that of the media socket.
func (e *Edge) mediaAddr(to netip.AddrPort) bool {
	own := e.port.LocalAddr().(*net.UDPAddr).AddrPort()
	if to.Port() != own.Port() {
		return false
	}
	return e.host(to.Addr())
}

// host tells whether an address is one of this edge.
func (e *Edge) host(a netip.Addr) bool { return slices.Contains(e.hosts, a.Unmap()) }

// findHosts lists the addresses at which the media socket is reached.
func (e *Edge) findHosts() []netip.Addr {
	own := e.port.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	hosts := slices.Clone(e.o.Advertise)
	if !own.IsUnspecified() {
		return append(hosts, own)
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			hosts = append(hosts, p.Addr().Unmap())
		}
	}
	return hosts
}

// Serve answers browsers until ctx ends; then it ends every call.
func (e *Edge) Serve(ctx context.Context, plan core.Dialplan) error {
	e.mu.Lock()
	if e.closed || e.plan != nil {
		e.mu.Unlock()
		return errors.New("webrtc: served already")
	}
	e.plan, e.ctx = plan, ctx
	e.mu.Unlock()
	// One clock drives the RTCP of all legs. It ends when ctx does, and is started
	// by the first leg.
	defer context.AfterFunc(ctx, e.clock.Close)()
	for e.clock.Wait() {
		legs := e.all()
		if len(legs) > 0 {
			e.clock.Set(tickEvery)
		}
		now := core.Now()
		for _, l := range legs {
			l.tick(now)
		}
	}
	for _, l := range e.all() {
		l.Hangup(core.Reason{Code: core.Shutdown, Say: "The server is being shut down."})
	}
	for _, l := range e.all() {
		<-l.done
	}
	e.close()
	return nil
}

const tickEvery = 50 * time.Millisecond

// Dial fails: a browser has no address to call.
func (e *Edge) Dial(context.Context, string, core.Room) (core.Leg, error) {
	return nil, core.Reason{Code: core.Unreachable, Detail: "a browser cannot be called"}
}

func (e *Edge) close() {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if closed {
		return
	}
	if e.clock != nil {
		e.clock.Close()
	}
	if e.relay != nil {
		e.relay.close()
	}
	if e.tcp != nil {
		_ = e.tcp.Close()
	}
	if e.port != nil {
		_ = e.port.Close()
	}
}

func (e *Edge) all() []*Leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	legs := make([]*Leg, 0, len(e.legs))
	for _, l := range e.legs {
		legs = append(legs, l)
	}
	return legs
}

// admit makes room for one more leg from a source.
func (e *Edge) admit(l *Leg, src netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed || e.plan == nil || e.ctx.Err() != nil:
		return core.Reason{Code: core.Shutdown, Say: "The server is not ready."}
	case len(e.legs) >= e.o.MaxLegs || e.bySrc[src] >= e.o.MaxPerSource:
		return core.Reason{Code: core.Overload, Say: "The server is full. Try again later."}
	}
	e.bySrc[src]++
	e.legs[l.token] = l
	if len(e.legs) == 1 {
		e.clock.Set(tickEvery)
	}
	return nil
}

// Users lists the accounts that are in a call.
func (e *Edge) Users() (ids []string) {
	for _, l := range e.all() {
		if id := l.Info().User; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Revoke ends the calls of an account.
func (e *Edge) Revoke(user string) {
	for _, l := range e.all() {
		if user != "" && l.Info().User == user {
			l.Hangup(core.Reason{Code: core.Revoked, Say: "Your account has been revoked.", Detail: "account revoked"})
		}
	}
}

func (e *Edge) forget(l *Leg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.mu.Lock()
	token := l.token
	l.mu.Unlock()
	if e.legs[token] != l {
		return
	}
	delete(e.legs, token)
	if e.bySrc[l.source]--; e.bySrc[l.source] <= 0 {
		delete(e.bySrc, l.source)
	}
}

// resume finds the leg of a token and gives it a new one: each serves once.
func (e *Edge) resume(token string) *Leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.legs[token]
	if l == nil {
		return nil
	}
	delete(e.legs, token)
	l.mu.Lock()
	l.token = rand.Text()
	e.legs[l.token] = l
	l.mu.Unlock()
	return l
}
