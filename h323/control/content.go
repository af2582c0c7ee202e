package control

import (
	"slices"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Identifiers of ITU-T H.239: the capability to take its messages, the roles of
// a video capability, and the messages.
const (
	contentOID per.OID = "0.0.8.239.1.1"
	roleOID    per.OID = "0.0.8.239.1.2"
	h239OID    per.OID = "0.0.8.239.2"
)

// Roles of an additional video channel, as H.239's bits: what is presented, for
// which there is a token, and a second live picture.
const (
	paramRole = 1

	presentation = 1
	live         = 2
)

// Messages of H.239 and their parameters (H.239 11).
const (
	flowControlReleaseRequest      = 1
	flowControlReleaseResponse     = 2
	presentationTokenRequest       = 3
	presentationTokenResponse      = 4
	presentationTokenRelease       = 5
	presentationTokenIndicateOwner = 6
	paramRate                      = 41 // 100 bit/s
	paramChannel                   = 42
	paramNumber                    = 43 // symmetryBreaking, 1 to 127
	paramLabel                     = 44
	paramAccept                    = 126
	paramReject                    = 127
	maxParameters                  = 8
	maxRoles                       = 8  // extensions of one capability
	maxAlternatives                = 16 // video capabilities of one extended
	contentSession                 = 32 // as master; H.245 leaves those above 3 to it
)

// extended wraps a video capability with its role.
func extended(v *h245.VideoCapability, role int) *h245.VideoCapability {
	return &h245.VideoCapability{ExtendedVideoCapability: &h245.ExtendedVideoCapability{
		VideoCapability: []h245.VideoCapability{*v},
		VideoCapabilityExtension: []h245.GenericCapability{{CapabilityIdentifier: h245.CapabilityIdentifier{Standard: new(roleOID)},
			Collapsing: []h245.GenericParameter{parameter(paramRole, h245.ParameterValue{BooleanArray: &role})}}}}}
}

// parseExtended finds the H.264 of an extended capability, and its roles.
func parseExtended(x *h245.ExtendedVideoCapability) (h h264, rate, role int, ok bool) {
	for _, g := range x.VideoCapabilityExtension[:min(len(x.VideoCapabilityExtension), maxRoles)] {
		if id := g.CapabilityIdentifier.Standard; id == nil || *id != roleOID {
			continue
		}
		for _, p := range slices.Concat(g.Collapsing, g.NonCollapsing) {
			if n := p.ParameterIdentifier.Standard; n != nil && *n == paramRole && p.ParameterValue.BooleanArray != nil {
				role = *p.ParameterValue.BooleanArray & (presentation | live)
			}
		}
	}
	for i := range x.VideoCapability[:min(len(x.VideoCapability), maxAlternatives)] {
		if h, rate, ok = parseVideo(&x.VideoCapability[i]); ok {
			return h, rate, role, role != 0
		}
	}
	return h, 0, 0, false
}

// sessioned takes a picture for content that a peer opens as a plain one in a
// session of its own: some tell it by that alone.
func (d *medium) sessioned(session int) {
	if d.source() == core.Camera && session > 2 {
		d.role = presentation
	}
}

// contentSession is the session in which we open content: the master's choice.
// 0: the slave does not know it yet, and is told.
func (m *Machine) contentSession() int {
	if m.content == 0 && m.msd.status == master {
		m.content = contentSession
	}
	return m.content
}

// settle numbers the session of content that the peer opens, or learns it.
func (m *Machine) settle(session int) int {
	if session == 0 {
		if session = m.contentSession(); session == 0 {
			session = contentSession // its sender should have numbered it
		}
	}
	m.content = session
	return session
}

// Content is the codec in which the peer can be sent content now; not ok: it
// takes none.
func (m *Machine) Content() (c core.Codec, ok bool) {
	if m.ended || m.paused || m.peer == nil || !m.msd.determined() ||
		!slices.ContainsFunc(m.peer.entries, func(e entry) bool { return e.content }) {
		return c, false
	}
	tried := m.tried[core.Screen]
	delete(m.tried, core.Screen)
	d, ok := m.choose(core.Screen)
	m.tried[core.Screen] = tried
	return d.codec, ok
}

// offerContent tells the call, first and when that has changed.
func (m *Machine) offerContent() {
	c, _ := m.Content()
	if c != m.presentable || !m.capable {
		m.presentable, m.capable = c, true
		m.tell(Presentable{Codec: c})
	}
}

// Present asks the peer for the token and then opens a channel for content. The
// call hears of it by Opened; by Token, when it comes to nothing or ends. While
// the peer presents, nothing is done.
func (m *Machine) Present() {
	if _, ok := m.Content(); ok {
		delete(m.declined, core.Screen)
		delete(m.tried, core.Screen)
		m.token.on(m, tokenWanted, parameters{})
	}
}

// Withdraw ends what Present began.
func (m *Machine) Withdraw() {
	m.token.on(m, tokenUnwanted, parameters{})
}

// StopContent ends the peer's content: it is taken no more at once, and the
// peer is asked to close the channel.
func (m *Machine) StopContent() {
	if m.ended {
		return
	}
	l := carrying(m.in, core.Screen)
	if l != nil {
		l.barred = true
	}
	if m.token.state == tokenTheirs {
		m.token.become(m, tokenFree)
	}
	m.showContent()
	if l != nil && !m.ended {
		m.requestClose(l)
	}
}

// showContent tells the call of the peer's content as long as it may be shown:
// a presentation while the peer has the token, a live picture always. Some peers
// open the channel at the call's start, long before they present.
func (m *Machine) showContent() {
	l := carrying(m.in, core.Screen)
	if l == nil || m.ended {
		return
	}
	may := !l.barred && (l.medium.role&presentation == 0 || m.token.state == tokenTheirs)
	switch {
	case may && !l.opened:
		l.establish(m)
	case !may && l.opened:
		l.opened = false
		m.call.Closed(l.ch)
	}
}

// contentChanged: the peer's content has got a channel, or lost it.
func (m *Machine) contentChanged() {
	m.showContent()
	if !m.ended {
		m.token.watch(m)
	}
}

// proceedContent opens our content's channel while the token is ours, and gives
// the token back where there is nothing to open.
func (m *Machine) proceedContent() {
	if m.ended || m.token.state != tokenOurs {
		return
	}
	m.open(core.Screen)
	if carrying(m.out, core.Screen) == nil {
		m.token.on(m, tokenUnwanted, parameters{})
	}
}

// closeContent closes our content's channel, if there is one.
func (m *Machine) closeContent() {
	if l := carrying(m.out, core.Screen); l != nil {
		m.closeOut(l, nil)
	}
}

// freeFlow asks a receiver that has stopped our content to take it (H.239
// 11.1), once for each channel.
func (m *Machine) freeFlow(l *lcse, bps int) {
	if l.ch.Source != core.Screen || bps != Stopped || l.freed || m.ended {
		return
	}
	l.freed = true
	m.ask(h245.RequestMessage{GenericRequest: contentMessage(flowControlReleaseRequest,
		number(paramChannel, l.number()), number(paramRate, min(l.ch.BitRate/100, 65535)))})
}

func contentMessage(sub int, p ...h245.GenericParameter) *h245.GenericMessage {
	return &h245.GenericMessage{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(h239OID)}, SubMessageIdentifier: &sub, MessageContent: p}
}

func number(id, n int) h245.GenericParameter {
	return parameter(id, h245.ParameterValue{UnsignedMin: &n})
}

// parameters of a message of H.239: the first of each.
type parameters struct {
	sub                    int
	channel, label, number int
	accepted, rejected     bool
}

// parseContent reads a message of H.239; not ok: it is none.
func parseContent(g *h245.GenericMessage) (c parameters, ok bool) {
	if id := g.MessageIdentifier.Standard; id == nil || *id != h239OID || g.SubMessageIdentifier == nil {
		return c, false
	}
	c.sub = *g.SubMessageIdentifier
	for _, p := range g.MessageContent[:min(len(g.MessageContent), maxParameters)] {
		id, v := p.ParameterIdentifier.Standard, 0
		if id == nil {
			continue
		}
		if n := p.ParameterValue.UnsignedMin; n != nil {
			v = *n
		}
		switch *id {
		case paramChannel:
			c.channel = v
		case paramLabel:
			c.label = v
		case paramNumber:
			c.number = v
		case paramAccept:
			c.accepted = true
		case paramReject:
			c.rejected = true
		}
	}
	return c, true
}

// genericRequested takes H.239's requests; false: it is none.
func (m *Machine) genericRequested(g *h245.GenericMessage) bool {
	c, ok := parseContent(g)
	switch {
	case !ok:
		return false
	case c.sub == presentationTokenRequest:
		m.tokenRequested(c)
	case c.sub == flowControlReleaseRequest:
		// We limit no content: what we have said to take, we take.
		l := m.in[c.channel]
		m.answerContent(c, l != nil && l.ch.Source == core.Screen)
	default:
		return false
	}
	return true
}

// tokenRequested: the peer wants to present. It gets no token where no pictures
// are taken at all.
func (m *Machine) tokenRequested(c parameters) {
	switch {
	case m.token.floods(m):
	case !slices.ContainsFunc(m.media, func(d medium) bool { return d.source() == core.Screen }):
		m.answerContent(c, false)
	default:
		m.token.on(m, tokenRequested, c)
	}
}

// answerContent answers a request, with its own parameters.
func (m *Machine) answerContent(c parameters, accept bool) {
	verdict := paramReject
	if accept {
		verdict = paramAccept
	}
	p := []h245.GenericParameter{parameter(verdict, h245.ParameterValue{Logical: new(per.Null)})}
	if c.sub == presentationTokenRequest {
		p = append(p, number(paramLabel, c.label))
	}
	m.respond(h245.ResponseMessage{GenericResponse: contentMessage(c.sub+1, append(p, number(paramChannel, c.channel))...)})
}

// genericSaid takes the other messages of H.239; false: it is none.
func (m *Machine) genericSaid(g *h245.GenericMessage) bool {
	c, ok := parseContent(g)
	switch {
	case !ok:
		return false
	case c.sub == presentationTokenResponse:
		e := tokenRefused
		if c.accepted && !c.rejected {
			e = tokenGranted
		}
		m.token.on(m, e, c)
	case c.sub == presentationTokenRelease:
		m.token.on(m, tokenReleased, c)
	}
	return true // who owns the token, and what became of flow control, we know
}
