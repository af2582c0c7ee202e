package dialplan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bridgehead/gateway/store"
)

// weekdays by [time.Weekday].
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Open tells whether a number is open at a time, and says the time as its clock
// shows it. No hours are all hours.
func Open(h *store.Hours, at time.Time) (open bool, when string, err error) {
	if h == nil {
		return true, "", nil
	}
	zone, err := time.LoadLocation(h.TimeZone)
	if err != nil {
		return false, "", err
	}
	at = at.In(zone)
	when = at.Format(" (Mon 15:04 ") + h.TimeZone + ")"
	today, yesterday := weekdays[at.Weekday()], weekdays[at.AddDate(0, 0, -1).Weekday()]
	now := at.Format("15:04") // as these are written, they compare
	for _, s := range h.Open {
		overnight := s.To <= s.From
		switch {
		case slices.Contains(s.Days, today) && s.From <= now && (overnight || now < s.To),
			slices.Contains(s.Days, yesterday) && overnight && now < s.To:
			return true, when, nil
		}
	}
	return false, when, nil
}

// CheckHours says what is wrong with a number's hours, as a [core.Reason].
func CheckHours(h *store.Hours) error {
	if h == nil {
		return nil
	}
	if _, err := time.LoadLocation(h.TimeZone); err != nil || h.TimeZone == "" || h.TimeZone == "Local" {
		return invalid("time zone %q is none: write its IANA name, such as Europe/Berlin.", h.TimeZone)
	}
	if len(h.Open) == 0 {
		return invalid("open has no hours, so the number would always be closed.")
	}
	for _, s := range h.Open {
		for _, d := range s.Days {
			if !slices.Contains(weekdays, d) {
				return invalid("%q is no day: write mon, tue, wed, thu, fri, sat or sun.", d)
			}
		}
		if len(s.Days) == 0 || !isTime(s.From) || !isTime(s.To) && s.To != "24:00" {
			return invalid("hours are days, and two times such as 08:00 and 17:30.")
		}
	}
	if h.Otherwise != "" {
		return CheckTarget(h.Otherwise)
	}
	return nil
}

func isTime(s string) bool {
	_, err := time.Parse("15:04", s)
	return err == nil && len(s) == len("15:04")
}

// CheckTarget says what is wrong with the target of a number.
func CheckTarget(target string) error {
	kind, value, _ := strings.Cut(target, ":")
	switch {
	case target == toReception, kind == toMeeting && isNumber(value), kind == toUser && value != "":
		return nil
	}
	return invalid("target %q is not reception, meeting:NUMBER or user:EMAIL.", target)
}

// ParseHours reads hours as people write them: "mon-fri 08:00-18:00, sat
// 09:00-12:00".
func ParseHours(text string) (list []store.Span, err error) {
	for _, part := range strings.Split(text, ",") {
		fields := strings.Fields(strings.ToLower(part))
		if len(fields) != 2 {
			return nil, fmt.Errorf("hours %q: write mon-fri 08:00-18:00, sat 09:00-12:00", part)
		}
		from, to, _ := strings.Cut(fields[1], "-")
		days, err := parseDays(fields[0])
		if err != nil {
			return nil, err
		}
		list = append(list, store.Span{Days: days, From: from, To: to})
	}
	return list, nil
}

func parseDays(text string) (days []string, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 {
		return nil, fmt.Errorf("days %q: write mon, or mon-fri", text)
	}
	for d := from; ; d = (d + 1) % 7 {
		days = append(days, weekdays[d])
		if d == to {
			return days, nil
		}
	}
}
