// Package stir signs the numbers that calls are made from, and verifies those
// that others have signed: STIR/SHAKEN. A PASSporT (RFC 8225) is a JSON Web
// Signature over who calls whom and when. It travels in the SIP header Identity
// (RFC 8224) with how sure its signer is (RFC 8588); the signer's certificate (RFC
// 8226) is published at a URL.
//
// Only [Fetcher] uses the network. ES256 is the only algorithm, as RFC 8225
// demands. Revocation lists are not looked at.
package stir

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// Verdict is what has become of a verification, in one or two words.
type Verdict string

// The verdicts.
const (
	Verified       Verdict = "verified"
	NoIdentity     Verdict = "no identity"
	Malformed      Verdict = "malformed"
	Stale          Verdict = "stale"
	NumberDiffers  Verdict = "number differs"
	Unfetched      Verdict = "certificate not fetched"
	Untrusted      Verdict = "certificate untrusted"
	WrongSignature Verdict = "signature wrong"
)

// Status is the SIP response to a call that is refused for it (RFC 8224
// 6.2.2).
func (v Verdict) Status() int {
	switch v {
	case NoIdentity:
		return 428
	case Stale:
		return 403
	case Unfetched:
		return 436
	case Untrusted:
		return 437
	}
	return 438
}

// Fault is why a number is not verified.
type Fault struct {
	Verdict Verdict
	Detail  string // for the operator; may be empty
}

func (f *Fault) Error() string {
	return strings.TrimSuffix(string(f.Verdict)+": "+f.Detail, ": ")
}

func fault(v Verdict, format string, a ...any) error {
	return &Fault{v, fmt.Sprintf(format, a...)}
}

// Call is what a SIP request says of itself.
type Call struct {
	From, To string    // numbers, of which only the digits count
	Date     time.Time // of the header Date, which the compact form needs; zero: none
}

// Digits is a number as it is signed: nothing but its digits (RFC 8224 8.3). A
// national number must have been made international before.
func Digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}

// freshness is how far the time of signing may be from now (RFC 8224 6.2).
const freshness = time.Minute

// Check compares what is claimed with the call that it came with. The error is
// a [Fault].
func (p *Passport) Check(call Call, now time.Time) error {
	if age := now.Sub(p.Issued); age.Abs() > freshness {
		return fault(Stale, "signed at %s, %v ago", p.Issued.UTC().Format(time.RFC3339), age.Round(time.Second))
	}
	from, to := Digits(call.From), Digits(call.To)
	if p.Orig == "" || p.Orig != from {
		return fault(NumberDiffers, "signed for a call from %q, not %q", p.Orig, from)
	}
	for _, dest := range p.Dest {
		if dest == to && to != "" {
			return nil
		}
	}
	return fault(NumberDiffers, "signed for a call to %q, not %q", p.Dest, to)
}

// Verifier verifies calls.
type Verifier struct {
	// Roots vouch for the signers' certificates; while it gives nil, nothing is
	// verified.
	Roots func() *x509.CertPool
	// Fetch gets the certificate that is published at a URL, leaf first: that of a
	// [Fetcher].
	Fetch func(ctx context.Context, url string) ([]*x509.Certificate, error)
}

// On tells whether there is anything to verify by.
func (v *Verifier) On() bool { return v != nil && v.Roots() != nil }

// maxIdentities bounds the headers of one request that are looked at.
const maxIdentities = 8

// Verify looks for a header that proves the caller's number (RFC 8224 6.2).
// identities are the values of Identity; those with extensions other than shaken
// are no proof of it and passed over. It waits for a certificate until ctx
// ends. The error is a [Fault].
func (v *Verifier) Verify(ctx context.Context, identities []string, call Call, now time.Time) (*Passport, error) {
	first := fault(NoIdentity, "")
	for i, value := range identities {
		if i == maxIdentities {
			break
		}
		p, err := Parse(value, call)
		if err == nil && p == nil {
			continue
		}
		if err == nil {
			err = v.verify(ctx, p, call, now)
		}
		if err == nil {
			return p, nil
		}
		if f, ok := first.(*Fault); ok && f.Verdict == NoIdentity {
			first = err
		}
	}
	return nil, first
}

func (v *Verifier) verify(ctx context.Context, p *Passport, call Call, now time.Time) error {
	if !v.On() {
		return fault(Untrusted, "no root certificates are configured")
	}
	if err := p.Check(call, now); err != nil {
		return err
	}
	chain, err := v.Fetch(ctx, p.X5U)
	if err != nil {
		return fault(Unfetched, "%v", err)
	}
	return p.Verify(chain, v.Roots(), now)
}
