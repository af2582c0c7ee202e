package webrtc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/udp"

	"github.com/pion/dtls/v3"
	"github.com/pion/transport/v5/packetio"
)

// profiles in order of preference: GCM costs a quarter of the others.
var profiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

// records is the net.PacketConn of a DTLS association (RFC 6347): what comes is
// put in by [peer.dtls], what is written goes the peer's way.
type records struct {
	peer *peer
	in   *packetio.Buffer
	once sync.Once
}

// maxRecords of a handshake may wait to be read.
const maxRecords = 32

// handshakeTime bounds a handshake.
const handshakeTime = 30 * time.Second

// dtls takes in a record. The first begins the handshake, in which the client is
// known to be where it says already: no cookie is needed (CVE-2023-49786 is of
// servers that are not so careful).
func (p *peer) dtls(b []byte) {
	p.taking.Lock()
	r := p.records
	if r == nil {
		r = &records{peer: p, in: packetio.NewBuffer()}
		r.in.SetLimitCount(maxRecords)
		p.records = r
		go p.handshake(r)
	}
	p.taking.Unlock()
	_, _ = r.in.Write(b, nil) // full: the client will send it again
}

// handshake agrees on the keys of SRTP (RFC 5764) with whoever has the
// certificate that was offered. The association stays open behind it, for records that
// are sent again and the client's close_notify.
func (p *peer) handshake(r *records) {
	conn, err := dtls.ServerWithOptions(r, r.RemoteAddr(), slices.Concat(p.leg.edge.dtls, []dtls.ServerOption{dtls.WithVerifyPeerCertificate(p.verify)})...)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
		err = conn.HandshakeContext(ctx)
		cancel()
	}
	var k *keys
	if err == nil {
		k, err = newKeys(conn)
	}
	if err != nil {
		p.refused(err)
		_ = r.Close()
		return
	}
	p.secured(k, conn)
}

// dtlsOptions are those of all associations.
func dtlsOptions(cert tls.Certificate, logs logFactory) []dtls.ServerOption {
	return []dtls.ServerOption{
		dtls.WithCertificates(cert), dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(profiles...), dtls.WithInsecureSkipVerifyHello(true),
		dtls.WithLoggerFactory(logs),
	}
}

// ReadFrom the client.
func (r *records) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := r.in.Read(b, nil)
	return n, r.RemoteAddr(), err
}

// WriteTo the client, wherever it is.
func (r *records) WriteTo(b []byte, _ net.Addr) (int, error) {
	if w := r.peer.way.Load(); w != nil {
		w.write(b)
	}
	return len(b), nil
}

// Close is called by the library too, when the client has closed its side.
func (r *records) Close() error {
	r.once.Do(func() {
		_ = r.in.Close()
		r.peer.gone()
	})
	return nil
}

func (r *records) LocalAddr() net.Addr                { return r.peer.leg.edge.port.LocalAddr() }
func (r *records) RemoteAddr() net.Addr               { return net.UDPAddrFromAddrPort(r.peer.from()) }
func (r *records) SetDeadline(t time.Time) error      { return r.SetReadDeadline(t) }
func (r *records) SetReadDeadline(t time.Time) error  { return r.in.SetReadDeadline(t) }
func (r *records) SetWriteDeadline(_ time.Time) error { return nil }

// fingerprint is that of a certificate (RFC 8122).
type fingerprint struct {
	sum   func() hash.Hash
	value []byte
}

var hashes = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}

func parseFingerprint(s string) (fingerprint, error) {
	name, value, _ := strings.Cut(s, " ")
	sum := hashes[strings.ToLower(name)]
	if sum == nil {
		return fingerprint{}, fmt.Errorf("fingerprint by %q: SHA-256 or stronger is needed", name)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
	if err != nil || len(b) != sum().Size() {
		return fingerprint{}, fmt.Errorf("fingerprint %q", value)
	}
	return fingerprint{sum, b}, nil
}

// of tells whether it is that of a certificate.
func (f fingerprint) of(cert []byte) bool {
	h := f.sum()
	h.Write(cert)
	return bytes.Equal(h.Sum(nil), f.value)
}

// fingerprintOf a certificate of ours, as an answer has it.
func fingerprintOf(cert []byte) string {
	sum := sha256.Sum256(cert)
	return "sha-256 " + strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"))
}

var errFingerprint = errors.New("the certificate is not the one that was offered")

// verify compares the client's certificate with its offer (RFC 8827, section
// 6.5).
func (p *peer) verify(certs [][]byte, _ [][]*x509.Certificate) error {
	p.leg.mu.Lock()
	offered := p.fingerprints
	p.leg.mu.Unlock()
	for _, f := range offered {
		if len(certs) > 0 && f.of(certs[0]) {
			return nil
		}
	}
	return errFingerprint
}

// refused ends a call whose handshake has failed, unless it has ended meanwhile.
func (p *peer) refused(err error) {
	l := p.leg
	l.mu.Lock()
	current := l.peer == p && !p.closed
	l.mu.Unlock()
	if current {
		l.log.Warn("DTLS handshake failed", "error", err)
		l.noted("DTLS failed")
		l.Hangup(core.Reason{Code: core.MediaTimeout, Say: "The encryption of sound and picture could not be agreed on.", Detail: "DTLS failed: " + err.Error()})
	}
}

// secured takes up the keys, and the packets that came before them.
func (p *peer) secured(k *keys, conn *dtls.Conn) {
	p.leg.mu.Lock()
	p.suite = k.suite.Name
	p.conn = conn
	closed := p.closed
	p.leg.mu.Unlock()
	if closed {
		_ = conn.Close()
		return
	}
	p.taking.Lock()
	p.keys.Store(k)
	early := p.early
	p.early, p.begun = nil, true
	p.taking.Unlock()
	for _, b := range early {
		p.take(b, core.Now())
	}
	p.leg.noted("DTLS connected, %s", k.suite.Name)
	p.judge()
}

// keep holds a packet that has come before the keys: the client has them first.
// taking is held.
func (p *peer) keep(b []byte) {
	if len(p.early) < maxEarly && p.records != nil && !p.begun {
		p.early = append(p.early, append(make([]byte, 0, udp.MaxPacket), b...))
	}
}

// maxEarly packets are a keyframe's first, and some sound.
const maxEarly = 48

func (f fingerprint) equal(g fingerprint) bool { return bytes.Equal(f.value, g.value) }

var errNewCertificate = errors.New("the client has another certificate than before; it must begin a fresh connection")
