package control_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

func video() control.Options { return control.Options{Codecs: []core.Codec{pcmu, avc}} }

// presents has a side present, and gives the codec that flows.
func presents(t *testing.T, w *world, x, y *side) core.Codec {
	t.Helper()
	x.m.Present()
	w.run()
	return flows(t, x, y, core.Screen)
}

func dark(t *testing.T, sides ...*side) {
	t.Helper()
	for _, s := range sides {
		if s.channel(true, core.Screen) != nil || s.channel(false, core.Screen) != nil {
			t.Errorf("%s has content still", s.name)
		}
	}
}

// owner is what a side knows of the token.
func owner(s *side) string {
	list := of[control.Token](s)
	if len(list) == 0 {
		return "nobody"
	}
	switch e := list[len(list)-1]; {
	case e.Ours:
		return "us"
	case e.Theirs:
		return "them"
	}
	return "nobody"
}

// generic gives the numbers of H.239's messages that a side has sent.
func generic(s *side) (list []int) {
	for _, m := range s.sent {
		for _, g := range []*h245.GenericMessage{requestOf(m).GenericRequest, responseOf(m).GenericResponse, commandOf(m).GenericCommand, indicationOf(m).GenericIndication} {
			if g != nil {
				list = append(list, *g.SubMessageIdentifier)
			}
		}
	}
	return list
}

func or[T any](p *T) T {
	if p == nil {
		p = new(T)
	}
	return *p
}

func requestOf(m *message) h245.RequestMessage       { return or(m.Request) }
func responseOf(m *message) h245.ResponseMessage     { return or(m.Response) }
func commandOf(m *message) h245.CommandMessage       { return or(m.Command) }
func indicationOf(m *message) h245.IndicationMessage { return or(m.Indication) }

// said makes a message of H.239: pairs of parameter and value, -1 a logical one.
func said(sub int, pairs ...int) *message {
	g := &h245.GenericMessage{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(per.OID("0.0.8.239.2"))}, SubMessageIdentifier: &sub}
	for p := range slices.Chunk(pairs, 2) {
		v := h245.ParameterValue{UnsignedMin: new(p[1])}
		if p[1] < 0 {
			v = h245.ParameterValue{Logical: new(per.Null)}
		}
		g.MessageContent = append(g.MessageContent, h245.GenericParameter{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(p[0])}, ParameterValue: v})
	}
	switch sub {
	case 1, 3:
		return request(h245.RequestMessage{GenericRequest: g})
	case 2, 4:
		return respond(h245.ResponseMessage{GenericResponse: g})
	case 5:
		return command(h245.CommandMessage{GenericCommand: g})
	}
	return &message{Indication: &h245.IndicationMessage{GenericIndication: g}}
}

func asks(number int) *message { return said(3, 44, 0, 42, 103, 43, number) }

// Content goes either way, beside the main picture, in one session that the
// master numbers and with a key of its own; the token's end closes it.
func TestContent(t *testing.T) {
	for name, enc := range map[string]*control.Encryption{"clear": nil, "AES-256": aes(h235.AES256OID)} {
		for _, master := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, by the master %v", name, master), func(t *testing.T) {
				w := newWorld(t)
				opt := video()
				opt.Encryption, opt.Required = enc, enc != nil
				a, b := w.pair(opt, opt)
				start(w, a, b)
				x, y := a, b
				if master { // b is of the type of bridges
					x, y = b, a
				}
				if p := of[control.Presentable](x); len(p) != 1 || p[0].Codec.Name != "H264" {
					t.Fatalf("presentable: %v", p)
				}
				if c := presents(t, w, x, y); c.Name != "H264" || c.Fmtp != avc.Fmtp {
					t.Errorf("the codec is %+v", c)
				}
				flows(t, x, y, core.Camera)
				ch := x.channel(true, core.Screen)
				if ch.Session != 32 || (ch.Key != nil) != (enc != nil) {
					t.Errorf("the channel is %+v", ch)
				}
				if enc != nil {
					if string(ch.Key.Bytes) == string(x.channel(true, core.Camera).Key.Bytes) {
						t.Error("content has the picture's key")
					}
					x.m.Rekey(ch)
					w.run()
					flows(t, x, y, core.Screen)
					if x.channel(true, core.Screen) == ch {
						t.Error("the key does not change")
					}
				}
				open := last(x, olc)
				if s := open.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters.SessionID; (s == 32) != master || (s == 0) == master {
					t.Errorf("opened in session %d", s)
				}
				if owner(x) != "us" || owner(y) != "them" || show(generic(x)) != "[3 6]" || show(generic(y)) != "[4]" {
					t.Errorf("%s, %s; %v, %v", owner(x), owner(y), generic(x), generic(y))
				}
				x.m.Withdraw()
				w.run()
				dark(t, x, y)
				if owner(x) != "nobody" || owner(y) != "nobody" || show(generic(x)) != "[3 6 5]" {
					t.Errorf("%s, %s; %v", owner(x), owner(y), generic(x))
				}
				presents(t, w, y, x) // the session is known now, to the slave too
				if s := last(y, olc).ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters.SessionID; s != 32 {
					t.Errorf("opened in session %d", s)
				}
				quiet(t, a, b)
				x.m.End()
				w.run()
				dark(t, x, y)
				if len(w.timers) > 0 {
					t.Errorf("%d timers", len(w.timers))
				}
			})
		}
	}
}

// Whoever asks gets the token, also from the side that presents.
func TestContentTakenOver(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(video(), video())
	start(w, a, b)
	presents(t, w, a, b)
	b.m.Present()
	w.run()
	if a.channel(false, core.Screen) != nil || owner(b) != "them" {
		t.Error("the token is taken from a side that presents")
	}
	b.m.Receive(asks(9)) // as other systems do
	presents(t, w, a, b)
	w.run()
	quiet(t, a, b)
}

// Both ask at the same moment: the larger number wins, and equal ones are
// drawn again until they differ, or three times.
func TestContention(t *testing.T) {
	for draws, want := range map[[2]byte]string{{4, 90}: "b", {90, 4}: "a", {7, 7}: "nobody"} {
		w := newWorld(t)
		x, y := video(), video()
		x.Rand, y.Rand, x.Terminal, y.Terminal = same(draws[0]), same(draws[1]), 50, 190
		a, b := w.pair(x, y)
		start(w, a, b)
		a.m.Present()
		b.m.Present()
		w.run()
		got := map[[2]string]string{{"us", "them"}: "a", {"them", "us"}: "b", {"nobody", "nobody"}: "nobody"}[[2]string{owner(a), owner(b)}]
		if got != want {
			t.Errorf("%v: %s, %s", draws, owner(a), owner(b))
		}
		switch want {
		case "a":
			flows(t, a, b, core.Screen)
		case "b":
			flows(t, b, a, core.Screen)
		case "nobody":
			dark(t, a, b)
			if n := generic(a); len(n) != 6 {
				t.Errorf("%v", n)
			}
		}
		if len(w.timers) > 2 { // they count requests
			t.Errorf("%d timers", len(w.timers))
		}
	}
	w := newWorld(t) // drawn again, and then different
	a, b := w.pair(video(), video())
	start(w, a, b)
	a.m.Present()
	_, n := ours(a)
	a.m.Receive(asks(n))
	a.m.Receive(said(4, 127, -1, 44, 0))
	if _, again := ours(a); again == n || len(of[control.Token](a)) != 0 {
		t.Errorf("%d after %d: %v", again, n, a.events)
	}
}

// ours is the channel and the number of the last request of a side.
func ours(s *side) (channel, number int) {
	g := last(s, func(m *message) *h245.GenericMessage { return requestOf(m).GenericRequest })
	for _, p := range g.MessageContent {
		switch *p.ParameterIdentifier.Standard {
		case 42:
			channel = *p.ParameterValue.UnsignedMin
		case 43:
			number = *p.ParameterValue.UnsignedMin
		}
	}
	return channel, number
}

// alone prepares a side whose peer is heard by its messages only, with what
// that takes: sound, H.264 and content.
func presenter(t *testing.T, opt control.Options) (*world, *side) {
	w := newWorld(t)
	s := w.alone(opt)
	feed(t, s, "108")
	become(s, true)
	return w, s
}

func takes(s *side, n int, session *int) {
	at := &h245.TransportAddress{UnicastAddress: &h245.UnicastAddress{IPAddress: &h245.UnicastAddressIPAddress{Network: []byte{127, 0, 0, 1}, TsapIdentifier: 5000}}}
	s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelAck: &h245.OpenLogicalChannelAck{ForwardLogicalChannelNumber: n,
		ForwardMultiplexAckParameters: &h245.OpenLogicalChannelAckForwardMultiplexAckParameters{
			H2250LogicalChannelAckParameters: &h245.H2250LogicalChannelAckParameters{SessionID: session, MediaChannel: at}}}}))
	s.w.run()
}

// What the peer answers to our request, and when.
func TestTokenAnswers(t *testing.T) {
	accept, reject := said(4, 126, -1, 44, 0), said(4, 127, -1)
	w, s := presenter(t, video())
	s.m.Present()
	s.m.Receive(reject)
	if e := of[control.Token](s); len(e) != 1 || e[0].Ours || e[0].Theirs {
		t.Fatalf("refused: %v", e)
	}
	s.m.Present()
	w.pass(time.Minute)
	if e := of[control.Token](s); len(e) != 2 || !slices.ContainsFunc(of[control.Note](s), func(n control.Note) bool { return strings.Contains(n.Text, "H.239") }) {
		t.Fatalf("no answer: %v", s.events)
	}
	s.m.Receive(said(4, 126, -1, 44, 0, 42, 117)) // late
	if g := generic(s); show(g) != "[3 3 5]" || len(of[control.Token](s)) != 2 {
		t.Fatalf("late answer: %v", g)
	}
	s.m.Present()
	n, _ := ours(s)
	s.m.Receive(accept)
	s.m.Receive(accept)
	if last(s, olc).ForwardLogicalChannelNumber != n || owner(s) != "us" {
		t.Fatalf("channel %d instead of %d", last(s, olc).ForwardLogicalChannelNumber, n)
	}
	takes(s, n, new(32))
	if s.channel(true, core.Screen) == nil {
		t.Fatal("not open")
	}
	s.m.Receive(command(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: n,
		Type: h245.MiscellaneousCommandType{VideoFastUpdatePicture: new(per.Null)}}}))
	if f := of[control.FastUpdate](s); len(f) != 1 || f[0].Channel.Source != core.Screen {
		t.Errorf("fast update: %v", f)
	}
	stop := command(h245.CommandMessage{FlowControlCommand: &h245.FlowControlCommand{Scope: h245.FlowControlCommandScope{LogicalChannelNumber: &n},
		Restriction: h245.FlowControlCommandRestriction{MaximumBitRate: new(0)}}})
	s.m.Receive(stop)
	s.m.Receive(stop)
	if g := generic(s); show(g[4:]) != "[6 1]" || len(of[control.BitRate](s)) != 2 {
		t.Errorf("stopped: %v", g)
	}
	s.m.Receive(said(5, 44, 0, 42, n)) // the peer has seen enough
	if dark(t, s); owner(s) != "nobody" {
		t.Error("the token stays")
	}
}

// A peer that refuses the channel, or asks that it be closed, gets the token
// back.
func TestContentChannelRefused(t *testing.T) {
	for _, ask := range []bool{false, true} {
		_, s := presenter(t, video())
		s.m.Present()
		n, _ := ours(s)
		s.m.Receive(said(4, 126, -1))
		if ask {
			takes(s, n, nil)
			s.m.Receive(request(h245.RequestMessage{RequestChannelClose: &h245.RequestChannelClose{ForwardLogicalChannelNumber: n}}))
			s.m.Receive(respond(h245.ResponseMessage{CloseLogicalChannelAck: &h245.CloseLogicalChannelAck{ForwardLogicalChannelNumber: n}}))
		} else {
			s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelReject: &h245.OpenLogicalChannelReject{ForwardLogicalChannelNumber: n,
				Cause: h245.OpenLogicalChannelRejectCause{MasterSlaveConflict: new(per.Null)}}}))
		}
		if g := generic(s); show(g) != "[3 6 5]" || owner(s) != "nobody" {
			t.Errorf("%v: %v, %s", ask, g, owner(s))
		}
		s.m.Present() // and it may be tried again
		s.m.Receive(said(4, 126, -1))
		if o := opens(s); o[len(o)-1].ForwardLogicalChannelNumber == n {
			t.Errorf("%v: nothing is opened", ask)
		}
	}
}

// Channels for content as public endpoints open them: shown while they have the
// token, whatever they do first.
func TestContentOfPeers(t *testing.T) {
	enc := aes(h235.AES128OID)
	secured := func(required bool) control.Options {
		return control.Options{Codecs: []core.Codec{pcma, avc}, Encryption: enc, Required: required}
	}
	for _, c := range []struct {
		vector string
		opt    control.Options
		shown  bool
	}{
		{"091", video(), true}, {"088", secured(true), true}, {"088", video(), false}, {"088", secured(false), true},
		{"091", secured(true), false}, {"091", secured(false), false}, // in clear, in a call that is encrypted
	} {
		w := newWorld(t)
		s := w.alone(c.opt)
		become(s, true)
		feed(t, s, "071") // request
		feed(t, s, c.vector)
		ch := s.channel(false, core.Screen)
		if (ch != nil) != c.shown {
			t.Errorf("%s: %v; %v", c.vector, ch, s.events)
		}
		if !c.shown {
			if r := last(s, rejectOf); r.Cause.SecurityDenied == nil {
				t.Errorf("%s: %s", c.vector, show(r))
			}
			continue
		}
		if ch.Session != 32 || ch.Codec.PayloadType != 98 || (ch.Key != nil) != (c.opt.Encryption != nil) {
			t.Errorf("%s: %+v", c.vector, ch)
		}
		s.m.FastUpdate(ch)
		if m := lastSent(s).Command; m == nil || m.MiscellaneousCommand.LogicalChannelNumber != 103 {
			t.Errorf("%s: no fast update", c.vector)
		}
		s.m.Receive(said(1, 42, 103, 41, 5400))
		if g := lastSent(s).Response.GenericResponse; *g.SubMessageIdentifier != 2 || *g.MessageContent[0].ParameterIdentifier.Standard != 126 {
			t.Errorf("%s: flow control: %s", c.vector, show(g))
		}
		feed(t, s, "069") // release
		dark(t, s)
		feed(t, s, "071")
		if s.channel(false, core.Screen) != ch {
			t.Errorf("%s: not shown again", c.vector)
		}
		s.m.StopContent()
		if dark(t, s); requestOf(lastSent(s)).RequestChannelClose == nil {
			t.Errorf("%s: the peer is not asked to stop", c.vector)
		}
		s.m.End()
		if len(w.timers) > 0 {
			t.Errorf("%s: %d timers", c.vector, len(w.timers))
		}
	}
}

// picture is a peer's channel for H.264 in a session, with a role or none.
func picture(n, session, role int) *message {
	v := h245.VideoCapability{GenericVideoCapability: &h245.GenericCapability{CapabilityIdentifier: h245.CapabilityIdentifier{Standard: new(per.OID("0.0.8.241.0.0.1"))}}}
	if role > 0 {
		v = h245.VideoCapability{ExtendedVideoCapability: &h245.ExtendedVideoCapability{VideoCapability: []h245.VideoCapability{v},
			VideoCapabilityExtension: []h245.GenericCapability{{CapabilityIdentifier: h245.CapabilityIdentifier{Standard: new(per.OID("0.0.8.239.1.2"))},
				Collapsing: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)}, ParameterValue: h245.ParameterValue{BooleanArray: &role}}}}}}}
	}
	o := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: n}
	o.ForwardLogicalChannelParameters.DataType.VideoData = &v
	o.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters = &h245.H2250LogicalChannelParameters{SessionID: session, DynamicRTPPayloadType: new(99)}
	return request(h245.RequestMessage{OpenLogicalChannel: o})
}

// Content is known by its session where the type does not tell; a second live
// picture needs no token; early channels are shown when the token comes.
func TestContentBySession(t *testing.T) {
	_, s := presenter(t, video())
	s.m.Receive(picture(201, 2, 0))
	s.m.Receive(picture(202, 33, 0))
	if ch := s.channel(false, core.Camera); ch == nil || ch.Number != 201 || s.channel(false, core.Screen) != nil {
		t.Fatalf("before the token: %v", s.open)
	}
	s.m.Receive(asks(1))
	if ch := s.channel(false, core.Screen); ch == nil || ch.Number != 202 || ch.Session != 33 {
		t.Fatalf("with the token: %v", s.open)
	}
	s.m.Receive(picture(203, 33, 1))
	if r := last(s, rejectOf); r == nil || r.Cause.DataTypeNotAvailable == nil {
		t.Error("two contents at once")
	}
	_, s = presenter(t, video())
	s.m.Receive(picture(202, 0, 2))
	if ch := s.channel(false, core.Screen); ch == nil || ch.Session != 32 {
		t.Errorf("live: %v", s.open)
	}
	s.m.StopContent()
	dark(t, s)
}

// A peer that closes its channel and forgets the token loses that too; one that
// opens another has still got it.
func TestTokenForgotten(t *testing.T) {
	w, s := presenter(t, video())
	shut := request(h245.RequestMessage{CloseLogicalChannel: &h245.CloseLogicalChannel{ForwardLogicalChannelNumber: 202}})
	s.m.Receive(asks(1))
	s.m.Receive(picture(202, 0, 1))
	s.m.Receive(shut)
	dark(t, s)
	w.pass(20 * time.Second)
	s.m.Receive(picture(202, 0, 1))
	if s.channel(false, core.Screen) == nil {
		t.Fatal("not shown again")
	}
	w.pass(time.Hour)
	s.m.Receive(shut)
	if owner(s) != "them" {
		t.Fatal("the token is gone at once")
	}
	s.m.Present() // need not wait
	if n := generic(s); n[len(n)-1] != 3 {
		t.Errorf("%v", n)
	}
	s.m.Receive(said(4, 127, -1))
	s.m.Receive(asks(1))
	w.pass(31 * time.Second)
	if owner(s) != "nobody" {
		t.Error("the token of a peer that opens nothing stays")
	}
}

// Requests without end get ten answers in ten seconds, and one note.
func TestTokenFlood(t *testing.T) {
	w, s := presenter(t, video())
	for range 1000 {
		s.m.Receive(asks(5))
		s.m.Receive(said(5))
	}
	if n := len(generic(s)); n != 10 || len(of[control.Note](s)) != 1 {
		t.Errorf("%d answers, %v", n, of[control.Note](s))
	}
	w.pass(11 * time.Second)
	s.m.Receive(asks(5))
	if n := len(generic(s)); n != 11 || owner(s) != "them" {
		t.Errorf("%d answers, the token has %s", n, owner(s))
	}
}

// What comes out of turn changes nothing.
func TestContentOutOfTurn(t *testing.T) {
	_, s := presenter(t, video())
	n := len(s.sent)
	for _, m := range []*message{said(2, 126, -1), said(6, 42, 9), said(5), said(4, 127, -1), {Indication: &h245.IndicationMessage{GenericIndication: &h245.GenericMessage{}}}} {
		s.m.Receive(m)
	}
	s.m.Withdraw()
	s.m.StopContent()
	if len(s.sent) != n || len(of[control.Token](s)) > 0 {
		t.Errorf("%d answers, %v", len(s.sent)-n, s.events)
	}
	s.m.Receive(said(1, 42, 999))
	if g := lastSent(s).Response.GenericResponse; g == nil || *g.MessageContent[0].ParameterIdentifier.Standard != 127 {
		t.Errorf("flow control of no channel: %s", show(lastSent(s)))
	}
	s.m.Receive(said(100))
	if lastSent(s).Indication != nil {
		t.Errorf("an unknown indication is answered: %s", show(lastSent(s)))
	}
}

// A peer on hold presents and is presented nothing, and afterwards may again.
func TestContentAndHold(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(video(), video())
	start(w, a, b)
	presents(t, w, b, a)
	a.m.Hold(true)
	w.run()
	dark(t, a, b)
	if _, ok := b.m.Content(); ok || owner(b) != "nobody" || owner(a) != "nobody" {
		t.Errorf("held: %v, %s, %s", ok, owner(b), owner(a))
	}
	b.m.Present()
	w.run()
	dark(t, a, b)
	a.m.Hold(false)
	w.run()
	presents(t, w, b, a)
	if p := of[control.Presentable](b); len(p) != 3 || p[1].Codec.Name != "" || p[2].Codec.Name == "" {
		t.Errorf("presentable: %v", p)
	}
}

// A peer that takes no content is not asked.
func TestNoContent(t *testing.T) {
	_, s := presenter(t, control.Options{})
	if _, ok := s.m.Content(); ok || slices.ContainsFunc(of[control.Presentable](s), func(p control.Presentable) bool { return p.Codec.Name != "" }) {
		t.Error("content without pictures")
	}
	w := newWorld(t)
	enc := video()
	enc.Encryption = aes(h235.AES128OID)
	s = w.alone(enc)
	feed(t, s, "108") // in clear
	become(s, true)
	if s.m.Present(); len(generic(s)) > 0 {
		t.Error("content in clear, in a call with keys")
	}
}

// FuzzContent gives the token's owner and its taker messages of H.239, of any
// parameters in any order.
func FuzzContent(f *testing.F) {
	f.Add([]byte{0x03, 43, 90, 0xff, 0x05, 44, 0, 0x80, 0x04, 126, 255})
	f.Add([]byte{0x01, 42, 103, 0x13, 43, 1, 0x24, 127, 255, 0x40, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		s := w.alone(video())
		s.m.Start()
		become(s, true)
		s.m.Receive(picture(202, 0, 1))
		n := 0
		for ; len(b) >= 3 && n < 300; b, n = b[3:], n+1 {
			switch b[0] >> 5 {
			case 0, 1:
				v := int(b[2])
				if v == 255 {
					v = -1
				}
				s.m.Receive(said(int(b[0]&0x1f), int(b[1]&0x7f), v, 42, int(b[2])))
			case 2:
				s.m.Present()
			case 3:
				s.m.Withdraw()
			case 4:
				w.pass(time.Duration(b[1]) * time.Second)
			case 5:
				s.m.StopContent()
			case 6:
				s.m.Receive(picture(int(b[1])+1, int(b[2]), int(b[0]&3)))
			default:
				s.m.Receive(request(h245.RequestMessage{CloseLogicalChannel: &h245.CloseLogicalChannel{ForwardLogicalChannelNumber: int(b[1]) + 1}}))
			}
			w.run()
			if len(s.open) > 3 || len(w.timers) > 40 {
				t.Fatalf("%d channels, %d timers", len(s.open), len(w.timers))
			}
		}
		if len(s.sent) > 20+4*n {
			t.Fatalf("%d messages to %d", len(s.sent), n)
		}
		if s.m.End(); len(s.open) > 0 || len(w.timers) > 0 {
			t.Fatalf("at the end %d channels, %d timers", len(s.open), len(w.timers))
		}
	})
}
