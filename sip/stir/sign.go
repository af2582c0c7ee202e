package stir

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Signer signs the numbers that calls are made from. It is safe for use from
// any goroutine, and never tells its key.
type Signer struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
	x5u   string
}

// NewSigner takes a certificate chain, leaf first, its key on P-256, both in PEM,
// and the https URL where others find the chain.
func NewSigner(chain, key []byte, x5u string) (*Signer, error) {
	u, err := url.Parse(x5u)
	if err != nil || u.Scheme != "https" || u.Host == "" || len(x5u) > maxURL {
		return nil, errors.New("the certificate must be published at an https URL")
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err // says whether the key fits, and nothing of it
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("the key must be on the curve P-256")
	}
	s := &Signer{key: private, x5u: x5u}
	s.chain, err = ParseChain(chain)
	return s, err
}

// Chain is the certificate with those that vouch for it, leaf first.
func (s *Signer) Chain() []*x509.Certificate { return s.chain }

// Sign gives the value of an Identity header for a call (RFC 8224 6.1, RFC
// 8588). attest is A, B or C.
func (s *Signer) Sign(attest string, call Call, at time.Time) (string, error) {
	signed := encode(header{Alg: "ES256", PPT: shaken, Typ: "passport", X5U: s.x5u}) + "." +
		encode(payload{Attest: attest, Dest: dest{[]string{Digits(call.To)}}, IAT: at.Unix(), Orig: orig{Digits(call.From)}, OrigID: newUUID()})
	token, err := s.token(signed)
	return token + ";info=<" + s.x5u + ">;alg=ES256;ppt=" + shaken, err
}

// token puts the signature behind header and payload (RFC 7518 3.4).
func (s *Signer) token(signed string) (string, error) {
	hash := sha256.Sum256([]byte(signed))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, hash[:])
	if err != nil {
		return "", err
	}
	signature := append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// newUUID is a random one (RFC 9562 5.4), new for each call: it tells those who
// are called nothing, and is found in the record of the call that was sent.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
