package sip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/stir"
)

// provider signs, and vouches for itself.
type provider struct {
	*stir.Signer
	roots *x509.CertPool
	after time.Duration // that its certificate can be had
	gone  bool          // it can't be
}

const providerURL = "https://provider.example/c.pem"

func newProvider(t testing.TB) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}, Value: []byte("\x30\x08\xa0\x06\x16\x041234")}}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{roots: x509.NewCertPool()}
	if p.Signer, err = stir.NewSigner(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), providerURL); err != nil {
		t.Fatal(err)
	}
	p.roots.AddCert(p.Chain()[0])
	return p
}

func (p *provider) verifier() *stir.Verifier {
	return &stir.Verifier{Roots: func() *x509.CertPool { return p.roots }, Fetch: func(ctx context.Context, _ string) ([]*x509.Certificate, error) {
		select {
		case <-time.After(p.after):
		case <-ctx.Done():
			return nil, errors.New("not in time")
		}
		if p.gone {
			return nil, errors.New("nothing there")
		}
		return p.Chain(), nil
	}}
}

// header signs a call from the scripted peer.
func (p *provider) header(t *testing.T, attest, from string, age time.Duration) string {
	t.Helper()
	v, err := p.Sign(attest, stir.Call{From: from, To: "+15550100"}, time.Now().Add(-age))
	if err != nil {
		t.Fatal(err)
	}
	return "Identity: " + v + "\n"
}

func TestCallersNumberIsVerified(t *testing.T) {
	const pai = "P-Asserted-Identity: <sip:+15550199;verstat=TN-Validation-Passed-B@10.0.0.9;user=phone>\n"
	verified := core.Stir{Result: "verified", Attest: "A", By: "bridge"}
	not := func(why string) core.Stir { return core.Stir{Result: why, By: "bridge"} }
	carrier := func(result, attest string) core.Stir { return core.Stir{Result: result, Attest: attest, By: "carrier"} }
	signed := func(t *testing.T, p *provider) string { return p.header(t, "A", "+15550199", 0) }
	text := func(s string) func(*testing.T, *provider) string {
		return func(*testing.T, *provider) string { return s }
	}
	for name, c := range map[string]struct {
		extra   func(*testing.T, *provider) string
		change  func(*provider)
		want    core.Stir
		refused string // where the trunk requires it; "": not
	}{
		"signed":           {signed, nil, verified, ""},
		"compact name":     {func(t *testing.T, p *provider) string { return strings.Replace(signed(t, p), "Identity:", "y:", 1) }, nil, verified, ""},
		"anonymous":        {func(t *testing.T, p *provider) string { return signed(t, p) + "Privacy: id\n" }, nil, verified, ""},
		"gateway":          {func(t *testing.T, p *provider) string { return p.header(t, "C", "+15550199", 0) }, nil, core.Stir{Result: "verified", Attest: "C", By: "bridge"}, ""},
		"not signed":       {text(""), nil, not("no identity"), "428 Use Identity Header"},
		"old":              {func(t *testing.T, p *provider) string { return p.header(t, "A", "+15550199", 2*time.Minute) }, nil, not("stale"), "403 Stale Date"},
		"another's number": {func(t *testing.T, p *provider) string { return p.header(t, "A", "+15550198", 0) }, nil, not("number differs"), "438 Invalid Identity Header"},
		"asserted number differs": {func(t *testing.T, p *provider) string {
			return signed(t, p) + "P-Asserted-Identity: <sip:+15550111@x>\n"
		}, nil, not("number differs"),
			"438 Invalid Identity Header"},
		"rubbish":            {text("Identity: x\n"), nil, not("malformed"), "438 Invalid Identity Header"},
		"forger":             {signed, func(p *provider) { p.roots = x509.NewCertPool() }, not("certificate untrusted"), "437 Unsupported Credential"},
		"nothing published":  {signed, func(p *provider) { p.gone = true }, not("certificate not fetched"), "436 Bad Identity Info"},
		"carrier's word":     {text(pai), nil, carrier("verified", "B"), "428 Use Identity Header"},
		"carrier says no":    {text(strings.Replace(pai, "Passed-B", "Failed", 1)), nil, carrier("failed", ""), "428 Use Identity Header"},
		"carrier can't say":  {text(strings.Replace(pai, "TN-Validation-Passed-B", "No-TN-Validation", 1)), nil, carrier("not verified", ""), "428 Use Identity Header"},
		"behind the host":    {text("P-Asserted-Identity: <sip:+15550199@10.0.0.9;user=phone;verstat=TN-Validation-Passed>\n"), nil, carrier("verified", ""), "428 Use Identity Header"},
		"tel":                {text("P-Asserted-Identity: <tel:+15550199;verstat=TN-Validation-Passed>\n"), nil, carrier("verified", ""), "428 Use Identity Header"},
		"a display name":     {text("P-Asserted-Identity: \"x;verstat=TN-Validation-Passed\" <sip:+15550199@10.0.0.9>\n"), nil, not("no identity"), "428 Use Identity Header"},
		"of another number":  {text("Remote-Party-ID: <sip:+15550177@x>\nP-Asserted-Identity: <sip:;verstat=TN-Validation-Passed@x>\n"), nil, not("no identity"), "428 Use Identity Header"},
		"signature and word": {func(t *testing.T, p *provider) string { return p.header(t, "A", "+15550199", 2*time.Minute) + pai }, nil, not("stale"), "403 Stale Date"},
	} {
		for _, mode := range []string{"off", "show", "require"} {
			synctest.Test(t, func(t *testing.T) {
				w, r, by := newWorld(t), &testRoom{}, newProvider(t)
				if c.change != nil {
					c.change(by)
				}
				e := w.edge(bIP, Options{Stir: by.verifier()}, r, "udp")
				defer e.stop()
				trunk := staticTrunk("peer", "10.0.0.9")
				trunk.Stir = mode
				if err := e.SetTrunks([]TrunkConfig{trunk}); err != nil {
					t.Fatal(err)
				}
				p := w.peer(peerAddr, bIP+":5060")
				p.send(inviteText{branch: "i1", extra: c.extra(t, by), body: sdpBody("30000", "sendrecv")}.String())
				if mode == "require" && c.refused != "" {
					p.expect("SIP/2.0 " + c.refused)
					p.send(inviteText{method: "ACK", branch: "i1"}.String())
					synctest.Wait()
					no := e.kinds(edge.Refused)
					if len(no) != 1 || len(e.kinds(edge.Ended)) != 0 || no[0].Status == 0 || no[0].Trunk != "peer" || no[0].To != "+15550100" || no[0].Info.Stir == (core.Stir{}) || !strings.Contains(no[0].Reason.Detail, "caller's number") {
						t.Errorf("%s: refused as %+v", name, no)
					}
					if len(r.calls) != 0 || e.Calls() != 0 {
						t.Errorf("%s: %d calls are routed, %d left", name, len(r.calls), e.Calls())
					}
					return
				}
				ok := p.expect("SIP/2.0 200")
				p.send(inviteText{method: "ACK", branch: "a1", toTag: tagOf(value(ok, "To"))}.String())
				synctest.Wait()
				want := c.want
				if mode == "off" {
					want = core.Stir{}
				}
				if got := r.leg(0).Info().Stir; got != want {
					t.Errorf("%s, %s: %+v, want %+v", name, mode, got, want)
				}
				if mode == "require" && r.calls[0].Info.Stir != want {
					t.Errorf("%s: routed as %+v", name, r.calls[0].Info.Stir)
				}
				said := e.kinds(edge.Vouched)
				if len(said) != map[bool]int{true: 0, false: 1}[mode == "off"] || mode != "off" && (said[0].Info.Stir != want || !strings.Contains(said[0].Text, want.Result)) {
					t.Errorf("%s, %s: told %+v", name, mode, said)
				}
			})
		}
	}
}

// Without roots nothing is fetched nor said; what cannot be verified is refused
// where it must be.
func TestNothingIsSaidOfNumbersWithoutRoots(t *testing.T) {
	for mode, want := range map[string]string{"": "SIP/2.0 200", "require": "SIP/2.0 437"} {
		synctest.Test(t, func(t *testing.T) {
			w, r, by := newWorld(t), &testRoom{}, newProvider(t)
			e, p := trunkWith(w, r, func(c *TrunkConfig) { c.Stir = mode })
			defer e.stop()
			p.send(inviteText{branch: "i1", extra: by.header(t, "A", "+15550199", 0), body: sdpBody("30000", "sendrecv")}.String())
			p.expect(want)
			synctest.Wait()
			if n := len(e.kinds(edge.Vouched)); n != map[string]int{"": 0, "require": 1}[mode] {
				t.Errorf("%q: told %d times", mode, n)
			}
		})
	}
}

// A slow server of certificates holds up no call that need not be verified, and
// those that must for no longer than 1.5 s.
func TestVerificationHoldsUpNothing(t *testing.T) {
	for _, mode := range []string{"show", "require"} {
		synctest.Test(t, func(t *testing.T) {
			w, r, by := newWorld(t), &testRoom{}, newProvider(t)
			by.after = 4 * time.Second
			e := w.edge(bIP, Options{Stir: by.verifier()}, r, "udp")
			defer e.stop()
			trunk := staticTrunk("peer", "10.0.0.9")
			trunk.Stir = mode
			if err := e.SetTrunks([]TrunkConfig{trunk}); err != nil {
				t.Fatal(err)
			}
			p := w.peer(peerAddr, bIP+":5060")
			begun := time.Now()
			p.send(inviteText{branch: "i1", extra: by.header(t, "A", "+15550199", 0), body: sdpBody("30000", "sendrecv")}.String())
			if mode == "require" {
				time.Sleep(2 * requireTime)
				p.expect("SIP/2.0 100")
				p.expect("SIP/2.0 436")
				if no := e.kinds(edge.Refused); len(no) != 1 || no[0].Time.Sub(begun) != requireTime {
					t.Errorf("refused as %+v", no)
				}
				return
			}
			ok := p.expect("SIP/2.0 200")
			if d := time.Since(begun); d > 100*time.Millisecond {
				t.Errorf("answered after %v", d)
			}
			p.send(inviteText{method: "ACK", branch: "a1", toTag: tagOf(value(ok, "To"))}.String())
			told := func() (n int) {
				for _, ev := range r.seat(0).list() {
					if ev == (core.Changed{Video: true}) {
						n++
					}
				}
				return n
			}
			if synctest.Wait(); told() != 0 {
				t.Error("the room is told before")
			}
			time.Sleep(by.after)
			if synctest.Wait(); told() != 1 || r.leg(0).Info().Stir.Attest != "A" {
				t.Errorf("the room is told %d times of %+v", told(), r.leg(0).Info().Stir)
			}
			r.sit(r.leg(0)) // a room that may have looked before
			if synctest.Wait(); len(r.seat(1).list()) != 1 {
				t.Errorf("the next room is told %v", r.seat(1).list())
			}
		})
	}
}

// A caller who hangs up meanwhile is not waited for.
func TestCallIsCancelledWhileItIsVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, by := newWorld(t), &testRoom{}, newProvider(t)
		by.after = time.Minute
		e := w.edge(bIP, Options{Stir: by.verifier()}, r, "udp")
		defer e.stop()
		trunk := staticTrunk("peer", "10.0.0.9")
		trunk.Stir = "require"
		if err := e.SetTrunks([]TrunkConfig{trunk}); err != nil {
			t.Fatal(err)
		}
		p := w.peer(peerAddr, bIP+":5060")
		p.send(inviteText{branch: "i1", extra: by.header(t, "A", "+15550199", 0), body: sdpBody("30000", "sendrecv")}.String())
		time.Sleep(trying - time.Millisecond)
		if m := p.read(); m != "" {
			t.Errorf("after %v: %s", trying-time.Millisecond, m)
		}
		time.Sleep(time.Millisecond)
		p.expect("SIP/2.0 100")
		p.send(inviteText{method: "CANCEL", branch: "i1"}.String())
		p.expect("SIP/2.0 487")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(e.kinds(edge.Ended)) != 1 || len(e.kinds(edge.Refused)) != 0 || e.Calls() != 0 {
			t.Errorf("ended %d times, refused %d times", len(e.kinds(edge.Ended)), len(e.kinds(edge.Refused)))
		}
	})
}

func TestCallsOutAreSigned(t *testing.T) {
	for name, c := range map[string]struct {
		own    bool
		attest string
		want   string
	}{"our number": {true, "", "A"}, "another": {false, "", "B"}, "as set": {true, "C", "C"}} {
		synctest.Test(t, func(t *testing.T) {
			w, r, by := newWorld(t), &testRoom{}, newProvider(t)
			e := w.edge(bIP, Options{Owned: func(n string) bool { return c.own && n == "+15550199" }}, r, "udp")
			defer e.stop()
			trunk := staticTrunk("peer", "10.0.0.9")
			trunk.Signer, trunk.Attest = by.Signer, c.attest
			trunk.NumberOut = func(n string) string { return "00" + strings.TrimPrefix(n, "+") }
			if err := e.SetTrunks([]TrunkConfig{trunk}); err != nil {
				t.Fatal(err)
			}
			p := w.peer(peerAddr, bIP+":5060")
			done := dialScripted(e, r)
			inv := p.expect("INVITE sip:004912345@")
			got, err := by.verifier().Verify(context.Background(), []string{value(inv, "Identity")}, stir.Call{From: "+15550199", To: "+4912345"}, time.Now())
			if err != nil || got.Attest != c.want || got.X5U != providerURL {
				t.Errorf("%s: %+v %v", name, got, err)
			}
			if value(inv, "Date") != "Sat, 01 Jan 2000 00:00:00 GMT" {
				t.Errorf("Date %q", value(inv, "Date"))
			}
			p.answer(inv, 486, "", "")
			<-done
			line, _ := e.Line("peer")
			go line.Dial(context.Background(), "+4912345", "", r)
			if inv := p.expect("INVITE "); value(inv, "Identity") != "" {
				t.Error("a call without a number is signed")
			} else {
				p.answer(inv, 486, "", "")
			}
		})
	}
}
