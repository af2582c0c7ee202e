package sip

import (
	"context"
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"bridgehead/core"
)

// dialled has an edge call a scripted peer over its trunk; result comes when
// Dial returns.
type dialResult struct {
	leg core.Leg
	err error
}

func dialScripted(e *testEdge, r core.Room) chan dialResult {
	done := make(chan dialResult, 1)
	line, _ := e.Line("peer")
	go func() {
		l, err := line.Dial(context.Background(), "+4912345", "+15550199", r)
		done <- dialResult{l, err}
	}()
	synctest.Wait()
	return done
}

func TestDialAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		done := dialScripted(e, r)
		inv := p.expect("INVITE sip:+4912345@10.0.0.9:5060;user=phone")
		if !strings.Contains(value(inv, "P-Asserted-Identity"), "+15550199") || value(inv, "Session-Expires") != "1800" {
			t.Error(inv)
		}
		if len(inv) > 1300 {
			t.Errorf("INVITE of %d bytes does not fit a datagram", len(inv))
		}
		p.answer(inv, 100, "", "")
		p.answer(inv, 180, "", "")
		if d := <-done; d.err != nil || d.leg == nil {
			t.Fatal(d.err)
		}
		p.answer(inv, 200, "Record-Route: <sip:10.0.0.9:5060;lr>\r\nAllow: INVITE, BYE, UPDATE\r\n", sdpBody("30000", "sendrecv"))
		ack := p.expect("ACK sip:peer@10.0.0.9:5060")
		if value(ack, "Route") == "" {
			t.Error("the route set is not used")
		}
		// a lost ACK is sent again
		p.answer(inv, 200, "Record-Route: <sip:10.0.0.9:5060;lr>\r\n", sdpBody("30000", "sendrecv"))
		p.expect("ACK ")
		// another fork's answer is ended
		other := strings.Replace(inv, "X-None", "", 1)
		p.answer(strings.Replace(other, "To: <sip:+4912345@10.0.0.9>", "To: <sip:+4912345@10.0.0.9>;tag=fork2", 1), 200, "", sdpBody("30002", "sendrecv"))
		p.expect("ACK ")
		p.expect("BYE ")
		synctest.Wait()
		if r.leg(0) == nil || e.session(0).flow().Remote.Port() != 30000 {
			t.Error("not connected")
		}
		if r.rang == 0 {
			t.Error("no ringing told")
		}
		if n := len(e.kinds(Answered)); n != 1 {
			t.Errorf("%d answers", n)
		}
		r.leg(0).Hangup(core.Reason{Code: core.Removed})
		if bye := p.expect("BYE "); !strings.Contains(value(bye, "Reason"), "cause=16") {
			t.Error(bye)
		}
	})
}

func TestDialRefused(t *testing.T) {
	for status, code := range map[int]core.Code{404: core.NotFound, 486: core.Busy, 603: core.Declined, 503: core.Overload, 403: core.Forbidden, 480: core.NoAnswer} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{}
			e, p := scripted(w, r)
			defer e.stop()
			done := dialScripted(e, r)
			inv := p.expect("INVITE ")
			p.answer(inv, status, "Reason: Q.850;cause=1\r\n", "")
			d := <-done
			if core.ReasonOf(d.err).Code != code || !strings.Contains(d.err.Error(), "cause=1") {
				t.Errorf("%d: %v", status, d.err)
			}
			p.expect("ACK ")
			synctest.Wait()
			if e.Calls() != 0 || e.kinds(Ended)[0].Reason.Code != code {
				t.Error("call left")
			}
		})
	}
}

func TestDialFailsAfterRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		done := dialScripted(e, r)
		inv := p.expect("INVITE ")
		p.answer(inv, 180, "", "")
		<-done
		p.answer(inv, 486, "", "")
		synctest.Wait()
		if len(r.failed) != 1 || r.failed[0].Code != core.Busy {
			t.Errorf("told %v", r.failed)
		}
	})
}

func TestDialCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		done := dialScripted(e, r)
		inv := p.expect("INVITE ")
		p.answer(inv, 180, "", "")
		d := <-done
		d.leg.Hangup(core.Reason{Code: core.Removed})
		cancel := p.expect("CANCEL ")
		p.answer(cancel, 200, "", "")
		p.answer(inv, 200, "", sdpBody("30000", "sendrecv")) // the answer was quicker
		p.expect("ACK ")
		p.expect("BYE ")
		synctest.Wait()
		if e.Calls() != 0 || len(r.legs) != 0 || !e.session(0).closed {
			t.Error("the late answer connected the call")
		}
	})
}

// TestDialCancelledEarly: no CANCEL before a provisional response.
func TestDialCancelledEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		ctx, cancel := context.WithCancel(context.Background())
		line, _ := e.Line("peer")
		done := make(chan error, 1)
		go func() { _, err := line.Dial(ctx, "+4912345", "", r); done <- err }()
		inv := p.expect("INVITE ")
		cancel()
		if err := <-done; err == nil {
			t.Error("no error")
		}
		p.nothing()
		p.answer(inv, 180, "", "")
		p.expect("CANCEL ")
		p.answer(inv, 487, "", "")
		p.expect("ACK ")
		synctest.Wait()
		if e.Calls() != 0 {
			t.Error("call left")
		}
	})
}

func TestDialSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		done := dialScripted(e, r)
		d := <-done
		if core.ReasonOf(d.err).Code != core.Unreachable {
			t.Error(d.err)
		}
		n := 0
		for m := p.read(); m != ""; m = p.read() {
			n++
		}
		if n != 7 { // 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s
			t.Errorf("INVITE sent %d times", n)
		}
	})
}

func TestDialChallengeAnd422(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e := w.edge(bIP, Options{}, r, "udp")
		defer e.stop()
		c := staticTrunk("peer", "10.0.0.9")
		c.User, c.Password, c.Realm = "acct", "secret", "carrier"
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		p := w.peer(peerAddr, bIP+":5060")
		done := dialScripted(e, r)
		inv := p.expect("INVITE ")
		p.answer(inv, 407, "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\r\nProxy-Authenticate: Digest realm=\"carrier\", nonce=\"def\", algorithm=SHA-256, qop=\"auth\"\r\n", "")
		p.expect("ACK ")
		inv = p.expect("INVITE ")
		auth, _ := parseDigest(value(inv, "Proxy-Authorization"))
		if auth["algorithm"] != SHA256 || auth["nonce"] != "def" || auth["response"] != auth.answer(HA1(SHA256, "acct", "carrier", "secret"), SHA256, "INVITE") {
			t.Errorf("authorization %v", auth)
		}
		p.answer(inv, 422, "Min-SE: 2400\r\n", "")
		p.expect("ACK ")
		inv = p.expect("INVITE ")
		if value(inv, "Session-Expires") != "2400" || value(inv, "Min-SE") != "2400" {
			t.Error(inv)
		}
		p.answer(inv, 200, "", sdpBody("30000", "sendrecv"))
		if d := <-done; d.err != nil {
			t.Fatal(d.err)
		}
		p.expect("ACK ")
		for _, ev := range e.kinds(Sent) {
			if strings.Contains(string(ev.Message), auth["response"]) {
				t.Error("a digest reached the trace")
			}
		}
	})
	// another realm's challenge gets no answer, and the call fails
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e := w.edge(bIP, Options{}, r, "udp")
		defer e.stop()
		c := staticTrunk("peer", "10.0.0.9")
		c.User, c.Password, c.Realm = "acct", "secret", "carrier"
		e.SetTrunks([]TrunkConfig{c})
		p := w.peer(peerAddr, bIP+":5060")
		done := dialScripted(e, r)
		p.answer(p.expect("INVITE "), 401, "WWW-Authenticate: Digest realm=\"evil\", nonce=\"abc\"\r\n", "")
		if d := <-done; core.ReasonOf(d.err).Code != core.Unauthorized {
			t.Error(d.err)
		}
	})
}

func TestDialPrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		done := dialScripted(e, r)
		inv := p.expect("INVITE ")
		p.answer(inv, 183, "Require: 100rel\r\nRSeq: 7\r\n", sdpBody("30000", "sendrecv"))
		prack := p.expect("PRACK ")
		if !strings.HasPrefix(value(prack, "RAck"), "7 ") {
			t.Error(prack)
		}
		p.answer(prack, 200, "", "")
		<-done
		p.answer(inv, 183, "Require: 100rel\r\nRSeq: 7\r\n", "") // repeated
		p.nothing()
		if e.session(0).flow().Remote.Port() != 30000 {
			t.Error("no early media")
		}
		p.answer(inv, 200, "", "")
		p.expect("ACK ")
	})
}

// memDNS is a zone in memory.
type memDNS map[string][]string

func (m memDNS) Lookup(_ context.Context, name string, kind uint16) ([]dns.RR, error) {
	var list []dns.RR
	for _, text := range m[strings.TrimSuffix(name, ".")+" "+dns.TypeToString[kind]] {
		rr, err := dns.NewRR(dns.Fqdn(name) + " 60 IN " + dns.TypeToString[kind] + " " + text)
		if err != nil {
			return nil, err
		}
		list = append(list, rr)
	}
	return list, nil
}

var zone = memDNS{
	"example.org NAPTR":           {`50 50 "s" "SIP+D2U" "" _sip._udp.example.org.`, `10 50 "s" "SIPS+D2T" "" _sips._tcp.example.org.`},
	"_sips._tcp.example.org SRV":  {"10 0 5071 b.example.org.", "5 0 5061 a.example.org."},
	"_sip._udp.example.org SRV":   {"5 0 5060 a.example.org."},
	"a.example.org A":             {"10.0.0.9"},
	"a.example.org AAAA":          {"2001:db8::9"},
	"b.example.org A":             {bIP},
	"plain.example.org A":         {"10.0.0.7"},
	"_sip._udp.w.example.org SRV": {"1 90 5060 a.example.org.", "1 10 5062 a.example.org."},
}

func TestLocator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocator(zone)
		find := func(host string, port int, network string, secure bool) string {
			list, err := l.find(context.Background(), host, port, network, secure)
			if err != nil {
				return err.Error()
			}
			var out []string
			for _, x := range list {
				out = append(out, x.String()+"/"+x.host)
			}
			return strings.Join(out, " ")
		}
		for _, c := range []struct {
			host    string
			port    int
			network string
			secure  bool
			want    string
		}{
			{"example.org", 0, "", false, "tls:10.0.0.9:5061/example.org tls:[2001:db8::9]:5061/example.org tls:10.0.0.2:5071/example.org udp:10.0.0.9:5060/example.org udp:[2001:db8::9]:5060/example.org"},
			{"example.org", 0, "", true, "tls:10.0.0.9:5061/example.org tls:[2001:db8::9]:5061/example.org tls:10.0.0.2:5071/example.org"},
			{"example.org", 0, "udp", false, "udp:10.0.0.9:5060/example.org udp:[2001:db8::9]:5060/example.org"},
			{"a.example.org", 5099, "tcp", false, "tcp:10.0.0.9:5099/a.example.org tcp:[2001:db8::9]:5099/a.example.org"},
			{"plain.example.org", 0, "", false, "udp:10.0.0.7:5060/plain.example.org"},
			{"plain.example.org", 0, "", true, "tls:10.0.0.7:5061/plain.example.org"},
			{"192.0.2.1", 0, "", true, "tls:192.0.2.1:5061/192.0.2.1"},
			{"[2001:db8::1]", 5080, "", false, "udp:[2001:db8::1]:5080/2001:db8::1"},
			{"nowhere.example.org", 0, "", false, "no address for nowhere.example.org"},
		} {
			if got := find(c.host, c.port, c.network, c.secure); got != c.want {
				t.Errorf("%s %d %s %v:\n got %s\nwant %s", c.host, c.port, c.network, c.secure, got, c.want)
			}
		}
		// a failed target is tried last, for a while
		bad := target{"tls", netip.MustParseAddrPort("10.0.0.9:5061"), "example.org"}
		l.fail(bad)
		if got := find("example.org", 0, "", true); !strings.HasSuffix(got, "tls:10.0.0.9:5061/example.org") {
			t.Error(got)
		}
		time.Sleep(2 * penaltyTime)
		if got := find("example.org", 0, "", true); !strings.HasPrefix(got, "tls:10.0.0.9:5061/example.org") {
			t.Error(got)
		}
		// weights: about nine of ten
		n := 0
		for range 2000 {
			if list, _ := l.find(context.Background(), "w.example.org", 0, "udp", false); list[0].addr.Port() == 5060 {
				n++
			}
		}
		if n < 1700 || n > 1920 {
			t.Errorf("the heavy one was first %d of 2000 times", n)
		}
	})
}

// TestFailover: the first server is dead, the second refuses with 503, the
// third takes the call.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		z := memDNS{"_sip._udp.carrier.example SRV": {"1 0 5060 one.", "2 0 5060 two.", "3 0 5060 three."}, "one A": {"10.0.0.51"}, "two A": {"10.0.0.52"}, "three A": {"10.0.0.53"}}
		e := w.edge(bIP, Options{Resolver: z}, r, "udp")
		defer e.stop()
		c := TrunkConfig{Name: "peer", Enabled: true, Mode: Static, Transport: "udp", Host: "carrier.example", Check: -1}
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		two, three := w.peer("10.0.0.52:5060", bIP+":5060"), w.peer("10.0.0.53:5060", bIP+":5060")
		done := dialScripted(e, r)
		time.Sleep(dialTime + time.Second)
		two.answer(two.expect("INVITE "), 503, "", "")
		inv := three.expect("INVITE ")
		three.answer(inv, 200, "", sdpBody("30000", "sendrecv"))
		if d := <-done; d.err != nil {
			t.Fatal(d.err)
		}
		three.expect("ACK ")
		r.leg(0).Hangup(core.Reason{Code: core.Normal})
		synctest.Wait()
		// the next call begins with the good one
		three.drain()
		done = dialScripted(e, r)
		three.answer(three.expect("INVITE "), 486, "", "")
		if d := <-done; core.ReasonOf(d.err).Code != core.Busy {
			t.Error(d.err)
		}
	})
}

// devices of the tests: alice and bob, with their names as passwords.
type testDevices struct{ revoked map[string]bool }

func (d *testDevices) Device(user string) (Device, bool) {
	if user != "alice" && user != "bob" || d.revoked[user] {
		return Device{}, false
	}
	return Device{Name: strings.ToUpper(user), HA1: func(alg, realm string) string { return HA1(alg, user, realm, user+"-pw") }}, true
}

func (d *testDevices) Extension(n string) (string, bool) {
	u, ok := map[string]string{"101": "alice", "102": "bob"}[n]
	return u, ok
}

func tlsEdge(w *world, r core.Dialplan, d Devices) (*testEdge, *tlsPeerMaker) {
	cert, roots := certificate(w.t, bIP)
	e := w.edge(bIP, Options{SIPS: "x", Domain: "bridge.example", Devices: d, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }}, r, "tls")
	return e, &tlsPeerMaker{w, func(ip string) *peer { return w.tlsPeer(ip, bIP+":5061", roots) }}
}

type tlsPeerMaker struct {
	w   *world
	new func(ip string) *peer
}

func registerText(user, seq, auth, expires string) string {
	if auth != "" {
		auth = "Authorization: " + auth + "\n"
	}
	return "REGISTER sip:bridge.example SIP/2.0\nVia: SIP/2.0/TLS 10.0.0.8:5061;branch=z9hG4bKr" + user + seq + "\nMax-Forwards: 70\nFrom: <sip:" + user + "@bridge.example>;tag=r\nTo: <sip:" + user + "@bridge.example>\nCall-ID: reg-" + user + "\nCSeq: " + seq + " REGISTER\nContact: <sip:" + user + "@10.0.0.8:5061;transport=tls>\nExpires: " + expires + "\n" + auth + "\n"
}

func authFor(challenge, user, pw, method, at, nc string) string {
	c, _ := parseDigest(challenge)
	c["uri"], c["nc"], c["cnonce"], c["qop"] = at, nc, "xyz", "auth"
	alg := c["algorithm"]
	resp := c.answer(HA1(alg, user, c["realm"], pw), alg, method)
	return `Digest username="` + user + `", realm="` + c["realm"] + `", nonce="` + c["nonce"] + `", uri="` + at + `", response="` + resp + `", algorithm=` + alg + `, qop=auth, nc=` + nc + `, cnonce="xyz"`
}

// login registers a device and returns its connection.
func (m *tlsPeerMaker) login(ip, user string) *peer {
	m.w.t.Helper()
	p := m.new(ip)
	p.send(registerText(user, "1", "", "600"))
	ask := p.expect("SIP/2.0 401")
	p.send(registerText(user, "2", authFor(value(ask, "WWW-Authenticate"), user, user+"-pw", "REGISTER", "sip:bridge.example", "00000001"), "600"))
	if ok := p.expect("SIP/2.0 200"); !strings.Contains(value(ok, "Contact"), "expires=600") {
		m.w.t.Fatal(ok)
	}
	return p
}

func TestRegistrar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, d := newWorld(t), &testRoom{}, &testDevices{revoked: map[string]bool{}}
		e, devices := tlsEdge(w, r, d)
		defer e.stop()
		p := devices.login("10.0.0.8", "alice")
		list := e.Registrations()
		if len(list) != 1 || list[0].User != "alice" || list[0].Source.Addr().String() != "10.0.0.8" {
			t.Fatalf("%+v", list)
		}
		p.send(registerText("alice", "3", "", "30"))
		ask := p.expect("SIP/2.0 401")
		challenge := value(ask, "WWW-Authenticate")
		if !strings.Contains(challenge, "SHA-256") {
			t.Error("the stronger algorithm is not offered first")
		}
		auth := authFor(challenge, "alice", "alice-pw", "REGISTER", "sip:bridge.example", "00000001")
		p.send(registerText("alice", "4", auth, "30"))
		p.expect("SIP/2.0 423")
		p.send(registerText("alice", "5", auth, "600")) // the same count again
		if m := p.expect("SIP/2.0 401"); !strings.Contains(value(m, "WWW-Authenticate"), "stale=true") {
			t.Error("replay was not refused as stale")
		}
		p.send(registerText("alice", "6", authFor(challenge, "alice", "wrong", "REGISTER", "sip:bridge.example", "00000002"), "600"))
		p.expect("SIP/2.0 401")
		p.send(registerText("bob", "7", authFor(challenge, "alice", "alice-pw", "REGISTER", "sip:bridge.example", "00000003"), "600"))
		p.expect("SIP/2.0 403")
		time.Sleep(nonceLife + time.Second)
		p.send(registerText("alice", "8", authFor(challenge, "alice", "alice-pw", "REGISTER", "sip:bridge.example", "00000004"), "600"))
		if m := p.expect("SIP/2.0 401"); !strings.Contains(m, "stale=true") {
			t.Error(m)
		}
		time.Sleep(5 * time.Minute)
		if n := len(e.Registrations()); n != 0 {
			t.Errorf("%d registrations after their time", n)
		}
	})
}

func TestDeviceCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, d := newWorld(t), &testRoom{}, &testDevices{revoked: map[string]bool{}}
		e, devices := tlsEdge(w, r, d)
		defer e.stop()
		one, two := devices.login("10.0.0.8", "alice"), devices.login("10.0.0.18", "bob")
		_ = two
		secure := strings.Replace(sdpBody("30000", "sendrecv"), "RTP/AVP", "RTP/SAVP", 1) + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
		// a call in, over the registered connection: no challenge
		in := strings.NewReplacer("SIP/2.0/UDP", "SIP/2.0/TLS", "sip:+15550199@10.0.0.9", "sip:alice@bridge.example").Replace(inviteText{branch: "d1", body: secure}.String())
		one.send(in)
		ok := one.expect("SIP/2.0 200")
		one.send(strings.Replace(inviteText{method: "ACK", branch: "d1a", toTag: tagOf(value(ok, "To"))}.String(), "SIP/2.0/UDP", "SIP/2.0/TLS", 1))
		if u := r.leg(0).Info().User; u != "alice" || r.leg(0).Info().Name != "ALICE" {
			t.Errorf("user %q", u)
		}
		// the media key is in the message, but not in the trace
		if !strings.Contains(ok, "inline:") || strings.Contains(ok, "inline:***") {
			t.Error(ok)
		}
		for _, ev := range append(e.kinds(Sent), e.kinds(Received)...) {
			if strings.Contains(string(ev.Message), "inline:") && !strings.Contains(string(ev.Message), "inline:***") {
				t.Error("a media key reached the trace")
			}
		}
		// clear media over TLS
		in = strings.NewReplacer("SIP/2.0/UDP", "SIP/2.0/TLS", "call-1", "call-2").Replace(inviteText{branch: "d2", body: sdpBody("30000", "sendrecv")}.String())
		one.send(in)
		no := one.expect("SIP/2.0 488")
		if !strings.Contains(value(no, "Warning"), "Unencrypted media is not accepted") {
			t.Error(no)
		}
		// somebody else's name needs the password
		in = strings.NewReplacer("SIP/2.0/UDP", "SIP/2.0/TLS", "call-1", "call-3", "sip:+15550199@10.0.0.9", "sip:bob@bridge.example").Replace(inviteText{branch: "d3", body: secure}.String())
		one.send(in)
		one.expect("SIP/2.0 401")
		// a call out to an extension goes over the device's connection
		done := make(chan dialResult, 1)
		go func() { l, err := e.Dial(context.Background(), "sip:101@local", r); done <- dialResult{l, err} }()
		inv := one.expect("INVITE sip:alice@10.0.0.8:5061;transport=tls")
		if !strings.Contains(inv, "RTP/SAVP") || !strings.Contains(inv, "AEAD_AES_256_GCM") {
			t.Error("offer is not encrypted")
		}
		one.answer(inv, 180, "", "")
		if x := <-done; x.err != nil {
			t.Fatal(x.err)
		}
		one.answer(inv, 488, "", "")
		one.expect("ACK ")
		// revoked: registration, call and connection go at once
		d.revoked["alice"] = true
		e.Revoke("alice")
		one.expect("BYE ")
		time.Sleep(time.Second)
		if n := len(e.Registrations()); n != 1 || e.Calls() != 0 {
			t.Errorf("%d registrations, %d calls", n, e.Calls())
		}
		if _, err := e.Dial(context.Background(), "sip:101@local", r); core.ReasonOf(err).Code != core.NotFound {
			t.Error(err)
		}
	})
}

// TestFork: a device registered twice rings twice; one answers.
func TestFork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, d := newWorld(t), &testRoom{}, &testDevices{}
		e, devices := tlsEdge(w, r, d)
		defer e.stop()
		one := devices.login("10.0.0.8", "alice")
		two := devices.new("10.0.0.18")
		again := func(seq, auth string) string {
			return strings.NewReplacer("10.0.0.8", "10.0.0.18", "reg-alice", "reg-alice-2", "z9hG4bKr", "z9hG4bKs").Replace(registerText("alice", seq, auth, "600"))
		}
		two.send(again("1", ""))
		two.send(again("2", authFor(value(two.expect("SIP/2.0 401"), "WWW-Authenticate"), "alice", "alice-pw", "REGISTER", "sip:bridge.example", "00000001")))
		two.expect("SIP/2.0 200")
		done := make(chan dialResult, 1)
		go func() {
			l, err := e.Dial(context.Background(), "sip:alice@bridge.example", r)
			done <- dialResult{l, err}
		}()
		i1, i2 := one.expect("INVITE "), two.expect("INVITE ")
		one.answer(i1, 180, "", "")
		two.answer(i2, 180, "", "")
		<-done
		key := "m=audio 30000 RTP/SAVP 8\na=crypto:1 AEAD_AES_256_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
		two.answer(i2, 200, "", "v=0\no=- 1 1 IN IP4 10.0.0.18\ns=-\nc=IN IP4 10.0.0.18\nt=0 0\n"+key)
		two.expect("ACK ")
		cancel := one.expect("CANCEL ")
		if !strings.Contains(value(cancel, "Reason"), "cause=200") {
			t.Error("no word that the call was answered elsewhere")
		}
		one.answer(cancel, 200, "", "")
		one.answer(i1, 487, "", "")
		one.expect("ACK ")
		synctest.Wait()
		if r.leg(0) == nil || e.Calls() != 1 {
			t.Error("not connected")
		}
		r.leg(0).Hangup(core.Reason{Code: core.Normal})
		two.expect("BYE ")
	})
}

// TestRegisteredTrunk: one edge registers with the other as a trunk does.
func TestRegisteredTrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, rb := newWorld(t), &testRoom{}
		eb, _ := tlsEdge(w, rb, &testDevices{})
		defer eb.stop()
		_, roots := certificate(t, "unused")
		_ = roots
		ra := &testRoom{}
		ea := w.edge(aIP, Options{}, ra, "tcp")
		defer ea.stop()
		pool := eb.opt.TLS().Certificates[0].Certificate[0]
		c := TrunkConfig{Name: "up", Enabled: true, Mode: Register, Transport: "tls", Host: bIP, User: "alice", Password: "alice-pw", Realm: "bridge.example", TLS: &tls.Config{RootCAs: poolOf(t, pool)}, Expires: 10 * time.Minute}
		if err := ea.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		s := ea.Trunks()[0]
		if !s.Registered || len(eb.Registrations()) != 1 {
			t.Fatalf("%+v", s)
		}
		time.Sleep(30 * time.Minute) // refreshed
		if !ea.Trunks()[0].Registered || len(eb.Registrations()) != 1 {
			t.Fatalf("%+v, %+v", ea.Trunks()[0], eb.Registrations())
		}
		// a call to the registered one comes in as a call of the trunk
		if _, err := eb.Dial(context.Background(), "sip:alice@local", rb); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(ra.calls) != 1 || ra.calls[0].Trunk != "up" || !ra.calls[0].Info.Security.Encrypted() {
			t.Fatalf("%+v", ra.calls)
		}
		ra.leg(0).Hangup(core.Reason{Code: core.Normal})
		synctest.Wait()
		// switched off: it unregisters
		c.Enabled = false
		ea.SetTrunks([]TrunkConfig{c})
		time.Sleep(3 * time.Second)
		if n := len(eb.Registrations()); n != 0 {
			t.Errorf("%d registrations left", n)
		}
	})
}

func TestTrunkCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e := w.edge(bIP, Options{}, r, "udp")
		defer e.stop()
		c := staticTrunk("peer", "10.0.0.9")
		c.Check = 30 * time.Second
		e.SetTrunks([]TrunkConfig{c})
		time.Sleep(45 * time.Second) // one miss, two begun
		if !e.Trunks()[0].Up {
			t.Error("down after too few misses")
		}
		time.Sleep(60 * time.Second)
		if e.Trunks()[0].Up {
			t.Error("still up")
		}
		line, _ := e.Line("peer")
		if _, err := line.Dial(context.Background(), "+1", "", r); core.ReasonOf(err).Code != core.Unreachable {
			t.Error(err)
		}
		other := w.edge("10.0.0.9", Options{}, &testRoom{}, "udp")
		defer other.stop()
		other.SetTrunks([]TrunkConfig{staticTrunk("b", bIP)})
		time.Sleep(90 * time.Second)
		if s := e.Trunks()[0]; !s.Up || s.Error != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestOldDigest: an endpoint that gives up on SHA-256 gets MD5 alone when it
// tries again.
func TestOldDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, devices := tlsEdge(w, &testRoom{}, &testDevices{})
		defer e.stop()
		p := devices.new("10.0.0.8")
		p.send(registerText("alice", "1", "", "600"))
		if ask := p.expect("SIP/2.0 401"); strings.Count(ask, "WWW-Authenticate") != 2 {
			t.Error(ask)
		}
		p.send(registerText("alice", "2", "", "600"))
		ask := p.expect("SIP/2.0 401")
		if strings.Contains(ask, SHA256) {
			t.Error(ask)
		}
		p.send(registerText("alice", "3", authFor(value(ask, "WWW-Authenticate"), "alice", "alice-pw", "REGISTER", "sip:bridge.example", "00000001"), "600"))
		p.expect("SIP/2.0 200")
	})
}
