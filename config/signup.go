package config

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// SignUp lets people make accounts for themselves.
type SignUp struct {
	Domains []string `key:"domains" check:"domain" help:"domains whose e-mail addresses may sign up, each exactly as written; a superuser approves each; none when empty"`
}

// Open tells whether anybody may sign up at all.
func (s SignUp) Open() bool { return len(s.Domains) > 0 }

// local is a local part of a mailbox that needs no quotes (RFC 5321 §4.1.2,
// Dot-string), in ASCII.
var local = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// Mailbox checks an e-mail address, whose domain must be one of the list, no
// more and no less, and writes it in its one form.
func (s SignUp) Mailbox(address string) (string, bool) {
	name, domain, _ := strings.Cut(address, "@")
	domain, err := domainName(domain)
	if err != nil || !local.MatchString(name) || len(name) > 64 {
		return "", false
	}
	return name + "@" + domain, slices.ContainsFunc(s.Domains, func(d string) bool {
		d, err := domainName(d)
		return err == nil && d == domain
	})
}

// strict maps nothing that looks alike: such a name is another one, or none.
var strict = idna.New(idna.ValidateForRegistration(), idna.BidiRule(), idna.VerifyDNSLength(true))

// domainName is the one form of a domain's name in ASCII and small letters
// (RFC 5891). Addresses and names with an empty label are none.
func domainName(name string) (string, error) {
	ascii, err := strict.ToASCII(strings.ToLower(name))
	if err == nil {
		_, err = strict.ToUnicode(ascii) // which has a look at xn-- labels
	}
	if _, number := netip.ParseAddr(ascii); err == nil && (number == nil || strings.HasSuffix(ascii, ".")) {
		err = errors.New("not a domain name")
	}
	return ascii, err
}
