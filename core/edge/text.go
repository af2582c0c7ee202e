package edge

import (
	"bytes"
	"strings"
)

// Clean makes a peer's words fit for a log or a record.
func Clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// MaskPasscodes hides what stands between ** and the end of the user part.
func MaskPasscodes(line []byte) []byte {
	for at := 0; at < len(line); {
		i, n := stars(line[at:])
		if i < 0 {
			break
		}
		i += at + n
		end := bytes.IndexAny(line[i:], "@>;:? \t\"")
		if end < 0 {
			end = len(line) - i
		}
		line = append(append(bytes.Clone(line[:i]), "***"...), line[i+end:]...)
		at = i + 3
	}
	return line
}

// stars finds two asterisks, each as it is or as %2A, and their length.
func stars(b []byte) (at, n int) {
	for i := 0; i < len(b); i++ {
		next := bytes.IndexAny(b[i:], "*%")
		if next < 0 {
			break
		}
		i += next
		if a := star(b[i:]); a > 0 {
			if c := star(b[i+a:]); c > 0 {
				return i, a + c
			}
		}
	}
	return -1, 0
}

func star(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '*':
		return 1
	case len(b) > 2 && b[0] == '%' && b[1] == '2' && b[2]|0x20 == 'a':
		return 3
	}
	return 0
}

// MaskPasscode is a called address fit for a log.
func MaskPasscode(to string) string { return Clean(string(MaskPasscodes([]byte(to))), 128) }
