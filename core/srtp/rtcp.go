package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// RTCP is one direction of SRTCP with AES-GCM (RFC 7714 §9). It is used by one
// goroutine at a time.
type RTCP struct {
	session          // an index of SRTCP is in the packet
	sources []source // of what was opened
	next    uint32   // index to seal with
}

// maxControl SSRCs are remembered: some peers have one for each of the reports and
// for each kind of feedback. One more, and the oldest is forgotten.
const maxControl = 64

const (
	rtcpHeader = 8 // of the first packet, in clear
	rtcpIndex  = 4 // the flag E and the index, at the end
)

// NewRTCP derives the session key and salt from a master key of 16 or 32 octets
// with its salt behind.
func NewRTCP(master []byte) (*RTCP, error) {
	r := &RTCP{}
	var err error
	r.session, err = newSession(master, labelRTCPKey, labelRTCPSalt)
	return r, err
}

// Open authenticates and decrypts b in its place; on an error, what is in b is
// lost.
func (r *RTCP) Open(b []byte) ([]byte, error) {
	tail := len(b) - rtcpIndex
	if tail < rtcpHeader+TagLen || b[tail]&0x80 == 0 {
		return nil, errNotSRTP
	}
	ssrc, index := binary.BigEndian.Uint32(b[4:]), uint64(binary.BigEndian.Uint32(b[tail:])&0x7fffffff)
	at := slices.IndexFunc(r.sources, func(s source) bool { return s.ssrc == ssrc })
	if at >= 0 && r.sources[at].had(index) {
		return nil, errReplayed
	}
	var head [rtcpHeader + rtcpIndex]byte
	copy(head[:], b[:rtcpHeader])
	copy(head[rtcpHeader:], b[tail:])
	plain, err := r.aead.Open(b[:rtcpHeader], r.nonce(ssrc, index), b[rtcpHeader:tail], head[:])
	if err != nil {
		return nil, errNotAuthentic
	}
	if at < 0 {
		if len(r.sources) == maxControl {
			r.sources = slices.Delete(r.sources, 0, 1)
		}
		at = len(r.sources)
		r.sources = append(r.sources, source{ssrc: ssrc, index: index})
	}
	r.sources[at].note(index)
	return plain, nil
}

// Seal encrypts a compound packet in its place; b needs room for TagLen and four
// octets more. It fails once 2^31 packets have been sealed (RFC 3711 §9.2).
func (r *RTCP) Seal(b []byte) ([]byte, error) {
	if len(b) < rtcpHeader {
		return nil, errNotSRTP
	}
	if r.next >= 1<<31 {
		return nil, errSpent
	}
	var head [rtcpHeader + rtcpIndex]byte
	copy(head[:], b[:rtcpHeader])
	binary.BigEndian.PutUint32(head[rtcpHeader:], r.next|1<<31)
	nonce := r.nonce(binary.BigEndian.Uint32(b[4:]), uint64(r.next))
	r.next++
	return append(r.aead.Seal(b[:rtcpHeader], nonce, b[rtcpHeader:], head[:]), head[rtcpHeader:]...), nil
}

var errSpent = errors.New("SRTCP key has encrypted all the packets that it may")

// Labels of the key derivation (RFC 3711 §4.3.1, §4.3.2).
const (
	labelKey      = 0
	labelSalt     = 2
	labelRTCPKey  = 3
	labelRTCPSalt = 5
)

// newSession derives a session key and salt (RFC 3711 §4.3, RFC 7714 §11).
func newSession(master []byte, forKey, forSalt byte) (k session, err error) {
	cut := len(master) - SaltLen
	if cut != 16 && cut != 32 {
		return k, fmt.Errorf("SRTP key with %d octets: AES-GCM needs 28 or 44", len(master))
	}
	block, err := aes.NewCipher(master[:cut])
	if err != nil {
		return k, err
	}
	key := make([]byte, cut)
	derive(block, master[cut:], forKey, key)
	derive(block, master[cut:], forSalt, k.salt[:])
	if block, err = aes.NewCipher(key); err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	return k, err
}
