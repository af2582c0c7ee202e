package webrtc

import (
	"errors"
	"sync"

	"bridgehead/core/srtp"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	general "github.com/pion/srtp/v3"
)

// keys are the SRTP keys of a handshake: ours, toward the client, and theirs;
// each a master key with its salt behind.
type keys struct {
	suite        string
	ours, theirs []byte

	// Of the suite without AES-GCM, which has one context for all streams.
	out, in *sharedContext

	mu      sync.Mutex
	control *srtp.RTCP // toward the client; guarded by mu
	listen  *srtp.RTCP // from it; owned by peer.taking
}

// A sealer encrypts a packet in its place, whose RTP header has that many octets
// and behind which there is room for a tag; an opener takes it back.
type (
	sealer interface {
		Seal(b []byte, header int) ([]byte, error)
	}
	opener interface {
		Open(b []byte, header int) ([]byte, error)
	}
)

// suite is what there is to know of an SRTP profile (RFC 5764, RFC 7714).
type suite struct {
	name      string
	key, salt int // octets
}

var suites = map[dtls.SRTPProtectionProfile]suite{
	dtls.SRTP_AEAD_AES_256_GCM:       {"AEAD_AES_256_GCM", 32, 12},
	dtls.SRTP_AEAD_AES_128_GCM:       {"AEAD_AES_128_GCM", 16, 12},
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: {"AES_CM_128_HMAC_SHA1_80", 16, 14},
}

// newKeys exports them from a handshake in which this side was the server (RFC
// 5764, section 4.2).
func newKeys(conn *dtls.Conn) (*keys, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	state, ok2 := conn.ConnectionState()
	s, known := suites[profile]
	if !ok || !ok2 || !known {
		return nil, errors.New("no SRTP profile was agreed on")
	}
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(s.key+s.salt))
	if err != nil {
		return nil, err
	}
	part := func(i int) []byte { // client's key, server's key, client's salt, server's salt
		salt := m[2*s.key+i*s.salt:][:s.salt]
		return append(append(make([]byte, 0, s.key+s.salt), m[i*s.key:][:s.key]...), salt...)
	}
	k := &keys{suite: s.name, theirs: part(0), ours: part(1)}
	if s.salt != srtp.SaltLen {
		if k.in, err = newShared(k.theirs, s.key); err == nil {
			k.out, err = newShared(k.ours, s.key)
		}
		return k, err
	}
	if k.listen, err = srtp.NewRTCP(k.theirs); err == nil {
		k.control, err = srtp.NewRTCP(k.ours)
	}
	return k, err
}

// sealer makes one for a stream to the client.
func (k *keys) sealer() (sealer, error) {
	if k.out != nil {
		return k.out, nil
	}
	return srtp.NewGCM(k.ours)
}

// opener makes one for streams from the client.
func (k *keys) opener() (opener, error) {
	if k.in != nil {
		return k.in, nil
	}
	return srtp.NewGCM(k.theirs)
}

// sealRTCP encrypts a packet in its place, behind which there is room.
func (k *keys) sealRTCP(b []byte) ([]byte, error) {
	if k.out != nil {
		return k.out.sealRTCP(b)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.control.Seal(b)
}

func (k *keys) openRTCP(b []byte) ([]byte, error) {
	if k.in != nil {
		return k.in.openRTCP(b)
	}
	return k.listen.Open(b)
}

// sharedContext is the library's, for all streams of one direction.
type sharedContext struct {
	mu     sync.Mutex
	ctx    *general.Context
	header rtp.Header
}

// replayWindow in packets (RFC 3711, section 3.3.2).
const replayWindow = 128

func newShared(master []byte, key int) (*sharedContext, error) {
	ctx, err := general.CreateContext(master[:key], master[key:], general.ProtectionProfileAes128CmHmacSha1_80,
		general.SRTPReplayProtection(replayWindow), general.SRTCPReplayProtection(replayWindow))
	return &sharedContext{ctx: ctx}, err
}

// Seal implements sealer.
func (c *sharedContext) Seal(b []byte, _ int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.EncryptRTP(b[:0], b, &c.header)
}

// Open implements opener.
func (c *sharedContext) Open(b []byte, _ int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.DecryptRTP(b[:0], b, &c.header)
}

func (c *sharedContext) sealRTCP(b []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sealed, err := c.ctx.EncryptRTCP(nil, b, nil)
	return append(b[:0], sealed...), err
}

func (c *sharedContext) openRTCP(b []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.DecryptRTCP(nil, b, nil)
}
