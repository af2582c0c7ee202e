package ras

import (
	"net/netip"
	"strings"
	"testing"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

func TestAlias(t *testing.T) {
	number := "493012345"
	for _, c := range []struct {
		want string
		a    h225.AliasAddress
	}{
		{"7001#*,", h225.AliasAddress{DialledDigits: new("7001#*,")}},
		{"Zürich 🙂", h225.AliasAddress{H323ID: new("Zürich 🙂")}},
		{"a@b", h225.AliasAddress{UrlID: new("H323:a@b")}},
		{"sip:a@b", h225.AliasAddress{UrlID: new("sip:a@b")}},
		{"192.0.2.1:1720", h225.AliasAddress{TransportID: new(Address(us))}},
		{"[2001:db8::1]:1720", h225.AliasAddress{TransportID: new(Address(netip.MustParseAddrPort("[2001:db8::1]:1720")))}},
		{"", h225.AliasAddress{TransportID: &h225.TransportAddress{NetBios: new(per.OctetString(make([]byte, 16)))}}},
		{"a@b", h225.AliasAddress{EmailID: new("a@b")}},
		{"+" + number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{E164Number: &h225.PublicPartyNumber{PublicTypeOfNumber: h225.PublicTypeOfNumber{InternationalNumber: none}, PublicNumberDigits: number}}}},
		{number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{E164Number: &h225.PublicPartyNumber{PublicTypeOfNumber: h225.PublicTypeOfNumber{NationalNumber: none}, PublicNumberDigits: number}}}},
		{number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{PrivateNumber: &h225.PrivatePartyNumber{PrivateTypeOfNumber: h225.PrivateTypeOfNumber{LocalNumber: none}, PrivateNumberDigits: number}}}},
		{number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{DataPartyNumber: &number}}},
		{number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{TelexPartyNumber: &number}}},
		{number, h225.AliasAddress{PartyNumber: &h225.PartyNumber{NationalStandardPartyNumber: &number}}},
		{number, h225.AliasAddress{MobileUIM: &h225.MobileUIM{GsmUim: &h225.GSMUIM{Imsi: new("262"), Msisdn: &number}}}},
		{number, h225.AliasAddress{MobileUIM: &h225.MobileUIM{Ansi41Uim: &h225.ANSI41UIM{Mdn: &number, SystemId: h225.ANSI41UIMSystemId{Sid: new("123")}}}}},
		{"+" + number, h225.AliasAddress{IsupNumber: &h225.IsupNumber{E164Number: &h225.IsupPublicPartyNumber{NatureOfAddress: h225.NatureOfAddress{InternationalNumber: none}, Address: number}}}},
		{number, h225.AliasAddress{IsupNumber: &h225.IsupNumber{PrivateNumber: &h225.IsupPrivatePartyNumber{PrivateTypeOfNumber: h225.PrivateTypeOfNumber{LocalNumber: none}, Address: number}}}},
		{number, h225.AliasAddress{IsupNumber: &h225.IsupNumber{NationalStandardPartyNumber: &number}}},
		{"", h225.AliasAddress{H323ID: new("a\nb")}},
		{"", h225.AliasAddress{}},
	} {
		b, err := per.Encode(&c.a)
		if c.want != "" && err != nil {
			t.Errorf("%q: %v", c.want, err)
		}
		if got := Alias(c.a); got != c.want {
			t.Errorf("%x is %q instead of %q", b, got, c.want)
		}
	}
}

func TestAliasOf(t *testing.T) {
	for s, kind := range map[string]string{"7001": "dialledDigits", "100**4711": "dialledDigits", "+4930": "partyNumber", "alice": "h323-ID", "a@b.example": "url-ID",
		"sip:a@b": "url-ID", "192.0.2.1:1720": "transportID", "Zürich": "h323-ID", "@b": "h323-ID", "+": "h323-ID", strings.Repeat("🙂", 128): "h323-ID"} {
		a := AliasOf(s)
		b, err := per.Encode(&a)
		if err != nil || Alias(a) != s {
			t.Errorf("%q is written as %x, %v and read as %q", s, b, err, Alias(a))
		}
		name := map[bool]string{a.DialledDigits != nil: "dialledDigits", a.PartyNumber != nil: "partyNumber", a.H323ID != nil: "h323-ID", a.UrlID != nil: "url-ID", a.TransportID != nil: "transportID"}[true]
		if name != kind {
			t.Errorf("%q becomes %s", s, name)
		}
	}
	for _, long := range []string{strings.Repeat("1", 500), strings.Repeat("x", 500), strings.Repeat("🙂", 200), "a@" + strings.Repeat("b", 600)} {
		a := AliasOf(long)
		if _, err := per.Encode(&a); err != nil {
			t.Error(err)
		}
	}
	for s, want := range map[string]string{"meet.example##100": "100", "10.1.1.1##100": "100", "12##34": "12##34", "##5": "##5"} {
		if got := Called([]h225.AliasAddress{{}, AliasOf(s)}); got != want {
			t.Errorf("%q calls %q", s, got)
		}
	}
	if got := mask("100**4711"); strings.Contains(got, "4711") {
		t.Error(got)
	}
}
