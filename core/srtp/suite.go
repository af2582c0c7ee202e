package srtp

import (
	"fmt"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Suite is a crypto-suite of SRTP as SDES names it (RFC 4568, RFC 7714); DTLS
// calls it a protection profile (RFC 5764).
type Suite struct {
	Name    string
	KeyLen  int // of the master key and salt together, in octets
	Salt    int // of the salt alone
	profile srtp.ProtectionProfile
}

// suites in the order in which we prefer them: GCM first, being both the
// stronger and, by the processor's instructions, several times the cheaper.
var suites = []Suite{
	{"AEAD_AES_256_GCM", 32 + SaltLen, SaltLen, srtp.ProtectionProfileAeadAes256Gcm},
	{"AEAD_AES_128_GCM", 16 + SaltLen, SaltLen, srtp.ProtectionProfileAeadAes128Gcm},
	{"AES_CM_128_HMAC_SHA1_80", 16 + 14, 14, srtp.ProtectionProfileAes128CmHmacSha1_80},
	{"AES_CM_128_HMAC_SHA1_32", 16 + 14, 14, srtp.ProtectionProfileAes128CmHmacSha1_32},
}

// Suites lists what is supported, best first.
func Suites() []Suite { return append([]Suite(nil), suites...) }

// SuiteNamed finds a suite by its registered name, without regard to case.
func SuiteNamed(name string) (Suite, bool) {
	for _, s := range suites {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Suite{}, false
}

// Lean tells whether [GCM] and [RTCP] do the suite.
func (s Suite) Lean() bool { return s.Salt == SaltLen }

// Context is one direction of SRTP and SRTCP with any suite, for all SSRCs. Any
// goroutine may use it.
type Context struct {
	mu     sync.Mutex // held for one packet
	ctx    *srtp.Context
	header rtp.Header
}

// Context makes one of a master key with its salt behind.
func (s Suite) Context(master []byte) (*Context, error) {
	if len(master) != s.KeyLen {
		return nil, fmt.Errorf("SRTP key for %s has %d octets, needs %d", s.Name, len(master), s.KeyLen)
	}
	cut := s.KeyLen - s.Salt
	ctx, err := srtp.CreateContext(master[:cut], master[cut:], s.profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	return &Context{ctx: ctx}, err
}

// Seal encrypts an RTP packet in its place; b needs room for TagLen. The length
// of the header is found anew.
func (c *Context) Seal(b []byte, _ int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.EncryptRTP(b[:0], b, &c.header)
}

// Open authenticates and decrypts b in its place; on an error, what is in b is
// lost.
func (c *Context) Open(b []byte, _ int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.DecryptRTP(b[:0], b, &c.header)
}

// SealRTCP encrypts a compound packet; the result is new.
func (c *Context) SealRTCP(b []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.EncryptRTCP(nil, b, nil)
}

// OpenRTCP authenticates and decrypts a compound packet; the result is new.
func (c *Context) OpenRTCP(b []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx.DecryptRTCP(nil, b, nil)
}
