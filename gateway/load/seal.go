package load

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"bridgehead/core/rtpio"
)

// echoKeys are what the load and the encrypting echo have agreed on, as far as
// they need to: there is nothing to hide. Every peer has contexts of its own.
func echoKeys(s rtpio.Suite, echo bool) *rtpio.Keys {
	k := &rtpio.Keys{Suite: s, Local: make([]byte, s.KeyLen), Remote: make([]byte, s.KeyLen)}
	for i := range k.Local {
		k.Local[i], k.Remote[i] = byte(i), byte(i+100)
	}
	if echo {
		k.Local, k.Remote = k.Remote, k.Local
	}
	return k
}

const (
	ivSize  = 12
	tagSize = 16
)

// sealer is a direction of SRTP with AES-GCM (RFC 7714) and no more than its
// arithmetic: one stream, in order, never replayed.
type sealer struct {
	aead cipher.AEAD
	salt [ivSize]byte
	iv   [ivSize]byte
	roc  uint32
	seq  uint16
}

// newSealer derives the session key and salt (RFC 3711, section 4.3).
func newSealer(master []byte) (*sealer, error) {
	key, salt := make([]byte, len(master)-ivSize), master[len(master)-ivSize:]
	block, err := aes.NewCipher(master[:len(key)])
	if err != nil {
		return nil, err
	}
	s := &sealer{}
	derive := func(label byte, out []byte) {
		var x [aes.BlockSize]byte
		copy(x[:], salt)
		x[7] ^= label
		cipher.NewCTR(block, x[:]).XORKeyStream(out, out)
	}
	derive(0, key)
	derive(2, s.salt[:])
	if block, err = aes.NewCipher(key); err != nil {
		return nil, err
	}
	s.aead, err = cipher.NewGCM(block)
	return s, err
}

// nonce of a packet (RFC 7714, section 8.1): its SSRC, roll-over counter and
// number, xored with the salt.
func (s *sealer) nonce(packet []byte) []byte {
	seq := binary.BigEndian.Uint16(packet[2:])
	if seq < 1<<14 && s.seq >= 3<<14 {
		s.roc++
	}
	s.seq = seq
	clear(s.iv[:2])
	copy(s.iv[2:6], packet[8:12])
	binary.BigEndian.PutUint32(s.iv[6:], s.roc)
	binary.BigEndian.PutUint16(s.iv[10:], seq)
	for i, b := range s.salt {
		s.iv[i] ^= b
	}
	return s.iv[:]
}

// echoPeer is one that sends to an encrypting echo.
type echoPeer struct{ in, out *sealer }

// echoPeers are all of them, by where they send from.
type echoPeers struct {
	suite rtpio.Suite
	known map[unix.RawSockaddrInet4]*echoPeer
}

const fixedHeader = 12 // of RTP without extensions, as the load sends

// answer decrypts a packet of room for more and encrypts it again, in its place;
// nil if it is none.
func (e *echoPeers) answer(packet []byte, from unix.RawSockaddrInet4) []byte {
	if len(packet) < fixedHeader+tagSize || packet[0] != 2<<6 || packet[1]&0x7f >= 64 && packet[1]&0x7f < 96 {
		return nil // RTCP (RFC 5761), which costs nothing here
	}
	p := e.known[from]
	if p == nil {
		keys := echoKeys(e.suite, true)
		in, err := newSealer(keys.Remote)
		out, err2 := newSealer(keys.Local)
		if err != nil || err2 != nil {
			return nil
		}
		p = &echoPeer{in, out}
		e.known[from] = p
	}
	head, body := packet[:fixedHeader], packet[fixedHeader:]
	plain, err := p.in.aead.Open(body[:0], p.in.nonce(packet), body, head)
	if err != nil {
		return nil
	}
	sealed := p.out.aead.Seal(plain[:0], p.out.nonce(packet), plain, head)
	return packet[:fixedHeader+len(sealed)]
}
