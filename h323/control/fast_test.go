package control_test

import (
	"slices"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/internal/vectors"
	"bridgehead/h323/per"
)

// connect sets up by fast connect.
func connect(t *testing.T, a, b *side) {
	t.Helper()
	answer, ok := b.m.Answer(a.m.Offer())
	if !ok {
		t.Fatalf("fast connect is not accepted: %v", b.events)
	}
	if err := a.m.Answered(answer); err != nil {
		t.Fatal(err)
	}
	a.w.run()
}

func TestFastConnect(t *testing.T) {
	key128 := aes(h235.AES128OID)
	for _, c := range []struct {
		name      string
		a, b      control.Options
		encrypted bool
		codec     string
	}{
		{"clear", control.Options{}, control.Options{}, false, "G722"},
		{"other order", control.Options{Codecs: []core.Codec{pcmu, g722}}, control.Options{Codecs: []core.Codec{g722, pcmu}}, false, "PCMU"},
		{"one in common", control.Options{Codecs: []core.Codec{g722, pcma}}, control.Options{Codecs: []core.Codec{pcmu, pcma}}, false, "PCMA"},
		{"128", control.Options{Encryption: key128}, control.Options{Encryption: key128}, true, "G722"},
		{"256", control.Options{Encryption: aes(h235.AES256OID, h235.AES128OID), Required: true}, control.Options{Encryption: aes(h235.AES256OID)}, true, "G722"},
		{"callee without", control.Options{Encryption: key128}, control.Options{}, false, "G722"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.a.Codecs == nil {
				c.a.Codecs, c.b.Codecs = []core.Codec{g722, pcmu, avc}, []core.Codec{g722, pcmu, avc}
			}
			a, b := w.pair(c.a, c.b)
			connect(t, a, b)
			for _, ends := range [][2]*side{{a, b}, {b, a}} {
				codec := flows(t, ends[0], ends[1], core.Microphone)
				if codec.Name != c.codec || (codec.PayloadType == 120) != c.encrypted || (ends[0].channel(true, core.Microphone).Key != nil) != c.encrypted {
					t.Errorf("the codec is %+v", codec)
				}
			}
			if len(c.a.Codecs) == 3 {
				flows(t, a, b, core.Camera)
				flows(t, b, a, core.Camera)
			}
			if x, y := of[control.Ready](a), of[control.Ready](b); len(x) != 1 || len(y) != 1 || x[0].Master || !y[0].Master {
				t.Errorf("ready: %v, %v", x, y)
			}
			if len(a.sent)+len(b.sent) != 0 {
				t.Errorf("messages were sent: %v, %v", a.sent, b.sent)
			}
			// H.245 follows: nothing is opened twice
			a.m.Start()
			w.run()
			talk(t, a, b)
			if n := count(a, isOpen) + count(b, isOpen); n != 0 {
				t.Errorf("%d channels are opened", n)
			}
			if len(of[control.Ready](a)) != 1 || !a.m.State().Determined || len(of[control.Ended](a)) != 0 {
				t.Errorf("events: %v", a.events)
			}
			if c.encrypted {
				b.m.Rekey(b.channel(true, core.Microphone))
				w.run()
				talk(t, a, b)
			}
			a.m.Hold(true)
			w.run()
			a.m.Hold(false)
			w.run()
			talk(t, a, b)
		})
	}
}

// A caller of fast connect that never does H.245 stays in the call.
func TestFastConnectAlone(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	connect(t, a, b)
	a.lose = func(*message) bool { return true }
	b.m.Start()
	w.pass(10 * time.Minute)
	talk(t, a, b)
	if e := of[control.Ended](b); len(e) != 0 || len(of[control.Note](b)) == 0 {
		t.Errorf("events: %v", b.events)
	}
	b.m.Digit('5')
	if d := last(b, func(m *message) *h245.UserInputIndication {
		if m.Indication == nil {
			return nil
		}
		return m.Indication.UserInput
	}); d == nil || d.Alphanumeric == nil || *d.Alphanumeric != "5" {
		t.Errorf("the key is sent as %v", d)
	}
}

func TestFastConnectRefused(t *testing.T) {
	for name, c := range map[string]struct{ a, b control.Options }{
		"no codec":     {control.Options{Codecs: []core.Codec{pcma}}, control.Options{Codecs: []core.Codec{pcmu}}},
		"clear":        {control.Options{}, control.Options{Encryption: aes(h235.AES128OID), Required: true}},
		"no secret":    {control.Options{Encryption: aes(h235.AES128OID), Required: true}, control.Options{}},
		"no proposals": {control.Options{Required: true}, control.Options{}},
	} {
		w := newWorld(t)
		a, b := w.pair(c.a, c.b)
		if _, ok := b.m.Answer(a.m.Offer()); ok || b.opened != 0 {
			t.Errorf("%s: it is accepted", name)
		}
		start(w, a, b) // slow start is left
	}
}

func TestAnswersThatNameNothing(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Codecs: []core.Codec{pcma}}, control.Options{Codecs: []core.Codec{pcmu}})
	a.m.Offer()
	other := b.m.Offer()
	for _, answer := range [][][]byte{nil, {{1, 2, 3}}, {nil}, other} {
		if a.m.Answered(answer) == nil || a.opened != 0 {
			t.Errorf("%x is taken", answer)
		}
	}
	// encrypted without a key, and clear where it must not be
	a, b = newWorld(t).pair(control.Options{Encryption: aes(h235.AES128OID)}, control.Options{Encryption: aes(h235.AES128OID)})
	answer, _ := b.m.Answer(a.m.Offer())
	for i, e := range answer {
		var o h245.OpenLogicalChannel
		if _, err := per.Decode(e, &o); err != nil {
			t.Fatal(err)
		}
		o.EncryptionSync = nil
		answer[i], _ = per.Encode(&o)
	}
	if a.m.Answered(answer) == nil || a.opened != 0 {
		t.Error("encrypted channels without keys are open")
	}
	a = newWorld(t).alone(control.Options{Encryption: aes(h235.AES128OID), Required: true})
	clearly, b := newWorld(t).pair(control.Options{}, control.Options{})
	answer, _ = b.m.Answer(clearly.m.Offer())
	a.m.Offer()
	if err := a.m.Answered(answer); core.ReasonOf(err).Code != core.NotEncrypted || a.opened != 0 {
		t.Errorf("channels in clear: %v", err)
	}
}

// What public endpoints propose (SETUP) and answer (CONNECT).
func TestFastStartOfPeers(t *testing.T) {
	all, err := vectors.Load("OpenLogicalChannel")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string][][]byte{}
	for _, v := range all {
		name, _, _ := cutLast(v.Name, "-embedded")
		sets[name] = append(sets[name], v.Bytes)
	}
	offer := sets["060-cs-setup-h323plus-faststart"]
	if len(offer) < 4 {
		t.Fatalf("the proposals are %x", offer)
	}
	s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcma, pcmu}})
	answer, ok := s.m.Answer(offer)
	in, out := s.channel(false, core.Microphone), s.channel(true, core.Microphone)
	if !ok || len(answer) != 2 || in == nil || out == nil || in.Codec.Name != "PCMA" || out.Codec.Name != "PCMA" ||
		out.Remote.RTP != addr("127.0.0.1:25000") || in.Remote.RTCP.Port() != 25001 || in.Session != 1 {
		t.Errorf("%x: %+v, %+v", answer, in, out)
	}
	for _, name := range []string{"036-cs-connect-h323plus-faststart", "037-cs-connect-h323plus-faststart-h245tunnel"} {
		s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcmu, pcma}})
		s.m.Offer()
		if err := s.m.Answered(sets[name]); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		in, out := s.channel(false, core.Microphone), s.channel(true, core.Microphone)
		if in == nil || out == nil || !out.Remote.RTP.IsValid() || in.Codec.Name != out.Codec.Name {
			t.Errorf("%s: %+v, %+v", name, in, out)
		}
	}
}

func cutLast(s, sep string) (string, string, bool) {
	i := len(s)
	for j := range len(s) - len(sep) + 1 {
		if s[j:j+len(sep)] == sep {
			i = j
		}
	}
	return s[:i], s[i:], i < len(s)
}

// Many proposals, twice the same and none of them fit to decode.
func TestHostileFastStart(t *testing.T) {
	a, b := newWorld(t).pair(control.Options{}, control.Options{})
	offer := a.m.Offer()
	junk := slices.Repeat([][]byte{{0xff, 0xff}, nil, make([]byte, 1<<17)}, 1000)
	if _, ok := b.m.Answer(append(junk, offer...)); ok {
		t.Error("the thousandth proposal is looked at")
	}
	answer, ok := b.m.Answer(slices.Repeat(offer, 3))
	if !ok || len(answer) != 2 || b.opened != 2 {
		t.Errorf("%d answers, %d channels", len(answer), b.opened)
	}
	if _, ok := b.m.Answer(offer); ok {
		t.Error("it is answered twice")
	}
	if err := a.m.Answered(slices.Repeat(answer, 5)); err != nil || a.opened != 2 {
		t.Errorf("%v, %d channels", err, a.opened)
	}
	if a.m.Answered(answer) == nil {
		t.Error("it is answered twice")
	}
}
