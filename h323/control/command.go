package control

import (
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// h239OID is of H.239's messages, and their numbers (H.239 11).
const (
	h239OID per.OID = "0.0.8.239.2"

	flowControlReleaseRequest = 1
	presentationTokenRequest  = 3
	h239ParamChannel          = 42
	h239ParamLabel            = 44
	h239ParamReject           = 127
	fastUpdateLimit           = time.Second
	maxKeys                   = 64 // of one UserInputIndication
	keyNames                  = "0123456789*#ABCD"
	maxRate                   = 16777215 // of FlowControlCommand, in 100 bit/s
	stopped                   = 1        // bit/s, for a limit of zero
)

func (m *Machine) command(c *h245.CommandMessage) bool {
	switch {
	case c.EndSessionCommand != nil:
		m.order(h245.CommandMessage{EndSessionCommand: &h245.EndSessionCommand{Disconnect: new(per.Null)}})
		m.stop()
		m.call.Event(Ended{Reason: core.Reason{Code: core.Normal}})
	case c.SendTerminalCapabilitySet != nil:
		if m.started && !m.cese.waiting {
			m.cese.transfer(m)
		}
	case c.FlowControlCommand != nil:
		m.flowControlled(c.FlowControlCommand)
	case c.MiscellaneousCommand != nil:
		m.miscellaneous(c.MiscellaneousCommand)
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

// genericRequested declines the presentation token of H.239, and the release of
// a channel's flow control: nothing is presented over H.323 yet.
func (m *Machine) genericRequested(g *h245.GenericMessage) bool {
	id, sub := g.MessageIdentifier.Standard, g.SubMessageIdentifier
	if id == nil || *id != h239OID || sub == nil || *sub != flowControlReleaseRequest && *sub != presentationTokenRequest {
		return false
	}
	content := []h245.GenericParameter{parameter(h239ParamReject, h245.ParameterValue{Logical: new(per.Null)})}
	for _, p := range g.MessageContent {
		if n := p.ParameterIdentifier.Standard; n != nil && (*n == h239ParamChannel || *n == h239ParamLabel) && len(content) < 3 {
			content = append(content, p)
		}
	}
	m.respond(h245.ResponseMessage{GenericResponse: &h245.GenericMessage{
		MessageIdentifier: g.MessageIdentifier, SubMessageIdentifier: new(*sub + 1), MessageContent: content}})
	return true
}

func (m *Machine) miscellaneous(c *h245.MiscellaneousCommand) {
	t := &c.Type
	switch {
	case t.VideoFastUpdatePicture != nil, t.VideoFastUpdateGOB != nil, t.VideoFastUpdateMB != nil,
		t.LostPicture != nil, t.LostPartialPicture != nil, t.VideoBadMBs != nil:
		if l := m.out[c.LogicalChannelNumber]; l != nil && l.state == established && l.ch.Source == core.Camera {
			m.call.Event(FastUpdate{Channel: l.ch})
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
	l.update.stop = m.call.After(fastUpdateLimit, func() {
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
		bps = max(*r*100, stopped)
	}
	for _, l := range m.sorted(m.out) {
		this := c.Scope.LogicalChannelNumber != nil && *c.Scope.LogicalChannelNumber == l.number()
		if l.state == established && (this || c.Scope.WholeMultiplex != nil) && !m.ended {
			m.call.Event(BitRate{Channel: l.ch, BitsPerSec: bps})
		}
	}
}

// Digit sends a key: as a signal if the peer takes signals, and else as a
// string (H.245 7.12.7).
func (m *Machine) Digit(key byte) {
	if key >= 'a' && key <= 'd' {
		key -= 'a' - 'A'
	}
	if m.ended || !isKey(key) {
		return
	}
	u := &h245.UserInputIndication{Alphanumeric: new(string(key))}
	if m.peer.takesSignals() {
		u = &h245.UserInputIndication{Signal: &h245.UserInputIndicationSignal{SignalType: string(key)}}
	}
	m.indicate(h245.IndicationMessage{UserInput: u})
}

func isKey(key byte) bool {
	for _, k := range []byte(keyNames) {
		if k == key {
			return true
		}
	}
	return false
}

// userInput takes the peer's keys. A signal that says that it is in RTP too
// (RFC 4733) is taken from there, and an update only tells its length.
func (m *Machine) userInput(u *h245.UserInputIndication) {
	switch {
	case u.Alphanumeric != nil:
		m.pressed(*u.Alphanumeric)
	case u.ExtendedAlphanumeric != nil && u.ExtendedAlphanumeric.RtpPayloadIndication == nil:
		m.pressed(u.ExtendedAlphanumeric.Alphanumeric)
	case u.Signal != nil && u.Signal.RtpPayloadIndication == nil:
		m.pressed(u.Signal.SignalType)
	}
}

func (m *Machine) pressed(keys string) {
	for i := range min(len(keys), maxKeys) {
		key := keys[i]
		if key >= 'a' && key <= 'd' {
			key -= 'a' - 'A'
		}
		if isKey(key) && !m.ended {
			m.call.Event(Digit{Key: key})
		}
	}
}

// modeRequested is the incoming mode request signalling entity (H.245 C.9):
// the first of the modes that we can send is sent.
func (m *Machine) modeRequested(r *h245.RequestMode) {
	for i, mode := range r.RequestedModes {
		name, ok := audioMode(mode)
		if !ok || m.paused || m.peer == nil {
			continue
		}
		tried := m.tried[core.Microphone]
		delete(m.tried, core.Microphone)
		if !has(m.common(core.Microphone), name) {
			m.tried[core.Microphone] = tried
			continue
		}
		response := h245.RequestModeAckResponse{WillTransmitMostPreferredMode: new(per.Null)}
		if i > 0 {
			response = h245.RequestModeAckResponse{WillTransmitLessPreferredMode: new(per.Null)}
		}
		m.respond(h245.ResponseMessage{RequestModeAck: &h245.RequestModeAck{SequenceNumber: r.SequenceNumber, Response: response}})
		m.wanted[core.Microphone] = name
		l := carrying(m.out, core.Microphone)
		if l != nil && l.ch.Codec.Name != name {
			m.closeOut(l, &h245.CloseLogicalChannelReason{Reopen: new(per.Null)})
		}
		return
	}
	m.respond(h245.ResponseMessage{RequestModeReject: &h245.RequestModeReject{SequenceNumber: r.SequenceNumber,
		Cause: h245.RequestModeRejectCause{ModeUnavailable: new(per.Null)}}})
}

func has(list []medium, name string) bool {
	for _, d := range list {
		if d.codec.Name == name {
			return true
		}
	}
	return false
}

// audioMode is the codec of a mode's sound.
func audioMode(mode h245.ModeDescription) (string, bool) {
	for _, e := range mode {
		a := e.Type.AudioMode
		if e.Type.H235Mode != nil {
			a = e.Type.H235Mode.MediaMode.AudioMode
		}
		switch {
		case a == nil:
		case a.G711Alaw64k != nil:
			return "PCMA", true
		case a.G711Ulaw64k != nil:
			return "PCMU", true
		case a.G722_64k != nil:
			return "G722", true
		}
	}
	return "", false
}
