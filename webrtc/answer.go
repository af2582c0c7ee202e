package webrtc

import (
	"fmt"
	"slices"
	"strings"
)

// describe writes the answer to an offer that has been carried out (RFC 8829,
// section 5.3).
func (p *peer) describe(o *offer) string {
	var b strings.Builder
	line := func(format string, a ...any) {
		fmt.Fprintf(&b, format, a...)
		b.WriteString("\r\n")
	}
	e, a := p.leg.edge, p.agent()
	p.leg.mu.Lock()
	slots := slices.Clone(p.slots)
	p.answers++
	version := p.answers
	p.leg.mu.Unlock()
	line("v=0\r\no=- %d %d IN IP4 0.0.0.0\r\ns=-\r\nt=0 0", p.leg.ssrc, version)
	line("a=ice-lite")
	if o.mixed {
		line("a=extmap-allow-mixed")
	}
	line("a=msid-semantic: WMS *")
	var mids []string
	for i := range o.sections {
		if s := &o.sections[i]; s.agreed() {
			mids = append(mids, s.mid)
		}
	}
	line("a=group:BUNDLE %s", strings.Join(mids, " "))
	first := true
	for i := range o.sections {
		s := &o.sections[i]
		if !s.agreed() {
			line("m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=inactive", s.media, s.proto, s.list, s.mid)
			continue
		}
		line("m=%s 9 %s%s\r\nc=IN IP4 0.0.0.0", s.media, s.proto, s.payloads())
		line("a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\na=setup:passive", a.user, a.password, e.fingerprint)
		line("a=mid:%s\r\na=rtcp-mux", s.mid)
		s.describe(line)
		if n := slices.IndexFunc(slots, func(x *slot) bool { return x.mid == s.mid }); n >= 0 {
			slots[n].describe(line)
		}
		if first {
			for _, c := range e.lines {
				line("%s", c)
			}
			line("a=end-of-candidates")
			first = false
		}
	}
	return b.String()
}

func (s *section) payloads() (list string) {
	for _, f := range s.formats {
		list += fmt.Sprintf(" %d", f.pt)
	}
	return list
}

// describe writes what was agreed on in a section.
func (s *section) describe(line func(string, ...any)) {
	if s.rsize {
		line("a=rtcp-rsize")
	}
	if s.cryptex {
		line("a=cryptex")
	}
	for _, f := range s.formats {
		f.describe(line)
	}
	for _, x := range s.extmap {
		line("a=extmap:%s", x)
	}
	if s.sends && len(s.rids) > 0 {
		for _, rid := range s.rids {
			line("a=rid:%s recv", rid)
		}
		line("a=simulcast:recv %s", strings.Join(s.rids, ";"))
	}
	line("a=%s", direction(s.takes, s.sends))
}

// direction of this side (RFC 8866, section 6.7).
func direction(sends, takes bool) string {
	switch {
	case sends && takes:
		return "sendrecv"
	case sends:
		return "sendonly"
	case takes:
		return "recvonly"
	}
	return "inactive"
}

// describe writes a format. Of Opus, silence is not to be sent (RFC 7587, section
// 6.1).
func (f *format) describe(line func(string, ...any)) {
	name := fmt.Sprintf("%s/%d", f.name, f.rate)
	if f.channels > 0 {
		name += fmt.Sprintf("/%d", f.channels)
	}
	line("a=rtpmap:%d %s", f.pt, name)
	fmtp := f.fmtp
	if f.name == "opus" {
		fmtp = "minptime=10;useinbandfec=1;usedtx=1"
	}
	if fmtp != "" {
		line("a=fmtp:%d %s", f.pt, fmtp)
	}
	for _, x := range f.feedback {
		line("a=rtcp-fb:%d %s", f.pt, x)
	}
}

// describe writes what a slot sends. Its stream has its own name, since what it
// carries changes.
func (s *slot) describe(line func(string, ...any)) {
	b := s.bound.Load()
	line("a=msid:slot%s slot%s", s.mid, s.mid)
	if b.rtxSSRC != 0 {
		line("a=ssrc-group:FID %d %d", b.ssrc, b.rtxSSRC)
	}
	line("a=ssrc:%d cname:bridgehead", b.ssrc)
	if b.rtxSSRC != 0 {
		line("a=ssrc:%d cname:bridgehead", b.rtxSSRC)
	}
}
