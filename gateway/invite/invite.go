// Package invite writes the invitation to a meeting: as text, as HTML, and as
// a calendar entry (iCalendar, RFC 5545, with the conference links of
// RFC 7986), with every way in: web link, SIP and H.323 address, and the
// telephone numbers of each country with one-touch dialling.
package invite

import (
	"cmp"
	"html/template"
	"net"
	"net/url"
	"slices"
	"strings"
	text "text/template"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"bridgehead/gateway/store"
)

// Places are where the gateway is reached, each as host or host:port; what is
// empty is turned off.
type Places struct{ Web, SIPS, H323 string }

// Invitation has all that a guest needs, and nothing that makes a host.
type Invitation struct {
	Number    string
	Name      string
	Passcode  string // of guests; empty: none is needed
	Web       string // https link
	SIP       string // sips URI with the passcode in it
	H323      string // h323 URL with the passcode in it
	DialIns   []DialIn
	Organizer string // e-mail address; may be empty
	Host      string // of this gateway
	Made      time.Time
	Start     time.Time
	Duration  time.Duration
	Repeat    store.Repeat // by the clock of Start's time zone
}

// DialIn is a telephone number that leads to the meeting.
type DialIn struct {
	Number      string `json:"number" doc:"E.164"`
	Formatted   string `json:"formatted" doc:"as it is written internationally"`
	Country     string `json:"country" doc:"ISO 3166; empty: of no country"`
	CountryName string `json:"country_name"`
	Language    string `json:"language" doc:"ISO 639 code of the language spoken there"`
	Spoken      string `json:"language_name"`
	Label       string `json:"label"`
	Keys        string `json:"keys" doc:"what to type once connected, a comma for each pause of two seconds"`
	OneTouch    string `json:"one_touch" doc:"number and keys, as a telephone dials them"`
	URI         string `json:"uri" doc:"the same as a link"`
}

// New gathers the ways into a meeting. Of the numbers those count that lead to
// the reception or to this very meeting, and are meant for invitations.
func New(m store.Meeting, at Places, numbers []store.Number) Invitation {
	in := Invitation{Number: m.Number, Name: line(m.Name), Passcode: m.GuestPasscode, Made: m.Created, DialIns: []DialIn{}}
	in.Name = cmp.Or(in.Name, "Meeting "+m.Number)
	dialled := m.Number
	if m.GuestPasscode != "" {
		dialled += "**" + m.GuestPasscode
	}
	if at.Web != "" {
		in.Web = "https://" + at.Web + "/join/" + m.Number
	}
	if at.SIPS != "" {
		in.SIP = "sips:" + dialled + "@" + at.SIPS
	}
	if at.H323 != "" {
		in.H323 = "h323:" + dialled + "@" + at.H323
	}
	in.Host = cmp.Or(hostOf(at.Web), hostOf(at.SIPS), hostOf(at.H323), "localhost")
	for _, n := range numbers {
		if keys, ok := in.keys(n); ok && n.InInvites {
			in.DialIns = append(in.DialIns, dialIn(n, keys))
		}
	}
	slices.SortFunc(in.DialIns, func(a, b DialIn) int {
		return cmp.Or(cmp.Compare(a.CountryName, b.CountryName), cmp.Compare(a.Spoken, b.Spoken), cmp.Compare(a.Number, b.Number))
	})
	return in
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// keys are what leads from a number into the meeting; false if it does not.
func (in Invitation) keys(n store.Number) (string, bool) {
	var keys string
	switch n.Target {
	case "reception":
		keys = ",," + in.Number + "#"
	case "meeting:" + in.Number:
	default:
		return "", false
	}
	if in.Passcode != "" {
		keys += ",," + in.Passcode + "#"
	}
	return keys, true
}

func dialIn(n store.Number, keys string) DialIn {
	d := DialIn{Number: n.Number, Formatted: n.Number, Country: n.Country, Language: n.Language, Label: line(n.Label), Keys: keys, OneTouch: n.Number + keys}
	if p, err := phonenumbers.Parse(n.Number, ""); err == nil {
		d.Formatted = phonenumbers.Format(p, phonenumbers.INTERNATIONAL)
		d.Country = cmp.Or(d.Country, phonenumbers.GetRegionCodeForNumber(p))
	}
	if r, err := language.ParseRegion(d.Country); err == nil && r.IsCountry() {
		d.CountryName = display.English.Regions().Name(r)
	} else {
		d.Country, d.CountryName = "", "International"
	}
	if t, err := language.Parse(n.Language); err == nil && n.Language != "" {
		d.Spoken = display.English.Languages().Name(t)
	}
	// "#" would begin a fragment: unescaped, telephones drop it and the rest.
	d.URI = "tel:" + strings.ReplaceAll(d.OneTouch, "#", "%23")
	return d
}

// Note is what is said of a number beside its country.
func (d DialIn) Note() string {
	return strings.Join(slices.DeleteFunc([]string{d.Label, d.Spoken}, func(s string) bool { return s == "" }), ", ")
}

// line makes one clean line of what somebody has typed: no control characters,
// and none that turn the direction of what stands beside it.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

var asText = text.Must(text.New("text").Parse(`You are invited to: {{.Name}}
{{with .Web}}
Join in a browser
  {{.}}
{{end}}
Meeting number  {{.Number}}
{{- with .Passcode}}
Passcode        {{.}}
{{- end}}
{{with .SIP}}
SIP (TLS)  {{.}}{{end}}{{with .H323}}
H.323      {{.}}{{end}}
{{if .DialIns}}
By telephone
{{- range .DialIns}}
  {{.CountryName}}{{with .Note}} ({{.}}){{end}}  {{.Formatted}}
    one touch: tel:{{.OneTouch}}
{{- end}}
{{end}}`))

var asHTML = template.Must(template.New("html").Funcs(template.FuncMap{
	// The links are made here of digits and of this gateway's own address.
	"link": func(s string) template.URL { return template.URL(s) },
}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Name}}</title></head>
<body style="font-family: sans-serif">
<h1 dir="auto" style="font-size: 1.3em">{{.Name}}</h1>
{{with .Web}}<p><a href="{{.}}"><strong>Join in a browser</strong></a><br>{{.}}</p>
{{end}}<p>Meeting number: <strong>{{.Number}}</strong>{{with .Passcode}}<br>Passcode: <strong>{{.}}</strong>{{end}}</p>
{{if or .SIP .H323}}<p>{{with .SIP}}SIP (TLS): <a href="{{link .}}">{{.}}</a><br>{{end}}{{with .H323}}H.323: <a href="{{link .}}">{{.}}</a>{{end}}</p>
{{end}}{{if .DialIns}}<table><caption style="text-align: left">By telephone</caption>
{{range .DialIns}}<tr><th scope="row" style="text-align: left">{{.CountryName}}</th><td dir="auto">{{.Note}}</td><td><a href="{{link .URI}}">{{.Formatted}}</a></td><td>{{.Keys}}</td></tr>
{{end}}</table>
{{end}}</body></html>
`))

// Text is the invitation for people and for mail in plain text.
func (in Invitation) Text() string {
	var b strings.Builder
	if err := asText.Execute(&b, in); err != nil {
		panic(err) // the template is ours, and so are all fields
	}
	return b.String()
}

// HTML is the invitation as a page of its own.
func (in Invitation) HTML() string {
	var b strings.Builder
	if err := asHTML.Execute(&b, in); err != nil {
		panic(err)
	}
	return b.String()
}

// organizer is who invites, as a URI (RFC 5545 §3.8.4.3, which PUBLISH needs).
func (in Invitation) organizer() string {
	if in.Organizer != "" {
		return (&url.URL{Scheme: "mailto", Opaque: url.PathEscape(in.Organizer)}).String()
	}
	return "https://" + in.Host
}
