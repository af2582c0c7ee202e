package load

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

func TestLinks(t *testing.T) {
	got, err := parseLink("https://127.0.0.1:8443/join/7001**123456")
	want := link{socket: "wss://127.0.0.1:8443/ws", meeting: "7001", passcode: "123456", loopback: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := parseLink("https://meet.example/join/standup"); err != nil || got.loopback || got.passcode != "" || got.meeting != "standup" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"http://host/join/1", "https://host/meeting/1", "https:///join/1", "sip:1@host", "https://host/%zz"} {
		if _, err := parseLink(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestArrivals(t *testing.T) {
	for _, c := range []struct {
		name string
		seq  []uint16
		lost uint64
	}{
		{"in order", []uint16{65534, 65535, 0, 1}, 0},
		{"a gap", []uint16{10, 11, 14}, 2},
		{"a late one fills its gap", []uint16{10, 12, 11, 13}, 0},
	} {
		var a arrivals
		for i, seq := range c.seq {
			a.note(seq, time.Duration(i)*time.Millisecond)
		}
		if a.lost != c.lost || a.packets != uint64(len(c.seq)) {
			t.Errorf("%s: %d lost of %d, want %d", c.name, a.lost, a.packets, c.lost)
		}
	}
}

// listening is a browser with a stream for the mix, one for each speaker slot
// and one for a picture.
func listening(t *testing.T, voice int) *browser {
	t.Helper()
	b := newBrowser(max(voice, 0), nil, false)
	if voice >= 0 {
		b.voice = tone(t, voice)
	}
	b.expect(`v=0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=recvonly
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ssrc:100 cname:x
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ssrc:101 cname:x
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ssrc:102 cname:x
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ssrc:103 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97
a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=ssrc-group:FID 200 201
a=ssrc:200 cname:x
a=ssrc:201 cname:x
`)
	b.measures.Store(true)
	return b
}

func tone(t *testing.T, voice int) [][]byte {
	t.Helper()
	frames, err := opusTone(voices[voice])
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// play has a stream receive frames.
func play(t *testing.T, s *stream, frames [][]byte) {
	t.Helper()
	for i, f := range frames {
		p, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i)}, Payload: f}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheAnswerTellsTheStreams(t *testing.T) {
	b := listening(t, -1)
	if len(b.streams) != 5 || !b.streams[100].mix || b.streams[101].mix || !b.streams[200].video || b.twcc != 5 {
		t.Errorf("streams %v, transport-wide numbers in extension %d", b.streams, b.twcc)
	}
	if x := b.micHead.GetExtension(1); len(x) != 1 || x[0] != 18 {
		t.Errorf("the level says %v", x)
	}
}

func TestABrowserHearsTheOthersAndNotItself(t *testing.T) {
	for _, c := range []struct {
		name     string
		own      int // voice; -1: it only listens
		speakers int
		slots    []int // voice in each
		wrong    string
	}{
		{"one speaker", -1, 1, []int{0}, ""},
		{"three of five speak", -1, 5, []int{4, 1, 2}, ""},
		{"a speaker hears the other", 0, 2, []int{1}, ""},
		{"nobody", -1, 1, nil, "hears 0 voices"},
		{"one is missing", -1, 3, []int{0, 2}, "hears 2 voices, not 3"},
		{"itself", 1, 3, []int{0, 1, 2}, "hears 703 Hz"},
		{"the same twice", -1, 2, []int{0, 0}, "in 2 slots"},
		{"a stranger", -1, 2, []int{0, 5}, "hears 1823 Hz"},
	} {
		b := listening(t, c.own)
		for i, v := range c.slots {
			play(t, b.streams[uint32(101+i)], tone(t, v))
		}
		if got := b.hears(c.speakers); !strings.Contains(got, c.wrong) || (got == "") != (c.wrong == "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
	}
}

func TestABrowserSeesWholePictures(t *testing.T) {
	var f film
	var packets [][]byte
	for n := range 5 {
		f.picture(n == 0, func(p []byte, _ bool) { packets = append(packets, append([]byte(nil), p...)) })
	}
	if len(packets) != keyPackets+4*picturePackets {
		t.Fatalf("%d packets", len(packets))
	}
	if p := packets[0]; p[0]&0x10 == 0 || p[4]&1 != 0 || string(p[7:10]) != "\x9d\x01\x2a" || binary.LittleEndian.Uint16(p[12:]) != pictureLines {
		t.Errorf("not a keyframe of VP8: % x", p[:14])
	}
	b := listening(t, -1)
	play(t, b.streams[200], packets)
	if wrong := b.sees(uint64(len(packets))); wrong != "" {
		t.Errorf("whole pictures: %s", wrong)
	}
	if wrong := b.sees(uint64(2 * len(packets))); !strings.Contains(wrong, "packets of video") {
		t.Errorf("half of what was sent: %q", wrong)
	}
	b = listening(t, -1)
	play(t, b.streams[200], append(packets[:keyPackets:keyPackets], packets[keyPackets+picturePackets:]...))
	if wrong := b.sees(0); !strings.Contains(wrong, "not whole") {
		t.Errorf("a picture left out: %q", wrong)
	}
}

func TestAPictureLostIsAskedFor(t *testing.T) {
	b := listening(t, -1)
	pli, err := rtcp.Marshal([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 1}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = rtcpIn{b}.Write([]byte{1, 2, 3})
	if b.key.Load() {
		t.Error("nonsense asks for a keyframe")
	}
	if _, _ = (rtcpIn{b}).Write(pli); !b.key.Load() {
		t.Error("a PLI asks for none")
	}
}

// What a load does for each packet must cost little of what it measures.
func TestLookingAtPacketsDoesNotAllocate(t *testing.T) {
	b := listening(t, -1)
	sound, err := (&rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 80)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * window {
		_, _ = b.streams[101].Write(sound)
	}
	if n := testing.AllocsPerRun(200, func() { _, _ = b.streams[101].Write(sound) }); n != 0 {
		t.Errorf("a packet of sound allocates %v times", n)
	}
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x51, 0, 1, 0, 0x90, 0x80, 0x80, 1, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		payload, ok := payloadOf(p)
		if ok && len(payload) == 0 {
			t.Error("an empty payload")
		}
		b := newBrowser(0, nil, false)
		b.expect("m=video 9 UDP/TLS/RTP/SAVPF 96\na=ssrc:1 cname:x\na=extmap:5 " + twccURI + "\n")
		b.measures.Store(true)
		_, _ = b.streams[1].Write(p)
		_, _ = rtcpIn{b}.Write(p)
		b.expect(string(p))
	})
}
