package webrtc

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/forward"

	"github.com/coder/websocket"
	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
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
		s.sub.Bitrate(e.Source, e.BitsPerSec)
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
	cipher  dtls.SRTPProtectionProfile

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
	if c.cipher == 0 {
		s.SetSRTPProtectionProfiles(profiles...)
	} else {
		s.SetSRTPProtectionProfiles(c.cipher)
	}
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

// withDefaults gives a test's client what a browser does by itself: NACK,
// reports and transport-wide feedback.
func withDefaults(t *testing.T, m *webrtc.MediaEngine) func(*webrtc.API) {
	t.Helper()
	r := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, r); err != nil {
		t.Fatal(err)
	}
	return webrtc.WithInterceptorRegistry(r)
}
