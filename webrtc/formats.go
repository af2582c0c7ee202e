package webrtc

import (
	"cmp"
	"slices"
	"strings"
)

// usable takes out of an offer's lines what is never agreed on here: formats,
// their parameters and feedback, header extensions. The library compares each
// format of an offer with each of its own, several times, and keeps the offer in
// many pieces: of a browser's forty formats that was most of what an answer
// cost, in time and in memory. A section of which no format would be left stays
// as it is.
func usable(lines []string) []string {
	var out []string
	for at := 0; at < len(lines); {
		end := at + 1
		for end < len(lines) && !strings.HasPrefix(lines[end], "m=") {
			end++
		}
		out = appendUsable(out, lines[at:end])
		at = end
	}
	return out
}

// appendUsable appends the lines of one section.
func appendUsable(out, section []string) []string {
	formats := usableFormats(section)
	for _, line := range section {
		key, value, _ := strings.Cut(line, ":")
		word, rest, _ := strings.Cut(value, " ")
		switch {
		case len(formats) > 0 && strings.HasPrefix(line, "m="):
			f := strings.Fields(line)
			line = strings.Join(append(f[:3], formats...), " ")
		case key == "a=extmap" && !slices.Contains(extensions, rest):
			continue
		case key == "a=rtcp-fb" && strings.HasPrefix(rest, "goog-"),
			len(formats) > 0 && word != "*" && (key == "a=rtpmap" || key == "a=fmtp" || key == "a=rtcp-fb") && !slices.Contains(formats, word):
			continue
		}
		out = append(out, line)
	}
	return out
}

// extensions are the header extensions (RFC 8285) that are agreed on.
var extensions = []string{audioLevelURI, midURI, ridURI, repairedURI, twccURI}

// usableFormats are the payload types of a section with a codec that is
// forwarded, and of their retransmission, in the order of the section.
func usableFormats(section []string) (list []string) {
	codec, fmtp := map[string]string{}, map[string]string{}
	for _, line := range section {
		key, value, _ := strings.Cut(line, ":")
		pt, rest, _ := strings.Cut(value, " ")
		switch key {
		case "a=rtpmap":
			name, _, _ := strings.Cut(rest, "/")
			codec[pt] = strings.ToUpper(name)
		case "a=fmtp":
			fmtp[pt] = rest
		}
	}
	if !strings.HasPrefix(section[0], "m=") {
		return nil
	}
	for i, pt := range strings.Fields(section[0]) {
		media := pt
		if codec[pt] == "RTX" {
			media = fmtpValue(fmtp[pt], "apt")
		}
		if i >= 3 && forwards(codec[media], fmtp[media]) && !doubled(media, codec, fmtp) {
			list = append(list, pt)
		}
	}
	return list
}

// doubled tells whether a format is H.264's baseline and its constrained baseline
// is there in the same packetization: a browser encodes and decodes both alike,
// and the library compares each with each.
func doubled(pt string, codec, fmtp map[string]string) bool {
	profile := func(pt string) string { return strings.ToLower(fmtpValue(fmtp[pt], "profile-level-id")) }
	mode := func(pt string) string { return cmp.Or(fmtpValue(fmtp[pt], "packetization-mode"), "0") }
	if codec[pt] != "H264" || !strings.HasPrefix(profile(pt), "4200") {
		return false
	}
	for other, name := range codec {
		if name == "H264" && strings.HasPrefix(profile(other), "42e0") && mode(other) == mode(pt) {
			return true
		}
	}
	return false
}

// forwards tells whether a codec is one of codecs.
func forwards(name, fmtp string) bool {
	switch name {
	case "OPUS", "VP8", "AV1":
		return true
	case "VP9":
		return fmtpValue(fmtp, "profile-id") <= "0"
	case "H264":
		profile := strings.ToLower(fmtpValue(fmtp, "profile-level-id"))
		return strings.HasPrefix(profile, "42e0") || strings.HasPrefix(profile, "4200")
	}
	return false
}
