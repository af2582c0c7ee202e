package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
)

var suites = []Suite{{"AEAD_AES_256_GCM", 44}, {"AEAD_AES_128_GCM", 28}, {"AES_CM_128_HMAC_SHA1_80", 30}, {"AES_CM_128_HMAC_SHA1_32", 30}}

func agent(p Policy, names ...string) *Agent {
	codecs, err := Codecs(names...)
	if err != nil {
		panic(err)
	}
	return &Agent{Addr: netip.MustParseAddr("192.0.2.1"), Port: 20000, Codecs: codecs, Digits: true, Policy: p, Suites: suites}
}

func decode(t *testing.T, text string) *Session {
	t.Helper()
	s, err := Decode([]byte(strings.ReplaceAll(strings.TrimLeft(text, "\n"), "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const phone = `
v=0
o=- 20518 0 IN IP4 203.0.113.1
s= 
c=IN IP4 203.0.113.1
t=0 0
m=audio 49170 RTP/AVP 0 8 97 101
a=rtpmap:97 opus/48000/2
a=fmtp:97 useinbandfec=1; stereo=0
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:30
a=maxptime:60
`

// TestAgentsAgree has two agents of ours meet under every pair of policies.
func TestAgentsAgree(t *testing.T) {
	for _, p := range []Policy{Required, Optional, Never} {
		for _, q := range []Policy{Required, Optional, Never} {
			a, b := agent(p), agent(q)
			offer, err := Decode(a.Offer().Marshal())
			if err != nil {
				t.Fatal(err)
			}
			answer, gb, err := b.Answer(offer)
			if p == Required && q == Never || p == Never && q == Required {
				var r *Refusal
				if !errors.As(err, &r) || r.Warn == 0 {
					t.Errorf("%d with %d: %v", p, q, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%d with %d: %v", p, q, err)
			}
			answer, err = Decode(answer.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			ga, err := a.Accept(answer)
			if err != nil {
				t.Fatalf("%d with %d: %v", p, q, err)
			}
			secure := p != Never && q != Never
			if (ga.Suite != "") != secure || string(ga.LocalKey) != string(gb.RemoteKey) || string(ga.RemoteKey) != string(gb.LocalKey) || ga.Suite != gb.Suite {
				t.Errorf("%d with %d: keys %q and %q", p, q, ga.Suite, gb.Suite)
			}
			if ga.Codec.Name != "opus" || gb.Codec.Name != "opus" || ga.DigitsOut.ClockRate != 48000 || gb.DigitsOut.ClockRate != 48000 || len(gb.DigitsIn) == 0 {
				t.Errorf("agreed %+v and %+v", ga, gb)
			}
		}
	}
}

func TestAnswerPhone(t *testing.T) {
	a := agent(Never, "PCMA", "PCMU", "opus")
	answer, g, err := a.Answer(decode(t, phone))
	if err != nil {
		t.Fatal(err)
	}
	want := "m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:30\r\na=sendrecv\r\n"
	if got := string(answer.Marshal()); !strings.HasSuffix(got, want) {
		t.Errorf("answer:\n%s", got)
	}
	if g.Codec.Ptime != 30*time.Millisecond || g.Remote != netip.MustParseAddrPort("203.0.113.1:49170") || g.Send.PayloadType != 8 {
		t.Errorf("%+v", g)
	}
	if opus := agent(Never); true {
		_, g, _ := opus.Answer(decode(t, phone))
		if g.Send.PayloadType != 97 || g.Send.Fmtp != "useinbandfec=1; stereo=0" || g.DigitsOut.ClockRate != 8000 {
			t.Errorf("opus: %+v", g)
		}
	}
}

func TestDirections(t *testing.T) {
	for _, c := range []struct {
		mine    Direction
		theirs  string
		answer  Direction
		sends   bool
		receive bool
	}{
		{SendRecv, "a=sendrecv", SendRecv, true, true}, {SendRecv, "a=sendonly", RecvOnly, false, true},
		{SendRecv, "a=recvonly", SendOnly, true, false}, {SendRecv, "a=inactive", Inactive, false, false},
		{SendRecv, "c=IN IP4 0.0.0.0", RecvOnly, false, true},
		{SendOnly, "a=sendrecv", SendOnly, true, false}, {SendOnly, "a=sendonly", Inactive, false, false},
		{RecvOnly, "a=recvonly", Inactive, false, false}, {Inactive, "a=sendrecv", Inactive, false, false},
	} {
		a := agent(Never)
		a.Hold = c.mine
		answer, g, err := a.Answer(decode(t, phone+c.theirs+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if g.Direction != c.answer || answer.Media[0].Direction != c.answer || (g.Send.Name != "") != c.sends || (len(g.Receive) > 0) != c.receive {
			t.Errorf("%v to %s: %v, %+v", c.mine, c.theirs, answer.Media[0].Direction, g)
		}
	}
	// at the session's level
	s := decode(t, strings.Replace(phone, "t=0 0\n", "t=0 0\na=inactive\n", 1))
	if s.Media[0].Direction != Inactive {
		t.Error("session direction is lost")
	}
}

func TestOrderOfMediaIsKept(t *testing.T) {
	video := "m=video 5000 RTP/AVP 34\n"
	offer := decode(t, strings.Replace(phone, "m=audio", video+"m=application 9 UDP/BFCP *\nm=audio", 1)+"m=audio 6000 RTP/AVP 0\n")
	a := agent(Never)
	answer, _, err := a.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(answer.Media); n != 4 {
		t.Fatalf("%d media", n)
	}
	for i, m := range answer.Media {
		if m.Kind != offer.Media[i].Kind || m.Proto != offer.Media[i].Proto || (m.Port != 0) != (i == 2) {
			t.Errorf("%d: %+v", i, m)
		}
	}
	if _, err := Decode(answer.Marshal()); err != nil {
		t.Error(err)
	}
	// our own later offer keeps the lines, and counts the version up
	first := answer.Origin
	again := a.Offer()
	if len(again.Media) != 4 || again.Media[2].Port != 20000 || again.Media[0].Port != 0 || again.Origin.ID != first.ID || again.Origin.Version != first.Version+1 {
		t.Errorf("%+v", again)
	}
	if same := a.Offer(); same.Origin.Version != again.Origin.Version {
		t.Error("the version went up though nothing changed")
	}
}

func TestCrypto(t *testing.T) {
	key30, key44 := strings.Repeat("A", 40), strings.Repeat("A", 59)+"="
	for _, c := range []struct {
		name, lines string
		policy      Policy
		suite       string
		tag         int
		warn        string
	}{
		{"ours first", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "\na=crypto:7 AEAD_AES_256_GCM inline:" + key44 + "\n", Required, "AEAD_AES_256_GCM", 7, ""},
		{"lifetime", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:" + key30 + "|2^31\n", Required, "AES_CM_128_HMAC_SHA1_32", 2, ""},
		{"no padding", "a=crypto:2 AEAD_AES_256_GCM inline:" + strings.Repeat("A", 59) + "\n", Required, "AEAD_AES_256_GCM", 2, ""},
		{"known parameter", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " WSH=128\n", Required, "AES_CM_128_HMAC_SHA1_80", 2, ""},
		{"optional parameter", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " -X=1\n", Required, "AES_CM_128_HMAC_SHA1_80", 2, ""},
		{"unencrypted", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNENCRYPTED_SRTP\n", Required, "", 0, "suite"},
		{"unencrypted RTCP", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNENCRYPTED_SRTCP\n", Required, "", 0, "suite"},
		{"unauthenticated", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNAUTHENTICATED_SRTP\n", Required, "", 0, "suite"},
		{"MKI", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^20|1:4\n", Required, "", 0, "suite"},
		{"short life", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^4\n", Required, "", 0, "suite"},
		{"short key", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:AAAA\n", Required, "", 0, "suite"},
		{"none", "", Required, "", 0, "Unencrypted media"},
		{"none, optional", "", Optional, "", 0, ""},
		{"best effort", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "\n", Optional, "AES_CM_128_HMAC_SHA1_80", 2, ""},
		{"ignored", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "\n", Never, "", 0, ""},
	} {
		a := agent(c.policy)
		answer, g, err := a.Answer(decode(t, phone+c.lines))
		switch {
		case c.warn != "":
			var r *Refusal
			if !errors.As(err, &r) || !strings.Contains(r.Text, c.warn) || r.Code != core.NotEncrypted {
				t.Errorf("%s: %v", c.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case g.Suite != c.suite || c.suite != "" && answer.Media[0].Crypto[0].Tag != c.tag:
			t.Errorf("%s: %+v", c.name, g)
		}
		if err == nil && g.Suite != "" {
			_, again, _ := a.Answer(decode(t, phone+c.lines))
			if string(again.LocalKey) != string(g.LocalKey) {
				t.Errorf("%s: a renegotiation that changes nothing rekeys", c.name)
			}
		}
	}
	dtls := strings.Replace(phone, "RTP/AVP", "UDP/TLS/RTP/SAVPF", 1)
	if _, _, err := agent(Optional).Answer(decode(t, dtls)); err == nil {
		t.Error("DTLS-SRTP was agreed to")
	}
}

func TestAcceptRefuses(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"other tag":     func(s string) string { return strings.Replace(s, "crypto:1 ", "crypto:9 ", 1) },
		"other suite":   func(s string) string { return strings.Replace(s, "AES_256", "AES_128", 1) },
		"clear":         func(s string) string { return strings.Replace(s, "a=crypto", "a=nothing", 1) },
		"port 0":        func(s string) string { return strings.Replace(s, "audio 20000", "audio 0", 1) },
		"another media": func(s string) string { return s + "m=video 1 RTP/AVP 34\r\n" },
		"other codec":   func(s string) string { return strings.Replace(s, "opus/48000/2", "xpus/48000/2", 1) },
		"no address":    func(s string) string { return strings.Replace(s, "c=IN", "i=IN", 1) },
	} {
		a, b := agent(Required), agent(Required)
		offer, _ := Decode(a.Offer().Marshal())
		answer, _, err := b.Answer(offer)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Decode([]byte(change(string(answer.Marshal()))))
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := a.Accept(s); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestRTCPAndMux(t *testing.T) {
	s := decode(t, phone+"a=rtcp:53020 IN IP4 126.16.64.4\na=rtcp-mux\n")
	a := agent(Never)
	answer, g, _ := a.Answer(s)
	if !g.Mux || !answer.Media[0].Mux || g.RemoteRTCP.IsValid() {
		t.Errorf("%+v", g)
	}
	s.Media[0].Mux = false
	if _, g, _ := a.Answer(s); g.RemoteRTCP.String() != "126.16.64.4:53020" {
		t.Error(g.RemoteRTCP)
	}
	six := decode(t, strings.ReplaceAll(phone, "IP4 203.0.113.1", "IP6 2001:db8::1")+"a=rtcp:53020\n")
	a.Addr = netip.MustParseAddr("2001:db8::2")
	answer, g, err := a.Answer(six)
	if err != nil || g.RemoteRTCP.String() != "[2001:db8::1]:53020" || !strings.Contains(string(answer.Marshal()), "c=IN IP6 2001:db8::2\r\n") {
		t.Errorf("%v %+v", err, g)
	}
}

func TestHostile(t *testing.T) {
	many := func(line string, n int) string { return phone + strings.Repeat(line+"\n", n) }
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"empty":             {"", 0},
		"no version":        {"o=- 1 1 IN IP4 1.2.3.4\n", 1},
		"NUL in fmtp":       {strings.Replace(phone, "useinbandfec", "use\x00", 1), 8},
		"payload type 2^32": {strings.Replace(phone, "AVP 0 8", "AVP 4294967296 8", 1), 6},
		"payload type 128":  {strings.Replace(phone, "AVP 0 8", "AVP 128 8", 1), 6},
		"negative port":     {strings.Replace(phone, "49170", "-1", 1), 6},
		"port 65536":        {strings.Replace(phone, "49170", "65536", 1), 6},
		"no formats":        {strings.Replace(phone, "RTP/AVP 0 8 97 101", "RTP/AVP", 1), 6},
		"rate overflow":     {strings.Replace(phone, "opus/48000", "opus/99999999999", 1), 7},
		"origin overflow":   {strings.Replace(phone, "20518", "99999999999999999999999", 1), 2},
		"endless lines":     {many("a=x", 200), 134},
		"endless media":     {many("m=audio 1 RTP/AVP 0", 200), 44},
		"endless crypto":    {many("a=crypto:1 X inline:AAAA", 60), 29},
		"endless formats":   {strings.Replace(phone, "AVP 0", "AVP"+strings.Repeat(" 0", 100), 1), 6},
		"too long":          {many("a="+strings.Repeat("x", 1000), 100), 0},
		"multicast":         {strings.Replace(phone, "c=IN IP4 203.0.113.1", "c=IN IP4 239.1.1.1/127", 1), 4},
		"family":            {strings.Replace(phone, "c=IN IP4", "c=IN IP6", 1), 4},
		"host name":         {strings.Replace(phone, "c=IN IP4 203.0.113.1", "c=IN IP4 evil.example", 1), 4},
		"no type":           {phone + "hello\n", 13},
		"crypto tag":        {phone + "a=crypto:99999999999 X inline:AAAA\n", 13},
		"crypto key":        {phone + "a=crypto:1 X inline:!!!\n", 13},
		"rtcp port":         {phone + "a=rtcp:99999\n", 13},
	} {
		_, err := Decode([]byte(strings.TrimLeft(c.text, "\n")))
		var s *SyntaxError
		if !errors.As(err, &s) || s.Line != c.line {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := decode(t, strings.Replace(phone, "a=ptime:30", "a=ptime:99999999999999", 1))
	if s.Media[0].Ptime != 0 {
		t.Error("ptime overflow")
	}
}

func TestMoreLines(t *testing.T) {
	s := decode(t, "\nv=0\no=- 1 1 IN IP4 h.example\ns=x\ni=info\nb=AS:64\nt=0 0\na=tool:x\nm=audio 49170/2 RTP/AVPF 0\nc=IN IP4 203.0.113.9\nb=TIAS:64000\na=rtcp-fb:* nack\nm=image 0 udptl t38\n")
	if s.Media[0].Addr.String() != "203.0.113.9" || s.Media[0].Port != 49170 || len(s.Media[0].Attributes) != 1 || len(s.Attributes) != 1 || len(s.Media[1].Codecs) != 0 {
		t.Errorf("%+v", s)
	}
	if out := string(s.Marshal()); !strings.Contains(out, "b=TIAS:64000\r\n") || !strings.Contains(out, "m=image 0 udptl t38\r\n") {
		t.Error(out)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(strings.TrimLeft(phone, "\n")))
	f.Add(agent(Required).Offer().Marshal())
	f.Add([]byte("v=0\r\nm=audio 1 RTP/AVP 0\r\na=rtpmap:0 x/1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^31|1:1 X\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			if _, ok := err.(*SyntaxError); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		out := s.Marshal()
		if _, err := Decode(out); err != nil && len(out) <= MaxSize {
			t.Fatalf("what was written can't be read: %v\n%s", err, out)
		}
		for _, p := range []Policy{Required, Optional, Never} {
			a := agent(p)
			if answer, _, err := a.Answer(s); err == nil {
				if len(answer.Media) != len(s.Media) {
					t.Fatal("answer has other media lines")
				}
				if _, err := Decode(answer.Marshal()); err != nil {
					t.Fatalf("answer can't be read: %v", err)
				}
			}
			a.Offer()
			a.Accept(s)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	text := []byte(strings.TrimLeft(phone, "\n"))
	for b.Loop() {
		s, err := Decode(text)
		if err != nil {
			b.Fatal(err)
		}
		answer, _, err := agent(Never).Answer(s)
		if err != nil {
			b.Fatal(err)
		}
		answer.Marshal()
	}
}

func ExampleDecode() {
	s, _ := Decode([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"))
	fmt.Println(s.Media[0].Codecs[0].Name, s.Media[0].Addr, s.Media[0].Direction)
	// Output: PCMU 192.0.2.7 sendrecv
}
