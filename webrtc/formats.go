package webrtc

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"bridgehead/core"
)

// format is one of a section's: a codec, or the retransmission of another.
type format struct {
	pt       uint8
	name     string // opus, VP8, …, rtx
	rate     int    // Hz
	channels int
	fmtp     string
	feedback []string
	apt      uint8 // of rtx: the format that it repeats
}

func (f format) equal(g format) bool {
	return f.pt == g.pt && f.name == g.name && f.rate == g.rate && f.channels == g.channels && f.fmtp == g.fmtp && f.apt == g.apt && slices.Equal(f.feedback, g.feedback)
}

// rtx is retransmission (RFC 4588).
const rtx = "rtx"

// rtpmap takes NAME/RATE[/CHANNELS]. A name is kept as its registration has it.
func (f *format) rtpmap(s string) {
	part := strings.Split(s, "/")
	f.name = strings.ToUpper(part[0])
	if f.name == "OPUS" || f.name == "RTX" {
		f.name = strings.ToLower(f.name)
	}
	if len(part) > 1 {
		f.rate, _ = strconv.Atoi(part[1])
	}
	if len(part) > 2 {
		f.channels, _ = strconv.Atoi(part[2])
	}
}

func (f *format) codec() core.Codec {
	return core.Codec{Name: f.name, ClockRate: f.rate, Channels: f.channels, PayloadType: f.pt, Fmtp: f.fmtp}
}

// choose agrees on those formats whose codec is forwarded, and on their
// retransmission, in the client's order: by it the client chooses what to send,
// and may choose anew in the middle of a call.
func (s *section) choose() {
	for _, pt := range s.order {
		f := s.offered[pt]
		media := f
		if f.name == rtx {
			n, err := payloadType(fmtpValue(f.fmtp, "apt"))
			if media = s.offered[n]; err != nil || media == nil {
				continue
			}
			f.apt = n
		}
		if media.forwards(s.kind) && !s.doubled(media) {
			f.feedback = s.answers(f)
			s.formats = append(s.formats, *f)
		}
	}
	s.offered, s.order = nil, nil
}

// forwards tells whether the format's codec is one that meetings have.
func (f *format) forwards(kind core.Kind) bool {
	switch f.name {
	case "opus":
		return kind == core.Audio && f.rate == 48000
	case "VP8", "AV1":
		return kind == core.Video && f.rate == 90000
	case "VP9":
		return kind == core.Video && f.rate == 90000 && fmtpValue(f.fmtp, "profile-id") <= "0"
	case "H264":
		profile := f.profile()
		return kind == core.Video && f.rate == 90000 && (strings.HasPrefix(profile, "42e0") || strings.HasPrefix(profile, "4200"))
	}
	return false
}

func (f *format) profile() string { return strings.ToLower(fmtpValue(f.fmtp, "profile-level-id")) }

// doubled tells whether a format is H.264's baseline and its constrained baseline
// is there in the same packetization: a browser encodes and decodes both alike.
func (s *section) doubled(f *format) bool {
	if f.name != "H264" || !strings.HasPrefix(f.profile(), "4200") {
		return false
	}
	mode := func(f *format) string { return cmp.Or(fmtpValue(f.fmtp, "packetization-mode"), "0") }
	for _, other := range s.offered {
		if other.name == "H264" && strings.HasPrefix(other.profile(), "42e0") && mode(other) == mode(f) {
			return true
		}
	}
	return false
}

// feedback that the edge handles (RFC 4585, RFC 5104), with pictures.
var feedback = []string{"transport-cc", "ccm fir", "nack", "nack pli"}

// answers is the feedback agreed on with a format.
func (s *section) answers(f *format) (list []string) {
	if s.kind != core.Video || f.name == rtx {
		return nil
	}
	for _, x := range feedback {
		if slices.Contains(f.feedback, x) || slices.Contains(s.feedback, x) {
			list = append(list, x)
		}
	}
	return list
}

// fmtpScore tells how well two parameter lines agree in what decides about
// decoding: profile and, for H.264, packetization mode (RFC 6184, section 8.2.2).
func fmtpScore(a, b string) int {
	score := 0
	for _, key := range []string{"packetization-mode", "profile-id"} {
		if fmtpValue(a, key) == fmtpValue(b, key) {
			score += 2
		}
	}
	pa, pb := fmtpValue(a, "profile-level-id"), fmtpValue(b, "profile-level-id")
	if len(pa) == 6 && len(pb) == 6 && strings.EqualFold(pa[:2], pb[:2]) {
		score++
		if strings.EqualFold(pa[:4], pb[:4]) {
			score++
		}
	}
	return score
}

func fmtpValue(line, key string) string {
	for part := range strings.SplitSeq(line, ";") {
		if k, v, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(k, key) {
			return v
		}
	}
	return ""
}
