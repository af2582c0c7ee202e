package invite

import (
	"html"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bridgehead/gateway/store"
)

var (
	meeting = store.Meeting{Number: "7001", Name: "Team", HostPasscode: "99887766", GuestPasscode: "123456", Created: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	at      = Places{Web: "meet.example.org", SIPS: "meet.example.org:15061", H323: "meet.example.org"}
	numbers = []store.Number{
		{Number: "+4930123456", Target: "reception", Language: "de", Label: "Berlin, office", InInvites: true},
		{Number: "+12025550100", Target: "meeting:7001", Language: "en", InInvites: true},
		{Number: "+3221234567", Target: "reception", Country: "BE", Language: "fr", InInvites: true},
		{Number: "+3221234568", Target: "reception", Country: "BE", Language: "nl", InInvites: true},
		{Number: "+80012345678", Target: "reception", InInvites: true},
		{Number: "+4930999999", Target: "reception"},
		{Number: "+4930888888", Target: "meeting:7002", InInvites: true},
		{Number: "+4930777777", Target: "user:ann", InInvites: true},
	}
)

func invitation(m store.Meeting) Invitation {
	in := New(m, at, numbers)
	in.Organizer, in.Start, in.Duration = "ann@example.org", time.Date(2026, 3, 5, 9, 30, 0, 0, time.FixedZone("", 3600)), 45*time.Minute
	return in
}

// P7: the numbers of each country and language, and only those that lead here.
func TestP7InvitationListsTheRightNumbers(t *testing.T) {
	var got []string
	for _, d := range invitation(meeting).DialIns {
		got = append(got, d.CountryName+"|"+d.Note()+"|"+d.Formatted+"|tel:"+d.OneTouch)
	}
	want := []string{
		"Belgium|Dutch|+32 2 123 45 68|tel:+3221234568,,7001#,,123456#",
		"Belgium|French|+32 2 123 45 67|tel:+3221234567,,7001#,,123456#",
		"Germany|Berlin, office, German|+49 30 123456|tel:+4930123456,,7001#,,123456#",
		"International||+800 1234 5678|tel:+80012345678,,7001#,,123456#",
		"United States|English|+1 202-555-0100|tel:+12025550100,,123456#",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestWithoutPasscodeNumberAloneLeadsIn(t *testing.T) {
	m := meeting
	m.GuestPasscode = ""
	in := invitation(m)
	if in.SIP != "sips:7001@meet.example.org:15061" || in.H323 != "h323:7001@meet.example.org" {
		t.Errorf("%q, %q", in.SIP, in.H323)
	}
	for _, d := range in.DialIns {
		if want := map[string]string{"+12025550100": "+12025550100", "+4930123456": "+4930123456,,7001#"}[d.Number]; want != "" && d.OneTouch != want {
			t.Errorf("one touch %q, want %q", d.OneTouch, want)
		}
	}
	if text := in.Text(); strings.Contains(text, "Passcode") {
		t.Errorf("it speaks of a passcode:\n%s", text)
	}
}

func TestEveryFormHasEveryWayInAndNoHostPasscode(t *testing.T) {
	in := invitation(meeting)
	stamp := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for form, s := range map[string]string{"text": in.Text(), "html": html.UnescapeString(in.HTML()), "ics": unfold(in.ICal(stamp))} {
		for _, want := range []string{"https://meet.example.org/join/7001", "sips:7001**123456@meet.example.org:15061", "h323:7001**123456@meet.example.org", "+4930123456,,7001", "Germany"} {
			if !strings.Contains(s, want) {
				t.Errorf("%s lacks %q:\n%s", form, want, s)
			}
		}
		if strings.Contains(s, meeting.HostPasscode) {
			t.Errorf("%s has the host's passcode", form)
		}
		if strings.Contains(s, "ZgotmplZ") {
			t.Errorf("a link was refused:\n%s", s)
		}
	}
}

func TestWhatIsTurnedOffIsLeftOut(t *testing.T) {
	in := New(meeting, Places{Web: "meet.example.org"}, nil)
	for form, s := range map[string]string{"text": in.Text(), "html": in.HTML(), "ics": in.ICal(time.Time{})} {
		for _, never := range []string{"SIP", "H.323", "telephone", "tel:", "PHONE"} {
			if strings.Contains(s, never) {
				t.Errorf("%s has %q:\n%s", form, never, s)
			}
		}
	}
}

// unfold undoes RFC 5545 §3.1.
func unfold(s string) string { return strings.ReplaceAll(s, "\r\n ", "") }

// unescape undoes RFC 5545 §3.3.11.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\;`, ";", `\,`, ",", `\n`, "\n").Replace(s)
}

// properties takes a calendar apart, and fails on what RFC 5545 forbids.
func properties(t *testing.T, ics string) map[string][]string {
	t.Helper()
	if !utf8.ValidString(ics) || !strings.HasSuffix(ics, "\r\n") {
		t.Fatalf("no whole lines of UTF-8: %q", ics)
	}
	for l := range strings.SplitSeq(ics, "\r\n") {
		if len(l) > 75 || !utf8.ValidString(l) {
			t.Errorf("line of %d octets: %q", len(l), l)
		}
		if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			t.Errorf("control character in %q", l)
		}
	}
	p := map[string][]string{}
	for l := range strings.SplitSeq(strings.TrimSuffix(unfold(ics), "\r\n"), "\r\n") {
		quoted := false
		end := strings.IndexFunc(l, func(r rune) bool {
			quoted = quoted != (r == '"')
			return r == ':' && !quoted
		})
		if end < 0 {
			t.Fatalf("no content line: %q", l)
		}
		name, params, _ := strings.Cut(l[:end], ";")
		if params != "" {
			params += ":"
		}
		p[name] = append(p[name], params+l[end+1:])
	}
	return p
}

func TestCalendarIsAnEventToPublish(t *testing.T) {
	in := invitation(meeting)
	p := properties(t, in.ICal(time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)))
	for name, want := range map[string]string{
		"VERSION": "2.0", "METHOD": "PUBLISH", "DTSTAMP": "20260302T070000Z", "DTSTART": "20260305T083000Z", "DTEND": "20260305T091500Z",
		"UID": "20260301T080000Z-20260305T083000Z-7001@meet.example.org", "ORGANIZER": "mailto:ann@example.org",
		"SUMMARY": "Team", "URL": "https://meet.example.org/join/7001",
	} {
		if got := strings.Join(p[name], " and "); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := unescape(p["DESCRIPTION"][0]); got != in.Text() {
		t.Errorf("description\n%s", got)
	}
	if b, e := strings.Join(p["BEGIN"], " "), strings.Join(p["END"], " "); b != "VCALENDAR VEVENT" || e != "VEVENT VCALENDAR" {
		t.Errorf("begins %s, ends %s", b, e)
	}
	all := strings.Join(p["CONFERENCE"], "\n")
	for _, want := range []string{
		`VALUE=URI;FEATURE=AUDIO,VIDEO,SCREEN,CHAT;LABEL="Browser":https://meet.example.org/join/7001`,
		`VALUE=URI;FEATURE=AUDIO,PHONE;LABEL="Germany (Berlin, office, German)":tel:+4930123456,,7001%23,,123456%23`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("conferences lack %q:\n%s", want, all)
		}
	}
}

var nasty = []string{
	"Team\r\nATTENDEE:mailto:x@example.org", "a\nb\rc\x00d\u2028e", `<script>alert("x")</script>`, `back\slash; semi, comma`,
	"👩‍👩‍👧‍👦 Familie " + strings.Repeat("ü👍🏽", 60), "\u202Egnp.exe", "\xff\xfe", `"^quoted^"`, "{{.HostPasscode}}", "END:VCALENDAR", "",
	strings.Repeat("x", 74), strings.Repeat("語", 128),
}

func FuzzInvitation(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, label string) {
		m := meeting
		m.Name = name
		in := New(m, at, []store.Number{{Number: "+4930123456", Target: "reception", Label: label, InInvites: true}})
		if strings.ContainsAny(in.Name+in.DialIns[0].Label, "\r\n\x00\u2028\u202e") {
			t.Errorf("name %q, label %q", in.Name, in.DialIns[0].Label)
		}
		p := properties(t, in.ICal(time.Time{}))
		if len(p["BEGIN"]) != 2 || len(p["END"]) != 2 || len(p["ATTENDEE"]) != 0 || len(p["CONFERENCE"]) != 4 {
			t.Errorf("the name broke out: %q", p)
		}
		if got := unescape(p["SUMMARY"][0]); got != in.Name {
			t.Errorf("summary %q, want %q", got, in.Name)
		}
		page := in.HTML()
		if plain := New(meeting, at, []store.Number{{Number: "+4930123456", Target: "reception", InInvites: true}}).HTML(); strings.Count(page, "<") != strings.Count(plain, "<") {
			t.Errorf("the name is markup:\n%s", page)
		}
		if !strings.Contains(html.UnescapeString(page), in.Name) {
			t.Errorf("the page lacks %q:\n%s", in.Name, page)
		}
	})
}

func TestRepeatedMeetingKeepsItsHourInSummer(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	in := invitation(meeting)
	in.Start, in.Repeat = time.Date(2026, 3, 5, 9, 30, 0, 0, zone), store.Weekdays
	ics := unfold(in.ICal(time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)))
	for _, want := range []string{
		"DTSTART;TZID=Europe/Berlin:20260305T093000\r\n", "DTEND;TZID=Europe/Berlin:20260305T101500\r\n", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\r\n",
		"BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:20251026T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nEND:STANDARD\r\n",
		"BEGIN:DAYLIGHT\r\nDTSTART:20260329T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nEND:DAYLIGHT\r\n",
	} {
		if !strings.Contains(ics, want) {
			t.Errorf("no %q in\n%s", want, ics)
		}
	}
}

func TestCalendarHasAllMeetingsAndEachZoneOnce(t *testing.T) {
	tokyo, err := time.LoadLocation("Asia/Tokyo") // whose clock never changes
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := invitation(meeting), invitation(meeting), invitation(meeting)
	one.Start, one.Repeat = time.Date(2026, 3, 5, 9, 30, 0, 0, tokyo), store.Weekly
	two.Start, two.Repeat = time.Date(2026, 3, 6, 9, 30, 0, 0, tokyo), store.Monthly
	ics := Calendar("Ann; meetings", []Invitation{one, two, three}, time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC))
	properties(t, ics)
	for what, n := range map[string]int{"BEGIN:VEVENT": 3, "BEGIN:VTIMEZONE": 1, "TZID:Asia/Tokyo": 1, "TZOFFSETTO:+0900": 1, "RRULE:": 2, `X-WR-CALNAME:Ann\; meetings`: 1, "METHOD": 0} {
		if got := strings.Count(ics, what); got != n {
			t.Errorf("%d times %s, want %d:\n%s", got, what, n, ics)
		}
	}
}
