package sip

import (
	"context"
	"crypto/tls"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
)

const (
	aIP, bIP, peerAddr = "10.0.0.1", "10.0.0.2", "10.0.0.9:5060"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func staticTrunk(name, host string) TrunkConfig {
	return TrunkConfig{Name: name, Enabled: true, Mode: Static, Transport: "udp", Host: host, Port: 5060, Sources: []netip.Prefix{prefix(host + "/32")}, CheckEvery: -1, CallsPerSecond: 1000}
}

// pair is two edges with a trunk between them.
func pair(w *world, a, b *testRoom, media string) (*testEdge, *testEdge) {
	ea := w.edge(aIP, Options{}, a, "udp")
	eb := w.edge(bIP, Options{}, b, "udp")
	ta, tb := staticTrunk("b", bIP), staticTrunk("a", aIP)
	ta.Media, tb.Media = media, media
	if err := ea.SetTrunks([]TrunkConfig{ta}); err != nil {
		w.t.Fatal(err)
	}
	if err := eb.SetTrunks([]TrunkConfig{tb}); err != nil {
		w.t.Fatal(err)
	}
	return ea, eb
}

func TestTrunkCall(t *testing.T) {
	for _, media := range []string{"none", "optional", "required"} {
		for _, callerEnds := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ra, rb := &testRoom{}, &testRoom{}
				ea, eb := pair(w, ra, rb, media)
				defer ea.stop()
				defer eb.stop()
				line, ok := ea.Line("b")
				if !ok {
					t.Fatal("no line")
				}
				l, err := line.Dial(context.Background(), "+15550100", "+15550199", ra)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if len(rb.calls) != 1 || rb.calls[0].To != "+15550100" || rb.calls[0].Trunk != "a" || rb.calls[0].Info.Address != "+15550199" || rb.calls[0].Info.Protocol != core.PSTN {
					t.Fatalf("routed as %+v", rb.calls)
				}
				other := rb.leg(0)
				i, j := l.Info(), other.Info()
				if i.Audio.Name != "PCMA" || j.Audio.Name != "PCMA" || i.InbandDigits || j.InbandDigits {
					t.Errorf("agreed %+v and %+v", i.Audio, j.Audio)
				}
				secure := media != "none"
				if (i.Security.Media == "sdes-srtp") != secure || i.Security != j.Security {
					t.Errorf("security %+v and %+v", i.Security, j.Security)
				}
				fa, fb := ea.session(0).flow(), eb.session(0).flow()
				if secure && (string(fa.Keys.Local) != string(fb.Keys.Remote) || string(fa.Keys.Remote) != string(fb.Keys.Local) || i.Security.Suite != "AEAD_AES_256_GCM") {
					t.Error("keys do not match")
				}
				if fa.Remote.Port() != 20000 || fa.Remote.Addr().String() != bIP || fb.Remote.Addr().String() != aIP || fa.Symmetric == secure {
					t.Errorf("flows %v %v", fa.Remote, fb.Remote)
				}
				if ra.leg(0) != l {
					t.Fatal("the caller's leg did not join")
				}
				if callerEnds {
					l.Hangup(core.Reason{Code: core.Removed})
				} else {
					other.Hangup(core.Reason{Code: core.Ended})
				}
				synctest.Wait()
				if ra.seat(0).leaveReason() == nil || rb.seat(0).leaveReason() == nil {
					t.Fatal("a seat was not left")
				}
				if !ea.session(0).closed || !eb.session(0).closed || ea.Calls() != 0 || eb.Calls() != 0 {
					t.Error("the call left something behind")
				}
				for _, e := range []*testEdge{ea, eb} {
					if n := len(e.kinds(edge.Ended)); n != 1 {
						t.Errorf("%d ended events", n)
					}
				}
			})
		}
	}
}

func TestTLSCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cert, roots := certificate(t, bIP)
		ra, rb := &testRoom{}, &testRoom{}
		ea := w.edge(aIP, Options{Roots: roots}, ra)
		eb := w.edge(bIP, Options{SIPS: "x", TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }}, rb, "tls")
		defer ea.stop()
		defer eb.stop()
		l, err := ea.Dial(context.Background(), "sips:7001@"+bIP, ra)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		i := rb.leg(0).Info()
		if i.Security.Signalling != "tls" || i.Security.Media != "sdes-srtp" || i.Audio.Name != "opus" || !l.Info().Security.Encrypted() {
			t.Errorf("%+v", i)
		}
		if rb.calls[0].To != "7001" || i.Phone {
			t.Errorf("%+v", rb.calls[0])
		}
		eb.stop() // shutdown hangs up
		synctest.Wait()
		if ra.seat(0).leaveReason() == nil {
			t.Error("caller still in the call")
		}
		if _, err := ea.Dial(context.Background(), "sips:7001@10.0.0.77", ra); core.ReasonOf(err).Code != core.Unreachable {
			t.Errorf("dialling nobody: %v", err)
		}
	})
}

func TestTLSWrongName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cert, roots := certificate(t, "other.example")
		ea := w.edge(aIP, Options{Roots: roots}, &testRoom{})
		eb := w.edge(bIP, Options{SIPS: "x", TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }}, &testRoom{}, "tls")
		defer ea.stop()
		defer eb.stop()
		if _, err := ea.Dial(context.Background(), "sips:7001@"+bIP, &testRoom{}); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("a certificate for another name was taken: %v", err)
		}
	})
}

// sdpBody is a clear offer of G.711 with telephone-event.
func sdpBody(port, direction string) string {
	return "v=0\no=- 1 1 IN IP4 10.0.0.9\ns=-\nc=IN IP4 10.0.0.9\nt=0 0\nm=audio " + port + " RTP/AVP 8 0 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na=" + direction + "\n"
}

type inviteText struct {
	method, branch, id, seq, toTag, extra, body, fromTag string
}

func (i inviteText) String() string {
	if i.method == "" {
		i.method = "INVITE"
	}
	if i.id == "" {
		i.id = "call-1"
	}
	if i.seq == "" {
		i.seq = "1"
	}
	if i.fromTag == "" {
		i.fromTag = "peertag"
	}
	to := "<sip:+15550100@10.0.0.2>"
	if i.toTag != "" {
		to += ";tag=" + i.toTag
	}
	method := i.method
	text := method + " sip:+15550100@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK" + i.branch + ";rport\nMax-Forwards: 70\nFrom: \"Alice\" <sip:+15550199@10.0.0.9>;tag=" + i.fromTag + "\nTo: " + to + "\nCall-ID: " + i.id + "\nCSeq: " + i.seq + " " + method + "\nContact: <sip:alice@10.0.0.9:5060>\n" + i.extra
	if i.body != "" {
		text += "Content-Type: application/sdp\n"
	}
	return text + "\n" + i.body
}

// scripted gives an edge with a trunk to a scripted peer.
func scripted(w *world, r *testRoom) (*testEdge, *peer) {
	e := w.edge(bIP, Options{}, r, "udp")
	c := staticTrunk("peer", "10.0.0.9")
	if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
		w.t.Fatal(err)
	}
	return e, w.peer(peerAddr, bIP+":5060")
}

// connect brings a scripted call up and returns the edge's tag.
func connect(p *peer, extra, body string) string {
	p.t.Helper()
	p.send(inviteText{branch: "i1", extra: extra, body: body}.String())
	ok := p.expect("SIP/2.0 200")
	tag := tagOf(value(ok, "To"))
	p.send(inviteText{method: "ACK", branch: "a1", toTag: tag}.String())
	return tag
}

func TestHold(t *testing.T) {
	forms := []struct{ name, offer, want string }{
		{"sendonly", sdpBody("30000", "sendonly"), "recvonly"},
		{"inactive", sdpBody("30000", "inactive"), "inactive"},
		{"null address", strings.Replace(sdpBody("30000", "sendrecv"), "c=IN IP4 10.0.0.9", "c=IN IP4 0.0.0.0", 1), "recvonly"},
		{"recvonly", sdpBody("30000", "recvonly"), "sendonly"},
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := newWorld(t), &testRoom{}
				e, p := scripted(w, r)
				defer e.stop()
				tag := connect(p, "", sdpBody("30000", "sendrecv"))
				p.send(inviteText{branch: "h1", seq: "2", toTag: tag, body: f.offer}.String())
				ok := p.expect("SIP/2.0 200")
				if !strings.Contains(ok, "a="+f.want+"\r\n") {
					t.Errorf("answer:\n%s", ok)
				}
				p.send(inviteText{method: "ACK", branch: "h1a", seq: "2", toTag: tag}.String())
				synctest.Wait()
				flow := e.session(0).flow()
				held := f.name != "recvonly"
				if (flow.Send.Name == "") != held || len(flow.Receive) != 0 || flow.Timeout != heldFor {
					t.Errorf("flow %+v", flow)
				}
				if _, err := r.leg(0).Subscribe(core.Track{Source: core.Mix, Codec: core.Codec{Name: "PCMA", ClockRate: 8000}}); (err != nil) != held {
					t.Errorf("subscribe while held: %v", err)
				}
				// taken up again, on another port
				p.send(inviteText{branch: "h2", seq: "3", toTag: tag, body: sdpBody("30010", "sendrecv")}.String())
				if ok := p.expect("SIP/2.0 200"); !strings.Contains(ok, "a=sendrecv\r\n") {
					t.Errorf("answer:\n%s", ok)
				}
				p.send(inviteText{method: "ACK", branch: "h2a", seq: "3", toTag: tag}.String())
				synctest.Wait()
				if flow := e.session(0).flow(); flow.Remote.Port() != 30010 || flow.Send.Name != "PCMA" || len(flow.Receive) == 0 {
					t.Errorf("flow %+v", flow)
				}
				var holds []bool
				for _, ev := range r.seat(0).list() {
					if h, ok := ev.(core.Hold); ok {
						holds = append(holds, h.On)
					}
				}
				if held && (len(holds) != 2 || !holds[0] || holds[1]) || !held && len(holds) != 0 {
					t.Errorf("hold events %v", holds)
				}
				p.send(inviteText{method: "BYE", branch: "b1", seq: "4", toTag: tag}.String())
				p.expect("SIP/2.0 200")
			})
		})
	}
}

func TestDelayedOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1"}.String())
		ok := p.expect("SIP/2.0 200")
		if !strings.Contains(ok, "m=audio 20000 RTP/AVP 8 0 9 111 101 110") {
			t.Fatalf("offer:\n%s", ok)
		}
		tag := tagOf(value(ok, "To"))
		p.send(inviteText{method: "ACK", branch: "a1", toTag: tag, body: sdpBody("30000", "sendrecv")}.String())
		synctest.Wait()
		if f := e.session(0).flow(); f.Remote.Port() != 30000 || f.Send.Name != "PCMA" {
			t.Errorf("flow %+v", f)
		}
		// re-INVITE without offer
		p.send(inviteText{branch: "i2", seq: "2", toTag: tag}.String())
		if ok := p.expect("SIP/2.0 200"); !strings.Contains(ok, "m=audio 20000 RTP/AVP") {
			t.Fatalf("offer:\n%s", ok)
		}
		p.send(inviteText{method: "ACK", branch: "a2", seq: "2", toTag: tag, body: sdpBody("30020", "sendrecv")}.String())
		synctest.Wait()
		if f := e.session(0).flow(); f.Remote.Port() != 30020 {
			t.Errorf("flow %+v", f)
		}
		// an ACK without answer ends the call
		p.send(inviteText{branch: "i3", seq: "3", toTag: tag}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{method: "ACK", branch: "a3", seq: "3", toTag: tag}.String())
		p.expect("BYE ")
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{hold: true}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
		p.expect("SIP/2.0 183") // early media: seated, not answered
		r.leg(0).Signal(core.Ringing{})
		p.expect("SIP/2.0 180")
		p.send(inviteText{method: "CANCEL", branch: "i1"}.String())
		p.expect("SIP/2.0 200")
		p.expect("SIP/2.0 487")
		p.send(inviteText{method: "ACK", branch: "i1"}.String())
		r.leg(0).Signal(core.Answer{}) // too late
		synctest.Wait()
		p.nothing()
		if r.seat(0).leaveReason() == nil || e.Calls() != 0 {
			t.Error("the call is still there")
		}
		time.Sleep(time.Minute)
		p.nothing() // the 487 was acknowledged: no repetition
	})
}

func TestCancelAfterAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
		ok := p.expect("SIP/2.0 200")
		p.send(inviteText{method: "CANCEL", branch: "i1"}.String())
		if m := p.expect("SIP/2.0 200"); value(m, "CSeq") != "1 CANCEL" {
			t.Fatal(m)
		}
		p.nothing()
		if e.Calls() != 1 {
			t.Error("the CANCEL ended an answered call")
		}
		// a hangup before the ACK waits for it
		r.leg(0).Hangup(core.Reason{Code: core.Ended})
		synctest.Wait()
		p.nothing()
		p.send(inviteText{method: "ACK", branch: "a1", toTag: tagOf(value(ok, "To"))}.String())
		bye := p.expect("BYE ")
		if !strings.Contains(value(bye, "Reason"), "Q.850;cause=16") {
			t.Errorf("BYE without Q.850 cause:\n%s", bye)
		}
	})
}

func TestNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
		p.expect("SIP/2.0 200")
		time.Sleep(40 * time.Second)
		n := 0
		for m := p.read(); m != ""; m = p.read() {
			if strings.HasPrefix(m, "SIP/2.0 200") {
				n++
			} else if strings.HasPrefix(m, "BYE") {
				n += 100
				break
			}
		}
		if n != 110 { // 0.5 1 2 4 then each 4 s until 32 s
			t.Errorf("repeated %d times", n)
		}
		p.drain()
	})
}

func TestReliableProvisional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{hold: true}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", extra: "Supported: 100rel\n", body: sdpBody("30000", "sendrecv")}.String())
		early := p.expect("SIP/2.0 183")
		if value(early, "Require") != "100rel" || !strings.Contains(early, "m=audio") {
			t.Fatal(early)
		}
		if e.session(0).flow().Remote.Port() != 30000 {
			t.Error("no early media")
		}
		r.leg(0).Signal(core.Answer{})
		synctest.Wait()
		p.nothing() // the 200 waits for PRACK
		time.Sleep(1600 * time.Millisecond)
		p.expect("SIP/2.0 183") // after 0.5 s
		p.expect("SIP/2.0 183") // after 1.5 s
		tag := tagOf(value(early, "To"))
		p.send(inviteText{method: "PRACK", branch: "p0", seq: "2", toTag: tag, extra: "RAck: 99999999 1 INVITE\n"}.String())
		p.expect("SIP/2.0 481")
		p.send(inviteText{method: "PRACK", branch: "p1", seq: "3", toTag: tag, extra: "RAck: " + value(early, "RSeq") + " 1 INVITE\n"}.String())
		if m := p.expect("SIP/2.0 200"); value(m, "CSeq") != "3 PRACK" {
			t.Fatal(m)
		}
		if m := p.expect("SIP/2.0 200"); value(m, "CSeq") != "1 INVITE" || strings.Contains(m, "m=audio") {
			t.Fatalf("the answer was given in the 183 already:\n%s", m)
		}
	})
}

func TestNoPrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{hold: true}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", extra: "Require: 100rel\n", body: sdpBody("30000", "sendrecv")}.String())
		time.Sleep(40 * time.Second)
		n := 0
		m := p.read()
		for ; !strings.HasPrefix(m, "SIP/2.0 5") && m != ""; m = p.read() {
			if strings.HasPrefix(m, "SIP/2.0 183") {
				n++
			}
		}
		if n != 7 || m == "" {
			t.Errorf("183 came %d times, then %q", n, m)
		}
		if e.Calls() != 0 {
			t.Error("call is still there")
		}
		p.drain()
	})
}

// TestReliableBetweenEdges has two edges do PRACK with one another.
func TestReliableBetweenEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ra, rb := &testRoom{}, &testRoom{hold: true}
		ea, eb := pair(w, ra, rb, "required")
		defer ea.stop()
		defer eb.stop()
		line, _ := ea.Line("b")
		l, err := line.Dial(context.Background(), "+15550100", "", ra)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, m := range ea.kinds(edge.Sent) {
			if len(m.Message) > 1300 {
				t.Errorf("%d bytes do not fit a datagram: %s", len(m.Message), m.Text)
			}
		}
		if n := ea.messages(edge.Sent, "PRACK"); n != 1 {
			t.Errorf("%d PRACK", n)
		}
		if ra.rang == 0 || l.Info().Security.Media != "sdes-srtp" {
			t.Error("no ringing, or no early media")
		}
		if rb.calls[0].Info.Name != "Anonymous" || rb.calls[0].Info.Address != "" {
			t.Errorf("withheld number shows as %+v", rb.calls[0].Info)
		}
		rb.leg(0).Signal(core.Answer{})
		synctest.Wait()
		if ra.leg(0) != l || len(ea.kinds(edge.Answered)) != 1 {
			t.Error("not answered")
		}
		rb.leg(0).Hangup(core.Reason{Code: core.Normal})
		synctest.Wait()
	})
}

func TestGlareAndOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		tag := connect(p, "Supported: timer\nSession-Expires: 200;refresher=uas\n", sdpBody("30000", "sendrecv"))
		p.drain()
		time.Sleep(101 * time.Second)
		re := p.expect("INVITE ") // the peer allows no UPDATE
		if !strings.Contains(re, "m=audio 20000 RTP/AVP 8") || !strings.HasPrefix(value(re, "Session-Expires"), "200;refresher=uac") {
			t.Fatal(re)
		}
		// ours crosses theirs
		p.send(inviteText{branch: "g1", seq: "2", toTag: tag, body: sdpBody("30000", "sendrecv")}.String())
		p.expect("SIP/2.0 491")
		p.send(inviteText{method: "ACK", branch: "g1", seq: "2", toTag: tag}.String())
		p.answer(re, 491, "", "")
		ack := p.expect("ACK ")
		if value(ack, "CSeq") != value(re, "CSeq")[:strings.Index(value(re, "CSeq"), " ")]+" ACK" {
			t.Fatal(ack)
		}
		time.Sleep(5 * time.Second)
		re = p.expect("INVITE ") // tried again
		p.answer(re, 200, "Session-Expires: 200;refresher=uac\r\n", sdpBody("30000", "sendrecv"))
		p.expect("ACK ")
		if e.Calls() != 1 {
			t.Error("call lost")
		}
		// a peer that does not answer has gone
		time.Sleep(101 * time.Second)
		p.drain()
		time.Sleep(40 * time.Second)
		p.expect("BYE ")
		if e.Calls() != 0 {
			t.Error("call survives its session timer")
		}
	})
}

// answer sends a response to a request that the edge sent.
func (p *peer) answer(req string, status int, extra, body string) {
	p.t.Helper()
	head, _, _ := strings.Cut(req, "\r\n\r\n")
	out := "SIP/2.0 " + itoa(status) + " X\n"
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "to":
			if !strings.Contains(line, ";tag=") && status > 100 {
				line += ";tag=answertag"
			}
			out += line + "\n"
		case "via", "from", "call-id", "cseq":
			out += line + "\n"
		}
	}
	at := peerAddr
	if p.p != nil {
		at = p.p.addr.String()
	}
	out += "Contact: <sip:peer@" + at + ">\n" + strings.ReplaceAll(extra, "\r\n", "\n")
	if body != "" {
		out += "Content-Type: application/sdp\n"
	}
	p.send(out + "\n" + body)
}

func TestSessionTimerExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", extra: "Supported: timer\nSession-Expires: 90;refresher=uac\n", body: sdpBody("30000", "sendrecv")}.String())
		ok := p.expect("SIP/2.0 200")
		if value(ok, "Session-Expires") != "90;refresher=uac" || !strings.Contains(value(ok, "Require"), "timer") {
			t.Fatal(ok)
		}
		tag := tagOf(value(ok, "To"))
		p.send(inviteText{method: "ACK", branch: "a1", toTag: tag}.String())
		time.Sleep(50 * time.Second)
		p.send(inviteText{method: "UPDATE", branch: "u1", seq: "2", toTag: tag, extra: "Supported: timer\nSession-Expires: 90;refresher=uac\n"}.String())
		if ok := p.expect("SIP/2.0 200"); value(ok, "Session-Expires") != "90;refresher=uac" {
			t.Fatal(ok)
		}
		time.Sleep(50 * time.Second)
		p.nothing()
		time.Sleep(15 * time.Second)
		p.expect("BYE ")
	})
}

func TestEdgesRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ra, rb := &testRoom{}, &testRoom{}
		ea, eb := pair(w, ra, rb, "none")
		defer ea.stop()
		defer eb.stop()
		line, _ := ea.Line("b")
		if _, err := line.Dial(context.Background(), "+15550100", "+15550199", ra); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			time.Sleep(15 * time.Minute)
		}
		if n := ea.messages(edge.Sent, "UPDATE") + eb.messages(edge.Sent, "UPDATE"); n < 6 || ea.Calls() != 1 || eb.Calls() != 1 {
			t.Errorf("%d refreshes, %d and %d calls", n, ea.Calls(), eb.Calls())
		}
		ra.leg(0).Hangup(core.Reason{Code: core.Normal})
		synctest.Wait()
	})
}

func TestUpdateAndInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		tag := connect(p, "", sdpBody("30000", "sendrecv"))
		p.send(inviteText{method: "UPDATE", branch: "u1", seq: "2", toTag: tag, body: sdpBody("30040", "sendonly")}.String())
		if m := p.expect("SIP/2.0 200"); !strings.Contains(m, "a=recvonly") || e.session(0).flow().Remote.Port() != 30040 {
			t.Error(m)
		}
		// a bad offer leaves the session as it was
		p.send(inviteText{method: "UPDATE", branch: "u2", seq: "3", toTag: tag, body: strings.Replace(sdpBody("30050", "sendrecv"), "8 0 101", "18", 1)}.String())
		p.expect("SIP/2.0 488")
		if e.session(0).flow().Remote.Port() != 30040 || e.Calls() != 1 {
			t.Error("the refused offer changed the call")
		}
		info := func(branch, seq, kind, body string) string {
			return strings.Replace(inviteText{method: "INFO", branch: branch, seq: seq, toTag: tag, body: body}.String(), "application/sdp", kind, 1)
		}
		p.send(info("n1", "4", "application/dtmf-relay", "Signal=5\nDuration=160\n"))
		p.expect("SIP/2.0 200")
		p.send(info("n2", "5", "application/dtmf", "#"))
		p.expect("SIP/2.0 200")
		p.send(info("n3", "6", "application/dtmf", "what"))
		p.expect("SIP/2.0 400")
		p.send(info("n4", "7", "text/plain", "what"))
		p.expect("SIP/2.0 415")
		p.send(inviteText{method: "REFER", branch: "n5", seq: "8", toTag: tag}.String())
		p.expect("SIP/2.0 603")
		p.send(inviteText{method: "OPTIONS", branch: "n6", seq: "9", toTag: tag}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{method: "INFO", branch: "n7", seq: "3", toTag: tag}.String())
		p.expect("SIP/2.0 500") // out of order
		var keys string
		for _, ev := range r.seat(0).list() {
			if d, ok := ev.(core.Digit); ok && d.Via == "info" {
				keys += string(d.Key)
			}
		}
		if keys != "5#" {
			t.Errorf("keys %q", keys)
		}
		for _, ev := range e.kinds(edge.Received) {
			if strings.Contains(string(ev.Message), "Signal=5") {
				t.Error("a key reached the trace")
			}
		}
	})
}

func TestNoMediaAlarmAndTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		connect(p, "", sdpBody("30000", "sendrecv"))
		time.Sleep(4 * time.Second)
		if a := e.kinds(edge.Alarm); len(a) != 1 || !strings.Contains(a[0].Text, "20000") {
			t.Errorf("alarms %+v", a)
		}
		f := e.session(0).flow()
		if f.Timeout != silentFor {
			t.Errorf("time-out %v", f.Timeout)
		}
		f.OnDigit('7')
		f.OnTimeout()
		p.expect("BYE ")
		if why := r.seat(0).leaveReason(); why == nil || why.Code != core.MediaTimeout {
			t.Errorf("left with %v", why)
		}
	})
}

func TestLegSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		tag := connect(p, "", sdpBody("30000", "sendrecv"))
		synctest.Wait()
		l, s := r.leg(0), e.session(0)
		mix := core.Track{Source: core.Mix, Codec: l.Info().Audio}
		sink, err := l.Subscribe(mix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Subscribe(core.Track{Source: core.Camera}); err == nil {
			t.Error("took a picture")
		}
		pkt := &core.Packet{Payload: make([]byte, 160)}
		if n := testing.AllocsPerRun(100, func() { sink.Write(pkt) }); n != 0 {
			t.Errorf("%v allocations per packet out", n)
		}
		if s.sent == 0 {
			t.Error("nothing was sent")
		}
		// a new seat gets the sound, the old one no more
		first := r.seat(0)
		second := r.sit(l)
		synctest.Wait()
		s.sink.Write(pkt)
		if first.got != 0 || second.got != 1 || len(second.tracks) != 1 || second.tracks[0].Codec.Name != "PCMA" {
			t.Errorf("got %d and %d, tracks %+v", first.got, second.got, second.tracks)
		}
		// another codec: the old sink ends, the track is published anew
		p.send(inviteText{branch: "c1", seq: "2", toTag: tag, body: strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "0 101", 1)}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{method: "ACK", branch: "c1a", seq: "2", toTag: tag}.String())
		synctest.Wait()
		if err := sink.Write(pkt); err == nil {
			t.Error("old codec's sink still writes")
		}
		if n := len(second.tracks); n != 2 || second.tracks[1].Codec.Name != "PCMU" {
			t.Errorf("tracks %+v", second.tracks)
		}
		l.Signal(core.Digit{Key: '5'})
		l.Hangup(core.Reason{Code: core.Normal})
		synctest.Wait()
		if s.keys != "5" || second.leaveReason() == nil {
			t.Error("digit or leave missing")
		}
	})
}

func TestUnlistedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, _ := scripted(w, r)
		defer e.stop()
		stranger := w.peer("10.0.0.66:5060", bIP+":5060")
		for range 100 {
			stranger.send(inviteText{branch: "s1", body: sdpBody("30000", "sendrecv")}.String())
		}
		stranger.nothing()
		if n := e.Counters().Unlisted.Load(); n != 100 || len(e.kinds(edge.Received)) != 0 {
			t.Errorf("%d counted, %d traced", n, len(e.kinds(edge.Received)))
		}
	})
}

func TestMediaIsSet(t *testing.T) { var _ session = (*rtpio.Session)(nil) }

// A call may last for hours: its INVITE, with all headers, does not stay that long.
func TestConfirmedCallLetsItsInviteGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		connect(p, "", sdpBody("30000", "sendrecv"))
		time.Sleep(end) // timer L of the transaction
		synctest.Wait()
		l := r.leg(0).(*leg)
		done := make(chan bool)
		l.box.Post(func() { done <- l.state == confirmed && l.incall.tx == nil })
		if !<-done {
			t.Error("the call still holds its transaction")
		}
		e.tx.mu.Lock()
		defer e.tx.mu.Unlock()
		if n := len(e.tx.servers); n != 0 {
			t.Errorf("%d transactions are kept", n)
		}
	})
}

// The 100 that was due in the very moment of the answer.
func TestTimerOvertakenByAResponseDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		connect(p, "", sdpBody("30000", "sendrecv"))
		e.tx.mu.Lock()
		known := maps.Clone(e.tx.servers)
		e.tx.mu.Unlock()
		if len(known) != 1 {
			t.Fatalf("%d transactions", len(known))
		}
		for key, tx := range known {
			tx.expire(tx.timers - 1)
			if e.tx.server(key) != tx {
				t.Error("it has ended the transaction")
			}
		}
		if m := p.read(); m != "" {
			t.Errorf("it has sent %q", m)
		}
	})
}

// The edge's own, which lasts, keeps one that does not end.
func TestAnEndedCallEndsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		tag := connect(p, "", sdpBody("30000", "sendrecv"))
		if err := r.routes[0].Err(); err != nil {
			t.Errorf("in the call: %v", err)
		}
		p.send(inviteText{method: "BYE", branch: "b1", seq: "2", toTag: tag}.String())
		p.expect("SIP/2.0 200")
		synctest.Wait()
		if r.routes[0].Err() == nil {
			t.Error("it has not ended")
		}
	})
}

// TestLadder: the messages of a call are traced with its leg, from the INVITE
// to the BYE; nothing is traced with it after its end; a refused call has a
// name of its own, and a challenged INVITE none.
func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		tag := connect(p, "", sdpBody("30000", "sendrecv"))
		p.send(inviteText{method: "BYE", branch: "b1", seq: "2", toTag: tag}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{branch: "z", id: "call-2", fromTag: "y", body: strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "18", 1)}.String())
		p.expect("SIP/2.0 488")
		ladder := map[string][]string{}
		over := map[string]bool{}
		e.mu.Lock()
		for _, ev := range e.events {
			if over[ev.Leg] {
				t.Errorf("%s %q after the end", ev.Kind, ev.Text)
			}
			line, _, _ := strings.Cut(ev.Text, " sip:")
			if strings.Contains(line, " 183 ") {
				continue // early media, where the leg sits before its answer is posted
			}
			ladder[ev.Leg] = append(ladder[ev.Leg], strings.TrimSpace(string(ev.Kind)+" "+line))
			over[ev.Leg] = ev.Leg != "" && (ev.Kind == edge.Ended || ev.Kind == edge.Refused)
		}
		e.mu.Unlock()
		if len(e.names) != 0 || len(ladder) != 2 {
			t.Errorf("%d names left, ladders %v", len(e.names), ladder)
		}
		want := "received INVITE,started,answered,sent SIP/2.0 200 OK,received ACK,received BYE,sent SIP/2.0 200 OK,ended"
		if got := strings.Join(ladder[r.leg(0).Info().ID], ","); got != want {
			t.Errorf("ladder\n got %s\nwant %s", got, want)
		}
	})
}
