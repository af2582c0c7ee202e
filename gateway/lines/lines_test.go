package lines

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

// certificate for 127.0.0.1, its own root, as PEM.
func certificate(t *testing.T, until time.Time) (cert, key string, pair tls.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "carrier"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	pair, err = tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pair
}

type account struct{}

func (account) Device(user string) (sip.Device, bool) {
	return sip.Device{HA1: func(a, realm string) string { return sip.HA1(a, "acct", realm, "s3cret") }}, user == "acct"
}
func (account) Extension(string) (string, bool) { return "", false }

// carrier is a SIP server on loopback that TLS clients must show a certificate to.
func carrier(t *testing.T, c *tls.Config) string {
	t.Helper()
	e, err := sip.New(sip.Options{SIPS: "127.0.0.1:0", TLS: func() *tls.Config { return c }, Domain: "carrier.example", Devices: account{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e.Addresses()["sips"].String()
}

// verdict gives the line of a check that is about what.
func verdict(list []CheckLine, what string) CheckLine {
	for _, l := range list {
		if l.What == what {
			return l
		}
	}
	return CheckLine{What: "no line"}
}

func TestCheckTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	ca, _, pair := certificate(t, time.Now().Add(300*24*time.Hour))
	expiredCA, _, expired := certificate(t, time.Now().Add(-time.Hour))
	soonCA, _, soon := certificate(t, time.Now().Add(5*24*time.Hour))
	mine, key, _ := certificate(t, time.Now().Add(time.Hour))
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(mine))
	at := carrier(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	atExpired := carrier(t, &tls.Config{Certificates: []tls.Certificate{expired}})
	atSoon := carrier(t, &tls.Config{Certificates: []tls.Certificate{soon}})
	atOld := carrier(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	edge, err := sip.New(sip.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	for _, c := range []struct {
		name   string
		change func(*store.Trunk)
		what   string
		ok     bool
		says   string
	}{
		{"all is well", func(*store.Trunk) {}, "TLS", true, "certificate of carrier"},
		{"all is well", func(*store.Trunk) {}, "OPTIONS", true, "answered 200"},
		{"all is well", func(*store.Trunk) {}, "REGISTER", true, "registered"},
		{"all is well", func(*store.Trunk) {}, "NAT", true, "127.0.0.1"},
		{"wrong password", func(t *store.Trunk) { t.Password = "wrong" }, "REGISTER", false, "password"},
		{"another realm", func(t *store.Trunk) { t.Realm = "elsewhere" }, "REGISTER", false, "realm"},
		{"nobody vouches", func(t *store.Trunk) { t.TLSCA = mine }, "TLS", false, "tls_ca"},
		{"another name", func(t *store.Trunk) { t.TLSServerName = "other.example" }, "TLS", false, "tls_server_name"},
		{"no client certificate", func(t *store.Trunk) { t.TLSCertificate, t.TLSKey = "", "" }, "OPTIONS", false, "tls_certificate"},
		{"expired", func(t *store.Trunk) { t.Host, t.TLSCA = atExpired, expiredCA }, "TLS", false, "run out"},
		{"expires soon", func(t *store.Trunk) { t.Host, t.TLSCA = atSoon, soonCA }, "TLS", false, "renew"},
		{"too old", func(t *store.Trunk) { t.Host, t.TLSMin = atOld, "1.3" }, "TLS", false, "version of TLS"},
		{"not checked", func(t *store.Trunk) { t.Insecure = true }, "TLS", false, "insecure_tls"},
		{"nobody there", func(t *store.Trunk) { t.Host = "127.0.0.1:1" }, "reachability", false, "firewalls"},
		{"no such name", func(t *store.Trunk) { t.Host = "nowhere.invalid" }, "DNS", false, "host name"},
		{"bad setting", func(t *store.Trunk) { t.Ptime = 7 }, "settings", false, "packet time"},
	} {
		tr := store.Trunk{Name: "carrier", Password: "s3cret", TrunkSecrets: store.TrunkSecrets{TLSKey: key}, TrunkSettings: store.TrunkSettings{Mode: "register", Transport: "tls", Host: at, Username: "acct",
			MediaEncryption: "required", TrunkOptions: store.TrunkOptions{TLSCA: ca, TLSCertificate: mine}}}
		c.change(&tr)
		list := Checker{Edge: edge}.Check(context.Background(), tr)
		if l := verdict(list, c.what); l.OK != c.ok || !strings.Contains(l.Detail+" "+l.Remedy, c.says) {
			t.Errorf("%s: want %s %v to say %q: %+v", c.name, c.what, c.ok, c.says, list)
		}
	}
}

// A far end that sees another address, whose clock is wrong, and that has no
// codec of ours.
func TestCheckReadsTheAnswerToOPTIONS(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			var head string
			for _, line := range strings.Split(string(b[:n]), "\r\n")[1:] {
				switch name, _, _ := strings.Cut(line, ":"); strings.ToLower(name) {
				case "via":
					head += strings.Replace(line, ";rport", ";rport=4711;received=198.51.100.7", 1) + "\r\n"
				case "from", "to", "call-id", "cseq":
					head += line + "\r\n"
				}
			}
			body := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n"
			fmt.Fprintf(&udpTo{c, from}, "SIP/2.0 200 OK\r\n%sDate: %s\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", head,
				time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), len(body), body)
		}
	}()
	edge, err := sip.New(sip.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	list := Checker{Edge: edge}.Check(context.Background(), store.Trunk{Name: "c", TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "udp", Host: c.LocalAddr().String(), MediaEncryption: "none"}})
	for what, says := range map[string]string{"NAT": "198.51.100.7", "clock": "NTP", "codecs": "G729"} {
		if l := verdict(list, what); l.OK || !strings.Contains(l.Detail+l.Remedy, says) {
			t.Errorf("%s: %+v", what, list)
		}
	}
}

type udpTo struct {
	c  *net.UDPConn
	to interface{ String() string }
}

func (u *udpTo) Write(b []byte) (int, error) {
	at, err := net.ResolveUDPAddr("udp", u.to.String())
	if err != nil {
		return 0, err
	}
	return u.c.WriteTo(b, at)
}

func TestTemplatesAreSound(t *testing.T) {
	list := Templates()
	if len(list) < 5 {
		t.Fatalf("%d templates", len(list))
	}
	for _, x := range list {
		tr := store.Trunk{Name: "new", TrunkSettings: store.TrunkSettings{Weight: 1, CallsPerSecond: 5}}
		if err := Apply(x.ID, &tr); err != nil {
			t.Fatal(err)
		}
		for _, ask := range x.Asks {
			switch ask {
			case "host":
				tr.Host = "carrier.example"
			case "username":
				tr.Username = "u"
			case "password":
				tr.Password = "p"
			case "source":
				tr.Source = []string{"192.0.2.0/24"}
			default:
				t.Errorf("%s asks for %s", x.ID, ask)
			}
		}
		if _, err := Config(tr, "DE"); err != nil || x.Hints == "" || tr.Weight != 1 || tr.CallsPerSecond != 5 || tr.Host == "" {
			t.Errorf("%s: %v, %+v", x.ID, err, tr)
		}
	}
	if Apply("none", &store.Trunk{}) == nil {
		t.Error("a template that there is not")
	}
}

// Settings reach the edge, and equal ones have the same version, so that a
// reload changes nothing.
func TestSettingsReachTheEdge(t *testing.T) {
	tr := store.Trunk{Name: "t", TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "tls", Host: "[2001:db8::1]:5071", Strip: 1, Prefix: "9", TrunkOptions: store.TrunkOptions{
		NumberFormat: "digits", StripIn: 1, PrefixIn: "+", Ptime: 30, Prack: "auto", Check: -1, TLSMin: "1.3", TLSALPN: []string{"sip"}, MaxDuration: 60, Rates: map[string]float64{"+49": 1}}}}
	c, err := Config(tr, "DE")
	if err != nil {
		t.Fatal(err)
	}
	if c.Host != "2001:db8::1" || c.Port != 5071 || c.Ptime != 30*time.Millisecond || c.CheckEvery != -time.Second || c.MaxDuration != time.Minute || c.Reliable != "" {
		t.Errorf("%+v", c)
	}
	if got := c.NumberOut("+4930123456"); got != "9930123456" {
		t.Error(got)
	}
	if got := c.NumberIn("04930123456"); got != "+4930123456" {
		t.Error(got)
	}
	if c.TLS.MinVersion != tls.VersionTLS13 || len(c.TLS.NextProtos) != 1 {
		t.Errorf("%+v", c.TLS)
	}
	chain, key := provider(t, time.Now().AddDate(1, 0, 0), true)
	if again, _ := Config(tr, "DE"); again.Version != c.Version {
		t.Error("another version of the same settings")
	}
	for what, change := range map[string]func(*store.Trunk){
		"a check of the certificate": func(t *store.Trunk) { t.Insecure = !t.Insecure }, "an ALPN": func(t *store.Trunk) { t.TLSALPN = nil },
		"a server name": func(t *store.Trunk) { t.TLSServerName = "other.example" }, "a digit to strip": func(t *store.Trunk) { t.StripIn++ },
		"a signer": func(t *store.Trunk) { signs(t, chain, key) },
	} {
		other := tr
		change(&other)
		if d, err := Config(other, "DE"); err != nil || d.Version == c.Version {
			t.Errorf("%s more or less is not told apart: %v", what, err)
		}
	}
	if dialplan.Route(tr).Rates["+49"] != 1 {
		t.Error("no rates")
	}
}

// provider makes a certificate that signs callers' numbers, with its root behind
// it, and its key, as PEM; named says whether it has a TNAuthList.
func provider(t *testing.T, until time.Time, named bool) (chain, key string) {
	t.Helper()
	root, rootKey, pair := certificate(t, time.Now().AddDate(1, 0, 0))
	ca, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "SHAKEN 1234"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until}
	if named {
		tpl.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}, Value: []byte("\x30\x08\xa0\x06\x16\x041234")}}
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, ca, ca.PublicKey, pair.PrivateKey) // one key for both
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + root, rootKey
}

func signs(t *store.Trunk, chain, key string) {
	t.StirCertificate, t.StirKey, t.StirX5U = chain, key, "https://cert.example.org/c.pem"
}

func TestSigningIsChecked(t *testing.T) {
	good, key := provider(t, time.Now().AddDate(1, 0, 0), true)
	first := func(chain string) string {
		leaf, _, _ := strings.Cut(chain, "-----END CERTIFICATE-----\n")
		return leaf + "-----END CERTIFICATE-----\n"
	}
	old, oldKey := provider(t, time.Now().Add(-time.Hour), true)
	leaf, oldLeaf := first(good), first(old)
	soon, soonKey := provider(t, time.Now().Add(48*time.Hour), true)
	nameless, namelessKey := provider(t, time.Now().AddDate(1, 0, 0), false)
	for name, c := range map[string]struct {
		chain, key, line string
		ok               bool
		says             string
	}{
		"good":              {good, key, "signing", true, "SHAKEN 1234 for provider 1234"},
		"no chain":          {leaf, key, "signing", true, "must be a root"},
		"broken chain":      {leaf + strings.TrimPrefix(old, oldLeaf), key, "signing", false, "is not issued by carrier"},
		"ran out":           {old, oldKey, "signing", false, "ran out"},
		"runs out":          {soon, soonKey, "signing", false, "runs out"},
		"no TNAuthList":     {nameless, namelessKey, "signing", false, "TNAuthList"},
		"another's key":     {good, oldKey, "settings", false, "stir_key"},
		"no key":            {good, "", "settings", false, "stir_key"},
		"key without chain": {"", key, "settings", false, "stir_certificate"},
	} {
		tr := store.Trunk{Name: "t", TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "udp", Source: []string{"192.0.2.0/24"}, MediaEncryption: "none"}}
		signs(&tr, c.chain, c.key)
		list := Checker{}.Check(t.Context(), tr)
		if l := verdict(list, c.line); l.OK != c.ok || !strings.Contains(l.Detail, c.says) || strings.Contains(fmt.Sprint(list), "PRIVATE") {
			t.Errorf("%s: %+v", name, list)
		}
	}
}

func TestVerificationNeedsRoots(t *testing.T) {
	tr := store.Trunk{Name: "t", TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "udp", Source: []string{"192.0.2.0/24"}, MediaEncryption: "none"}}
	for mode, red := range map[string]bool{"": false, "show": false, "require": true} {
		tr.Stir = mode
		list := Checker{Blind: true}.Check(t.Context(), tr)
		if l := verdict(list, "callers"); red != strings.Contains(l.Remedy, "stir.roots") {
			t.Errorf("%q: %+v", mode, list)
		}
	}
	tr.Stir = "perhaps"
	if _, err := Config(tr, ""); err == nil {
		t.Error("a bad setting passed")
	}
}
