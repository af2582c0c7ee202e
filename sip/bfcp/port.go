package bfcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

// Port takes the connections of all calls on one number, TCP and UDP, encrypted
// or not, and finds the call by the conference that the first message names:
// one more hole in a firewall serves for all.
type Port struct {
	log         *slog.Logger
	certificate tls.Certificate
	tcp         net.Listener
	udp         *net.UDPConn
	places      chan struct{} // for those who have not said yet which call they are of

	mu    sync.Mutex
	calls map[uint32]*Call
	flows map[netip.AddrPort]*flow
}

// Call is a call whose connection is waited for.
type Call struct {
	Conference uint32
	// Secure refuses a connection in clear. Fingerprints, in the form of RFC
	// 8122, name the certificate that the peer must show.
	Secure       bool
	Fingerprints []string
	// From is where a connection in clear must come from.
	From netip.Addr
	// Take gets the connection and its first message.
	Take func(*Conn, Message)
}

const (
	maxStrangers = 64
	maxFlows     = 4096
	// firstWord is how long a connection may be silent before it says which
	// call it is of.
	firstWord = 5 * time.Second
)

// Listen opens the port at host:port, 0 for any free one.
func Listen(addr string, log *slog.Logger) (*Port, error) {
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, fmt.Errorf("bfcp: %w", err)
	}
	p := &Port{log: log, certificate: certificate, places: make(chan struct{}, maxStrangers), calls: map[uint32]*Call{}, flows: map[netip.AddrPort]*flow{}}
	for range 10 { // a free port of TCP may be taken in UDP
		if p.tcp, err = net.Listen("tcp", addr); err != nil {
			return nil, fmt.Errorf("bfcp: %w", err)
		}
		if p.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.Addr())); err == nil {
			break
		}
		p.tcp.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("bfcp: %w", err)
	}
	go p.accept()
	go p.read()
	return p, nil
}

// Addr is where it listens.
func (p *Port) Addr() netip.AddrPort { return p.tcp.Addr().(*net.TCPAddr).AddrPort() }

// Fingerprint of the port's certificate (RFC 8122).
func (p *Port) Fingerprint() string { return Fingerprint(p.certificate.Certificate[0]) }

// Close ends the port and its connections by datagram.
func (p *Port) Close() {
	p.tcp.Close()
	p.udp.Close()
	p.mu.Lock()
	flows := p.flows
	p.flows = nil
	p.mu.Unlock()
	for _, f := range flows {
		f.Close()
	}
}

// Expect waits for a call's connections until it is cancelled.
func (p *Port) Expect(c Call) (cancel func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c.Conference] = &c
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.calls[c.Conference] == &c {
			delete(p.calls, c.Conference)
		}
	}
}

// Dial connects to a peer that waits.
func (p *Port) Dial(ctx context.Context, t Transport, to netip.AddrPort, fingerprints []string) (*Conn, error) {
	c, err := p.reach(ctx, t, to)
	if err != nil {
		return nil, fmt.Errorf("bfcp: %w", err)
	}
	if t.Secure() {
		plain := c
		if c, err = p.secure(ctx, plain, t.Datagrams(), true); err != nil {
			plain.Close()
			return nil, fmt.Errorf("bfcp: %w", err)
		}
	}
	conn := newConn(c, t.Datagrams())
	if t.Secure() && !vouched(conn.certificate, fingerprints) {
		conn.Close()
		return nil, errFingerprint
	}
	return conn, nil
}

func (p *Port) reach(ctx context.Context, t Transport, to netip.AddrPort) (net.Conn, error) {
	if !t.Datagrams() {
		ctx, cancel := context.WithTimeout(ctx, handshakeTime)
		defer cancel()
		return (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	}
	if f := p.flow(to, true); f != nil {
		return f, nil
	}
	return nil, errors.New("too many connections, or one to this address already")
}

func (p *Port) accept() {
	for {
		c, err := p.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors
			continue
		}
		p.meet(c, false)
	}
}

// meet finds out which call a connection is of. Beyond so many at once it is
// dropped unheard.
func (p *Port) meet(c net.Conn, datagrams bool) {
	select {
	case p.places <- struct{}{}:
	default:
		c.Close()
		return
	}
	go func() {
		defer func() { <-p.places }()
		defer func() {
			if r := recover(); r != nil {
				p.log.Error("BFCP connection failed", "panic", r, "stack", string(debug.Stack()))
				c.Close()
			}
		}()
		if err := p.greet(c, datagrams); err != nil {
			p.log.Debug("BFCP connection refused", "from", c.RemoteAddr(), "error", err)
			c.Close()
		}
	}()
}

func (p *Port) greet(c net.Conn, datagrams bool) error {
	_ = c.SetReadDeadline(time.Now().Add(firstWord))
	c, secure, err := p.plainOrNot(c, datagrams)
	if err != nil {
		return err
	}
	conn := newConn(c, datagrams)
	first, err := conn.Read()
	if err != nil {
		conn.Close()
		return err
	}
	p.mu.Lock()
	call := p.calls[first.Conference]
	p.mu.Unlock()
	from := c.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Addr().Unmap()
	switch {
	case call == nil:
		err = errors.New("no such conference")
	case secure && !vouched(conn.certificate, call.Fingerprints):
		err = errFingerprint
	case !secure && (call.Secure || call.From != from):
		err = errors.New("in clear, or not from where the call is")
	}
	if err != nil {
		conn.Close()
		return err
	}
	_ = c.SetReadDeadline(time.Time{})
	call.Take(conn, first)
	return nil
}

// plainOrNot looks at the first octet: a handshake of (D)TLS begins with 22,
// which is no version of BFCP.
func (p *Port) plainOrNot(c net.Conn, datagrams bool) (net.Conn, bool, error) {
	first := make([]byte, 1)
	switch c := c.(type) {
	case *flow:
		first[0] = c.first
	default:
		if _, err := c.Read(first); err != nil {
			return c, false, err
		}
	}
	if !datagrams {
		c = &begun{c, first}
	}
	if first[0] != 22 {
		return c, false, nil
	}
	c, err := p.secure(context.Background(), c, datagrams, false)
	return c, true, err
}

// begun is a connection whose first octets have been read.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(to []byte) (int, error) {
	if len(b.first) > 0 {
		n := copy(to, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(to)
}
