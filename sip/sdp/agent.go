package sdp

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bridgehead/core"
)

// Policy is how media must be protected.
type Policy uint8

// The policies.
const (
	Required Policy = iota // SRTP or no call
	Optional               // SRTP when the other side offers it
	Never                  // clear RTP only
)

// Suite is a crypto suite of RFC 4568 or 7714; KeyLen is the length of master
// key and salt in bytes.
type Suite struct {
	Name   string
	KeyLen int
}

// Agent is one side of an offer/answer exchange for one call. Set the fields,
// then call Offer and Accept, or Answer, as often as the call renegotiates. It
// is not safe for concurrent use.
type Agent struct {
	Addr   netip.Addr // told to the other side
	Port   int        // of RTP
	Codecs []core.Codec
	// VideoPort is where RTP of pictures arrives; 0: none are agreed to.
	VideoPort int
	// Lines is the height of the largest pictures that this side takes; 0: 720.
	Lines int
	// ContentPort is where that of content beside the picture arrives, and Floor
	// how it is agreed who presents; 0 and nil: none is agreed to.
	ContentPort int
	Floor       *FloorControl
	Digits      bool // agree on telephone-event
	// Ptime is the length of sound in a packet that this side asks for; 0: 20 ms.
	Ptime  time.Duration
	Policy Policy
	Suites []Suite // best first
	// Hold asks for a direction other than sendrecv.
	Hold Direction

	id      uint64
	version uint64
	local   *Session // last description sent
	audio   int      // index of its audio line
	video   int      // of its video line, from 1; 0: none yet
	content int      // of its line of content, likewise
	floor   int      // of its line of floor control, likewise
	keys    map[string][]byte
}

// Agreed is the outcome: what to send where, and what to expect.
type Agreed struct {
	Remote, RemoteRTCP netip.AddrPort
	Mux                bool
	Send               core.Codec // Name "" when the other side takes nothing
	Receive            []core.Codec
	DigitsIn           []core.Codec
	DigitsOut          core.Codec
	Direction          Direction // ours
	Suite              string    // "": clear
	LocalKey           []byte
	RemoteKey          []byte
	// Codec is what was agreed on, even while the call is held.
	Codec core.Codec
	// Video is what was agreed on about pictures; nil: nothing. It has these
	// fields besides: the most that may be sent, in bit/s (0: not said), and
	// how the other side can be asked for a whole picture.
	Video *Agreed
	// Content is the same of content beside the picture, and Floor who decides
	// about it; both or neither.
	Content  *Agreed
	Floor    *Floor
	MaxRate  int
	PLI, FIR bool
}

// Refusal is why a description can't be agreed to: a Reason's code, and the
// warn-code of RFC 3261 20.43 with its text for the other side.
type Refusal struct {
	Code core.Code
	Warn int
	Text string
}

func (r *Refusal) Error() string { return "sdp: " + r.Text }

var (
	errNoAudio = &Refusal{core.Incompatible, 304, "No audio stream that this server can take"}
	errCodec   = &Refusal{core.Incompatible, 305, "No common audio codec"}
	errAddress = &Refusal{core.Incompatible, 301, "Audio stream has no usable address"}
	errClear   = &Refusal{core.NotEncrypted, 399, "Unencrypted media is not accepted here: offer RTP/SAVP with a=crypto"}
	errSuite   = &Refusal{core.NotEncrypted, 399, "No common SRTP crypto suite"}
	errSecure  = &Refusal{core.Incompatible, 302, "Encrypted media is not configured for this trunk"}
	errRefused = &Refusal{core.Incompatible, 304, "The audio stream was refused"}
	errCount   = &Refusal{core.Incompatible, 399, "Answer does not match the offer"}
)

// known are the codecs of this bridge as it describes them: dynamic types as
// most others number them, since some peers compare numbers alone.
var known = []core.Codec{
	{Name: "opus", ClockRate: 48000, Channels: 2, PayloadType: 111, Fmtp: "useinbandfec=1"},
	{Name: "G722", ClockRate: 8000, Channels: 1, PayloadType: 9},
	{Name: "PCMA", ClockRate: 8000, Channels: 1, PayloadType: 8},
	{Name: "PCMU", ClockRate: 8000, Channels: 1, PayloadType: 0},
}

// Codecs finds the bridge's codecs by name, in the order given; all of them,
// best first, when no name is given.
func Codecs(names ...string) ([]core.Codec, error) {
	if len(names) == 0 {
		return slices.Clone(known), nil
	}
	var list []core.Codec
	for _, n := range names {
		i := slices.IndexFunc(known, func(c core.Codec) bool { return strings.EqualFold(c.Name, n) })
		if i < 0 {
			return nil, fmt.Errorf("sdp: unknown codec %q", n)
		}
		list = append(list, known[i])
	}
	return list, nil
}

// Offer describes what this side can do. Within a call it keeps the order of
// the m= lines (RFC 3264 section 8).
func (a *Agent) Offer() *Session {
	m := Media{Kind: "audio", Port: a.Port, Proto: "RTP/AVP", Addr: a.Addr, Direction: a.Hold, Ptime: a.millis()}
	wide := false
	for _, c := range a.Codecs {
		m.add(c)
		wide = wide || c.ClockRate == 48000
	}
	if a.Digits {
		m.add(core.Codec{Name: "telephone-event", ClockRate: 8000, PayloadType: 101, Fmtp: "0-16"})
		if wide {
			m.add(core.Codec{Name: "telephone-event", ClockRate: 48000, PayloadType: 110, Fmtp: "0-16"})
		}
	}
	if a.Policy == Required {
		m.Proto = "RTP/SAVP"
	}
	if a.Policy != Never {
		for i, s := range a.Suites {
			m.Crypto = append(m.Crypto, Crypto{Tag: i + 1, Suite: s.Name, Key: a.key(m.keys(), s)})
		}
	}
	var media []Media
	if a.local != nil {
		media = slices.Clone(a.local.Media)
		if a.audio < len(media) {
			m.Proto = media[a.audio].Proto
		}
	}
	if a.audio >= len(media) {
		a.audio = len(media)
		media = append(media, m)
	} else {
		media[a.audio] = m
	}
	return a.describe(a.offerContent(a.offerVideo(media, m.Proto), m.Proto))
}

func (m *Media) add(c core.Codec) {
	m.Codecs = append(m.Codecs, c)
	m.Formats = append(m.Formats, strconv.Itoa(int(c.PayloadType)))
}

// describe wraps the media lines and counts the version up when they changed
// (RFC 3264 section 8).
func (a *Agent) describe(media []Media) *Session {
	if a.id == 0 {
		var b [8]byte
		rand.Read(b[:])
		for _, x := range b[:7] { // below 2^56: some read it as a double
			a.id = a.id<<8 | uint64(x)
		}
		a.version = 1
	}
	s := &Session{Origin: Origin{User: "bridgehead", ID: a.id, Version: a.version, Addr: a.Addr}, Name: "bridgehead", Addr: a.Addr, Media: media}
	if a.local != nil && string(a.local.Marshal()) != string(s.Marshal()) {
		a.version++
		s.Origin.Version = a.version
	}
	a.local = s
	return s
}

// keys names those of a stream: each has its own.
func (m *Media) keys() string {
	if m.isContent() {
		return "content"
	}
	return m.Kind
}

// key is this side's master key for a suite, the same through the call, so
// that a renegotiation that changes nothing rekeys nothing.
func (a *Agent) key(kind string, s Suite) []byte {
	name := kind + " " + s.Name
	if k := a.keys[name]; k != nil {
		return k
	}
	k := make([]byte, s.KeyLen)
	rand.Read(k)
	if a.keys == nil {
		a.keys = make(map[string][]byte)
	}
	a.keys[name] = k
	return k
}

// Answer agrees to an offer, or returns a *Refusal. A refused offer changes
// nothing: the call goes on as agreed before.
func (a *Agent) Answer(offer *Session) (*Session, *Agreed, error) {
	var why *Refusal = errNoAudio
	for i := range offer.Media {
		o := &offer.Media[i]
		if o.Kind != "audio" || o.Port == 0 {
			continue
		}
		m, agreed, err := a.answerAudio(o)
		if err != nil {
			errors.As(err, &why)
			continue
		}
		a.audio = i
		media := make([]Media, len(offer.Media))
		for j := range media {
			media[j] = refuse(&offer.Media[j])
		}
		media[i] = *m
		a.answerVideo(offer, media, agreed)
		a.answerContent(offer, media, agreed)
		return a.describe(media), agreed, nil
	}
	return nil, nil, why
}

// refuse is the answer to a stream that is not wanted: port 0, and as much of
// the line as the syntax asks for.
func refuse(o *Media) Media {
	return Media{Kind: o.Kind, Proto: o.Proto, Formats: o.Formats[:1], Direction: Inactive}
}

func (a *Agent) answerAudio(o *Media) (*Media, *Agreed, error) {
	agreed := &Agreed{}
	m := &Media{Kind: "audio", Port: a.Port, Proto: o.Proto, Addr: a.Addr}
	if err := a.answerKeys(o, m, agreed); err != nil {
		return nil, nil, err
	}
	c, ok := pick(a.Codecs, o.Codecs)
	if !ok {
		return nil, nil, errCodec
	}
	mine := c
	mine.Fmtp = fmtpOf(a.Codecs, c)
	m.add(mine)
	agreed.Receive = []core.Codec{mine}
	if a.Digits {
		if e, ok := events(o.Codecs, c.ClockRate); ok {
			agreed.DigitsOut, agreed.DigitsIn = e, []core.Codec{e}
			e.Fmtp = "0-16"
			m.add(e)
		}
	}
	m.Mux, agreed.Mux = o.Mux, o.Mux
	if err := agreed.remote(o, c, a.millis()); err != nil {
		return nil, nil, err
	}
	m.Ptime = int(agreed.Codec.Ptime / time.Millisecond)
	agreed.turn(a.Hold, o)
	m.Direction = agreed.Direction
	return m, agreed, nil
}

// answerKeys settles protection by the policy and the offered crypto lines.
// RTP/AVP with a=crypto is a best-effort offer and as good as RTP/SAVP.
func (a *Agent) answerKeys(o, m *Media, agreed *Agreed) error {
	secure := strings.HasPrefix(o.Proto, "RTP/SAVP")
	if !secure && !strings.HasPrefix(o.Proto, "RTP/AVP") {
		return &Refusal{core.Incompatible, 302, "Transport " + clip(o.Proto) + " is not supported"}
	}
	if a.Policy == Never {
		if secure {
			return errSecure
		}
		return nil
	}
	for _, s := range a.Suites {
		for _, c := range o.Crypto {
			if c.Suite != s.Name || len(c.Key) != s.KeyLen || c.Unusable != "" {
				continue
			}
			key := a.key(m.keys(), s)
			agreed.Suite, agreed.LocalKey, agreed.RemoteKey = s.Name, key, c.Key
			m.Crypto = []Crypto{{Tag: c.Tag, Suite: s.Name, Key: key}}
			return nil
		}
	}
	switch {
	case len(o.Crypto) > 0 && (secure || a.Policy == Required):
		return errSuite
	case secure, a.Policy == Required:
		return errClear
	}
	return nil
}

// Accept takes the answer to this side's offer, or returns a *Refusal.
func (a *Agent) Accept(answer *Session) (*Agreed, error) {
	// Telephones without pictures leave their line out, which RFC 3264 6 forbids.
	if a.local == nil || len(answer.Media) > len(a.local.Media) || a.audio >= len(answer.Media) {
		return nil, errCount
	}
	o, m := &a.local.Media[a.audio], &answer.Media[a.audio]
	if m.Kind != "audio" || m.Port == 0 {
		return nil, errRefused
	}
	agreed := &Agreed{Mux: m.Mux && o.Mux}
	if err := a.acceptKeys(o, m, agreed); err != nil {
		return nil, err
	}
	var send core.Codec
	for _, c := range m.Codecs {
		ours, ok := pick([]core.Codec{c}, o.Codecs)
		if !ok || isEvent(c) {
			continue
		}
		if send.Name == "" {
			send = c
		}
		agreed.Receive = appendCodecs(agreed.Receive, ours, c)
	}
	if send.Name == "" {
		return nil, errCodec
	}
	if a.Digits {
		agreed.DigitsOut, _ = events(m.Codecs, send.ClockRate)
		for _, c := range append(slices.Clone(o.Codecs), m.Codecs...) {
			if isEvent(c) && agreed.DigitsOut.Name != "" {
				agreed.DigitsIn = appendCodecs(agreed.DigitsIn, c)
			}
		}
	}
	if err := agreed.remote(m, send, a.millis()); err != nil {
		return nil, err
	}
	agreed.turn(o.Direction, m)
	a.acceptVideo(answer, agreed)
	a.acceptContent(answer, agreed)
	return agreed, nil
}

func (a *Agent) acceptKeys(o, m *Media, agreed *Agreed) error {
	if len(m.Crypto) > 0 {
		c := m.Crypto[0] // an answer has one (RFC 4568 5.1.2)
		i := slices.IndexFunc(o.Crypto, func(x Crypto) bool { return x.Tag == c.Tag && x.Suite == c.Suite })
		if i < 0 || len(c.Key) != len(o.Crypto[i].Key) || c.Unusable != "" {
			return errSuite
		}
		agreed.Suite, agreed.LocalKey, agreed.RemoteKey = c.Suite, o.Crypto[i].Key, c.Key
		return nil
	}
	if a.Policy == Required || strings.HasPrefix(m.Proto, "RTP/SAVP") {
		return errClear
	}
	return nil
}

// remote fills in where the other side listens and what it takes.
func (g *Agreed) remote(m *Media, c core.Codec, ms int) error {
	if !m.Addr.IsValid() {
		return errAddress
	}
	g.Remote = netip.AddrPortFrom(m.Addr, uint16(m.Port))
	if m.RTCPPort > 0 && !g.Mux {
		addr := m.RTCPAddr
		if !addr.IsValid() {
			addr = m.Addr
		}
		g.RemoteRTCP = netip.AddrPortFrom(addr, uint16(m.RTCPPort))
	}
	c.Ptime = ptime(m, ms)
	g.Codec = c
	return nil
}

// turn settles the directions (RFC 3264 section 6.1): mine is what this side
// wants, and the other side's description and its null address (the hold of
// RFC 2543) limit it.
func (g *Agreed) turn(mine Direction, m *Media) {
	sends := mine.Sends() && m.Direction.Receives() && !m.Addr.IsUnspecified()
	receives := mine.Receives() && m.Direction.Sends()
	g.Direction = direction(sends, receives)
	if sends {
		g.Send = g.Codec
	}
	if !receives {
		g.Receive = nil
	}
}

func (a *Agent) millis() int { return int(cmp.Or(a.Ptime, 20*time.Millisecond) / time.Millisecond) }

// ptime is the packet time to send with: theirs when it is one that the bridge
// makes, within their maximum, else ours.
func ptime(m *Media, ours int) time.Duration {
	p := m.Ptime
	if p%10 != 0 || p < 10 || p > 60 {
		p = ours
	}
	if m.MaxPtime >= 10 && p > m.MaxPtime {
		p = m.MaxPtime / 10 * 10
	}
	return time.Duration(p) * time.Millisecond
}

// pick finds the first codec of want that have lists too, numbered as in have.
func pick(want, have []core.Codec) (core.Codec, bool) {
	for _, w := range want {
		for _, h := range have {
			if same(w, h) {
				return h, true
			}
		}
	}
	return core.Codec{}, false
}

func same(a, b core.Codec) bool {
	return strings.EqualFold(a.Name, b.Name) && a.ClockRate == b.ClockRate && max(a.Channels, 1) == max(b.Channels, 1)
}

func isEvent(c core.Codec) bool { return strings.EqualFold(c.Name, "telephone-event") }

// events finds the telephone-event format that goes with a clock rate, or
// else any: many pair Opus with events at 8000 Hz.
func events(list []core.Codec, rate int) (core.Codec, bool) {
	var found core.Codec
	for _, c := range list {
		if isEvent(c) && (found.Name == "" || c.ClockRate == rate && found.ClockRate != rate) {
			found = c
		}
	}
	return found, found.Name != ""
}

func fmtpOf(list []core.Codec, c core.Codec) string {
	for _, x := range list {
		if same(x, c) {
			return x.Fmtp
		}
	}
	return ""
}

// appendCodecs adds those whose payload type is not there yet.
func appendCodecs(list []core.Codec, more ...core.Codec) []core.Codec {
	for _, c := range more {
		if !slices.ContainsFunc(list, func(x core.Codec) bool { return x.PayloadType == c.PayloadType }) {
			list = append(list, c)
		}
	}
	return list
}

func clip(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
