package control_test

import (
	"encoding/binary"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/internal/vectors"
)

// FuzzReceive gives a Machine messages, each behind two octets of length, in
// any order, and lets time pass behind each. What it keeps and says is bounded.
func FuzzReceive(f *testing.F) {
	all, err := vectors.Load("MultimediaSystemControlMessage")
	if err != nil {
		f.Fatal(err)
	}
	var whole []byte
	for _, v := range all {
		one := append(binary.BigEndian.AppendUint16(nil, uint16(len(v.Bytes))), v.Bytes...)
		whole = append(whole, one...)
		f.Add(one, false, false)
	}
	f.Add(whole, true, true)
	w := newWorld(f)
	opt := options()
	a, b := w.pair(opt, opt)
	for range 2 { // each side of a call of ours, held and rekeyed
		start(w, a, b)
		a.m.Rekey(a.channel(true, core.Microphone))
		w.run()
		a.m.Hold(true)
		w.run()
		a.m.Hold(false)
		w.run()
		a, b = b, a
	}
	f.Add(transcript(f, a), true, false)
	f.Add(transcript(f, b), false, true)
	f.Fuzz(func(t *testing.T, b []byte, master, quick bool) {
		w := newWorld(t)
		s := w.alone(options())
		if quick {
			s.m.Offer()
		} else {
			become(s, master)
		}
		n := 0
		for ; len(b) >= 2 && n < 200; n++ {
			size := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			pdu := b[2 : 2+size]
			b = b[2+size:]
			_ = s.m.ReceiveBytes(pdu)
			_ = s.m.Answered([][]byte{pdu})
			w.run()
			w.pass(time.Second)
			if len(s.open) > 6 || len(w.timers) > 20 {
				t.Fatalf("%d channels, %d timers", len(s.open), len(w.timers))
			}
		}
		if len(s.sent) > 20+10*n {
			t.Fatalf("%d messages to %d", len(s.sent), n)
		}
		if len(s.events) > 64*n+64 {
			t.Fatalf("%d events of %d messages", len(s.events), n)
		}
		s.m.End()
		if len(s.open) > 0 || len(w.timers) > 0 {
			t.Fatalf("at the end %d channels, %d timers", len(s.open), len(w.timers))
		}
	})
}

// FuzzAnswer gives a Machine an element of fastStart to answer.
func FuzzAnswer(f *testing.F) {
	all, err := vectors.Load("OpenLogicalChannel")
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range all {
		f.Add(v.Bytes)
	}
	for _, e := range newWorld(f).alone(options()).m.Offer() {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newWorld(t).alone(options())
		answer, ok := s.m.Answer([][]byte{b, b})
		if ok != (len(answer) > 0) || len(s.open) != len(answer) || len(answer) > 2 {
			t.Fatalf("%v: %d answers, %d channels", ok, len(answer), len(s.open))
		}
	})
}

func options() control.Options {
	return control.Options{Codecs: []core.Codec{g722, pcma, pcmu, avc}, Encryption: aes(h235.AES128OID)}
}

// transcript is what a side has sent.
func transcript(t testing.TB, s *side) (b []byte) {
	for _, m := range s.sent {
		pdu := encode(t, m)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(pdu))), pdu...)
	}
	return b
}

// BenchmarkNegotiation is one encrypted call from capability exchange to
// channels both ways and its end, at both sides, each message encoded and
// decoded.
func BenchmarkNegotiation(b *testing.B) {
	for name, opt := range map[string]control.Options{
		"clear": {Codecs: []core.Codec{g722, pcma, pcmu, avc}}, "h235": options()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := newWorld(b)
				x, y := w.pair(opt, opt)
				start(w, x, y)
				if len(x.open) != 4 || len(y.open) != 4 {
					b.Fatalf("%d and %d channels", len(x.open), len(y.open))
				}
				x.m.End()
				w.run()
			}
		})
	}
}
