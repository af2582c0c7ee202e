package ras

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf16"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// Alphabets of numbers (H.225.0 AliasAddress, TBCD-STRING aside).
const (
	digits        = "0123456789#*,"
	international = "+"
)

const maxAlias = 256 // characters

// Alias is the text of an alias of any type: the digits of numbers, with a
// plus before international ones; an address as host:port; the scheme "h323:"
// of an URL, being the usual one, is left out. Empty: it can't be shown.
func Alias(a h225.AliasAddress) string {
	s := ""
	switch {
	case a.DialledDigits != nil:
		s = *a.DialledDigits
	case a.H323ID != nil:
		s = *a.H323ID
	case a.UrlID != nil:
		s = *a.UrlID
		if scheme, rest, ok := strings.Cut(s, ":"); ok && strings.EqualFold(scheme, "h323") {
			s = rest
		}
	case a.TransportID != nil:
		if addr, ok := AddrPort(*a.TransportID); ok {
			s = addr.String()
		}
	case a.EmailID != nil:
		s = *a.EmailID
	case a.PartyNumber != nil:
		s = party(a.PartyNumber)
	case a.MobileUIM != nil:
		s = mobile(a.MobileUIM)
	case a.IsupNumber != nil:
		s = isup(a.IsupNumber)
	}
	if len(s) > 4*maxAlias || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

func party(p *h225.PartyNumber) string {
	switch {
	case p.E164Number != nil && p.E164Number.PublicTypeOfNumber.InternationalNumber != nil:
		return international + p.E164Number.PublicNumberDigits
	case p.E164Number != nil:
		return p.E164Number.PublicNumberDigits
	case p.PrivateNumber != nil:
		return p.PrivateNumber.PrivateNumberDigits
	}
	return first(p.DataPartyNumber, p.TelexPartyNumber, p.NationalStandardPartyNumber)
}

func mobile(m *h225.MobileUIM) string {
	if g := m.GsmUim; g != nil {
		return first(g.Msisdn, g.Imsi, g.Imei)
	}
	if a := m.Ansi41Uim; a != nil {
		return first(a.Mdn, a.Msisdn, a.Min, a.Imsi, a.Esn)
	}
	return ""
}

func isup(n *h225.IsupNumber) string {
	switch {
	case n.E164Number != nil && n.E164Number.NatureOfAddress.InternationalNumber != nil:
		return international + n.E164Number.Address
	case n.E164Number != nil:
		return n.E164Number.Address
	case n.PrivateNumber != nil:
		return n.PrivateNumber.Address
	}
	return first(n.DataPartyNumber, n.TelexPartyNumber, n.NationalStandardPartyNumber)
}

func first(of ...*string) string {
	for _, s := range of {
		if s != nil {
			return *s
		}
	}
	return ""
}

// AliasOf is the alias of the type that fits the text: dialledDigits for
// digits, partyNumber for +digits, transportID for an address with its port,
// url-ID for user@host and scheme:…, else h323-ID. A text too long for its
// type is cut.
func AliasOf(s string) h225.AliasAddress {
	if plus, ok := strings.CutPrefix(s, international); ok && isDigits(plus) {
		return h225.AliasAddress{PartyNumber: &h225.PartyNumber{E164Number: &h225.PublicPartyNumber{
			PublicTypeOfNumber: h225.PublicTypeOfNumber{InternationalNumber: none}, PublicNumberDigits: plus[:min(len(plus), 128)]}}}
	}
	if isDigits(s) {
		return h225.AliasAddress{DialledDigits: new(s[:min(len(s), 128)])}
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return h225.AliasAddress{TransportID: new(Address(a))}
	}
	if url, ok := urlOf(s); ok {
		return h225.AliasAddress{UrlID: &url}
	}
	units := utf16.Encode([]rune(s))
	return h225.AliasAddress{H323ID: new(string(utf16.Decode(units[:min(len(units), maxAlias)])))}
}

func urlOf(s string) (string, bool) {
	if len(s) > 500 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false
	}
	scheme, _, ok := strings.Cut(s, ":")
	if ok && scheme != "" && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" {
		return s, true
	}
	if i := strings.IndexByte(s, '@'); i > 0 && i < len(s)-1 {
		return "h323:" + s, true
	}
	return "", false
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, digits) == "" }

// Called is the text of the first alias that has one, without what Polycom
// endpoints put before the extension of an address, "address##extension".
func Called(list []h225.AliasAddress) string {
	for _, a := range list {
		s := Alias(a)
		if host, rest, ok := strings.Cut(s, "##"); ok && host != "" && rest != "" && !isDigits(host) {
			s = rest
		}
		if s != "" {
			return s
		}
	}
	return ""
}

// aliasesOf are the texts of a list, each once, max of them at most.
func aliasesOf(list []h225.AliasAddress, max int) (out []string) {
	seen := map[string]bool{}
	for _, a := range list {
		if s := Alias(a); s != "" && !seen[fold(s)] && len(out) < max {
			seen[fold(s)] = true
			out = append(out, s)
		}
	}
	return out
}

// fold is what aliases are compared by.
func fold(s string) string { return strings.ToLower(s) }

// mask leaves the passcode out of a dialled NUMBER**PASSCODE.
func mask(s string) string {
	if number, _, ok := strings.Cut(s, "**"); ok {
		return number + "**…"
	}
	return s
}

// text is what a peer wrote, fit for a log.
func text(b per.OctetString) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b), ""))
	return strings.ToValidUTF8(s[:min(len(s), 128)], "")
}
