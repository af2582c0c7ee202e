package webrtc

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bridgehead/core"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// heard counts the packets of sound in all slots: which of them a voice is in
// is the room's choice.
func heard(g map[string]*received) (n int) {
	for _, r := range g {
		n += r.layers['h']
	}
	return n
}

func sound(n int) func(map[string]*received) bool {
	return func(g map[string]*received) bool { return heard(g) >= n }
}

func TestTwoClientsHearAndSeeEachOther(t *testing.T) {
	w := newWorld(t, nil)
	ann, bob := w.enter(), w.enter()
	ann.until("bob's sound", sound(50))
	ann.want(bob.id, 180)
	mid := ann.slot(bob.id, "camera")
	ann.until("bob's small picture", func(g map[string]*received) bool { return g[mid] != nil && g[mid].layers['0'] > 60 })
	bob.want(ann.id, 720)
	back := bob.slot(ann.id, "camera")
	bob.until("ann's large picture", func(g map[string]*received) bool { return g[back] != nil && g[back].layers['1'] > 60 })

	asks := bob.asks.Load()
	ann.want(bob.id, 720)
	ann.until("the switch to the large layer", func(g map[string]*received) bool { return g[mid].layers['1'] > 60 })
	if n := bob.asks.Load() - asks; n < 1 || n > 4 {
		t.Errorf("%d keyframe requests for one switch", n)
	}
	ann.await("showing", func(m map[string]any) bool { return m["layer"] == "f" && m["party"] == bob.id })

	leg := <-w.m.legs
	info := leg.Info()
	if info.Security.Suite != "AEAD_AES_256_GCM" || !info.Forwarded || info.Audio.Name != "opus" || len(info.Video) < 3 {
		t.Errorf("info %+v", info)
	}
	if info.AudioStats.PacketsReceived == 0 || info.VideoStats.PacketsSent == 0 || info.VideoStats.PacketsReceived == 0 {
		t.Errorf("stats %+v %+v", info.AudioStats, info.VideoStats)
	}
	st := ann.await("stats", func(m map[string]any) bool { return m["rtt"].(float64) > 0 })
	if st["suite"] != "AEAD_AES_256_GCM" {
		t.Errorf("stats %v", st)
	}
}

func TestLossIsRecovered(t *testing.T) {
	for _, c := range []struct {
		name string
		loss int64
		most float64
	}{{"2 percent", 20, 0.001}, {"10 percent", 100, 0.01}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			ann, bob := w.enter(), w.connect()
			// The library marks retransmissions of simulcast as new streams
			// of the same rid, unlike browsers.
			bob.single = true
			bob.join()
			bob.dial()
			ann.want(bob.id, 180)
			mid := ann.slot(bob.id, "camera")
			ann.until("picture", packets(mid, 30))
			// Up at bob's, down at ann's: both directions lose.
			ann.loss.Store(c.loss)
			bob.loss.Store(c.loss)
			ann.until("more picture", func(g map[string]*received) bool { return len(g[mid].seen) > 700 })
			ann.loss.Store(0)
			bob.loss.Store(0)
			ann.until("the rest", func(g map[string]*received) bool { return len(g[mid].seen) > 800 })
			ann.mu.Lock()
			defer ann.mu.Unlock()
			g := ann.got[mid]
			missing, total := 0, 0
			for s := g.first; s != g.last-50; s++ {
				total++
				if !g.seen[s] {
					missing++
				}
			}
			t.Logf("%d of %d packets missing in the end", missing, total)
			if float64(missing) > c.most*float64(total) {
				t.Errorf("%d of %d packets were not recovered", missing, total)
			}
		})
	}
}

func TestICERestartKeepsTheCall(t *testing.T) {
	w := newWorld(t, nil)
	ann, bob := w.enter(), w.enter()
	ann.want(bob.id, 180)
	mid := ann.slot(bob.id, "camera")
	ann.until("picture", packets(mid, 60))
	before := ann.pc.RemoteDescription().SDP
	ann.offer(&webrtc.OfferOptions{ICERestart: true})
	if ufrag(before) == ufrag(ann.pc.RemoteDescription().SDP) {
		t.Error("the server kept its ICE credentials")
	}
	ann.mu.Lock()
	n := ann.got[mid].packets
	ann.mu.Unlock()
	ann.until("picture after the restart", packets(mid, n+200))
	select {
	case r := <-w.m.left:
		t.Errorf("a leg left: %v", r)
	default:
	}
}

func ufrag(sdp string) string {
	_, s, _ := strings.Cut(sdp, "a=ice-ufrag:")
	s, _, _ = strings.Cut(s, "\r\n")
	return s
}

func TestSocketLossIsSurvived(t *testing.T) {
	w := newWorld(t, nil)
	ann, bob := w.enter(), w.enter()
	ann.until("sound", sound(20))
	_ = ann.ws.CloseNow()
	ann.until("sound without a socket", sound(60))

	again := w.connect()
	again.send(map[string]any{"type": "join", "resume": ann.token})
	j := again.await("joined", nil)
	if j["id"] != ann.id || j["resumed"] != true || j["resume"] == ann.token {
		t.Fatalf("resumed as %v", j)
	}
	again.await("placed", nil)
	again.slot("", "microphone")

	other := w.connect()
	other.send(map[string]any{"type": "join", "resume": ann.token})
	if e := other.await("error", nil); e["code"] != "resume-unknown" || e["retry"] != true {
		t.Errorf("a spent token: %v", e)
	}
	// A reloaded page has a new peer connection.
	_ = ann.pc.Close()
	again.open()
	offer, err := again.pc.CreateOffer(nil)
	again.must(err)
	again.must(again.pc.SetLocalDescription(offer))
	again.send(map[string]any{"type": "offer", "id": 1, "sdp": offer.SDP, "fresh": true})
	a := again.await("answer", nil)
	again.must(again.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a["sdp"].(string)}))
	again.run()
	again.until("sound on the new connection", sound(20))
	bob.until("sound from the new connection", sound(20))
	again.send(map[string]any{"type": "leave"})
	if b := again.await("bye", nil); b["code"] != "normal" {
		t.Errorf("bye %v", b)
	}
	if c := <-again.closed; c != websocket.StatusNormalClosure {
		t.Errorf("closed with %d", c)
	}
	if r := <-w.m.left; r.Code != core.Normal {
		t.Errorf("left: %v", r)
	}
}

func TestLostClientLeaves(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Resume = 300 * time.Millisecond })
	c := w.connect()
	c.join()
	_ = c.ws.CloseNow()
	select {
	case r := <-w.m.left:
		if r.Code != core.MediaTimeout {
			t.Errorf("left: %v", r)
		}
	case <-w.ctx.Done():
		t.Fatal("the leg stayed")
	}
}

func TestMoreSlotsAreAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.enter()
	var others []*client
	var wants []any
	for range 3 {
		o := w.enter()
		others = append(others, o)
		wants = append(wants, map[string]any{"party": o.id, "source": "camera", "height": 180})
	}
	ann.send(map[string]any{"type": "view", "wants": wants})
	if m := ann.await("need-slots", nil); m["video"] != 3.0 {
		t.Fatalf("%v", m)
	}
	ann.receive(webrtc.RTPCodecTypeVideo)
	ann.offer(nil)
	m := ann.await("slots", func(m map[string]any) bool {
		n := 0
		for _, s := range m["slots"].([]any) {
			if s.(map[string]any)["source"] == "camera" {
				n++
			}
		}
		return n == 3
	})
	for _, s := range m["slots"].([]any) {
		if s := s.(map[string]any); s["source"] == "camera" {
			ann.until("picture in "+s["mid"].(string), packets(s["mid"].(string), 10))
		}
	}
	_ = others
}

func TestPasscode(t *testing.T) {
	w := newWorld(t, nil)
	w.m.plan = func(c core.Call) error {
		switch c.To {
		case "4711":
			return core.Reason{Code: core.WrongPasscode, Detail: "passcode required"}
		case "4711**123":
			return nil
		case "99":
			return core.Reason{Code: core.NotFound}
		}
		return core.Reason{Code: core.WrongPasscode, Say: "Wrong."}
	}
	c := w.connect()
	join := func(to, pass string) {
		c.send(map[string]any{"type": "join", "meeting": to, "passcode": pass, "name": "A"})
	}
	join("4711", "")
	c.await("need-passcode", nil)
	join("4711", "1")
	if e := c.await("error", nil); e["code"] != "wrong-passcode" || e["retry"] != true || e["triesLeft"] != 2.0 || e["message"] != "Wrong." {
		t.Errorf("%v", e)
	}
	join("4711", "123")
	c.await("joined", nil)

	c = w.connect()
	for range 3 {
		join("4711", "1")
	}
	c.await("bye", nil)
	if code := <-c.closed; code != 4005 {
		t.Errorf("closed with %d", code)
	}
	c = w.connect()
	join("99", "")
	if e := c.await("error", nil); e["code"] != "not-found" || e["retry"] != false {
		t.Errorf("%v", e)
	}
	if code := <-c.closed; code != 4004 {
		t.Errorf("closed with %d", code)
	}
}

func TestBadMessagesCloseTheSocketOnly(t *testing.T) {
	w := newWorld(t, nil)
	for name, m := range map[string]string{
		"not JSON": "{", "no join": `{"type":"offer"}`, "an array": `[]`, "deep": strings.Repeat("[", 30000),
	} {
		c := w.connect()
		c.must(c.ws.Write(w.ctx, websocket.MessageText, []byte(m)))
		if code := <-c.closed; code != 4020 {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	c := w.connect()
	_ = c.ws.Write(w.ctx, websocket.MessageText, make([]byte, maxMessage+1))
	if code := <-c.closed; code != websocket.StatusMessageTooBig {
		t.Errorf("too big: closed with %d", code)
	}
	c = w.connect()
	c.join()
	c.send(map[string]any{"type": "offer", "id": 7, "sdp": "v=0\r\nm=audio 9 RTP/AVP 0\r\n"})
	if e := c.await("error", nil); e["code"] != "incompatible" || e["id"] != 7.0 {
		t.Errorf("%v", e)
	}
	c.send(map[string]any{"type": "ping", "t": 5})
	if p := c.await("pong", nil); p["t"] != 5.0 {
		t.Errorf("%v", p)
	}
	c.send(map[string]any{"type": "digit", "key": "*"})
	for e := range w.m.events {
		if d, ok := e.(core.Digit); ok && d.Key == '*' {
			break
		}
	}
}

func TestForeignOriginIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	_, resp, err := websocket.Dial(w.ctx, w.url, &websocket.DialOptions{HTTPHeader: map[string][]string{"Origin": {"https://evil.example"}}})
	if err == nil || resp.StatusCode != 403 {
		t.Errorf("%v %v", err, resp)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxPerSource = 1 })
	a, b := w.connect(), w.connect()
	a.join()
	b.send(map[string]any{"type": "join", "meeting": "4711"})
	if e := b.await("error", nil); e["code"] != "overload" {
		t.Errorf("%v", e)
	}
}

// TestGarbage floods the media socket; the call goes on.
func TestGarbage(t *testing.T) {
	w := newWorld(t, nil)
	ann, _ := w.enter(), w.enter()
	ann.until("sound", sound(20))
	conn, err := net.Dial("udp", w.edge.Addresses()["webrtc_udp"])
	ann.must(err)
	defer conn.Close()
	for i := range 5000 {
		b := make([]byte, rand.IntN(1400))
		for j := range b {
			b[j] = byte(rand.Uint32())
		}
		if len(b) > 4 {
			switch i % 4 { // RFC 7983: STUN, DTLS, RTP
			case 0:
				b[0] = 0
				copy(b[4:], []byte{0x21, 0x12, 0xa4, 0x42})
			case 1:
				b[0] = 22
			case 2:
				b[0] = 0x80
			}
		}
		_, _ = conn.Write(b)
	}
	ann.mu.Lock()
	n := heard(ann.got)
	ann.mu.Unlock()
	ann.until("sound afterwards", sound(n+50))
}

func TestShutdownSaysBye(t *testing.T) {
	e, err := New(Options{Listen: "127.0.0.1:0", ListenTCP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Listen: e.Addresses()["webrtc_udp"]}); err == nil {
		t.Error("one port was opened twice")
	}
	if e.Addresses()["webrtc_tcp"] == "" {
		t.Error("no address of ICE-TCP")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Serve(ctx, nil) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := e.Dial(ctx, "x", nil); core.ReasonOf(err).Code != core.Unreachable {
		t.Error("dialled a browser")
	}
}

func TestWHIPAndWHEP(t *testing.T) {
	w := newWorld(t, nil)
	w.m.plan = func(c core.Call) error {
		if c.To != "4711**123" {
			return core.Reason{Code: core.WrongPasscode}
		}
		return nil
	}
	base := "http" + strings.TrimSuffix(strings.TrimPrefix(w.url, "ws"), "/ws")
	post := func(c *client, path, pass string) *http.Response {
		offer, err := c.pc.CreateOffer(nil)
		c.must(err)
		c.must(c.pc.SetLocalDescription(offer))
		req, err := http.NewRequestWithContext(w.ctx, "POST", base+path, strings.NewReader(offer.SDP))
		c.must(err)
		req.Header.Set("Content-Type", "application/sdp")
		req.Header.Set("Authorization", "Bearer "+pass)
		resp, err := http.DefaultClient.Do(req)
		c.must(err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode == http.StatusCreated {
			answer, err := io.ReadAll(resp.Body)
			c.must(err)
			c.must(c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}))
		}
		return resp
	}
	fresh := func() *client {
		return &client{world: w, got: map[string]*received{}, news: make(chan struct{}, 1), loss: new(atomic.Int64)}
	}
	wrong := fresh()
	wrong.open()
	if r := post(wrong, "/whip/4711", "1"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong passcode: %v", r.Status)
	}
	camera := fresh()
	camera.open()
	location := post(camera, "/whip/4711", "123").Header.Get("Location")
	camera.run()
	publisher := <-w.m.legs

	player := fresh()
	player.player = true
	player.open()
	post(player, "/whep/4711", "123")
	leg := <-w.m.legs
	if leg.Info().Forwarded {
		t.Error("a player with one section for sound is to get it mixed")
	}
	leg.Signal(core.Speaking{Parties: []string{publisher.Info().ID}})
	player.until("picture of who speaks", packets("1", 50))

	req, err := http.NewRequestWithContext(w.ctx, "DELETE", base+location, nil)
	camera.must(err)
	for _, status := range []int{200, 404} {
		resp, err := http.DefaultClient.Do(req)
		camera.must(err)
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("DELETE: %v", resp.Status)
		}
		if status == 200 {
			if r := <-w.m.left; r.Code != core.Normal {
				t.Errorf("left: %v", r)
			}
			<-publisher.(*Leg).done
		}
	}
}

// TestBlockedUDP reaches the meeting where UDP is blocked: by ICE-TCP, and by the
// relay.
func TestBlockedUDP(t *testing.T) {
	for _, way := range []string{"tcp", "relay"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t, func(o *Options) {
				if way == "tcp" {
					o.ListenTCP = "127.0.0.1:0"
				} else {
					o.TURN = "127.0.0.1:0"
				}
			})
			ann, bob := w.enter(), w.connect()
			bob.way = way
			bob.join()
			bob.dial()
			ann.until("sound from behind the wall", sound(50))
			bob.until("sound to behind the wall", sound(50))
			st := bob.pc.GetStats()
			for _, s := range st {
				if p, ok := s.(webrtc.ICECandidatePairStats); ok && p.Nominated {
					local := st[p.LocalCandidateID].(webrtc.ICECandidateStats)
					if way == "tcp" && local.Protocol != "tcp" || way == "relay" && local.CandidateType != webrtc.ICECandidateTypeRelay {
						t.Errorf("reached by %+v", local)
					}
				}
			}
		})
	}
}

// TestCiphers: AES-GCM with either length of key, and what older clients have.
func TestCiphers(t *testing.T) {
	for cipher, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			w := newWorld(t, nil)
			ann, bob := w.enter(), w.connect()
			bob.cipher = cipher
			bob.join()
			bob.dial()
			ann.until("sound", sound(20))
			bob.until("sound", sound(20))
			<-w.m.legs
			leg := (<-w.m.legs).(*Leg)
			if got := leg.Info().Security.Suite; got != suite {
				t.Errorf("%s was agreed on", got)
			}
		})
	}
}

// TestSitAnew moves a party to another room: its stream is published there and
// what it said is said again.
func TestSitAnew(t *testing.T) {
	w := newWorld(t, nil)
	ann := w.enter()
	ann.send(map[string]any{"type": "mute", "source": "camera", "on": true})
	ann.want("bob", 360)
	leg := <-w.m.legs
	for e := range w.m.events {
		if _, ok := e.(core.View); ok {
			break
		}
	}
	next := &lobby{events: make(chan core.Event, 100), tracks: make(chan core.Track, 100)}
	leg.Sit(next)
	if e := <-next.events; e != (core.Mute{Source: core.Camera, On: true}) {
		t.Errorf("%#v", e)
	}
	if v, ok := (<-next.events).(core.View); !ok || v.Wants[0].Party != "bob" {
		t.Errorf("%#v", v)
	}
	for {
		select {
		case track := <-next.tracks:
			if track.Source == core.Microphone && track.Party == ann.id {
				return
			}
		case <-w.ctx.Done():
			t.Fatal("the microphone was not published in the next room")
		}
	}
}

// lobby is a seat that leads nowhere.
type lobby struct {
	events chan core.Event
	tracks chan core.Track
}

func (l *lobby) Publish(t core.Track) (core.Sink, error) { l.tracks <- t; return l, nil }
func (l *lobby) Signal(e core.Event)                     { l.events <- e }
func (l *lobby) Leave(core.Reason)                       {}
func (l *lobby) Write(*core.Packet) error                { return nil }
func (l *lobby) Close() error                            { return nil }
