package config

import (
	"strings"
	"testing"
)

func TestP69OnlyAllowedDomainsSignUp(t *testing.T) {
	who := SignUp{Domains: []string{"corp.com", "Bücher.example"}}
	for address, want := range map[string]string{
		"x@corp.com":                          "x@corp.com",
		"Ann.Lee+tag@CORP.com":                "Ann.Lee+tag@corp.com",
		"x@bücher.example":                    "x@xn--bcher-kva.example",
		"x@BÜCHER.example":                    "x@xn--bcher-kva.example",
		"x@xn--bcher-kva.example":             "x@xn--bcher-kva.example",
		"x@evil-corp.com":                     "",
		"x@evilcorp.com":                      "",
		"x@corp.com.evil":                     "",
		"x@corp.com.evil.example":             "",
		"x@sub.corp.com":                      "",
		"x@corp.co":                           "",
		"x@corp.com.":                         "",
		"x@.corp.com":                         "",
		"x@corp..com":                         "",
		"x@corp.com ":                         "",
		" x@corp.com":                         "",
		"x@ corp.com":                         "",
		"x@corp.com\n":                        "",
		"x@corp.com\x00.evil":                 "",
		"x@сorp.com":                          "", // Cyrillic es
		"x@corр.com":                          "", // Cyrillic er
		"x@ｃｏｒｐ.com":                          "", // full width
		"x@corp。com":                          "", // ideographic full stop
		"x@corp\u200b.com":                    "", // zero width space
		"x@co\u00adrp.com":                    "", // soft hyphen
		"x@xn--orp-4dc.com":                   "",
		"x@xn--bcher-kv.example":              "",
		"x@evil.example@corp.com":             "",
		"x@corp.com@evil.example":             "",
		`"x@evil.example"@corp.com`:           "",
		`"x"@corp.com`:                        "",
		"x(comment)@corp.com":                 "",
		"<x@corp.com>":                        "",
		"Ann <x@corp.com>":                    "",
		"x@evil.example,y@corp.com":           "",
		"x%evil.example@corp.com":             "x%evil.example@corp.com", // a mailbox there like any other
		".x@corp.com":                         "",
		"x..y@corp.com":                       "",
		"ä@corp.com":                          "",
		"@corp.com":                           "",
		"corp.com":                            "",
		"x@":                                  "",
		"":                                    "",
		"x@[192.0.2.1]":                       "",
		"x@192.0.2.1":                         "",
		strings.Repeat("x", 65) + "@corp.com": "",
	} {
		if got, ok := who.Mailbox(address); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %v; want %q", address, got, ok, want)
		}
	}
}

func TestSignUpDomainsAreChecked(t *testing.T) {
	for _, bad := range []string{"@corp.com", "*.corp.com", "corp..com", "corp.com.", "x@corp.com", "192.0.2.1", "-corp.com"} {
		if why, _ := check("domain", bad); why == "" {
			t.Errorf("%q passes", bad)
		}
	}
	if why, _ := check("domain", "Bücher.Example"); why != "" {
		t.Errorf("a good one: %s", why)
	}
}

// Whatever passes is a plain address of the one domain, and passes again as
// itself.
func FuzzMailbox(f *testing.F) {
	for _, seed := range []string{"x@corp.com", "X@CORP.com", "x@corp.com.", "\"x@y\"@corp.com", "x@сorp.com", "x@y@corp.com", "x@xn--corp-.com"} {
		f.Add(seed)
	}
	who := SignUp{Domains: []string{"corp.com"}}
	f.Fuzz(func(t *testing.T, address string) {
		got, ok := who.Mailbox(address)
		if !ok {
			return
		}
		name, is := strings.CutSuffix(got, "@corp.com")
		if !is || name == "" || strings.ContainsAny(name, "@\" ,;:<>()[]\\") || !strings.EqualFold(got, address) {
			t.Errorf("%q is taken as %q", address, got)
		}
		if again, ok := who.Mailbox(got); !ok || again != got {
			t.Errorf("%q is not itself: %q", got, again)
		}
	})
}
