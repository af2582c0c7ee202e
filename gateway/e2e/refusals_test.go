//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"bridgehead/core/audio/g711"
)

// ear is a telephone's receiver: it keeps the µ-law sound sent to it.
type ear struct {
	t    testing.TB
	conn *net.UDPConn
	mu   sync.Mutex
	pcm  []int16
}

func newEar(t testing.TB) *ear {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freePort(t)})
	if err != nil {
		t.Fatal(err)
	}
	dec, err := g711.Mu.NewDecoder(8000)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{t: t, conn: conn}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b, pcm := make([]byte, 2048), make([]int16, 2048)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			if n > 12 && b[1]&0x7f == 0 {
				m, _ := dec.Decode(pcm, b[12:n])
				e.mu.Lock()
				e.pcm = append(e.pcm, pcm[:m]...)
				e.mu.Unlock()
			}
		}
	}()
	return e
}

func (e *ear) port() int { return e.conn.LocalAddr().(*net.UDPAddr).Port }

func (e *ear) heard() sound {
	e.mu.Lock()
	defer e.mu.Unlock()
	return sound{e.pcm, 8000}
}

// refusedPhone calls a number from the telephone network and must be refused
// with the status, after words of explanation where we have the say.
func refusedPhone(g *gateway, number, caller, status string) {
	t := g.t
	t.Helper()
	e := newEar(t)
	template, err := os.ReadFile("../../testdata/sipp/refused.xml")
	if err != nil {
		t.Fatal(err)
	}
	scenario := filepath.Join(t.(interface{ TempDir() string }).TempDir(), "refused.xml")
	text := bytes.ReplaceAll(template, []byte(`"STATUS"`), []byte(`"`+status+`"`))
	aloud := status != "404" // which is the carrier's to announce, so it comes at once
	if !aloud {
		text = regexp.MustCompile(`(?m)^.*response="183".*$`).ReplaceAll(text, nil)
	}
	if err := os.WriteFile(scenario, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, out := run(t, nil, "sipp", g.at["sip_udp"], "-sf", scenario, "-s", number, "-i", "127.0.0.1", "-p", itoa(freePort(t)),
		"-nostdin", "-m", "1", "-l", "1", "-key", "caller", caller, "-key", "ear", itoa(e.port()), "-timeout", "60s")
	if err := cmd.Wait(); err != nil {
		t.Errorf("call to %s: %v, want 183 and then %s\n%s", number, err, status, tail(out.String(), 2000))
	}
	if s := e.heard(); aloud && (!s.audible() || len(s.pcm) < s.rate) {
		t.Errorf("call to %s: %d ms heard, audible %v: the refusal is not spoken", number, len(s.pcm)/8, s.audible())
	}
}

// recorded finds the record of an ended call to an address.
func (g *gateway) recorded(protocol, to, code string) (r record) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, "a "+protocol+" call to "+to+" is recorded as "+code, func() bool {
		for _, r = range g.records() {
			if r.Protocol == protocol && strings.HasPrefix(r.To, to) && r.Code == code {
				return true
			}
		}
		return false
	})
	if r.Detail.Reason == "" {
		g.t.Errorf("the record of the call to %s gives no reason: %+v", to, r)
	}
	return r
}

// mustKeepSecret looks for secrets in all that operators read.
func (g *gateway) mustKeepSecret(secrets ...string) {
	g.t.Helper()
	_, calls := g.raw("GET", "/calls", nil)
	all := string(calls) + g.log.String()
	for _, r := range g.records() {
		_, ladder := g.raw("GET", "/calls/"+r.ID+"/ladder", nil)
		_, call := g.raw("GET", "/calls/"+r.ID, nil)
		all += string(ladder) + string(call)
	}
	for _, s := range secrets {
		if i := strings.Index(all, s); i >= 0 {
			g.t.Errorf("the passcode %s is in records, ladders or log: %s", s, all[max(0, i-200):min(len(all), i+50)])
		}
	}
}

// closedRooms makes the meetings that refuse: 7101 is full, 7102 locked, 7103
// takes encrypted calls only, 7104 was for one time and is over; 7105 has a
// passcode. Telephones reach them by +155501 and the last two digits.
func closedRooms(g *gateway) {
	g.t.Helper()
	g.trunk()
	g.meeting(map[string]any{"number": "7101", "max_participants": 1})
	g.meeting(map[string]any{"number": "7102", "host_passcode": "88776655"})
	g.meeting(map[string]any{"number": "7103", "encrypted_only": true})
	g.meeting(map[string]any{"number": "7104", "kind": "one-time"})
	g.meeting(map[string]any{"number": "7105", "guest_passcode": "24681357"})
	for _, n := range []string{"01", "02", "03", "05"} {
		g.api("POST", "/numbers", map[string]any{"number": "+155501" + n, "trunk": "carrier", "target": "meeting:71" + n}, nil)
	}
	g.api("POST", "/meetings/7102/lock", nil, nil)
	run(g.t, nil, program, "call", "sips:7101@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--duration", "120s")
	g.waitFor("7101", "sip", "joined")
	g.api("POST", "/numbers", map[string]any{"number": "+15550104", "trunk": "carrier", "target": "meeting:7104"}, nil)
	g.api("POST", "/meetings/7104/end", nil, nil)
}

func TestTelephonesAreRefusedAloud(t *testing.T) {
	g := serve(t)
	closedRooms(g)
	for i, c := range []struct{ number, status, code string }{
		{"+15550198", "404", "not-found"},
		{"+15550101", "486", "full"},
		{"+15550102", "403", "locked"},
		{"+15550103", "488", "not-encrypted"},
		{"+15550104", "404", "not-found"},
	} {
		refusedPhone(g, c.number, "+1555017"+itoa(i), c.status)
		if r := g.recorded("pstn", c.number, c.code); itoa(r.Detail.Status) != c.status || r.Trunk != "carrier" {
			t.Errorf("record %+v, want status %s", r, c.status)
		}
	}
}

// A telephone that guesses is let go after three wrong passcodes; after more of
// them, in other calls, it does not get as far as the question.
func TestP27GuessingTelephone(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t, "--passcode.tries", "3")
	closedRooms(g)
	phone := newSIPp(t, g.at["sip_udp"], "+15550105", ",,1111111#,,,2222222#,,,3333333#,,", 1000)
	e := newCapture(t, "udp and dst port "+itoa(phone.port))
	r := g.recorded("pstn", "+15550105", "wrong-passcode")
	e.stop()
	if !e.toPort(phone.port).audible() || r.Detail.Status != 200 {
		t.Errorf("record %+v, heard %v", r, e.toPort(phone.port).audible())
	}
	if _, ladder := g.raw("GET", "/calls/"+r.ID+"/ladder", nil); !bytes.Contains(ladder, []byte("Q.850;cause=21")) {
		t.Errorf("the BYE gives no cause 21: %s", ladder)
	}
	refusedPhone(g, "+15550105", "+15550199", "403")
	g.recorded("pstn", "+15550105", "throttled")
	refusedPhone(g, "+15550198", "+15550123", "404") // another telephone is told what it did wrong
	g.mustKeepSecret("1111111", "2222222", "3333333", "24681357")
}

func TestSIPEndpointsAreRefusedAloud(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t)
	closedRooms(g)
	for _, c := range []struct {
		number, code string
		status       int
	}{{"7101", "full", 486}, {"7102", "locked", 403}} {
		b := newBaresip(t, c.number+"@"+g.at["sips"], 700)
		if r := g.recorded("sip", c.number, c.code); r.Detail.Status != c.status {
			t.Errorf("record %+v, want status %d", r, c.status)
		}
		if s := b.quit(); !s.audible() {
			t.Errorf("baresip hears nothing of why it is refused (%s), %d ms", c.code, len(s.pcm)*1000/s.rate)
		}
		if r := call(t, "sips:"+c.number+"@"+g.at["sips"]); r.Answered || !strings.Contains(r.Reason, itoa(c.status)) {
			t.Errorf("refused call: %v", r)
		}
	}
	// A number that leads nowhere is a wrong number for the reception to mend.
	for _, number := range []string{"7104", "4711"} {
		r := call(t, "sips:"+number+"@"+g.at["sips"], "--duration", "3s")
		if !r.Answered || r.LevelDBov < -50 {
			t.Errorf("unknown number %s: %v, want the reception", number, r)
		}
	}
	// The wrong passcode in the address counts: two more end the call.
	r := call(t, "sips:7105**1111111@"+g.at["sips"], "--dtmf", ",,,2222222#,,,3333333#,,", "--duration", "40s")
	if rec := g.recorded("sip", "7105", "wrong-passcode"); !r.Answered || r.LevelDBov < -50 || rec.Detail.Status != 200 {
		t.Errorf("guesser: %v, record %+v", r, rec)
	}
	g.mustKeepSecret("1111111", "2222222", "3333333", "24681357")
}

func TestP27GuessingSIPEndpoint(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t, "--passcode.tries", "4")
	closedRooms(g)
	for range 2 {
		call(t, "sips:7105**1111111@"+g.at["sips"], "--dtmf", "2222222#", "--duration", "3s")
	}
	if r := call(t, "sips:7105**24681357@"+g.at["sips"], "--duration", "2s"); r.Answered || !strings.Contains(r.Reason, "403") {
		t.Errorf("after four wrong passcodes in two calls: %v", r)
	}
	if r := g.recorded("sip", "7105", "throttled"); r.Detail.Status != 403 {
		t.Errorf("record %+v", r)
	}
	if w := joinSocket(g, "7105", "24681357"); w.code != "throttled" || w.closed != 4006 {
		t.Errorf("by another protocol from the same source: %+v", w)
	}
	if _, metrics := g.metrics(); !strings.Contains(metrics, "bridgehead_throttled_sources 1") {
		t.Error("the metrics show no throttled source")
	}
	g.mustKeepSecret("1111111", "2222222", "24681357")
}

// A party that is removed hears it, on every protocol.
func TestP32RemovedPartiesAreTold(t *testing.T) {
	g := serve(t)
	g.trunk()
	g.meeting(map[string]any{"number": "7110"})
	g.api("POST", "/numbers", map[string]any{"number": "+15550110", "trunk": "carrier", "target": "meeting:7110"}, nil)
	phone := newSIPp(t, g.at["sip_udp"], "+15550110", "", 1000)
	bob := newBaresip(t, "7110@"+g.at["sips"], 1900) // the words that tell have nothing there
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, "7110", "Alice", "")
	var ids []string
	for _, protocol := range []string{"webrtc", "sip", "pstn"} {
		ids = append(ids, g.waitFor("7110", protocol, "joined").ID)
	}
	wire := newCapture(t, "udp and dst port "+itoa(phone.port))
	for _, id := range ids {
		g.api("POST", "/meetings/7110/participants/"+id+"/remove", nil, nil)
	}
	alice.sees("You were removed")
	for _, protocol := range []string{"webrtc", "sip", "pstn"} {
		r := g.waitForRecord(protocol, "removed")
		if r.Meeting != "7110" || r.Detail.Reason == "" {
			t.Errorf("record %+v", r)
		}
		if _, ladder := g.raw("GET", "/calls/"+r.ID+"/ladder", nil); protocol != "webrtc" && !bytes.Contains(ladder, []byte("Q.850;cause=")) {
			t.Errorf("the BYE to the %s party gives no cause", protocol)
		}
	}
	wire.stop()
	at := wire.toPort(phone.port).last(2 * time.Second)
	if !at.audible() || at.level(1900) > unheard {
		t.Errorf("the removed phone: audible %v, 1900 Hz at %.0f", at.audible(), at.level(1900))
	}
	if s := bob.quit().last(2 * time.Second); !s.audible() || s.level(1000) > unheard {
		t.Error("removed baresip is not told, or hears the meeting on")
	}
}

func TestP27BrowsersAreShownWhyTheyAreRefused(t *testing.T) {
	g := serve(t)
	closedRooms(g)
	b := newDriver(t).open("carol", 0, nil)
	for _, c := range []struct{ number, text, code string }{
		{"7101", "The meeting is full", "full"},
		{"7102", "The meeting is locked", "locked"},
		{"7104", "There is no such meeting", "not-found"},
		{"4711", "There is no such meeting", "not-found"},
	} {
		b.join(g, c.number, "Carol", "")
		b.sees(c.text)
		g.recorded("webrtc", c.number, c.code)
	}
	b.join(g, "7105", "Carol", "1111111")
	b.sees("2 tries left")
	b.pass("2222222")
	b.sees("1 try left")
	b.pass("3333333")
	b.sees("The passcode was wrong three times")
	g.recorded("webrtc", "7105", "wrong-passcode")
	for _, r := range g.records() {
		if r.Protocol == "webrtc" && r.Code == "" {
			t.Errorf("a record stays open: %+v", r)
		}
	}
	g.mustKeepSecret("1111111", "2222222", "3333333", "24681357")
}

// The close codes are what programs read; docs/signalling.md lists them.
func TestRefusalsOnTheSocket(t *testing.T) {
	g := serve(t, "--passcode.tries", "6")
	closedRooms(g)
	for _, c := range []struct {
		number string
		want   socketEnd
	}{{"7101", socketEnd{"full", 4007}}, {"7102", socketEnd{"locked", 4008}}, {"7104", socketEnd{"not-found", 4004}}} {
		if w := joinSocket(g, c.number, ""); w != c.want {
			t.Errorf("%s: %+v, want %+v", c.number, w, c.want)
		}
	}
	if w := joinSocket(g, "7105", "1", "2", "3"); w != (socketEnd{"wrong-passcode", 4005}) {
		t.Errorf("three wrong passcodes: %+v", w)
	}
	// A storm of guesses, each on a socket of its own.
	last := socketEnd{}
	for range 20 {
		last = joinSocket(g, "7105", "9", "9", "9")
	}
	if last != (socketEnd{"throttled", 4006}) {
		t.Errorf("after a storm: %+v", last)
	}
	g.recorded("webrtc", "7105", "throttled")
}

// socketEnd is how the signalling socket tells an end.
type socketEnd struct {
	code   string
	closed int
}

// joinSocket joins as a browser does, with one passcode after another, until
// the socket closes.
func joinSocket(g *gateway, number string, passcodes ...string) (end socketEnd) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "wss://"+g.at["https"]+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: g.http.Transport}})
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.CloseNow()
	for {
		passcode := ""
		if len(passcodes) > 0 {
			passcode, passcodes = passcodes[0], passcodes[1:]
		}
		join, _ := json.Marshal(map[string]string{"type": "join", "meeting": number, "name": "Socket", "passcode": passcode})
		if conn.Write(ctx, websocket.MessageText, join) != nil {
			return end
		}
		var m struct {
			Type, Code string
			Retry      bool
		}
		for m.Type != "need-passcode" && !m.Retry {
			_, data, err := conn.Read(ctx)
			if err != nil {
				end.closed = int(websocket.CloseStatus(err))
				return end
			}
			if json.Unmarshal(data, &m) == nil && m.Code != "" {
				end.code = m.Code
			}
		}
	}
}

// metrics as Prometheus reads them.
func (g *gateway) metrics() (int, string) {
	g.t.Helper()
	req, err := http.NewRequest("GET", "https://"+g.at["https"]+"/metrics", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.login.Token)
	res, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, b.String()
}
