package webrtc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bridgehead/core"
)

// Bounds of an offer. A browser's first offer with 25 receiving sections is
// about 40 KiB in 20 sections' worth of codecs.
const (
	maxSDP      = 48 << 10
	maxSections = 32
	maxSDPLine  = 4096
	maxFormats  = 64
	maxRIDs     = 4
	maxSSRCs    = 16 // of one section
	maxPrints   = 8
)

// offer is what is read of a client's (RFC 8829). Its candidates are not: an
// ICE-lite agent learns its peer's address from the checks that it answers (RFC
// 8445, section 7.3.1.3), so nothing is ever sent to an address that a client only
// names.
type offer struct {
	sections     []section
	user         string // fragment of ICE
	fingerprints []fingerprint
	setup        string
	bundle       []string
	mixed        bool // header extensions of two bytes' header may be mixed in
	ids          extensions
}

// section is a media section.
type section struct {
	mid   string
	kind  core.Kind // 0: of data, which is not agreed on
	media string    // of its line, with protocol and formats, to refuse it by
	proto string
	list  string

	sends, takes bool
	formats      []format // agreed on, in the client's order
	rids         []string // layers that it sends
	ssrcs        []uint32
	extmap       []string // agreed on
	rsize        bool
	cryptex      bool

	offered  map[uint8]*format
	order    []uint8
	feedback []string // for all its formats
	bundled  bool
}

// agreed tells whether the section is taken.
func (s *section) agreed() bool { return len(s.formats) > 0 && s.bundled }

// layers are the names of the streams that it sends.
func (s *section) layers() []string {
	if len(s.rids) == 0 {
		return []string{""}
	}
	return s.rids
}

// extensions are the ids of header extensions (RFC 8285), the same in all of a
// bundle (RFC 8843, section 9.2); 0: not offered.
type extensions struct{ level, mid, rid, repaired, twcc uint8 }

const (
	audioLevelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	midURI        = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ridURI        = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	repairedURI   = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	twccURI       = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

// readOffer refuses what is out of bounds, or not of RFC 8829's shape.
func readOffer(in string) (*offer, error) {
	if len(in) > maxSDP {
		return nil, fmt.Errorf("sdp: %d bytes, at most %d", len(in), maxSDP)
	}
	o := &offer{}
	n := 0
	for line := range strings.SplitSeq(in, "\n") {
		n++
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue
		}
		if err := o.line(line); err != nil {
			return nil, fmt.Errorf("sdp: line %d: %w", n, err)
		}
	}
	if err := o.end(); err != nil {
		return nil, fmt.Errorf("sdp: %w", err)
	}
	return o, nil
}

func (o *offer) line(s string) error {
	if len(s) > maxSDPLine {
		return fmt.Errorf("longer than %d bytes", maxSDPLine)
	}
	if len(s) < 2 || s[1] != '=' || strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return errors.New("not of the form type=value")
	}
	switch s[0] {
	case 'm':
		return o.media(s[2:])
	case 'a':
		key, value, _ := strings.Cut(s[2:], ":")
		if len(o.sections) == 0 {
			return o.attribute(key, value)
		}
		if err := o.attribute(key, value); err != nil {
			return err
		}
		return o.sections[len(o.sections)-1].attribute(key, value, o)
	}
	return nil
}

// attribute takes one that concerns all.
func (o *offer) attribute(key, value string) error {
	switch key {
	case "fingerprint":
		f, err := parseFingerprint(value)
		if err != nil {
			return err
		}
		if len(o.fingerprints) < maxPrints && !slices.ContainsFunc(o.fingerprints, f.equal) {
			o.fingerprints = append(o.fingerprints, f)
		}
	case "group":
		if mids, ok := strings.CutPrefix(value, "BUNDLE "); ok && o.bundle == nil {
			o.bundle = strings.Fields(mids)
		}
	case "ice-ufrag":
		if len(value) < 4 || len(value) > 256 {
			return fmt.Errorf("ice-ufrag %q", value)
		}
		if o.user == "" {
			o.user = value
		}
	case "setup":
		o.setup = value
	case "extmap-allow-mixed":
		o.mixed = true
	}
	return nil
}

func (o *offer) media(s string) error {
	if len(o.sections) == maxSections {
		return fmt.Errorf("more than %d media sections", maxSections)
	}
	f := strings.Fields(s)
	if len(f) < 4 || len(f)-3 > maxFormats {
		return errors.New("media line")
	}
	sec := section{media: f[0], proto: f[2], list: strings.Join(f[3:], " "), sends: true, takes: true, offered: map[uint8]*format{}}
	switch {
	case (f[0] == "audio" || f[0] == "video") && f[2] == "UDP/TLS/RTP/SAVPF":
		sec.kind = core.Audio
		if f[0] == "video" {
			sec.kind = core.Video
		}
		for _, pt := range f[3:] {
			n, err := payloadType(pt)
			if err != nil {
				return err
			}
			if sec.offered[n] == nil {
				sec.offered[n] = &format{pt: n}
				sec.order = append(sec.order, n)
			}
		}
	case f[0] == "application" && f[2] == "UDP/DTLS/SCTP":
	default:
		return fmt.Errorf("medium %q over %q: only audio and video over DTLS-SRTP", f[0], f[2])
	}
	if _, err := strconv.ParseUint(f[1], 10, 16); err != nil {
		return fmt.Errorf("port %q", f[1])
	}
	o.sections = append(o.sections, sec)
	return nil
}

// attribute takes one of a section.
func (s *section) attribute(key, value string, o *offer) error {
	switch key {
	case "sendonly":
		s.takes = false
	case "recvonly":
		s.sends = false
	case "inactive":
		s.sends, s.takes = false, false
	case "rtcp-rsize":
		s.rsize = true
	case "cryptex":
		s.cryptex = true
	case "mid":
		if value == "" || len(value) > 16 || s.mid != "" || o.has(value) {
			return fmt.Errorf("mid %q", value)
		}
		s.mid = value
	case "rtpmap", "fmtp", "rtcp-fb":
		return s.format(key, value)
	case "extmap":
		return s.extension(value, &o.ids)
	case "rid":
		id, rest, _ := strings.Cut(value, " ")
		if direction, _, _ := strings.Cut(rest, " "); direction == "send" && id != "" && len(id) <= 16 &&
			len(s.rids) < maxRIDs && !slices.Contains(s.rids, id) {
			s.rids = append(s.rids, id)
		}
	case "ssrc":
		id, _, _ := strings.Cut(value, " ")
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return fmt.Errorf("ssrc %q", id)
		}
		if len(s.ssrcs) < maxSSRCs && !slices.Contains(s.ssrcs, uint32(n)) {
			s.ssrcs = append(s.ssrcs, uint32(n))
		}
	}
	return nil
}

func (o *offer) has(mid string) bool {
	return slices.ContainsFunc(o.sections, func(s section) bool { return s.mid == mid })
}

// format takes what is said of a payload type.
func (s *section) format(key, value string) error {
	word, rest, _ := strings.Cut(value, " ")
	if word == "*" {
		if key == "rtcp-fb" {
			s.feedback = append(s.feedback, rest)
		}
		return nil
	}
	pt, err := payloadType(word)
	if err != nil {
		return err
	}
	f := s.offered[pt]
	switch {
	case f == nil:
	case key == "rtpmap":
		f.rtpmap(rest)
	case key == "fmtp":
		f.fmtp = rest
	default:
		f.feedback = append(f.feedback, rest)
	}
	return nil
}

// extension notes one that is agreed on: rids and congestion control with
// pictures, levels with sound.
func (s *section) extension(value string, ids *extensions) error {
	id, uri, _ := strings.Cut(value, " ")
	id, _, _ = strings.Cut(id, "/") // its direction follows from the section's
	uri, _, _ = strings.Cut(uri, " ")
	to := map[string]*uint8{midURI: &ids.mid}
	switch s.kind {
	case core.Video:
		to[ridURI], to[repairedURI], to[twccURI] = &ids.rid, &ids.repaired, &ids.twcc
	case core.Audio:
		to[audioLevelURI] = &ids.level
	}
	at := to[uri]
	if at == nil {
		return nil
	}
	n, err := strconv.ParseUint(id, 10, 8)
	if err != nil || n == 0 || n == 15 { // of those to be agreed on later
		return nil
	}
	if *at != 0 && *at != uint8(n) {
		return fmt.Errorf("extmap %q: it has another id in a section before", value)
	}
	*at = uint8(n)
	s.extmap = append(s.extmap, fmt.Sprintf("%d %s", n, uri))
	return nil
}

func payloadType(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || n > 127 {
		return 0, fmt.Errorf("payload type %q", s)
	}
	return uint8(n), nil
}

// end looks at the whole.
func (o *offer) end() error {
	switch {
	case len(o.sections) == 0:
		return errors.New("no media section")
	case len(o.fingerprints) == 0:
		return errors.New("no fingerprint: media must be DTLS-SRTP")
	case o.user == "":
		return errors.New("no ice-ufrag")
	case o.setup != "actpass" && o.setup != "active":
		return fmt.Errorf("setup %q: the client must be ready to begin the DTLS handshake", o.setup)
	case o.bundle == nil:
		return errors.New("no BUNDLE group")
	case o.has(""):
		return errors.New("a media section without mid")
	}
	o.user = strings.Clone(o.user)
	for i := range o.sections {
		s := &o.sections[i]
		s.bundled = slices.Contains(o.bundle, s.mid)
		s.choose()
		s.keep(o.sections[:i])
	}
	return nil
}

// keep cuts what stays as long as the party loose from the offer's text. Most
// sections have the formats of one before.
func (s *section) keep(before []section) {
	s.mid = strings.Clone(s.mid)
	for i := range s.rids {
		s.rids[i] = strings.Clone(s.rids[i])
	}
	for i := range before {
		if slices.EqualFunc(before[i].formats, s.formats, format.equal) {
			s.formats = before[i].formats
			return
		}
	}
	s.formats = slices.Clone(s.formats)
	for i := range s.formats {
		f := &s.formats[i]
		f.name, f.fmtp = strings.Clone(f.name), strings.Clone(f.fmtp)
	}
}
