// Package pstn is the telephone network's side of the bridge: numbers in E.164
// (ITU-T E.164, RFC 3966), the numbers that lead into meetings, the choice
// among lines for a call out, whom may be called, and causes (ITU-T Q.850).
// It speaks no protocol: a [Line] does, such as a SIP trunk.
package pstn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// ErrNumber says that what was given is no telephone number.
var ErrNumber = errors.New("no telephone number")

// maxNumber bounds what is looked at: 15 digits and much decoration.
const maxNumber = 64

// Normalize reads a number as people write it or a trunk sends it and returns
// it in E.164, with the plus. Country is the ISO 3166 code whose national form
// is understood; empty: international only.
func Normalize(number, country string) (string, error) {
	n, err := parse(number, country)
	if err != nil {
		return "", err
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

func parse(number, country string) (*phonenumbers.PhoneNumber, error) {
	number = strings.TrimSpace(number)
	if len(number) >= 4 && strings.EqualFold(number[:4], "tel:") {
		number = number[4:]
	}
	number, _, _ = strings.Cut(number, ";")
	if number == "" || len(number) > maxNumber || strings.Trim(number, "+0123456789 -./()") != "" {
		return nil, ErrNumber
	}
	if rest, ok := strings.CutPrefix(number, "00"); ok {
		if n, err := phonenumbers.Parse("+"+rest, ""); err == nil && phonenumbers.IsPossibleNumber(n) {
			return n, nil
		}
	}
	n, err := phonenumbers.Parse(number, strings.ToUpper(country))
	if err == nil && phonenumbers.IsPossibleNumber(n) {
		return n, nil
	}
	// Many trunks leave out the plus.
	if !strings.HasPrefix(number, "+") {
		if n, err := phonenumbers.Parse("+"+number, ""); err == nil && phonenumbers.IsValidNumber(n) {
			return n, nil
		}
	}
	return nil, ErrNumber
}

// Country is the ISO 3166 code of a number in E.164; "001" for those of no
// country, "" when unknown.
func Country(number string) string {
	n, err := phonenumbers.Parse(number, "")
	if err != nil {
		return ""
	}
	return countryOf(n)
}

func countryOf(n *phonenumbers.PhoneNumber) string {
	if code := phonenumbers.GetRegionCodeForNumber(n); code != "ZZ" {
		return code
	}
	return ""
}

// IsCountry tells whether a code is one of ISO 3166, in upper or lower case, or
// "001", which stands for numbers of no country.
func IsCountry(code string) bool {
	return code == "001" || phonenumbers.GetCountryCodeForRegion(strings.ToUpper(code)) != 0
}

// Style is how a trunk writes numbers.
type Style string

// The styles.
const (
	Plus          Style = "e164"          // +4930123456
	Digits        Style = "digits"        // 4930123456
	International Style = "international" // 004930123456
	National      Style = "national"      // 030123456 at home, else international
)

// Format turns numbers from a trunk's way of writing them to E.164 and back.
type Format struct {
	Country string // of the trunk
	Style   Style  // of numbers out; "": Plus
	// Characters cut off and put before a number: on the way in before it is
	// read, on the way out after it is written.
	StripIn    int
	PrependIn  string
	StripOut   int
	PrependOut string
}

// In reads a number from the trunk. What is no E.164 number, such as an
// extension, is returned with strip and prepend done.
func (f Format) In(number string) string {
	number = f.PrependIn + number[min(f.StripIn, len(number)):]
	if e164, err := Normalize(number, f.Country); err == nil {
		return e164
	}
	return number
}

// Out writes a number for the trunk.
func (f Format) Out(number string) string {
	out := number
	if digits, ok := strings.CutPrefix(number, "+"); ok {
		switch f.Style {
		case Digits:
			out = digits
		case International:
			out = "00" + digits
		case National:
			out = f.national(number, digits)
		}
	}
	return f.PrependOut + out[min(f.StripOut, len(out)):]
}

func (f Format) national(number, digits string) string {
	n, err := phonenumbers.Parse(number, "")
	if err != nil || !strings.EqualFold(phonenumbers.GetRegionCodeForNumber(n), f.Country) {
		return "00" + digits
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, phonenumbers.Format(n, phonenumbers.NATIONAL))
}

// Number is a number of ours that can be called (a DID).
type Number struct {
	Number    string // E.164
	Trunk     string // the only trunk it may come over; "" any
	Target    Target
	Country   string
	Language  string
	Label     string
	InInvites bool
}

// Target is where a number leads.
type Target struct {
	Kind  string // reception, meeting, user
	Value string // meeting number, user
}

// ParseTarget reads "reception", "meeting:NUMBER" or "user:EMAIL".
func ParseTarget(s string) (Target, error) {
	kind, value, _ := strings.Cut(s, ":")
	switch {
	case kind == "reception" && value == "", (kind == "meeting" || kind == "user") && value != "":
		return Target{kind, value}, nil
	}
	return Target{}, fmt.Errorf("target %q is not reception, meeting:NUMBER or user:EMAIL", s)
}

// Find is the number that a call over a trunk is for; false: none of ours, to
// be refused as not found.
func Find(numbers []Number, trunk, called string) (Number, bool) {
	for _, n := range numbers {
		if n.Number == called && (n.Trunk == "" || n.Trunk == trunk) {
			return n, true
		}
	}
	return Number{}, false
}
