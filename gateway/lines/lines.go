// Package lines turns trunks as the operator sets them into lines of the SIP
// edge and routes of the telephone network's, tries them step by step, and has
// templates of them.
package lines

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
	"bridgehead/sip"
	"bridgehead/sip/stir"
)

// Config is a trunk for the SIP edge. country is the one whose numbers are
// understood where the trunk has none of its own. The error says what is wrong
// with the trunk's settings.
func Config(t store.Trunk, country string) (sip.TrunkConfig, error) {
	c := sip.TrunkConfig{Name: t.Name, Enabled: t.Enabled, Mode: sip.Mode(t.Mode), Transport: t.Transport,
		Proxy: t.OutboundProxy, User: t.Username, AuthUser: t.AuthUser, Password: t.Password, Realm: t.Realm, Digest: t.Digest, Expires: seconds(t.Expires),
		InUser: t.InUsername, InPassword: t.InPassword, Media: t.MediaEncryption, Codecs: t.Codecs, Suites: t.Suites,
		Ptime: time.Duration(t.Ptime) * time.Millisecond, DTMF: t.DTMF, NoEarlyMedia: t.NoEarlyMedia, Reliable: reliable(t.Prack),
		SessionExpires: seconds(t.SessionExpires), MinSE: seconds(t.MinSE), MediaTimeout: seconds(t.MediaTimeout), HoldTimeout: seconds(t.HoldTimeout),
		MaxDuration: seconds(t.MaxDuration), DSCP: t.DSCP, CallerID: t.CallerSources, Private: t.Private, Headers: t.Headers, Stir: t.Stir, Attest: t.StirAttest,
		CheckEvery: seconds(t.Check), MaxCalls: t.MaxChannels, CallsPerSecond: float64(t.CallsPerSecond)}
	c.Host, c.Port = hostPort(t.Host)
	if t.Host == "" {
		c.CheckEvery = -1 // calls come in only: there is nobody to ask
	}
	for _, s := range t.Source {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return c, fmt.Errorf("source %s is not a network", s)
		}
		c.Sources = append(c.Sources, p)
	}
	var err error
	if c.TLS, err = profile(t); err != nil {
		return c, err
	}
	if c.Signer, err = signer(t); err != nil {
		return c, err
	}
	if err := advertise(&c, t.Advertise); err != nil {
		return c, err
	}
	f := format(t, country)
	c.NumberIn, c.NumberOut, c.Version = f.In, f.Out, version(f, t)
	if err := check(t); err != nil {
		return c, err
	}
	return c, c.Check()
}

// signer of the trunk's calls out; nil: it has none.
func signer(t store.Trunk) (*stir.Signer, error) {
	if t.StirCertificate+t.StirKey+t.StirX5U == "" {
		return nil, nil
	}
	s, err := stir.NewSigner([]byte(t.StirCertificate), []byte(t.StirKey), t.StirX5U)
	if err != nil {
		return nil, fmt.Errorf("stir_certificate, stir_key and stir_x5u: %w", err)
	}
	return s, nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func reliable(prack string) string {
	if prack == "auto" {
		return ""
	}
	return prack
}

// hostPort takes a port off a host that has one; 0: none.
func hostPort(at string) (string, int) {
	host, p, err := net.SplitHostPort(at)
	if err != nil {
		return strings.Trim(at, "[]"), 0
	}
	port, _ := strconv.Atoi(p)
	return host, port
}

// check looks at what the SIP edge does not see.
func check(t store.Trunk) error {
	one := func(v string, of ...string) bool { return v == "" || slices.Contains(of, v) }
	switch {
	case min(t.Strip, t.StripIn, t.Ptime, t.MinSE, t.MediaTimeout, t.HoldTimeout, t.MaxDuration, t.DailyMinutes, t.MaxChannels, t.CallsPerSecond, t.Priority, t.Weight) < 0:
		return errors.New("a number is below 0 that can't be")
	case !one(t.TLSMin, "1.2", "1.3"):
		return errors.New("tls_min must be 1.2 or 1.3")
	case !one(t.NumberFormat, "e164", "digits", "international", "national"):
		return errors.New("number_format must be e164, digits, international or national")
	case t.Expires != 0 && (t.Expires < 60 || t.Expires > 7200):
		return errors.New("expires must be 60 to 7200 seconds")
	case t.InUsername != "" && t.InPassword == "":
		return errors.New("in_password is missing: calls in are to prove it")
	case t.Rates != nil || t.Prefixes != nil:
		return pstn.New(pstn.Options{}).SetRules(pstn.Rules{Routes: []pstn.Route{dialplan.Route(t)}})
	}
	return nil
}

func advertise(c *sip.TrunkConfig, at string) (err error) {
	if at == "" {
		return nil
	}
	if c.Advertise, err = netip.ParseAddr(at); err != nil {
		return fmt.Errorf("advertise: %q is no IP address", at)
	}
	return nil
}

func format(t store.Trunk, country string) pstn.Format {
	style := pstn.Style(t.NumberFormat)
	return pstn.Format{Country: cmp.Or(t.Country, country), Style: style, StripIn: t.StripIn, PrependIn: t.PrefixIn, StripOut: t.Strip, PrependOut: t.Prefix}
}

// version tells settings apart that the edge can't compare: those of numbers, of
// TLS and of the signer, whose keys are in it by their hash.
func version(f pstn.Format, t store.Trunk) string {
	settings, _ := json.Marshal([]any{f, t.Insecure, t.TLSMin, t.TLSServerName, t.TLSALPN, t.TLSCA, t.TLSCertificate, t.TLSKey, t.StirCertificate, t.StirKey, t.StirX5U})
	return fmt.Sprintf("%x", sha256.Sum256(settings))
}

// profile makes a trunk's TLS settings; nil: it has none of its own.
func profile(t store.Trunk) (*tls.Config, error) {
	if t.TLSCA+t.TLSCertificate+t.TLSKey+t.TLSMin+t.TLSServerName == "" && t.TLSALPN == nil && !t.Insecure {
		return nil, nil
	}
	p := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure, ServerName: t.TLSServerName, NextProtos: t.TLSALPN}
	if t.TLSMin == "1.3" {
		p.MinVersion = tls.VersionTLS13
	}
	if t.TLSCA != "" {
		p.RootCAs = x509.NewCertPool()
		if !p.RootCAs.AppendCertsFromPEM([]byte(t.TLSCA)) {
			return nil, errors.New("tls_ca has no certificate: give the PEM text, from BEGIN to END CERTIFICATE")
		}
	}
	if t.TLSCertificate != "" || t.TLSKey != "" {
		pair, err := tls.X509KeyPair([]byte(t.TLSCertificate), []byte(t.TLSKey))
		if err != nil {
			return nil, fmt.Errorf("tls_certificate and tls_key: %w", err)
		}
		p.Certificates = []tls.Certificate{pair}
	}
	return p, nil
}
