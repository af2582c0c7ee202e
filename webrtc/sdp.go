package webrtc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an offer. A browser's first offer with 25 receiving sections is
// about 40 KiB in 20 sections' worth of codecs.
const (
	maxSDP      = 48 << 10
	maxSections = 32
	maxSDPLine  = 4096
	maxFormats  = 64
)

// section is what the edge reads itself of one media section of an offer.
type section struct {
	mid   string
	kind  string // audio, video or application
	sends bool
	takes bool
	// formats are the payload types, in the client's order.
	formats []uint8
	// Ids of header extensions (RFC 8285); 0: not offered.
	midID, ridID, twccID uint8
}

// checkSDP reads an offer before the WebRTC library does: it refuses what is
// out of bounds or not of RFC 8829's shape, and takes the candidates out. An
// ICE-lite agent learns its peer's address from the checks that it answers (RFC
// 8445, section 7.3.1.3), so nothing is ever sent to an address that a client
// only names. What cannot be agreed on goes too ([usable]).
func checkSDP(in string) (string, []section, error) {
	if len(in) > maxSDP {
		return "", nil, fmt.Errorf("sdp: %d bytes, at most %d", len(in), maxSDP)
	}
	var lines []string
	c := sdpCheck{mids: map[string]bool{}}
	for n, line := range strings.Split(in, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "a=candidate:") || line == "a=end-of-candidates" {
			continue
		}
		if err := c.line(line); err != nil {
			return "", nil, fmt.Errorf("sdp: line %d: %w", n+1, err)
		}
		lines = append(lines, line)
	}
	if err := c.end(); err != nil {
		return "", nil, fmt.Errorf("sdp: %w", err)
	}
	return strings.Join(usable(lines), "\r\n") + "\r\n", c.sections, nil
}

type sdpCheck struct {
	sections    []section
	mids        map[string]bool
	fingerprint bool
	bundle      bool
}

func (c *sdpCheck) line(s string) error {
	if len(s) > maxSDPLine {
		return fmt.Errorf("longer than %d bytes", maxSDPLine)
	}
	if len(s) < 2 || s[1] != '=' || strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return errors.New("not of the form type=value")
	}
	switch {
	case s[0] == 'm':
		return c.media(s[2:])
	case strings.HasPrefix(s, "a=fingerprint:"):
		c.fingerprint = true
	case strings.HasPrefix(s, "a=group:BUNDLE "):
		c.bundle = true
	case strings.HasPrefix(s, "a=rtpmap:"), strings.HasPrefix(s, "a=fmtp:"), strings.HasPrefix(s, "a=rtcp-fb:"):
		return payloadType(s)
	case s[0] == 'a' && len(c.sections) > 0:
		return c.attribute(s[2:])
	}
	return nil
}

func (c *sdpCheck) media(s string) error {
	if len(c.sections) == maxSections {
		return fmt.Errorf("more than %d media sections", maxSections)
	}
	f := strings.Fields(s)
	if len(f) < 4 || len(f)-3 > maxFormats {
		return errors.New("media line")
	}
	var formats []uint8
	switch {
	case (f[0] == "audio" || f[0] == "video") && f[2] == "UDP/TLS/RTP/SAVPF":
		for _, pt := range f[3:] {
			n, err := strconv.ParseUint(pt, 10, 8)
			if err != nil || n > 127 {
				return fmt.Errorf("payload type %q", pt)
			}
			formats = append(formats, uint8(n))
		}
	case f[0] == "application" && f[2] == "UDP/DTLS/SCTP":
	default:
		return fmt.Errorf("medium %q over %q: only audio and video over DTLS-SRTP", f[0], f[2])
	}
	if _, err := strconv.ParseUint(f[1], 10, 16); err != nil {
		return fmt.Errorf("port %q", f[1])
	}
	c.sections = append(c.sections, section{kind: f[0], sends: true, takes: true, formats: formats})
	return nil
}

func (c *sdpCheck) attribute(a string) error {
	last := &c.sections[len(c.sections)-1]
	switch a {
	case "sendonly":
		last.takes = false
	case "recvonly":
		last.sends = false
	case "inactive":
		last.sends, last.takes = false, false
	}
	if x, ok := strings.CutPrefix(a, "extmap:"); ok {
		id, uri, _ := strings.Cut(x, " ")
		last.extension(id, uri)
	}
	if mid, ok := strings.CutPrefix(a, "mid:"); ok {
		if mid == "" || len(mid) > 16 || last.mid != "" || c.mids[mid] {
			return fmt.Errorf("mid %q", mid)
		}
		last.mid = strings.Clone(mid) // which is kept, and the offer not
		c.mids[mid] = true
	}
	return nil
}

// extension notes the id of one of those that the edge reads itself. The library
// agrees to rids and to congestion control with pictures alone.
func (s *section) extension(id, uri string) {
	id, _, _ = strings.Cut(id, "/")
	n, err := strconv.ParseUint(id, 10, 8)
	switch video := s.kind == "video"; {
	case err != nil:
	case uri == midURI:
		s.midID = uint8(n)
	case uri == ridURI && video:
		s.ridID = uint8(n)
	case uri == twccURI && video:
		s.twccID = uint8(n)
	}
}

// payloadType checks that of a=rtpmap:N, a=fmtp:N and a=rtcp-fb:N.
func payloadType(s string) error {
	_, s, _ = strings.Cut(s, ":")
	pt, _, _ := strings.Cut(s, " ")
	if n, err := strconv.ParseUint(pt, 10, 8); pt != "*" && (err != nil || n > 127) {
		return fmt.Errorf("payload type %q", pt)
	}
	return nil
}

func (c *sdpCheck) end() error {
	switch {
	case len(c.sections) == 0:
		return errors.New("no media section")
	case !c.fingerprint:
		return errors.New("no fingerprint: media must be DTLS-SRTP")
	case !c.bundle:
		return errors.New("no BUNDLE group")
	case len(c.mids) != len(c.sections):
		return errors.New("a media section without mid")
	}
	return nil
}

// dtx asks in an answer that Opus be sent with DTX (RFC 7587, section 6.1).
func dtx(answer string) string {
	lines := strings.SplitAfter(answer, "\n")
	opus := map[string]bool{}
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "a=rtpmap:"); ok {
			if pt, name, _ := strings.Cut(rest, " "); strings.HasPrefix(strings.ToLower(name), "opus/") {
				opus[pt] = true
			}
		}
	}
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, "a=fmtp:"); ok {
			if pt, fmtp, _ := strings.Cut(rest, " "); opus[pt] && !strings.Contains(fmtp, "usedtx") {
				lines[i] = strings.TrimRight(l, "\r\n") + ";usedtx=1\r\n"
			}
		}
	}
	return strings.Join(lines, "")
}
