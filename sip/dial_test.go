package sip

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"bridgehead/core"
	"bridgehead/core/edge"
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
		if n := len(e.kinds(edge.Answered)); n != 1 {
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
			if e.Calls() != 0 || e.kinds(edge.Ended)[0].Reason.Code != code {
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
		begun := time.Now()
		done := dialScripted(e, r)
		d := <-done
		if core.ReasonOf(d.err).Code != core.Unreachable || time.Since(begun) != dialTime {
			t.Error(d.err, time.Since(begun))
		}
		n := 0
		for m := p.read(); m != ""; m = p.read() {
			n++
		}
		if n != 4 { // 0, 0.5, 1.5, 3.5 s
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
		for _, ev := range e.kinds(edge.Sent) {
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
		l.fail(bad, penaltyTime)
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
		c := TrunkConfig{Name: "peer", Enabled: true, Mode: Static, Transport: "udp", Host: "carrier.example", CheckEvery: -1}
		if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
			t.Fatal(err)
		}
		two, three := w.peer("10.0.0.52:5060", bIP+":5060"), w.peer("10.0.0.53:5060", bIP+":5060")
		done := dialScripted(e, r)
		time.Sleep(dialTime / 2) // a third for each, so that all are tried within it
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
