package sip

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
)

// What another trunk may do better, and what it may not.
func TestTrunkSaysWhetherAnotherMayDoBetter(t *testing.T) {
	for status, code := range map[int]core.Code{
		400: core.Incompatible, 401: core.Unauthorized, 407: core.Unauthorized, 420: core.Incompatible, 481: core.Incompatible, 486: core.Busy, 488: core.Incompatible, 491: core.Incompatible,
		600: core.Busy, 603: core.Declined, 699: core.Declined,
		408: core.Unreachable, 500: core.Failure, 501: core.Failure, 502: core.Unreachable, 504: core.Unreachable, 599: core.Failure,
	} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{}
			e, p := scripted(w, r)
			defer e.stop()
			done := dialScripted(e, r)
			p.answer(p.expect("INVITE "), status, "", "")
			if d := <-done; core.ReasonOf(d.err).Code != code {
				t.Errorf("%d: %v, want %s", status, d.err, code)
			}
			p.expect("ACK ")
		})
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	for header, want := range map[string]time.Duration{"120": 2 * time.Minute, " 7 (busy);duration=3": 7 * time.Second, "999999": time.Hour, "-1": 0, "x": 0} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{}
			e, p := scripted(w, r)
			defer e.stop()
			done := dialScripted(e, r)
			p.answer(p.expect("INVITE "), 503, "Retry-After: "+header+"\r\n", "")
			d := <-done
			var busy *Busy
			if got := errors.As(d.err, &busy); got != (want > 0) || got && busy.RetryAfter() != want || core.ReasonOf(d.err).Code != core.Overload {
				t.Errorf("%q: %v, %+v", header, d.err, busy)
			}
		})
	}
}

// A server that dies while the called telephone rings is noticed where its
// connection shows it.
func TestConnectionClosesWhileItRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e := w.edge(bIP, Options{}, r, "tcp")
		defer e.stop()
		l := w.listen(peerAddr)
		c := staticTrunk("peer", "10.0.0.9")
		c.Transport = "tcp"
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		done := dialScripted(e, r)
		conn, _ := l.Accept()
		p := &peer{t: t, c: conn}
		p.answer(p.expect("INVITE "), 180, "", "")
		if d := <-done; d.err != nil {
			t.Fatal(d.err)
		}
		conn.Close()
		synctest.Wait()
		if len(r.failed) != 1 || r.failed[0].Code != core.Unreachable || e.Calls() != 0 {
			t.Errorf("told %v, %d calls", r.failed, e.Calls())
		}
	})
}

// However many servers a trunk has, they do not keep its caller for longer.
func TestManySilentServersAreLeftTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		z := memDNS{}
		for i := range 12 {
			host := "s" + itoa(i)
			z["_sip._udp.carrier.example SRV"] = append(z["_sip._udp.carrier.example SRV"], itoa(i)+" 0 5060 "+host+".")
			z[host+" A"] = []string{"10.0.1." + itoa(i+1)}
		}
		e := w.edge(bIP, Options{Resolver: z}, r, "udp")
		defer e.stop()
		if err := e.SetTrunks([]TrunkConfig{{Name: "peer", Enabled: true, Mode: Static, Transport: "udp", Host: "carrier.example", CheckEvery: -1}}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if d := <-dialScripted(e, r); core.ReasonOf(d.err).Code != core.Unreachable || time.Since(begun) != dialTime {
			t.Error(d.err, time.Since(begun))
		}
	})
}

// The end of the caller's patience ends a call that rings.
func TestCallThatNobodyAnswersIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		line, _ := e.Line("peer")
		done := make(chan error, 1)
		go func() { _, err := line.Dial(ctx, "+4912345", "", r); done <- err }()
		inv := p.expect("INVITE ")
		p.answer(inv, 180, "", "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		cancelled := p.expect("CANCEL ")
		p.answer(cancelled, 200, "", "")
		p.answer(inv, 487, "", "")
		p.expect("ACK ")
		synctest.Wait()
		if len(r.failed) != 1 || r.failed[0].Code != core.NoAnswer || e.Calls() != 0 {
			t.Errorf("told %v", r.failed)
		}
	})
}

// A trunk may send a call on to another server of its own, and nowhere else.
func TestRedirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := scripted(w, r)
		defer e.stop()
		c := staticTrunk("peer", "10.0.0.9")
		c.Sources = append(c.Sources, netip.MustParsePrefix("10.0.0.10/32"))
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		other := w.peer("10.0.0.10:5070", bIP+":5060")
		redirect := func(req, contact string) {
			p.send(strings.Replace(reply302(req), "CONTACT", contact, 1))
		}
		done := dialScripted(e, r)
		redirect(p.expect("INVITE "), "<sip:+900@10.0.0.10:5070>")
		p.expect("ACK ")
		inv := other.expect("INVITE sip:+4912345@10.0.0.10:5070")
		other.answer(inv, 200, "", sdpBody("30000", "sendrecv"))
		if d := <-done; d.err != nil {
			t.Fatal(d.err)
		}
		other.expect("ACK ")
		// in a circle
		done = dialScripted(e, r)
		for range 1 + maxRedirects {
			redirect(p.expect("INVITE "), "<sip:x@10.0.0.9:5060>")
			p.expect("ACK ")
		}
		if d := <-done; core.ReasonOf(d.err).Code != core.Incompatible {
			t.Error(d.err)
		}
		// to a stranger
		for _, contact := range []string{"<sip:+900@10.0.0.66>", "<tel:+900>", "<sip:nowhere.invalid>"} {
			done = dialScripted(e, r)
			redirect(p.expect("INVITE "), contact)
			p.expect("ACK ")
			if d := <-done; core.ReasonOf(d.err).Code != core.Incompatible {
				t.Error(contact, d.err)
			}
			p.nothing()
		}
		if e.Calls() != 1 {
			t.Errorf("%d calls", e.Calls())
		}
	})
}

// reply302 is a redirection of a request; its contact is to be filled in.
func reply302(req string) string {
	head, _, _ := strings.Cut(req, "\r\n\r\n")
	out := "SIP/2.0 302 Moved\nContact: CONTACT\n"
	for _, line := range strings.Split(head, "\r\n")[1:] {
		switch name, _, _ := strings.Cut(line, ":"); strings.ToLower(name) {
		case "to":
			out += line + ";tag=moved\n"
		case "via", "from", "call-id", "cseq":
			out += line + "\n"
		}
	}
	return out + "\n"
}
