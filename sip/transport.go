package sip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core/edge"
)

// Limits of connections. They are per process, except where said.
const (
	maxStreams    = 4096
	maxPerSource  = 64  // connections from one address that is no trunk's
	maxHandshakes = 256 // TLS connections not yet through their handshake
	handshakeTime = 10 * time.Second
	strangerTime  = 32 * time.Second // until the first message that leads to something
	idleTime      = 2 * time.Hour
	writeTime     = 5 * time.Second
	dialTime      = 4 * time.Second
)

// packetConn is a UDP socket, or what plays one in tests.
type packetConn interface {
	ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// flow is the way a message came or goes: a socket and the peer's address, or
// a connection (RFC 5626 calls it so).
type flow struct {
	e       *Edge
	network string // udp, tcp, tls
	remote  netip.AddrPort
	local   netip.AddrPort
	udp     packetConn
	stream  *stream
	trunk   *trunk // the trunk that this end has connected to
	client  bool   // opened by this end
}

func (f *flow) reliable() bool { return f.network != "udp" }
func (f *flow) secure() bool   { return f.network == "tls" }

// alive tells whether the flow can still carry a message.
func (f *flow) alive() bool { return f.stream == nil || !f.stream.closed.Load() }

// send writes one message. m, where given, is for the trace.
func (f *flow) send(b []byte, m message) error {
	f.e.traceMessage(edge.Sent, f, b, m)
	if f.stream != nil {
		return f.stream.write(b)
	}
	_, err := f.udp.WriteToUDPAddrPort(b, f.remote)
	return err
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	case *net.UDPAddr:
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p
}

// serveUDP reads datagrams until the socket closes. An unlisted source costs
// one read and one look-up: nothing is parsed, answered or remembered. In a rush
// it lets others run between two: the media clock must not wait for it.
func (e *Edge) serveUDP(c packetConn, client bool) {
	local := addrPort(c.LocalAddr())
	b := make([]byte, maxMessage)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			continue // an ICMP error of an earlier send
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if n > 4 && e.guard.admit(from.Addr(), client) {
			e.datagram(b[:n], &flow{e: e, network: "udp", remote: from, local: local, udp: c, client: client})
			runtime.Gosched()
		}
	}
}

func (e *Edge) datagram(b []byte, f *flow) {
	defer e.survive("datagram")
	if len(bytes.Trim(b, "\r\n\x00")) == 0 {
		return // keep-alive
	}
	e.take(bytes.Clone(b), f)
}

// stream is one TCP or TLS connection.
type stream struct {
	net.Conn
	e       *Edge
	flow    *flow
	mu      sync.Mutex // orders writes; each has a deadline
	closed  atomic.Bool
	trusted atomic.Bool // has led to a call or a registration
	host    string      // verified name of the server, on connections of ours
	// user is the device that has registered here.
	user atomic.Pointer[string]
}

func (s *stream) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.Conn.Write(b)
	if err != nil {
		s.Conn.Close() // half a message may be out: nothing can follow it
	}
	return err
}

// serveStreams accepts connections until the listener closes.
func (e *Edge) serveStreams(l net.Listener, network string) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		from := addrPort(c.RemoteAddr())
		if !e.guard.connect(from.Addr(), network == "tls") {
			if t, ok := c.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
			c.Close()
			continue
		}
		go e.accepted(c, network, from)
	}
}

func (e *Edge) accepted(c net.Conn, network string, from netip.AddrPort) {
	defer e.guard.disconnect(from.Addr())
	defer c.Close()
	if network == "tls" {
		var err error
		if c, err = e.handshake(c); err != nil {
			e.log.Debug("SIP TLS handshake failed", "source", from, "error", err)
			return
		}
	}
	s := e.newStream(c, network, from, false)
	e.readStream(s)
}

// handshake is bounded in time, and in how many run at once.
func (e *Edge) handshake(c net.Conn) (net.Conn, error) {
	select {
	case e.handshakes <- struct{}{}:
		defer func() { <-e.handshakes }()
	default:
		return nil, errors.New("too many handshakes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	t := tls.Server(c, e.opt.TLS())
	return t, t.HandshakeContext(ctx)
}

func (e *Edge) newStream(c net.Conn, network string, remote netip.AddrPort, client bool) *stream {
	f := &flow{e: e, network: network, remote: remote, local: addrPort(c.LocalAddr()), client: client}
	s := &stream{Conn: c, e: e, flow: f}
	f.stream = s
	e.streamsMu.Lock()
	e.streams[s] = true
	e.streamsMu.Unlock()
	return s
}

// readStream cuts the connection into messages (RFC 3261 18.3) and handles
// them in their order.
func (e *Edge) readStream(s *stream) {
	defer e.dropStream(s)
	defer e.survive("stream")
	var in []byte
	buf := make([]byte, 8<<10)
	for {
		wait := strangerTime
		if s.trusted.Load() || s.flow.client {
			wait = idleTime
		}
		s.SetReadDeadline(time.Now().Add(wait))
		n, err := s.Conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		for {
			var msg []byte
			var err error
			if msg, in, err = e.frame(s, in); err != nil {
				e.guard.strike(s.flow, edge.Malformed)
				e.log.Debug("SIP stream is malformed", "source", s.flow.remote, "error", err)
				return
			}
			if msg == nil {
				break
			}
			if !e.guard.spend(s.flow) {
				return
			}
			e.take(bytes.Clone(msg), s.flow)
		}
		if len(in) == 0 && cap(in) > 16<<10 {
			in = nil
		}
	}
}

// frame takes one message off the front of in; nil when it is not complete.
// CRLFs between messages are skipped, and two of them answered by one (the
// keep-alive of RFC 5626 3.5.1).
func (e *Edge) frame(s *stream, in []byte) (msg, rest []byte, err error) {
	for len(in) >= 2 && in[0] == '\r' && in[1] == '\n' {
		if len(in) >= 4 && in[2] == '\r' && in[3] == '\n' {
			if in = in[4:]; !s.flow.client {
				s.write([]byte("\r\n"))
			}
			continue
		}
		if len(in) < 4 && !s.flow.client && (len(in) == 2 || in[2] == '\r') {
			return nil, in, nil // may become two
		}
		in = in[2:]
	}
	i := bytes.Index(in, []byte("\r\n\r\n"))
	if i < 0 {
		if len(in) > maxHeader {
			return nil, nil, errors.New("header too long")
		}
		return nil, in, nil
	}
	size, err := contentLength(in[:i])
	if err != nil {
		return nil, nil, err
	}
	if size += i + 4; size > maxMessage {
		return nil, nil, errors.New("message too long")
	}
	if len(in) < size {
		return nil, in, nil
	}
	return in[:size], in[size:], nil
}

// contentLength is mandatory on streams (RFC 3261 20.14).
func contentLength(head []byte) (int, error) {
	found := -1
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		if !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 17)
		if err != nil || found >= 0 {
			return 0, errors.New("bad Content-Length")
		}
		found = int(n)
	}
	if found < 0 {
		return 0, errors.New("no Content-Length")
	}
	return found, nil
}

func (e *Edge) dropStream(s *stream) {
	s.closed.Store(true)
	s.Conn.Close()
	e.streamsMu.Lock()
	delete(e.streams, s)
	for k, v := range e.pool {
		if v == s {
			delete(e.pool, k)
		}
	}
	e.streamsMu.Unlock()
	e.tx.lost(s)
	e.registrar.lost(s)
	if t := s.flow.trunk; t != nil {
		t.lost(s)
	}
}

// target is where a request can be sent: an address, how, and the name that a
// TLS server must prove to have (RFC 5922).
type target struct {
	network string
	addr    netip.AddrPort
	host    string
}

func (t target) String() string { return t.network + ":" + t.addr.String() }

// poolKey binds a connection to the name that was verified on it, not to the
// address alone (CVE-2020-15260), and to the trunk whose certificates it uses.
type poolKey struct {
	target
	trunk *trunk
}

// reach gives a flow to the target, over an open connection if there is one.
// conf is nil for the default TLS profile.
func (e *Edge) reach(ctx context.Context, t target, tr *trunk, conf *tls.Config) (*flow, error) {
	if t.network == "udp" {
		c, err := e.socket(t.addr.Addr())
		if err != nil {
			return nil, err
		}
		return &flow{e: e, network: "udp", remote: t.addr, local: addrPort(c.LocalAddr()), udp: c, trunk: tr, client: true}, nil
	}
	key := poolKey{t, tr}
	e.streamsMu.Lock()
	s := e.pool[key]
	e.streamsMu.Unlock()
	if s != nil && !s.closed.Load() {
		return s.flow, nil
	}
	s, err := e.dialStream(ctx, t, conf)
	if err != nil {
		return nil, err
	}
	s.flow.trunk = tr
	e.streamsMu.Lock()
	if old := e.pool[key]; old != nil && !old.closed.Load() {
		e.streamsMu.Unlock()
		e.dropStream(s)
		return old.flow, nil
	}
	e.pool[key] = s
	e.streamsMu.Unlock()
	go e.readStream(s)
	return s.flow, nil
}

func (e *Edge) dialStream(ctx context.Context, t target, conf *tls.Config) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := e.dial(ctx, t.addr)
	if err != nil {
		return nil, err
	}
	if t.network == "tls" {
		cfg := &tls.Config{}
		if conf != nil {
			cfg = conf.Clone()
		} else if e.opt.Roots != nil {
			cfg.RootCAs = e.opt.Roots
		}
		cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
		if cfg.ServerName == "" {
			cfg.ServerName = t.host
		}
		tc := tls.Client(c, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, &TLSError{t.host, err}
		}
		c = tc
	}
	s := e.newStream(c, t.network, t.addr, true)
	s.host = t.host
	return s, nil
}

// socket is the UDP socket that requests leave from: the listener, so that the
// far end sees the address it knows, or one of our own when there is none.
func (e *Edge) socket(to netip.Addr) (packetConn, error) {
	e.streamsMu.Lock()
	defer e.streamsMu.Unlock()
	for _, c := range e.packets {
		if a := addrPort(c.LocalAddr()).Addr(); a.IsUnspecified() || a.Is4() == to.Is4() {
			return c, nil
		}
	}
	var at net.UDPAddr
	if to.IsLoopback() {
		at.IP = to.AsSlice()
	}
	c, err := net.ListenUDP("udp", &at)
	if err != nil {
		return nil, err
	}
	e.packets = append(e.packets, c)
	go e.serveUDP(c, true)
	return c, nil
}

// hostFor is this end's address as the peer is told it: the advertised one, or
// the address of the interface that leads there.
func (e *Edge) hostFor(f *flow) netip.Addr {
	local, remote := f.local, f.remote
	if f.trunk != nil && f.trunk.config.Advertise.IsValid() {
		return f.trunk.config.Advertise
	}
	if e.opt.Advertise.IsValid() {
		return e.opt.Advertise
	}
	if a := local.Addr(); a.IsValid() && !a.IsUnspecified() {
		return a
	}
	e.routesMu.Lock()
	defer e.routesMu.Unlock()
	if a, ok := e.routes[remote.Addr()]; ok {
		return a
	}
	a := netip.IPv4Unspecified()
	if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote.Addr(), 9))); err == nil {
		a = addrPort(c.LocalAddr()).Addr() // nothing was sent
		c.Close()
	}
	if len(e.routes) > 1024 {
		clear(e.routes)
	}
	e.routes[remote.Addr()] = a
	return a
}

// survive keeps a fault in one message's handling from ending the process.
func (e *Edge) survive(where string) {
	if r := recover(); r != nil {
		e.log.Error("SIP handler failed", "in", where, "panic", r, slog.String("stack", stack()))
		e.counters.Panics.Add(1)
	}
}

func networkOf(transport string) string {
	switch n := strings.ToLower(transport); n {
	case "udp", "tcp", "tls":
		return n
	}
	return ""
}
