package sdp

import (
	"net/netip"
	"strings"
	"testing"
)

// room is an offer as a video telephone makes it: two formats of H.264, a
// second picture for slides, feedback, a limit.
const room = `v=0
o=room 1 1 IN IP4 203.0.113.1
s=-
c=IN IP4 203.0.113.1
t=0 0
m=audio 49170 RTP/AVP 8
m=video 49180 RTP/AVP 99 100 34
b=AS:768
a=content:slides
a=rtpmap:99 H264/90000
m=video 49182 RTP/AVP 34 96 97 102
b=TIAS:900000
b=AS:1024
a=rtpmap:96 H264/90000
a=fmtp:96 profile-level-id=640028;packetization-mode=1
a=rtpmap:97 H264/90000
a=fmtp:97 profile-level-id=42e01e;level-asymmetry-allowed=1;packetization-mode=1;max-fs=3600
a=rtpmap:102 H264/90000
a=fmtp:102 profile-level-id=42e01e
a=rtcp-fb:* nack pli
a=rtcp-fb:96 ccm fir
m=application 49190 UDP/BFCP *
`

func TestAnswerRoom(t *testing.T) {
	a := agent(Never, "PCMA")
	a.VideoPort = 20002
	answer, g, err := a.Answer(decode(t, room))
	if err != nil {
		t.Fatal(err)
	}
	want := "m=video 0 RTP/AVP 99\r\n" +
		"m=video 20002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1\r\n" +
		"a=rtcp-fb:97 nack pli\r\na=sendrecv\r\nm=application 0 UDP/BFCP *\r\n"
	if got := string(answer.Marshal()); !strings.HasSuffix(got, want) {
		t.Errorf("answer:\n%s", got)
	}
	v := g.Video
	if v == nil || v.Remote != netip.MustParseAddrPort("203.0.113.1:49182") || v.Send.PayloadType != 97 || !strings.Contains(v.Send.Fmtp, "max-fs=3600") ||
		v.MaxRate != 900_000 || !v.PLI || v.FIR || v.Codec.Ptime != 0 || len(v.Receive) != 1 {
		t.Errorf("%+v", v)
	}
	if a := agent(Never, "PCMA"); true { // without a port there is sound only
		if _, g, err := a.Answer(decode(t, room)); err != nil || g.Video != nil {
			t.Errorf("%+v, %v", g, err)
		}
	}
}

func TestVideoIsProtectedAsSoundIs(t *testing.T) {
	for _, p := range []Policy{Required, Optional, Never} {
		a, b := agent(p), agent(p)
		a.VideoPort, b.VideoPort = 20002, 30002
		answer, gb, err := b.Answer(again(t, a.Offer()))
		if err != nil {
			t.Fatal(err)
		}
		ga, err := a.Accept(again(t, answer))
		if err != nil || ga.Video == nil || gb.Video == nil {
			t.Fatalf("policy %d: no pictures: %v", p, err)
		}
		va, vb := ga.Video, gb.Video
		if va.Suite != ga.Suite || string(va.LocalKey) != string(vb.RemoteKey) || string(va.RemoteKey) != string(vb.LocalKey) {
			t.Errorf("policy %d: %q for sound, %q for pictures", p, ga.Suite, va.Suite)
		}
		if p != Never && string(va.LocalKey) == string(ga.LocalKey) {
			t.Errorf("policy %d: one key for two streams", p)
		}
		if !va.PLI || !va.FIR || va.Send.PayloadType != 97 || va.Remote.Port() != 30002 {
			t.Errorf("policy %d: %+v", p, va)
		}
		if n := len(a.Offer().Media); n != 2 {
			t.Errorf("a second offer has %d lines", n)
		}
	}
	a := agent(Required)
	a.VideoPort = 20002
	clear := strings.Replace(string(agentWithVideo(Required).Offer().Marshal()), "\r\n", "\n", -1)
	at := strings.Index(clear, "m=video")
	var kept []string
	for _, l := range strings.Split(clear[at:], "\n") {
		if !strings.HasPrefix(l, "a=crypto") {
			kept = append(kept, l)
		}
	}
	_, g, err := a.Answer(decode(t, clear[:at]+strings.Join(kept, "\n")))
	if err != nil || g.Video != nil {
		t.Errorf("pictures in clear beside encrypted sound: %+v, %v", g.Video, err)
	}
}

func agentWithVideo(p Policy) *Agent {
	a := agent(p)
	a.VideoPort = 20002
	return a
}

func TestVideoAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"refused":          "m=video 0 RTP/AVP 97",
		"another codec":    "m=video 4002 RTP/AVP 99\na=rtpmap:99 VP8/90000",
		"interleaved":      "m=video 4002 RTP/AVP 97\na=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=2",
		"without rtpmap":   "m=video 4002 RTP/AVP 97",
		"of another kind":  "m=text 4002 RTP/AVP 97\na=rtpmap:97 H264/90000",
		"by another proto": "m=video 4002 UDP/TLS/RTP/SAVP 97\na=rtpmap:97 H264/90000",
		"left out":         "",
	} {
		a := agentWithVideo(Never)
		a.Offer()
		g, err := a.Accept(decode(t, "v=0\no=x 1 1 IN IP4 203.0.113.1\ns=-\nc=IN IP4 203.0.113.1\nt=0 0\nm=audio 4000 RTP/AVP 8\n"+answer+"\n"))
		if err != nil || g.Video != nil {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

// again is a description as the other side reads it.
func again(t *testing.T, s *Session) *Session {
	t.Helper()
	r, err := Decode(s.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
