package h323

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// What a peer that has no channels says in H.245.
var (
	emptySet = control245(&h245.MultimediaSystemControlMessage{Request: &h245.RequestMessage{TerminalCapabilitySet: &h245.TerminalCapabilitySet{
		SequenceNumber: 1, ProtocolIdentifier: "0.0.8.245.0.7"}}})
	determination = control245(&h245.MultimediaSystemControlMessage{Request: &h245.RequestMessage{MasterSlaveDetermination: &h245.MasterSlaveDetermination{
		TerminalType: 50, StatusDeterminationNumber: 1234567}}})
	roundTrip = control245(&h245.MultimediaSystemControlMessage{Request: &h245.RequestMessage{RoundTripDelayRequest: &h245.RoundTripDelayRequest{SequenceNumber: 9}}})
)

func control245(m *h245.MultimediaSystemControlMessage) []byte {
	b, err := per.Encode(m)
	if err != nil {
		panic(err)
	}
	return b
}

// answers reads until H.245 answers of these kinds have come, tunnelled or not.
func (w *wire) answers(capabilities, master, delay bool) {
	w.t.Helper()
	for capabilities || master || delay {
		m, err := w.next()
		if err != nil {
			w.t.Fatalf("capabilities, determination, round trip still unanswered: %v %v %v: %v", capabilities, master, delay, err)
		}
		for _, b := range m.pdu().H245Control {
			answered(b, &capabilities, &master, &delay)
		}
	}
}

func answered(b []byte, capabilities, master, delay *bool) {
	var m h245.MultimediaSystemControlMessage
	if _, err := per.Decode(b, &m); err != nil || m.Response == nil {
		return
	}
	switch r := m.Response; {
	case r.TerminalCapabilitySetAck != nil:
		*capabilities = false
	case r.MasterSlaveDeterminationAck != nil:
		*master = false
	case r.RoundTripDelayResponse != nil:
		*delay = false
	}
}

// listens waits for the edge's H.245 connection and speaks over it.
func (l *trap) mustSpeakControl() {
	l.t.Helper()
	l.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		l.t.Fatalf("no H.245 connection: %v", err)
	}
	controlOver(l.t, c)
}

func controlOver(t testing.TB, c net.Conn) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(append(tpkt(nil), append(tpkt(emptySet), tpkt(roundTrip)...)...))
	capabilities, master, delay := true, false, true
	for capabilities || delay {
		b, err := q931.ReadTPKT(c, nil)
		if err != nil {
			t.Fatalf("H.245 is not answered: %v", err)
		}
		answered(b, &capabilities, &master, &delay)
	}
}

func (l *trap) at() *h225.TransportAddress { return transport(addrPort(l.Addr())) }

func TestControlBeginsAsThePeerLikes(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, w *wire){
		"H.245 in SETUP": func(t *testing.T, w *wire) {
			m := w.setup("7001")
			m.pdu().H245Control = []per.OctetString{emptySet, determination}
			w.send(m)
			w.answers(true, true, false)
		},
		"parallelH245Control": func(t *testing.T, w *wire) {
			m := w.setup("7001")
			m.body().Setup.ParallelH245Control = []per.OctetString{emptySet, determination}
			w.send(m)
			w.answers(true, true, false)
		},
		"several messages in one FACILITY": func(t *testing.T, w *wire) {
			w.send(w.setup("7001"))
			w.until(q931.Connect)
			w.tunnelled(emptySet, determination, roundTrip)
			w.answers(true, true, true)
		},
		"early, at the address in SETUP": func(t *testing.T, w *wire) {
			w.tunnel = false
			l, m := newTrap(t), w.setup("7001")
			m.body().Setup.H245Address = l.at()
			w.send(m)
			l.mustSpeakControl()
		},
		"at the address in CONNECT": func(t *testing.T, w *wire) {
			w.tunnel = false
			w.send(w.setup("7001"))
			at, ok := addressOf(w.until(q931.Connect).body().Connect.H245Address)
			if !ok {
				t.Fatal("CONNECT has no address for H.245")
			}
			c, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			controlOver(t, c)
		},
		"FACILITY startH245": func(t *testing.T, w *wire) {
			w.tunnel = false
			w.send(w.setup("7001"))
			w.until(q931.Connect)
			l := newTrap(t)
			w.startControl(l.at())
			l.mustSpeakControl()
		},
		"FACILITY startH245 without address": func(t *testing.T, w *wire) {
			w.tunnel = false
			w.send(w.setup("7001"))
			w.until(q931.Connect)
			w.startControl(nil)
			at, ok := addressOf(w.until(q931.Facility).body().Facility.H245Address)
			if !ok {
				t.Fatal("FACILITY has no address for H.245")
			}
			c, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			controlOver(t, c)
		},
		"from tunnelling to a connection": func(t *testing.T, w *wire) {
			w.send(w.setup("7001"))
			w.until(q931.Connect)
			w.tunnelled(emptySet)
			w.answers(true, false, false)
			l := newTrap(t)
			w.startControl(l.at())
			l.mustSpeakControl()
		},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			s := newSite(t, Options{Legacy: true})
			w := wireTo(t, s, "127.0.0.1")
			f(t, w)
			w.release()
			s.quiet()
		})
	}
}

func (w *wire) startControl(at *h225.TransportAddress) {
	m := w.message(q931.Facility)
	m.body().Empty = nil
	m.body().Facility = &h225.FacilityUUIE{ProtocolIdentifier: protocolID, Reason: h225.FacilityReason{StartH245: null}, CallIdentifier: identifier(w.id[:]), H245Address: at}
	w.send(m)
}

// One side wants what the other does not.
func TestMixedWishes(t *testing.T) {
	for name, change := range map[string]func(*message) *message{
		"fast connect is not understood": func(m *message) *message {
			if s := m.body().Setup; s != nil {
				s.FastStart = nil
			}
			return m
		},
		"fast connect is refused in CONNECT": func(m *message) *message {
			if s := m.body().Setup; s != nil {
				s.FastStart = nil
			}
			if c := m.body().Connect; c != nil {
				c.FastConnectRefused = null
			}
			return m
		},
		"the called side does not tunnel": func(m *message) *message {
			if m.q.FromCallee {
				m.pdu().H245Tunnelling = new(false)
			} else if m.q.Type == q931.Setup {
				m.pdu().H245Tunnelling = new(false)
			}
			return m
		},
		"the messages do not tell of tunnelling": func(m *message) *message {
			if m.q.Type == q931.Facility {
				m.pdu().H245Tunnelling = nil
			}
			return m
		},
	} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s slow=%v", name, slow), func(t *testing.T) {
				noLeak(t)
				a, b := newSite(t, Options{}), newSite(t, Options{})
				c := dial(t, a, b, newMiddle(t, b, change).address(), DialOptions{Slow: slow})
				c.talk()
				c.hangup(c.a)
			})
		}
	}
}

func TestOverlapSending(t *testing.T) {
	for name, more := range map[string][]string{"by #": {"70", "0", "1#"}, "complete": {"70", "01"}} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			s := newSite(t, Options{Legacy: true})
			s.room.unroutable = core.Reason{Code: core.NotFound}
			w := wireTo(t, s, "127.0.0.1")
			m := w.setup("")
			m.body().Setup.CanOverlapSend = new(true)
			m.body().Setup.FastStart = setupOf(t, DialOptions{Plain: true, Clear: true}).body().Setup.FastStart
			w.send(m)
			w.until(q931.SetupAck)
			for i, keys := range more {
				m := w.message(q931.Information)
				m.q.IEs = []q931.IE{q931.CalledIE(q931.Number{Plan: 1, Digits: keys})}
				if name == "complete" && i == len(more)-1 {
					m.q.IEs = append(m.q.IEs, q931.IE{ID: q931.SendingComplete})
				}
				w.send(m)
			}
			if c := receive(t, "the route", s.routed); c.To != "7001" {
				t.Errorf("the call goes to %q", c.To)
			}
			w.until(q931.CallProceeding)
			w.until(q931.ReleaseComplete)
		})
	}
}

func TestCalledNumber(t *testing.T) {
	w := &wire{}
	for to, set := range map[string]func(*message){
		"7001": func(m *message) { m.q.IEs = []q931.IE{q931.CalledIE(q931.Number{Plan: 1, Digits: "7001"})} },
		"7002": func(m *message) { m.body().Setup.RemoteExtensionAddress = &h225.AliasAddress{H323ID: new("7002")} },
		"7003**98": func(m *message) {
			m.body().Setup.DestinationAddress = []h225.AliasAddress{{H323ID: new("bridge##7003**98")}}
		},
		"7004": func(m *message) {
			m.body().Setup.DestinationAddress = []h225.AliasAddress{{UrlID: new("h323:7004@bridge.example")}}
		},
		"": func(*message) {},
	} {
		m := w.setup("")
		set(m)
		if got := calledNumber(m); got != to {
			t.Errorf("called %q, want %q", got, to)
		}
	}
}

// A peer in a call may ask, press keys and keep the connection alive; what it
// says of no call, or again, or senselessly, harms nobody.
func TestWithinACall(t *testing.T) {
	noLeak(t)
	s := newSite(t, Options{Legacy: true})
	w := wireTo(t, s, "127.0.0.1")
	offer := setupOf(t, DialOptions{Plain: true, Clear: true}).body().Setup.FastStart
	m := w.setup("7001")
	m.body().Setup.FastStart = offer
	w.send(m)
	w.send(m) // again
	w.until(q931.Connect)
	w.send(m)
	seat := receive(t, "the seat", s.room.seats)

	w.raw([]byte{3, 0, 0, 4, 0, 3, 4, 0, 3, 0xff, 0, 4})
	w.send(w.message(q931.StatusInquiry))
	if m := w.until(q931.Status); m.ie(q931.CallState) == nil || m.ie(q931.CallState).Value[0] != callStateActive {
		t.Errorf("STATUS tells %+v", m.q.IEs)
	}
	info := w.message(q931.Information)
	info.q.IEs = []q931.IE{{ID: q931.Keypad, Value: []byte("1x*#")}}
	w.send(info)
	for _, key := range "1*#" {
		if d := receive(t, "the digit", seat.digits); d.Key != byte(key) || d.Via != "keypad" {
			t.Errorf("the key is %+v, want %c", d, key)
		}
	}
	for _, typ := range []q931.Type{q931.Notify, q931.Status, q931.Progress, q931.Alerting, q931.Connect, q931.ConnectAck, 0x77} {
		w.send(w.message(typ))
	}
	other := *w
	other.ref, other.id = w.ref^0x155, newID()
	other.send(other.message(q931.StatusInquiry))
	if m := w.until(q931.Status); m.ie(q931.CallState).Value[0] != callStateNull {
		t.Errorf("STATUS of no call tells %+v", m.q.IEs)
	}
	other.send(other.message(q931.Alerting))
	if m := w.until(q931.ReleaseComplete); m.q.CallReference != other.ref {
		t.Errorf("call %d is released, want %d", m.q.CallReference, other.ref)
	}
	if s.Calls() != 1 || len(s.room.seats) != 0 || len(s.routed) != 1 {
		t.Errorf("%d calls, %d more seats, %d routes", s.Calls(), len(s.room.seats), len(s.routed))
	}
	w.release()
	if r := receive(t, "the end", seat.left); r.Code != core.Normal {
		t.Errorf("the call ended with %v", r)
	}
}

func TestManyCallsOnOneConnection(t *testing.T) {
	noLeak(t)
	s := newSite(t, Options{Legacy: true})
	w := wireTo(t, s, "127.0.0.1")
	offer := setupOf(t, DialOptions{Plain: true, Clear: true}).body().Setup.FastStart
	var calls []*wire
	for i := range 5 {
		c := *w
		c.ref, c.id = uint16(100+i), newID()
		m := c.setup(fmt.Sprint(7000 + i))
		m.body().Setup.FastStart = offer
		c.send(m)
		if m := w.until(q931.Connect); m.q.CallReference != c.ref {
			t.Fatalf("call %d is answered, want %d", m.q.CallReference, c.ref)
		}
		calls = append(calls, &c)
	}
	for i, c := range calls {
		if s.Calls() != 5-i {
			t.Fatalf("%d calls, want %d", s.Calls(), 5-i)
		}
		c.release()
		eventually(t, "one call less", func() bool { return s.Calls() == 4-i })
	}
	again := *w
	again.ref, again.id = 500, newID()
	m := again.setup("7009")
	m.body().Setup.FastStart = offer
	again.send(m)
	w.until(q931.Connect)
	w.Close()
	s.quiet()
}

// The called side as the caller meets it: gone after so many messages.
func TestCalledSideVanishes(t *testing.T) {
	for n, after := range []string{"SETUP", "CALL PROCEEDING", "ALERTING", "CONNECT"} {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %s slow=%v", after, slow), func(t *testing.T) {
				noLeak(t)
				s, l := newSite(t, Options{Legacy: true}), newTrap(t)
				reason := make(chan core.Reason, 1)
				go func() { reason <- fails(t, s, l.address(), DialOptions{Slow: slow, Clear: true}) }()
				w, _ := l.accept()
				for _, typ := range []q931.Type{q931.CallProceeding, q931.Alerting, q931.Connect}[:n] {
					m := w.message(typ)
					m.body().Empty = nil
					switch typ {
					case q931.CallProceeding:
						m.body().CallProceeding = &h225.CallProceedingUUIE{ProtocolIdentifier: protocolID, CallIdentifier: identifier(w.id[:])}
					case q931.Alerting:
						m.body().Alerting = &h225.AlertingUUIE{ProtocolIdentifier: protocolID, CallIdentifier: identifier(w.id[:])}
					case q931.Connect:
						m.body().Connect = &h225.ConnectUUIE{ProtocolIdentifier: protocolID, CallIdentifier: identifier(w.id[:]), ConferenceID: w.id[:]}
					}
					w.send(m)
				}
				w.Close()
				want := core.Unreachable
				if n == 3 {
					want = core.Normal
				}
				if r := receive(t, "the reason", reason); r.Code != want {
					t.Errorf("the call fails with %v, want %s", r, want)
				}
				s.quiet()
			})
		}
	}
}

func TestCallerVanishes(t *testing.T) {
	offer := setupOf(t, DialOptions{Plain: true, Clear: true}).body().Setup.FastStart
	for _, after := range []q931.Type{q931.Setup, q931.CallProceeding, q931.Alerting, q931.Connect} {
		for _, fast := range []bool{true, false} {
			if after == q931.Alerting && !fast {
				continue // slow start is answered at once
			}
			t.Run(fmt.Sprintf("after %v fast=%v", after, fast), func(t *testing.T) {
				noLeak(t)
				s := newSite(t, Options{Legacy: true})
				s.room.rings = after == q931.Alerting
				w := wireTo(t, s, "127.0.0.1")
				m := w.setup("7001")
				if fast {
					m.body().Setup.FastStart = offer
				}
				w.send(m)
				if after != q931.Setup {
					w.until(after)
				}
				w.Close()
				s.ended()
				s.quiet()
			})
		}
	}
}

// A call breaks off while H.245 is at work, at each of its messages, and in
// the midst of the talk.
func TestConnectionBreaks(t *testing.T) {
	noLeak(t)
	for _, opt := range []DialOptions{{Slow: true}, {}} {
		for after := 1; after <= 14; after += 2 {
			a, b := newSite(t, Options{}), newSite(t, Options{})
			var seen atomic.Int32
			enough := make(chan struct{})
			l := newMiddle(t, b, func(m *message) *message {
				n := int(seen.Add(1))
				if n == after {
					close(enough)
				}
				if n >= after {
					return nil
				}
				return m
			})
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				a.DialWith(t.Context(), l.address(), a.room, opt)
			}()
			select {
			case <-enough:
			case <-a.room.seats: // the call needs no more messages than that
			}
			l.cut()
			receive(t, "the end of Dial", gone)
			a.quiet()
			b.quiet()
		}
	}
	a, b := newSite(t, Options{}), newSite(t, Options{})
	l := newMiddle(t, b, func(m *message) *message { return m })
	c := dial(t, a, b, l.address(), DialOptions{})
	c.talk()
	l.cut()
	for _, s := range []*seat{c.a, c.b} {
		if r := receive(t, "the end", s.left); r.Code != core.Normal || r.Detail == "" {
			t.Errorf("the call ended with %v", r)
		}
	}
	a.quiet()
	b.quiet()
}

// Every reason of ours is told to the caller as H.225.0 and Q.850 have it, and
// the caller understands.
func TestReleaseCauses(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	for code, want := range map[core.Code]struct {
		cause int
		heard core.Code
	}{
		core.Normal: {16, core.NoAnswer}, core.Ended: {16, core.NoAnswer}, core.Removed: {16, core.Declined},
		core.Rejected: {21, core.Declined}, core.NotFound: {1, core.NotFound}, core.WrongPasscode: {21, core.Forbidden},
		core.Throttled: {21, core.Forbidden}, core.Full: {17, core.Busy}, core.Locked: {21, core.Declined},
		core.NotEncrypted: {88, core.NotEncrypted}, core.Incompatible: {88, core.Incompatible}, core.Forbidden: {21, core.Forbidden},
		core.Unauthorized: {21, core.NotEncrypted}, core.Busy: {17, core.Busy}, core.NoAnswer: {19, core.NoAnswer},
		core.Unreachable: {20, core.Unreachable}, core.Declined: {21, core.Declined}, core.MediaTimeout: {102, core.NoAnswer},
		core.Overload: {42, core.Busy}, core.Revoked: {21, core.Forbidden}, core.Shutdown: {41, core.Overload}, core.Failure: {41, core.Failure},
	} {
		b.room.unroutable = core.Reason{Code: code, Say: "Sorry."}
		r := fails(t, a, b.address("7001"), DialOptions{})
		if r.Code != want.heard || r.Say == "" || code == core.NotFound && r.Detail != `cause 1, calledPartyNotRegistered, "Sorry."` {
			t.Errorf("%s is heard as %+v, want %s", code, r, want.heard)
		}
		a.quiet()
		b.quiet()
		if e := b.ended(); e.Status != want.cause || e.Reason.Code != code {
			t.Errorf("%s is recorded with cause %d and reason %v, want cause %d", code, e.Status, e.Reason, want.cause)
		}
		<-b.routed
	}
	if n := b.Counters().Refused.Load(); n != uint64(len(outcomes)) {
		t.Errorf("%d refusals are counted, want %d", n, len(outcomes))
	}
	b.room.unroutable, b.room.refuses = nil, core.Reason{Code: core.Locked}
	if r := fails(t, a, b.address("7001"), DialOptions{}); r.Code != core.Declined {
		t.Errorf("a locked room is heard as %v", r)
	}
	if r := fails(t, a, b.address("7001"), DialOptions{Slow: true}); r.Code != core.Normal {
		t.Errorf("with slow start, which is answered first, the end is %v", r)
	}
}

func TestCallerGivesUp(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	b.room.rings = true
	l, err := a.DialWith(t.Context(), b.address("7001"), a.room, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "the ringing", a.room.rang)
	there := receive(t, "the called side's seat", b.room.seats)
	l.Hangup(core.Reason{Code: core.Normal})
	receive(t, "the end at the called side", there.left)
	a.quiet()
	b.quiet()
}

func TestWhatCannotBeCalled(t *testing.T) {
	noLeak(t)
	s := newSite(t, Options{})
	for to, want := range map[string]core.Code{
		"h323:": core.NotFound, "h323:a b": core.NotFound, "h323:7001@127.0.0.1:0": core.NotFound, "h323:7001@127.0.0.1:99999": core.NotFound,
		"h323:7001": core.Unreachable, "h323:7001@local": core.Unreachable, "h323:7001@127.0.0.1:1": core.Unreachable,
		"h323:7001@" + s.Addresses()["h323"].String() + ";transport=tls": core.Unreachable,
	} {
		if r := fails(t, s, to, DialOptions{}); r.Code != want || r.Say == "" {
			t.Errorf("%s: %+v, want %s", to, r, want)
		}
	}
}

// An H.245 address leads nowhere but to the peer or to what is outside.
func TestControlAddressesThatAreNotTaken(t *testing.T) {
	noLeak(t)
	s := newSite(t, Options{Legacy: true})
	for _, at := range []string{"127.0.0.1:22", "127.0.0.2:40000", "169.254.169.254:8080", "10.0.0.1:5000", "0.0.0.0:5000", "224.0.0.1:5000", "[::1]:5000", "[fe80::1]:5000"} {
		w := wireTo(t, s, "127.0.0.1")
		w.tunnel = false
		m := w.setup("7001")
		m.body().Setup.H245Address = transport(netip.MustParseAddrPort(at))
		w.send(m)
		w.until(q931.Connect)
		w.release()
	}
	s.quiet()
	for _, at := range []string{"127.0.0.1:22", "127.0.0.2:40000", "169.254.169.254:8080", "10.0.0.1:5000", "[::1]:5000", "[fe80::1]:5000"} {
		if !s.traced(edge.Alarm, "H.245 address "+at+" is not one to connect to") {
			t.Errorf("%s is not refused", at)
		}
	}
}
