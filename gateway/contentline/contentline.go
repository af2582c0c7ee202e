// Package contentline writes content lines, of which calendars (RFC 5545 §3.1)
// and vCards (RFC 6350 §3.2) are made.
package contentline

import (
	"strings"
	"unicode/utf8"
)

// Lines collects content lines.
type Lines struct{ strings.Builder }

// most is the longest line, in octets, without its end.
const most = 75

// Add writes a content line, folded without breaking a character. The name may
// have parameters.
func (l *Lines) Add(name, value string) {
	room := most
	for _, r := range name + ":" + value {
		if n := utf8.RuneLen(r); n > room {
			l.WriteString("\r\n ")
			room = most - 1 - n
		} else {
			room -= n
		}
		l.WriteRune(r)
	}
	l.WriteString("\r\n")
}

var escapes = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// Text makes a value of type TEXT (RFC 5545 §3.3.11, RFC 6350 §3.4); control
// characters go.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, escapes.Replace(s))
}

var caret = strings.NewReplacer("^", "^^", `"`, "^'", "\n", "^n")

// Quote makes the value of a parameter (RFC 6868).
func Quote(s string) string { return `"` + caret.Replace(s) + `"` }
