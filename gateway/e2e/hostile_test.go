//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Two people talk while the machine is attacked at every port: neither hears
// more than a stumble, and memory stays within bounds.
func TestTalkGoesOnUnderAttack(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7300"})
	before := g.rss()
	k := newTalk(g, "7300", 30*time.Second)
	most := g.watchRSS()

	sent := flood(t, 10_000, 6*time.Second, g.udpPorts())
	t.Logf("%d bad datagrams to %d ports", sent, len(g.udpPorts()))
	if sent < 40_000 {
		t.Errorf("only %d datagrams were sent", sent)
	}
	g.mustBeHealthy()

	var tcp []string
	for _, name := range []string{"sips", "https", "sip_tcp", "webrtc_tcp", "turn"} {
		tcp = append(tcp, g.at[name])
	}
	open, release := hoard(tcp, 120)
	t.Logf("%d connections are hoarded", open)
	g.mustBeHealthy()
	if r := call(t, "sips:7300@"+g.at["sips"], "--duration", "1s"); !r.Answered && r.Code != "unreachable" {
		t.Errorf("a call while connections are hoarded: %v", r)
	}
	release()

	unlisted := g.metric("bridgehead_sip_unlisted_total")
	calls := g.metric("bridgehead_sip_calls_total")
	invites, answers := inviteFlood(g, 500, 6*time.Second)
	rose := g.metric("bridgehead_sip_unlisted_total") - unlisted
	t.Logf("%d INVITEs from an unlisted source: %d answers, counter rose by %.0f", invites, answers, rose)
	if invites < 2000 || answers != 0 || rose < float64(invites)*9/10 {
		t.Error("unlisted INVITEs must be counted, and not answered")
	}
	if n := g.metric("bridgehead_sip_calls_total") - calls; n != 0 {
		t.Errorf("%v calls were made of them", n)
	}
	k.mustGoOn(20 * time.Second)
	peak := most()
	eventually(t, 20*time.Second, "the memory is given back", func() bool { return g.rss() < before+60 })
	t.Logf("memory before %d MiB, at most %d, after %d", before, peak, g.rss())
	if peak > 400 {
		t.Errorf("%d MiB of memory", peak)
	}
	g.mustBeHealthy()
	if r := call(t, "sips:7300@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Errorf("a call after the attack: %v", r)
	}
}

// The one UDP port of all browsers is attacked, and the relay's beside it.
func TestBrowserStaysInTheMeetingUnderAttack(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7304"})
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, "7304", "Alice", "")
	g.waitFor("7304", "webrtc", "joined")
	run(t, nil, program, "call", "sips:7304@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--tone", "1000", "--duration", "60s")
	g.waitFor("7304", "sip", "joined")
	time.Sleep(3 * time.Second)
	alice.mustHear([]float64{1000}, []float64{440})
	before := g.waitFor("7304", "webrtc", "joined")
	var ports []int
	for _, name := range []string{"webrtc_udp", "turn"} {
		a, err := net.ResolveUDPAddr("udp4", g.at[name])
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, a.Port)
	}
	attacked := make(chan int)
	go func() { attacked <- flood(t, 10_000, 6*time.Second, ports) }()
	time.Sleep(3 * time.Second)
	alice.mustHear([]float64{1000}, []float64{440}) // in the midst of it
	t.Logf("%d bad datagrams", <-attacked)
	after := g.waitFor("7304", "webrtc", "joined")
	received, lost := after.Audio.PacketsReceived-before.Audio.PacketsReceived, after.Audio.PacketsLost-before.Audio.PacketsLost
	t.Logf("of the browser's sound %d packets came, %d were lost", received, lost)
	if after.ID != before.ID || received < 200 || lost > received/50 {
		t.Errorf("the browser's call suffered: %+v", after)
	}
	g.mustBeHealthy()
}

// inviteFlood sends INVITEs of ever new calls to the clear listener and counts
// what comes back.
func inviteFlood(g *gateway, rate int, length time.Duration) (sent, answers int) {
	g.t.Helper()
	to, err := net.ResolveUDPAddr("udp4", g.at["sip_udp"])
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	sent = pace(rate, length, func(i int) { _, _ = c.WriteToUDP([]byte(invite(i, "UDP", "7300", goodSDP, "")), to) })
	b := make([]byte, 2048)
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	for {
		if _, err := c.Read(b); err != nil {
			return sent, answers
		}
		answers++
	}
}

const goodSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// invite is an INVITE, with further header lines.
func invite(n int, transport, number, sdp, more string) string {
	return fmt.Sprintf("INVITE sip:%[3]s@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%[2]s 127.0.0.1:9;branch=z9hG4bKflood%[1]d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:flood@127.0.0.1>;tag=f%[1]d\r\nTo: <sip:%[3]s@127.0.0.1>\r\nCall-ID: flood%[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:flood@127.0.0.1:9>\r\n"+
		"%[5]sContent-Type: application/sdp\r\nContent-Length: %[6]d\r\n\r\n%[4]s", n, transport, number, sdp, more, len(sdp))
}

// badMessages are RFC 4475's messages and those that have felled other servers.
func badMessages(t testing.TB, transport string) (list [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/sip/torture/*.dat")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d torture messages, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, data)
	}
	good := invite(1, transport, "7301", goodSDP, "")
	for i, m := range []string{
		strings.Replace(good, "To: <sip:7301@127.0.0.1>\r\n", "", 1),
		strings.Replace(good, "CSeq: 1 ", "CSeq: "+strings.Repeat("9", 4000)+" ", 1),
		strings.Replace(good, "tag=f1", "tag="+strings.Repeat("t", 2000), 1),
		strings.Replace(good, "z9hG4bKflood1", "z9hG4bK"+strings.Repeat("b", 8000), 1),
		strings.Replace(good, "Call-ID: flood1", "Call-ID: \x00\xff\xfe", 1),
		strings.Replace(good, "Content-Length: ", "Content-Length: -", 1),
		strings.Replace(good, "Content-Length: ", "Content-Length: 99999999999", 1),
		strings.Replace(good, "From: <sip:flood@127.0.0.1>", "From: \"\xc3\x28\xa0\xa1", 1),
		invite(2, transport, "7301", goodSDP, strings.Repeat("Accept: application/sdp\r\n", 50)),
		invite(3, transport, "7301", goodSDP, strings.Repeat("Route: <sip:127.0.0.1;lr>\r\n", 300)),
		invite(4, transport, "7301", goodSDP, strings.Repeat("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKv\r\n", 200)),
		invite(5, transport, "7301", goodSDP, "Authorization: Digest "+strings.Repeat("a=\"", 500)+"\r\n"),
		invite(6, transport, "7301", goodSDP+"a=fmtp:101 \x00\x00\x00\r\n", ""),
		invite(7, transport, "7301", goodSDP+"a=rtpmap:4294967296 PCMU/8000\r\n", ""),
		invite(8, transport, "7301", strings.Replace(goodSDP, "RTP/AVP 0", "RTP/AVP 4294967296", 1), ""),
		invite(9, transport, "7301", goodSDP+"a=ptime:99999999999999999999\r\na=ptime:-1\r\na=maxptime:0\r\n", ""),
		invite(10, transport, "7301", goodSDP+strings.Repeat("a=x\r\n", 9000), ""),
		invite(11, transport, "7301", strings.Repeat("m=audio 1 RTP/AVP 0\r\n", 500), ""),
		invite(12, transport, "7301", strings.Replace(goodSDP, "m=audio 6000", "m=audio 70000", 1), ""),
		invite(13, transport, "7301", strings.Replace(goodSDP, "IP4 127.0.0.1\r\nt", "IP4 999.1.1.1\r\nt", 1), ""),
		invite(14, transport, "7301", goodSDP+"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:////\r\na=crypto:x y z\r\n", ""),
		strings.Replace(invite(15, transport, "7301", goodSDP, ""), "application/sdp", "multipart/mixed;boundary=\"", 1),
		strings.Replace(invite(16, transport, "7301", goodSDP, ""), "application/sdp", "application/dtmf-relay", 1),
		"INVITE " + strings.Repeat("sip:", 3000) + " SIP/2.0\r\n\r\n",
		strings.Repeat("A", 20000),
		"SIP/2.0 200 OK\r\n\r\n", "SIP/2.0 401 x\r\nVia: SIP/2.0/" + transport + " 127.0.0.1;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\r\n",
		"\r\n\r\n\r\n\r\n", "\x00\x00\x00\x00\x00\x00", "ACK sip:x SIP/2.0\r\n\r\n",
		strings.Replace(good, "INVITE", "CANCEL", 2), strings.Replace(good, "INVITE", "PRACK", 2), strings.Replace(good, "INVITE", "UPDATE", 2),
	} {
		m = strings.Replace(m, "Call-ID: flood", fmt.Sprint("Call-ID: ", transport, i, "-"), 1)
		list = append(list, []byte(m))
	}
	return list
}

// RFC 4475's messages, and worse ones, by every way that SIP comes in.
func TestBadMessagesEndNothing(t *testing.T) {
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7301"})
	k := newTalk(g, "7301", 30*time.Second)
	status := map[string]int{}
	for _, m := range badMessages(t, "TLS") {
		line := g.overTLS(m, 100*time.Millisecond)
		status[line[:min(len(line), 11)]]++
	}
	t.Logf("answers over TLS: %v", status)
	if status["SIP/2.0 400"] == 0 {
		t.Error("no malformed message is told so")
	}
	c, err := net.Dial("udp4", g.at["sip_udp"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range badMessages(t, "UDP") {
		_, _ = c.Write(m[:min(len(m), 60000)])
		time.Sleep(5 * time.Millisecond) // within what the trunk may send
	}
	g.badMedia()
	g.mustBeHealthy()
	if n := g.metric("bridgehead_sip_malformed_total"); n < 20 {
		t.Errorf("only %v messages are counted as malformed", n)
	}
	k.mustGoOn(15 * time.Second)
}

// badMedia calls in as a telephone and sends rubbish from where its sound is
// expected; the call goes on.
func (g *gateway) badMedia() {
	g.t.Helper()
	g.api("POST", "/numbers", map[string]any{"number": "+15550177", "trunk": "carrier", "target": "meeting:7301"}, nil)
	media, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		g.t.Fatal(err)
	}
	defer media.Close()
	signalling, err := net.Dial("udp4", g.at["sip_udp"])
	if err != nil {
		g.t.Fatal(err)
	}
	defer signalling.Close()
	sdp := strings.Replace(goodSDP, "audio 6000", fmt.Sprint("audio ", media.LocalAddr().(*net.UDPAddr).Port), 1)
	_, _ = signalling.Write([]byte(invite(990001, "UDP", "+15550177", sdp, "")))
	answer := ""
	b := make([]byte, 4096)
	_ = signalling.SetReadDeadline(time.Now().Add(5 * time.Second))
	for !strings.HasPrefix(answer, "SIP/2.0 200") {
		n, err := signalling.Read(b)
		if err != nil {
			g.t.Fatalf("the telephone is not answered: %v", err)
		}
		answer = string(b[:n])
	}
	_, rest, _ := strings.Cut(answer, "m=audio ")
	var port int
	if _, err := fmt.Sscan(rest, &port); err != nil {
		g.t.Fatalf("no port in %s", answer)
	}
	_, to, _ := strings.Cut(answer, "\r\nTo: ")
	to, _, _ = strings.Cut(to, "\r\n")
	ack := strings.Replace(invite(990001, "UDP", "+15550177", "", ""), "To: <sip:+15550177@127.0.0.1>", "To: "+to, 1)
	_, _ = signalling.Write([]byte(strings.ReplaceAll(strings.Replace(ack, "bKflood", "bKack", 1), "INVITE", "ACK")))
	p := g.waitFor("7301", "pstn", "joined")
	r := rand.New(rand.NewPCG(5, 6))
	bad := [][]byte{
		{0x80, 101, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 5},                         // an event of one byte
		{0x80, 101, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255},        // an event that there is not
		{0x90, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0xff, 0xff},      // an extension beyond the end
		{0x90, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0xff, 255}, // and a broken element
		{0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1},                              // no payload
		{0, 0}, {0x80}, {},
	}
	pace(2000, 2*time.Second, func(i int) {
		m := garbage(r, i)
		if i%3 == 0 {
			m = bad[i/3%len(bad)]
		}
		for _, at := range []int{port, port + 1} { // RTP and RTCP
			_, _ = media.WriteToUDP(m, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at})
		}
	})
	if q := g.waitFor("7301", "pstn", "joined"); q.ID != p.ID {
		g.t.Error("the call with the bad media has ended")
	}
	g.api("POST", "/meetings/7301/participants/"+p.ID+"/remove", nil, nil)
}

// Sockets that misbehave are closed with a code that says why; those in the
// meeting notice nothing.
func TestBadSocketsEndNothing(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7302"})
	k := newTalk(g, "7302", 25*time.Second)
	most := g.watchRSS()
	long := strings.Repeat("x", 1<<20)
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	join := `{"type":"join","meeting":"7302","name":"Mallory"}`
	type frame struct {
		text   string
		binary bool
	}
	const badMessage, tooBig, badUTF8 = 4020, 1009, 1007
	for _, c := range []struct {
		what   string
		frames []frame
		closed []int // any of these; 0: stays open
	}{
		{"no JSON", []frame{{text: "hello"}}, []int{badMessage}},
		{"a list", []frame{{text: "[1,2,3]"}}, []int{badMessage}},
		{"deep nesting", []frame{{text: deep[:60000]}}, []int{badMessage}},
		{"too long", []frame{{text: `{"type":"join","name":"` + long + `"}`}}, []int{tooBig}},
		{"binary", []frame{{text: join, binary: true}}, []int{badMessage}},
		{"bad UTF-8", []frame{{text: "{\"type\":\"join\",\"name\":\"\xff\xfe\"}"}}, []int{badUTF8, badMessage, 4004}},
		{"no join first", []frame{{text: `{"type":"offer","id":1,"sdp":"v=0"}`}}, []int{badMessage}},
		{"binary after join", []frame{{text: join}, {text: "\x00\x01", binary: true}}, []int{badMessage}},
		{"no JSON after join", []frame{{text: join}, {text: "{"}}, []int{badMessage}},
		{"too long after join", []frame{{text: join}, {text: `{"type":"text","body":"` + long + `"}`}}, []int{tooBig}},
		{"unknown types", []frame{{text: join}, {text: `{"type":"fly"}`}, {text: `{"type":""}`}, {text: `{}`}}, []int{0, badMessage}},
		{"bad offers", []frame{{text: join}, {text: `{"type":"offer","id":1,"sdp":"v=0"}`}, {text: `{"type":"offer","id":-1,"sdp":"` + strings.Repeat("a=x\\r\\n", 5000) + `"}`}}, []int{0}},
		{"wants of nobody", []frame{{text: join}, {text: `{"type":"view","wants":[{"party":"x","source":"camera","height":-1},{"party":"","source":"moon","height":1e9}]}`}}, []int{0, badMessage}},
		{"a guest's commands", []frame{{text: join}, {text: `{"type":"command","verb":"end"}`}, {text: `{"type":"command","verb":"remove-all"}`}, {text: `{"type":"command","verb":"dial","value":"tel:+12025550123"}`}}, []int{0}},
		{"keys that there are not", []frame{{text: join}, {text: `{"type":"digit","key":"\u0000"}`}, {text: `{"type":"digit","key":"99999"}`}}, []int{0, badMessage}},
	} {
		conn := g.socket()
		for _, f := range c.frames {
			kind := websocket.MessageText
			if f.binary {
				kind = websocket.MessageBinary
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			_ = conn.Write(ctx, kind, []byte(f.text))
			cancel()
		}
		got := closedWith(conn, time.Second)
		ok := false
		for _, want := range c.closed {
			ok = ok || got == want
		}
		if !ok {
			t.Errorf("%s: closed with %d, want one of %v", c.what, got, c.closed)
		}
		conn.CloseNow()
	}
	// Text without end, on many sockets, as fast as it goes.
	for range 20 {
		conn := g.socket()
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			for conn.Write(ctx, websocket.MessageText, []byte(`{"type":"ping","t":1,"x":"`+long[:60000]+`"}`)) == nil {
			}
			conn.CloseNow()
		}()
	}
	silent := g.socket()
	defer silent.CloseNow()
	if got := closedWith(silent, 15*time.Second); got != 4021 {
		t.Errorf("a socket that never joins: closed with %d, want 4021", got)
	}
	g.mustBeHealthy()
	k.mustGoOn(15 * time.Second)
	if peak := most(); peak > 400 {
		t.Errorf("%d MiB of memory", peak)
	} else {
		t.Logf("at most %d MiB of memory", peak)
	}
}

func (g *gateway) socket() *websocket.Conn {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "wss://"+g.at["https"]+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: g.http.Transport}})
	if err != nil {
		g.t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	return conn
}

// closedWith reads until the socket closes and gives the code; 0: it did not.
func closedWith(conn *websocket.Conn, patience time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, _, err := conn.Read(ctx)
		switch code := websocket.CloseStatus(err); {
		case err == nil:
		case code > 0:
			return int(code)
		case ctx.Err() != nil:
			return 0
		default:
			return 1006
		}
	}
}

// Secrets that pass through an attack are in no log either.
func TestHostileHeadersAreNotLoggedRaw(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7303", "guest_passcode": "97531864"})
	g.overTLS([]byte(strings.Replace(invite(1, "TLS", "7303**97531864", goodSDP, "User-Agent: evil\x1b[2J\r\n"), "flood@127.0.0.1>;tag", "flood\x1b[31m@127.0.0.1>;tag", 1)), 500*time.Millisecond)
	if log := g.log.String(); bytes.ContainsRune([]byte(log), '\x1b') || strings.Contains(log, "97531864") {
		t.Error("the log holds escape sequences or a passcode")
	}
}
