package sip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
)

func TestRefusals(t *testing.T) {
	cases := []struct {
		code   core.Code
		status string
		header string
	}{
		{core.NotFound, "SIP/2.0 404 ", ""}, {core.WrongPasscode, "SIP/2.0 403 ", ""}, {core.Locked, "SIP/2.0 403 ", ""},
		{core.Full, "SIP/2.0 486 ", ""}, {core.Overload, "SIP/2.0 503 ", "Retry-After"}, {core.NotEncrypted, "SIP/2.0 488 ", "Warning"},
		{core.Rejected, "SIP/2.0 603 ", ""}, {core.Shutdown, "SIP/2.0 503 ", "Retry-After"}, {core.Failure, "SIP/2.0 500 ", ""},
	}
	for _, c := range cases {
		for _, byRoute := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w, r := newWorld(t), &testRoom{hold: true}
				if byRoute {
					r.route = core.Reason{Code: c.code, Say: "No."}
				}
				e, p := scripted(w, r)
				defer e.stop()
				p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
				if !byRoute {
					synctest.Wait()
					r.leg(0).Hangup(core.Reason{Code: c.code, Say: "No."})
				}
				m := p.expect(c.status)
				if c.header != "" && value(m, c.header) == "" {
					t.Errorf("no %s:\n%s", c.header, m)
				}
				if !strings.Contains(value(m, "Reason"), "Q.850;cause=") {
					t.Errorf("no Reason:\n%s", m)
				}
				// repeated until the ACK
				time.Sleep(600 * time.Millisecond)
				p.expect(c.status)
				p.send(inviteText{method: "ACK", branch: "i1"}.String())
				time.Sleep(10 * time.Second)
				p.nothing()
				if ended := e.kinds(edge.Ended); len(ended) != 1 || ended[0].Status == 0 || ended[0].Reason.Code != c.code {
					t.Errorf("recorded as %+v", ended)
				}
			})
		}
	}
}

func TestWrongRequests(t *testing.T) {
	cases := []struct{ name, text, status string }{
		{"Max-Forwards 0", strings.Replace(inviteText{branch: "x1"}.String(), "Max-Forwards: 70", "Max-Forwards: 0", 1), "SIP/2.0 483"},
		{"Require", inviteText{branch: "x2", extra: "Require: nothingSupportsThis\n"}.String(), "SIP/2.0 420"},
		{"other body", strings.Replace(inviteText{branch: "x3", body: "hello"}.String(), "application/sdp", "text/plain", 1), "SIP/2.0 415"},
		{"encoded body", inviteText{branch: "x4", extra: "Content-Encoding: gzip\n", body: "hello"}.String(), "SIP/2.0 415"},
		{"bad SDP", inviteText{branch: "x5", body: "v=0\nm=audio 99999 RTP/AVP 0\n"}.String(), "SIP/2.0 400"},
		{"no common codec", inviteText{branch: "x6", body: strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "18 101", 1)}.String(), "SIP/2.0 488"},
		{"no audio", inviteText{branch: "x7", body: strings.Replace(sdpBody("30000", "sendrecv"), "m=audio", "m=video", 1)}.String(), "SIP/2.0 488"},
		{"encrypted on a clear trunk", inviteText{branch: "x8", body: strings.Replace(sdpBody("30000", "sendrecv"), "RTP/AVP", "RTP/SAVP", 1)}.String(), "SIP/2.0 488"},
		{"short session", inviteText{branch: "x9", extra: "Supported: timer\nSession-Expires: 60\n", body: sdpBody("30000", "sendrecv")}.String(), "SIP/2.0 422"},
		{"scheme", strings.Replace(inviteText{branch: "x10"}.String(), "INVITE sip:", "INVITE mailto:", 1), "SIP/2.0 416"},
		{"unknown method", inviteText{method: "NEWMETHOD", branch: "x11"}.String(), "SIP/2.0 405"},
		{"BYE of no call", inviteText{method: "BYE", branch: "x12", toTag: "nobody"}.String(), "SIP/2.0 481"},
		{"MESSAGE", inviteText{method: "MESSAGE", branch: "x13"}.String(), "SIP/2.0 403"},
		{"SUBSCRIBE", inviteText{method: "SUBSCRIBE", branch: "x14"}.String(), "SIP/2.0 489"},
		{"REFER", inviteText{method: "REFER", branch: "x15"}.String(), "SIP/2.0 403"},
		{"clear REGISTER", inviteText{method: "REGISTER", branch: "x16"}.String(), "SIP/2.0 403"},
		{"OPTIONS", inviteText{method: "OPTIONS", branch: "x17"}.String(), "SIP/2.0 200"},
		{"CANCEL of nothing", inviteText{method: "CANCEL", branch: "x18"}.String(), "SIP/2.0 481"},
		{"version", strings.Replace(inviteText{branch: "x19"}.String(), "SIP/2.0\n", "SIP/7.0\n", 1), "SIP/2.0 505"},
		{"two Froms", inviteText{branch: "x20", extra: "f: <sip:x@y>;tag=z\n"}.String(), "SIP/2.0 400"},
		{"CSeq method", strings.Replace(inviteText{branch: "x21"}.String(), "1 INVITE", "1 OPTIONS", 1), "SIP/2.0 400"},
		{"payload type", inviteText{branch: "x22", body: strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "4294967296", 1)}.String(), "SIP/2.0 400"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := newWorld(t), &testRoom{}
				e, p := scripted(w, r)
				defer e.stop()
				p.send(c.text)
				p.expect(c.status)
				if e.Calls() != 0 || len(r.legs) != 0 {
					t.Error("a call came of it")
				}
				if s := e.session(0); s != nil && !s.closed {
					t.Error("a port stays open")
				}
			})
		})
	}
}

func TestMergedAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{branch: "i2", body: sdpBody("30000", "sendrecv")}.String())
		p.expect("SIP/2.0 482")
		p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
		p.nothing()
		if e.Calls() != 1 {
			t.Errorf("%d calls", e.Calls())
		}
	})
}
