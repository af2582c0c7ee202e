package webrtc

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bridgehead/core"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v5/packetio"
	"github.com/pion/webrtc/v4"
)

// peer is one peer connection of a leg; a leg whose page was reloaded gets a
// new one.
type peer struct {
	leg *Leg
	api *webrtc.API
	pc  *webrtc.PeerConnection

	// Guarded by leg.mu.
	slots   []*slot // in the order of the SDP
	in      []*inbound
	sources map[string]core.Source // of the client's sending mids
	closed  bool
	up      bool // ICE is connected
	suite   string
	found   netip.AddrPort // where the client's media comes from

	answered atomic.Bool // an offer
	arrivals arrivals
	rids     rids
	direct   direct
	taker    taker
}

// profiles in order of preference: GCM costs a quarter of the others.
var profiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

var suites = map[dtls.SRTPProtectionProfile]string{
	dtls.SRTP_AEAD_AES_256_GCM:       "AEAD_AES_256_GCM",
	dtls.SRTP_AEAD_AES_128_GCM:       "AEAD_AES_128_GCM",
	dtls.SRTP_AES128_CM_HMAC_SHA1_80: "AES_CM_128_HMAC_SHA1_80",
}

func (e *Edge) newPeer(l *Leg) (*peer, error) {
	p := &peer{leg: l}
	p.taker.peer = p
	media, err := codecs()
	if err != nil {
		return nil, err
	}
	settings, err := e.settings(p)
	if err != nil {
		return nil, err
	}
	// No interceptors of the library: they allocate for every packet. What
	// they do is done in slot, inbound and rtcp.
	p.api = webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	p.pc, err = p.api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{e.cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return nil, err
	}
	p.pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(p.selected)
	p.pc.OnTrack(p.onTrack)
	p.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { l.iceState(p, s) })
	p.pc.OnConnectionStateChange(p.state)
	return p, nil
}

func (e *Edge) settings(p *peer) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: logFactory{e.log}}
	s.SetLite(true)
	s.SetNet(e.net)
	// The senders made here must share what the connection negotiates.
	s.DisableMediaEngineCopy(true)
	s.SetICEUDPMux(e.udpMux)
	types := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if e.tcpMux != nil {
		s.SetICETCPMux(e.tcpMux)
		types = append(types, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	s.SetNetworkTypes(types)
	s.DisableActiveTCP(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(5*time.Second, 0, 2*time.Second)
	own, _ := netip.ParseAddrPort(e.udp.LocalAddr().String())
	s.SetIncludeLoopbackCandidate(own.Addr().IsLoopback())
	if len(e.o.Advertise) > 0 {
		external := make([]string, len(e.o.Advertise))
		for i, a := range e.o.Advertise {
			external[i] = a.String()
		}
		if err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: external, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace,
		}); err != nil {
			return s, fmt.Errorf("webrtc: advertised address: %w", err)
		}
	}
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return s, err
	}
	s.SetSRTPProtectionProfiles(profiles...)
	// ICE has seen already that the client is where it says; the cookie would be a
	// round trip for it.
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetDTLSServerHelloMessageHook(p.serverHello)
	s.SetDTLSKeyLogWriter(&p.direct)
	s.BufferFactory = p.buffer
	return s, nil
}

// serverHello notes which cipher was agreed on.
func (p *peer) serverHello(h handshake.MessageServerHello) handshake.Message {
	p.direct.serverHello(&h)
	for _, x := range h.Extensions {
		if u, ok := x.(*extension.UseSRTP); ok && len(u.ProtectionProfiles) == 1 {
			p.leg.mu.Lock()
			p.suite = suites[u.ProtectionProfiles[0]]
			p.leg.mu.Unlock()
		}
	}
	return &h
}

// codecs are those forwarded, with the feedback that the edge handles.
func codecs() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}, webrtc.RTPCodecTypeAudio)
	const h264 = "level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s"
	feedback := []webrtc.RTCPFeedback{
		{Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
	}
	for i, v := range []struct{ mime, fmtp string }{
		{webrtc.MimeTypeVP8, ""},
		{webrtc.MimeTypeH264, fmt.Sprintf(h264, 1, "42e01f")},
		{webrtc.MimeTypeH264, fmt.Sprintf(h264, 0, "42e01f")},
		{webrtc.MimeTypeVP9, "profile-id=0"},
		{webrtc.MimeTypeAV1, ""},
		{webrtc.MimeTypeH264, fmt.Sprintf(h264, 1, "42001f")},
		{webrtc.MimeTypeH264, fmt.Sprintf(h264, 0, "42001f")},
	} {
		pt := webrtc.PayloadType(96 + 2*i)
		for _, c := range []webrtc.RTPCodecParameters{
			{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: v.mime, ClockRate: 90000, SDPFmtpLine: v.fmtp, RTCPFeedback: feedback}},
			{PayloadType: pt + 1, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)}},
		} {
			if err == nil {
				err = m.RegisterCodec(c, webrtc.RTPCodecTypeVideo)
			}
		}
	}
	for _, x := range []struct {
		uri  string
		kind webrtc.RTPCodecType
	}{
		{audioLevelURI, webrtc.RTPCodecTypeAudio},
		{midURI, webrtc.RTPCodecTypeAudio},
		{midURI, webrtc.RTPCodecTypeVideo},
		{ridURI, webrtc.RTPCodecTypeVideo},
		{repairedURI, webrtc.RTPCodecTypeVideo},
		{twccURI, webrtc.RTPCodecTypeVideo},
	} {
		if err == nil {
			err = m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: x.uri}, x.kind)
		}
	}
	return m, err
}

const (
	midURI      = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ridURI      = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	repairedURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
)

// buffer makes what the library writes received packets of a stream into.
func (p *peer) buffer(kind packetio.BufferPacketType, ssrc uint32) packetBuffer {
	if kind == packetio.RTCPBufferPacket {
		return &rtcpIntake{peer: p, ssrc: ssrc, closed: make(chan struct{})}
	}
	b := &rtpBuffer{peer: p, ssrc: ssrc, Buffer: packetio.NewBuffer()}
	b.SetLimitSize(512 << 10)
	return b
}

// answer carries out an offer that checkSDP has passed.
func (p *peer) answer(ctx context.Context, offer string, sections []section, sources map[string]string) (string, error) {
	p.name(sections, sources)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	if err := p.arrange(sections); err != nil {
		return "", err
	}
	if p.answered.Swap(true) { // the first time, the library does it
		if err := p.order(sections); err != nil {
			return "", err
		}
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	p.extensions(sections)
	return dtx(p.pc.LocalDescription().SDP), nil
}

// extensions notes the ids of those that the edge reads itself.
func (p *peer) extensions(sections []section) {
	note := func(to *atomic.Uint32, id uint8) {
		if id != 0 {
			to.Store(uint32(id))
		}
	}
	for _, s := range sections {
		note(&p.arrivals.extension, s.twccID)
		note(&p.rids.mid, s.midID)
		note(&p.rids.rid, s.ridID)
	}
}

// name notes what the client sends in each section: as it says, or by order.
func (p *peer) name(sections []section, sources map[string]string) {
	named := map[string]core.Source{}
	cameras := 0
	for _, s := range sections {
		if !s.sends || s.takes && s.kind == "application" {
			continue
		}
		src := core.Source(sources[s.mid])
		if known := src == core.Microphone || src == core.Camera || src == core.Screen; !known || src.Kind().String() != s.kind {
			src = core.Microphone
			if s.kind == "video" {
				src = core.Camera
				if cameras > 0 {
					src = core.Screen
				}
			}
		}
		if s.kind == "video" {
			cameras++
		}
		named[s.mid] = src
	}
	p.leg.mu.Lock()
	p.sources = named
	p.leg.mu.Unlock()
}

func (p *peer) source(mid string) core.Source {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	return p.sources[mid]
}

// arrange gives each section in which the client receives its slot.
func (p *peer) arrange(sections []section) error {
	p.leg.mu.Lock()
	had := map[string]*slot{}
	for _, s := range p.slots {
		had[s.mid] = s
	}
	p.leg.mu.Unlock()
	var slots []*slot
	for _, sec := range sections {
		if !sec.takes || sec.kind == "application" {
			continue
		}
		s := had[sec.mid]
		if s == nil {
			var err error
			if s, err = p.newSlot(sec); err != nil {
				return err
			}
		}
		slots = append(slots, s)
	}
	p.leg.mu.Lock()
	p.slots = slots
	p.leg.mu.Unlock()
	return nil
}

// order answers with the formats of what the client sends in the client's
// order: by it the client chooses, and may choose anew in the middle of a call.
// The library would keep to that of the first offer.
func (p *peer) order(sections []section) error {
	for _, t := range p.pc.GetTransceivers() {
		i := slices.IndexFunc(sections, func(s section) bool { return s.mid == t.Mid() && s.sends && s.kind == "video" })
		if i < 0 {
			continue
		}
		place := func(c webrtc.RTPCodecParameters) uint { // those not offered last
			return uint(slices.Index(sections[i].formats, uint8(c.PayloadType)))
		}
		codecs := slices.Clone(t.Receiver().GetParameters().Codecs)
		slices.SortStableFunc(codecs, func(a, b webrtc.RTPCodecParameters) int { return cmp.Compare(place(a), place(b)) })
		if err := t.SetCodecPreferences(codecs); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) newSlot(sec section) (*slot, error) {
	i := slices.IndexFunc(p.pc.GetTransceivers(), func(t *webrtc.RTPTransceiver) bool { return t.Mid() == sec.mid })
	if i < 0 {
		return nil, fmt.Errorf("webrtc: no transceiver for mid %q", sec.mid)
	}
	t := p.pc.GetTransceivers()[i]
	s := &slot{leg: p.leg, peer: p, mid: sec.mid, kind: t.Kind()}
	sender, err := p.api.NewRTPSender(s, t.Receiver().Transport())
	if err != nil {
		return nil, err
	}
	return s, t.SetSender(sender, s)
}

// video lists the codecs that the client takes, best first.
func (p *peer) video() []core.Codec {
	var list []core.Codec
	for _, s := range p.slots {
		b := s.bound.Load()
		if s.kind != webrtc.RTPCodecTypeVideo || b == nil {
			continue
		}
		for _, c := range b.codecs {
			if codecName(c) != "rtx" {
				list = append(list, coreCodec(c))
			}
		}
		return list
	}
	return nil
}

// forwarded tells whether the client takes microphones unmixed. One that has a
// single section for sound wants everything mixed in it.
func (p *peer) forwarded() bool {
	n := 0
	for _, s := range p.slots {
		if s.kind == webrtc.RTPCodecTypeAudio {
			n++
		}
	}
	return n != 1
}

// audio is the codec of sound that the client takes; zero if none.
func (p *peer) audio() core.Codec {
	for _, s := range p.slots {
		b := s.bound.Load()
		if s.kind != webrtc.RTPCodecTypeAudio || b == nil {
			continue
		}
		for _, c := range b.codecs {
			if strings.EqualFold(codecName(c), "opus") {
				codec := coreCodec(c)
				codec.Ptime = 20 * time.Millisecond
				return codec
			}
		}
	}
	return core.Codec{}
}

func (p *peer) removeInbound(in *inbound) {
	p.taker.remove(in)
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	p.in = slices.DeleteFunc(p.in, func(x *inbound) bool { return x == in })
}

func (p *peer) isClosed() bool {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	return p.closed
}

func (p *peer) close() {
	p.leg.mu.Lock()
	p.closed = true
	for _, s := range p.slots {
		if s.sink != nil {
			s.sink.hold.Store(nil)
			s.sink = nil
		}
	}
	p.leg.mu.Unlock()
	p.pathTo(nil)
	_ = p.pc.Close()
}
