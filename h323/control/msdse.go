package control

import (
	"encoding/binary"
	"io"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// n100 is how often equal numbers are drawn anew (H.245 C.2.2.3).
const n100 = 10

// status of a side: the master decides conflicts and makes the media keys.
type status int

const (
	indeterminate status = iota
	master
	slave
)

type msdState int

const (
	msdIdle msdState = iota
	msdOutgoing
	msdIncoming
)

// msdse is the master slave determination signalling entity (H.245 C.2).
type msdse struct {
	state  msdState
	number int // statusDeterminationNumber, 24 bits
	count  int // of equal numbers
	tries  int
	stop   func() // T106
	// status is what was determined last; next is what the procedure that
	// runs would make it.
	status, next status
}

// determined reports whether there are roles, and none are being determined.
func (e *msdse) determined() bool { return e.state == msdIdle && e.status != indeterminate }

func (e *msdse) stopTimer() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

func (e *msdse) startTimer(m *Machine) {
	e.stopTimer()
	e.stop = m.after(t106, func() { e.expired(m) })
}

// determine begins the procedure, unless it runs.
func (e *msdse) determine(m *Machine) {
	if e.state == msdIdle {
		e.tries, e.count = 1, 0
		e.send(m)
	}
}

func (e *msdse) draw(m *Machine) {
	var b [4]byte
	if _, err := io.ReadFull(m.opt.Rand, b[1:]); err != nil {
		m.note("H.245: no random number: %v", err)
	}
	e.number = int(binary.BigEndian.Uint32(b[:]))
}

func (e *msdse) send(m *Machine) {
	e.draw(m)
	e.state = msdOutgoing
	e.startTimer(m)
	m.ask(h245.RequestMessage{MasterSlaveDetermination: &h245.MasterSlaveDetermination{
		TerminalType: m.opt.Terminal, StatusDeterminationNumber: e.number}})
}

// compare gives our status by both sides' types and numbers (C.2.4).
func (e *msdse) compare(m *Machine, d *h245.MasterSlaveDetermination) status {
	if d.TerminalType != m.opt.Terminal {
		if d.TerminalType < m.opt.Terminal {
			return master
		}
		return slave
	}
	switch diff := (d.StatusDeterminationNumber - e.number) & 0xffffff; {
	case diff == 0 || diff == 0x800000:
		return indeterminate
	case diff < 0x800000:
		return master
	}
	return slave
}

// determination takes the peer's request: C.2.4, in each state.
func (e *msdse) determination(m *Machine, d *h245.MasterSlaveDetermination) {
	switch e.state {
	case msdIdle:
		e.idle(m, d)
	case msdOutgoing:
		e.outgoing(m, d)
	case msdIncoming:
		// a second request while ours is unanswered is an error of the
		// peer's (C); to begin anew serves it best
		e.stopTimer()
		e.state = msdIdle
		e.idle(m, d)
	}
}

// IDLE: the peer asks first.
func (e *msdse) idle(m *Machine, d *h245.MasterSlaveDetermination) {
	if e.tries == 0 || e.status != indeterminate {
		e.draw(m)
	}
	if next := e.compare(m, d); next != indeterminate {
		e.answer(m, next)
		return
	}
	m.respond(h245.ResponseMessage{MasterSlaveDeterminationReject: &h245.MasterSlaveDeterminationReject{
		Cause: h245.MasterSlaveDeterminationRejectCause{IdenticalNumbers: new(per.Null)}}})
}

// OUTGOING AWAITING RESPONSE: both ask.
func (e *msdse) outgoing(m *Machine, d *h245.MasterSlaveDetermination) {
	if next := e.compare(m, d); next != indeterminate {
		e.answer(m, next)
		return
	}
	e.reject(m)
}

// answer tells the peer its role, and awaits that it agrees.
func (e *msdse) answer(m *Machine, next status) {
	e.next, e.state = next, msdIncoming
	e.startTimer(m)
	e.acknowledge(m, next)
}

// acknowledge tells the peer its role: the other of ours.
func (e *msdse) acknowledge(m *Machine, ours status) {
	var d h245.MasterSlaveDeterminationAckDecision
	if ours == master {
		d.Slave = new(per.Null)
	} else {
		d.Master = new(per.Null)
	}
	m.respond(h245.ResponseMessage{MasterSlaveDeterminationAck: &h245.MasterSlaveDeterminationAck{Decision: d}})
}

// ack takes the peer's word on our role.
func (e *msdse) ack(m *Machine, a *h245.MasterSlaveDeterminationAck) {
	ours := slave
	if a.Decision.Master != nil {
		ours = master
	}
	switch e.state {
	case msdIdle:
		return
	case msdOutgoing: // C.2.4: confirm
		e.stopTimer()
		e.acknowledge(m, ours)
	case msdIncoming:
		e.stopTimer()
		if ours != e.next { // error F: inconsistent
			e.state = msdIdle
			e.retry(m, "the peer contradicts the roles")
			return
		}
	}
	e.state, e.status = msdIdle, ours
	m.proceed()
}

// reject: the numbers were equal, another is drawn.
func (e *msdse) reject(m *Machine) {
	if e.state != msdOutgoing {
		return
	}
	if e.count++; e.count >= n100 {
		e.stopTimer()
		e.state = msdIdle
		e.gaveUp(m, "the numbers are equal each time")
		return
	}
	e.send(m)
}

// released: the peer's timer has expired.
func (e *msdse) released(m *Machine) {
	if e.state == msdIdle {
		return
	}
	e.stopTimer()
	e.state = msdIdle
	e.retry(m, "the peer gave up")
}

// expired: T106.
func (e *msdse) expired(m *Machine) {
	e.stop = nil
	if m.ended || e.state == msdIdle {
		return
	}
	if e.state == msdOutgoing {
		m.indicate(h245.IndicationMessage{MasterSlaveDeterminationRelease: &h245.MasterSlaveDeterminationRelease{}})
	}
	e.state = msdIdle
	e.retry(m, "the peer does not answer (T106)")
}

func (e *msdse) retry(m *Machine, why string) {
	if e.tries++; e.tries <= maxTries {
		m.note("H.245: master and slave are determined anew: %s", why)
		e.send(m)
		return
	}
	e.gaveUp(m, why)
}

// gaveUp keeps the roles of before, if there are any.
func (e *msdse) gaveUp(m *Machine, why string) {
	detail := "H.245: master and slave could not be determined: " + why
	if e.status != indeterminate {
		m.note("%s", detail)
		m.proceed()
		return
	}
	m.fail(core.Reason{Code: core.Failure, Detail: detail})
}
