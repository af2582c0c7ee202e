package invite

import (
	"time"

	"bridgehead/gateway/contentline"
	"bridgehead/gateway/store"
)

// utc is the form of a date with time in UTC (RFC 5545 §3.3.5).
const utc = "20060102T150405Z"

// ICal is the invitation as a calendar with one event. stamp is the time at
// which it is made.
func (in Invitation) ICal(stamp time.Time) string {
	var c calendar
	c.begin("Invitation")
	c.Add("METHOD", "PUBLISH")
	if in.Repeat != store.Once {
		c.zone(in.Start)
	}
	c.event(in, stamp)
	c.Add("END", "VCALENDAR")
	return c.String()
}

// Calendar is a calendar of many meetings, to subscribe to.
func Calendar(name string, list []Invitation, stamp time.Time) string {
	var c calendar
	c.begin("Meetings")
	c.Add("X-WR-CALNAME", contentline.Text(name))
	c.Add("REFRESH-INTERVAL;VALUE=DURATION", "PT15M")
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
	c.Add("END", "VCALENDAR")
	return c.String()
}

func (c *calendar) begin(what string) {
	c.Add("BEGIN", "VCALENDAR")
	c.Add("VERSION", "2.0")
	c.Add("PRODID", "-//Bridgehead//"+what+"//EN")
}

// rules are the ways of repeating (RFC 5545 §3.3.10).
var rules = map[store.Repeat]string{
	store.Daily: "FREQ=DAILY", store.Weekdays: "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", store.Weekly: "FREQ=WEEKLY", store.Monthly: "FREQ=MONTHLY",
}

// local is the form of a date with the time on a zone's clock.
const local = "20060102T150405"

// event writes an invitation as one event, with all its repetitions.
func (c *calendar) event(in Invitation, stamp time.Time) {
	c.Add("BEGIN", "VEVENT")
	// The same meeting at the same time is the same event, however often it is
	// downloaded; the time of its making tells it from one that had the number
	// before.
	c.Add("UID", in.Made.UTC().Format(utc)+"-"+in.Start.UTC().Format(utc)+"-"+in.Number+"@"+in.Host)
	c.Add("DTSTAMP", stamp.UTC().Format(utc))
	end := in.Start.Add(in.Duration)
	if rule := rules[in.Repeat]; rule != "" {
		id := ";TZID=" + in.Start.Location().String()
		c.Add("DTSTART"+id, in.Start.Format(local))
		c.Add("DTEND"+id, end.Format(local))
		c.Add("RRULE", rule)
	} else {
		c.Add("DTSTART", in.Start.UTC().Format(utc))
		c.Add("DTEND", end.UTC().Format(utc))
	}
	c.Add("ORGANIZER", in.organizer())
	c.Add("SUMMARY", contentline.Text(in.Name))
	c.Add("DESCRIPTION", contentline.Text(in.Text()))
	if in.Web != "" {
		c.Add("LOCATION", contentline.Text(in.Web))
		c.Add("URL", in.Web)
		c.Add("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN,CHAT;LABEL="+contentline.Quote("Browser"), in.Web)
	}
	if in.SIP != "" {
		c.Add("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN;LABEL="+contentline.Quote("SIP"), in.SIP)
	}
	if in.H323 != "" {
		c.Add("CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN;LABEL="+contentline.Quote("H.323"), in.H323)
	}
	for _, d := range in.DialIns {
		label := d.CountryName
		if note := d.Note(); note != "" {
			label += " (" + note + ")"
		}
		c.Add("CONFERENCE;VALUE=URI;FEATURE=AUDIO,PHONE;LABEL="+contentline.Quote(label), d.URI)
	}
	c.Add("END", "VEVENT")
}

// zoneYears is how far ahead the changes of a zone's clock are listed.
const zoneYears = 10

// zone describes the clock of a time's zone from then on (RFC 5545 §3.6.5): the
// offset that holds then, and each change to come.
func (c *calendar) zone(from time.Time) {
	c.Add("BEGIN", "VTIMEZONE")
	c.Add("TZID", from.Location().String())
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
	c.Add("END", "VTIMEZONE")
}

// observance is the offset that begins at a time, and the one before.
func (c *calendar) observance(before, at time.Time) {
	what := "STANDARD"
	if at.IsDST() {
		what = "DAYLIGHT"
	}
	_, offset := before.Zone()
	c.Add("BEGIN", what)
	c.Add("DTSTART", at.UTC().Add(time.Duration(offset)*time.Second).Format(local)) // by the clock that ends
	c.Add("TZOFFSETFROM", before.Format("-0700"))
	c.Add("TZOFFSETTO", at.Format("-0700"))
	c.Add("TZNAME", contentline.Text(at.Format("MST")))
	c.Add("END", what)
}

// calendar collects content lines.
type calendar struct{ contentline.Lines }
