package lines

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bridgehead/core/clock"
	"bridgehead/gateway/store"
	"bridgehead/sip"
	"bridgehead/sip/stir"
)

// CheckLine is one line of a trunk's check.
type CheckLine struct {
	What   string `json:"what"` // settings, sources, callers, signing, DNS, reachability, TLS, OPTIONS, REGISTER, NAT, clock, codecs, loop-back, DTMF
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Checker tries trunks.
type Checker struct {
	Edge *sip.Edge
	// Clock steps the call to a loop-back number; nil: none is made.
	Clock *clock.Clock
	// Foreign says that another process has the trunks, whose registrations are
	// not to be disturbed.
	Foreign bool
	// Blind says that the gateway verifies no callers' numbers.
	Blind bool
}

// maxSkew is how far two clocks may be apart: certificates and the dates of
// signed calls (RFC 8224) allow for a minute.
const maxSkew = time.Minute

// Check tries a trunk step by step, from name to codecs. It takes some seconds
// and changes nothing.
func (c Checker) Check(ctx context.Context, t store.Trunk) []CheckLine {
	r := &report{}
	config, err := Config(t, "") // no number is called, so no country matters
	if !r.note("settings", err, "are complete", "Correct the setting that is named.") {
		return r.lines
	}
	r.sources(t)
	if t.Stir == "require" && c.Blind {
		r.note("callers", errors.New("no caller's number can be verified, so that every call would be refused"), "", "Give the certification authorities in stir.roots, or set stir to show.")
	}
	if config.Signer != nil {
		r.signing(t, config.Signer, time.Now())
	}
	if t.Host == "" {
		r.note("host", nil, "none is set: calls come in only, so there is nobody to ask", "")
		return r.lines
	}
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	registers := t.Mode != "static"
	p, err := c.Edge.Probe(ctx, config, registers && !(c.Foreign && t.Enabled), t.Enabled)
	if err != nil {
		r.note("settings", err, "", "Correct the setting that is named.")
		return r.lines
	}
	if !r.reached(t, &p) {
		return r.lines
	}
	remedy := "No SIP server answers there: check port and transport, and whether the carrier knows this gateway's address."
	if p.TLS != nil {
		remedy += " It may want a client certificate: tls_certificate and tls_key."
	}
	r.note("OPTIONS", p.OptionsErr, fmt.Sprintf("answered %d after %d ms", p.Status, p.RTT.Milliseconds()), remedy)
	if registers {
		r.register(&p, c.Foreign && t.Enabled)
	}
	if p.Status != 0 {
		r.answered(t, &p)
	}
	if t.Loopback != "" && p.OptionsErr == nil && p.RegisterErr == nil {
		c.loopback(ctx, r, t, config)
	}
	return r.lines
}

// report collects lines.
type report struct{ lines []CheckLine }

// note adds a line and tells whether it is green.
func (r *report) note(what string, err error, ok, remedy string) bool {
	l := CheckLine{What: what, OK: err == nil, Detail: ok}
	if err != nil {
		l.Detail, l.Remedy = err.Error(), remedy
	}
	r.lines = append(r.lines, l)
	return err == nil
}

func (r *report) sources(t store.Trunk) {
	switch {
	case len(t.Source) > 0:
		r.note("sources", nil, "calls may come in from "+strings.Join(t.Source, ", "), "")
	case t.Mode != "static":
		r.note("sources", nil, "none is listed: calls come in from the registrar only", "")
	case t.Host != "":
		r.note("sources", nil, "none is listed: no calls can come in, only go out", "")
	default:
		r.note("sources", errors.New("no network is listed and no host set: the trunk carries nothing"), "", "List the carrier's networks in source, or set its host.")
	}
}

// signing tells whether those called can trust the signature of calls out. That
// its key fits is among the settings.
func (r *report) signing(t store.Trunk, s *stir.Signer, now time.Time) {
	chain := s.Chain()
	leaf := chain[0]
	err := stir.CheckChain(chain, nil, now)
	soon := leaf.NotAfter.Sub(now) < 14*24*time.Hour
	ok := fmt.Sprintf("calls out are signed by %s for provider %s, until %s; the key fits", name(leaf), strings.Join(stir.Providers(leaf), ", "), leaf.NotAfter.Format(time.DateOnly))
	switch {
	case err == nil && soon:
		err = fmt.Errorf("the certificate runs out on %s", leaf.NotAfter.Format(time.DateOnly))
	case err != nil:
		err = fmt.Errorf("the certificate signs nothing that others trust: %w", err)
	case len(chain) == 1:
		ok += fmt.Sprintf("; the chain is %s alone, so that its issuer must be a root itself", name(leaf))
	}
	for i, c := range chain[1:] {
		if bad := chain[i].CheckSignatureFrom(c); bad != nil && err == nil {
			err = fmt.Errorf("the chain is broken: %s is not issued by %s, which stands behind it", name(chain[i]), name(c))
		}
	}
	if t.Transport == "udp" {
		ok += "; signed calls are too long for one datagram of 1300 bytes, transport tcp or tls is safer"
	}
	r.note("signing", err, ok, "Get a certificate with a TNAuthList from your STI certification authority, give it with all that vouch for it in stir_certificate, and publish the same at stir_x5u.")
}

// reached tells of name, connection and TLS.
func (r *report) reached(t store.Trunk, p *sip.Probe) bool {
	if !r.note("DNS", p.FindErr, "leads to "+strings.Join(p.Servers, ", "), "Check the host name and this machine's DNS servers. A carrier that names neither a port nor SRV records may need one: host:port.") {
		return false
	}
	var bad *sip.TLSError
	if errors.As(p.ReachErr, &bad) {
		r.note("reachability", nil, p.Server+" takes connections", "")
		return r.note("TLS", bad, "", remedyTLS(bad))
	}
	how := p.Server + " takes connections"
	if t.Transport == "udp" {
		how = "UDP has no connections: the answer to OPTIONS tells"
	}
	if !r.note("reachability", p.ReachErr, how, "Check host, port and transport, and the firewalls between: outgoing "+t.Transport+" must be allowed.") {
		return false
	}
	if p.TLS != nil {
		r.tls(t, p.TLS)
	}
	return true
}

func (r *report) tls(t store.Trunk, s *tls.ConnectionState) {
	leaf := s.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	what := fmt.Sprintf("%s, certificate of %s by %s, until %s", tls.VersionName(s.Version), name(leaf), cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String()), leaf.NotAfter.Format(time.DateOnly))
	switch {
	case t.Insecure:
		r.note("TLS", errors.New("the far end's certificate is not checked: anybody between could listen. It is "+what), "", "Turn insecure_tls off, and give the carrier's CA in tls_ca where it is no public one.")
	case left < 14*24*time.Hour:
		r.note("TLS", fmt.Errorf("the certificate runs out in %d days: %s", int(left.Hours()/24), what), "", "Ask the carrier to renew it.")
	default:
		r.note("TLS", nil, what, "")
	}
}

func name(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return cmp.Or(c.Subject.CommonName, "no name")
}

// remedyTLS tells what to do about a failed handshake.
func remedyTLS(err error) string {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.As(err, &host):
		return "Its certificate is for another name: set host to that name, or tls_server_name if it is right all the same."
	case errors.As(err, &authority):
		return "Nobody known here vouches for its certificate: give the carrier's CA in tls_ca."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "Its certificate has run out, or this machine's clock is wrong: check the clock, then ask the carrier."
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error"):
		return "The far end refused the handshake: it may want a client certificate (tls_certificate and tls_key) or another version of TLS (tls_min)."
	}
	return "The port may not speak TLS: check port and transport."
}

func (r *report) register(p *sip.Probe, foreign bool) {
	switch {
	case foreign:
		r.note("REGISTER", nil, "left to the gateway that is running", "")
	case p.RegisterErr == nil:
		r.note("REGISTER", nil, "registered", "")
	case p.RegisterStatus == 401 || p.RegisterStatus == 407:
		r.note("REGISTER", fmt.Errorf("not registered: %w", p.RegisterErr), "", "Its challenge was not met: check username, auth_user, password, and realm, which must be the one that the carrier's challenge names.")
	case p.RegisterStatus == 403:
		r.note("REGISTER", fmt.Errorf("not registered: %w", p.RegisterErr), "", "The carrier does not let this account in: check username and password, and whether it allows this address.")
	case p.RegisterStatus == 404:
		r.note("REGISTER", fmt.Errorf("not registered: %w", p.RegisterErr), "", "The carrier does not know the account: check username and host.")
	default:
		r.note("REGISTER", fmt.Errorf("not registered: %w", p.RegisterErr), "", "Check with the carrier whether this trunk registers, and where.")
	}
}

// answered tells what the answer to OPTIONS shows.
func (r *report) answered(t store.Trunk, p *sip.Probe) {
	switch told, seen := p.Told, p.Seen; {
	case !seen.IsValid():
		r.note("NAT", nil, fmt.Sprintf("the far end does not say how it sees this gateway, which says it is at %v", told.Addr()), "")
	case seen.Addr() == told.Addr():
		r.note("NAT", nil, fmt.Sprintf("the far end sees this gateway at %v, as it is told", seen), "")
	default:
		r.note("NAT", fmt.Errorf("the far end sees this gateway at %v, but is told %v: sound would go there", seen, told.Addr()), "",
			fmt.Sprintf("Set advertise to %v, for this trunk or as rtp.advertise, and let the ports of rtp.ports through.", seen.Addr()))
	}
	switch {
	case !p.HasDate:
		r.note("clock", nil, "the far end does not tell the time", "")
	case p.Skew.Abs() > maxSkew:
		r.note("clock", fmt.Errorf("the far end's clock is %v ahead of this machine's", p.Skew), "", "Set this machine's clock by NTP; if it is right, tell the carrier.")
	default:
		r.note("clock", nil, fmt.Sprintf("is within %v of the far end's", max(p.Skew.Abs(), time.Second)), "")
	}
	r.codecs(t, p)
}

func (r *report) codecs(t store.Trunk, p *sip.Probe) {
	own := t.Codecs
	if len(own) == 0 {
		own = []string{"PCMA", "PCMU", "G722", "opus"}
	}
	if p.Codecs == nil {
		r.note("codecs", nil, "the far end does not name its codecs; these are offered: "+strings.Join(own, ", "), "")
		return
	}
	common := slices.DeleteFunc(slices.Clone(own), func(c string) bool {
		return !slices.ContainsFunc(p.Codecs, func(theirs string) bool { return strings.EqualFold(theirs, c) })
	})
	if len(common) == 0 {
		r.note("codecs", fmt.Errorf("the far end takes %s, and none of %s", strings.Join(p.Codecs, ", "), strings.Join(own, ", ")), "", "Allow one that both have in codecs.")
		return
	}
	r.note("codecs", nil, "in common: "+strings.Join(common, ", "), "")
}
