package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/transport/v5/packetio"
	"github.com/pion/webrtc/v4"

	"bridgehead/core"
)

// browser is one WebRTC party: it joins as docs/signalling.md says, sends what
// was coded beforehand and looks at all that it is sent.
type browser struct {
	n      int
	voice  [][]byte // said in a loop; nil: its microphone is muted
	turns  *turns   // with others; nil: it speaks all the time
	camera bool

	ws    *websocket.Conn
	pc    *webrtc.PeerConnection
	id    string
	suite atomic.Pointer[string] // SRTP cipher, as the server tells
	mic   *webrtc.TrackLocalStaticRTP
	cam   *webrtc.TrackLocalStaticRTP

	joined  chan struct{}
	answers chan string
	up      chan struct{} // closed when media can flow
	over    chan struct{} // closed when the call has ended
	once    sync.Once
	reason  core.Reason // once over

	line    bad // that it speaks on
	film    film
	key     atomic.Bool   // somebody waits for a keyframe
	filmed  atomic.Uint64 // packets sent
	said    atomic.Uint64 // packets of sound that others are due
	micSeq  uint16
	camSeq  uint16
	micHead rtp.Header
	camHead rtp.Header

	streams  map[uint32]*stream // by SSRC; fixed before media flows
	twcc     uint8              // extension id
	measures atomic.Bool
	mu       sync.Mutex
	feedback *twcc.Recorder
	news     bool
}

// stream is one that the browser receives.
type stream struct {
	of       *browser
	ssrc     uint32
	video    bool
	mix      bool
	highest  atomic.Uint32 // sequence number
	arrivals               // while measured
	voiced   voiced        // where speakers take turns
	pid      uint16
	pictures uint64
	skipped  uint64 // pictures, or parts of them
	last     [window][]byte
	at       int
}

func newBrowser(n int, voice [][]byte, camera bool) *browser {
	return &browser{n: n, voice: voice, camera: camera, joined: make(chan struct{}), answers: make(chan string, 1),
		up: make(chan struct{}), over: make(chan struct{}), streams: map[uint32]*stream{}, feedback: twcc.NewRecorder(1)}
}

func (b *browser) end(r core.Reason) {
	b.once.Do(func() {
		b.reason = r
		close(b.over)
	})
}

// join enters the meeting and returns once media can flow.
func (b *browser) join(ctx context.Context, to link, o browserOptions) (err error) {
	b.ws, _, err = websocket.Dial(ctx, to.socket, &websocket.DialOptions{HTTPClient: own, Subprotocols: []string{"bridgehead.v1"}})
	if err != nil {
		return core.Reason{Code: core.Unreachable, Detail: "the signalling socket was not opened"}
	}
	b.ws.SetReadLimit(8 << 20) // rosters of large meetings
	go b.listen()
	if err := b.say(ctx, map[string]any{"type": "join", "meeting": to.meeting, "passcode": to.passcode, "name": "Load"}); err != nil {
		return err
	}
	if err := b.await(ctx, b.joined); err != nil {
		return err
	}
	if err := b.open(o); err != nil {
		return err
	}
	if err := b.negotiate(ctx); err != nil {
		return err
	}
	return b.await(ctx, b.up)
}

// await waits for a step of the call.
func (b *browser) await(ctx context.Context, step <-chan struct{}) error {
	select {
	case <-step:
		return nil
	case <-b.over:
		return b.reason
	case <-ctx.Done():
		return core.Reason{Code: core.NoAnswer}
	}
}

func (b *browser) say(ctx context.Context, m map[string]any) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return b.ws.Write(ctx, websocket.MessageText, data)
}

// listen reads the server's messages until the socket closes. Those that it has
// no use for, some of them long, are not parsed.
func (b *browser) listen() {
	for {
		_, data, err := b.ws.Read(context.Background())
		if err != nil {
			b.end(core.Reason{Code: core.Failure, Detail: "the signalling socket closed"})
			return
		}
		if !b.concerns(data) {
			continue
		}
		var m struct {
			Type, ID, Suite string
			Code            core.Code
		}
		var answer struct{ SDP string }
		switch _ = json.Unmarshal(data, &m); m.Type { // an answer's id is a number
		case "joined":
			b.id = m.ID
			close(b.joined)
		case "answer":
			_ = json.Unmarshal(data, &answer)
			select {
			case b.answers <- answer.SDP:
			default:
			}
		case "stats":
			b.suite.Store(&m.Suite)
		case "error", "bye":
			b.end(core.Reason{Code: m.Code})
		case "need-passcode":
			b.end(core.Reason{Code: core.WrongPasscode})
		}
	}
}

// concerns tells by its beginning whether a message is of use here.
func (b *browser) concerns(message []byte) bool {
	head := message[:min(len(message), 40)]
	for _, kind := range []string{`"joined"`, `"answer"`, `"error"`, `"bye"`, `"need-passcode"`} {
		if bytes.Contains(head, []byte(kind)) {
			return true
		}
	}
	return b.suite.Load() == nil && bytes.Contains(head, []byte(`"stats"`))
}

// speakerSlots are the sounds that a browser can be sent unmixed.
const speakerSlots = 3

// open makes the peer connection, with the sections that a browser has: its
// microphone and camera, the mix, the speakers and the pictures of others.
func (b *browser) open(o browserOptions) (err error) {
	api, err := o.api(b)
	if err != nil {
		return err
	}
	b.pc, err = api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{o.certificate}, BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return err
	}
	up := sync.OnceFunc(func() { close(b.up) }) // it may come again after it was lost
	b.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up()
		case webrtc.PeerConnectionStateFailed:
			b.end(core.Reason{Code: core.MediaTimeout})
		}
	})
	send := func(mime, id string) (*webrtc.TrackLocalStaticRTP, error) {
		t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, id)
		if err == nil {
			_, err = b.pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		}
		return t, err
	}
	if b.mic, err = send(webrtc.MimeTypeOpus, "mic"); err != nil {
		return err
	}
	kinds := make([]webrtc.RTPCodecType, 1+speakerSlots)
	for i := range kinds {
		kinds[i] = webrtc.RTPCodecTypeAudio
	}
	if o.pictures > 0 {
		if b.cam, err = send(webrtc.MimeTypeVP8, "cam"); err != nil {
			return err
		}
		for range o.pictures {
			kinds = append(kinds, webrtc.RTPCodecTypeVideo)
		}
	}
	for _, k := range kinds {
		if _, err := b.pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	return nil
}

func (b *browser) negotiate(ctx context.Context) error {
	offer, err := b.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := b.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	if err := b.say(ctx, map[string]any{"type": "offer", "id": 1, "sdp": offer.SDP}); err != nil {
		return err
	}
	select {
	case sdp := <-b.answers:
		b.expect(sdp)
		if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
			return err
		}
		return nil
	case <-b.over:
		return b.reason
	case <-ctx.Done():
		return core.Reason{Code: core.NoAnswer}
	}
}

// expect notes the streams that the answer announces, the first SSRC of each
// section (RFC 5576; others are retransmissions), and the numbers of the header
// extensions (RFC 8285).
func (b *browser) expect(sdp string) {
	b.micHead, b.camHead = rtp.Header{Version: 2}, rtp.Header{Version: 2}
	video, audio, named := false, 0, true
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ":")
		first, rest, _ := strings.Cut(value, " ")
		number, err := strconv.ParseUint(first, 10, 32)
		switch {
		case strings.HasPrefix(line, "m="):
			video, named = strings.HasPrefix(line, "m=video"), false
		case err != nil:
		case key == "a=extmap" && rest == levelURI:
			_ = b.micHead.SetExtension(uint8(number), []byte{-loud})
		case key == "a=extmap" && rest == twccURI:
			b.twcc = uint8(number)
		case key == "a=ssrc" && !named:
			named = true
			ssrc := uint32(number)
			b.streams[ssrc] = &stream{of: b, ssrc: ssrc, video: video, mix: !video && audio == 0}
			if !video {
				audio++
			}
		}
	}
}

const (
	levelURI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	twccURI  = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

// speak sends the frame-th 20 ms.
func (b *browser) speak(frame int) {
	if b.turns != nil {
		speaks, due := b.turns.has(b.n, frame)
		if !speaks {
			return
		}
		if due {
			b.said.Add(1)
		}
	}
	b.micSeq++
	h := &b.micHead
	h.SequenceNumber, h.Timestamp, h.Marker = b.micSeq, uint32(frame)*960, b.micSeq == 1
	p := &rtp.Packet{Header: *h, Payload: b.voice[frame%len(b.voice)]}
	b.line.pass(func() { _ = b.mic.WriteRTP(p) })
}

// show sends the frame-th picture.
func (b *browser) show(frame int) {
	h := &b.camHead
	h.Timestamp = uint32(frame) * uint32(picturePeriod*90000/time.Second)
	b.film.picture(b.key.Swap(false), func(payload []byte, last bool) {
		b.camSeq++
		h.SequenceNumber, h.Marker = b.camSeq, last
		b.filmed.Add(1)
		_ = b.cam.WriteRTP(&rtp.Packet{Header: *h, Payload: payload})
	})
}

// watch asks for the pictures of others.
func (b *browser) watch(ctx context.Context, others []*browser) error {
	wants := []map[string]any{}
	for _, o := range others {
		wants = append(wants, map[string]any{"party": o.id, "source": "camera", "height": pictureLines})
	}
	return b.say(ctx, map[string]any{"type": "view", "wants": wants})
}

// buffer is where the library writes what it has decrypted. Nothing is kept or
// read from it: packets are looked at as they come.
func (b *browser) buffer(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
	if kind == packetio.RTCPBufferPacket {
		return rtcpIn{b}
	}
	if s := b.streams[ssrc]; s != nil {
		return s
	}
	return nowhere{}
}

// nowhere takes all and gives nothing.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Read([]byte) (int, error)    { return 0, io.EOF }
func (nowhere) Close() error                { return nil }

// rtcpIn answers a PLI (RFC 4585) with a keyframe.
type rtcpIn struct{ *browser }

func (r rtcpIn) Write(p []byte) (int, error) {
	list, err := rtcp.Unmarshal(p)
	if err != nil {
		return len(p), nil
	}
	for _, x := range list {
		switch x.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			r.key.Store(true)
		}
	}
	return len(p), nil
}
func (rtcpIn) Read([]byte) (int, error) { return 0, io.EOF }
func (rtcpIn) Close() error             { return nil }

func (*stream) Read([]byte) (int, error) { return 0, io.EOF }
func (*stream) Close() error             { return nil }

// Write looks at one packet. It is called from one goroutine.
func (s *stream) Write(p []byte) (int, error) {
	payload, ok := payloadOf(p)
	if !ok {
		return len(p), nil
	}
	now := core.Now()
	seq := binary.BigEndian.Uint16(p[2:])
	s.highest.Store(uint32(seq))
	if s.video {
		s.of.arrived(s.ssrc, p, now)
	}
	if !s.of.measures.Load() {
		return len(p), nil
	}
	if t := s.of.turns; t != nil && !s.video && !s.mix && s.voiced.note(t, payload) {
		s.arrivals.last = now // what is between two voices is no gap
	}
	s.note(seq, now)
	if s.video {
		s.see(payload)
	} else {
		s.last[s.at%window] = append(s.last[s.at%window][:0], payload...)
		s.at++
	}
	return len(p), nil
}

// payloadOf an RTP packet (RFC 3550, section 5.1) without padding.
func payloadOf(p []byte) ([]byte, bool) {
	if len(p) < 12 {
		return nil, false
	}
	at := 12 + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 {
		if len(p) < at+4 {
			return nil, false
		}
		at += 4 + 4*int(binary.BigEndian.Uint16(p[at+2:]))
	}
	if at >= len(p) {
		return nil, false
	}
	return p[at:], true
}

// see checks that picture follows picture.
func (s *stream) see(payload []byte) {
	pid, start, ok := pictureID(payload)
	if !ok {
		s.skipped++
		return
	}
	if start {
		s.pictures++
	}
	if s.packets > 1 && (start && pid != (s.pid+1)&0x7fff || !start && pid != s.pid) {
		s.skipped++
	}
	s.pid = pid
}

// arrived notes a packet for transport-wide congestion control.
func (b *browser) arrived(ssrc uint32, packet []byte, now time.Duration) {
	var h rtp.Header
	if _, err := h.Unmarshal(packet); err != nil {
		return
	}
	if x := h.GetExtension(b.twcc); len(x) >= 2 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.news = true
		b.feedback.Record(ssrc, binary.BigEndian.Uint16(x), now.Microseconds())
	}
}

// report sends the transport-wide feedback that is due and, if asked, a receiver
// report, as browsers do.
func (b *browser) report(all bool) {
	var list []rtcp.Packet
	b.mu.Lock()
	if b.news {
		list, b.news = b.feedback.BuildFeedbackPacket(), false
	}
	b.mu.Unlock()
	if all {
		rr := &rtcp.ReceiverReport{SSRC: 1}
		for _, s := range b.streams {
			if n := s.highest.Load(); n > 0 {
				rr.Reports = append(rr.Reports, rtcp.ReceptionReport{SSRC: s.ssrc, LastSequenceNumber: n})
			}
		}
		list = append(list, rr)
	}
	if len(list) > 0 {
		_ = b.pc.WriteRTCP(list)
	}
}

// leave hangs up and waits for the end.
func (b *browser) leave(ctx context.Context) {
	if b.ws == nil {
		return
	}
	if b.say(ctx, map[string]any{"type": "leave"}) == nil {
		_ = b.await(ctx, b.over)
	}
	if b.pc != nil {
		_ = b.pc.Close()
	}
	_ = b.ws.CloseNow()
}
