package bfcp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
)

// Transport of RFC 8856.
type Transport uint8

// The transports, as m= lines name them.
const (
	TCP  Transport = iota // TCP/BFCP
	TLS                   // TCP/TLS/BFCP
	UDP                   // UDP/BFCP
	DTLS                  // UDP/TLS/BFCP
)

var transports = [...]string{"TCP/BFCP", "TCP/TLS/BFCP", "UDP/BFCP", "UDP/TLS/BFCP"}

func (t Transport) String() string { return transports[t] }

// TransportNamed finds it by its name in an m= line.
func TransportNamed(proto string) (Transport, bool) {
	i := slices.Index(transports[:], proto)
	return Transport(max(i, 0)), i >= 0
}

// Secure transports are encrypted; those of Datagrams lose messages.
func (t Transport) Secure() bool    { return t == TLS || t == DTLS }
func (t Transport) Datagrams() bool { return t == UDP || t == DTLS }

const (
	handshakeTime = 5 * time.Second
	writeTime     = 5 * time.Second
	maxQueued     = 32
	maxDatagram   = 1500
)

// Conn carries messages.
type Conn struct {
	conn      net.Conn
	datagrams bool
	// certificate is the peer's, in DER; nil in clear.
	certificate []byte

	out  chan []byte
	done chan struct{}
	once sync.Once
	buf  []byte
}

func newConn(c net.Conn, datagrams bool) *Conn {
	conn := &Conn{conn: c, datagrams: datagrams, out: make(chan []byte, maxQueued), done: make(chan struct{}), buf: make([]byte, headerSize+maxPayload)}
	switch c := c.(type) {
	case *tls.Conn:
		if list := c.ConnectionState().PeerCertificates; len(list) > 0 {
			conn.certificate = list[0].Raw
		}
	case *dtls.Conn:
		if state, ok := c.ConnectionState(); ok && len(state.PeerCertificates) > 0 {
			conn.certificate = state.PeerCertificates[0]
		}
	}
	go conn.write()
	return conn
}

// Read gives the next message. A malformed datagram is passed over; in a stream
// it is the end.
func (c *Conn) Read() (Message, error) {
	for {
		if c.datagrams {
			n, err := c.conn.Read(c.buf)
			if err != nil {
				return Message{}, err
			}
			if m, err := Parse(c.buf[:n]); err == nil {
				return m, nil
			}
			continue
		}
		if _, err := io.ReadFull(c.conn, c.buf[:headerSize]); err != nil {
			return Message{}, err
		}
		n := headerSize + payloadSize(c.buf)
		if n > len(c.buf) {
			return Message{}, malformed("message too long", n)
		}
		if _, err := io.ReadFull(c.conn, c.buf[headerSize:n]); err != nil {
			return Message{}, err
		}
		return Parse(c.buf[:n])
	}
}

// Send queues a message; a peer that does not take them is given up.
func (c *Conn) Send(m Message) {
	select {
	case c.out <- m.Append(nil):
	case <-c.done:
	default:
		c.Close()
	}
}

func (c *Conn) write() {
	for {
		select {
		case b := <-c.out:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeTime))
			if _, err := c.conn.Write(b); err != nil && !c.datagrams {
				c.Close()
			}
		case <-c.done:
			return
		}
	}
}

// Close ends the connection; what is queued is lost.
func (c *Conn) Close() { c.once.Do(func() { close(c.done); c.conn.Close() }) }

// Fingerprint is the SHA-256 of a certificate as RFC 8122 writes it.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	var parts []string
	for _, b := range sum {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return "sha-256 " + strings.Join(parts, ":")
}

// vouched reports whether one of the fingerprints is of the certificate.
func vouched(der []byte, fingerprints []string) bool {
	return der != nil && slices.ContainsFunc(fingerprints, func(f string) bool { return strings.EqualFold(f, Fingerprint(der)) })
}

var errFingerprint = errors.New("bfcp: the certificate is not the one that the call's fingerprint names")

func (p *Port) tlsConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{p.certificate}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true} // the fingerprint is what counts
}

func (p *Port) dtls(c net.Conn, client bool) (*dtls.Conn, error) {
	over := dtlsnet.PacketConnFromConn(c)
	own := []dtls.Option{dtls.WithCertificates(p.certificate), dtls.WithInsecureSkipVerify(true), dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret)}
	if client {
		var options []dtls.ClientOption
		for _, o := range own {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(over, c.RemoteAddr(), options...)
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range own {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(over, c.RemoteAddr(), options...)
}

// secure does the handshake of TLS or DTLS over c.
func (p *Port) secure(ctx context.Context, c net.Conn, datagrams, client bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if !datagrams {
		t := tls.Server(c, p.tlsConfig())
		if client {
			t = tls.Client(c, p.tlsConfig())
		}
		return t, t.HandshakeContext(ctx)
	}
	d, err := p.dtls(c, client)
	if err != nil {
		return nil, err
	}
	return d, d.HandshakeContext(ctx)
}
