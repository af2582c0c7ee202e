package webrtc

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"bridgehead/core/srtp"
	"bridgehead/core/udp"
)

// direct is the short way of a packet to the client. The library's leads through
// a dozen objects for each of them, which with hundreds of subscribers costs as
// much as the system's own part; here it is encrypted in its place in the batch
// that is sent. It serves clients who have agreed on AES-GCM, once they are
// connected; RTCP, and everything else, stays the library's. What they send is
// taken in by an [intake].
type direct struct {
	keys   atomic.Pointer[[]byte] // master key and salt toward the client; nil: not this way
	theirs atomic.Pointer[[]byte] // those of what the client sends, see [intake]
	path   atomic.Pointer[path]   // nil: not connected

	// Of the handshake, until its keys are known.
	random []byte // the server's
	suite  dtls.CipherSuiteID
	length int // of the master key; 0: no AES-GCM
}

// path is where the client is.
type path struct {
	from netip.AddrPort
	udp  udp.Address
	tcp  net.PacketConn // nil: by UDP
	to   net.Addr
}

// serverHello notes what has been agreed on.
func (d *direct) serverHello(h *handshake.MessageServerHello) {
	d.keys.Store(nil)
	d.theirs.Store(nil)
	random := h.Random.MarshalFixed()
	d.random, d.length = random[:], 0
	if h.CipherSuiteID != nil {
		d.suite = dtls.CipherSuiteID(*h.CipherSuiteID)
	}
	for _, x := range h.Extensions {
		if u, ok := x.(*extension.UseSRTP); ok && len(u.ProtectionProfiles) == 1 {
			switch u.ProtectionProfiles[0] {
			case dtls.SRTP_AEAD_AES_256_GCM:
				d.length = 32
			case dtls.SRTP_AEAD_AES_128_GCM:
				d.length = 16
			}
		}
	}
}

// Write is told the master secret by the library, as a line of the form that
// Wireshark reads: the one way in which it gives the keys out. They are used
// here and go no further.
func (d *direct) Write(line []byte) (int, error) {
	parts := bytes.Fields(line)
	if len(parts) != 3 || string(parts[0]) != "CLIENT_RANDOM" || d.length == 0 {
		return len(line), nil
	}
	random, err := hex.DecodeString(string(parts[1]))
	secret, err2 := hex.DecodeString(string(parts[2]))
	if err != nil || err2 != nil {
		return len(line), nil
	}
	var sum func() hash.Hash
	switch d.suite {
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM, dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		sum = sha256.New
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		sum = sha512.New384
	default:
		return len(line), nil
	}
	if theirs, ours := srtpKeys(secret, random, d.random, d.length, sum); ours != nil {
		d.theirs.Store(&theirs)
		d.keys.Store(&ours)
	}
	return len(line), nil
}

// srtpKeys exports the master keys and salts of both sides from the handshake
// (RFC 5705, RFC 5764 §4.2): client key, server key, client salt, server salt.
func srtpKeys(secret, client, server []byte, length int, sum func() hash.Hash) (theirs, ours []byte) {
	seed := append(append([]byte("EXTRACTOR-dtls_srtp"), client...), server...)
	all, err := prf.PHash(secret, seed, 2*(length+srtp.SaltLen), sum)
	if err != nil {
		return nil, nil
	}
	salts := all[2*length:]
	return append(bytes.Clone(all[:length]), salts[:srtp.SaltLen]...), append(bytes.Clone(all[length:2*length]), salts[srtp.SaltLen:]...)
}

// pathTo follows the pair of addresses that ICE has selected.
func (p *peer) pathTo(pair *webrtc.ICECandidatePair) {
	var next *path
	if pair != nil && pair.Remote != nil && pair.Local != nil {
		next = p.wayTo(pair.Local, pair.Remote)
	}
	intake := p.leg.edge.udp
	if next != nil && next.tcp == nil {
		intake.follow(next.from, p)
	}
	switch old := p.direct.path.Swap(next); {
	case old == nil:
	case old.tcp != nil:
		_ = old.tcp.Close()
	case next == nil || next.from != old.from:
		intake.leave(old.from, p)
	}
	if next != nil && p.isClosed() { // meanwhile
		p.pathTo(nil)
	}
}

func (p *peer) wayTo(local, remote *webrtc.ICECandidate) *path {
	e := p.leg.edge
	ip, err := netip.ParseAddr(remote.Address)
	if err != nil {
		return nil
	}
	if local.Protocol == webrtc.ICEProtocolUDP {
		from := netip.AddrPortFrom(ip, remote.Port)
		return &path{from: from, udp: e.udp.Address(from)}
	}
	own, err := netip.ParseAddr(local.Address)
	params, err2 := p.pc.SCTP().Transport().ICETransport().GetLocalParameters()
	if err != nil || err2 != nil || e.tcpMux == nil {
		return nil
	}
	conn, err := e.tcpMux.GetConnByUfrag(params.UsernameFragment, ip.Is6(), own.AsSlice())
	if err != nil {
		return nil
	}
	return &path{tcp: conn, to: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, remote.Port))}
}

// send encrypts and sends a packet of the slot, whose lock is held.
func (s *slot) send(b *binding, h *rtp.Header, payload []byte) error {
	d := &s.peer.direct
	keys := d.keys.Load()
	if keys == nil {
		_, err := b.writer.WriteRTP(h, payload)
		return err
	}
	way := d.path.Load()
	size := h.MarshalSize()
	if way == nil || size+len(payload)+srtp.TagLen > udp.MaxPacket {
		return nil // not connected
	}
	if s.seal == nil || s.sealed != keys {
		var err error
		if s.seal, err = srtp.NewGCM(*keys); err != nil {
			return err
		}
		s.sealed = keys
	}
	if way.tcp != nil {
		if s.wire == nil {
			s.wire = make([]byte, 0, udp.MaxPacket)
		}
		wire, err := s.packet(s.wire, h, payload)
		if err == nil {
			_, err = way.tcp.WriteTo(wire, way.to)
		}
		return err
	}
	port := s.leg.edge.udp
	wire, err := s.packet(port.Begin(), h, payload)
	port.End(len(wire), &way.udp)
	return err
}

// packet makes one in b, which is empty and has room for it.
func (s *slot) packet(b []byte, h *rtp.Header, payload []byte) ([]byte, error) {
	b = b[:h.MarshalSize()+len(payload)]
	n, err := h.MarshalTo(b)
	if err != nil {
		return nil, err
	}
	copy(b[n:], payload)
	return s.seal.Seal(b, n)
}
