package stir

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)

const x5u = "https://cert.example.org/shaken.pem"

// authority is a test's STI-CA, with the certificate of one provider.
type authority struct {
	roots *x509.CertPool
	chain []*x509.Certificate
	key   *ecdsa.PrivateKey
}

// spc is a TNAuthList with a service provider code (RFC 8226 9).
func spc(code string) pkix.Extension {
	name, _ := asn1.MarshalWithParams(code, "ia5")
	list, _ := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: name}})
	return pkix.Extension{Id: tnAuthList, Value: list}
}

func newAuthority(t testing.TB, change func(leaf *x509.Certificate)) authority {
	t.Helper()
	made := func(tpl, by *x509.Certificate, with *ecdsa.PrivateKey, key *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, tpl, by, &key.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ca := func(n int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	rootKey, midKey, key := newKey(), newKey(), newKey()
	root := ca(1, "root")
	root = made(root, root, rootKey, rootKey)
	mid := made(ca(2, "between"), root, rootKey, midKey)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "SHAKEN 1234"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{spc("1234")}}
	if change != nil {
		change(leaf)
	}
	a := authority{roots: x509.NewCertPool(), chain: []*x509.Certificate{made(leaf, mid, midKey, key), mid}, key: key}
	a.roots.AddCert(root)
	return a
}

func (a authority) pem(t testing.TB) (chain, key []byte) {
	t.Helper()
	for _, c := range a.chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a authority) signer(t testing.TB) *Signer {
	t.Helper()
	chain, key := a.pem(t)
	s, err := NewSigner(chain, key, x5u)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifier trusts the authority, and finds its certificates without a network.
func (a authority) verifier() *Verifier {
	return &Verifier{Roots: func() *x509.CertPool { return a.roots }, Fetch: func(_ context.Context, url string) ([]*x509.Certificate, error) {
		if url != x5u {
			return nil, errors.New("nothing is there")
		}
		return a.chain, nil
	}}
}

var call = Call{From: "+1 (215) 555-1212", To: "+12125551213"}

func verdictOf(t testing.TB, err error) Verdict {
	t.Helper()
	if err == nil {
		return Verified
	}
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("%v is no Fault", err)
	}
	return f.Verdict
}

// The example of RFC 8225, appendix A, without its signature: that belongs to
// neither of the keys printed beside it.
func TestExampleOfRFC8225(t *testing.T) {
	const head = "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
	const token = head + ".eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19" +
		".VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkba7UWYRM47ZbNFdOJquE35cw"
	p, err := Parse(token+";info=<https://cert.example.org/passport.cer>;alg=ES256", Call{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Orig != "12155551212" || p.Issued.Unix() != 1471375418 || p.X5U != "https://cert.example.org/passport.cer" || p.Attest != "" {
		t.Errorf("read as %+v", p)
	}
	if got := encode(header{Alg: "ES256", Typ: "passport", X5U: p.X5U}); got != head {
		t.Errorf("header written as %s", got)
	}
}

// The example of RFC 7515, appendix A.3.
func TestSignatureOfRFC7515(t *testing.T) {
	octets := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, octets("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), octets("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")))
	if err != nil {
		t.Fatal(err)
	}
	p := Passport{signed: "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
		signature: octets("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")}
	if !p.signedBy(key) {
		t.Error("the signature is not taken")
	}
	p.signed = strings.Replace(p.signed, "E", "F", 1)
	if p.signedBy(key) {
		t.Error("the signature is taken of other claims")
	}
}

// The header and claims of RFC 8588 (9): keys in the alphabet's order, no spaces.
func TestTokenIsWrittenAsRFC8588Does(t *testing.T) {
	a := newAuthority(t, nil)
	value, err := a.signer(t).Sign("A", call, time.Unix(1443208345, 0))
	if err != nil {
		t.Fatal(err)
	}
	token, params, _ := strings.Cut(value, ";")
	if params != "info=<"+x5u+">;alg=ES256;ppt=shaken" {
		t.Errorf("parameters %s", params)
	}
	parts := strings.Split(token, ".")
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if want := `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"` + x5u + `"}`; string(head) != want {
		t.Errorf("header %s", head)
	}
	before, id, _ := strings.Cut(string(body), `"origid":"`)
	if want := `{"attest":"A","dest":{"tn":["12125551213"]},"iat":1443208345,"orig":{"tn":"12155551212"},`; before != want {
		t.Errorf("claims %s", body)
	}
	if len(id) != 38 || id[8] != '-' || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
		t.Errorf("origid %s", id)
	}
}

func TestSignedCallIsVerified(t *testing.T) {
	a := newAuthority(t, nil)
	v, s := a.verifier(), a.signer(t)
	sign := func(attest string, c Call, at time.Time) string {
		value, err := s.Sign(attest, c, at)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	good := sign("A", call, now)
	token, _, _ := strings.Cut(good, ";")
	parts := strings.Split(token, ".")
	other, _, _ := strings.Cut(sign("B", call, now), ";")
	// written is good with other text in one of its halves, signed anew.
	written := func(head, body string) string {
		h, p, err := open(parts[0], parts[1])
		if err != nil {
			t.Fatal(err)
		}
		if head == "" {
			head = encode(h)
		} else {
			head = base64.RawURLEncoding.EncodeToString([]byte(head))
		}
		if body == "" {
			body = encode(p)
		} else {
			body = base64.RawURLEncoding.EncodeToString([]byte(body))
		}
		return a.sign(t, head+"."+body) + ";info=<" + x5u + ">;alg=ES256"
	}
	const claims = `{"attest":"A","dest":{"tn":["12125551213"]},"iat":1772701200,"orig":{"tn":"12155551212"},"origid":"x"}`
	for name, c := range map[string]struct {
		values []string
		call   Call
		after  time.Duration
		want   Verdict
	}{
		"as it is":                    {[]string{good}, call, 0, Verified},
		"without separators":          {[]string{good}, Call{From: "12155551212", To: "12125551213"}, 0, Verified},
		"after 60 s":                  {[]string{good}, call, time.Minute, Verified},
		"after 61 s":                  {[]string{good}, call, 61 * time.Second, Stale},
		"before it was signed":        {[]string{good}, call, -61 * time.Second, Stale},
		"another caller":              {[]string{good}, Call{From: "+12155551213", To: call.To}, 0, NumberDiffers},
		"no caller":                   {[]string{good}, Call{To: call.To}, 0, NumberDiffers},
		"another number called":       {[]string{good}, Call{From: call.From, To: "+12125551214"}, 0, NumberDiffers},
		"national form":               {[]string{good}, Call{From: "2155551212", To: call.To}, 0, NumberDiffers},
		"none":                        {nil, call, 0, NoIdentity},
		"another extension":           {[]string{strings.Replace(written(`{"alg":"ES256","ppt":"div","typ":"passport","x5u":"`+x5u+`"}`, ""), ";alg", ";ppt=div;alg", 1)}, call, 0, NoIdentity},
		"the second is it":            {[]string{"rubbish", good}, call, 0, Verified},
		"rubbish":                     {[]string{"rubbish"}, call, 0, Malformed},
		"another's signature":         {[]string{parts[0] + "." + parts[1] + other[strings.LastIndex(other, "."):] + ";info=<" + x5u + ">"}, call, 0, WrongSignature},
		"short signature":             {[]string{parts[0] + "." + parts[1] + ".AAAA;info=<" + x5u + ">"}, call, 0, Malformed},
		"info of another":             {[]string{token + ";info=<https://elsewhere.example/x>"}, call, 0, Malformed},
		"no info":                     {[]string{token}, call, 0, Malformed},
		"ppt of another":              {[]string{token + ";info=<" + x5u + ">;ppt=div"}, call, 0, Malformed},
		"quoted":                      {[]string{token + `;info=<` + x5u + `> ; alg="ES256" ; ppt="shaken"`}, call, 0, Verified},
		"nothing there":               {[]string{strings.ReplaceAll(written(`{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a/b"}`, claims), x5u, "https://a/b")}, call, 0, Unfetched},
		"spaces in JSON":              {[]string{written(`{ "typ":"passport", "alg":"ES256", "ppt":"shaken", "x5u":"`+x5u+`" }`, claims)}, call, 0, Verified},
		"no algorithm":                {[]string{written(`{"alg":"none","ppt":"shaken","typ":"passport","x5u":"`+x5u+`"}`, "")}, call, 0, Malformed},
		"another algorithm":           {[]string{written(`{"alg":"HS256","ppt":"shaken","typ":"passport","x5u":"`+x5u+`"}`, "")}, call, 0, Malformed},
		"something critical":          {[]string{written(`{"alg":"ES256","crit":["x"],"ppt":"shaken","typ":"passport","x5u":"`+x5u+`"}`, "")}, call, 0, Malformed},
		"a JWT of another type":       {[]string{written(`{"alg":"ES256","ppt":"shaken","typ":"JWT","x5u":"`+x5u+`"}`, "")}, call, 0, Malformed},
		"attestation D":               {[]string{written("", strings.Replace(claims, `"A"`, `"D"`, 1))}, call, 0, Malformed},
		"no origid":                   {[]string{written("", strings.Replace(claims, `"origid":"x"`, `"x":1`, 1))}, call, 0, Malformed},
		"iat as text":                 {[]string{written("", strings.Replace(claims, `1772701200`, `"1772701200"`, 1))}, call, 0, Malformed},
		"one of several called":       {[]string{written("", strings.Replace(claims, `["`, `["49301234","`, 1))}, call, 0, Verified},
		"a URI that calls":            {[]string{written("", strings.Replace(claims, `{"tn":"12155551212"}`, `{"uri":"sip:a@b"}`, 1))}, call, 0, NumberDiffers},
		"plain, without an extension": {[]string{written(`{"alg":"ES256","typ":"passport","x5u":"`+x5u+`"}`, strings.Replace(claims, `"attest":"A",`, "", 1))}, call, 0, Verified},
	} {
		if _, err := v.Verify(context.Background(), c.values, c.call, now.Add(c.after)); verdictOf(t, err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	p, err := v.Verify(context.Background(), []string{good}, call, now)
	if err != nil || p.Attest != "A" || p.X5U != x5u || p.OrigID == "" {
		t.Errorf("%+v %v", p, err)
	}
}

// sign makes a token of any halves.
func (a authority) sign(t testing.TB, halves string) string {
	t.Helper()
	s := Signer{key: a.key}
	token, err := s.token(halves)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestCompactForm(t *testing.T) {
	a := newAuthority(t, nil)
	token := a.sign(t, encode(header{Alg: "ES256", Typ: "passport", X5U: x5u})+"."+encode(payload{Dest: dest{[]string{"12125551213"}}, IAT: now.Unix(), Orig: orig{"12155551212"}}))
	value := ".." + token[strings.LastIndex(token, ".")+1:] + ";info=<" + x5u + ">;alg=ES256"
	dated := call
	dated.Date = now
	for name, c := range map[string]struct {
		value string
		call  Call
		want  Verdict
	}{
		"as it is":            {value, dated, Verified},
		"no Date":             {value, call, Malformed},
		"another Date":        {value, Call{dated.From, dated.To, now.Add(time.Second)}, WrongSignature},
		"another caller":      {value, Call{"+12155551213", dated.To, now}, WrongSignature},
		"with an attestation": {value + ";ppt=shaken", dated, Malformed},
		"another extension":   {value + ";ppt=div", dated, NoIdentity},
	} {
		if _, err := a.verifier().Verify(context.Background(), []string{c.value}, c.call, now); verdictOf(t, err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestCertificateMustBeForCallersNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		says   string // "": good
	}{
		"as it is":      {nil, ""},
		"critical":      {func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = true }, ""},
		"no TNAuthList": {func(c *x509.Certificate) { c.ExtraExtensions = nil }, "TNAuthList"},
		"numbers only": {func(c *x509.Certificate) { // one [2] TelephoneNumber
			c.ExtraExtensions[0].Value = []byte{0x30, 7, 0xa2, 5, 0x16, 3, '1', '2', '3'}
		}, "TNAuthList"},
		"broken TNAuthList": {func(c *x509.Certificate) { c.ExtraExtensions[0].Value = []byte{0x30, 9, 0xa0} }, "TNAuthList"},
		"ran out":           {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, "ran out"},
		"not yet":           {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, "not valid before"},
		"other use":         {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, "not for signatures"},
	} {
		a := newAuthority(t, c.change)
		err := CheckChain(a.chain, a.roots, now)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, b := newAuthority(t, nil), newAuthority(t, nil)
	if CheckChain(a.chain, b.roots, now) == nil {
		t.Error("a chain to another root is trusted")
	}
	if CheckChain(a.chain[:1], a.roots, now) == nil {
		t.Error("a chain with a gap is trusted")
	}
	if CheckChain(nil, a.roots, now) == nil {
		t.Error("no certificate is trusted")
	}
	if codes := Providers(a.chain[0]); len(codes) != 1 || codes[0] != "1234" {
		t.Errorf("providers %q", codes)
	}
}

func TestSignerWantsWhatBelongsTogether(t *testing.T) {
	a, b := newAuthority(t, nil), newAuthority(t, nil)
	chain, key := a.pem(t)
	_, other := b.pem(t)
	for name, c := range map[string]struct {
		chain, key []byte
		url        string
	}{
		"another key": {chain, other, x5u}, "no key": {chain, nil, x5u}, "no certificate": {nil, key, x5u}, "no URL": {chain, key, ""}, "clear": {chain, key, "http://cert.example.org/x"},
	} {
		if _, err := NewSigner(c.chain, c.key, c.url); err == nil {
			t.Errorf("%s: a signer is made", name)
		}
	}
}

func TestNothingIsVerifiedWithoutRoots(t *testing.T) {
	a := newAuthority(t, nil)
	value, _ := a.signer(t).Sign("A", call, now)
	v := &Verifier{Roots: func() *x509.CertPool { return nil }, Fetch: func(context.Context, string) ([]*x509.Certificate, error) {
		t.Error("something is fetched")
		return nil, nil
	}}
	if _, err := v.Verify(context.Background(), []string{value}, call, now); v.On() || verdictOf(t, err) != Untrusted {
		t.Errorf("%v", err)
	}
	if (*Verifier)(nil).On() {
		t.Error("no verifier is on")
	}
}

func FuzzIdentity(f *testing.F) {
	a := newAuthority(f, nil)
	good, _ := a.signer(f).Sign("A", call, now)
	token, params, _ := strings.Cut(good, ";")
	f.Add(good)
	f.Add(".." + token[strings.LastIndex(token, ".")+1:] + ";" + params)
	f.Add("a.b.c;info=<x;y>;alg=\"ES256;\";ppt=shaken;;x")
	dated := call
	dated.Date = now
	v := a.verifier()
	f.Fuzz(func(t *testing.T, value string) {
		p, err := Parse(value, dated)
		if err != nil {
			verdictOf(t, err)
		}
		if err != nil || p == nil {
			return
		}
		if p, err := v.Verify(context.Background(), []string{value}, dated, now); err == nil && (p.Orig != Digits(call.From) || p.signed != token[:strings.LastIndex(token, ".")]) {
			t.Errorf("%q is verified as %+v", value, p)
		}
	})
}
