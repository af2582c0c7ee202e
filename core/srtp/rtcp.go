package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// RTCP takes in SRTCP with AES-GCM (RFC 7714 §9). It is used by one goroutine at
// a time.
type RTCP struct {
	gcm GCM // an index of SRTCP is 31 bits, and in the packet
}

const (
	rtcpHeader = 8 // of the first packet, in clear
	rtcpIndex  = 4 // the flag E and the index, at the end
)

// NewRTCP derives the session key and salt from a master key of 16 or 32 octets
// with its salt behind.
func NewRTCP(master []byte) (*RTCP, error) {
	r := &RTCP{}
	var err error
	r.gcm.aead, err = session(master, labelRTCPKey, labelRTCPSalt, &r.gcm.salt)
	return r, err
}

// Open authenticates and decrypts b in its place; on an error that is not
// ErrSources, what is in b is lost.
func (r *RTCP) Open(b []byte) ([]byte, error) {
	tail := len(b) - rtcpIndex
	if tail < rtcpHeader+TagLen || b[tail]&0x80 == 0 {
		return nil, errNotSRTP
	}
	ssrc, index := binary.BigEndian.Uint32(b[4:]), uint64(binary.BigEndian.Uint32(b[tail:])&0x7fffffff)
	s, err := r.gcm.source(ssrc)
	if err != nil {
		return nil, err
	}
	if s != nil && s.had(index) {
		return nil, errReplayed
	}
	var head [rtcpHeader + rtcpIndex]byte
	copy(head[:], b[:rtcpHeader])
	copy(head[rtcpHeader:], b[tail:])
	plain, err := r.gcm.aead.Open(b[:rtcpHeader], r.gcm.nonce(ssrc, index), b[rtcpHeader:tail], head[:])
	if err != nil {
		return nil, errNotAuthentic
	}
	if s == nil {
		s = r.gcm.add(ssrc, index)
	}
	s.note(index)
	return plain, nil
}

// Labels of the key derivation (RFC 3711 §4.3.1, §4.3.2).
const (
	labelKey      = 0
	labelSalt     = 2
	labelRTCPKey  = 3
	labelRTCPSalt = 5
)

// session derives a session key and salt (RFC 3711 §4.3, RFC 7714 §11).
func session(master []byte, forKey, forSalt byte, salt *[SaltLen]byte) (cipher.AEAD, error) {
	cut := len(master) - SaltLen
	if cut != 16 && cut != 32 {
		return nil, fmt.Errorf("SRTP key with %d octets: AES-GCM needs 28 or 44", len(master))
	}
	block, err := aes.NewCipher(master[:cut])
	if err != nil {
		return nil, err
	}
	key := make([]byte, cut)
	derive(block, master[cut:], forKey, key)
	derive(block, master[cut:], forSalt, salt[:])
	if block, err = aes.NewCipher(key); err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
