//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// examined is a call as the API shows it to operators.
type examined struct {
	Call   map[string]any `json:"call"`
	Ladder struct {
		Verdict  string           `json:"verdict"`
		Findings []map[string]any `json:"findings"`
		Steps    []map[string]any `json:"steps"`
		Media    []map[string]any `json:"media"`
	} `json:"ladder"`
}

// examine waits for the end of a call to an address and gives what the doctor
// says of it.
func (g *gateway) examine(t testing.TB, to string) (x examined) {
	t.Helper()
	var id string
	eventually(t, 100*time.Second, "the call to "+to+" is recorded", func() bool {
		var list []map[string]any
		_, data := g.raw("GET", "/calls?limit=1000", nil)
		_ = json.Unmarshal(data, &list)
		for _, c := range list {
			if strings.Contains(fmt.Sprint(c["to"]), to) && c["code"] != nil {
				id, x.Call = fmt.Sprint(c["id"]), c
				return true
			}
		}
		return false
	})
	_, data := g.raw("GET", "/calls/"+id+"/ladder", nil)
	if err := json.Unmarshal(data, &x.Ladder); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return x
}

// failure is a way in which a call goes wrong: what is done, the address by which
// its record is found, and what the doctor must say.
type failure struct {
	name, to, code, says string
	do                   func(t *testing.T, c failure)
}

// Every one of these calls is made, by real peers on loopback, and judged by its
// record. With E2E_RECORD=DIR the records are written there, for the doctor's own
// tests.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	g := serve(t, "--limits.media_timeout", "6", "--limits.hold_timeout", "7", "--limits.setups_per_source", "1000", "--limits.cpu", "0",
		"--passcode.tries", "60", "--pstn.countries", "US")
	phone := newRogue(t, g.at["sip_udp"])
	phone.invited = func(number string) []string { return outcomesThere[number] }
	g.hospital(phone)
	cases := slices.Concat(g.incomingFailures(), g.soundFailures(), g.outgoingFailures(), g.otherFailures())
	var made sync.WaitGroup
	for _, c := range cases {
		made.Go(func() { c.do(t, c) })
	}
	made.Wait()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			x := g.examine(t, c.to)
			c.judge(t, x)
			c.keep(t, x)
		})
	}
	t.Logf("%d failures made and judged", len(cases))
	g.mustKeepSecret("1111111", "2222222", "3333333", "55443322")
}

func (c failure) judge(t *testing.T, x examined) {
	t.Helper()
	if len(x.Ladder.Findings) == 0 || x.Ladder.Findings[0]["code"] != c.code || !regexp.MustCompile(c.says).MatchString(x.Ladder.Verdict) {
		t.Errorf("found %v\nwant %s: %s\nrecord %v\nsteps %s", x.Ladder.Findings, c.code, c.says, x.Call, lines(x))
	}
	if x.Ladder.Verdict == "" || strings.HasPrefix(x.Ladder.Verdict, "The call failed") {
		t.Errorf("the verdict tells nothing: %s", x.Ladder.Verdict)
	}
}

func lines(x examined) string {
	var b strings.Builder
	for _, s := range x.Ladder.Steps {
		text := fmt.Sprint(s["text"])
		if s["from"] != nil {
			text = ""
		}
		fmt.Fprintf(&b, "\n  %v → %v %v %s", s["from"], s["to"], s["what"], text)
	}
	return b.String()
}

func (c failure) keep(t *testing.T, x examined) {
	dir := os.Getenv("E2E_RECORD")
	if dir == "" || t.Failed() {
		return
	}
	b, err := json.MarshalIndent(x, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")+".json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// hospital sets up what the failing calls need.
func (g *gateway) hospital(phone *rogue) {
	g.t.Helper()
	g.api("POST", "/trunks", map[string]any{"name": "carrier", "mode": "static", "transport": "udp", "host": phone.addr(), "calls_per_second": 1000,
		"source": []string{"127.0.0.1/32"}, "media_encryption": "none", "enabled": true, "override_check": true}, nil)
	g.meeting(map[string]any{"number": "7100", "name": "Open"})
	g.meeting(map[string]any{"number": "7101", "max_participants": 1})
	g.meeting(map[string]any{"number": "7102", "host_passcode": "55443322"})
	g.meeting(map[string]any{"number": "7103", "encrypted_only": true})
	g.meeting(map[string]any{"number": "7104"})
	g.meeting(map[string]any{"number": "7106"})
	g.meeting(map[string]any{"number": "7105", "guest_passcode": "55443322"})
	g.api("POST", "/meetings/7102/lock", nil, nil)
	for n := 1; n <= 60; n++ {
		target := map[int]string{1: "reception", 2: "reception", 3: "meeting:7101", 4: "meeting:7102", 5: "meeting:7103", 6: "meeting:7105", 7: "meeting:7102"}[n]
		if target == "" {
			target = "meeting:7100"
		}
		g.api("POST", "/numbers", map[string]any{"number": fmt.Sprintf("+155501%02d", n), "trunk": "carrier", "target": target}, nil)
	}
	run(g.t, nil, program, "call", "sips:7101@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--duration", "150s")
	g.waitFor("7101", "sip", "joined")
	g.addDevice("room1", "201", "correct-horse-1")
}

// refused calls a number from the trunk with an offer that is changed, and takes
// the refusal.
func (g *gateway) refused(changes ...string) func(t *testing.T, c failure) {
	return func(t *testing.T, c failure) {
		d := newRogue(t, g.at["sip_udp"]).dialog(c.to)
		d.call(d.offer(changes...))
	}
}

// answered calls a number from the trunk, which must be answered.
func (g *gateway) answered(then func(t *testing.T, d *dialog), changes ...string) func(t *testing.T, c failure) {
	return func(t *testing.T, c failure) {
		d := newRogue(t, g.at["sip_udp"]).dialog(c.to)
		if status := d.call(d.offer(changes...)); status != "200" {
			t.Fatalf("answered %s", status)
		}
		then(t, d)
	}
}

// What changes an offer: G.729 instead of G.711, no keys.
var (
	g729   = []string{"AVP 0 101", "AVP 18 101", "a=rtpmap:0 PCMU/8000\r\n", ""}
	noKeys = []string{"AVP 0 101", "AVP 0", "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n", ""}
)

// incomingFailures are those in which a call in is not led to a meeting.
func (g *gateway) incomingFailures() []failure {
	return []failure{
		{"no route", "+15550199", "no-route", `\+15550199 is not configured for trunk carrier`, g.refused()},
		{"wrong codec", "+15550110", "no-codec", `offered only G729`, g.refused(g729...)},
		{"malformed offer", "+15550111", "malformed", `could not be understood`, g.refused("m=audio ", "m=audio x")},
		{"encrypted offer on a clear trunk", "+15550112", "encryption-unwanted", `media_encryption to optional`, g.refused("RTP/AVP", "RTP/SAVP")},
		{"full", "+15550103", "full", `The meeting was full`, g.refused()},
		{"locked", "+15550104", "locked", `The meeting was locked`, g.refused()},
		{"encrypted only", "+15550105", "encrypted-only", `takes encrypted calls only`, g.refused()},
		{"caller gave up", "+15550107", "caller-gave-up", `hung up after \d s, before`, func(t *testing.T, c failure) {
			d := newRogue(t, g.at["sip_udp"]).dialog(c.to)
			d.send("INVITE", d.offer())
			time.Sleep(time.Second)
			d.send("CANCEL", "")
			d.final("INVITE")
			d.send("ACK", "")
		}},
		{"passcode wrong", "+15550106", "wrong-passcode", `wrong three times`, g.answered(func(t *testing.T, d *dialog) {
			go d.talk(rtpStream{length: 40 * time.Second, sound: 0xff})
			d.press(",,1111111#,,,,,2222222#,,,,,3333333#")
		})},
		{"keys missing", "+15550101", "no-keys", `no key arrived: its side offers no telephone-event`, g.answered(func(t *testing.T, d *dialog) {
			d.talk(rtpStream{length: 75 * time.Second, sound: 0xff})
		}, noKeys...)},
		{"no ACK", "+15550113", "no-ack", `never confirmed it`, func(t *testing.T, c failure) {
			d := newRogue(t, g.at["sip_udp"]).dialog(c.to)
			d.send("INVITE", d.offer())
			d.final("INVITE")
			d.talk(rtpStream{length: 34 * time.Second, sound: 0x30, square: true})
		}},
		{"clear media over TLS", "7196", "not-encrypted", `in clear, where encryption is required`, func(t *testing.T, c failure) {
			l := newTLSRogue(t, g.at["sips"])
			l.dialog(c.to).call(l.offer())
		}},
		{"wrong password", "7197", "wrong-password", `user name or password of .*room1`, func(t *testing.T, c failure) {
			call(t, "sips:7197@"+g.at["sips"], "--from", "sips:room1@127.0.0.1", "--user", "room1", "--password", "wrong-horse", "--duration", "1s")
		}},
	}
}

// soundFailures are answered calls whose sound is not as it should be.
func (g *gateway) soundFailures() []failure {
	const toMe, toNowhere, elsewhere = "c=IN IP4 127.0.0.1", "c=IN IP4 10.9.8.7", "c=IN IP4 127.0.0.7"
	voice := func(s rtpStream) func(*testing.T, *dialog) {
		return func(_ *testing.T, d *dialog) { d.talk(s); d.bye() }
	}
	mute := func(_ *testing.T, d *dialog) { time.Sleep(4 * time.Second); d.bye() }
	speech := rtpStream{length: 2 * time.Second, sound: 0x30, square: true}
	with := func(change func(s *rtpStream)) func(*testing.T, *dialog) {
		s := speech
		s.length = 8 * time.Second
		change(&s)
		return voice(s)
	}
	hold := func(d *dialog) { d.call(d.offer("sendrecv", "sendonly")) }
	return []failure{
		{"good", "+15550120", "good", `went well for .*PCMU, 0.0 % .*MOS 4\.\d`, g.answered(with(func(*rtpStream) {}))},
		{"one-way, nothing comes", "+15550121", "no-audio-in", `no audio came from 127\.0\.0\.1:\d+ in \d+ s.*Open UDP port \d+`, g.answered(mute)},
		{"private address in SDP", "+15550122", "private-address", `no audio came from 10\.9\.8\.7:\d+ in \d+ s: the peer offered a private address, while it calls from 127\.0\.0\.1`, g.answered(mute, toMe, toNowhere)},
		{"wrong payload type", "+15550123", "wrong-payload", `payload type 96, which was not agreed`, g.answered(with(func(s *rtpStream) { s.payload = 96 }))},
		{"from another address", "+15550124", "wrong-address", `came from 127\.0\.0\.1:\d+ instead`, g.answered(with(func(s *rtpStream) { s.restart, s.length = true, 4*time.Second }), toMe, elsewhere)},
		{"sound stops", "+15550125", "audio-stopped", `stopped, and after \d+ s the call was ended`, g.answered(func(_ *testing.T, d *dialog) { d.talk(speech) })},
		{"held for too long", "+15550126", "held-too-long", `The call was held`, g.answered(func(_ *testing.T, d *dialog) { d.talk(speech); hold(d) })},
		{"held and taken up again", "+15550127", "good", `went well`, g.answered(func(_ *testing.T, d *dialog) {
			d.talk(speech)
			hold(d)
			time.Sleep(4 * time.Second)
			d.call(d.offer())
			d.talk(speech)
			d.bye()
		})},
		{"silence only", "+15550128", "silent", `only silence was in them`, g.answered(voice(rtpStream{length: 17 * time.Second, sound: 0xff}))},
		{"too loud", "+15550129", "clipping", `too loud`, g.answered(with(func(s *rtpStream) { s.sound = 0 }))},
		{"high loss", "+15550130", "loss-in", `2\d % of the packets of the sound from .* were lost: little`, g.answered(with(func(s *rtpStream) { s.skip = 4 }))},
		{"some loss", "+15550131", "loss-in", `\d % of the packets of the sound from .* were lost\.`, g.answered(with(func(s *rtpStream) { s.skip = 20 }))},
		{"jitter", "+15550132", "jitter", `came unevenly, by up to \d+ ms`, g.answered(with(func(s *rtpStream) { s.bursts = 10 }))},
		{"codec refused in re-INVITE", "+15550133", "reinvite-refused", `the carrier wanted to change to G729, and was refused with 488`, g.answered(func(t *testing.T, d *dialog) {
			d.talk(speech)
			if status := d.call(d.offer(g729...)); status != "488" {
				t.Errorf("re-INVITE answered %s", status)
			}
			d.talk(speech)
			d.bye()
		})},
	}
}

// outcomesThere is how the carrier answers calls to its numbers.
var outcomesThere = map[string][]string{
	"+12025550101": {"180 Ringing", "486 Busy Here"}, "+12025550102": {"403 Forbidden"}, "+12025550103": {"503 Service Unavailable"},
	"+12025550104": {"404 Not Found"}, "+12025550105": {"408 Request Timeout"}, "+12025550106": {"180 Ringing", "603 Decline"},
	"+12025550107": {"488 Not Acceptable Here"}, "+12025550108": {"407 Proxy Authentication Required"}, "+12025550109": {"180 Ringing"},
	"+12025550110": {"480 Temporarily Unavailable"},
}

// outgoingFailures are calls of the gateway's that nobody answers.
func (g *gateway) outgoingFailures() []failure {
	dial := func(t *testing.T, to string) {
		g.raw("POST", "/meetings/7100/dial", map[string]any{"to": to, "name": "Called"})
	}
	tel := func(t *testing.T, c failure) { dial(t, "tel:"+c.to) }
	sips := func(at string) func(t *testing.T, c failure) {
		return func(t *testing.T, c failure) { dial(t, "sips:"+strings.Replace(c.to, "127.0.0.1", at, 1)) }
	}
	expired, unknown := tlsListener(g.t, time.Now().Add(-time.Hour)), tlsListener(g.t, time.Now().Add(time.Hour))
	return []failure{
		{"busy", "+12025550101", "busy", `was busy`, tel},
		{"carrier 403", "+12025550102", "peer-forbids", `The carrier forbids the call \(403 Forbidden\).*number shown is one of yours`, tel},
		{"carrier 503", "+12025550103", "peer-fault", `no capacity \(503`, tel},
		{"unknown at the carrier", "+12025550104", "unknown-there", `not known to the carrier`, tel},
		{"carrier 408", "+12025550105", "timeout", `no answer in time`, tel},
		{"declined", "+12025550106", "declined", `declined`, tel},
		{"carrier 488", "+12025550107", "no-codec", `takes nothing of what the bridge offers`, tel},
		{"carrier wants a password", "+12025550108", "login-refused", `user name or password`, tel},
		{"nobody answers", "+12025550109", "no-answer", `rang for \d+ s, and nobody answered`, tel},
		{"away", "+12025550110", "away", `cannot be reached now`, tel},
		{"country", "+4930123456", "country", `country DE of \+4930123456 is not allowed`, tel},
		{"expired certificate", "expired@127.0.0.1", "expired-certificate", `not valid at this time`, sips(expired)},
		{"unknown authority", "unknown@127.0.0.1", "unknown-authority", `signed by nobody whom the bridge knows`, sips(unknown)},
		{"nobody listens", "nobody@127.0.0.1", "connection-refused", `Nobody listens`, sips("127.0.0.1:1")},
		{"unknown host", "x@nowhere.invalid", "unknown-host", `could not be found in the DNS`, sips("")},
		{"not registered", "room1@local", "not-registered", `not registered`, func(t *testing.T, _ failure) { dial(t, "sip:room1@local") }},
	}
}

// tlsListener has a certificate that ends at a time and that nobody has signed.
func tlsListener(t testing.TB, end time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, NotBefore: end.Add(-48 * time.Hour), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = c.(*tls.Conn).Handshake() }()
		}
	}()
	return l.Addr().String()
}

// otherFailures are those of H.323 and of browsers.
func (g *gateway) otherFailures() []failure {
	return []failure{
		{"H.323 without encryption", "7190", "not-encrypted", `no encryption \(H\.235\)`, func(t *testing.T, c failure) {
			call(t, "h323:7190@"+g.at["h323"], "--clear", "--no-h235", "--duration", "1s")
		}},
		{"browser, no such meeting", "7191", "unknown-number", `no meeting or number like the one called, 7191`, func(t *testing.T, c failure) { joinSocket(g, "7191") }},
		{"browser, wrong passcode", "7105**", "wrong-passcode", `passcode`, func(t *testing.T, c failure) { joinSocket(g, "7105", "99887766") }},
		{"browser finds no way for its sound", "7106", "ice-failed", `no way was found for its sound \(ICE\)`, func(t *testing.T, c failure) {
			g.whip(t, "7106", func(sdp string) string { return sdp }, false)
		}},
		{"browser whose DTLS fails", "7104", "dtls-failed", `encryption of its sound could not be agreed on \(DTLS\)`, func(t *testing.T, c failure) {
			g.whip(t, "7104", func(sdp string) string {
				return regexp.MustCompile(`a=fingerprint:sha-256 ..`).ReplaceAllString(sdp, "a=fingerprint:sha-256 00")
			}, true)
		}},
	}
}

// whip joins as a publisher whose offer is changed on the way; it takes the
// answer, or not.
func (g *gateway) whip(t *testing.T, number string, change func(string) string, takes bool) {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	res, err := g.http.Post("https://"+g.at["https"]+"/whip/"+number, "application/sdp", strings.NewReader(change(pc.LocalDescription().SDP)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("WHIP: %s", res.Status)
	}
	if !takes {
		return
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
}
