package pstn

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bridgehead/core"
)

// Resolver answers one DNS question. No records and no error: the name has none.
type Resolver interface {
	Lookup(ctx context.Context, name string, kind uint16) ([]dns.RR, error)
}

// enumTime bounds a look-up, since a caller waits and there are lines.
const enumTime = 2 * time.Second

// maxRule bounds what a NAPTR's regular expression, and what comes of it, may be.
const maxRule = 256

// EnumName is where a number in E.164 is looked up below a suffix such as
// e164.arpa (RFC 6116 3.2): its digits backwards, with dots.
func EnumName(number, suffix string) string {
	digits := []byte(strings.TrimPrefix(number, "+"))
	slices.Reverse(digits)
	return strings.Join(strings.Split(string(digits), ""), ".") + "." + suffix
}

// enum finds the SIP address of a number (RFC 6116); "": it has none. Whoever
// holds the number decides, but only about addresses outside: no IP addresses,
// and no names without a dot.
func (e *Edge) enum(ctx context.Context, number string, suffixes []string) string {
	if e.opt.Resolver == nil || e.opt.Direct == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, enumTime)
	defer cancel()
	for _, suffix := range suffixes {
		records, err := e.opt.Resolver.Lookup(ctx, EnumName(number, suffix), dns.TypeNAPTR)
		if err != nil {
			e.opt.Log.Warn("ENUM look-up failed", "suffix", suffix, "error", err)
			continue
		}
		if to := choose(records, number); to != "" {
			return to
		}
	}
	return ""
}

// choose applies the rules by order, then preference (RFC 3403 4.1), until one
// gives a SIP address.
func choose(records []dns.RR, number string) string {
	var rules []*dns.NAPTR
	for _, r := range records {
		if n, ok := r.(*dns.NAPTR); ok && strings.EqualFold(n.Flags, "u") && isSIP(n.Service) {
			rules = append(rules, n)
		}
	}
	slices.SortStableFunc(rules, func(a, b *dns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	for _, n := range rules {
		if to, ok := apply(unescape(n.Regexp), number); ok && outside(to) {
			return to
		}
	}
	return ""
}

// isSIP tells whether a service field names SIP (RFC 3764): E2U+sip, also
// among others.
func isSIP(service string) bool {
	kinds := strings.Split(strings.ToLower(service), "+")
	return kinds[0] == "e2u" && slices.ContainsFunc(kinds[1:], func(k string) bool { return k == "sip" || strings.HasPrefix(k, "sip:") })
}

// apply does a NAPTR's substitution (RFC 3402 3.2): delimiter, extended regular
// expression, replacement with \1 to \9, and the flag i.
func apply(rule, number string) (string, bool) {
	if len(rule) < 4 || len(rule) > maxRule {
		return "", false
	}
	parts := strings.Split(rule[1:], rule[:1])
	if len(parts) != 3 || parts[2] != "" && parts[2] != "i" {
		return "", false
	}
	if parts[2] == "i" {
		parts[0] = "(?i)" + parts[0]
	}
	re, err := regexp.Compile(parts[0])
	if err != nil {
		return "", false
	}
	at := re.FindStringSubmatchIndex(number)
	if at == nil {
		return "", false
	}
	template := backReference.ReplaceAllString(strings.ReplaceAll(parts[1], "$", "$$"), "$${$1}")
	to := string(re.ExpandString(nil, template, number, at))
	return to, len(to) <= maxRule
}

// unescape turns a string as zone files write it, which is how the DNS library
// gives it, to what it is (RFC 1035 5.1).
func unescape(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(x string) string {
		if n, err := strconv.ParseUint(x[1:], 10, 8); len(x) == 4 && err == nil {
			return string([]byte{byte(n)})
		}
		return x[1:]
	})
}

var escaped = regexp.MustCompile(`\\(?:[0-9]{3}|.)`)

var backReference = regexp.MustCompile(`\\([1-9])`)

// outside tells whether a SIP address is one of somebody else's.
func outside(to string) bool {
	scheme, rest, _ := strings.Cut(to, ":")
	if s := strings.ToLower(scheme); s != "sip" && s != "sips" {
		return false
	}
	rest, _, _ = strings.Cut(rest, ";")
	rest, _, _ = strings.Cut(rest, "?")
	_, host, ok := strings.Cut(rest, "@")
	if name, _, has := strings.Cut(host, ":"); has {
		host = name
	}
	top := host[strings.LastIndexByte(host, '.')+1:]
	return ok && strings.Contains(host, ".") && top != "" && strings.Trim(top, "0123456789") != "" && !strings.ContainsAny(to, " \t\r\n<>\"")
}

// direct calls a number's own SIP address, if it has one that answers; nil and
// no error: the lines are to carry the call.
func (e *Edge) direct(ctx context.Context, number string, r Rules, into core.Room) (core.Leg, error) {
	to := e.enum(ctx, number, r.Enum)
	if to == "" {
		return nil, nil
	}
	leg, err := e.opt.Direct.Dial(ctx, to, into)
	// The address may be a trunk's, which is called as such only.
	if barred := core.ReasonOf(err).Code == core.Forbidden; err != nil && (failover(err) || barred) && ctx.Err() == nil {
		e.opt.Log.Info("the address found by ENUM does not answer", "number", number, "address", to, "reason", err)
		return nil, nil
	}
	return leg, err
}
