package rtpio

import (
	"bytes"

	"bridgehead/core/srtp"
)

// protection is one direction of SRTP and SRTCP.
type protection struct {
	gcm    *srtp.GCM
	rtcp   *srtp.RTCP
	ctx    *srtp.Context // of a suite that is not lean, for both
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
	p := &protection{master: bytes.Clone(master), suite: s.Name}
	var err error
	if !s.Lean() {
		p.ctx, err = s.Context(master)
		return p, err
	}
	if p.gcm, err = srtp.NewGCM(master); err == nil {
		p.rtcp, err = srtp.NewRTCP(master)
	}
	return p, err
}

func (p *protection) keep(s Suite, master []byte) *protection {
	if p.suite == s.Name && bytes.Equal(p.master, master) {
		return p
	}
	return nil
}

// warm has what one direction's encryption of the next packet needs fetched;
// either may be nil.
func warm(p *protection, c Cipher) {
	switch {
	case p != nil && p.gcm != nil:
		p.gcm.Warm()
	case p == nil && c != nil:
		c.Warm()
	}
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

// sealRTCP encrypts a compound packet; what is in b is lost. One goroutine at a
// time sends.
func (p *protection) sealRTCP(b []byte) ([]byte, error) {
	if p.rtcp != nil {
		return p.rtcp.Seal(b)
	}
	return p.ctx.SealRTCP(b)
}

// openRTCP authenticates and decrypts b; what is in b is lost. One goroutine
// receives.
func (p *protection) openRTCP(b []byte) ([]byte, error) {
	if p.rtcp != nil {
		return p.rtcp.Open(b)
	}
	return p.ctx.OpenRTCP(b)
}
