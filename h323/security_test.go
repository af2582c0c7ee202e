package h323

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// A man in the middle who makes the call one in clear gets none.
func TestDowngradeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*message)
		who    string // notices
	}{
		"tokens stripped from SETUP": {func(m *message) {
			if s := m.body().Setup; s != nil {
				s.Tokens = nil
			}
		}, "called"},
		"keys stripped from SETUP": {func(m *message) {
			if s := m.body().Setup; s != nil {
				s.Tokens = []h235.ClearToken{marker}
			}
		}, "called"},
		"tokens stripped from the answer": {stripAnswer, "caller"},
		"tokens stripped before the answer": {func(m *message) {
			if c := m.body().Connect; c != nil && len(c.FastStart) > 0 { // it comes earlier
				m.q.Type = q931.Progress
				*m.body() = h225.H323UUPDUH323MessageBody{Progress: &h225.ProgressUUIE{ProtocolIdentifier: c.ProtocolIdentifier,
					DestinationInfo: c.DestinationInfo, CallIdentifier: *c.CallIdentifier, FastStart: c.FastStart}}
			}
			stripAnswer(m)
		}, "caller"},
		"key of no group": {func(m *message) {
			if s := m.body().Setup; s != nil {
				for i := range s.Tokens {
					if k := s.Tokens[i].Dhkey; k != nil {
						k.Halfkey = per.Bits([]byte{1})
					}
					if k := s.Tokens[i].Dhkeyext; k != nil {
						k.Halfkey = per.Bits(append(make([]byte, 511), 1))
					}
				}
			}
		}, "called"},
	} {
		for _, slow := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " slow", false: " fast"}[slow], func(t *testing.T) {
				noLeak(t)
				a, b := newSite(t, Options{}), newSite(t, Options{})
				l := newMiddle(t, b, func(m *message) *message { c.change(m); return m })
				r := fails(t, a, l.address(), DialOptions{Slow: slow})
				at := b
				if c.who == "caller" {
					at = a
				}
				if r.Code != core.NotEncrypted || r.Say == "" {
					t.Errorf("the call fails with %+v", r)
				}
				if n := at.Counters().Downgrade.Load(); n != 1 {
					t.Errorf("%d downgrades are counted", n)
				}
				if !at.traced(edge.Alarm, "H.235.6 is required") {
					t.Error("the ladder has no alarm")
				}
				a.quiet()
				b.quiet()
				ends := 0
				for i, e := range at.trace() {
					if e.Kind == edge.Ended || e.Kind == edge.Refused {
						ends++
						if i != len(at.trace())-1 || at == b && e.Kind != edge.Refused {
							t.Errorf("the ladder ends with %s as number %d of %d", e.Kind, i, len(at.trace()))
						}
					}
				}
				if ends != 1 {
					t.Errorf("the ladder ends %d times", ends)
				}
				select {
				case s := <-a.room.seats:
					t.Errorf("the call was in a room: %+v", s.leg.Info())
				default:
				}
			})
		}
	}
}

func stripAnswer(m *message) {
	b := m.body()
	if b.CallProceeding != nil {
		b.CallProceeding.Tokens = nil
	}
	if b.Progress != nil {
		b.Progress.Tokens = nil
	}
	if b.Connect != nil {
		b.Connect.Tokens = nil
	}
}

// Our own public key that comes back, and one that somebody else has used.
func TestReflectedAndForeignKeys(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	var sent []h235.ClearToken
	l := newMiddle(t, b, func(m *message) *message {
		if s := m.body().Setup; s != nil {
			sent = s.Tokens
		}
		if c := m.body().Connect; c != nil {
			c.Tokens = sent[:1]
		}
		return m
	})
	if r := fails(t, a, l.address(), DialOptions{Slow: true}); r.Code != core.NotEncrypted || !strings.Contains(r.Detail, errReflected.Error()) {
		t.Errorf("with its own key the caller gets %v", r)
	}
	b.quiet()

	w := wireTo(t, b, "127.0.0.2")
	m := w.setup("7001")
	m.body().Setup.Tokens = sent // which 127.0.0.1 has used
	w.send(m)
	w.until(q931.ReleaseComplete)
	b.quiet()
	if e := b.ended(); e.Reason.Code != core.NotEncrypted || !strings.Contains(e.Reason.Detail, errReplayed.Error()) {
		t.Errorf("with another's key the call ends with %v", e.Reason)
	}
	if n := b.Counters().Downgrade.Load(); n != 1 {
		t.Errorf("%d downgrades are counted", n)
	}
	again := wireTo(t, b, "127.0.0.1") // an endpoint may use its own again
	m = again.setup("7001")
	m.body().Setup.Tokens = sent
	again.send(m)
	again.until(q931.Connect)
	again.release()
}

func TestKeysRemembered(t *testing.T) {
	var h halfKeys
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if !h.fresh([]byte{0, 0, 7}, one) || !h.fresh([]byte{7}, one) || h.fresh([]byte{0, 7}, two) {
		t.Error("a key is its number, whatever zeros are before it")
	}
	for i := range 2 * maxHalfKeys {
		h.fresh([]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}, one)
	}
	if len(h.seen) > maxHalfKeys {
		t.Errorf("%d keys are remembered", len(h.seen))
	}
}

// A caller who allows clear media meets one who has no other.
func TestLegacyPeers(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{Legacy: true}), newSite(t, Options{Legacy: true})
	l := newMiddle(t, b, func(m *message) *message {
		if s := m.body().Setup; s != nil {
			s.Tokens = nil
		}
		return m
	})
	for _, slow := range []bool{false, true} {
		c := dial(t, a, b, l.address(), DialOptions{Clear: true, Slow: slow})
		c.talk()
		for _, s := range []*seat{c.a, c.b} {
			if sec := s.leg.Info().Security; sec.Media != "clear" || sec.Suite != "" || sec.Encrypted() {
				t.Errorf("security is %+v", sec)
			}
		}
		c.hangup(c.a)
	}
}

// What is told of a call has neither passcode nor keys pressed nor secrets.
func TestTraceKeepsSecrets(t *testing.T) {
	noLeak(t)
	const passcode = "8315307"
	for _, opt := range []DialOptions{{}, {Slow: true}, {Slow: true, Separate: true}} {
		a, b := newSite(t, Options{}), newSite(t, Options{})
		c := dial(t, a, b, b.address("7001**"+passcode), opt)
		if r := receive(t, "the route", b.routed); r.To != "7001**"+passcode {
			t.Errorf("the call is routed to %q", r.To)
		}
		for _, key := range []byte(passcode) {
			c.a.leg.Signal(core.Digit{Key: key})
			receive(t, "the digit", c.b.digits)
		}
		c.talk()
		keys := keysOf(c)
		c.hangup(c.a)
		if len(keys) < 4 {
			t.Fatalf("the call has %d secrets", len(keys))
		}
		for _, s := range []*site{a, b} {
			mustKeep(t, s, passcode, keys)
			for _, text := range []string{"SETUP", "CALL PROCEEDING", "CONNECT", "RELEASE COMPLETE"} {
				if s == a && !s.traced(edge.Sent, text) && !s.traced(edge.Received, text) {
					t.Errorf("the ladder has no %s", text)
				}
			}
			if e := s.trace(); e[len(e)-1].Kind != edge.Ended {
				t.Errorf("the last is %+v", e[len(e)-1])
			}
		}
	}
}

// keysOf are a call's media keys.
func keysOf(c *call) (keys [][]byte) {
	for _, s := range []*seat{c.a, c.b} {
		l, done := s.leg.(*leg), make(chan struct{})
		l.box.Post(func() {
			defer close(done)
			for _, m := range l.media {
				keys = append(keys, m.in.Key.Bytes, m.out.Key.Bytes)
			}
		})
		receive(c.t, "the keys", done)
	}
	return keys
}

func mustKeep(t *testing.T, s *site, passcode string, keys [][]byte) {
	t.Helper()
	pressed := 0
	for _, e := range s.trace() {
		all := strings.Join([]string{e.Text, string(e.Message), e.From, e.To, e.Reason.Error(), e.Info.Name, e.Info.Address}, "\n")
		if strings.Contains(all, passcode) {
			t.Errorf("the passcode is in %s %s", e.Kind, all)
		}
		mustKeepOnTheWire(t, e, passcode, keys)
		if strings.Contains(e.Text, "userInput") {
			pressed++
			if strings.Contains(string(e.Message), "alphanumeric") || strings.Contains(string(e.Message), "signal") {
				t.Errorf("a key pressed is in %s", all)
			}
		}
		for _, k := range keys {
			if bytes.Contains(e.Message, k) || strings.Contains(strings.ToLower(all), hex.EncodeToString(k)) {
				t.Errorf("a media key is in %s", e.Text)
			}
		}
	}
	if pressed == 0 {
		t.Error("the ladder does not show that keys were pressed")
	}
}

// mustKeepOnTheWire reads what captures have of a message again. Digits are packed
// there, four bits each.
func mustKeepOnTheWire(t *testing.T, e edge.TraceEvent, passcode string, keys [][]byte) {
	t.Helper()
	if e.Wire == nil {
		return
	}
	b, err := q931.ReadTPKT(bufio.NewReader(bytes.NewReader(e.Wire)), nil)
	if err != nil {
		t.Fatalf("%s: %v", e.Text, err)
	}
	all := string(b)
	if !strings.HasPrefix(e.Text, "H.245") {
		m, err := parse(b)
		if err != nil {
			t.Fatalf("%s: %v", e.Text, err)
		}
		if c := m.common(); len(c.crypto) > 0 {
			t.Errorf("%s has %d tokens by which a password could be sought", e.Text, len(c.crypto))
		}
		all += string(jsonOf(&m.u))
		for _, h := range controlTexts(m.pdu().H245Control) {
			all += string(h)
		}
		for _, h := range m.pdu().H245Control {
			if name, _ := controlText(h); name == "userInput" {
				t.Errorf("a key pressed is in %s", e.Text)
			}
		}
	}
	wide := strings.Join(strings.Split(passcode, ""), "\x00")
	if strings.Contains(all, passcode) || strings.Contains(all, wide) {
		t.Errorf("the passcode is in the packet of %s", e.Text)
	}
	for _, k := range keys {
		if bytes.Contains(b, k) {
			t.Errorf("a media key is in the packet of %s", e.Text)
		}
	}
}
