package h235

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"bridgehead/core/cache"
	"bridgehead/h323/per"
)

// Algorithms of media encryption: AES in CBC mode with a key of 128, 192 or
// 256 bits.
const (
	AES128OID per.OID = "2.16.840.1.101.3.4.1.2"
	AES192OID per.OID = "2.16.840.1.101.3.4.1.22"
	AES256OID per.OID = "2.16.840.1.101.3.4.1.42"
)

// KeyLen gives the octets of an algorithm's key, 0 for one that is unknown.
func KeyLen(algorithm per.OID) int {
	return map[per.OID]int{AES128OID: 16, AES192OID: 24, AES256OID: 32}[algorithm]
}

const block = aes.BlockSize

var (
	errKey     = errors.New("h235: a key of a wrong length")
	errPayload = errors.New("h235: a payload that is no ciphertext of AES in CBC mode")
)

// WrapKey encrypts a media key under the session key: AES in CBC mode with an
// initial vector of zeros, without padding (H.235.6 §7.6.1).
func WrapKey(media, session []byte) ([]byte, error) {
	return wrap(media, session, cipher.NewCBCEncrypter)
}

// UnwrapKey is the reverse of WrapKey.
func UnwrapKey(wrapped, session []byte) ([]byte, error) {
	return wrap(wrapped, session, cipher.NewCBCDecrypter)
}

func wrap(in, session []byte, mode func(cipher.Block, []byte) cipher.BlockMode) ([]byte, error) {
	b, err := aes.NewCipher(session)
	if err != nil || len(in) == 0 || len(in)%block != 0 {
		return nil, errKey
	}
	out := make([]byte, len(in))
	mode(b, make([]byte, block)).CryptBlocks(out, in)
	return out, nil
}

// A Cipher encrypts or decrypts the payloads of one media channel. It is not
// safe for concurrent use, and does not allocate per packet.
type Cipher struct {
	b        cipher.Block
	iv, next [block]byte
}

// NewCipher makes the cipher of a media key of 16, 24 or 32 octets.
func NewCipher(key []byte) (*Cipher, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, errKey
	}
	return &Cipher{b: b}, nil
}

// Warm has the processor fetch what the next packet needs ([cache]).
func (c *Cipher) Warm() {
	cache.Fetch(c)
	cache.FetchHeld(&c.b, keySchedule)
}

// keySchedule is about what the library keeps of a key, in octets: the round
// keys of both directions.
const keySchedule = 512

// start makes the initial vector: sequence number and timestamp, repeated
// (H.235.6 §9.3.1.1).
func (c *Cipher) start(seq uint16, ts uint32) {
	binary.BigEndian.PutUint16(c.iv[:], seq)
	binary.BigEndian.PutUint32(c.iv[2:], ts)
	copy(c.iv[6:], c.iv[:6])
	copy(c.iv[12:], c.iv[:4])
}

// Encrypt appends the ciphertext of an RTP payload to dst. The packet's P bit
// must be set if padded: the last octet then counts the padding.
// One that has whole blocks stays without padding.
func (c *Cipher) Encrypt(dst, payload []byte, seq uint16, ts uint32) (out []byte, padded bool) {
	c.start(seq, ts)
	whole := len(payload) / block * block
	for at := 0; at < whole; at += block {
		dst = c.encryptBlock(dst, payload[at:at+block])
	}
	rest := len(payload) - whole
	if rest == 0 {
		return dst, false
	}
	clear(c.next[:])
	copy(c.next[:], payload[whole:])
	c.next[block-1] = byte(block - rest)
	return c.encryptBlock(dst, c.next[:]), true
}

func (c *Cipher) encryptBlock(dst, plain []byte) []byte {
	subtle.XORBytes(c.iv[:], c.iv[:], plain)
	c.b.Encrypt(c.iv[:], c.iv[:])
	return append(dst, c.iv[:]...)
}

// Decrypt appends the plaintext of an RTP payload to dst. padded is the packet's
// P bit: only the last octet of the padding is looked at, as some endpoints fill
// the others with anything. A payload that is not of whole blocks was encrypted
// with ciphertext stealing.
func (c *Cipher) Decrypt(dst, payload []byte, seq uint16, ts uint32, padded bool) ([]byte, error) {
	c.start(seq, ts)
	start := len(dst)
	whole, rest := len(payload)/block*block, len(payload)%block
	if whole == 0 {
		return dst, errPayload
	}
	if rest > 0 {
		whole -= block
	}
	for at := 0; at < whole; at += block {
		dst = c.decryptBlock(dst, payload[at:at+block])
	}
	if rest > 0 {
		dst = c.unsteal(dst, payload[whole:whole+block], payload[whole+block:])
	}
	if !padded {
		return dst, nil
	}
	n := int(dst[len(dst)-1])
	if n == 0 || n > len(dst)-start {
		return dst[:start], errPayload
	}
	return dst[:len(dst)-n], nil
}

func (c *Cipher) decryptBlock(dst, coded []byte) []byte {
	c.b.Decrypt(c.next[:], coded)
	subtle.XORBytes(c.next[:], c.next[:], c.iv[:])
	copy(c.iv[:], coded)
	return append(dst, c.next[:]...)
}

// unsteal decrypts the last full block and the rest behind it: the full one is
// the last block's ciphertext, whose plaintext ends in what the rest lacks.
func (c *Cipher) unsteal(dst, full, rest []byte) []byte {
	n := len(rest)
	c.b.Decrypt(c.next[:], full)
	var last [block]byte
	subtle.XORBytes(last[:n], c.next[:n], rest)
	copy(c.next[:n], rest)
	c.b.Decrypt(c.next[:], c.next[:])
	subtle.XORBytes(c.next[:], c.next[:], c.iv[:])
	dst = append(dst, c.next[:]...)
	return append(dst, last[:n]...)
}
