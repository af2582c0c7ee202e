package control

import (
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

const (
	fastUpdateLimit = time.Second
	maxRate         = 16777215 // of FlowControlCommand, in 100 bit/s
)

func (m *Machine) command(c *h245.CommandMessage) bool {
	switch {
	case c.EndSessionCommand != nil:
		m.disconnect()
		m.over(core.Reason{Code: core.Normal})
	case c.SendTerminalCapabilitySet != nil:
		if m.started && !m.cese.waiting {
			m.cese.transfer(m)
		}
	case c.FlowControlCommand != nil:
		m.flowControlled(c.FlowControlCommand)
	case c.MiscellaneousCommand != nil:
		m.miscellaneous(c.MiscellaneousCommand)
	case c.GenericCommand != nil:
		return m.genericSaid(c.GenericCommand)
	case c.Extensions != nil, c.MaintenanceLoopOffCommand != nil, c.EncryptionCommand != nil:
		return false
	}
	return true // others ask nothing of a terminal in one session
}

// indication takes what needs no answer.
func (m *Machine) indication(i *h245.IndicationMessage) bool {
	switch {
	case i.UserInput != nil:
		m.userInput(i.UserInput)
	case i.MasterSlaveDeterminationRelease != nil:
		m.msd.released(m)
	case i.GenericIndication != nil:
		m.genericSaid(i.GenericIndication)
	case i.FunctionNotUnderstood != nil, i.FunctionNotSupported != nil:
		m.log.Debug("H.245: the peer does not know a message of ours")
	case i.Extensions != nil:
		return false
	}
	return true
}

// refused answers the requests of which we do nothing, each with its own
// response where there is one. False: there is none.
func (m *Machine) refused(r *h245.RequestMessage) bool {
	switch {
	case r.MaintenanceLoopRequest != nil:
		t := r.MaintenanceLoopRequest.Type
		m.respond(h245.ResponseMessage{MaintenanceLoopReject: &h245.MaintenanceLoopReject{
			Type:  h245.MaintenanceLoopRejectType{SystemLoop: t.SystemLoop, MediaLoop: t.MediaLoop, LogicalChannelLoop: t.LogicalChannelLoop, Extensions: t.Extensions},
			Cause: h245.MaintenanceLoopRejectCause{CanNotPerformLoop: new(per.Null)}}})
	case r.LogicalChannelRateRequest != nil:
		q := r.LogicalChannelRateRequest
		m.respond(h245.ResponseMessage{LogicalChannelRateReject: &h245.LogicalChannelRateReject{SequenceNumber: q.SequenceNumber,
			LogicalChannelNumber: q.LogicalChannelNumber, RejectReason: h245.LogicalChannelRateRejectReason{UndefinedReason: new(per.Null)}}})
	case r.ConferenceRequest != nil && r.ConferenceRequest.MakeMeChair != nil:
		m.respond(h245.ResponseMessage{ConferenceResponse: &h245.ConferenceResponse{
			MakeMeChairResponse: &h245.ConferenceResponseMakeMeChairResponse{DeniedChairToken: new(per.Null)}}})
	case r.GenericRequest != nil:
		return m.genericRequested(r.GenericRequest)
	default:
		return false
	}
	return true
}

func (m *Machine) miscellaneous(c *h245.MiscellaneousCommand) {
	t := &c.Type
	switch {
	case t.VideoFastUpdatePicture != nil, t.VideoFastUpdateGOB != nil, t.VideoFastUpdateMB != nil,
		t.LostPicture != nil, t.LostPartialPicture != nil, t.VideoBadMBs != nil:
		if l := m.out[c.LogicalChannelNumber]; l != nil && l.state == established && l.ch.Source.Kind() == core.Video {
			m.tell(FastUpdate{Channel: l.ch})
		}
	case t.EncryptionUpdate != nil:
		m.updateReceived(c, t.EncryptionUpdate)
	case t.EncryptionUpdateCommand != nil:
		m.updateReceived(c, &t.EncryptionUpdateCommand.EncryptionSync)
	case t.EncryptionUpdateRequest != nil:
		m.updateRequested(c)
	case t.EncryptionUpdateAck != nil:
		m.updateAcknowledged(c)
	}
}

// fastUpdate limits how often a picture is asked for.
type fastUpdate struct {
	stop  func() // while none may be asked for
	again bool
}

// FastUpdate asks for a whole picture on an incoming channel, at most once a
// second: a request within it follows at its end.
func (m *Machine) FastUpdate(ch *Channel) {
	l := m.find(ch)
	if l == nil || m.ended || ch.Out || ch.Source.Kind() != core.Video {
		return
	}
	if l.update.stop != nil {
		l.update.again = true
		return
	}
	l.update.again = false
	l.update.stop = m.after(fastUpdateLimit, func() {
		l.update.stop = nil
		if l.update.again {
			m.FastUpdate(l.ch)
		}
	})
	m.order(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: l.number(),
		Type: h245.MiscellaneousCommandType{VideoFastUpdatePicture: new(per.Null)}}})
}

// FlowControl limits what the peer sends over an incoming channel, in bit/s;
// 0: no limit but the channel's.
func (m *Machine) FlowControl(ch *Channel, bps int) {
	l := m.find(ch)
	if l == nil || m.ended || ch.Out {
		return
	}
	c := &h245.FlowControlCommand{Scope: h245.FlowControlCommandScope{LogicalChannelNumber: new(l.number())}}
	if bps > 0 {
		c.Restriction.MaximumBitRate = new(min(max(bps/100, 1), maxRate))
	} else {
		c.Restriction.NoRestriction = new(per.Null)
	}
	m.order(h245.CommandMessage{FlowControlCommand: c})
}

// flowControlled: the peer limits what we send.
func (m *Machine) flowControlled(c *h245.FlowControlCommand) {
	bps := 0
	if r := c.Restriction.MaximumBitRate; r != nil {
		bps = max(*r*100, Stopped)
	}
	for _, l := range m.sorted(m.out) {
		this := c.Scope.LogicalChannelNumber != nil && *c.Scope.LogicalChannelNumber == l.number()
		if l.state == established && (this || c.Scope.WholeMultiplex != nil) {
			m.tell(BitRate{Channel: l.ch, BitsPerSec: bps})
			m.freeFlow(l, bps)
		}
	}
}
