package sip

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// messageText is a MESSAGE, outside of calls unless toTag is set.
func messageText(seq, from, to, toTag, extra, body string) string {
	call := "m" + seq
	if toTag != "" {
		call, toTag = "call-1", ";tag="+toTag
	}
	if !strings.Contains(extra, "Content-Type") {
		extra += "Content-Type: text/plain\n"
	}
	return "MESSAGE sip:" + to + "@bridge.example SIP/2.0\nVia: SIP/2.0/TLS 10.0.0.8:5061;branch=z9hG4bKm" + from + seq + "\nMax-Forwards: 70\nFrom: <sip:" + from +
		"@10.0.0.9>;tag=peertag\nTo: <sip:+15550100@10.0.0.2>" + toTag + "\nCall-ID: " + call + "\nCSeq: " + seq + " MESSAGE\n" + extra + "\n" + body
}

// secureSDP offers SRTP.
func secureSDP() string {
	return strings.Replace(sdpBody("30000", "sendrecv"), "RTP/AVP", "RTP/SAVP", 1) + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
}

// inMeeting connects a registered device's call and has the room place it.
func inMeeting(p *peer, r *testRoom, number string) (tag string) {
	p.t.Helper()
	p.send(strings.NewReplacer("SIP/2.0/UDP", "SIP/2.0/TLS", "sip:+15550199@10.0.0.9", "sip:alice@bridge.example", "+15550100", number).
		Replace(inviteText{branch: "d1", extra: "Allow: INVITE, ACK, BYE, MESSAGE\n", body: secureSDP()}.String()))
	tag = tagOf(value(p.expect("SIP/2.0 200"), "To"))
	p.send(strings.Replace(inviteText{method: "ACK", branch: "d1a", toTag: tag}.String(), "SIP/2.0/UDP", "SIP/2.0/TLS", 1))
	r.leg(0).Signal(core.Placed{Meeting: number, State: core.Joined})
	synctest.Wait()
	return tag
}

func writings(s *testSeat) (list []string) {
	for _, e := range s.list() {
		if t, ok := e.(core.Text); ok {
			list = append(list, t.Body)
		}
	}
	return list
}

func TestDevicesWriteToTheirMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, d := newWorld(t), &testRoom{}, &testDevices{revoked: map[string]bool{}}
		e, devices := tlsEdge(w, r, d)
		defer e.stop()
		one, two := devices.login("10.0.0.8", "alice"), devices.login("10.0.0.18", "bob")
		one.send(messageText("10", "alice", "1000", "", "", "before the call"))
		if m := one.expect("SIP/2.0 403"); !strings.Contains(value(m, "Warning"), "Call this number first") {
			t.Error(m)
		}
		tag := inMeeting(one, r, "1000")
		for _, m := range []struct{ text, want string }{
			{messageText("20", "alice", "1000", tag, "", "within the call"), "200"},
			{messageText("21", "alice", "1000", "", "Content-Type: text/plain;charset=UTF-8\n", "grüße to the number\x07"), "200"},
			{messageText("22", "alice", "1000**4711", "", "", " "), "200"}, // taken, says nothing
			{messageText("23", "alice", "2000", "", "", "to another meeting"), "403"},
			{messageText("24", "alice", "1000", "", "Content-Type: application/im-iscomposing+xml\n", "<x/>"), "415"},
			{messageText("25", "alice", "1000", "", "Content-Type: text/plain;charset=iso-8859-1\n", "x"), "415"},
			{messageText("26", "alice", "1000", "", "Content-Encoding: gzip\n", "x"), "415"},
			{messageText("27", "alice", "1000", "", "", strings.Repeat("x", core.MaxText+1)), "413"},
			{messageText("28", "alice", "1000", "", "", "\xff\xfe"), "400"},
		} {
			one.send(m.text)
			one.expect("SIP/2.0 " + m.want)
		}
		// bob is in no call; a name in From is no proof, nor is a call's identity.
		two.send(strings.NewReplacer("10.0.0.8", "10.0.0.18").Replace(messageText("30", "alice", "1000", "", "", "as alice")))
		two.expect("SIP/2.0 403")
		two.send(strings.NewReplacer("10.0.0.8", "10.0.0.18").Replace(messageText("31", "alice", "1000", tag, "", "in the call of alice")))
		two.expect("SIP/2.0 403")
		stranger := devices.new("10.0.0.28")
		stranger.send(messageText("32", "alice", "1000", "", "", "unknown"))
		ask := stranger.expect("SIP/2.0 401")
		stranger.send(messageText("33", "alice", "1000", "", "Authorization: "+authFor(value(ask, "WWW-Authenticate"), "alice", "wrong", "MESSAGE", "sip:1000@bridge.example", "00000001")+"\n", "guessed"))
		ask = stranger.expect("SIP/2.0 401")
		stranger.send(messageText("34", "alice", "1000", "", "Authorization: "+authFor(value(ask, "WWW-Authenticate"), "alice", "alice-pw", "MESSAGE", "sip:1000@bridge.example", "00000001")+"\n", "proved"))
		stranger.expect("SIP/2.0 200")
		synctest.Wait()
		if got, want := writings(r.seat(0)), []string{"within the call", "grüße to the number", "proved"}; !slices.Equal(got, want) {
			t.Errorf("the meeting reads %q, want %q", got, want)
		}
		for _, ev := range append(e.kinds(edge.Sent), e.kinds(edge.Received)...) {
			if strings.Contains(string(ev.Message), "within the call") {
				t.Error("what was written reached the trace")
			}
		}
	})
}

func TestWritingIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, devices := tlsEdge(w, r, &testDevices{revoked: map[string]bool{}})
		defer e.stop()
		one := devices.login("10.0.0.8", "alice")
		inMeeting(one, r, "1000")
		for i := range writingBurst {
			one.send(messageText(itoa(40+i), "alice", "1000", "", "", "x"))
			one.expect("SIP/2.0 200")
		}
		one.send(messageText("60", "alice", "1000", "", "", "x"))
		if m := one.expect("SIP/2.0 503"); value(m, "Retry-After") == "" {
			t.Error(m)
		}
		time.Sleep(time.Second)
		one.send(messageText("61", "alice", "1000", "", "", "x"))
		one.expect("SIP/2.0 200")
	})
}

// sent counts the messages that an edge has sent of itself.
func sent(e *testEdge) int {
	synctest.Wait()
	return e.messages(edge.Sent, "MESSAGE")
}

// What others write a device is sent one by one, within its call.
func TestDevicesReadTheirMeeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, devices := tlsEdge(w, r, &testDevices{revoked: map[string]bool{}})
		defer e.stop()
		one := devices.login("10.0.0.8", "alice")
		inMeeting(one, r, "1000")
		leg := r.leg(0)
		leg.Signal(core.Text{From: leg.Info().ID, Name: "ALICE", Body: "its own"})
		leg.Signal(core.Text{From: "x", Name: "Anna", Body: "hello\nall"})
		leg.Signal(core.Text{From: "x", Name: "Anna", Body: "again"})
		m := one.expect("MESSAGE ")
		if !strings.HasSuffix(m, "\r\n\r\nAnna: hello\nall") || value(m, "Content-Type") != "text/plain;charset=UTF-8" {
			t.Error(m)
		}
		if n := sent(e); n != 1 {
			t.Errorf("%d before the first is answered", n)
		}
		one.answer(m, 200, "", "")
		m = one.expect("MESSAGE ")
		if !strings.HasSuffix(m, "Anna: again") {
			t.Error(m)
		}
		one.answer(m, 405, "", "")
		synctest.Wait()
		leg.Signal(core.Text{From: "x", Name: "Anna", Body: "it has said that it does not want to know"})
		if n := sent(e); n != 2 {
			t.Errorf("%d in all", n)
		}
	})
}

// What is taken is clean UTF-8 within its bound, whatever comes.
func FuzzWriting(f *testing.F) {
	f.Add("text/plain;charset=utf-8", "hello")
	f.Add("text/plain; charset=\"", "\x00\xff")
	f.Fuzz(func(t *testing.T, kind, body string) {
		req := siplib.NewRequest(siplib.MESSAGE, uri{Scheme: "sip", Host: "x"})
		set(req, "Content-Type", kind)
		req.SetBody([]byte(body))
		text, no := readWriting(req)
		if no == nil && (!utf8.ValidString(text) || len(text) > core.MaxText || strings.ContainsAny(text, "\x00\r\x7f")) {
			t.Errorf("%q", text)
		}
	})
}
