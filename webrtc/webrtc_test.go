package webrtc

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/forward"

	"github.com/coder/websocket"
	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// meeting is a Room and a Dialplan made of forward alone.
type meeting struct {
	router *forward.Router
	events chan core.Event
	legs   chan core.Leg
	left   chan core.Reason
	plan   func(core.Call) error
}

func (m *meeting) Name() string { return "4711" }

func (m *meeting) Route(_ context.Context, c core.Call) (core.Room, error) {
	if err := m.plan(c); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *meeting) Join(_ context.Context, leg core.Leg) error {
	s := &seat{m: m, leg: leg, sub: m.router.Subscribe(leg)}
	leg.Signal(core.Placed{Meeting: "4711", State: core.Joined, Role: core.Guest})
	leg.Sit(s)
	m.legs <- leg
	return nil
}

type seat struct {
	m   *meeting
	leg core.Leg
	sub *forward.Subscriber
}

func (s *seat) Publish(t core.Track) (core.Sink, error) {
	return s.m.router.Publish(t, func(k core.NeedKeyframe) { s.leg.Signal(k) }), nil
}

func (s *seat) Signal(e core.Event) {
	switch e := e.(type) {
	case core.View:
		s.sub.View(e.Wants)
	case core.Bitrate:
		s.sub.Bitrate(e.BitsPerSec)
	case core.NeedKeyframe:
		s.sub.Keyframe(e.Track)
	case core.Changed:
		s.sub.Refresh()
	}
	select {
	case s.m.events <- e:
	default:
	}
}

func (s *seat) Leave(r core.Reason) {
	s.sub.Close()
	s.m.left <- r
}

// world is an edge, its meeting, and the time a test may take.
type world struct {
	*testing.T
	edge *Edge
	m    *meeting
	url  string
	ctx  context.Context
}

func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	m := &meeting{
		router: forward.New(forward.Options{}), events: make(chan core.Event, 1000),
		legs: make(chan core.Leg, 10), left: make(chan core.Reason, 10),
		plan: func(core.Call) error { return nil },
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	served := make(chan struct{})
	go func() { defer close(served); _ = e.Serve(ctx, m) }()
	go func() {
		for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			m.router.Step(core.Now())
		}
	}()
	srv := httptest.NewServer(e.Handler())
	t.Cleanup(func() { cancel(); <-served; srv.Close() })
	for {
		e.mu.Lock()
		ready := e.ctx != nil
		e.mu.Unlock()
		if ready {
			break
		}
	}
	return &world{T: t, edge: e, m: m, url: "ws" + strings.TrimPrefix(srv.URL, "http") + "/ws", ctx: ctx}
}

type testLog struct{ t *testing.T }

func (w testLog) Write(b []byte) (int, error) { return len(b), nil }

// client is a browser of the library's making.
type client struct {
	*world
	ws      *websocket.Conn
	msgs    chan map[string]any
	closed  chan websocket.StatusCode
	id      string
	token   string
	servers []webrtc.ICEServer
	pc      *webrtc.PeerConnection
	loss    *atomic.Int64 // of its packets in either direction, in thousandths
	mic     *webrtc.TrackLocalStaticRTP
	cams    []*webrtc.TrackLocalStaticRTP
	keys    [2]atomic.Bool // a keyframe of q, f was asked for
	asks    atomic.Int64
	offers  int
	way     string // "", tcp or relay: how it reaches the server
	player  bool   // receives one sound and one picture only
	single  bool   // one stream of video and no simulcast

	mu   sync.Mutex
	got  map[string]*received // by mid
	news chan struct{}
}

type received struct {
	packets     int
	first, last uint16
	seen        map[uint16]bool
	layers      map[byte]int
}

// connect opens the socket only.
func (w *world) connect() *client {
	w.Helper()
	ws, _, err := websocket.Dial(w.ctx, w.url, nil)
	if err != nil {
		w.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	c := &client{
		world: w, ws: ws, msgs: make(chan map[string]any, 1000), closed: make(chan websocket.StatusCode, 1),
		got: map[string]*received{}, news: make(chan struct{}, 1), loss: new(atomic.Int64),
	}
	go c.listen(ws)
	w.Cleanup(func() { _ = ws.CloseNow() })
	return c
}

func (c *client) listen(ws *websocket.Conn) {
	for {
		_, b, err := ws.Read(context.Background())
		if err != nil {
			c.closed <- websocket.CloseStatus(err)
			return
		}
		var m map[string]any
		if json.Unmarshal(b, &m) == nil {
			c.msgs <- m
		}
	}
}

func (c *client) send(m map[string]any) {
	c.Helper()
	b, _ := json.Marshal(m)
	if err := c.ws.Write(c.ctx, websocket.MessageText, b); err != nil {
		c.Fatal(err)
	}
}

// await returns the next message of a type that fits.
func (c *client) await(kind string, fits func(map[string]any) bool) map[string]any {
	c.Helper()
	for {
		select {
		case m := <-c.msgs:
			if m["type"] == kind && (fits == nil || fits(m)) {
				return m
			}
		case <-c.ctx.Done():
			c.Fatalf("no message %q", kind)
		}
	}
}

func (c *client) join() {
	c.Helper()
	c.send(map[string]any{"type": "join", "meeting": "4711", "name": "Ann"})
	j := c.await("joined", nil)
	c.id, c.token = j["id"].(string), j["resume"].(string)
	for _, v := range j["iceServers"].([]any) {
		v := v.(map[string]any)
		is := webrtc.ICEServer{Username: v["username"].(string), Credential: v["credential"]}
		for _, u := range v["urls"].([]any) {
			is.URLs = append(is.URLs, u.(string))
		}
		c.servers = append(c.servers, is)
	}
}

func (w *world) enter() *client {
	w.Helper()
	c := w.connect()
	c.join()
	c.dial()
	return c
}

// lossy drops some of the packets.
type lossy struct {
	*net.UDPConn
	loss *atomic.Int64
}

func (l *lossy) drop() bool { return rand.Int64N(1000) < l.loss.Load() }

func (l *lossy) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := l.UDPConn.ReadFrom(b)
		if err != nil || !l.drop() {
			return n, a, err
		}
	}
}

func (l *lossy) WriteTo(b []byte, a net.Addr) (int, error) {
	if l.drop() {
		return len(b), nil
	}
	return l.UDPConn.WriteTo(b, a)
}

// dial makes the peer connection with all its transceivers and offers.
func (c *client) dial() {
	c.Helper()
	c.open()
	c.offer(nil)
	c.run()
}

func (c *client) open() {
	c.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		c.Fatal(err)
	}
	var s webrtc.SettingEngine
	var config webrtc.Configuration
	switch c.way {
	case "tcp":
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	case "relay":
		config.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		config.ICEServers = c.servers
	default:
		s.SetICEUDPMux(ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: &lossy{udp, c.loss}}))
	}
	s.SetIncludeLoopbackCandidate(true)
	s.SetSRTPProtectionProfiles(profiles...)
	media := &webrtc.MediaEngine{}
	c.must(media.RegisterDefaultCodecs())
	for _, u := range []string{audioLevelURI, midURI} {
		c.must(media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: u}, webrtc.RTPCodecTypeAudio))
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(media), withDefaults(c.T, media))
	pc, err := api.NewPeerConnection(config)
	c.must(err)
	c.pc = pc
	c.Cleanup(func() { _ = pc.Close(); _ = udp.Close() })
	pc.OnTrack(c.onTrack)

	if c.player {
		c.receive(webrtc.RTPCodecTypeAudio)
		c.receive(webrtc.RTPCodecTypeVideo)
		return
	}
	c.mic, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "mic", "mic")
	c.must(err)
	_, err = pc.AddTransceiverFromTrack(c.mic, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	c.must(err)
	rids := []string{"q", "f"}
	if c.single {
		rids = []string{""}
	}
	for _, rid := range rids {
		cam, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "cam", "cam", webrtc.WithRTPStreamID(rid))
		c.must(err)
		c.cams = append(c.cams, cam)
	}
	tr, err := pc.AddTransceiverFromTrack(c.cams[0], webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	c.must(err)
	if !c.single {
		c.must(tr.Sender().AddEncoding(c.cams[1]))
	}
	for i, rid := range rids {
		go c.readRTCP(tr.Sender(), rid, i)
	}
	for _, k := range []webrtc.RTPCodecType{1, 1, 1, 1, 2, 2} {
		c.receive(k)
	}
}

func (c *client) receive(kind webrtc.RTPCodecType) {
	_, err := c.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	c.must(err)
}

func (c *client) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// offer negotiates, as far as the answer.
func (c *client) offer(o *webrtc.OfferOptions) {
	c.Helper()
	offer, err := c.pc.CreateOffer(o)
	c.must(err)
	c.must(c.pc.SetLocalDescription(offer))
	c.offers++
	c.send(map[string]any{"type": "offer", "id": c.offers, "sdp": offer.SDP})
	a := c.await("answer", func(m map[string]any) bool { return m["id"] == float64(c.offers) })
	c.must(c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: a["sdp"].(string)}))
}

func (c *client) readRTCP(s *webrtc.RTPSender, rid string, i int) {
	for {
		ps, _, err := s.ReadSimulcastRTCP(rid)
		if err != nil {
			return
		}
		for _, p := range ps {
			if _, ok := p.(*rtcp.PictureLossIndication); ok {
				c.keys[i].Store(true)
				c.asks.Add(1)
			}
		}
	}
}

// run sends sound and picture until the test ends.
func (c *client) run() {
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var seq [3]uint16
		for n := uint32(0); c.ctx.Err() == nil; n++ {
			c.sound(n, &seq[2])
			for i := range c.cams {
				c.picture(i, n, &seq[i])
			}
			<-tick.C
		}
	}()
}

func (c *client) sound(n uint32, seq *uint16) {
	*seq++
	h := rtp.Header{Version: 2, SequenceNumber: *seq, Timestamp: n * 960}
	c.extend(&h, c.pc.GetTransceivers()[0].Sender(), map[string][]byte{audioLevelURI: {20}})
	_ = c.mic.WriteRTP(&rtp.Packet{Header: h, Payload: []byte("opus of some length")})
}

// picture sends a frame of three packets, marked by its layer.
func (c *client) picture(i int, n uint32, seq *uint16) {
	key := c.keys[i].Swap(false)
	pid := uint16(n) & 0x7fff
	for part := range 3 {
		*seq++
		h := rtp.Header{Version: 2, SequenceNumber: *seq, Timestamp: n * 1800, Marker: part == 2}
		tr := c.pc.GetTransceivers()[1]
		c.extend(&h, tr.Sender(), map[string][]byte{
			midURI: []byte(tr.Mid()),
			ridURI: []byte(c.cams[i].RID()),
		})
		b := []byte{0x80, 0x80, 0x80 | byte(pid>>8), byte(pid), 1}
		if part == 0 {
			b[0] = 0x90
			if key {
				b = append(b[:4], 0, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0)
				if i == 1 {
					b[12], b[13] = 0xd0, 2 // 720
				}
			}
		}
		b = append(b, make([]byte, 20+480*i)...)
		b[len(b)-1] = byte('0' + i)
		_ = c.cams[i].WriteRTP(&rtp.Packet{Header: h, Payload: b})
	}
}

func (c *client) extend(h *rtp.Header, s *webrtc.RTPSender, values map[string][]byte) {
	if c.single && len(values) > 1 {
		return
	}
	for _, x := range s.GetParameters().HeaderExtensions {
		if v, ok := values[x.URI]; ok {
			_ = h.SetExtension(uint8(x.ID), v)
		}
	}
}

func (c *client) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	mid := r.RTPTransceiver().Mid()
	g := &received{seen: map[uint16]bool{}, layers: map[byte]int{}}
	c.mu.Lock()
	c.got[mid] = g
	c.mu.Unlock()
	go func() { // lets the library see the sender reports
		for {
			if _, _, err := r.ReadRTCP(); err != nil {
				return
			}
		}
	}()
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		if g.packets == 0 {
			g.first = p.SequenceNumber
		}
		g.packets++
		g.last = p.SequenceNumber
		g.seen[p.SequenceNumber] = true
		if n := len(p.Payload); n > 0 {
			g.layers[p.Payload[n-1]]++
		}
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
}

// until waits for a state of what was received.
func (c *client) until(what string, ok func(map[string]*received) bool) {
	c.Helper()
	for {
		c.mu.Lock()
		done := ok(c.got)
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-c.news:
		case <-c.ctx.Done():
			c.mu.Lock()
			defer c.mu.Unlock()
			for mid, g := range c.got {
				c.Logf("mid %s: %d packets, by last byte %v", mid, g.packets, g.layers)
			}
			c.Fatalf("not in time: %s", what)
		}
	}
}

// slot finds the mid that carries a source of a party.
func (c *client) slot(party, source string) string {
	c.Helper()
	var mid string
	c.await("slots", func(m map[string]any) bool {
		for _, s := range m["slots"].([]any) {
			s := s.(map[string]any)
			p, _ := s["party"].(string)
			if p == party && s["source"] == source {
				mid = s["mid"].(string)
			}
		}
		return mid != ""
	})
	return mid
}

func (c *client) want(party string, height int) {
	c.send(map[string]any{"type": "view", "wants": []any{map[string]any{"party": party, "source": "camera", "height": height}}})
}

func packets(mid string, n int) func(map[string]*received) bool {
	return func(g map[string]*received) bool { return g[mid] != nil && g[mid].packets >= n }
}

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
