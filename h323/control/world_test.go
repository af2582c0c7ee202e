package control_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

type message = h245.MultimediaSystemControlMessage

// world is the network between two sides, and their clock. Nothing happens
// but by run and pass.
type world struct {
	t      testing.TB
	queue  []func()
	timers []*timer
	now    time.Duration
}

type timer struct {
	at time.Duration
	f  func()
}

// side is a call as a Machine sees it.
type side struct {
	t      testing.TB
	w      *world
	name   string
	m      *control.Machine
	peer   *side
	script func(*message) // takes what is sent, if there is no peer
	lose   func(*message) bool
	sent   []*message
	events []control.Event
	open   []*control.Channel
	opened int
	local  map[core.Source]control.Transport
}

func newWorld(t testing.TB) *world { return &world{t: t} }

var (
	pcmu = core.Codec{Name: "PCMU"}
	pcma = core.Codec{Name: "PCMA"}
	g722 = core.Codec{Name: "G722"}
	avc  = core.Codec{Name: "H264", Fmtp: "profile-level-id=42e01f;packetization-mode=1"}
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func (w *world) side(name string, opt control.Options) *side {
	w.t.Helper()
	host := map[string]string{"a": "192.0.2.1", "b": "[2001:db8::2]"}[name]
	s := &side{t: w.t, w: w, name: name, local: map[core.Source]control.Transport{
		core.Microphone: {RTP: addr(host + ":20000"), RTCP: addr(host + ":20001")},
		core.Camera:     {RTP: addr(host + ":20002"), RTCP: addr(host + ":20003")},
		core.Screen:     {RTP: addr(host + ":20004"), RTCP: addr(host + ":20005")}}}
	if opt.Codecs == nil {
		opt.Codecs = []core.Codec{g722, pcma, pcmu}
	}
	if opt.Terminal == 0 {
		opt.Terminal = map[string]int{"a": 50, "b": 190}[name]
	}
	if opt.Rand == nil {
		opt.Rand = rand.NewChaCha8([32]byte{name[0]})
	}
	opt.Log = slog.New(slog.DiscardHandler)
	m, err := control.New(opt, s)
	if err != nil {
		w.t.Fatal(err)
	}
	s.m = m
	return s
}

func (w *world) pair(a, b control.Options) (*side, *side) {
	w.t.Helper()
	x, y := w.side("a", a), w.side("b", b)
	x.peer, y.peer = y, x
	return x, y
}

// alone is a side whose peer the test plays.
func (w *world) alone(opt control.Options) *side { return w.side("a", opt) }

// run carries messages until there are none.
func (w *world) run() {
	w.t.Helper()
	for n := 0; len(w.queue) > 0; n++ {
		if n > 10000 {
			w.t.Fatal("the sides do not come to rest")
		}
		f := w.queue[0]
		w.queue = w.queue[1:]
		f()
	}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.run()
	for end := w.now + d; ; {
		i := -1
		for j, t := range w.timers {
			if t.at <= end && (i < 0 || t.at < w.timers[i].at) {
				i = j
			}
		}
		if i < 0 {
			w.now = end
			return
		}
		t := w.timers[i]
		w.timers = slices.Delete(w.timers, i, i+1)
		w.now = t.at
		t.f()
		w.run()
	}
}

func (s *side) Send(msg *message) {
	b, err := per.Encode(msg)
	if err != nil {
		s.t.Fatalf("%s sends what can't be encoded: %v", s.name, err)
	}
	again := new(message)
	if _, err := per.Decode(b, again); err != nil {
		s.t.Fatalf("%s sends what can't be decoded: %v", s.name, err)
	}
	s.sent = append(s.sent, again)
	switch {
	case s.lose != nil && s.lose(again):
	case s.peer != nil:
		s.w.queue = append(s.w.queue, func() {
			if err := s.peer.m.ReceiveBytes(b); err != nil {
				s.t.Error(err)
			}
		})
	case s.script != nil:
		s.w.queue = append(s.w.queue, func() { s.script(again) })
	}
}

func (s *side) After(d time.Duration, f func()) func() {
	t := &timer{s.w.now + d, f}
	s.w.timers = append(s.w.timers, t)
	return func() { s.w.timers = slices.DeleteFunc(s.w.timers, func(u *timer) bool { return u == t }) }
}

func (s *side) Local(source core.Source, peer netip.AddrPort) (control.Transport, error) {
	if t, ok := s.local[source]; ok {
		return t, nil
	}
	return control.Transport{}, core.Reason{Code: core.Overload}
}

func (s *side) Opened(ch *control.Channel) {
	s.opened++
	for _, c := range s.open {
		if c.Out == ch.Out && c.Source == ch.Source {
			s.t.Errorf("%s: two channels %v of %s", s.name, ch.Out, ch.Source)
		}
	}
	s.open = append(s.open, ch)
}

func (s *side) Closed(ch *control.Channel) {
	i := slices.Index(s.open, ch)
	if i < 0 {
		s.t.Errorf("%s: channel %d is closed, but was not open", s.name, ch.Number)
		return
	}
	s.open = slices.Delete(s.open, i, i+1)
}

func (s *side) Event(e control.Event) { s.events = append(s.events, e) }

// channel is the one that is open, if it is.
func (s *side) channel(out bool, source core.Source) *control.Channel {
	for _, c := range s.open {
		if c.Out == out && c.Source == source {
			return c
		}
	}
	return nil
}

// of gives the events of a type.
func of[T control.Event](s *side) (list []T) {
	for _, e := range s.events {
		if x, ok := e.(T); ok {
			list = append(list, x)
		}
	}
	return list
}

// flows checks that a source flows from x to y, and gives the codec.
func flows(t *testing.T, x, y *side, source core.Source) core.Codec {
	t.Helper()
	out, in := x.channel(true, source), y.channel(false, source)
	if out == nil || in == nil {
		t.Fatalf("%s does not flow from %s to %s: %v, %v; %v %v", source, x.name, y.name, out, in, x.events, y.events)
	}
	if out.Number != in.Number || out.Session != in.Session || out.Codec.Name != in.Codec.Name || out.Codec.PayloadType != in.Codec.PayloadType {
		t.Errorf("the sides differ: %+v, %+v", out, in)
	}
	if out.Remote != y.local[source] || in.Remote.RTCP != x.local[source].RTCP || in.Remote.RTP.IsValid() {
		t.Errorf("%s sends to %v, %s reports to %v", x.name, out.Remote, y.name, in.Remote)
	}
	if (out.Key == nil) != (in.Key == nil) || out.Key != nil && (out.Key.Algorithm != in.Key.Algorithm || !bytes.Equal(out.Key.Bytes, in.Key.Bytes) ||
		len(out.Key.Bytes) != h235.KeyLen(out.Key.Algorithm)) {
		t.Errorf("the keys differ: %v, %v", out.Key, in.Key)
	}
	return out.Codec
}

// talk checks sound both ways.
func talk(t *testing.T, x, y *side) {
	t.Helper()
	flows(t, x, y, core.Microphone)
	flows(t, y, x, core.Microphone)
}

func quiet(t *testing.T, sides ...*side) {
	t.Helper()
	for _, s := range sides {
		if n := of[control.Note](s); len(n) > 0 {
			t.Errorf("%s: %v", s.name, n)
		}
		if e := of[control.Ended](s); len(e) > 0 {
			t.Errorf("%s: %v", s.name, e)
		}
	}
}

// last is the last message that was sent of those that pick takes.
func last[T any](s *side, pick func(*message) *T) *T {
	for _, msg := range slices.Backward(s.sent) {
		if x := pick(msg); x != nil {
			return x
		}
	}
	return nil
}

func count(s *side, is func(*message) bool) (n int) {
	for _, msg := range s.sent {
		if is(msg) {
			n++
		}
	}
	return n
}

func isOpen(m *message) bool { return m.Request != nil && m.Request.OpenLogicalChannel != nil }
func isSet(m *message) bool  { return m.Request != nil && m.Request.TerminalCapabilitySet != nil }
func isMSD(m *message) bool  { return m.Request != nil && m.Request.MasterSlaveDetermination != nil }
func isMSDAck(m *message) bool {
	return m.Response != nil && m.Response.MasterSlaveDeterminationAck != nil
}
func isAck(m *message) bool { return m.Response != nil && m.Response.OpenLogicalChannelAck != nil }

func olc(m *message) *h245.OpenLogicalChannel {
	if m.Request == nil {
		return nil
	}
	return m.Request.OpenLogicalChannel
}

func rejectOf(m *message) *h245.OpenLogicalChannelReject {
	if m.Response == nil {
		return nil
	}
	return m.Response.OpenLogicalChannelReject
}

func request(r h245.RequestMessage) *message  { return &message{Request: &r} }
func respond(r h245.ResponseMessage) *message { return &message{Response: &r} }
func command(c h245.CommandMessage) *message  { return &message{Command: &c} }

var secret = bytes.Repeat([]byte{0x17, 0x2a, 0x93, 0x5c}, 32)

func aes(oids ...per.OID) *control.Encryption {
	return &control.Encryption{Algorithms: oids, Secret: secret}
}

// same is a source of numbers that are all alike.
type same byte

func (s same) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s)
	}
	return len(b), nil
}

var _ io.Reader = same(0)

func show(v any) string { return fmt.Sprintf("%+v", reflect.Indirect(reflect.ValueOf(v))) }

func encode(t testing.TB, m *message) []byte {
	t.Helper()
	b, err := per.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
