// Package srtp has the crypto-suites of SRTP (RFC 3711). With AES-GCM (RFC 7714)
// as little memory as can be is touched for a packet: with hundreds of callers,
// fetching what is scattered costs more than the encryption. The others are a
// library's.
package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"bridgehead/core/cache"
)

// GCM is one direction of SRTP with AEAD_AES_128_GCM or AEAD_AES_256_GCM. It is
// used by one goroutine at a time.
type GCM struct {
	session
	first source // most streams have one for ever
	more  []source
	n     int // sources known
}

// session is a session key and salt.
type session struct {
	aead cipher.AEAD
	salt [SaltLen]byte
	iv   [SaltLen]byte // of the packet under way
}

// source is where the packets of one SSRC have come to.
type source struct {
	ssrc  uint32
	index uint64                      // of the packet furthest on (RFC 3711 §3.3.1): ROC and SEQ
	seen  [replayWindow/64 + 1]uint64 // a bit for each of the last packets
}

const (
	// SaltLen of a master salt, and TagLen that Seal makes a packet longer, in
	// octets.
	SaltLen = 12
	TagLen  = 16
	// replayWindow in packets (RFC 3711 §3.3.2 asks for at least 64).
	replayWindow = 128
	// MaxSources is how many SSRCs one key may have had. Each is remembered, so
	// that nothing is taken in twice; a peer that has had more, needs new keys.
	MaxSources = 8
)

// ErrSources leaves the packet as it was.
var ErrSources = errors.New("SRTP: too many SSRCs with one key")

var (
	errReplayed     = errors.New("SRTP packet came before, or is too old to tell")
	errNotSRTP      = errors.New("SRTP packet is too short")
	errNotAuthentic = errors.New("SRTP packet is not authentic")
)

// NewGCM derives the session key and salt from a master key of 16 or 32 octets
// with its salt behind.
func NewGCM(master []byte) (*GCM, error) {
	g := &GCM{}
	var err error
	g.session, err = newSession(master, labelKey, labelSalt)
	return g, err
}

// Warm has the processor fetch what Seal and Open need ([cache]).
func (g *GCM) Warm() {
	cache.Fetch(g)
	cache.FetchHeld(&g.aead, keySchedule)
}

// keySchedule is about what the library behind an AEAD keeps of a key, in octets: the
// round keys of both directions, and multiples of the hash's key.
const keySchedule = 768

// derive is the key derivation of RFC 3711 §4.3.3 with a rate of 0.
func derive(master cipher.Block, salt []byte, label byte, out []byte) {
	var x [aes.BlockSize]byte
	copy(x[:], salt)
	x[7] ^= label
	cipher.NewCTR(master, x[:]).XORKeyStream(out, out)
}

// Seal encrypts a packet in its place; b needs room for the tag. header is its
// RTP header's length.
func (g *GCM) Seal(b []byte, header int) ([]byte, error) {
	s, index, err := g.find(b)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = g.add(binary.BigEndian.Uint32(b[8:]), index)
	}
	s.index = max(s.index, index)
	return g.aead.Seal(b[:header], g.nonce(s.ssrc, index), b[header:], b[:header]), nil
}

// Open authenticates and decrypts b in its place; on an error, what is in b is
// lost.
func (g *GCM) Open(b []byte, header int) ([]byte, error) {
	if len(b) < header+TagLen {
		return nil, errNotSRTP
	}
	s, index, err := g.find(b)
	if err != nil {
		return nil, err
	}
	if s != nil && s.had(index) {
		return nil, errReplayed
	}
	plain, err := g.aead.Open(b[:header], g.nonce(binary.BigEndian.Uint32(b[8:]), index), b[header:], b[:header])
	if err != nil {
		return nil, errNotAuthentic
	}
	if s == nil {
		s = g.add(binary.BigEndian.Uint32(b[8:]), index)
	}
	s.note(index)
	return plain, nil
}

// Follow says that a source's packets have come to this index, its roll-over
// counter and number, with another context before.
func (g *GCM) Follow(ssrc uint32, index uint64) {
	if s, err := g.source(ssrc); s == nil && err == nil {
		g.add(ssrc, index)
	}
}

// nonce is made as RFC 7714 §8.1 says.
func (k *session) nonce(ssrc uint32, index uint64) []byte {
	iv := k.iv[:]
	binary.BigEndian.PutUint32(iv, 0)
	binary.BigEndian.PutUint32(iv[2:], ssrc)
	binary.BigEndian.PutUint16(iv[6:], uint16(index>>32))
	binary.BigEndian.PutUint32(iv[8:], uint32(index))
	for i := range iv {
		iv[i] ^= k.salt[i]
	}
	return iv
}

// find returns the source of a packet, nil if it is new, and the packet's
// index.
func (g *GCM) find(b []byte) (*source, uint64, error) {
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	s, err := g.source(ssrc)
	if s == nil {
		return nil, uint64(seq), err
	}
	return s, s.nearest(seq), nil
}

// source finds one; nil if it is new.
func (g *GCM) source(ssrc uint32) (*source, error) {
	if g.n > 0 && g.first.ssrc == ssrc {
		return &g.first, nil
	}
	for i := range g.more {
		if s := &g.more[i]; s.ssrc == ssrc {
			return s, nil
		}
	}
	if g.n == MaxSources {
		return nil, ErrSources
	}
	return nil, nil
}

func (g *GCM) add(ssrc uint32, index uint64) *source {
	s := source{ssrc: ssrc, index: index}
	if g.n++; g.n == 1 {
		g.first = s
		return &g.first
	}
	g.more = append(g.more, s)
	return &g.more[len(g.more)-1]
}

// nearest is the index that a sequence number most likely stands for (RFC 3711
// §3.3.1).
func (s *source) nearest(seq uint16) uint64 {
	index := s.index + uint64(int64(int16(seq-uint16(s.index))))
	if index > 1<<63 { // before the first roll-over
		index += 1 << 16
	}
	return index
}

// had reports whether a packet came before, or is too old to tell (RFC 3711
// §3.3.2).
func (s *source) had(index uint64) bool {
	if index > s.index {
		return false
	}
	if s.index-index >= replayWindow {
		return true
	}
	return s.seen[index/64%uint64(len(s.seen))]&(1<<(index%64)) != 0
}

// note remembers an authentic packet.
func (s *source) note(index uint64) {
	if index > s.index {
		// Forget what the window has left behind.
		for next := s.index/64 + 1; next <= index/64 && next <= s.index/64+uint64(len(s.seen)); next++ {
			s.seen[next%uint64(len(s.seen))] = 0
		}
		s.index = index
	}
	s.seen[index/64%uint64(len(s.seen))] |= 1 << (index % 64)
}
