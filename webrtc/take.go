package webrtc

import (
	"encoding/binary"
	"errors"
	"time"

	"bridgehead/core/srtp"

	"github.com/pion/rtp"
)

// bound is what the packets of an SSRC belong to.
type bound struct {
	in  *inbound
	rtx bool // they repeat those of another SSRC (RFC 4588)
}

// maxSSRC of one client are told apart: two for each stream, as many again for
// those that took the place of others, and then some that nobody knows.
const maxSSRC = 4 * maxInbound

// take deals with SRTP and SRTCP of the client, in its place: what stream it was
// of, and whether it was authentic.
func (p *peer) take(b []byte, now time.Duration) (in *inbound, authentic bool) {
	p.taking.Lock()
	defer p.taking.Unlock()
	k := p.keys.Load()
	if k == nil {
		p.keep(b)
		return nil, false
	}
	if isRTCP(b) {
		plain, err := k.openRTCP(b)
		if err == nil {
			p.control(plain)
		}
		return nil, err == nil
	}
	ssrc, head := binary.BigEndian.Uint32(b[8:]), headerSize(b)
	to, known := p.streams[ssrc]
	if head == 0 || !known && len(p.streams) >= maxSSRC {
		return nil, false
	}
	var plain []byte
	var err error
	if known && to.in != nil {
		plain, err = to.in.open.Open(b, head)
	} else {
		to, plain, err = p.meet(k, ssrc, b, head)
	}
	if err != nil {
		return nil, false
	}
	if to.in == nil || !reveal(plain) {
		return nil, true
	}
	p.arrivals.note(ssrc, plain, p.ids.Load().twcc)
	if to.rtx {
		plain = to.in.original(plain)
	}
	if plain != nil {
		to.in.process(plain, p.ids.Load().level, now)
	}
	return to.in, true
}

// isRTCP tells RTCP from RTP (RFC 5761, section 4).
func isRTCP(b []byte) bool { return b[1] >= 192 && b[1] < 224 }

// meet opens a packet of an SSRC of which nothing is known yet, and finds its
// stream by what the packet itself says (RFC 8843, section 9.2). Only one that is
// authentic decides.
func (p *peer) meet(k *keys, ssrc uint32, b []byte, head int) (to bound, plain []byte, err error) {
	if p.contact == nil {
		if p.contact, err = k.opener(); err != nil {
			return to, nil, err
		}
	}
	plain, err = p.contact.Open(b, head)
	if errors.Is(err, srtp.ErrSources) {
		p.contact = nil // with the client's next packet
	}
	if err != nil {
		return to, nil, err
	}
	if p.streams == nil {
		p.streams = map[uint32]bound{}
	}
	to = p.whose(ssrc, plain)
	if to.in != nil {
		if err := to.in.follow(k, ssrc, binary.BigEndian.Uint16(plain[2:])); err != nil {
			return to, nil, err
		}
		if !to.rtx {
			to.in.bind(ssrc, p.streams)
		}
	}
	p.streams[ssrc] = to
	return to, plain, nil
}

// follow makes the context for the packets of an SSRC, of which one has come.
func (in *inbound) follow(k *keys, ssrc uint32, seq uint16) (err error) {
	if in.open == nil || in.sources == srtp.MaxSources {
		in.open, err = k.opener()
		in.sources = 0
	}
	in.sources++
	if g, ok := in.open.(*srtp.GCM); ok {
		g.Follow(ssrc, uint64(seq))
	}
	return err
}

// whose finds the stream of a packet: by the section and the layer that are
// written in it, by the SSRCs of the offer, or by a format that one section
// alone has.
func (p *peer) whose(ssrc uint32, packet []byte) bound {
	ids := p.ids.Load()
	pt := packet[1] & 0x7f
	mid := string(headerExtension(packet, ids.mid))
	if mid == "" {
		mid = p.declared[ssrc]
	}
	rid := headerExtension(packet, ids.repaired)
	if rid == nil {
		rid = headerExtension(packet, ids.rid)
	}
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	var to bound
	for _, in := range p.in {
		f := in.formatOf(pt)
		if f == nil || mid != "" && in.mid != mid || in.layer != string(rid) {
			continue
		}
		if to.in != nil {
			return bound{} // it may be of either
		}
		to = bound{in, f.name == rtx}
	}
	return to
}

// original makes of a packet of the retransmission stream the one that it
// repeats, in its place (RFC 4588, section 4); nil: it is none but probes the path.
func (in *inbound) original(b []byte) []byte {
	head := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		head += 4 + 4*int(binary.BigEndian.Uint16(b[head+2:])) // which headerSize has seen is there
	}
	padding := 0
	if b[0]&0x20 != 0 {
		padding = int(b[len(b)-1])
	}
	f := in.formatOf(b[1] & 0x7f)
	ssrc := in.ssrc.Load()
	if len(b)-padding < head+2 || f == nil || f.name != rtx || ssrc == 0 {
		return nil
	}
	seq := binary.BigEndian.Uint16(b[head:])
	copy(b[2:], b[:head])
	b = b[2:]
	b[1] = b[1]&0x80 | f.apt
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// The profiles of header extensions that are encrypted too (RFC 9335), with
// elements of one byte's header and of two.
const (
	cryptexOne = 0xc0de
	cryptexTwo = 0xc2de
)

// reveal gives the profile of an extension that was encrypted its usual value
// (RFC 8285). It is false if the extension is not within the packet.
func reveal(b []byte) bool {
	if b[0]&0x10 == 0 {
		return true
	}
	at := 12 + 4*int(b[0]&0x0f)
	if len(b) < at+4 {
		return false
	}
	switch binary.BigEndian.Uint16(b[at:]) {
	case cryptexOne:
		binary.BigEndian.PutUint16(b[at:], rtp.ExtensionProfileOneByte)
	case cryptexTwo:
		binary.BigEndian.PutUint16(b[at:], rtp.ExtensionProfileTwoByte)
	}
	return len(b) >= at+4+4*int(binary.BigEndian.Uint16(b[at+2:]))
}

// headerSize is how much of an SRTP packet (RFC 3711, RFC 9335) is in clear; 0 if
// it is malformed, or has encrypted CSRCs, which no client has.
func headerSize(b []byte) int {
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0
		}
		switch binary.BigEndian.Uint16(b[n:]) {
		case cryptexOne, cryptexTwo:
			if n > 12 {
				return 0
			}
		default:
			n += 4 * int(binary.BigEndian.Uint16(b[n+2:]))
		}
		n += 4
	}
	if len(b) < n+10 { // the shortest tag
		return 0
	}
	return n
}
