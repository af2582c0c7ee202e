package h323

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// How long a call goes on in silence, and when to say that there is none.
const (
	silentFor   = 60 * time.Second
	heldFor     = 300 * time.Second
	firstPacket = 3 * time.Second
)

// pcmu and pcma stand in for one another where a peer sends the one over a
// channel of the other.
var (
	pcmu = core.Codec{Name: "PCMU", ClockRate: 8000, Channels: 1}
	pcma = core.Codec{Name: "PCMA", ClockRate: 8000, Channels: 1, PayloadType: 8}
	g722 = core.Codec{Name: "G722", ClockRate: 8000, Channels: 1, PayloadType: 9}
	h264 = core.Codec{Name: "H264", ClockRate: 90000, Fmtp: "profile-level-id=42e01f;packetization-mode=1"}
	// telephoneEvent is RFC 4733's, as every endpoint numbers it.
	telephoneEvent = core.Codec{Name: "telephone-event", ClockRate: 8000, PayloadType: 101}
)

func codecsNamed(names []string) (list []core.Codec, err error) {
	all := []core.Codec{g722, pcmu, pcma, h264}
	if names == nil {
		return all, nil
	}
	for _, n := range names {
		found := false
		for _, c := range all {
			if sameCodec(c, core.Codec{Name: n, ClockRate: c.ClockRate}) {
				list, found = append(list, c), true
			}
		}
		if !found {
			return nil, fmt.Errorf("h323: codec %q is none of G722, PCMU, PCMA, H264", n)
		}
	}
	return list, nil
}

// medium is one RTP session of the call: sound, the main picture or content,
// both ways.
type medium struct {
	source  core.Source
	session *rtpio.Session
	in, out *control.Channel
	sink    core.Sink // where the party's media goes, by the seat
}

func (m *medium) close() {
	m.session.Receive(nil)
	if m.sink != nil {
		m.sink.Close()
		m.sink = nil
	}
	m.session.Close()
}

// Local implements control.Call.
func (l *leg) Local(source core.Source, peer netip.AddrPort) (control.Transport, error) {
	m, err := l.medium(source, peer)
	if err != nil {
		return control.Transport{}, err
	}
	host := l.localHost()
	port := uint16(m.session.Port())
	return control.Transport{RTP: netip.AddrPortFrom(host, port), RTCP: netip.AddrPortFrom(host, port+1), MultiplexID: m.session.ID()}, nil
}

func (l *leg) medium(source core.Source, peer netip.AddrPort) (*medium, error) {
	if m := l.media[source]; m != nil {
		return m, nil
	}
	if l.state == over || l.e.opt.Ports == nil {
		return nil, core.Reason{Code: core.Failure, Detail: "h323: no media ports"}
	}
	open := l.e.opt.Ports.Open
	switch {
	case l.traversal.multiplex:
		open = l.e.opt.Ports.OpenMultiplexed
	case source == core.Microphone && peer.IsValid() && !l.traversal.agreed:
		open = func() (*rtpio.Session, error) { return l.e.opt.Ports.OpenFor(peer) }
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	m := &medium{source: source, session: s}
	l.media[source] = m
	switch source {
	case core.Microphone:
		l.audio.Store(m)
	case core.Camera:
		l.picture.Store(m)
	}
	return m, nil
}

// localHost is this end's address as the peer is told it.
func (l *leg) localHost() netip.Addr {
	if a := l.e.opt.Advertise; a.IsValid() && !l.s.local.Addr().IsLoopback() {
		return a
	}
	return l.s.local.Addr()
}

// Send implements control.Call.
func (l *leg) Send(m *h245.MultimediaSystemControlMessage) {
	b, err := per.Encode(m)
	if err != nil {
		l.log.Error("H.245 message not encoded", "error", err)
		return
	}
	l.carrier.send(b)
}

// After implements control.Call.
func (l *leg) After(d time.Duration, f func()) (stop func()) { return l.after(d, f) }

// Opened implements control.Call.
func (l *leg) Opened(c *control.Channel) {
	m, err := l.medium(c.Source, c.Remote.RTP)
	if err != nil {
		l.hangup(core.ReasonOf(err))
		return
	}
	l.log.Debug("H.323 channel opened", "channel", c.Number, "out", c.Out, "codec", c.Codec.Name, "payload", c.Codec.PayloadType, "encrypted", c.Key != nil, "remote", c.Remote.RTP)
	if c.Out {
		m.out = c
	} else {
		m.in = c
	}
	l.flow(m, c.Out)
	if c.Source == core.Microphone && c.Out {
		l.watchMedia()
		l.join()
	}
}

// Closed implements control.Call.
func (l *leg) Closed(c *control.Channel) {
	m := l.media[c.Source]
	if m == nil || l.state == over {
		return
	}
	l.log.Debug("H.323 channel closed", "channel", c.Number, "out", c.Out)
	if m.out == c {
		m.out = nil
	}
	if m.in == c {
		m.in = nil
	}
	l.flow(m, c.Out)
}

// flow starts the session's media anew with the channels that are open, and
// tells the room what has changed.
func (l *leg) flow(m *medium, sending bool) {
	f := rtpio.Flow{Timeout: l.e.opt.MediaTimeout, OnTimeout: l.silent, Symmetric: true,
		Traversal: l.traversal.agreed, Host: l.s.remote.Addr()}
	if l.held || m.in == nil {
		f.Timeout = l.e.opt.HoldTimeout
	}
	if m.source != core.Microphone {
		f.OnTimeout = func() {}
		f.OnFeedback = func(p rtcp.Packet) { l.feedback(m.source, p) }
	}
	if m.source == core.Camera {
		f.OnRate = func(bps int) { l.box.Post(func() { l.carried(m, bps) }) }
	}
	if c := m.in; c != nil && !l.held {
		f.Receive, f.CipherIn = receives(c), cipherOf(c)
		if m.source == core.Microphone {
			f.DigitsIn, f.OnDigit = []core.Codec{telephoneEvent}, l.pressed
		}
		f.RemoteRTCP, f.MultiplexID, f.KeepAlive = c.Remote.RTCP, c.Remote.MultiplexID, c.KeepAlive
		if r := c.Remote.RTCP; r.IsValid() { // a guess, until the other direction is open
			f.Remote = netip.AddrPortFrom(r.Addr(), r.Port()-1)
		}
	}
	if c := m.out; c != nil {
		f.Send, f.CipherOut, f.Remote = c.Codec, cipherOf(c), c.Remote.RTP
		if c.Remote.RTCP.IsValid() {
			f.RemoteRTCP = c.Remote.RTCP
		}
		f.MultiplexID, f.KeepAlive = cmp.Or(c.Remote.MultiplexID, f.MultiplexID), cmp.Or(c.KeepAlive, f.KeepAlive)
	}
	if err := m.session.Start(f); err != nil {
		l.hangup(core.Reason{Code: core.Failure, Detail: err.Error()})
		return
	}
	if sending {
		l.sends(m)
	} else {
		l.publishMedium(m)
	}
	// Only for what the room has to act upon: it makes anew what the party
	// hears, and a prompt under way is lost.
	if turned := l.secured(); l.seat != nil && (turned || sending && m.source == core.Microphone) {
		l.seat.Signal(core.Changed{})
	}
}

// receives lists what a channel may bring: some peers send the other law of
// G.711 than the one they have opened.
func receives(c *control.Channel) []core.Codec {
	list := []core.Codec{c.Codec}
	if c.Key != nil {
		return list
	}
	switch c.Codec.Name {
	case pcmu.Name:
		list = append(list, pcma)
	case pcma.Name:
		list = append(list, pcmu)
	}
	return list
}

func cipherOf(c *control.Channel) rtpio.Cipher {
	if c.Key == nil {
		return nil
	}
	cipher, err := h235.NewCipher(c.Key.Bytes)
	if err != nil {
		return nil // control has checked the length
	}
	return cipher
}

// sends tells the room what the party can be sent.
func (l *leg) sends(m *medium) {
	switch m.source {
	case core.Screen:
		l.projected(m)
		return
	case core.Camera:
		l.showable(m)
		return
	}
	l.epoch.Add(1)
	var codec core.Codec
	if m.out != nil && !l.held {
		codec = m.out.Codec
	}
	l.update(func(i *core.Info) {
		if i.Audio = codec; codec.Name != "" {
			l.codec = codec.Name
		}
	})
}

// carried is what the peer takes of the main picture by RTCP, in bit/s; 0: no
// limit any more.
func (l *leg) carried(m *medium, bps int) {
	if l.state != over && m.out != nil {
		l.limit(core.Stage, cmp.Or(edge.Least(m.out.BitRate, bps), edge.Unlimited))
	}
}

// showable tells the room whether the party sees, and in what.
func (l *leg) showable(m *medium) {
	var takes []core.Codec
	if m.out != nil && !l.held {
		takes = []core.Codec{m.out.Codec}
	}
	l.update(func(i *core.Info) { i.Video = takes })
	if l.seat != nil {
		l.seat.Signal(core.Changed{Video: true})
		if m.out != nil {
			l.limit(core.Stage, m.out.BitRate)
			l.renew(core.Camera)
		}
	}
}

// feedback is the peer's by RTCP (RFC 4585, RFC 5104), on the media clock.
func (l *leg) feedback(source core.Source, p rtcp.Packet) {
	switch p.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		l.box.Post(func() { l.renew(source) })
	}
}

// secured says how the media is protected: as the weakest open channel is. It
// tells whether that has changed.
func (l *leg) secured() (changed bool) {
	media, suite, any := "h235", "", false
	for _, m := range l.media {
		for _, c := range []*control.Channel{m.in, m.out} {
			if c == nil {
				continue
			}
			any = true
			if c.Key == nil {
				media = "clear"
			} else if s := suiteOf(c.Key.Algorithm); suite == "" || s < suite {
				suite = s
			}
		}
	}
	if !any {
		return false // as before: a call on hold
	}
	if media == "clear" {
		suite = ""
	}
	l.update(func(i *core.Info) {
		changed = i.Security.Media != media || i.Security.Suite != suite
		i.Security.Media, i.Security.Suite = media, suite
	})
	return changed
}

// suiteOf names the algorithm for people.
func suiteOf(algorithm per.OID) string {
	return map[per.OID]string{h235.AES128OID: "AES_128_CBC", h235.AES192OID: "AES_192_CBC", h235.AES256OID: "AES_256_CBC"}[algorithm]
}

// publish offers the party's media to the seat, anew.
func (l *leg) publish() {
	for _, m := range l.media {
		l.publishMedium(m)
	}
}

func (l *leg) publishMedium(m *medium) {
	if m.in == nil || l.seat == nil {
		m.session.Receive(nil)
		if m.sink != nil {
			m.sink.Close()
			m.sink = nil
		}
		return
	}
	l.publishAs(m, m.in.Codec)
}

func (l *leg) publishAs(m *medium, codec core.Codec) {
	old := m.sink
	sink, err := l.seat.Publish(core.Track{Party: l.info.ID, Source: m.source, Codec: codec})
	if err != nil {
		l.log.Debug("seat takes no media", "source", m.source, "error", err)
		sink = nil
	}
	m.sink = sink
	switch {
	case sink == nil:
		m.session.Receive(nil)
	case len(receives(m.in)) > 1:
		m.session.Receive(&microphone{l: l, m: m, to: sink, payload: codec.PayloadType})
	default:
		m.session.Receive(sink)
	}
	if old != nil {
		old.Close()
	}
}

// microphone watches for a peer that sends another codec than it opened.
type microphone struct {
	l        *leg
	m        *medium
	to       core.Sink
	payload  uint8
	switched atomic.Bool
}

// Write implements [core.Sink].
func (p *microphone) Write(pkt *core.Packet) error {
	if pkt.Header.PayloadType == p.payload {
		return p.to.Write(pkt)
	}
	if pt := pkt.Header.PayloadType; !p.switched.Swap(true) {
		p.l.box.Post(func() { p.l.codecChanged(p.m, pt) })
	}
	return nil
}

// Warm implements [core.Warmer].
func (p *microphone) Warm() { core.Warm(p.to) }

// Close implements [core.Sink].
func (p *microphone) Close() error { return p.to.Close() }

func (l *leg) codecChanged(m *medium, payload uint8) {
	if m.in == nil || l.seat == nil || l.state == over {
		return
	}
	for _, c := range receives(m.in) {
		if c.PayloadType == payload {
			l.publishAs(m, c)
			return
		}
	}
}

// keyFilter passes a key on once where a peer sends it in several ways.
type keyFilter struct {
	via string
	at  time.Time
	key byte
}

// twice is within what time the same key by another way is the same press.
const twice = time.Second

func (k *keyFilter) fresh(key byte, via string) bool {
	now := time.Now()
	if k.via != "" && k.via != via && k.key == key && now.Sub(k.at) < twice {
		return false
	}
	k.key, k.via, k.at = key, via, now
	return true
}

// pressed and silent are called on the media clock.
func (l *leg) pressed(key byte) { l.box.Post(func() { l.digit(key, "rfc4733") }) }

func (l *leg) digit(key byte, via string) {
	if l.seat != nil && l.state != over && l.keys.fresh(key, via) {
		l.seat.Signal(core.Digit{Key: key, Via: via})
	}
}

func (l *leg) silent() {
	l.Hangup(core.Reason{Code: core.MediaTimeout, Say: "No sound arrives from you.", Detail: "no media received"})
}

// watchMedia raises an alarm when nothing has come soon after the answer.
func (l *leg) watchMedia() {
	l.after(firstPacket, func() {
		m := l.media[core.Microphone]
		if m != nil && m.in != nil && !l.held && m.session.Stats().PacketsReceived == 0 {
			l.note(fmt.Sprintf("no media received on UDP port %d within %v of the answer: is the port open, and the advertised address %v right?", m.session.Port(), firstPacket, l.localHost()))
		}
	})
}

// Event implements control.Call.
func (l *leg) Event(ev control.Event) {
	if l.state == over {
		return
	}
	switch ev := ev.(type) {
	case control.Ready:
		l.log.Debug("H.245 is ready", "master", ev.Master)
	case control.Digit:
		l.digit(ev.Key, "uii")
	case control.Paused:
		l.hold(ev.On)
	case control.Ended:
		l.controlEnded(ev.Reason)
	case control.Presentable:
		l.presentable(ev.Codec)
	case control.Token:
		l.token(ev)
	case control.FastUpdate:
		l.fastUpdate(ev.Channel)
	case control.BitRate:
		l.limited(ev.Channel, ev.BitsPerSec)
	case control.Note:
		l.note(ev.Text)
	}
}

// hold: a peer with an empty capability set is sent nothing (H.323 §8.4.6),
// and sends nothing that a meeting wants.
func (l *leg) hold(on bool) {
	if l.held == on {
		return
	}
	l.held = on
	for _, source := range []core.Source{core.Microphone, core.Camera} {
		if m := l.media[source]; m != nil {
			l.flow(m, true)
		}
	}
	if l.seat != nil {
		l.seat.Signal(core.Hold{On: on})
	}
	l.look()
}

// controlEnded: the end of the H.245 session ends the call (H.323 §8.5).
func (l *leg) controlEnded(r core.Reason) {
	if r.Code == "" {
		r.Code = core.Normal
	}
	if r.Code == core.NotEncrypted {
		l.e.counters.Downgrade.Add(1)
	}
	l.hangup(edge.InWords(r))
}
