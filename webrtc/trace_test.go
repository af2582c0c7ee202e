package webrtc

import (
	"strings"
	"testing"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// What ladders show of a browser's signalling has no passcode, token or password
// in it, and nothing of what people write.
func TestTraceHasNoSecrets(t *testing.T) {
	var got []edge.TraceEvent
	e := &Edge{o: Options{Trace: func(t edge.TraceEvent) { got = append(got, t) }}}
	l := &Leg{edge: e, id: "leg"}
	const sdp = "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:secret-1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
	for _, m := range []any{
		&request{Type: "join", Meeting: "7001", Name: "Ann", Passcode: "secret-2", Token: "secret-3", Resume: "secret-4"},
		&request{Type: "offer", SDP: sdp}, &request{Type: "text", Body: "secret-5"}, &request{Type: "key", Key: "7"}, &request{Type: "view"},
		answerMsg{Type: "answer", SDP: sdp}, joinedMsg{Type: "joined", ID: "leg", Resume: "secret-6", ICEServers: []iceServer{{Credential: "secret-7"}}},
		errorMsg{Type: "error", Code: core.WrongPasscode, Message: "The passcode is wrong."}, byeMsg{Type: "bye", Code: core.Normal}, simpleMsg{Type: "pong"},
	} {
		l.message(edge.Sent, edge.FlowInfo{Network: "wss"}, m)
	}
	e.refuse(l, "7001**secret-8", core.Reason{Code: core.Full})
	var said []string
	for _, x := range got {
		said = append(said, x.Text)
		if all := x.Text + string(x.Message) + x.To; strings.Contains(all, "secret") {
			t.Errorf("%s: %s", x.Text, all)
		}
		if x.Leg != "leg" || x.Protocol != core.WebRTC {
			t.Errorf("%+v", x)
		}
	}
	if s := strings.Join(said, ", "); s != "join, offer, answer, joined, error wrong-passcode, bye normal, " {
		t.Errorf("traced %s", s)
	}
	if m := string(got[1].Message); !strings.HasSuffix(m, "\r\n\r\n"+strings.Replace(sdp, "secret-1", "***", 1)) {
		t.Errorf("the offer is shown as %s", m)
	}
	var none *Leg
	none.message(edge.Sent, edge.FlowInfo{}, byeMsg{}) // before there is one
}
