//go:build e2e

package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal is an H.323 endpoint that says a tone and records what it hears.
type terminal struct {
	t    testing.TB
	cmd  *exec.Cmd
	file string
}

func (g *gateway) h323(number string) string { return "h323:" + number + "@" + g.at["h323"] }

// newTerminal calls and stays for a time.
func newTerminal(t testing.TB, to string, hz float64, length time.Duration, more ...string) *terminal {
	t.Helper()
	e := &terminal{t: t, file: filepath.Join(t.TempDir(), "heard.wav")}
	e.cmd, _ = run(t, nil, program, append([]string{"call", to, "--bind", "127.0.0.1", "--name", "Room Five", "--tone", fmt.Sprint(hz),
		"--duration", length.String(), "--record", e.file}, more...)...)
	return e
}

// heard waits for the end of the call and gives back its sound.
func (e *terminal) heard() sound {
	e.t.Helper()
	if err := e.cmd.Wait(); err != nil {
		e.t.Errorf("the H.323 endpoint: %v", err)
	}
	return readWAV(e.t, e.file)
}

// The issue in one test: four networks, one meeting; each hears the three
// others and not itself, and on the H.323 leg there is no sound in clear.
func TestFourNetworksMeet(t *testing.T) {
	first := 46000 + 200*rand.IntN(60)
	rtp := fmt.Sprintf("%d-%d", first, first+99)
	g := serve(t, "--rtp.ports", rtp)
	g.trunk()
	g.meeting(map[string]any{"number": "7001", "name": "Team", "guest_passcode": "1234"})
	wire := newCapture(t, "tcp or port "+port(g.at["sip_udp"])+" or port "+port(g.at["webrtc_udp"])+" or portrange "+rtp)
	phone := newSIPp(t, g.at["sip_udp"], "+15550100", ",,7001#,1234#,", 1000)
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, "7001", "Alice", "1234")
	bob := newBaresip(t, "7001**1234@"+g.at["sips"], 700)
	for _, protocol := range []string{"webrtc", "sip", "pstn"} {
		g.waitFor("7001", protocol, "joined")
	}
	room := newTerminal(t, g.h323("7001**1234"), 1370, 20*time.Second)
	p := g.waitFor("7001", "h323", "joined")
	if p.Name != "Room Five" || p.Security.Media != "h235" || p.Security.Suite != "AES_256_CBC" {
		t.Errorf("the H.323 endpoint is shown as %+v", p)
	}
	alice.sees("Room Five")
	security := map[string]string{}
	for _, p := range g.participants("7001") {
		security[p.Protocol] = p.Security.Media
	}
	if want := map[string]string{"webrtc": "dtls-srtp", "sip": "sdes-srtp", "pstn": "clear", "h323": "h235"}; fmt.Sprint(security) != fmt.Sprint(want) {
		t.Errorf("the roster shows %v, want %v", security, want)
	}
	time.Sleep(5 * time.Second)
	alice.mustHear([]float64{700, 1000, 1370}, []float64{440})
	heard := room.heard()
	for hz, want := range map[float64]bool{440: true, 700: true, 1000: true, 1370: false} {
		if heard.ever(hz) != want {
			t.Errorf("the H.323 endpoint hears %v Hz: %v", hz, !want)
		}
	}
	for _, mode := range [][]string{{"--slow"}, {"--separate"}, {"--slow", "--separate"}} {
		if r := call(t, g.h323("7001**1234"), append(mode, "--duration", "2s")...); !r.Answered || r.Security.Media != "h235" || !r.hears(700) {
			t.Errorf("%v: %v", mode, r)
		}
	}
	wire.stop()
	if s := wire.toPort(phone.port); !s.ever(1370) || !s.ever(440) || !s.ever(700) || s.ever(1000) {
		t.Error("the phone did not hear the three others, or heard itself")
	}
	if s := bob.quit(); !s.ever(1370) || !s.ever(1000) || !s.ever(440) || s.ever(700) {
		t.Error("baresip did not hear the three others, or heard itself")
	}
	wire.mustBeEncrypted(g, phone)
	wire.mustBeWellFormed("h225 || h245", 40)
}

// mustBeWellFormed has tshark dissect messages.
func (c *capture) mustBeWellFormed(what string, atLeast int, decodeAs ...string) {
	c.t.Helper()
	if rows := c.fields("("+what+") && _ws.malformed", decodeAs, "frame.number", "_ws.col.info"); len(rows) > 0 {
		c.t.Errorf("tshark finds malformed messages: %v", rows)
	}
	rows := c.fields(what, decodeAs, "_ws.col.info")
	c.t.Logf("%d messages of %s are well-formed", len(rows), what)
	if len(rows) < atLeast {
		c.t.Errorf("only %d messages of %s are seen: %v", len(rows), what, rows)
	}
}

func TestP27H323EndpointsAtTheDoor(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t)
	g.meeting(map[string]any{"number": "7001", "guest_passcode": "24681357"})
	g.meeting(map[string]any{"number": "7002", "admission": "accept", "host_passcode": "98765432"})
	g.meeting(map[string]any{"number": "7003", "encrypted_only": true})

	// By keys, of the meeting's number and of the passcode.
	for _, c := range [][]string{{"7001", ",,24681357#"}, {"4711", ",,,7001#,,24681357#"}, {"7001**24681357", ""}} {
		keyed := newTerminal(t, g.h323(c[0]), 700, 12*time.Second, "--dtmf", c[1])
		if p := g.waitFor("7001", "h323", "joined"); p.Security.Media != "h235" || p.Direction != "in" {
			t.Errorf("%s is shown as %+v", c[0], p)
		}
		id := g.waitFor("7001", "h323", "joined").ID
		g.api("POST", "/meetings/7001/participants/"+id+"/remove", nil, nil)
		_ = keyed.cmd.Wait()
	}
	if r := g.waitForRecord("h323", "removed"); r.Meeting != "7001" || r.Detail.Reason == "" {
		t.Errorf("record %+v", r)
	}

	// Three wrong ones.
	if r := call(t, g.h323("7001**1111111"), "--dtmf", ",,,2222222#,,,3333333#,,", "--duration", "40s"); !r.Answered || r.LevelDBov < -50 {
		t.Errorf("the guesser: %v", r)
	}
	g.recorded("h323", "7001", "wrong-passcode")

	// The waiting room.
	waiting := newTerminal(t, g.h323("7002"), 700, 20*time.Second)
	id := g.waitFor("7002", "h323", "waiting").ID
	g.api("POST", "/meetings/7002/participants/"+id+"/accept", nil, nil)
	g.waitFor("7002", "h323", "joined")
	g.api("POST", "/meetings/7002/participants/"+id+"/mute", nil, nil)
	eventually(t, 5*time.Second, "the H.323 endpoint is muted", func() bool { return g.waitFor("7002", "h323", "joined").AudioMuted })
	if r := call(t, "sips:7002**98765432@"+g.at["sips"], "--duration", "3s"); r.hears(700) {
		t.Errorf("the muted endpoint is heard: %v", r)
	}
	_ = waiting.cmd.Process.Kill() // as if its plug were pulled
	eventually(t, 10*time.Second, "who is gone leaves", func() bool { return len(g.participants("7002")) == 0 })

	// Encryption.
	if r := call(t, g.h323("7003"), "--duration", "1s"); !r.Answered || r.Security.Media != "h235" {
		t.Errorf("an encrypted call into a meeting for such: %v", r)
	}
	if r := call(t, g.h323("7003"), "--no-h235", "--clear", "--duration", "1s"); r.Answered || r.Code != "not-encrypted" {
		t.Errorf("a call in clear: %v", r)
	}
	refused := g.recorded("h323", "7003", "not-encrypted")
	if g.metric("bridgehead_h323_downgrade_total") != 1 {
		t.Error("the downgrade is not counted")
	}
	for id, want := range map[string][]string{
		refused.ID: {"SETUP", "RELEASE COMPLETE", "H.235.6 is required"},
		g.recorded("h323", "7001", "wrong-passcode").ID: {"SETUP", "CALL PROCEEDING", "CONNECT", "userInput", "RELEASE COMPLETE"},
	} {
		_, ladder := g.raw("GET", "/calls/"+id+"/ladder", nil)
		for _, w := range want {
			if !bytes.Contains(ladder, []byte(w)) {
				t.Errorf("the ladder has no %s: %s", w, ladder[max(0, len(ladder)-2000):])
			}
		}
	}
	g.mustKeepSecret("1111111", "2222222", "3333333", "24681357", "98765432")
}

// Where a gateway lets old systems in, a meeting may still keep them out.
func TestLegacyH323Endpoints(t *testing.T) {
	g := serve(t, "--h323.legacy", "true")
	g.meeting(map[string]any{"number": "7003", "encrypted_only": true})
	g.meeting(map[string]any{"number": "7004"})
	clear := newTerminal(t, g.h323("7004"), 700, 6*time.Second, "--no-h235", "--clear")
	if p := g.waitFor("7004", "h323", "joined"); p.Security.Media != "clear" {
		t.Errorf("a call in clear is shown as %+v", p.Security)
	}
	if r := call(t, g.h323("7004"), "--duration", "3s"); r.Security.Media != "h235" || !r.hears(700) {
		t.Errorf("an encrypted call beside it: %v", r)
	}
	_ = clear.cmd.Wait()
	if r := call(t, g.h323("7003"), "--no-h235", "--clear", "--duration", "2s"); r.Answered || r.Code != "not-encrypted" {
		t.Errorf("a call in clear to a meeting that wants none: %v", r)
	}
	g.recorded("h323", "7003", "not-encrypted")
}

func TestDialOutOverH323(t *testing.T) {
	far, near := serve(t), serve(t)
	far.meeting(map[string]any{"number": "7200"})
	near.meeting(map[string]any{"number": "7201"})
	near.api("POST", "/meetings/7201/dial", map[string]any{"to": far.h323("7200")}, nil)
	p := near.waitFor("7201", "h323", "joined")
	if p.Direction != "out" || p.Security.Media != "h235" {
		t.Errorf("the far side is shown as %+v", p)
	}
	far.waitFor("7200", "h323", "joined")
	run(t, nil, program, "call", "sips:7201@"+near.at["sips"], "--insecure", "--bind", "127.0.0.1", "--tone", "440", "--duration", "60s")
	if r := call(t, far.h323("7200"), "--tone", "1000", "--duration", "6s"); !r.hears(440) || r.hears(1000) {
		t.Errorf("through two gateways: %v", r)
	}
	near.api("POST", "/meetings/7201/participants/"+p.ID+"/remove", nil, nil)
	near.waitForRecord("h323", "removed")
	status, body := near.raw("POST", "/meetings/7201/dial", map[string]any{"to": "h323:7200@127.0.0.1:1"})
	if status < 400 || !strings.Contains(string(body), "does not answer") {
		t.Errorf("a dead address: %d %s", status, body)
	}
}

// A room system registers with its password, and dials a meeting's number; its
// rights end at once.
func TestH323DevicesRegister(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001"})
	const password = "correct-horse-7"
	id := g.addDevice("room7", "207", password)
	wire := newCapture(t, "udp port "+port(g.at["ras"]))
	room := []string{"--gatekeeper", g.at["ras"], "--user", "room7", "--password"}
	device := newTerminal(t, "h323:7001", 700, time.Minute, append(room, password)...)
	g.waitRegistered("room7")
	if p := g.waitFor("7001", "h323", "joined"); p.Security.Media != "h235" {
		t.Errorf("the device is shown as %+v", p)
	}
	wrong, err := bridgehead(t, append([]string{"call", "h323:7001", "--bind", "127.0.0.1", "--duration", "1s"}, append(room, "wrong-horse-9")...)...)
	if err == nil || strings.Contains(wrong, "answered after") {
		t.Errorf("with a wrong password: %s", wrong)
	}
	g.api("DELETE", "/devices/"+id, nil, nil)
	eventually(t, 5*time.Second, "the device's call ends with its rights", func() bool { return len(g.participants("7001")) == 0 })
	_ = device.cmd.Wait()
	g.waitForRecord("h323", "revoked")
	wire.stop()
	wire.mustBeWellFormed("h225", 6, "udp.port=="+port(g.at["ras"])+",h225")
	g.mustKeepSecret(password, "wrong-horse-9")
}

// Two people talk while the H.323 ports are attacked.
func TestTalkGoesOnUnderH323Attack(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7300"})
	k := newTalk(g, "7300", 30*time.Second)
	room := newTerminal(t, g.h323("7300"), 1730, 24*time.Second)
	g.waitFor("7300", "h323", "joined")
	most := g.watchRSS()
	open, release := hoard([]string{g.at["h323"], g.at["h323_tls"]}, 250)
	t.Logf("%d connections are hoarded", open)
	sent := mangle(t, g, 8*time.Second)
	t.Logf("%d mangled messages", sent)
	if sent < 1000 {
		t.Errorf("only %d mangled messages were sent", sent)
	}
	g.mustBeHealthy()
	eventually(t, 20*time.Second, "who says nothing is let go", func() bool { return g.metric("bridgehead_h323_half_open_total") > 50 })
	release()
	if g.metric("bridgehead_h323_malformed_total") < 100 {
		t.Error("the malformed messages are not counted")
	}
	if n := g.metric("bridgehead_h323_faults_total"); n != 0 {
		t.Errorf("%v faults", n)
	}
	k.mustGoOn(15 * time.Second)
	heard := room.heard()
	if gap, at, length := heard.gap(2600); gap > 40*time.Millisecond || length < 10*time.Second {
		t.Errorf("the H.323 endpoint heard the talk for %v, with a gap of %v after %v", length, gap, at)
	}
	if peak := most(); peak > 400 {
		t.Errorf("%d MiB of memory", peak)
	}
	g.mustBeHealthy()
	eventually(t, 40*time.Second, "a call is possible again", func() bool { return call(t, g.h323("7300"), "--duration", "1s").Answered })
}

// mangle sends real peers' messages with faults to the H.323 ports.
func mangle(t testing.TB, g *gateway, length time.Duration) int {
	t.Helper()
	messages := func(pattern string) (list [][]byte) {
		files, _ := filepath.Glob("../../testdata/h323/" + pattern)
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), "")); err == nil && len(b) > 8 {
				list = append(list, b)
			}
		}
		if len(list) == 0 {
			t.Fatalf("no messages %s", pattern)
		}
		return list
	}
	calls, ras := messages("*.q931.hex"), messages("*-ras-*.hex")
	r := rand.New(rand.NewPCG(5, 6))
	udp, err := net.Dial("udp", g.at["ras"])
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	var tcp net.Conn
	defer func() {
		if tcp != nil {
			tcp.Close()
		}
	}()
	return pace(400, length, func(i int) {
		if i%3 == 0 {
			_, _ = udp.Write(fault(r, ras[r.IntN(len(ras))]))
			return
		}
		if tcp == nil || i%20 == 1 {
			if tcp != nil {
				tcp.Close()
			}
			if tcp, err = net.DialTimeout("tcp", g.at["h323"], time.Second); err != nil {
				tcp = nil
				return
			}
		}
		b := fault(r, calls[r.IntN(len(calls))])
		n := len(b) + 4
		_ = tcp.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = tcp.Write(append([]byte{3, 0, byte(n >> 8), byte(n)}, b...))
	})
}

// fault spoils a message: cut, bits turned, octets filled in or taken out.
func fault(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	at := r.IntN(len(b))
	switch r.IntN(4) {
	case 0:
		return b[:at+1]
	case 1:
		for range 1 + r.IntN(8) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
	case 2:
		for i := at; i < min(at+4, len(b)); i++ {
			b[i] = 0xff
		}
	case 3:
		return append(b[:at], b[min(at+1+r.IntN(8), len(b)):]...)
	}
	return b
}
