package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// A guesser is refused even the right password, but not the device that has
// registered over its connection before; and the punishment ends.
func TestWrongPasswordsCountPerSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, d := newWorld(t), &testRoom{}, &testDevices{revoked: map[string]bool{}}
		e, devices := tlsEdge(w, r, d)
		defer e.stop()
		alice := devices.login("10.0.0.8", "alice")
		bob := devices.new("10.0.0.8")
		seq := 0
		try := func(p *peer, user, pw string) string {
			seq++
			p.send(registerText(user, fmt.Sprint(10*seq), "", "600"))
			ask := p.expect("SIP/2.0 401")
			p.send(registerText(user, fmt.Sprint(10*seq+1), authFor(value(ask, "WWW-Authenticate"), user, pw, "REGISTER", "sip:bridge.example", "00000001"), "600"))
			return p.expect("SIP/2.0 ")
		}
		for i := range wrongBurst {
			if m := try(bob, "bob", "guess"); !strings.HasPrefix(m, "SIP/2.0 401") {
				t.Fatalf("guess %d: %s", i, m)
			}
		}
		if m := try(bob, "bob", "bob-pw"); !strings.HasPrefix(m, "SIP/2.0 403") || !strings.Contains(m, "Too many wrong passwords") {
			t.Errorf("the guesser's right password: %s", m)
		}
		if m := try(alice, "alice", "alice-pw"); !strings.HasPrefix(m, "SIP/2.0 200") {
			t.Errorf("the registered device: %s", m)
		}
		other := devices.new("10.0.0.9")
		if m := try(other, "bob", "bob-pw"); !strings.HasPrefix(m, "SIP/2.0 200") {
			t.Errorf("another source: %s", m)
		}
		time.Sleep(2 * time.Minute)
		late := devices.new("10.0.0.8")
		if m := try(late, "bob", "bob-pw"); !strings.HasPrefix(m, "SIP/2.0 200") {
			t.Errorf("two minutes later: %s", m)
		}
	})
}

func TestStrangersCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(Options{CallsPerSource: 15, SetupsPerSource: 5}, &Counters{})
		a, b := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
		let := func(from netip.Addr, n int) (in int) {
			for range n {
				if err := g.callers.Enter(from); err == nil {
					in++
				} else if r := core.ReasonOf(err); r.Code != core.Overload || r.Say == "" {
					t.Fatalf("refused with %+v", r)
				}
			}
			return in
		}
		if n := let(a, 100); n != 10 {
			t.Errorf("%d calls at once, want two seconds' worth", n)
		}
		time.Sleep(time.Second)
		if n := let(a, 100); n != 5 {
			t.Errorf("%d calls a second later, want 5", n)
		}
		time.Sleep(time.Minute)
		if n := let(a, 100); n != 0 {
			t.Errorf("%d calls beyond the bound of one source", n)
		}
		if n := let(b, 1); n != 1 {
			t.Error("another source is refused too")
		}
		g.callers.Leave(a)
		time.Sleep(time.Minute)
		if n := let(a, 100); n != 1 {
			t.Errorf("%d calls after one has ended, want 1", n)
		}
	})
}

func TestPlainOffersNoKeys(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to   string
		opt  DialOptions
		want sdp.Policy
	}{
		{"sip:x@192.0.2.1", DialOptions{Clear: true, Plain: true}, sdp.Never},
		{"sip:x@192.0.2.1", DialOptions{Clear: true}, sdp.Optional},
		{"sips:x@192.0.2.1", DialOptions{Clear: true, Plain: true}, sdp.Required},
		{"sip:x@192.0.2.1", DialOptions{Plain: true}, sdp.Required},
	} {
		if s, err := e.specOf(c.to, c.opt); err != nil || s.policy != c.want {
			t.Errorf("%s %+v: policy %v, %v", c.to, c.opt, s.policy, err)
		}
	}
}

// Whatever a call out ends with, a host can read why.
func TestEveryFailureOfACallOutSaysSo(t *testing.T) {
	for status := 400; status < 700; status++ {
		if r := edge.InWords(core.Reason{Code: codeOf(status)}); r.Say == "" {
			t.Errorf("status %d, code %s: nothing to read", status, r.Code)
		}
	}
	if r := edge.InWords(core.ReasonOf(errors.New("broken"))); r.Say == "" {
		t.Error("an error of ours says nothing")
	}
}
