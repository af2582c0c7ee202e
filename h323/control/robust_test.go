package control_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// ender is a call that ends itself at the nth time that its Machine speaks to
// it, whatever that is.
type ender struct {
	*side
	left  int
	ended bool
}

func (e *ender) spoken() {
	if e.left--; e.left == 0 {
		e.ended = true
		e.m.End()
	}
}

func (e *ender) Send(m *message) { e.side.Send(m); e.spoken() }
func (e *ender) Local(s core.Source, peer netip.AddrPort) (control.Transport, error) {
	t, err := e.side.Local(s, peer)
	e.spoken()
	return t, err
}
func (e *ender) Opened(c *control.Channel) { e.side.Opened(c); e.spoken() }
func (e *ender) Closed(c *control.Channel) { e.side.Closed(c); e.spoken() }
func (e *ender) Event(v control.Event)     { e.side.Event(v); e.spoken() }

// A call may end at any moment, also while its Machine speaks to it: nothing
// stays open, no timer stays, and nothing more is opened or told.
func TestEndAtAnyMoment(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		a, b := w.pair(options(), options())
		e := &ender{side: b, left: n}
		opt := options()
		opt.Terminal, opt.Rand = 190, same(3)
		m, err := control.New(opt, e)
		if err != nil {
			t.Fatal(err)
		}
		b.m = m
		start(w, a, b)
		for _, hold := range []*side{a, b} {
			hold.m.Hold(true)
			w.run()
			hold.m.Hold(false)
			w.run()
		}
		for _, p := range []*side{a, b} {
			p.m.Present()
			w.run()
			map[*side]*side{a: b, b: a}[p].m.StopContent()
			p.m.Withdraw()
			w.run()
			p.m.Present()
			w.run()
		}
		for _, ch := range append(append([]*control.Channel{}, b.open...), a.open...) {
			b.m.Rekey(ch)
			a.m.Rekey(ch)
			b.m.FastUpdate(ch)
			b.m.Close(ch)
			w.run()
		}
		w.pass(5 * time.Minute)
		if !e.ended {
			if n < 40 {
				t.Errorf("the Machine spoke %d times only", n)
			}
			return
		}
		if len(b.open) > 0 || len(of[control.Ended](b)) > 0 || !b.m.State().Ended {
			t.Fatalf("ended at %d: open %v, events %v", n, b.open, b.events)
		}
		a.m.End()
		w.run()
		if len(w.timers) > 0 {
			t.Fatalf("ended at %d: %d timers", n, len(w.timers))
		}
	}
}

// Each message of a call is lost in turn: the call comes about all the same,
// or ends; nothing stays half open.
func TestEachMessageLost(t *testing.T) {
	for n := 0; n < 30; n++ {
		w := newWorld(t)
		a, b := w.pair(options(), options())
		left := n
		lose := func(*message) bool { left--; return left == -1 }
		a.lose, b.lose = lose, lose
		start(w, a, b)
		w.pass(10 * time.Minute)
		if left >= 0 {
			break
		}
		talk(t, a, b)
		if len(w.timers) > 0 {
			t.Errorf("message %d lost: %d timers", n, len(w.timers))
		}
	}
}

func TestCapabilitiesRejected(t *testing.T) {
	s := newWorld(t).alone(control.Options{})
	feed(t, s, "103")
	reject := func(seq int) {
		s.m.Receive(respond(h245.ResponseMessage{TerminalCapabilitySetReject: &h245.TerminalCapabilitySetReject{SequenceNumber: seq,
			Cause: h245.TerminalCapabilitySetRejectCause{Unspecified: new(per.Null)}}}))
	}
	reject(77)
	if len(of[control.Note](s)) != 0 {
		t.Error("a reject of another set counts")
	}
	reject(1)
	become(s, true)
	if len(opens(s)) != 1 || len(of[control.Note](s)) != 1 {
		t.Errorf("opened %v, notes %v", opens(s), of[control.Note](s))
	}
}

// Tokens that come behind the start of H.245: the capabilities are told anew.
func TestTokensBehindStart(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	a.m.Start()
	a.m.SetEncryption(aes(h235.AES128OID))
	b.m.SetEncryption(aes(h235.AES128OID))
	w.run()
	talk(t, a, b)
	if count(a, isSet) != 2 {
		t.Errorf("%d sets", count(a, isSet))
	}
}

func TestRekeyUnanswered(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(options(), options())
	start(w, a, b)
	was := b.channel(true, core.Microphone)
	lost := true
	a.lose = func(*message) bool { return lost }
	b.lose = a.lose
	b.m.Rekey(was)
	w.pass(time.Minute)
	if b.channel(true, core.Microphone) != was || len(of[control.Note](b)) != 1 {
		t.Errorf("the key changed: %v", b.events)
	}
	lost = false
	b.m.Rekey(was)
	w.run()
	talk(t, a, b)
	if b.channel(true, core.Microphone) == was {
		t.Error("the key did not change")
	}
}

// A slave that knows only the key updates of older versions.
func TestOldKeyUpdate(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(options(), options())
	start(w, a, b)
	was := b.channel(true, core.Microphone)
	ask := func() {
		b.m.Receive(command(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: int(was.Number),
			Type: h245.MiscellaneousCommandType{EncryptionUpdateRequest: &h245.EncryptionUpdateRequest{}}}}))
		w.run()
	}
	ask()
	if now := b.channel(true, core.Microphone); now == was || now.Codec.PayloadType != 121 {
		t.Errorf("the channel is %+v", now)
	}
	talk(t, a, b)
	opened := b.opened
	ask()
	if b.opened != opened {
		t.Error("two key updates at once")
	}
	w.pass(time.Second)
	ask()
	talk(t, a, b)
	if b.opened != opened+1 {
		t.Error("no further key update")
	}
}

// Payload types run from 96 to 127, without that of telephone-events.
func TestRekeyForLong(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(options(), options())
	start(w, a, b)
	seen := map[uint8]bool{}
	for range 70 {
		b.m.Rekey(b.channel(true, core.Microphone))
		w.pass(2 * time.Second)
		pt := flows(t, b, a, core.Microphone).PayloadType
		if pt < 96 || pt > 127 || pt == control.EventsPayloadType {
			t.Fatalf("payload type %d", pt)
		}
		seen[pt] = true
	}
	if len(seen) != 31 {
		t.Errorf("%d payload types", len(seen))
	}
}

func TestEventsType(t *testing.T) {
	s := newWorld(t).alone(control.Options{})
	if s.m.EventsType() != 0 {
		t.Error("known before the peer's capabilities")
	}
	feed(t, s, "103")
	if n := s.m.EventsType(); n != 101 {
		t.Errorf("payload type %d", n)
	}
}

// Keys are not printed, whatever holds them.
func TestKeysAreSecret(t *testing.T) {
	key := &control.Key{Algorithm: h235.AES128OID, Bytes: []byte("sixteen octets..")}
	ch := &control.Channel{Key: key}
	enc := aes(h235.AES128OID)
	for _, v := range []any{key, *key, ch, *ch, enc, *enc, control.Options{Encryption: enc}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "octets") || strings.Contains(text, "6f6374657473") || strings.Contains(text, "115 105 120") || strings.Contains(text, "23 42 147") || strings.Contains(text, "172a935c") || strings.Contains(text, "0x17, 0x2a") {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}

// A capability set whose descriptors are as many as fit costs no more than it
// should: choosing a codec looks at a few places of each entry.
func TestHugeDescriptors(t *testing.T) {
	s := newWorld(t).alone(options())
	set := &h245.TerminalCapabilitySet{SequenceNumber: 1, ProtocolIdentifier: "0.0.8.245.0.15"}
	var all h245.AlternativeCapabilitySet
	for n := 1; n <= 256; n++ {
		set.CapabilityTable = append(set.CapabilityTable, h245.CapabilityTableEntry{CapabilityTableEntryNumber: n,
			Capability: &h245.Capability{ReceiveAudioCapability: &h245.AudioCapability{G711Ulaw64k: new(20)}}})
		all = append(all, n)
	}
	d := h245.CapabilityDescriptor{}
	for range 256 {
		d.SimultaneousCapabilities = append(d.SimultaneousCapabilities, all)
	}
	for range 256 {
		set.CapabilityDescriptors = append(set.CapabilityDescriptors, d)
	}
	s.m.Receive(request(h245.RequestMessage{TerminalCapabilitySet: set}))
	become(s, true)
	if n := testing.AllocsPerRun(10, func() {
		s.m.Receive(request(h245.RequestMessage{RoundTripDelayRequest: &h245.RoundTripDelayRequest{}}))
	}); n > 100 || len(opens(s)) != 1 {
		t.Errorf("%v allocations, %d channels", n, len(opens(s)))
	}
}
