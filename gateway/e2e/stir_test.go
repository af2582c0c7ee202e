//go:build e2e

package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// provider is a telephone company that signs its callers' numbers, by code of
// its own, and publishes its certificate.
type provider struct {
	t          testing.TB
	dir        string
	key        *ecdsa.PrivateKey
	chain      string // PEM, leaf first
	private    string // PEM
	url        string
	roots, web string // files: who vouches for the signer, and for the web server
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{t: t, dir: t.(interface{ TempDir() string }).TempDir()}
	root, rootKey := certificateFor(t)
	block, _ := pem.Decode([]byte(rootKey))
	by, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode([]byte(root))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tnAuthList := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}, Value: []byte("\x30\x08\xa0\x06\x16\x04709J")}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "SHAKEN 709J"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{tnAuthList}}, ca, &p.key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatal(err)
	}
	p.chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + root
	p.private = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	shop := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(p.chain)) }))
	t.Cleanup(shop.Close)
	p.url = shop.URL + "/shaken.pem"
	p.roots = p.file("roots.pem", root)
	p.web = p.file("web.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shop.Certificate().Raw})))
	return p
}

func (p *provider) file(name, text string) string {
	at := filepath.Join(p.dir, name)
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return at
}

// identity is the header of a call to +15550100 that was signed with a key at a
// time.
func (p *provider) identity(key *ecdsa.PrivateKey, from string, at time.Time) string {
	p.t.Helper()
	half := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	signed := half(`{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"`+p.url+`"}`) + "." +
		half(fmt.Sprintf(`{"attest":"A","dest":{"tn":["15550100"]},"iat":%d,"orig":{"tn":"%s"},"origid":"123e4567-e89b-12d3-a456-426655440000"}`, at.Unix(), from))
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		p.t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return "Identity: " + signed + "." + base64.RawURLEncoding.EncodeToString(signature) + ";info=<" + p.url + ">;alg=ES256;ppt=shaken"
}

// opensslAccepts has OpenSSL verify the signature of a token.
func (p *provider) opensslAccepts(token string) {
	p.t.Helper()
	at := strings.LastIndex(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil || len(raw) != 64 {
		p.t.Fatalf("the signature has %d octets: %v", len(raw), err)
	}
	der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		p.t.Fatal(err)
	}
	public, err := command(p.t, "openssl", "x509", "-in", p.file("chain.pem", p.chain), "-noout", "-pubkey").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := command(p.t, "openssl", "dgst", "-sha256", "-verify", p.file("public.pem", string(public)), "-signature", p.file("signature.der", string(der)), p.file("signed", token[:at])).CombinedOutput()
	if err != nil {
		p.t.Errorf("OpenSSL does not take the signature: %v %s", err, out)
	}
}

// answerTo sends an INVITE with a header more and gives the first line of its
// final response.
func answerTo(g *gateway, id, header string) string {
	g.t.Helper()
	c, err := net.Dial("udp4", g.at["sip_udp"])
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	at := c.LocalAddr().String()
	fmt.Fprintf(c, "INVITE sip:+15550100@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:+15550199@%s>;tag=%s\r\nTo: <sip:+15550100@%s>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:%s>\r\n%s\r\n\r\n", g.at["sip_udp"], at, id, at, id, g.at["sip_udp"], id, at, header)
	b := make([]byte, 8192)
	for {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			g.t.Fatalf("%s: %v", id, err)
		}
		if line, _, _ := strings.Cut(string(b[:n]), "\r\n"); !strings.HasPrefix(line, "SIP/2.0 1") {
			return line
		}
	}
}

// A carrier that signs, one that forges, one that does not sign; and a call of
// ours that others verify.
func TestCallersNumbersAreVerifiedAndSigned(t *testing.T) {
	p := newProvider(t)
	forger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", p.web) // as if a public authority vouched for the web server
	g := serve(t, "--stir.roots", p.roots, "--stir.allow", "127.0.0.0/8", "--pstn.countries", "US")
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	g.meeting(map[string]any{"number": "7001"})
	g.api("POST", "/trunks", map[string]any{"name": "carrier", "mode": "static", "transport": "udp", "host": far.LocalAddr().String(), "options_interval": -1, "caller_id": "+15550100",
		"source": []string{"127.0.0.1/32"}, "media_encryption": "none", "enabled": true, "override_check": true}, nil)
	g.api("POST", "/numbers", map[string]any{"number": "+15550100", "trunk": "carrier", "target": "meeting:7001"}, nil)

	newSIPpWith(t, g.at["sip_udp"], "+15550100", "", 1000, p.identity(p.key, "15550199", time.Now()))
	seen := func(result string) (found participant) {
		eventually(t, 20*time.Second, "a caller is shown as "+result, func() bool {
			for _, x := range g.participants("7001") {
				if x.Stir.Result == result {
					found = x
				}
			}
			return found.ID != ""
		})
		return found
	}
	if x := seen("verified"); x.Stir.Attest != "A" || x.Stir.By != "bridge" || x.Address != "+15550199" {
		t.Errorf("the signed caller is shown as %+v", x)
	}
	newSIPpWith(t, g.at["sip_udp"], "+15550100", "", 700, p.identity(forger, "15550199", time.Now()))
	forged := seen("signature wrong")
	newSIPp(t, g.at["sip_udp"], "+15550100", "", 440)
	seen("no identity")
	var ladder struct {
		Findings []struct{ Code, Text string }
		Steps    []struct{ What, Text string }
	}
	g.api("GET", "/calls/"+forged.ID+"/ladder", nil, &ladder)
	if s := fmt.Sprint(ladder); !strings.Contains(s, "caller-unproved") || !strings.Contains(s, "{identity by the bridge: signature wrong") {
		t.Errorf("the ladder of the forged call: %+v", ladder.Findings)
	}
	g.api("POST", "/meetings/7001/remove-all", nil, nil)
	var table []byte
	eventually(t, 10*time.Second, "three calls are in the table", func() bool {
		_, table = g.raw("GET", "/calls.csv", nil)
		return strings.Count(string(table), "\n") == 4
	})
	for _, end := range []string{",stir,attest,stir_by\n", ",verified,A,bridge\n", ",signature wrong,,bridge\n", ",no identity,,bridge\n"} {
		if !strings.Contains(string(table), end) {
			t.Errorf("no line of the table ends with %q:\n%s", end, table)
		}
	}

	g.api("PATCH", "/trunks/carrier", map[string]any{"stir": "require"}, nil)
	for id, c := range map[string]struct{ header, want string }{
		"unsigned": {"Subject: x", "SIP/2.0 428 Use Identity Header"},
		"forged":   {p.identity(forger, "15550199", time.Now()), "SIP/2.0 438 Invalid Identity Header"},
		"other":    {p.identity(p.key, "15550111", time.Now()), "SIP/2.0 438 Invalid Identity Header"},
		"old":      {p.identity(p.key, "15550199", time.Now().Add(-2*time.Minute)), "SIP/2.0 403 Stale Date"},
		"nowhere":  {strings.ReplaceAll((&provider{t: t, url: "https://127.0.0.1:9/x"}).identity(p.key, "15550199", time.Now()), "\n", ""), "SIP/2.0 436 Bad Identity Info"},
	} {
		if line := answerTo(g, id, c.header); line != c.want {
			t.Errorf("%s: %s, want %s", id, line, c.want)
		}
	}
	eventually(t, 10*time.Second, "a refused call is recorded", func() bool {
		for _, r := range g.records() {
			if r.Detail.Status == 438 && r.Code == "forbidden" && r.Trunk == "carrier" && r.To == "+15550100" && r.From == "+15550199" && r.Detail.Stir.Result == "signature wrong" {
				return true
			}
		}
		return false
	})
	newSIPpWith(t, g.at["sip_udp"], "+15550100", "", 1000, p.identity(p.key, "15550199", time.Now()))
	if x := seen("verified"); x.State != "joined" {
		t.Errorf("the signed caller is shown as %+v", x)
	}

	p.signsOurs(g, far)
}

// signsOurs has the trunk sign a call out, and looks at the signature.
func (p *provider) signsOurs(g *gateway, far *net.UDPConn) {
	t := p.t
	t.Helper()
	g.secrets = append(g.secrets, strings.Split(p.private, "\n")[1])
	_, body := g.raw("PATCH", "/trunks/carrier", map[string]any{"stir_certificate": p.chain, "stir_key": p.private, "stir_x5u": p.url})
	if s := string(body); !strings.Contains(s, `"has_stir_key":true`) || strings.Contains(s, "PRIVATE") {
		t.Errorf("the trunk is shown as %s", s)
	}
	dialled := make(chan int)
	go func() {
		status, _ := g.raw("POST", "/meetings/7001/dial", map[string]any{"to": "tel:+12025550100"})
		dialled <- status
	}()
	b := make([]byte, 8192)
	far.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, from, err := far.ReadFromUDP(b)
	if err != nil {
		t.Fatal(err)
	}
	invite := string(b[:n])
	t.Logf("a signed INVITE has %d octets", n)
	first, head, _ := strings.Cut(invite, "\r\n")
	if !strings.HasPrefix(first, "INVITE sip:+12025550100@") {
		t.Errorf("called is %s", first)
	}
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(head))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	token, params, _ := strings.Cut(h.Get("Identity"), ";")
	if params != "info=<"+p.url+">;alg=ES256;ppt=shaken" {
		t.Fatalf("parameters %q in\n%s", params, invite)
	}
	parts := strings.Split(token, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if string(header) != `{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"`+p.url+`"}` {
		t.Errorf("header %s", header)
	}
	if !regexp.MustCompile(`^{"attest":"A","dest":{"tn":\["12025550100"\]},"iat":\d{10},"orig":{"tn":"15550100"},"origid":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"}$`).Match(claims) {
		t.Errorf("claims %s", claims)
	}
	if at, err := http.ParseTime(h.Get("Date")); err != nil || time.Since(at).Abs() > 10*time.Second || !strings.Contains(string(claims), fmt.Sprint(at.Unix())) {
		t.Errorf("Date %q, claims %s", h.Get("Date"), claims)
	}
	p.opensslAccepts(token)
	fmt.Fprintf(&answering{far, from}, "SIP/2.0 486 Busy Here\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=far\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n", h.Get("Via"), h.Get("From"), h.Get("To"), h.Get("Call-Id"), h.Get("Cseq"))
	<-dialled
}

// answering writes to one address.
type answering struct {
	*net.UDPConn
	to *net.UDPAddr
}

func (a *answering) Write(b []byte) (int, error) { return a.WriteToUDP(b, a.to) }
