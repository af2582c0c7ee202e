package invite

import (
	"strings"
	"time"
	"unicode/utf8"

	"bridgehead/gateway/store"
)

// utc is the form of a date with time in UTC (RFC 5545 §3.3.5).
const utc = "20060102T150405Z"

// ICal is the invitation as a calendar with one event. stamp is the time at
// which it is made.
func (in Invitation) ICal(stamp time.Time) string {
	var c calendar
	c.begin("Invitation")
	c.property("METHOD", "PUBLISH")
	if in.Repeat != store.Once {
		c.zone(in.Start)
	}
	c.event(in, stamp)
	c.property("END", "VCALENDAR")
	return c.String()
}

// Calendar is a calendar of many meetings, to subscribe to.
func Calendar(name string, list []Invitation, stamp time.Time) string {
	var c calendar
	c.begin("Meetings")
	c.property("X-WR-CALNAME", escape(name))
	c.property("REFRESH-INTERVAL;VALUE=DURATION", "PT15M")
	zones := map[string]bool{}
	for _, in := range list {
		if z := in.Start.Location().String(); in.Repeat != store.Once && !zones[z] {
			zones[z] = true
			c.zone(in.Start)
		}
	}
	for _, in := range list {
		c.event(in, stamp)
	}
	c.property("END", "VCALENDAR")
	return c.String()
}

func (c *calendar) begin(what string) {
	c.property("BEGIN", "VCALENDAR")
	c.property("VERSION", "2.0")
	c.property("PRODID", "-//Bridgehead//"+what+"//EN")
}

// rules are the ways of repeating (RFC 5545 §3.3.10).
var rules = map[store.Repeat]string{
	store.Daily: "FREQ=DAILY", store.Weekdays: "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", store.Weekly: "FREQ=WEEKLY", store.Monthly: "FREQ=MONTHLY",
}

// local is the form of a date with the time on a zone's clock.
const local = "20060102T150405"

// event writes an invitation as one event, with all its repetitions.
func (c *calendar) event(in Invitation, stamp time.Time) {
	c.property("BEGIN", "VEVENT")
	// The same meeting at the same time is the same event, however often it is
	// downloaded; the time of its making tells it from one that had the number
	// before.
	c.property("UID", in.Made.UTC().Format(utc)+"-"+in.Start.UTC().Format(utc)+"-"+in.Number+"@"+in.Host)
	c.property("DTSTAMP", stamp.UTC().Format(utc))
	end := in.Start.Add(in.Duration)
	if rule := rules[in.Repeat]; rule != "" {
		id := ";TZID=" + in.Start.Location().String()
		c.property("DTSTART"+id, in.Start.Format(local))
		c.property("DTEND"+id, end.Format(local))
		c.property("RRULE", rule)
	} else {
		c.property("DTSTART", in.Start.UTC().Format(utc))
		c.property("DTEND", end.UTC().Format(utc))
	}
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
}

// zoneYears is how far ahead the changes of a zone's clock are listed.
const zoneYears = 10

// zone describes the clock of a time's zone from then on (RFC 5545 §3.6.5): the
// offset that holds then, and each change to come.
func (c *calendar) zone(from time.Time) {
	c.property("BEGIN", "VTIMEZONE")
	c.property("TZID", from.Location().String())
	start, _ := from.ZoneBounds()
	if start.IsZero() {
		start = time.Date(1970, 1, 1, 0, 0, 0, 0, from.Location())
	}
	before := start.Add(-time.Second)
	for start.Before(from.AddDate(zoneYears, 0, 0)) {
		c.observance(before, start)
		_, end := start.ZoneBounds()
		if end.IsZero() {
			break
		}
		before, start = end.Add(-time.Second), end
	}
	c.property("END", "VTIMEZONE")
}

// observance is the offset that begins at a time, and the one before.
func (c *calendar) observance(before, at time.Time) {
	what := "STANDARD"
	if at.IsDST() {
		what = "DAYLIGHT"
	}
	_, offset := before.Zone()
	c.property("BEGIN", what)
	c.property("DTSTART", at.UTC().Add(time.Duration(offset)*time.Second).Format(local)) // by the clock that ends
	c.property("TZOFFSETFROM", before.Format("-0700"))
	c.property("TZOFFSETTO", at.Format("-0700"))
	c.property("TZNAME", escape(at.Format("MST")))
	c.property("END", what)
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
