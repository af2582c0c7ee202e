package control_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/internal/vectors"
	"bridgehead/h323/per"
)

func vector(t testing.TB, number string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors.Dir(), number+"-*.hex"))
	if err != nil || len(files) != 1 {
		t.Fatalf("vector %s: %v, %v", number, files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func feed(t testing.TB, s *side, number string) {
	t.Helper()
	if err := s.m.ReceiveBytes(vector(t, number)); err != nil {
		t.Errorf("vector %s: %v", number, err)
	}
	s.w.run()
}

// become makes a lone side master or slave, and its capabilities known.
func become(s *side, master bool) {
	s.m.Start()
	s.w.run()
	d := h245.MasterSlaveDeterminationAckDecision{Slave: new(per.Null)}
	if master {
		d = h245.MasterSlaveDeterminationAckDecision{Master: new(per.Null)}
	}
	s.m.Receive(respond(h245.ResponseMessage{MasterSlaveDeterminationAck: &h245.MasterSlaveDeterminationAck{Decision: d}}))
	s.m.Receive(respond(h245.ResponseMessage{TerminalCapabilitySetAck: &h245.TerminalCapabilitySetAck{SequenceNumber: 1}}))
	s.w.run()
}

func opens(s *side) (list []*h245.OpenLogicalChannel) {
	for _, m := range s.sent {
		if o := olc(m); o != nil {
			list = append(list, o)
		}
	}
	return list
}

// What we open toward the capabilities of public endpoints.
func TestCapabilitiesOfPeers(t *testing.T) {
	enc := aes(h235.AES256OID, h235.AES128OID)
	all := []core.Codec{g722, pcma, pcmu, avc}
	for _, c := range []struct {
		vector string
		opt    control.Options
		want   []string
	}{
		{"103", control.Options{Codecs: all}, []string{"G722 9 20ms 0"}},
		{"103", control.Options{Codecs: []core.Codec{pcmu, avc}}, []string{"PCMU 0 20ms 0"}},
		{"102", control.Options{Codecs: []core.Codec{pcma}, Encryption: enc}, []string{"PCMA 8 20ms 0"}},
		{"105", control.Options{Codecs: all, Encryption: enc}, []string{"G722 120 20ms 0 " + string(h235.AES128OID)}},
		{"106", control.Options{Codecs: []core.Codec{pcma}, Encryption: enc, Required: true}, []string{"PCMA 120 20ms 0 " + string(h235.AES128OID)}},
		{"106", control.Options{Codecs: []core.Codec{pcma}}, []string{"PCMA 8 20ms 0"}},
		{"108", control.Options{Codecs: all}, []string{"G722 9 20ms 0", "H264 96 0s 384000 profile-level-id=42e00d;packetization-mode=0"}},
		{"108", control.Options{Codecs: all, Encryption: enc, Required: true}, nil},
		{"105", control.Options{Codecs: all, Encryption: aes(h235.AES256OID), Required: true}, nil},
	} {
		s := newWorld(t).alone(c.opt)
		feed(t, s, c.vector)
		become(s, false)
		for _, o := range opens(s) { // accepted
			a := &h245.OpenLogicalChannelAck{ForwardLogicalChannelNumber: o.ForwardLogicalChannelNumber,
				ForwardMultiplexAckParameters: &h245.OpenLogicalChannelAckForwardMultiplexAckParameters{H2250LogicalChannelAckParameters: &h245.H2250LogicalChannelAckParameters{
					MediaChannel: o.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters.MediaControlChannel}}}
			if o.ForwardLogicalChannelParameters.DataType.H235Media != nil {
				a.EncryptionSync = keySync(t, bytes.Repeat([]byte{9}, 16), 120)
			}
			s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelAck: a}))
		}
		var got []string
		for _, ch := range s.open {
			line := strings.TrimSpace(strings.Join([]string{ch.Codec.Name, show(ch.Codec.PayloadType), ch.Codec.Ptime.String(), show(ch.BitRate), ch.Codec.Fmtp}, " "))
			if ch.Key != nil {
				line += " " + string(ch.Key.Algorithm)
			}
			got = append(got, line)
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %q, not %q (%v)", c.vector, got, c.want, s.events)
		}
	}
}

func keySync(t testing.TB, key []byte, flag int) *h245.EncryptionSync {
	t.Helper()
	wrapped, err := h235.WrapKey(key, h235.SessionKey(secret, len(key)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := per.Encode(&h235.H235Key{SecureSharedSecret: &h235.V3KeySyncMaterial{AlgorithmOID: new(h235.AES128OID), EncryptedSessionKey: wrapped}})
	if err != nil {
		t.Fatal(err)
	}
	return &h245.EncryptionSync{SynchFlag: flag, H235Key: b}
}

// Channels as public endpoints open them, and what we answer.
func TestChannelsOfPeers(t *testing.T) {
	enc := aes(h235.AES128OID)
	for _, c := range []struct {
		vector string
		opt    control.Options
		master bool
		want   string // codec, payload type, session; or the reason of the reject
	}{
		{"081", control.Options{}, false, "PCMA 8 1"},
		{"082", control.Options{}, true, "PCMA 8 1"},
		{"082", control.Options{Codecs: []core.Codec{pcmu}}, true, "dataTypeNotSupported"},
		{"082", control.Options{Encryption: enc, Required: true}, true, "securityDenied"},
		{"084", control.Options{Encryption: enc}, true, "PCMA 120 1 key sync"},
		{"084", control.Options{Encryption: enc}, false, "securityDenied"}, // a slave gives no key
		{"084", control.Options{}, true, "securityDenied"},
		{"084", control.Options{Encryption: aes(h235.AES256OID)}, true, "securityDenied"},
		{"086", control.Options{Encryption: enc}, false, "PCMA 120 1 key"},
		{"086", control.Options{Encryption: enc}, true, "securityDenied"}, // two masters
		{"087", control.Options{Encryption: enc, Codecs: []core.Codec{pcma, avc}}, false, "H264 96 2 key"},
		{"089", control.Options{Encryption: enc, Codecs: []core.Codec{pcma, avc}}, true, "H264 96 2 key sync"},
		{"090", control.Options{Codecs: []core.Codec{pcma, avc}}, true, "dataTypeNotSupported"}, // H.261
		{"092", control.Options{Codecs: []core.Codec{pcma, avc}}, true, "H264 96 2"},
		{"092", control.Options{}, true, "dataTypeNotSupported"},
		{"091", control.Options{}, true, "dataTypeNotSupported"}, // H.239; more in TestContentOfPeers
	} {
		s := newWorld(t).alone(c.opt)
		become(s, c.master)
		feed(t, s, c.vector)
		got := ""
		if len(s.open) == 1 {
			ch := s.open[0]
			got = ch.Codec.Name + " " + show(ch.Codec.PayloadType) + " " + show(ch.Session)
			if ch.Key != nil {
				got += " key"
			}
			ack := s.sent[len(s.sent)-1].Response.OpenLogicalChannelAck
			if ack == nil {
				t.Fatalf("%s: no answer", c.vector)
			}
			p := ack.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters
			if p.MediaChannel == nil || p.MediaControlChannel == nil || (p.DynamicRTPPayloadType != nil) != (ch.Codec.PayloadType >= 96) {
				t.Errorf("%s: the answer is %s", c.vector, show(p))
			}
			if ack.EncryptionSync != nil {
				got += " sync"
				if ack.EncryptionSync.SynchFlag != int(ch.Codec.PayloadType) || len(ack.EncryptionSync.H235Key) != 31 {
					t.Errorf("%s: the key is sent as %s", c.vector, show(ack.EncryptionSync))
				}
			}
		} else if r := last(s, rejectOf); r != nil {
			switch {
			case r.Cause.DataTypeNotSupported != nil:
				got = "dataTypeNotSupported"
			case r.Cause.SecurityDenied != nil:
				got = "securityDenied"
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.vector, got, c.want)
		}
		if c.want == "PCMA 8 1" || strings.Contains(c.want, "key") {
			if rtcp := s.open[0].Remote.RTCP; !rtcp.IsValid() {
				t.Errorf("%s: no address for reports", c.vector)
			}
		}
	}
}

// Every captured message, to a Machine in every state: the call goes on.
func TestMessagesOfPeers(t *testing.T) {
	all, err := vectors.Load("MultimediaSystemControlMessage")
	if err != nil {
		t.Fatal(err)
	}
	for _, enc := range []*control.Encryption{nil, aes(h235.AES128OID)} {
		for _, ready := range []bool{false, true} {
			s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcma, pcmu, avc}, Encryption: enc})
			if ready {
				become(s, true)
			}
			for _, v := range all {
				var msg message
				if _, err := per.Decode(v.Bytes, &msg); err != nil || msg.Command != nil && msg.Command.EndSessionCommand != nil {
					continue
				}
				if err := s.m.ReceiveBytes(v.Bytes); err != nil {
					t.Errorf("%s: %v", v.Name, err)
				}
				s.w.run()
				if e := of[control.Ended](s); len(e) > 0 {
					t.Fatalf("%s ends the call: %v", v.Name, e)
				}
			}
			if s.m.State().Discarded > 0 {
				t.Errorf("%d messages are not understood", s.m.State().Discarded)
			}
			feed(t, s, "067")
			if e := of[control.Ended](s); len(e) != 1 || e[0].Reason.Code != core.Normal || len(s.open) != 0 || len(s.w.timers) != 0 {
				t.Errorf("endSessionCommand: %v, open %v, %d timers", e, s.open, len(s.w.timers))
			}
		}
	}
}

func lastSent(s *side) *message {
	if len(s.sent) == 0 {
		return &message{}
	}
	return s.sent[len(s.sent)-1]
}

func TestKeysPressed(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	start(w, a, b)
	for _, k := range "0123456789*#ABCDd!x" {
		a.m.Digit(byte(k))
	}
	w.run()
	indication := func(i h245.UserInputIndication) {
		b.m.Receive(&message{Indication: &h245.IndicationMessage{UserInput: &i}})
	}
	indication(h245.UserInputIndication{Alphanumeric: new("12#é!")})
	indication(h245.UserInputIndication{Alphanumeric: new(strings.Repeat("7", 1000))})
	indication(h245.UserInputIndication{Signal: &h245.UserInputIndicationSignal{SignalType: "9", RtpPayloadIndication: new(per.Null)}})
	indication(h245.UserInputIndication{Signal: &h245.UserInputIndicationSignal{SignalType: "!"}})
	indication(h245.UserInputIndication{SignalUpdate: &h245.UserInputIndicationSignalUpdate{Duration: 100}})
	indication(h245.UserInputIndication{ExtendedAlphanumeric: &h245.UserInputIndicationExtendedAlphanumeric{Alphanumeric: "*6"}})
	var got []byte
	for _, d := range of[control.Digit](b) {
		got = append(got, d.Key)
	}
	if want := "0123456789*#ABCDD" + "12#" + strings.Repeat("7", 64) + "*6"; string(got) != want {
		t.Errorf("the keys are %s", got)
	}
	if n := count(a, func(m *message) bool {
		return m.Indication != nil && m.Indication.UserInput != nil && m.Indication.UserInput.Signal != nil
	}); n != 17 {
		t.Errorf("%d signals were sent", n)
	}
	feed(t, b, "113")
	if d := of[control.Digit](b); d[len(d)-1].Key != '1' {
		t.Errorf("the captured signal is %v", d[len(d)-1])
	}
}

func TestFastUpdate(t *testing.T) {
	w := newWorld(t)
	opt := control.Options{Codecs: []core.Codec{pcmu, avc}}
	a, b := w.pair(opt, opt)
	start(w, a, b)
	video := a.channel(false, core.Camera)
	for range 10 {
		a.m.FastUpdate(video)
	}
	a.m.FastUpdate(a.channel(false, core.Microphone))
	a.m.FastUpdate(a.channel(true, core.Camera))
	a.m.FastUpdate(nil)
	w.run()
	if u := of[control.FastUpdate](b); len(u) != 1 || u[0].Channel != b.channel(true, core.Camera) {
		t.Errorf("updates: %v", u)
	}
	w.pass(time.Second) // the ones within it
	w.pass(10 * time.Second)
	if u := of[control.FastUpdate](b); len(u) != 2 {
		t.Errorf("updates: %v", u)
	}
	a.m.FastUpdate(video)
	w.run()
	if u := of[control.FastUpdate](b); len(u) != 3 {
		t.Errorf("updates: %v", u)
	}
}

func TestFlowControl(t *testing.T) {
	w := newWorld(t)
	opt := control.Options{Codecs: []core.Codec{pcmu, avc}}
	a, b := w.pair(opt, opt)
	start(w, a, b)
	a.m.FlowControl(a.channel(false, core.Camera), 384_000)
	a.m.FlowControl(a.channel(false, core.Camera), 0)
	a.m.FlowControl(a.channel(true, core.Camera), 1000)
	w.run()
	b.m.Receive(command(h245.CommandMessage{FlowControlCommand: &h245.FlowControlCommand{
		Scope: h245.FlowControlCommandScope{WholeMultiplex: new(per.Null)}, Restriction: h245.FlowControlCommandRestriction{MaximumBitRate: new(0)}}}))
	got := of[control.BitRate](b)
	if len(got) != 4 || got[0].BitsPerSec != 384_000 || got[1].BitsPerSec != 0 || got[0].Channel != b.channel(true, core.Camera) || got[2].BitsPerSec != 1 {
		t.Errorf("limits: %v", got)
	}
}

func TestModeRequest(t *testing.T) {
	audio := func(m h245.AudioMode) h245.ModeDescription {
		return h245.ModeDescription{{Type: h245.ModeElementType{AudioMode: &m}}}
	}
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	start(w, a, b)
	ask := func(modes ...h245.ModeDescription) *h245.ResponseMessage {
		n := len(a.sent)
		a.m.Receive(request(h245.RequestMessage{RequestMode: &h245.RequestMode{SequenceNumber: 7, RequestedModes: modes}}))
		answer := a.sent[n].Response
		w.run()
		return answer
	}
	g728 := audio(h245.AudioMode{G728: new(per.Null)})
	if r := ask(g728).RequestModeReject; r == nil || r.SequenceNumber != 7 || r.Cause.ModeUnavailable == nil {
		t.Error("a mode that we lack is not refused")
	}
	if r := ask(g728, audio(h245.AudioMode{G711Ulaw64k: new(per.Null)})).RequestModeAck; r == nil || r.Response.WillTransmitLessPreferredMode == nil {
		t.Error("the second mode is not taken")
	}
	if c := flows(t, a, b, core.Microphone); c.Name != "PCMU" {
		t.Errorf("the codec is %s", c.Name)
	}
	if r := ask(audio(h245.AudioMode{G711Alaw64k: new(per.Null)})).RequestModeAck; r == nil || r.Response.WillTransmitMostPreferredMode == nil {
		t.Error("the first mode is not taken")
	}
	if c := flows(t, a, b, core.Microphone); c.Name != "PCMA" {
		t.Errorf("the codec is %s", c.Name)
	}
	quiet(t, a, b)
}

func TestCloseRequested(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{}, control.Options{})
	start(w, a, b)
	a.m.Close(a.channel(false, core.Microphone))
	w.run()
	if b.channel(true, core.Microphone) != nil || a.channel(false, core.Microphone) != nil {
		t.Error("the peer's channel is open")
	}
	a.m.Close(a.channel(true, core.Microphone))
	w.run()
	if len(a.open)+len(b.open) != 0 || len(w.timers) != 0 {
		t.Errorf("open: %v, %v, %d timers", a.open, b.open, len(w.timers))
	}
	// a peer that does not answer, and one that asks to reopen
	a, b = w.pair(control.Options{}, control.Options{})
	start(w, a, b)
	a.lose = func(m *message) bool { return m.Request != nil && m.Request.RequestChannelClose != nil }
	a.m.Close(a.channel(false, core.Microphone))
	w.pass(31 * time.Second)
	talk(t, a, b)
	if lastSent(a).Indication == nil || lastSent(a).Indication.RequestChannelCloseRelease == nil || len(of[control.Note](a)) != 1 {
		t.Errorf("T108: %s", show(lastSent(a)))
	}
	was := a.channel(true, core.Microphone)
	a.m.Receive(request(h245.RequestMessage{RequestChannelClose: &h245.RequestChannelClose{ForwardLogicalChannelNumber: int(was.Number),
		Reason: &h245.RequestChannelCloseReason{Reopen: new(per.Null)}}}))
	w.run()
	talk(t, a, b)
	if a.channel(true, core.Microphone) == was {
		t.Error("the channel is not reopened")
	}
	a.m.Receive(request(h245.RequestMessage{RequestChannelClose: &h245.RequestChannelClose{ForwardLogicalChannelNumber: 4711}}))
	if r := lastSent(a).Response; r == nil || r.RequestChannelCloseReject == nil {
		t.Errorf("an unknown channel: %s", show(lastSent(a)))
	}
}

// Both open at once, and the master refuses: the slave takes the master's codec.
func TestConflict(t *testing.T) {
	for _, early := range []bool{false, true} {
		s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcmu, pcma}})
		feed(t, s, "103")
		become(s, false)
		if early {
			feed(t, s, "082") // PCMA
		}
		first := opens(s)[0]
		s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelReject: &h245.OpenLogicalChannelReject{
			ForwardLogicalChannelNumber: first.ForwardLogicalChannelNumber, Cause: h245.OpenLogicalChannelRejectCause{MasterSlaveConflict: new(per.Null)}}}))
		if !early {
			if len(opens(s)) != 1 {
				t.Fatal("the master's channel is not waited for")
			}
			feed(t, s, "082")
		}
		list := opens(s)
		if len(list) != 2 || list[0].ForwardLogicalChannelParameters.DataType.AudioData.G711Ulaw64k == nil || list[1].ForwardLogicalChannelParameters.DataType.AudioData.G711Alaw64k == nil {
			t.Errorf("opened: %s", show(list))
		}
	}
}

// A peer that refuses each codec is asked for each once.
func TestEveryCodecRefused(t *testing.T) {
	s := newWorld(t).alone(control.Options{})
	s.script = func(m *message) {
		if o := olc(m); o != nil {
			s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelReject: &h245.OpenLogicalChannelReject{
				ForwardLogicalChannelNumber: o.ForwardLogicalChannelNumber, Cause: h245.OpenLogicalChannelRejectCause{DataTypeNotAvailable: new(per.Null)}}}))
		}
	}
	feed(t, s, "103")
	become(s, true)
	if n := len(opens(s)); n != 3 {
		t.Errorf("%d channels are tried", n)
	}
	feed(t, s, "082") // it sends all the same
	if s.channel(false, core.Microphone) == nil {
		t.Error("the peer's channel is not open")
	}
}

func openOf(n, sessionID int, t h245.DataType) *message {
	o := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: n}
	o.ForwardLogicalChannelParameters.DataType = t
	o.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters = &h245.H2250LogicalChannelParameters{SessionID: sessionID}
	return request(h245.RequestMessage{OpenLogicalChannel: o})
}

// Sessions as peers number them: 4 for sound (ooh323), 0 of a slave.
func TestSessions(t *testing.T) {
	for given, want := range map[int]int{1: 1, 4: 4, 32: 32, 0: 1} {
		s := newWorld(t).alone(control.Options{})
		become(s, true)
		s.m.Receive(openOf(1001, given, h245.DataType{AudioData: &h245.AudioCapability{G711Ulaw64k: new(30)}}))
		if len(s.open) != 1 || s.open[0].Session != want || s.open[0].Codec.Ptime != 30*time.Millisecond ||
			*lastSent(s).Response.OpenLogicalChannelAck.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters.SessionID != want {
			t.Errorf("session %d: %s", given, show(s.open))
		}
		// a second of its kind is refused, and one of the same number takes over
		s.m.Receive(openOf(1002, 3, h245.DataType{AudioData: &h245.AudioCapability{G711Ulaw64k: new(20)}}))
		if len(s.open) != 1 || last(s, rejectOf).Cause.DataTypeNotAvailable == nil {
			t.Error("a second channel is open")
		}
		s.m.Receive(openOf(1001, 1, h245.DataType{AudioData: &h245.AudioCapability{G711Alaw64k: new(20)}}))
		if len(s.open) != 1 || s.open[0].Codec.Name != "PCMA" {
			t.Error("the channel is not opened anew")
		}
		next := openOf(1003, 1, h245.DataType{AudioData: &h245.AudioCapability{G722_64k: new(20)}})
		next.Request.OpenLogicalChannel.ForwardLogicalChannelParameters.ReplacementFor = new(1001)
		s.m.Receive(next)
		if len(s.open) != 1 || s.open[0].Codec.Name != "G722" {
			t.Error("the channel is not replaced")
		}
		for range 2 {
			s.m.Receive(request(h245.RequestMessage{CloseLogicalChannel: &h245.CloseLogicalChannel{ForwardLogicalChannelNumber: 1003}}))
			if len(s.open) != 0 || lastSent(s).Response.CloseLogicalChannelAck == nil {
				t.Error("the channel is not closed")
			}
		}
	}
}

func TestNoPorts(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(control.Options{Codecs: []core.Codec{pcmu, avc}}, control.Options{Codecs: []core.Codec{pcmu, avc}})
	delete(a.local, core.Camera)
	start(w, a, b)
	talk(t, a, b)
	if a.channel(true, core.Camera) != nil || a.channel(false, core.Camera) != nil || len(of[control.Ended](a)) != 0 {
		t.Error("video without ports")
	}
}

// Addresses to which nothing can be sent.
func TestBadAddresses(t *testing.T) {
	ip4 := func(port int, b ...byte) *h245.TransportAddress {
		return &h245.TransportAddress{UnicastAddress: &h245.UnicastAddress{IPAddress: &h245.UnicastAddressIPAddress{Network: b, TsapIdentifier: port}}}
	}
	for i, a := range []*h245.TransportAddress{nil, {}, ip4(0, 192, 0, 2, 1), ip4(5000, 0, 0, 0, 0), ip4(5000, 224, 0, 0, 1), ip4(5000, 1, 2)} {
		s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcmu}})
		feed(t, s, "103")
		become(s, false)
		s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelAck: &h245.OpenLogicalChannelAck{ForwardLogicalChannelNumber: opens(s)[0].ForwardLogicalChannelNumber,
			ForwardMultiplexAckParameters: &h245.OpenLogicalChannelAckForwardMultiplexAckParameters{H2250LogicalChannelAckParameters: &h245.H2250LogicalChannelAckParameters{MediaChannel: a}}}}))
		if len(s.open) != 0 || lastSent(s).Request.CloseLogicalChannel == nil {
			t.Errorf("address %d is taken", i)
		}
	}
}

// Requests of which we do nothing, and what is said to them.
func TestRefusals(t *testing.T) {
	s := newWorld(t).alone(control.Options{})
	become(s, true)
	answer := func(m *message) *message {
		n := len(s.sent)
		s.m.Receive(m)
		if len(s.sent) != n+1 {
			t.Fatalf("%s: %d answers", show(m), len(s.sent)-n)
		}
		return s.sent[n]
	}
	feed(t, s, "071")
	g := lastSent(s).Response.GenericResponse
	if g == nil || *g.SubMessageIdentifier != 4 || len(g.MessageContent) != 3 || *g.MessageContent[0].ParameterIdentifier.Standard != 127 {
		t.Errorf("H.239: %s", show(lastSent(s)))
	}
	feed(t, s, "098")
	if r := lastSent(s).Response.RoundTripDelayResponse; r == nil {
		t.Error("no round trip response")
	}
	if r := answer(request(h245.RequestMessage{MaintenanceLoopRequest: &h245.MaintenanceLoopRequest{Type: h245.MaintenanceLoopRequestType{SystemLoop: new(per.Null)}}})); r.Response.MaintenanceLoopReject == nil {
		t.Errorf("loop: %s", show(r))
	}
	if r := answer(request(h245.RequestMessage{ConferenceRequest: &h245.ConferenceRequest{MakeMeChair: new(per.Null)}})); r.Response.ConferenceResponse.MakeMeChairResponse.DeniedChairToken == nil {
		t.Errorf("chair: %s", show(r))
	}
	if r := answer(request(h245.RequestMessage{LogicalChannelRateRequest: &h245.LogicalChannelRateRequest{LogicalChannelNumber: 3}})); r.Response.LogicalChannelRateReject == nil {
		t.Errorf("rate: %s", show(r))
	}
	unknown := request(h245.RequestMessage{CommunicationModeRequest: &h245.CommunicationModeRequest{}})
	if r := answer(unknown); r.Indication.FunctionNotUnderstood.Request == nil {
		t.Errorf("unknown: %s", show(r))
	}
	if s.m.ReceiveBytes([]byte{0xff}) == nil || lastSent(s).Indication.FunctionNotSupported == nil {
		t.Errorf("malformed: %s", show(lastSent(s)))
	}
	n := len(s.sent)
	for range 1000 {
		s.m.Receive(unknown)
		_ = s.m.ReceiveBytes(make([]byte, 1<<17))
	}
	if len(s.sent) > n+32 || s.m.State().Discarded != 2002 {
		t.Errorf("%d answers, %d discarded", len(s.sent)-n, s.m.State().Discarded)
	}
	s.m.Receive(nil)
	s.m.Receive(command(h245.CommandMessage{SendTerminalCapabilitySet: &h245.SendTerminalCapabilitySet{GenericRequest: new(per.Null)}}))
	if !isSet(lastSent(s)) {
		t.Errorf("sendTerminalCapabilitySet: %s", show(lastSent(s)))
	}
}

func TestUnknownCodec(t *testing.T) {
	for _, c := range []core.Codec{{Name: "opus"}, {Name: ""}, {Name: "H264", Fmtp: "profile-level-id=4z"}} {
		if _, err := control.New(control.Options{Codecs: []core.Codec{c}}, nil); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
