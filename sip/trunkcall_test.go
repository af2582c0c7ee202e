package sip

import (
	"cmp"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
)

// trunkWith is a scripted peer behind a trunk with settings of its own.
func trunkWith(w *world, r *testRoom, change func(*TrunkConfig)) (*testEdge, *peer) {
	w.t.Helper()
	e := w.edge(bIP, Options{Domain: "bridge.example"}, r, "udp")
	c := staticTrunk("peer", "10.0.0.9")
	change(&c)
	if err := e.SetTrunks([]TrunkConfig{c}); err != nil {
		w.t.Fatal(err)
	}
	return e, w.peer(peerAddr, bIP+":5060")
}

func TestTrunkSettingsOfCallsOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*TrunkConfig)
		has    []string
		hasNot []string
	}{
		{"as it is", func(*TrunkConfig) {}, []string{"Supported: 100rel, timer\r\n", "Session-Expires: 1800\r\n", "Min-SE: 90\r\n", "a=ptime:20\r\n", "telephone-event", "c=IN IP4 10.0.0.2\r\n", "From: <sip:+15550199@"}, []string{"Require:", "Privacy:", "a=crypto"}},
		{"timer", func(c *TrunkConfig) { c.SessionExpires, c.MinSE = 10*time.Minute, 2*time.Minute }, []string{"Session-Expires: 600\r\n", "Min-SE: 120\r\n"}, nil},
		{"no timer", func(c *TrunkConfig) { c.SessionExpires = -1 }, []string{"Supported: 100rel\r\n"}, []string{"Session-Expires", "Min-SE"}},
		{"reliable", func(c *TrunkConfig) { c.Reliable = "required" }, []string{"Require: 100rel\r\n"}, nil},
		{"not reliable", func(c *TrunkConfig) { c.Reliable = "never" }, []string{"Supported: timer\r\n"}, nil},
		{"packet time", func(c *TrunkConfig) { c.Ptime = 30 * time.Millisecond }, []string{"a=ptime:30\r\n"}, nil},
		{"keys by INFO", func(c *TrunkConfig) { c.DTMF = []string{"info"} }, nil, []string{"telephone-event"}},
		{"address", func(c *TrunkConfig) { c.Advertise = netip.MustParseAddr("203.0.113.9") }, []string{"c=IN IP4 203.0.113.9\r\n", "Via: SIP/2.0/UDP 203.0.113.9:5060", "Contact: <sip:+15550199@203.0.113.9:5060"}, []string{"10.0.0.2"}},
		{"headers", func(c *TrunkConfig) { c.Headers = map[string]string{"X-Account": "77", "Diversion": "<sip:+1@x>"} }, []string{"X-Account: 77\r\n", "Diversion: <sip:+1@x>\r\n"}, nil},
		{"private", func(c *TrunkConfig) { c.Private = true }, []string{`From: "Anonymous" <sip:anonymous@anonymous.invalid>`, "P-Asserted-Identity: <sip:+15550199@10.0.0.9>\r\n", "Privacy: id\r\n"}, nil},
		{"suites", func(c *TrunkConfig) { c.Media, c.Suites = "optional", []string{"AES_CM_128_HMAC_SHA1_32"} }, []string{"AES_CM_128_HMAC_SHA1_32"}, []string{"SHA1_80"}},
		{"codecs", func(c *TrunkConfig) { c.Codecs = []string{"PCMU", "PCMA"} }, []string{"RTP/AVP 0 8 101\r\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := newWorld(t), &testRoom{}
				e, p := trunkWith(w, r, c.change)
				defer e.stop()
				done := dialScripted(e, r)
				inv := p.expect("INVITE ")
				for _, s := range c.has {
					if !strings.Contains(inv, s) {
						t.Errorf("%q is missing in\n%s", s, inv)
					}
				}
				for _, s := range c.hasNot {
					if strings.Contains(inv, s) {
						t.Errorf("%q is in\n%s", s, inv)
					}
				}
				p.answer(inv, 486, "", "")
				<-done
			})
		})
	}
}

func TestTrunkSettingsOfCallsIn(t *testing.T) {
	for _, c := range []struct {
		name, extra string
		change      func(*TrunkConfig)
		want, has   string
	}{
		{"PRACK is off", "Require: 100rel\n", func(c *TrunkConfig) { c.Reliable = "never" }, "SIP/2.0 420", "Unsupported: 100rel"},
		{"PRACK is off, and was only offered", "Supported: 100rel\n", func(c *TrunkConfig) { c.Reliable = "never" }, "SIP/2.0 200", "Supported: timer\r\n"},
		{"PRACK is required", "", func(c *TrunkConfig) { c.Reliable = "required" }, "SIP/2.0 421", "Require: 100rel"},
		{"a longer session at least", "Supported: timer\nSession-Expires: 100\n", func(c *TrunkConfig) { c.MinSE = 2 * time.Minute }, "SIP/2.0 422", "Min-SE: 120"},
		{"packet time", "", func(c *TrunkConfig) { c.Ptime = 40 * time.Millisecond }, "SIP/2.0 200", "a=ptime:40\r\n"},
		{"address", "", func(c *TrunkConfig) { c.Advertise = netip.MustParseAddr("203.0.113.9") }, "SIP/2.0 200", "c=IN IP4 203.0.113.9\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := newWorld(t), &testRoom{}
				e, p := trunkWith(w, r, c.change)
				defer e.stop()
				p.send(inviteText{branch: "i1", extra: c.extra, body: strings.Replace(sdpBody("30000", "sendrecv"), "a=ptime:20\n", "", 1)}.String())
				if m := p.expect(c.want); !strings.Contains(m, c.has) {
					t.Errorf("%q is missing in\n%s", c.has, m)
				}
			})
		})
	}
}

func TestTrunkSettingsWithinCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := trunkWith(w, r, func(c *TrunkConfig) {
			c.DTMF, c.MaxDuration, c.MediaTimeout, c.HoldTimeout, c.DSCP = []string{"rfc4733"}, time.Hour, 20*time.Second, 2*time.Minute, 34
		})
		defer e.stop()
		tag := connect(p, "", strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "8 0", 1))
		s := e.session(0)
		if f := s.flow(); f.Timeout != 20*time.Second || s.dscp != 34 {
			t.Errorf("time-out %v, DSCP %d", f.Timeout, s.dscp)
		}
		if r.leg(0).Info().InbandDigits {
			t.Error("tones are listened for")
		}
		p.send(strings.Replace(inviteText{method: "INFO", branch: "n1", seq: "2", toTag: tag, body: "Signal=5\n"}.String(), "application/sdp", "application/dtmf-relay", 1))
		p.expect("SIP/2.0 415")
		p.send(inviteText{branch: "h1", seq: "3", toTag: tag, body: sdpBody("30000", "sendonly")}.String())
		p.expect("SIP/2.0 200")
		p.send(inviteText{method: "ACK", branch: "h1a", seq: "3", toTag: tag}.String())
		synctest.Wait()
		if f := s.flow(); f.Timeout != 2*time.Minute {
			t.Errorf("time-out on hold %v", f.Timeout)
		}
		time.Sleep(time.Hour)
		if bye := p.expect("BYE "); !strings.Contains(value(bye, "Reason"), "cause=16") {
			t.Error(bye)
		}
	})
}

// Keys go out by INFO where telephone events were not agreed on.
func TestKeysGoOutByINFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := trunkWith(w, r, func(c *TrunkConfig) { c.DTMF = []string{"info"} })
		defer e.stop()
		done := dialScripted(e, r)
		p.answer(p.expect("INVITE "), 200, "Allow: INVITE, ACK, BYE, INFO\r\n", strings.Replace(sdpBody("30000", "sendrecv"), "8 0 101", "8 0", 1))
		<-done
		p.expect("ACK ")
		synctest.Wait()
		r.leg(0).Signal(core.Digit{Key: '7'})
		if m := p.expect("INFO "); !strings.Contains(m, "Signal=7\r\n") || e.session(0).keys != "" {
			t.Error(m)
		}
	})
}

func TestCallsInProveThePassword(t *testing.T) {
	for _, only := range []string{"", MD5, SHA256} {
		callsInProveThePassword(t, only)
	}
}

func callsInProveThePassword(t *testing.T, only string) {
	algorithm := cmp.Or(only, SHA256)
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t), &testRoom{}
		e, p := trunkWith(w, r, func(c *TrunkConfig) { c.InUser, c.InPassword, c.Digest = "carrier", "s3cret", only })
		defer e.stop()
		call := func(n, password string) inviteText {
			i := inviteText{branch: "i" + n, seq: n, body: sdpBody("30000", "sendrecv")}
			p.send(i.String())
			ask := p.expect("SIP/2.0 401")
			p.send(inviteText{method: "ACK", branch: "i" + n, seq: n, toTag: tagOf(value(ask, "To"))}.String())
			if only != "" && (strings.Count(ask, "WWW-Authenticate") != 1 || !strings.Contains(ask, "algorithm="+only)) {
				t.Error(ask)
			}
			challenge, _ := parseDigest(value(ask, "WWW-Authenticate"))
			req, err := parse([]byte(strings.ReplaceAll(strings.TrimLeft(i.String(), "\n"), "\n", "\r\n") + "\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			l := &login{user: "carrier", password: password}
			i.branch, i.seq = "j"+n, n+"1"
			i.extra = "Authorization: " + l.credentials(challenge, algorithm, req.(*request)) + "\n"
			return i
		}
		p.send(call("1", "wrong").String())
		p.expect("SIP/2.0 401")
		i := call("2", "s3cret")
		p.send(i.String())
		p.expect("SIP/2.0 200")
		if len(r.calls) != 1 || r.calls[0].Trunk != "peer" {
			t.Errorf("calls %+v", r.calls)
		}
	})
}

func TestAlgorithmOfATrunkIsTheOnlyOneAnswered(t *testing.T) {
	for only, want := range map[string]string{"": SHA256, MD5: MD5, SHA256: SHA256} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{}
			e, p := trunkWith(w, r, func(c *TrunkConfig) { c.User, c.Password, c.Digest = "acct", "s3cret", only })
			defer e.stop()
			done := dialScripted(e, r)
			p.answer(p.expect("INVITE "), 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"a\", algorithm=MD5\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"b\", algorithm=SHA-256\r\n", "")
			p.expect("ACK ")
			inv := p.expect("INVITE ")
			if c, _ := parseDigest(value(inv, "Authorization")); c["algorithm"] != want {
				t.Errorf("%q: %v", only, c)
			}
			p.answer(inv, 486, "", "")
			<-done
		})
	}
}

// Whoever is called names an address of its own for the rest of the call; the
// trunk's password is not for it.
func TestPasswordIsForTheTrunkAlone(t *testing.T) {
	for _, own := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{}
			e, p := trunkWith(w, r, func(c *TrunkConfig) { c.User, c.Password = "acct", "s3cret" })
			defer e.stop()
			other := w.peer("10.0.0.66:5060", bIP+":5060")
			done := dialScripted(e, r)
			inv := p.expect("INVITE ")
			at := map[bool]*peer{true: p, false: other}[own]
			e.guard.know(other.p.addr.Addr()) // as if it were let in
			at.answer(inv, 200, "", sdpBody("30000", "sendrecv"))
			<-done
			at.expect("ACK ")
			synctest.Wait()
			r.leg(0).Hangup(core.Reason{Code: core.Normal})
			at.answer(at.expect("BYE "), 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"abc\"\r\n", "")
			again := at.read()
			if answered := strings.Contains(again, "Authorization: Digest"); answered != own {
				t.Errorf("from the trunk %v: answered %v: %s", own, answered, again)
			}
		})
	}
}

func TestTrunkSettingsAreChecked(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, change := range map[string]func(*TrunkConfig){
		"digest": func(c *TrunkConfig) { c.Digest = "ROT13" }, "suite": func(c *TrunkConfig) { c.Suites = []string{"ROT13"} }, "packet time": func(c *TrunkConfig) { c.Ptime = 25 * time.Millisecond },
		"keys": func(c *TrunkConfig) { c.DTMF = []string{"morse"} }, "PRACK": func(c *TrunkConfig) { c.Reliable = "maybe" },
		"caller": func(c *TrunkConfig) { c.CallerID = []string{"guess"} }, "Min-SE": func(c *TrunkConfig) { c.MinSE = time.Minute },
		"timer": func(c *TrunkConfig) { c.SessionExpires = time.Minute }, "DSCP": func(c *TrunkConfig) { c.DSCP = 64 },
		"own header": func(c *TrunkConfig) { c.Headers = map[string]string{"via": "x"} }, "compact header": func(c *TrunkConfig) { c.Headers = map[string]string{"f": "x"} },
		"smuggled header": func(c *TrunkConfig) { c.Headers = map[string]string{"X-A": "1\r\nVia: x"} }, "no header": func(c *TrunkConfig) { c.Headers = map[string]string{"X A": "1"} },
	} {
		c := staticTrunk("t", "10.0.0.9")
		change(&c)
		if e.SetTrunks([]TrunkConfig{c}) == nil {
			t.Errorf("%s: a bad setting passed", name)
		}
	}
}

func TestCallersNumberIsLookedForInOrder(t *testing.T) {
	text := strings.ReplaceAll(strings.TrimLeft(inviteText{branch: "i", extra: "P-Asserted-Identity: \"Pat\" <sip:+111@x>\nRemote-Party-ID: <sip:+222@x>\n"}.String(), "\n"), "\n", "\r\n") + "\r\n"
	m, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	from := m.(*request).From().Address.User
	for order, want := range map[string]string{"": "+111", "rpid pai": "+222", "from": from, "pai from": "+111"} {
		tr := &trunk{config: TrunkConfig{CallerID: strings.Fields(order)}}
		if order == "" {
			tr.config.CallerID = nil
		}
		if _, number := tr.callerID(m.(*request)); number != want {
			t.Errorf("%q: %s, want %s", order, number, want)
		}
	}
}

func TestNothingIsHeardBeforeTheAnswer(t *testing.T) {
	for _, off := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, r := newWorld(t), &testRoom{hold: true} // seated, not answered
			e, p := trunkWith(w, r, func(c *TrunkConfig) { c.NoEarlyMedia = off })
			defer e.stop()
			p.send(inviteText{branch: "i1", body: sdpBody("30000", "sendrecv")}.String())
			time.Sleep(trying)
			if early := strings.HasPrefix(p.read(), "SIP/2.0 183"); early == off {
				t.Errorf("early media %v", early)
			}
			p.send(inviteText{method: "CANCEL", branch: "i1"}.String())
			p.expect("SIP/2.0 487")
		})
	}
}
