package control

import (
	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// protocolOID is the version of H.245 that the messages are of.
const protocolOID per.OID = "0.0.8.245.0.15"

// cese is the outgoing capability exchange signalling entity (H.245 C.3).
type cese struct {
	waiting bool // AWAITING RESPONSE; else IDLE
	again   bool // another set is to follow
	acked   bool // the peer knows a set of ours
	seq     int
	tries   int
	stop    func() // T101
}

// transfer sends the set that now holds: ours, or the empty one of hold.
func (c *cese) transfer(m *Machine) {
	if c.waiting {
		c.again = true
		return
	}
	c.tries = 0
	c.send(m)
}

func (c *cese) send(m *Machine) {
	c.seq = (c.seq + 1) & 0xff
	c.waiting, c.again = true, false
	c.tries++
	set := h245.TerminalCapabilitySet{}
	if !m.held {
		set = m.capabilitySet()
	}
	set.SequenceNumber, set.ProtocolIdentifier = c.seq, protocolOID
	c.stop = m.after(t101, func() { c.expired(m) })
	m.ask(h245.RequestMessage{TerminalCapabilitySet: &set})
}

func (c *cese) stopTimer() {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// C.3.4, AWAITING RESPONSE: an Ack of the set that is on its way.
func (c *cese) ack(m *Machine, seq int) {
	if !c.waiting || seq != c.seq {
		return
	}
	c.stopTimer()
	c.waiting, c.acked = false, true
	if c.again {
		c.transfer(m)
	}
	m.proceed()
}

// C.3.4, AWAITING RESPONSE: a Reject. The peer makes nothing of what we take,
// but can still be sent to.
func (c *cese) reject(m *Machine, seq int) {
	if c.waiting && seq == c.seq {
		m.note("H.245: the peer rejects our capabilities")
		c.ack(m, seq)
	}
}

// C.3.4, AWAITING RESPONSE: T101 expires.
func (c *cese) expired(m *Machine) {
	c.stop = nil
	if m.ended || !c.waiting {
		return
	}
	c.waiting = false
	m.indicate(h245.IndicationMessage{TerminalCapabilitySetRelease: &h245.TerminalCapabilitySetRelease{}})
	if c.tries < maxTries {
		m.note("H.245: the peer does not answer our capabilities; they are sent again")
		c.send(m)
		return
	}
	m.fail(core.Reason{Code: core.Failure, Detail: "H.245: the peer does not answer our capabilities (T101)"})
}

// capabilitiesReceived is the incoming entity (C.3.5): each set is answered at
// once, so that it has but the state IDLE.
func (m *Machine) capabilitiesReceived(set *h245.TerminalCapabilitySet) {
	m.respond(h245.ResponseMessage{TerminalCapabilitySetAck: &h245.TerminalCapabilitySetAck{SequenceNumber: set.SequenceNumber}})
	if empty(set) {
		m.pause()
		return
	}
	if m.peer == nil {
		m.peer = &capabilities{}
	}
	m.peer.merge(set)
	m.forget()
	if m.paused {
		m.paused = false
		// the state is that behind the start of H.245: roles are determined
		// anew (H.323 8.4.6)
		if m.started {
			m.msd.determine(m)
		}
		m.tell(Paused{On: false})
	}
	m.Start() // the peer has begun
	m.proceed()
}

// pause closes what we send: the peer takes nothing for now.
func (m *Machine) pause() {
	m.peer = &capabilities{}
	if m.paused {
		return
	}
	m.paused = true
	for _, l := range m.sorted(m.out) {
		m.closeOut(l, nil)
	}
	m.token.on(m, tokenUnwanted, parameters{})
	m.offerContent()
	m.tell(Paused{On: true})
}
