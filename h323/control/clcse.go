package control

import (
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Close closes a channel: one of ours for good, until the peer tells other
// capabilities; the peer's by asking it to.
func (m *Machine) Close(ch *Channel) {
	l := m.find(ch)
	if l == nil || m.ended {
		return
	}
	if ch.Out {
		m.declined[ch.Source] = true
		m.closeOut(l, nil)
		return
	}
	m.requestClose(l)
}

// requestClose is the outgoing close logical channel signalling entity (H.245
// C.6): IDLE to AWAITING RESPONSE.
func (m *Machine) requestClose(l *lcse) {
	n := l.number()
	if m.closing[n] != nil {
		return
	}
	m.closing[n] = m.after(t108, func() {
		if m.ended || m.closing[n] == nil {
			return
		}
		delete(m.closing, n)
		m.note("H.245: the peer does not answer that channel %d be closed (T108)", n)
		m.indicate(h245.IndicationMessage{RequestChannelCloseRelease: &h245.RequestChannelCloseRelease{ForwardLogicalChannelNumber: n}})
	})
	m.ask(h245.RequestMessage{RequestChannelClose: &h245.RequestChannelClose{ForwardLogicalChannelNumber: n,
		Reason: &h245.RequestChannelCloseReason{Normal: new(per.Null)}}})
}

// AWAITING RESPONSE: the peer agrees, and closes the channel next; or not.
func (m *Machine) closeRequestAnswered(n int, agreed bool) {
	stop := m.closing[n]
	if stop == nil {
		return
	}
	stop()
	delete(m.closing, n)
	if !agreed {
		m.note("H.245: the peer does not close its channel %d", n)
	}
}

// closeRequested is the incoming entity (C.6.5): the peer asks that we close
// our channel. It is done at once, and opened again only if asked.
func (m *Machine) closeRequested(r *h245.RequestChannelClose) {
	n := r.ForwardLogicalChannelNumber
	l := m.out[n]
	if l == nil || l.state == awaitingRelease {
		m.respond(h245.ResponseMessage{RequestChannelCloseReject: &h245.RequestChannelCloseReject{ForwardLogicalChannelNumber: n,
			Cause: h245.RequestChannelCloseRejectCause{Unspecified: new(per.Null)}}})
		return
	}
	m.respond(h245.ResponseMessage{RequestChannelCloseAck: &h245.RequestChannelCloseAck{ForwardLogicalChannelNumber: n}})
	reason := (*h245.CloseLogicalChannelReason)(nil)
	if r.Reason != nil && r.Reason.Reopen != nil {
		reason = &h245.CloseLogicalChannelReason{Reopen: new(per.Null)}
		delete(m.tried, l.ch.Source)
	} else {
		m.declined[l.ch.Source] = true
	}
	m.closeOut(l, reason)
}
