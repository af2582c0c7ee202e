package rtpio

import (
	"fmt"
	"strings"

	"github.com/pion/srtp/v3"
)

// Suite is an SRTP crypto-suite as SDES names it (RFC 4568, RFC 7714).
type Suite struct {
	Name    string
	KeyLen  int // of the master key and salt together, in bytes
	saltLen int
	profile srtp.ProtectionProfile
}

// suites in the order in which we prefer them: GCM first, being both the
// stronger and, by the processor's instructions, several times the cheaper.
var suites = []Suite{
	{"AEAD_AES_256_GCM", 32 + 12, 12, srtp.ProtectionProfileAeadAes256Gcm},
	{"AEAD_AES_128_GCM", 16 + 12, 12, srtp.ProtectionProfileAeadAes128Gcm},
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

// Keys are the SRTP master keys (key, then salt) of one session.
type Keys struct {
	Suite         Suite
	Local, Remote []byte
}

// replayWindow in packets (RFC 3711 §3.3.2 asks for at least 64).
const replayWindow = 128

func (s Suite) context(master []byte) (*srtp.Context, error) {
	if len(master) != s.KeyLen {
		return nil, fmt.Errorf("SRTP key for %s has %d bytes, needs %d", s.Name, len(master), s.KeyLen)
	}
	cut := s.KeyLen - s.saltLen
	return srtp.CreateContext(master[:cut], master[cut:], s.profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
}
