package directory

import (
	"strings"
	"unicode/utf8"
)

// VCards writes entries as vCards 4.0 (RFC 6350), one behind the other: name,
// number and addresses. Rooms are of KIND location, meetings x-meeting.
func VCards(list []Entry) []byte {
	var b strings.Builder
	for _, e := range list {
		kind := map[Kind]string{Person: "individual", Room: "location", Meeting: "x-meeting"}[e.Kind]
		for _, l := range []string{"BEGIN:VCARD", "VERSION:4.0", "KIND:" + kind, "UID;VALUE=text:" + escape(string(e.Kind)+"-"+e.ID), "FN:" + escape(e.Name)} {
			fold75(&b, l)
		}
		if e.Number != "" {
			fold75(&b, `TEL;VALUE=text;TYPE="voice,video":`+escape(e.Number))
		}
		if e.SIP != "" {
			fold75(&b, "IMPP;PREF=1:"+e.SIP)
			fold75(&b, "X-SIP:"+e.SIP)
		}
		if e.H323 != "" {
			fold75(&b, "IMPP;PREF=2:"+e.H323)
			fold75(&b, "X-H323:"+e.H323)
		}
		fold75(&b, "END:VCARD")
	}
	return []byte(b.String())
}

var escapes = strings.NewReplacer(`\`, `\\`, ",", `\,`, ";", `\;`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// escape makes a text value (RFC 6350 3.4); control characters go.
func escape(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, escapes.Replace(s))
}

// fold75 writes a content line, in lines of 75 octets at most, no character cut
// (RFC 6350 3.2).
func fold75(b *strings.Builder, line string) {
	room := 75
	for len(line) > room {
		n := room
		for !utf8.RuneStart(line[n]) {
			n--
		}
		b.WriteString(line[:n] + "\r\n ")
		line, room = line[n:], 74
	}
	b.WriteString(line + "\r\n")
}
