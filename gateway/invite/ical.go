package invite

import (
	"strings"
	"time"
	"unicode/utf8"
)

// utc is the form of a date with time in UTC (RFC 5545 §3.3.5).
const utc = "20060102T150405Z"

// ICal is the invitation as a calendar with one event. stamp is the time at
// which it is made.
func (in Invitation) ICal(stamp time.Time) string {
	var c calendar
	c.property("BEGIN", "VCALENDAR")
	c.property("VERSION", "2.0")
	c.property("PRODID", "-//Bridgehead//Invitation//EN")
	c.property("METHOD", "PUBLISH")
	c.property("BEGIN", "VEVENT")
	// The same meeting at the same time is the same event, however often it is
	// downloaded; the time of its making tells it from one that had the number
	// before.
	c.property("UID", in.Made.UTC().Format(utc)+"-"+in.Start.UTC().Format(utc)+"-"+in.Number+"@"+in.Host)
	c.property("DTSTAMP", stamp.UTC().Format(utc))
	c.property("DTSTART", in.Start.UTC().Format(utc))
	c.property("DTEND", in.Start.Add(in.Duration).UTC().Format(utc))
	c.property("ORGANIZER", in.organizer())
	c.property("SUMMARY", escape(in.Name))
	c.property("DESCRIPTION", escape(in.Text()))
	if in.Web != "" {
		c.property("LOCATION", escape(in.Web))
		c.property("URL", in.Web)
		c.property("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN,CHAT;LABEL="+quote("Browser"), in.Web)
	}
	if in.SIP != "" {
		c.property("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN;LABEL="+quote("SIP"), in.SIP)
	}
	if in.H323 != "" {
		c.property("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN;LABEL="+quote("H.323"), in.H323)
	}
	for _, d := range in.DialIns {
		label := d.CountryName
		if note := d.Note(); note != "" {
			label += " (" + note + ")"
		}
		c.property("CONFERENCE;VALUE=URI;FEATURE=AUDIO,PHONE;LABEL="+quote(label), d.URI)
	}
	c.property("END", "VEVENT")
	c.property("END", "VCALENDAR")
	return c.String()
}

// calendar collects content lines.
type calendar struct{ strings.Builder }

// maxLine is the longest line, in octets, without its end (RFC 5545 §3.1).
const maxLine = 75

// property writes a content line, folded without breaking a character.
func (c *calendar) property(name, value string) {
	room := maxLine
	for _, r := range name + ":" + value {
		if n := utf8.RuneLen(r); n > room {
			c.WriteString("\r\n ")
			room = maxLine - 1 - n
		} else {
			room -= n
		}
		c.WriteRune(r)
	}
	c.WriteString("\r\n")
}

// escape makes a value of type TEXT (RFC 5545 §3.3.11).
var escape = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`).Replace

var caret = strings.NewReplacer("^", "^^", `"`, "^'", "\n", "^n")

// quote makes the value of a parameter (RFC 6868).
func quote(s string) string { return `"` + caret.Replace(s) + `"` }
