package sip

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
)

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
		for _, ev := range append(e.kinds(edge.Sent), e.kinds(edge.Received)...) {
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
		c.CheckEvery = 30 * time.Second
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
