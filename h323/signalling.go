package h323

import (
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// Timers of call signalling (Q.931 §9.2, H.225.0 §7.4.2.1).
const (
	setupWait = 10 * time.Second // T303: for an answer to SETUP
	digitWait = 4 * time.Second  // T302: for more digits
	mediaWait = 8 * time.Second  // for channels to open, after the answer
)

// fastConnect is H.323 §8.1.7.
type fastConnect struct {
	offered bool              // either side
	refused bool              // fastConnectRefused is to be sent
	answer  []per.OctetString // to be sent with the next message that can take it
	agreed  bool
}

// message makes a message of this call with an empty body.
func (l *leg) message(t q931.Type) *message {
	m := &message{q: &q931.Message{CallReference: l.ref, FromCallee: !l.out, Type: t}}
	tunnel := l.carrier.ours && l.carrier.conn == nil
	m.pdu().H245Tunnelling = &tunnel
	return m
}

func (l *leg) send(m *message) {
	l.traceMessage(edge.Sent, m)
	if l.s != nil {
		l.s.write(m)
	}
}

// receive takes a message of the call: first what any state understands, then
// what the call's state does.
func (l *leg) receive(m *message) {
	if l.state == over {
		return
	}
	l.traceMessage(edge.Received, m)
	l.carrier.heard(m)
	switch m.q.Type {
	case q931.ReleaseComplete:
		l.released(m)
		return
	case q931.StatusInquiry:
		l.send(l.e.status(l.ref, !l.out, l.callID[:], stateNumbers[l.state]))
	case q931.Facility:
		l.facility(m)
	case q931.Information:
		l.information(m)
	case q931.Status, q931.Notify: // for information
	default:
		switch l.state {
		case callInitiated:
			l.inCallInitiated(m)
		case outgoingProceeding:
			l.inOutgoingProceeding(m)
		case callDelivered:
			l.inCallDelivered(m)
		default: // a called side, or one connected, expects nothing else
		}
	}
	if l.state != over {
		l.tunnelledIn(m)
	}
}

// tunnelledIn feeds the H.245 messages that came along, all of them.
func (l *leg) tunnelledIn(m *message) {
	for _, b := range m.pdu().H245Control {
		l.control(b)
	}
	for _, b := range m.pdu().H4501SupplementaryService {
		l.service(b)
	}
}

// released: the peer hangs up, or refuses (H.225.0 §7.3.4). The H.245 message
// that may come along, end of session, says no more than that.
func (l *leg) released(m *message) {
	l.ended(releasedBecause(m, l.state == active))
}

// facility (H.225.0 §7.4.1): tunnelled H.245, the wish for H.245, or a
// redirection.
func (l *leg) facility(m *message) {
	f := m.body().Facility
	if f == nil {
		return
	}
	if a, ok := addressOf(f.H245Address); ok {
		l.carrier.connect(a)
	} else if f.Reason.StartH245 != nil && !l.carrier.tunnelled() {
		l.askForControl()
	}
	if l.out && l.state != active {
		l.outgoing.facility(l, f)
		l.progressed(m)
	}
}

// askForControl gives the peer an address for H.245.
func (l *leg) askForControl() {
	at := l.carrier.address()
	if at == nil {
		return
	}
	m := l.message(q931.Facility)
	m.q.IEs = append(m.q.IEs, q931.IE{ID: q931.FacilityIE})
	m.body().Facility = &h225.FacilityUUIE{ProtocolIdentifier: protocolID, Reason: h225.FacilityReason{StartH245: null},
		CallIdentifier: identifier(l.callID[:]), H245Address: at, ConferenceID: l.confID[:]}
	l.send(m)
}

// information brings keys, or digits of a number (overlap sending).
func (l *leg) information(m *message) {
	var keys string
	if ie := m.ie(q931.Keypad); ie != nil {
		keys = ie.Text()
	}
	if ie := m.ie(q931.Called); ie != nil {
		if n, ok := ie.Number(); ok {
			keys += n.Digits
		}
	}
	if len(keys) > 32 {
		keys = keys[:32]
	}
	if l.state == overlapReceiving {
		l.moreDigits(keys, m.ie(q931.SendingComplete) != nil)
		return
	}
	for _, k := range []byte(keys) {
		if (k >= '0' && k <= '9') || k == '*' || k == '#' {
			l.digit(k, "keypad")
		}
	}
}

// lost is the reason of a call whose connections have broken.
func (l *leg) lost() core.Reason {
	return core.Reason{Code: core.Normal, Detail: "the connection was lost"}
}

// extras are the components that answer a SETUP and may go with any message
// before CONNECT, or with it.
type extras struct {
	tokens    []h235.ClearToken
	fastStart []per.OctetString
	refused   *per.Null
}

// extras takes what is due: the answer to fast connect goes once, the tokens
// with it and with CONNECT.
func (l *leg) extras(connect bool) (x extras) {
	x.fastStart, l.fast.answer = l.fast.answer, nil
	if connect || len(x.fastStart) > 0 {
		x.tokens = l.answerTokens()
	}
	if connect && l.fast.refused {
		x.refused = null
	}
	return x
}

func (l *leg) answerTokens() []h235.ClearToken {
	if !l.security.agreed {
		return nil
	}
	return l.security.tokens
}
