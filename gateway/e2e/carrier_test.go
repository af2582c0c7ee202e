//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kamailio is a telephone company with one customer.
type kamailio struct {
	t        testing.TB
	cmd      *exec.Cmd
	log      *buffer
	tls, udp int
	ca       string // PEM
}

// newKamailio serves until the test ends or it is killed. Calls to others than
// its customer go to the telephone at phone, a UDP port.
func newKamailio(t testing.TB, phone int) *kamailio {
	t.Helper()
	dir := t.TempDir()
	k := &kamailio{t: t, log: &buffer{}, tls: freeTCP(t), udp: freePort(t)}
	var key string
	k.ca, key = certificateFor(t)
	config, err := os.ReadFile("../../testdata/kamailio/carrier.cfg")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	text := strings.NewReplacer("TLS_PORT", itoa(k.tls), "UDP_PORT", itoa(k.udp), "PHONE_PORT", itoa(phone), "KEY_FILE", file("key.pem", key), "CERT_FILE", file("cert.pem", k.ca),
		"GATEWAY_REALM", "127.0.0.1", "IN_PASSWORD", "in-s3cret", "\"PASSWORD\"", "\"out-s3cret\"").Replace(string(config))
	k.cmd = command(t, "kamailio", "-f", file("carrier.cfg", text), "-DD", "-E", "-Y", dir, "-m", "32", "-M", "8")
	k.cmd.Stdout, k.cmd.Stderr = k.log, k.log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children
	if err := k.cmd.Start(); err != nil {
		t.Fatalf("kamailio (make setup-test installs it): %v", err)
	}
	t.Cleanup(func() {
		k.kill()
		_ = k.cmd.Wait()
		if t.Failed() {
			t.Logf("kamailio:\n%s", tail(k.log.String(), 3000))
		}
	})
	eventually(t, 15*time.Second, "kamailio listens", func() bool {
		c, err := net.Dial("tcp", k.at())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return k
}

// at is where it listens: not where this machine's telephones call from.
func (k *kamailio) at() string { return fmt.Sprint("127.0.0.2:", k.tls) }

// kill ends it with its children, as a power cut does.
func (k *kamailio) kill() { _ = syscall.Kill(-k.cmd.Process.Pid, syscall.SIGKILL) }

// freeTCP finds a TCP port that is free.
func freeTCP(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificateFor 127.0.0.2, its own root, as PEM.
func certificateFor(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "carrier"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// registers makes a trunk that registers with a carrier over TLS, with digest
// in both directions, and waits until it has.
func (g *gateway) registers(name string, k *kamailio, priority int) {
	g.t.Helper()
	g.api("POST", "/trunks", map[string]any{"name": name, "mode": "register", "transport": "tls", "host": k.at(), "tls_ca": k.ca, "tls_min": "1.2",
		"username": "acct", "password": "out-s3cret", "realm": "carrier.example", "digest": "MD5", "in_username": "carrier", "in_password": "in-s3cret",
		"media_encryption": "required", "srtp_suites": []string{"AES_CM_128_HMAC_SHA1_80"}, "priority": priority, "calls_per_second": 50, "enabled": true}, nil)
	eventually(g.t, 10*time.Second, "trunk "+name+" is registered", func() bool {
		var s struct{ State string }
		g.api("GET", "/trunks/"+name, nil, &s)
		return s.State == "registered"
	})
}

// The carrier's customer registers over TLS; a call to its number is led to the
// reception and from there into the meeting, encrypted all the way.
func TestKamailioLeadsCallsToTheMeeting(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t)
	k := newKamailio(t, freePort(t))
	g.registers("carrier", k, 0)
	g.api("POST", "/numbers", map[string]any{"number": "+15550100", "trunk": "carrier", "target": "reception"}, nil)
	g.meeting(map[string]any{"number": "7001", "guest_passcode": "1234"})
	run(t, nil, program, "call", "sips:7001**1234@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--tone", "440", "--duration", "90s")
	g.waitFor("7001", "sip", "joined")
	done := make(chan callReport)
	go func() {
		done <- call(t, "sips:+15550100@"+k.at(), "--dtmf", ",,7001#,1234#", "--tone", "1000", "--duration", "25s")
	}()
	p := g.waitFor("7001", "pstn", "joined")
	if p.Direction != "in" || p.Security.Signalling != "tls" || p.Security.Media != "sdes-srtp" {
		t.Errorf("the phone is shown as %+v", p)
	}
	if r := <-done; !r.hears(440) || r.hears(1000) {
		t.Errorf("through the carrier: %v", r)
	}
	// The check of a trunk that is in use leaves it registered.
	var lines []struct {
		What, Detail string
		OK           bool
	}
	g.api("POST", "/trunks/carrier/check", nil, &lines)
	for _, l := range lines {
		if !l.OK {
			t.Errorf("the check says %+v", l)
		}
	}
	if len(lines) < 8 {
		t.Errorf("the check says only %+v", lines)
	}
	if status, body := g.raw("POST", "/trunks", map[string]any{"name": "wrong", "mode": "register", "transport": "tls", "host": k.at(), "tls_ca": k.ca, "username": "acct", "password": "no", "enabled": true}); status != 409 || !strings.Contains(string(body), "password") {
		t.Errorf("a trunk with a wrong password is enabled: %d %s", status, body)
	}
}

// Three carriers; the first dies while a called telephone rings, the second in
// the middle of many calls. Nobody who dials notices.
func TestNextCarrierTakesOverWhenOneDies(t *testing.T) {
	g := serve(t, "--pstn.countries", "US")
	phone := newPhone(t, "ring_secure.xml", 3*time.Second)
	first, second, third := newKamailio(t, phone), newKamailio(t, phone), newKamailio(t, phone)
	g.registers("first", first, 1)
	g.registers("second", second, 2)
	g.registers("third", third, 3)
	g.meeting(map[string]any{"number": "7002"})
	dial := func(number string) {
		g.api("POST", "/meetings/7002/dial", map[string]any{"to": "tel:" + number}, nil)
	}
	joined := func() (n int) {
		for _, p := range g.participants("7002") {
			if p.Protocol == "pstn" && p.State == "joined" {
				n++
			}
		}
		return n
	}
	dial("+12025550100") // rings
	first.kill()
	killed := time.Now()
	eventually(t, 12*time.Second, "the call that rang is answered by way of the second carrier", func() bool { return joined() == 1 })
	took := time.Since(killed) - 3*time.Second // it rings anew
	t.Logf("taken over %v after the first died", took)
	if took > 4*time.Second {
		t.Errorf("the second carrier's telephone was answered only %v after the first died", took)
	}
	for i := range 8 {
		if i == 4 {
			second.kill()
		}
		begun := time.Now()
		dial(fmt.Sprintf("+1202555012%d", i))
		if d := time.Since(begun); d > 4*time.Second {
			t.Errorf("call %d rang after %v", i, d)
		}
	}
	eventually(t, 12*time.Second, "all calls are answered", func() bool { return joined() == 9 })
	over := map[string]int{}
	for _, r := range g.records() {
		over[r.Trunk+" "+r.Code]++
	}
	t.Log(over)
	// The first is asked once more when it dies, since it may have had another
	// server, and then by nobody.
	if over["third "] < 4 || over["second unreachable"] < 1 || over["first unreachable"] != 2 {
		t.Errorf("calls by carrier and end: %v", over)
	}
}

// newPhone is a SIPp telephone that takes calls by a scenario; it gives its port.
func newPhone(t testing.TB, scenario string, rings time.Duration, more ...string) int {
	t.Helper()
	text, err := os.ReadFile("../../testdata/sipp/" + scenario)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.(interface{ TempDir() string }).TempDir(), scenario)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "RING_MS", itoa(int(rings.Milliseconds())))), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	run(t, nil, "sipp", append([]string{"-sf", file, "-i", "127.0.0.1", "-p", itoa(at), "-mi", "127.0.0.1", "-mp", itoa(freePort(t)), "-nostdin", "-timeout", "180s", "-default_behaviors", "-abortunexp"}, more...)...)
	return at
}

// The check of a trunk calls the carrier's loop-back number, before the trunk is
// enabled: sound and keys must come back.
func TestCheckCallsTheLoopbackNumber(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, c := range []struct {
		name string
		echo []string
		want map[string]string // by line, what its detail or remedy says; "" of one that is not there
	}{
		{"echo", []string{"-rtp_echo"}, map[string]string{"loop-back": "in PCMU: a tone of -18 dBov came back", "DTMF": "keys 159 came back, by rfc4733"}},
		{"no echo", nil, map[string]string{"loop-back": "the tone did not come back", "DTMF": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := serve(t)
			k := newKamailio(t, newPhone(t, "answer.xml", 0, c.echo...))
			trunk := map[string]any{"name": "carrier", "mode": "register", "transport": "udp", "host": fmt.Sprint("127.0.0.2:", k.udp), "media_encryption": "none",
				"username": "acct", "password": "out-s3cret", "realm": "carrier.example", "loopback": "+12025550100", "enabled": false}
			g.api("POST", "/trunks", trunk, nil)
			var lines []struct {
				What, Detail, Remedy string
				OK                   bool
			}
			g.api("POST", "/trunks/carrier/check", nil, &lines)
			found := map[string]string{}
			for _, l := range lines {
				t.Logf("%v %s: %s %s", l.OK, l.What, l.Detail, l.Remedy)
				found[l.What] = l.Detail
				if good := c.echo != nil; l.OK != good && (l.What == "loop-back" || l.What == "DTMF") {
					t.Errorf("%s is %v", l.What, l.OK)
				}
			}
			for what, want := range c.want {
				if !strings.Contains(found[what], want) || want == "" && found[what] != "" {
					t.Errorf("%s says %q, want %q", what, found[what], want)
				}
			}
		})
	}
}

// The shell checks a trunk beside the running gateway, whose registration stays,
// and after it.
func TestTrunkIsCheckedFromTheShellBesideTheGateway(t *testing.T) {
	g := serve(t)
	k := newKamailio(t, freePort(t))
	g.registers("carrier", k, 0)
	for _, args := range [][]string{{"trunk", "check", "carrier"}, {"check"}} {
		if out, err := bridgehead(t, append(args, "--data", g.dir)...); err != nil || !strings.Contains(out, "carrier") && !strings.Contains(out, "REGISTER") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	k.kill()
	out, err := bridgehead(t, "trunk", "check", "carrier", "--data", g.dir)
	if err == nil || !strings.Contains(out, "FAULT") || !strings.Contains(out, "firewalls") {
		t.Errorf("a dead carrier: %v\n%s", err, out)
	}
	if out, err := bridgehead(t, "check", "--data", g.dir); err == nil || !strings.Contains(out, "trunk carrier: reachability") {
		t.Errorf("a dead carrier: %v\n%s", err, out)
	}
}
