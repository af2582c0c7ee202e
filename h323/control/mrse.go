package control

import (
	"slices"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

const maxModes = 16 // of one RequestMode

// modeRequested is the incoming mode request signalling entity (H.245 C.9):
// the first of the modes that we can send is sent.
func (m *Machine) modeRequested(r *h245.RequestMode) {
	for i, mode := range r.RequestedModes[:min(len(r.RequestedModes), maxModes)] {
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
	return slices.ContainsFunc(list, func(d medium) bool { return d.codec.Name == name })
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
