package control_test

import (
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

func start(w *world, sides ...*side) {
	w.t.Helper()
	for _, s := range sides {
		s.m.Start()
	}
	w.run()
}

func TestSlowStart(t *testing.T) {
	for name, both := range map[string][]string{"caller first": {"a", "b"}, "callee first": {"b", "a"}, "callee alone": {"b"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.pair(control.Options{Codecs: []core.Codec{pcmu, g722, avc}}, control.Options{Codecs: []core.Codec{g722, pcma, avc}})
			for _, n := range both {
				map[string]*side{"a": a, "b": b}[n].m.Start()
			}
			w.run()
			talk(t, a, b)
			if c := flows(t, a, b, core.Microphone); c.Name != "G722" || c.PayloadType != 9 || c.ClockRate != 8000 || c.Ptime != 20*time.Millisecond {
				t.Errorf("the codec is %+v", c)
			}
			if c := flows(t, b, a, core.Camera); c.Name != "H264" || c.PayloadType != 96 || c.Fmtp != "profile-level-id=42e01f;packetization-mode=1" {
				t.Errorf("the codec is %+v", c)
			}
			flows(t, a, b, core.Camera)
			if x, y := of[control.Ready](a), of[control.Ready](b); len(x) != 1 || len(y) != 1 || x[0].Master || !y[0].Master {
				t.Errorf("ready: %v, %v", x, y)
			}
			if s := a.m.State(); !s.Determined || s.Master || len(s.Channels) != 4 {
				t.Errorf("the state is %+v", s)
			}
			quiet(t, a, b)
			if len(w.timers) != 0 {
				t.Errorf("%d timers run", len(w.timers))
			}
			a.m.End()
			w.run()
			if e := of[control.Ended](b); len(e) != 1 || e[0].Reason.Code != core.Normal || len(b.open)+len(a.open) != 0 || len(w.timers) != 0 {
				t.Errorf("ended: %v, open %v %v, %d timers", e, a.open, b.open, len(w.timers))
			}
		})
	}
}

func TestEqualTypes(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Terminal: 50}, control.Options{Terminal: 50})
	start(w, a, b)
	talk(t, a, b)
	if a.m.State().Master == b.m.State().Master {
		t.Error("the roles are the same")
	}
}

// The comparison of H.245 C.2.4: by type, then by number modulo 2^24.
func TestMasterSlave(t *testing.T) {
	for _, c := range []struct {
		typ, number int
		want        string
	}{
		{40, 0, "master"}, {60, 0, "slave"}, {50, 0x010102, "master"}, {50, 0x010100, "slave"}, {50, 0x810100, "master"},
		{50, 0x810102, "slave"}, {50, 0x010101, "equal"}, {50, 0x810101, "equal"},
	} {
		w := newWorld(t)
		a := w.alone(control.Options{Terminal: 50, Rand: same(1)})
		start(w, a)
		a.m.Receive(request(h245.RequestMessage{MasterSlaveDetermination: &h245.MasterSlaveDetermination{TerminalType: c.typ, StatusDeterminationNumber: c.number}}))
		w.run()
		ack := last(a, func(m *message) *h245.MasterSlaveDeterminationAck {
			if m.Response == nil {
				return nil
			}
			return m.Response.MasterSlaveDeterminationAck
		})
		got := "equal"
		if ack != nil && ack.Decision.Slave != nil {
			got = "master"
		} else if ack != nil {
			got = "slave"
		}
		if got != c.want {
			t.Errorf("type %d, number %#x: %s", c.typ, c.number, got)
		}
		if c.want == "equal" && count(a, isMSD) != 2 {
			t.Error("no other number is drawn")
		}
	}
}

func TestEqualNumbersForever(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Terminal: 50, Rand: same(1)}, control.Options{Terminal: 50, Rand: same(1)})
	start(w, a, b)
	if n := count(a, isMSD); n > 15 {
		t.Errorf("%d determinations", n)
	}
	if e := of[control.Ended](a); len(e) != 1 || e[0].Reason.Code != core.Failure {
		t.Errorf("ended: %v", e)
	}
}

func TestLostDetermination(t *testing.T) {
	for _, is := range []func(*message) bool{isMSD, isMSDAck} {
		w := newWorld(t)
		a, b := w.pair(control.Options{}, control.Options{})
		lost := 0
		a.lose = func(m *message) bool { lost++; return is(m) && w.now < time.Second }
		b.lose = a.lose
		start(w, a, b)
		if a.channel(true, core.Microphone) != nil {
			t.Fatal("a channel is open before there are roles")
		}
		w.pass(61 * time.Second)
		talk(t, a, b)
	}
}

func TestSilentPeer(t *testing.T) {
	w := newWorld(t)
	a := w.alone(control.Options{})
	start(w, a)
	w.pass(5 * time.Minute)
	if e := of[control.Ended](a); len(e) != 1 || e[0].Reason.Code != core.Failure {
		t.Errorf("ended: %v", e)
	}
	if count(a, isSet) != 3 || len(w.timers) != 0 {
		t.Errorf("%d sets were sent, %d timers run", count(a, isSet), len(w.timers))
	}
}

func TestLostCapabilities(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	a.lose = func(m *message) bool { return isSet(m) && w.now < time.Second }
	start(w, a, b)
	w.pass(31 * time.Second)
	talk(t, a, b)
}

func TestLostOpen(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	b.lose = func(m *message) bool { return isAck(m) && w.now < time.Second }
	start(w, a, b)
	if a.channel(true, core.Microphone) != nil {
		t.Fatal("open without an answer")
	}
	w.pass(31 * time.Second) // T103: it is closed, and the next codec tried
	talk(t, a, b)
	if len(of[control.Note](a)) == 0 {
		t.Error("nothing is noted")
	}
}

// The answer crosses the close: it does not open the channel.
func TestCloseCrossesAck(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	b.lose = isAck
	start(w, a, b)
	open := last(a, olc)
	a.m.Receive(request(h245.RequestMessage{TerminalCapabilitySet: &h245.TerminalCapabilitySet{SequenceNumber: 9, ProtocolIdentifier: "0.0.8.245.0.15"}}))
	a.m.Receive(last(b, func(m *message) *message {
		if isAck(m) {
			return m
		}
		return nil
	}))
	w.run()
	if a.channel(true, core.Microphone) != nil || b.channel(false, core.Microphone) != nil {
		t.Errorf("channel %d is open", open.ForwardLogicalChannelNumber)
	}
	if p := of[control.Paused](a); len(p) != 1 || !p[0].On {
		t.Errorf("paused: %v", p)
	}
}

func TestPtimeOfPeer(t *testing.T) {
	w := newWorld(t)
	short, long := pcmu, pcmu
	short.Ptime, long.Ptime = 10*time.Millisecond, 40*time.Millisecond
	a, b := w.pair(control.Options{Codecs: []core.Codec{short}}, control.Options{Codecs: []core.Codec{long}})
	start(w, a, b)
	if x, y := flows(t, a, b, core.Microphone), flows(t, b, a, core.Microphone); x.Ptime != 10*time.Millisecond || y.Ptime != 10*time.Millisecond {
		t.Errorf("packets of %v, %v", x.Ptime, y.Ptime)
	}
}

func TestNothingInCommon(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Codecs: []core.Codec{pcmu}}, control.Options{Codecs: []core.Codec{pcma}})
	start(w, a, b)
	e := append(of[control.Ended](a), of[control.Ended](b)...)
	if len(e) != 2 || e[0].Reason.Code != core.Incompatible && e[1].Reason.Code != core.Incompatible {
		t.Errorf("ended: %v", e)
	}
}

func TestHold(t *testing.T) {
	w := newWorld(t)
	opt := control.Options{Codecs: []core.Codec{g722, avc}}
	a, b := w.pair(opt, opt)
	start(w, a, b)
	for range 3 {
		a.m.Hold(true)
		w.run()
		if b.channel(true, core.Microphone) != nil || b.channel(true, core.Camera) != nil || a.channel(false, core.Microphone) != nil {
			t.Fatal("the held peer sends")
		}
		flows(t, a, b, core.Microphone)
		a.m.Hold(false)
		w.run()
		talk(t, a, b)
		flows(t, b, a, core.Camera)
	}
	if p := of[control.Paused](b); len(p) != 6 || !p[0].On || p[5].On {
		t.Errorf("paused: %v", p)
	}
	a.m.Hold(true)
	a.m.Hold(false) // before the first is answered
	w.run()
	talk(t, a, b)
	quiet(t, a, b)
}

// Both hold, and take the call up again.
func TestHoldOfBoth(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	start(w, a, b)
	a.m.Hold(true)
	b.m.Hold(true)
	w.run()
	if len(a.open)+len(b.open) != 0 {
		t.Fatal("channels are open")
	}
	a.m.Hold(false)
	b.m.Hold(false)
	w.run()
	talk(t, a, b)
	quiet(t, a, b)
}

func TestEncrypted(t *testing.T) {
	for _, c := range []struct {
		name     string
		a, b     *control.Encryption
		terminal int // of a: b has 190
		want     per.OID
	}{
		{"128", aes(h235.AES128OID), aes(h235.AES128OID), 50, h235.AES128OID},
		{"256", aes(h235.AES256OID, h235.AES128OID), aes(h235.AES256OID, h235.AES128OID), 50, h235.AES256OID},
		{"caller is master", aes(h235.AES256OID, h235.AES128OID), aes(h235.AES128OID), 240, h235.AES128OID},
	} {
		for _, required := range []bool{false, true} {
			w := newWorld(t)
			codecs := []core.Codec{pcma, pcmu, avc}
			a, b := w.pair(control.Options{Codecs: codecs, Encryption: c.a, Required: required, Terminal: c.terminal},
				control.Options{Codecs: codecs, Encryption: c.b, Required: required})
			start(w, a, b)
			seen := map[string]bool{}
			for _, source := range []core.Source{core.Microphone, core.Camera} {
				for _, ends := range [][2]*side{{a, b}, {b, a}} {
					codec, key := flows(t, ends[0], ends[1], source), ends[0].channel(true, source).Key
					if key == nil || key.Algorithm != c.want || seen[string(key.Bytes)] {
						t.Fatalf("%s: the key is %v", c.name, key)
					}
					seen[string(key.Bytes)] = true
					if want := map[core.Source]uint8{core.Microphone: 120, core.Camera: 96}[source]; codec.PayloadType != want {
						t.Errorf("%s: payload type %d", c.name, codec.PayloadType)
					}
					if strings.Contains(show(ends[0].channel(true, source)), show(key.Bytes)) {
						t.Error("the key can be printed")
					}
				}
			}
			quiet(t, a, b)
		}
	}
}

func TestTokensComeLate(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Required: true}, control.Options{Required: true})
	a.m.SetEncryption(aes(h235.AES128OID))
	b.m.SetEncryption(aes(h235.AES128OID))
	start(w, a, b)
	talk(t, a, b)
	if a.channel(true, core.Microphone).Key == nil {
		t.Error("no key")
	}
}

func TestDowngrade(t *testing.T) {
	for name, other := range map[string]control.Options{"no tokens": {}, "other algorithm": {Encryption: aes(h235.AES256OID)}} {
		for _, first := range []string{"a", "b"} {
			w := newWorld(t)
			a, b := w.pair(control.Options{Encryption: aes(h235.AES128OID), Required: true}, other)
			map[string]*side{"a": a, "b": b}[first].m.Start()
			w.run()
			if a.opened != 0 {
				t.Errorf("%s: a channel in clear was open", name)
			}
			if e := of[control.Ended](a); len(e) != 1 || e[0].Reason.Code != core.NotEncrypted {
				t.Errorf("%s, %s first: %v", name, first, e)
			}
			if len(of[control.Note](a)) == 0 {
				t.Errorf("%s: nothing is noted", name)
			}
		}
	}
}

// Who does not require encryption goes on in clear, but is told.
func TestClearThoughKeysAreAgreed(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Encryption: aes(h235.AES128OID)}, control.Options{})
	start(w, a, b)
	talk(t, a, b)
	if n := of[control.Note](a); len(n) != 1 {
		t.Errorf("notes: %v", n)
	}
}

func TestRekey(t *testing.T) {
	w := newWorld(t)
	opt := control.Options{Codecs: []core.Codec{pcma, avc}, Encryption: aes(h235.AES256OID)}
	a, b := w.pair(opt, opt)
	start(w, a, b)
	for _, by := range []*side{a, b} {
		for _, out := range []bool{true, false} {
			for _, source := range []core.Source{core.Microphone, core.Camera} {
				old := by.channel(out, source)
				w.pass(2 * time.Second)
				by.m.Rekey(old)
				w.run()
				now := by.channel(out, source)
				if now == nil || string(now.Key.Bytes) == string(old.Key.Bytes) || now.Codec.PayloadType == old.Codec.PayloadType || now.Number != old.Number {
					t.Fatalf("%s: %+v became %+v", by.name, old, now)
				}
				talk(t, a, b)
				flows(t, a, b, core.Camera)
				flows(t, b, a, core.Camera)
			}
		}
	}
	quiet(t, a, b)
	// at most one a second
	opened := a.opened
	w.pass(2 * time.Second)
	for range 20 {
		a.m.Rekey(a.channel(true, core.Microphone))
		w.run()
	}
	if a.opened != opened+1 {
		t.Errorf("%d new keys at once", a.opened-opened)
	}
}

// A slave's new key, and ones that are malformed, are refused.
func TestBadKeys(t *testing.T) {
	w := newWorld(t)
	opt := control.Options{Encryption: aes(h235.AES128OID)}
	a, b := w.pair(opt, opt)
	start(w, a, b)
	was := a.channel(false, core.Microphone)
	wrap := func(n int) per.OctetString {
		k := h235.V3KeySyncMaterial{EncryptedSessionKey: make([]byte, n)}
		key, err := per.Encode(&h235.H235Key{SecureSharedSecret: &k})
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	zero, err := h235.WrapKey(make([]byte, 16), h235.SessionKey(secret, 16))
	if err != nil {
		t.Fatal(err)
	}
	zeroKey, _ := per.Encode(&h235.H235Key{SecureSharedSecret: &h235.V3KeySyncMaterial{EncryptedSessionKey: zero}})
	update := func(s *side, key per.OctetString, flag int) {
		s.m.Receive(command(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: int(was.Number),
			Type: h245.MiscellaneousCommandType{EncryptionUpdate: &h245.EncryptionSync{SynchFlag: flag, H235Key: key}}}}))
		w.run()
	}
	update(a, wrap(15), 121)
	update(a, wrap(32), 121)
	update(a, wrap(0), 121)
	update(a, zeroKey, 121)
	update(a, wrap(16), 200)
	update(a, wrap(16), 120) // the same payload type
	update(a, per.OctetString{1, 2, 3}, 121)
	if a.channel(false, core.Microphone) != was || len(of[control.Note](a)) != 7 {
		t.Errorf("a bad key is taken: %v", of[control.Note](a))
	}
	opened := b.opened
	update(b, wrap(16), 121)
	if b.opened != opened {
		t.Error("the master takes a key")
	}
	update(a, wrap(16), 121) // the older form, without acknowledgement
	if ch := a.channel(false, core.Microphone); ch == was || ch.Codec.PayloadType != 121 {
		t.Errorf("the channel is %+v", ch)
	}
}
