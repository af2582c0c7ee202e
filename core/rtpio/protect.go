package rtpio

import (
	"bytes"

	"bridgehead/core/srtp"
)

// protection is one direction of SRTP and SRTCP.
type protection struct {
	gcm    *srtp.GCM // for RTP; nil: the suite is another
	ctx    *srtp.Context
	master []byte
	suite  string
}

// protect makes both directions ready. A direction whose key stays the same
// over a renegotiation keeps its context: its roll-over counter goes on and
// packets seen before stay refused.
func protect(k *Keys, old *flow) (in, out *protection, err error) {
	if old != nil && old.srtpIn != nil {
		in, out = old.srtpIn.keep(k.Suite, k.Remote), old.srtpOut.keep(k.Suite, k.Local)
	}
	if in == nil {
		if in, err = newProtection(k.Suite, k.Remote); err != nil {
			return nil, nil, err
		}
	}
	if out == nil {
		if out, err = newProtection(k.Suite, k.Local); err != nil {
			return nil, nil, err
		}
	}
	return in, out, nil
}

func newProtection(s Suite, master []byte) (*protection, error) {
	ctx, err := s.Context(master)
	if err != nil {
		return nil, err
	}
	p := &protection{master: bytes.Clone(master), suite: s.Name, ctx: ctx}
	if s.Lean() {
		p.gcm, err = srtp.NewGCM(master)
	}
	return p, err
}

func (p *protection) keep(s Suite, master []byte) *protection {
	if p.suite == s.Name && bytes.Equal(p.master, master) {
		return p
	}
	return nil
}

// rtp encrypts a packet of a fixed header and payload in its place, which needs
// room for the tag. One goroutine sends.
func (p *protection) rtp(plain []byte) ([]byte, error) {
	if p.gcm != nil {
		return p.gcm.Seal(plain, fixedHeader)
	}
	return p.ctx.Seal(plain, fixedHeader)
}

// fixedHeader is the length of a header without CSRCs and extension.
const fixedHeader = 12

// openRTP authenticates and decrypts b in its place, of which n octets are the
// header; on an error, what is in b is lost. One goroutine receives.
func (p *protection) openRTP(b []byte, n int) ([]byte, error) {
	if p.gcm != nil {
		return p.gcm.Open(b, n)
	}
	return p.ctx.Open(b, n)
}
