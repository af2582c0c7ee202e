package webrtc

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

const sampleOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n" +
	"a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10\r\n" +
	"a=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=ssrc:4000000000 cname:x\r\n" +
	"a=extmap:4 " + midURI + "\r\na=extmap:5 " + twccURI + "\r\na=extmap:1 " + audioLevelURI + "\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 45 96 97 102 103 98 100\r\na=mid:1\r\na=sendonly\r\na=rtcp-rsize\r\na=rtcp-fb:* nack\r\na=rtpmap:45 H265/90000\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=64001f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n" +
	"a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\n" +
	"a=extmap:4 " + midURI + "\r\na=extmap:7/sendonly " + twccURI + "\r\na=extmap:4100 " + ridURI + "\r\n" +
	"a=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n"

func TestReadOffer(t *testing.T) {
	o, err := readOffer(sampleOffer)
	if err != nil {
		t.Fatal(err)
	}
	if o.user != "abcd" || !o.mixed || len(o.fingerprints) != 1 || o.ids != (extensions{level: 1, mid: 4, twcc: 7}) {
		t.Errorf("%+v", o)
	}
	audio, video, data := &o.sections[0], &o.sections[1], &o.sections[2]
	if audio.payloads() != " 111" || !audio.sends || audio.takes || !slices.Equal(audio.ssrcs, []uint32{4000000000}) {
		t.Errorf("audio %+v", audio)
	}
	if video.payloads() != " 96 97 98" || !slices.Equal(video.layers(), []string{"q", "f"}) || video.formats[1].apt != 96 ||
		!slices.Equal(video.formats[0].feedback, []string{"nack", "nack pli"}) {
		t.Errorf("video %+v", video)
	}
	if data.agreed() || !audio.agreed() || !video.agreed() {
		t.Error("agreed on data, or not on media")
	}
	edit := func(old, new string) string { return strings.Replace(sampleOffer, old, new, 1) }
	for name, in := range map[string]string{
		"empty":                "",
		"clear RTP":            edit("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"),
		"SDES":                 edit("UDP/TLS/RTP/SAVPF 111", "RTP/SAVP 111"),
		"no fingerprint":       edit("a=fingerprint", "a=thumbprint"),
		"SHA-1":                edit("sha-256", "sha-1"),
		"a short fingerprint":  edit("00:01:02", "00"),
		"no ufrag":             edit("a=ice-ufrag:abcd\r\n", ""),
		"will not begin DTLS":  edit("actpass", "passive"),
		"no bundle":            edit("a=group:BUNDLE 0 1\r\n", ""),
		"no mid":               edit("a=mid:1\r\n", ""),
		"mid twice":            edit("a=mid:1", "a=mid:0"),
		"payload type 2^32":    edit("SAVPF 111", "SAVPF 4294967296"),
		"rtpmap beyond 127":    edit("rtpmap:111", "rtpmap:300"),
		"SSRC beyond 32 bits":  edit("ssrc:4000000000", "ssrc:4294967296"),
		"an id twice":          edit("a=extmap:4 "+midURI+"\r\na=extmap:7", "a=extmap:6 "+midURI+"\r\na=extmap:7"),
		"NUL in a line":        edit("opus/48000", "opus\x00/48000"),
		"negative port":        edit("audio 9 ", "audio -1 "),
		"not type=value":       edit("s=-", "nonsense"),
		"endless line":         edit("s=-", "s="+strings.Repeat("x", maxSDPLine)),
		"endless sections":     sampleOffer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", maxSections),
		"endless formats":      edit("SAVPF 111", "SAVPF"+strings.Repeat(" 111", maxFormats+1)),
		"too long":             sampleOffer + strings.Repeat("a=x\r\n", maxSDP/5),
		"an unknown medium":    edit("m=audio", "m=image"),
		"RTP on a data medium": edit("m=audio 9 UDP/TLS/RTP/SAVPF", "m=application 9 UDP/TLS/RTP/SAVPF"),
	} {
		if _, err := readOffer(in); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

// TestH264IsNotDoubled: of baseline and constrained baseline one is agreed on.
func TestH264IsNotDoubled(t *testing.T) {
	in := sampleOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\na=mid:3\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=42001f\r\n" +
		"a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=1;profile-level-id=42E01f\r\n" +
		"a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=0;profile-level-id=42001f\r\na=rtpmap:100 rtx/90000\r\na=fmtp:100 apt=98\r\n"
	o, err := readOffer(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.sections[3].payloads(); got != " 98 99 100" {
		t.Errorf("agreed on%s", got)
	}
	if o.sections[3].agreed() {
		t.Error("agreed on a section outside of the bundle")
	}
}

// testPeer is one of an edge that nobody can reach.
func testPeer(t testing.TB) *peer {
	e, err := New(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	l := newLeg(e, core.Info{})
	l.peer = e.newPeer(l)
	return l.peer
}

// TestAnswer: the answer is one that another implementation takes, and repeats
// nothing that was not offered.
func TestAnswer(t *testing.T) {
	p := testPeer(t)
	o, err := readOffer(sampleOffer)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.answer(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(answer); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	for _, want := range []string{
		"a=ice-lite\r\n", "a=group:BUNDLE 0 1\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n",
		"m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\n", "a=rtcp-fb:96 nack pli\r\n", "a=extmap:7 " + twccURI, "a=setup:passive\r\n",
		"a=rid:q recv\r\n", "a=simulcast:recv q;f\r\n", "a=recvonly\r\n", "a=candidate:1 1 udp ", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("no %q in\n%s", want, answer)
		}
	}
	for _, no := range []string{"goog-remb", "H265", "G722", "10.0.0.1", ridURI, "a=ssrc"} {
		if strings.Contains(answer, no) {
			t.Errorf("%q in\n%s", no, answer)
		}
	}
	if len(p.in) != 3 { // a microphone, two layers
		t.Errorf("%d streams", len(p.in))
	}
	o.fingerprints = []fingerprint{{sha256.New, make([]byte, 32)}}
	if _, err := p.answer(o, nil); err == nil {
		t.Error("another certificate was taken in the middle of a call")
	}
}

func FuzzSDP(f *testing.F) {
	f.Add(sampleOffer)
	p := testPeer(f)
	f.Fuzz(func(t *testing.T, in string) {
		o, err := readOffer(in)
		if err != nil {
			return
		}
		if len(o.sections) == 0 || len(o.sections) > maxSections {
			t.Fatalf("%q passed", in)
		}
		p.fingerprints = o.fingerprints
		answer, err := p.answer(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.in) > maxInbound || len(p.slots) > maxSections || strings.Count(answer, "\r\nm=") != len(o.sections) {
			t.Fatalf("answered by %q", answer)
		}
		p.leg.edge.port.forget(p)
	})
}

func TestParse(t *testing.T) {
	m, err := parse([]byte(`{"type":"join","name":" Ann\u0000 ` + strings.Repeat("é", 100) + `","unknown":1}`))
	if err != nil || len([]rune(m.Name)) != maxName || strings.ContainsRune(m.Name, 0) {
		t.Errorf("%q %v", m.Name, err)
	}
	for _, bad := range []string{
		``, `null`, `{}`, `{"type":5}`, `{"type":"view","wants":[{"source":"mix"}]}`,
		`{"type":"view","wants":[` + strings.Repeat(`{"source":"camera"},`, maxWants) + `{"source":"camera"}]}`,
		`{"type":"join","meeting":"` + strings.Repeat("1", 300) + `"}`,
		"{\"type\":\"text\",\"body\":\"\xff\"}",
	} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("%.60s: parsed", bad)
		}
	}
	for in, want := range map[string]core.Event{
		`{"type":"mute","source":"camera","on":true}`:                  core.Mute{Source: core.Camera, On: true},
		`{"type":"hand","raised":true}`:                                core.Hand{Raised: true},
		`{"type":"hold","on":true}`:                                    core.Hold{On: true},
		`{"type":"digit","key":"#"}`:                                   core.Digit{Key: '#', Via: "web"},
		`{"type":"command","verb":"mute","party":"x","value":"y"}`:     core.Command{Verb: core.MuteParty, Party: "x", Value: "y"},
		`{"type":"rename","name":"B"}`:                                 core.Rename{Name: "B"},
		`{"type":"candidate","candidate":"candidate:1 1 udp 1 ::1 9"}`: nil,
	} {
		m, err := parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.event(); err != nil || got != want {
			t.Errorf("%s: %#v %v", in, got, err)
		}
	}
	for _, bad := range []string{`{"type":"mute","source":"mix"}`, `{"type":"digit","key":"12"}`, `{"type":"digit","key":"x"}`} {
		m, _ := parse([]byte(bad))
		if _, err := m.event(); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"type":"view","wants":[{"party":"a","source":"camera","height":5}]}`))
	f.Add([]byte(`{"type":"command","verb":"dial","value":"sip:a@b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if len([]rune(m.Name)) > maxName || len([]rune(m.Body)) > maxText || len(m.Wants) > maxWants {
			t.Fatalf("out of bounds: %+v", m)
		}
		_, _ = m.event()
	})
}

func TestEventsAsMessages(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, e := range map[string]core.Event{
		`{"type":"placed","meeting":"1","name":"N","state":"waiting","role":"guest","locked":true}`: core.Placed{Meeting: "1", Name: "N", State: core.Waiting, Role: core.Guest, Locked: true},
		`{"type":"speaking","parties":[],"slots":["a",""]}`:                                         core.Speaking{Slots: []string{"a", ""}},
		`{"type":"levels","of":{"a":30}}`:                                                           core.Levels{Of: map[string]uint8{"a": 30}},
		`{"type":"showing","party":"a","source":"camera","layer":"q","paused":false}`:               core.Showing{Track: core.Track{Party: "a", Source: core.Camera, Layer: "q"}},
		`{"type":"mute","source":"microphone","on":true,"by":"h"}`:                                  core.Mute{Source: core.Microphone, On: true, By: "h"},
		`{"type":"text","from":"a","name":"A","body":"hi","at":"2026-01-02T03:04:05Z"}`:             core.Text{From: "a", Name: "A", Body: "hi", At: at},
		`{"type":"notice","code":"c","text":"t"}`:                                                   core.Notice{Code: "c", Text: "t"},
		`{"type":"roster","parties":[],"locked":false}`:                                             core.Roster{},
		`null`: core.Ringing{},
	} {
		if got, _ := json.Marshal(message(e)); string(got) != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestOutboxKeepsTheNewestState(t *testing.T) {
	o := newOutbox()
	for i := range 1000 {
		o.put(core.Roster{Locked: i%2 == 0})
		o.put(core.Speaking{})
	}
	if q := o.take(); len(q) != 2 || q[0].(core.Roster).Locked {
		t.Errorf("%v", q)
	}
	for range 1000 {
		o.put(core.Notice{})
	}
	if q := o.take(); len(q) != maxQueue {
		t.Errorf("%d queued", len(q))
	}
	o.again()
	if q := o.take(); len(q) != 2 {
		t.Errorf("after a resume: %v", q)
	}
}

func TestHeaderExtension(t *testing.T) {
	for _, profile := range []uint16{0xbede, 0x1000} {
		h := rtp.Header{Version: 2, Extension: true, ExtensionProfile: profile, CSRC: []uint32{1, 2}}
		for id, v := range map[uint8][]byte{1: {9}, 3: {1, 2}, 5: {7, 8, 9}} {
			if err := h.SetExtension(id, v); err != nil {
				t.Fatal(err)
			}
		}
		b, err := (&rtp.Packet{Header: h, Payload: []byte{1, 2, 3}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := headerExtension(b, 3); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("profile %x: %v", profile, got)
		}
		if got := headerExtension(b, 4); got != nil {
			t.Errorf("profile %x: %v for an element that is not there", profile, got)
		}
		for i := range b {
			headerExtension(b[:i], 5) // cut anywhere, it must not read on
		}
	}
}

func FuzzHeaderExtension(f *testing.F) {
	f.Add([]byte{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0x31, 1, 2, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, id uint8) {
		got := headerExtension(b, id)
		var h rtp.Header
		if _, err := h.Unmarshal(b); err == nil && id > 0 && id < 15 && h.Extension && h.ExtensionProfile == 0xbede {
			if want := h.GetExtension(id); len(want) > 0 && !slices.Equal(got, want) {
				t.Fatalf("%v, the library finds %v", got, want)
			}
		}
	})
}

func FuzzRTCP(f *testing.F) {
	l := &Leg{bwe: newEstimator(), out: newOutbox()}
	p := &peer{leg: l}
	s := &slot{leg: l, peer: &peer{leg: l}, kind: core.Video}
	s.bound.Store(&binding{ssrc: 1, rtxSSRC: 2})
	s.sink = &slotSink{leg: l}
	p.slots = []*slot{s}
	l.peer = p
	for i := range 100 {
		s.history.put(uint16(i), false, 97, 0, make([]byte, 100), nil)
		l.bwe.next(time.Duration(i)*time.Millisecond, 100)
	}
	for _, packet := range []rtcp.Packet{
		&rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 5, LostPackets: 0xffff}}},
		&rtcp.PictureLossIndication{MediaSSRC: 1},
		&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 1, LastSenderReport: 5}}},
		&rtcp.SenderReport{SSRC: 1},
		&rtcp.TransportLayerCC{
			Header: rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5}, MediaSSRC: 1,
			PacketStatusCount: 1, PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 1}},
			RecvDeltas: []*rtcp.RecvDelta{{Type: 1, Delta: 250}},
		},
	} {
		if b, err := packet.Marshal(); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p.control(b)
		if r := l.bwe.target(); r < 0 || r > maxRate {
			t.Fatalf("an estimate of %d bit/s", r)
		}
	})
}

func TestSlotWriteDoesNotAllocate(t *testing.T) {
	write := slotWriter()
	write()
	if n := testing.AllocsPerRun(2000, write); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func slotWriter() func() {
	l := &Leg{bwe: newEstimator(), out: newOutbox()}
	s := &slot{leg: l, peer: &peer{leg: l}, kind: core.Video}
	s.bound.Store(&binding{ssrc: 1, rtxSSRC: 2, twcc: 5})
	k := &slotSink{leg: l}
	k.hold.Store(&hold{slot: s, rate: 90000, pt: 96, rtx: 97})
	p := &core.Packet{Payload: make([]byte, 1200), Arrival: time.Second}
	return func() { p.Header.SequenceNumber++; _ = k.Write(p) }
}

func BenchmarkSlotWrite(b *testing.B) {
	write := slotWriter()
	b.ReportAllocs()
	for b.Loop() {
		write()
	}
}

func TestRenumberNeverRepeats(t *testing.T) {
	var r renumber
	used := map[uint16]bool{}
	now := time.Second
	for _, start := range []uint16{65000, 3, 40000} {
		for i := range uint16(100) {
			now += 20 * time.Millisecond
			p := &core.Packet{Arrival: now}
			p.Header.SequenceNumber, p.Header.Timestamp = start+i, uint32(start)*7+uint32(i)*960
			if i == 0 {
				r.join(p, 48000)
			}
			seq, _, ok := r.apply(p)
			if !ok || used[seq] {
				t.Fatalf("packet %d of %d: number %d", i, start, seq)
			}
			used[seq] = true
		}
		late := &core.Packet{Arrival: now}
		late.Header.SequenceNumber = start - 5
		if seq, _, ok := r.apply(late); ok {
			t.Errorf("a packet from before the join went out as %d", seq)
		}
	}
}

func TestNACKIsBounded(t *testing.T) {
	var n nackList
	now := time.Second
	n.take(1, now)
	if !n.take(5, now) {
		t.Error("gap not seen")
	}
	if got := n.due(now, 0); !slices.Equal(got, []uint16{2, 3, 4}) {
		t.Errorf("due %v", got)
	}
	n.take(3, now)
	if got := n.due(now, 0); len(got) != 0 {
		t.Errorf("asked again at once: %v", got)
	}
	asked := 0
	for range 50 {
		now += 100 * time.Millisecond
		asked += len(n.due(now, 0))
	}
	if asked != 2*(maxTries-1) || len(n.missing) != 0 {
		t.Errorf("asked %d times, %d left", asked, len(n.missing))
	}
	for i := range 1000 {
		n.take(uint16(100+i*50), now)
	}
	if len(n.missing) > maxMissing {
		t.Errorf("%d remembered", len(n.missing))
	}
}

// TestEstimatorFindsTheRate sends at the estimate over a path of 800 kbit/s
// with a queue, in simulated time.
func TestEstimatorFindsTheRate(t *testing.T) {
	e := newEstimator()
	const capacity = 800_000.0
	now, free := time.Second, time.Second
	type sent struct {
		seq uint16
		at  time.Duration
	}
	var flight []sent
	var rates []int
	credit := 0.0
	for now < 41*time.Second {
		now += 5 * time.Millisecond
		credit += float64(max(e.target(), 300_000)) * 0.005
		for credit > 9600 {
			credit -= 9600
			seq := e.next(now, 1200)
			free = max(free, now) + time.Duration(9600/capacity*1e9)
			flight = append(flight, sent{seq, free})
		}
		if now%(100*time.Millisecond) != 0 || len(flight) == 0 || flight[0].at > now {
			continue
		}
		n := 0
		for n < len(flight) && flight[n].at <= now {
			n++
		}
		var arrived []time.Duration
		for _, p := range flight[:n] {
			arrived = append(arrived, p.at)
		}
		e.feedback(read(t, feedbackOn(flight[0].seq, arrived...)), now)
		flight = flight[n:]
		if now > 11*time.Second {
			rates = append(rates, e.target())
		}
	}
	slices.Sort(rates)
	median := rates[len(rates)/2]
	t.Logf("median %d, from %d to %d; queue at the end %v", median, rates[0], rates[len(rates)-1], free-now)
	if median < 450_000 || median > 1_000_000 {
		t.Errorf("estimate %d bit/s of a path of %v", median, capacity)
	}
	if free-now > time.Second {
		t.Errorf("the queue grew to %v", free-now)
	}
}

func TestEstimatorBacksOffAtLoss(t *testing.T) {
	e := newEstimator()
	now := time.Second
	for range 50 {
		now += 100 * time.Millisecond
		base, arrived := e.seq, make([]time.Duration, 20)
		for i := range arrived {
			sent := now - 50*time.Millisecond + time.Duration(i)*time.Millisecond
			e.next(sent, 1200)
			arrived[i] = sent + 20*time.Millisecond
			if i%5 == 0 {
				arrived[i] = lost
			}
		}
		e.feedback(read(t, feedbackOn(base, arrived...)), now)
	}
	if r := e.target(); r > 300_000 {
		t.Errorf("%d bit/s at 20 %% loss", r)
	}
}

func TestRelayServesTheMediaSocketOnly(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.TURN = "127.0.0.1:0" })
	servers := w.edge.iceServers("ann")
	if len(servers) != 1 || len(servers[0].URLs) != 2 {
		t.Fatalf("%+v", servers)
	}
	alloc := func(user, password string) (net.PacketConn, error) {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := turn.NewClient(&turn.ClientConfig{
			TURNServerAddr: w.edge.Addresses()["turn"], Conn: conn, Username: user, Password: password, Realm: turnRealm,
			LoggerFactory: logFactory{w.edge.log},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); _ = conn.Close() })
		if err := c.Listen(); err != nil {
			t.Fatal(err)
		}
		return c.Allocate()
	}
	if _, err := alloc(servers[0].Username, "wrong"); err == nil {
		t.Error("a wrong password was taken")
	}
	old, password := w.edge.relay.credentials("ann", time.Now().Add(-2*credentialLife))
	if _, err := alloc(old, password); err == nil {
		t.Error("old credentials were taken")
	}
	relayed, err := alloc(servers[0].Username, servers[0].Credential)
	if err != nil {
		t.Fatal(err)
	}
	media, err := net.ResolveUDPAddr("udp", w.edge.Addresses()["webrtc_udp"])
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: media.IP})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 3 {
		if _, err := relayed.WriteTo([]byte("through"), other.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	_ = other.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, _, err := other.ReadFrom(make([]byte, 100)); !os.IsTimeout(err) {
		t.Errorf("%d bytes went to a port that is not the media socket's: %v", n, err)
	}
	if own := netip.MustParseAddrPort(media.String()); !w.edge.mediaAddr(own) || w.edge.mediaAddr(netip.AddrPortFrom(own.Addr(), own.Port()+1)) {
		t.Error("the media socket is not told from others")
	}
	// Through the relay the media socket can be reached: it is silent to a
	// check of an unknown user, so writing is all there is to see.
	check := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if _, err := relayed.WriteTo(check.Raw, media); err != nil {
		t.Error(err)
	}
}

func TestListenerIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := bounded(l, 10, 2)
	defer b.Close()
	var mine []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		mine = append(mine, c)
	}
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Accept(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := b.Accept(); err == nil {
			defer c.Close()
			_, _ = c.Write([]byte("in"))
		}
	}()
	// The third is closed; after the first has gone the fourth gets in.
	if n, err := mine[2].Read(make([]byte, 9)); n != 0 || err == nil {
		t.Errorf("the third was let in: %d %v", n, err)
	}
	_ = first.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, _ := c.Read(make([]byte, 9)); n != 2 {
		t.Error("the fourth was not let in")
	}
}

// FuzzTake gives a connected client's packets in: whatever is in them, and
// however they are framed, they are dealt with within their bounds.
func FuzzTake(f *testing.F) {
	p := testPeer(f)
	o, err := readOffer(sampleOffer)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := p.answer(o, nil); err != nil {
		f.Fatal(err)
	}
	master := make([]byte, 44)
	suite, _ := srtp.SuiteNamed("AEAD_AES_256_GCM")
	k, err := keysOf(suite, master, master)
	if err != nil {
		f.Fatal(err)
	}
	p.keys.Store(k)
	f.Add([]byte{0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xc0, 0xde, 0, 1, 0x40, 0x30, 0, 0, 1, 2, 3}, true)
	f.Add([]byte{0x91, 97, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xbe, 0xde, 0, 1, 0x40, 0x31, 0, 0, 1, 2, 3}, true)
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xbe, 0xde, 0, 1, 0x40, 0x31, 0, 0, 1, 2, 3}, true)
	f.Fuzz(func(t *testing.T, b []byte, authentic bool) {
		if len(b) < 12 || len(b) > 1500 || b[0]>>6 != 2 {
			return
		}
		b = append(make([]byte, 0, 2048), b...)
		if n := headerSize(append(b, make([]byte, 16)...)); authentic && !isRTCP(b) && n > 0 && n <= len(b) {
			seal, err := srtp.NewGCM(master)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = seal.Seal(b, n); err != nil {
				t.Fatal(err)
			}
		}
		p.take(b, time.Second)
		if len(p.streams) > maxSSRC {
			t.Fatalf("%d SSRCs remembered", len(p.streams))
		}
	})
}

// FuzzCheck: nothing but a check with the password is answered.
func FuzzCheck(f *testing.F) {
	a := newAgent(nil)
	check := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(a.user+":x"), a.key, stun.Fingerprint)
	f.Add(check.Raw)
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(a.user+":x"), stun.NewShortTermIntegrity("guess"), stun.Fingerprint).Raw)
	var c checker
	from := netip.MustParseAddrPort("192.0.2.1:9")
	f.Fuzz(func(t *testing.T, b []byte) {
		got, response := c.answer(b, from, func(user string) *agent {
			if user == a.user {
				return a
			}
			return nil
		})
		if (got == nil) != (response == nil) || response != nil && !bytes.Equal(b, check.Raw) {
			var m stun.Message
			m.Raw = b
			if m.Decode() != nil || a.key.Check(&m) != nil {
				t.Fatalf("%x was answered by %x", b, response)
			}
		}
	})
}
