package rtpio

import (
	"bytes"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	lean "bridgehead/core/srtp"
)

// protection is one direction of SRTP and SRTCP.
type protection struct {
	gcm    *lean.GCM // for RTP; nil: the suite is another
	master []byte
	suite  string
	// mu is held for one packet: RTCP, and RTP without gcm, share the context.
	mu     sync.Mutex
	ctx    *srtp.Context
	header rtp.Header // of what is encrypted
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
	ctx, err := s.context(master)
	if err != nil {
		return nil, err
	}
	p := &protection{master: bytes.Clone(master), suite: s.Name, ctx: ctx}
	if s.saltLen == lean.SaltLen {
		p.gcm, err = lean.NewGCM(master)
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
		return p.gcm.Seal(plain, 12)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.header.Unmarshal(plain); err != nil {
		return nil, err
	}
	return p.ctx.EncryptRTP(plain[:0], plain, &p.header)
}

// openRTP authenticates and decrypts b in its place, of which n octets are the
// header h; on an error, what is in b is lost. One goroutine receives.
func (p *protection) openRTP(b []byte, n int, h *rtp.Header) ([]byte, error) {
	if p.gcm != nil {
		return p.gcm.Open(b, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx.DecryptRTP(b[:0], b, h)
}

func (p *protection) rtcp(plain []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx.EncryptRTCP(nil, plain, nil)
}

func (p *protection) openRTCP(b []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ctx.DecryptRTCP(nil, b, nil)
}
