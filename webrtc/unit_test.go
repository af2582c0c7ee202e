package webrtc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"
)

const offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AA:BB\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" +
	"a=extmap:4 " + midURI + "\r\na=extmap:5 " + twccURI + "\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\n" +
	"a=extmap:4 " + midURI + "\r\na=extmap:7/recvonly " + twccURI + "\r\na=extmap:300 " + ridURI + "\r\n"

func TestCheckSDP(t *testing.T) {
	clean, sections, err := checkSDP(offer)
	if err != nil {
		t.Fatal(err)
	}
	want := []section{{"0", "audio", true, false, []uint8{111}, 4, 0, 0}, {"1", "video", false, true, []uint8{96}, 4, 0, 7}}
	if !reflect.DeepEqual(sections, want) {
		t.Errorf("sections %v", sections)
	}
	if strings.Contains(clean, "candidate") {
		t.Error("a candidate was let through")
	}
	edit := func(old, new string) string { return strings.Replace(offer, old, new, 1) }
	for name, in := range map[string]string{
		"empty":                "",
		"clear RTP":            edit("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"),
		"SDES":                 edit("UDP/TLS/RTP/SAVPF 111", "RTP/SAVP 111"),
		"no fingerprint":       edit("a=fingerprint:sha-256 AA:BB\r\n", ""),
		"no bundle":            edit("a=group:BUNDLE 0 1\r\n", ""),
		"no mid":               edit("a=mid:1\r\n", ""),
		"mid twice":            edit("a=mid:1", "a=mid:0"),
		"payload type 2^32":    edit("SAVPF 111", "SAVPF 4294967296"),
		"rtpmap beyond 127":    edit("rtpmap:111", "rtpmap:300"),
		"NUL in a line":        edit("opus/48000", "opus\x00/48000"),
		"negative port":        edit("audio 9 ", "audio -1 "),
		"not type=value":       edit("s=-", "nonsense"),
		"endless line":         edit("s=-", "s="+strings.Repeat("x", maxSDPLine)),
		"endless sections":     offer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", maxSections),
		"endless formats":      edit("SAVPF 111", "SAVPF"+strings.Repeat(" 111", maxFormats+1)),
		"too long":             offer + strings.Repeat("a=x\r\n", maxSDP/5),
		"an unknown medium":    edit("m=audio", "m=image"),
		"RTP on a data medium": edit("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=application 9 UDP/TLS/RTP/SAVPF 111"),
	} {
		if _, _, err := checkSDP(in); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func FuzzSDP(f *testing.F) {
	f.Add(offer)
	f.Fuzz(func(t *testing.T, in string) {
		out, sections, err := checkSDP(in)
		if err != nil {
			return
		}
		if len(sections) == 0 || len(sections) > maxSections || strings.Contains(out, "\na=candidate:") {
			t.Fatalf("%q passed", in)
		}
		if _, again, err := checkSDP(out); err != nil || !reflect.DeepEqual(again, sections) {
			t.Fatalf("what passed does not pass again: %v", err)
		}
		dtx(out)
		// The library must survive what passes.
		_, _ = (&webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: out}).Unmarshal()
	})
}

func TestDTXIsAskedFor(t *testing.T) {
	in := "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=fmtp:96 x=1\r\n"
	want := "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1;usedtx=1\r\na=fmtp:96 x=1\r\n"
	if got := dtx(in); got != want || dtx(want) != want {
		t.Errorf("%q", got)
	}
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
	s := &slot{leg: l, peer: &peer{leg: l}, kind: webrtc.RTPCodecTypeVideo}
	s.bound.Store(&binding{ssrc: 1, rtxSSRC: 2, writer: discard{}})
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
		in := rtcpIntake{peer: p, ssrc: 1}
		if n, err := in.Write(b); n != len(b) || err != nil {
			t.Fatal("RTCP ended the stream")
		}
		if r := l.bwe.target(); r < 0 || r > maxRate {
			t.Fatalf("an estimate of %d bit/s", r)
		}
	})
}

type discard struct{}

func (discard) WriteRTP(*rtp.Header, []byte) (int, error) { return 0, nil }
func (discard) Write([]byte) (int, error)                 { return 0, nil }

func TestSlotWriteDoesNotAllocate(t *testing.T) {
	write := slotWriter()
	write()
	if n := testing.AllocsPerRun(2000, write); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func slotWriter() func() {
	l := &Leg{bwe: newEstimator(), out: newOutbox()}
	s := &slot{leg: l, peer: &peer{leg: l}, kind: webrtc.RTPCodecTypeVideo}
	s.bound.Store(&binding{ssrc: 1, rtxSSRC: 2, twcc: 5, writer: discard{}})
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

// TestUsable: what is never agreed on goes, all else stays in its order.
func TestUsable(t *testing.T) {
	in := []string{
		"v=0", "a=group:BUNDLE 0 1 2",
		"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9", "a=mid:0", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc",
		"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtpmap:9 G722/8000", "a=extmap:1 " + audioLevelURI, "a=extmap:9 urn:3gpp:video-orientation",
		"m=video 9 UDP/TLS/RTP/SAVPF 45 96 97 102 103 98 100", "a=mid:1", "a=rtcp-fb:* nack", "a=rtpmap:45 H265/90000",
		"a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 goog-remb", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
		"a=rtpmap:102 H264/90000", "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102",
		"a=rtpmap:98 VP9/90000", "a=fmtp:98 profile-id=0", "a=rtpmap:100 VP9/90000", "a=fmtp:100 profile-id=2",
		"m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:2", "a=rtpmap:0 PCMU/8000",
		"m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100", "a=mid:3", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;profile-level-id=42001f",
		"a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=rtpmap:98 H264/90000", "a=fmtp:98 packetization-mode=1;profile-level-id=42E01f",
		"a=rtpmap:99 H264/90000", "a=fmtp:99 packetization-mode=0;profile-level-id=42001f", "a=rtpmap:100 rtx/90000", "a=fmtp:100 apt=98",
	}
	want := []string{
		"v=0", "a=group:BUNDLE 0 1 2",
		"m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=extmap:1 " + audioLevelURI,
		"m=video 9 UDP/TLS/RTP/SAVPF 96 97 98", "a=mid:1", "a=rtcp-fb:* nack",
		"a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
		"a=rtpmap:98 VP9/90000", "a=fmtp:98 profile-id=0",
		"m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:2", "a=rtpmap:0 PCMU/8000", // all that there is: the library refuses it
		"m=video 9 UDP/TLS/RTP/SAVPF 98 99 100", "a=mid:3", "a=rtpmap:98 H264/90000", "a=fmtp:98 packetization-mode=1;profile-level-id=42E01f",
		"a=rtpmap:99 H264/90000", "a=fmtp:99 packetization-mode=0;profile-level-id=42001f", "a=rtpmap:100 rtx/90000", "a=fmtp:100 apt=98",
	}
	if got := usable(in); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// The clear part of a packet and its authentication tag are within it.
func FuzzHeaderSize(f *testing.F) {
	f.Add(append([]byte{0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xc0, 0xde, 0, 1}, make([]byte, 24)...))
	f.Add(append([]byte{0x91, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xbe, 0xde, 0, 1}, make([]byte, 24)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 12 || !isMedia(b) {
			return
		}
		n, hidden := headerSize(b)
		if n > 0 && n+srtp.TagLen > len(b) {
			t.Fatalf("%d octets of %d", n, len(b))
		}
		if n > 0 && hidden {
			extension := bytes.Clone(b[12:])
			reveal(extension)
			if p := binary.BigEndian.Uint16(extension); p != 0xbede && p != 0x1000 {
				t.Errorf("profile %x", p)
			}
		}
	})
}
