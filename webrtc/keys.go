package webrtc

import (
	"errors"
	"sync"

	"bridgehead/core/srtp"

	"github.com/pion/dtls/v3"
)

// keys are the SRTP keys of a handshake: ours, toward the client, and theirs;
// each a master key with its salt behind.
type keys struct {
	suite        srtp.Suite
	ours, theirs []byte

	// Of a suite that is not lean, which has one context for all streams.
	out, in *srtp.Context

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

// suites by the profile of DTLS-SRTP (RFC 5764, RFC 7714).
var suites = map[dtls.SRTPProtectionProfile]string{
	dtls.SRTP_AEAD_AES_256_GCM:       "AEAD_AES_256_GCM",
	dtls.SRTP_AEAD_AES_128_GCM:       "AEAD_AES_128_GCM",
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: "AES_CM_128_HMAC_SHA1_80",
}

// newKeys exports them from a handshake in which this side was the server (RFC
// 5764, section 4.2).
func newKeys(conn *dtls.Conn) (*keys, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	state, ok2 := conn.ConnectionState()
	s, known := srtp.SuiteNamed(suites[profile])
	if !ok || !ok2 || !known {
		return nil, errors.New("no SRTP profile was agreed on")
	}
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*s.KeyLen)
	if err != nil {
		return nil, err
	}
	cut := s.KeyLen - s.Salt
	part := func(i int) []byte { // client's key, server's key, client's salt, server's salt
		return append(append(make([]byte, 0, s.KeyLen), m[i*cut:][:cut]...), m[2*cut+i*s.Salt:][:s.Salt]...)
	}
	return keysOf(s, part(1), part(0))
}

func keysOf(s srtp.Suite, ours, theirs []byte) (k *keys, err error) {
	k = &keys{suite: s, ours: ours, theirs: theirs}
	if !s.Lean() {
		if k.in, err = s.Context(theirs); err == nil {
			k.out, err = s.Context(ours)
		}
		return k, err
	}
	if k.listen, err = srtp.NewRTCP(theirs); err == nil {
		k.control, err = srtp.NewRTCP(ours)
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
		sealed, err := k.out.SealRTCP(b)
		return append(b[:0], sealed...), err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.control.Seal(b)
}

func (k *keys) openRTCP(b []byte) ([]byte, error) {
	if k.in != nil {
		return k.in.OpenRTCP(b)
	}
	return k.listen.Open(b)
}
