package stir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Verify tells whether the token was signed by the leaf of chain, and one of
// roots vouches for that. The error is a [Fault].
func (p *Passport) Verify(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if err := CheckChain(chain, roots, now); err != nil {
		return fault(Untrusted, "%v", err)
	}
	if !p.signedBy(chain[0].PublicKey.(*ecdsa.PublicKey)) {
		return fault(WrongSignature, "it is not that of the certificate at %s", p.X5U)
	}
	return nil
}

func (p *Passport) signedBy(key *ecdsa.PublicKey) bool {
	hash := sha256.Sum256([]byte(p.signed))
	return ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(p.signature[:32]), new(big.Int).SetBytes(p.signature[32:]))
}

// CheckChain tells whether a certificate, the first of chain, may sign callers'
// numbers at a time: it is valid, its key is on P-256, it names a service
// provider (RFC 8226 9), and the chain leads to one of roots. With roots nil
// everything but that is looked at.
func CheckChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("there is no certificate")
	}
	leaf := chain[0]
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || key.Curve != elliptic.P256():
		return errors.New("its key is not on the curve P-256")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its key is not for signatures")
	case len(Providers(leaf)) == 0:
		return errors.New("it names no service provider (TNAuthList)")
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it ran out on %s", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is not valid before %s", leaf.NotBefore.Format(time.DateOnly))
	case roots == nil:
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(understood(c))
	}
	_, err := understood(leaf).Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// understood is a certificate whose TNAuthList may be critical: it has been read.
func understood(c *x509.Certificate) *x509.Certificate {
	own := *c
	own.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), tnAuthList.Equal)
	return &own
}

// tnAuthList is the extension that says whose numbers a certificate is for.
var tnAuthList = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}

// Providers are the codes of the service providers (SPC) in a certificate's
// TNAuthList (RFC 8226 9); nil when it has none, or can't be read.
func Providers(c *x509.Certificate) (codes []string) {
	for _, x := range c.Extensions {
		if !x.Id.Equal(tnAuthList) {
			continue
		}
		var list []asn1.RawValue
		if rest, err := asn1.Unmarshal(x.Value, &list); err != nil || len(rest) > 0 {
			return nil
		}
		for _, entry := range list {
			var code string
			if entry.Class == asn1.ClassContextSpecific && entry.Tag == 0 { // spc; 1 and 2 are numbers
				if rest, err := asn1.UnmarshalWithParams(entry.Bytes, &code, "ia5"); err == nil && len(rest) == 0 && code != "" {
					codes = append(codes, code)
				}
			}
		}
	}
	return codes
}

// maxChain bounds the certificates of one signer.
const maxChain = 8

// ParseChain reads certificates, leaf first: in PEM, or a single one in DER.
func ParseChain(text []byte) (chain []*x509.Certificate, err error) {
	for len(chain) < maxChain {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if chain == nil {
		c, err := x509.ParseCertificate(text)
		if err != nil {
			return nil, errors.New("there is no certificate in it")
		}
		chain = []*x509.Certificate{c}
	}
	return chain, nil
}
