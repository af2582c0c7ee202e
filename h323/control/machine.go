package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Bounds of what a peer can make a Machine keep or say.
const (
	maxChannels = 16 // each way
	maxNotes    = 32
	maxReplies  = 32 // to what is not understood
	maxTries    = 3  // of capability exchange and determination (H.323 8.2)
	maxMessage  = 64 << 10
)

// H.245 leaves its timers' lengths to the implementation.
const (
	t101 = 30 * time.Second // capability exchange
	t103 = 30 * time.Second // logical channels
	t106 = 30 * time.Second // master slave determination
	t108 = 30 * time.Second // request to close a channel
)

// Options of a Machine.
type Options struct {
	// Terminal is the terminalType of master slave determination: 50 a
	// terminal, 190 a bridge (an MCU with audio and video).
	Terminal int
	// Codecs that are taken and sent, best first: PCMU, PCMA, G722, H264. For
	// Opus H.245 has no capability. Ptime is that of the packets we send.
	Codecs []core.Codec
	// Encryption is that of both sides' tokens; nil: no H.235.6 in this call.
	Encryption *Encryption
	// Required: media must be encrypted. Channels in clear are refused and
	// not opened.
	Required bool
	// BitRate is the most video that is taken, in bit/s; 0: 2 Mbit/s.
	BitRate int
	// Rand makes keys and numbers; nil: crypto/rand.
	Rand io.Reader
	Log  *slog.Logger
}

// Encryption is H.235.6 as the tokens of call signalling agree on it.
type Encryption struct {
	Algorithms []per.OID // that both sides allow, best first
	Secret     []byte    // of the Diffie-Hellman exchange; nil: not yet known
}

// Machine is one call's H.245.
type Machine struct {
	opt   Options
	call  Call
	log   *slog.Logger
	enc   *Encryption
	media []medium // as we take them, best first

	cese cese
	msd  msdse
	peer *capabilities // nil before the peer's first set

	out, in  map[int]*lcse // by forward logical channel number
	next     int           // number of the next outgoing channel
	tried    map[core.Source][]string
	declined map[core.Source]bool   // by the peer's requestChannelClose
	wanted   map[core.Source]string // codec that the peer asks for
	awaits   map[core.Source]bool   // the master's channel (masterSlaveConflict)
	closing  map[int]func()         // CLCSE, by incoming channel: stops T108

	token       token
	content     int        // session of H.239; 0: not known
	presentable core.Codec // as the call knows
	capable     bool       // it has been told

	proposed []proposal // by Offer, until answered

	started, announced, paused, held, ended, warned, traversal bool

	discarded, notes, replies int
}

// New makes a Machine that does nothing yet. An unknown codec is an error.
func New(opt Options, call Call) (*Machine, error) {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Rand == nil {
		opt.Rand = rand.Reader
	}
	if opt.BitRate <= 0 {
		opt.BitRate = 2_048_000
	}
	if 2*len(opt.Codecs) >= inputEntry {
		return nil, errors.New("h323/control: too many codecs")
	}
	m := &Machine{opt: opt, call: call, log: opt.Log, enc: opt.Encryption, next: 101,
		out: map[int]*lcse{}, in: map[int]*lcse{}, closing: map[int]func(){}}
	m.forget()
	for _, c := range opt.Codecs {
		c, err := canonical(c)
		if err != nil {
			return nil, err
		}
		d := medium{codec: c}
		if c.Name == "H264" {
			d.h264, _ = parseFmtp(c.Fmtp)
			d.rate = opt.BitRate
		}
		m.media = append(m.media, d)
	}
	for _, d := range m.media { // pictures of content as the main ones
		if d.source() == core.Camera {
			d.role = presentation | live
			m.media = append(m.media, d)
		}
	}
	return m, nil
}

// SetEncryption tells what the tokens agree on, where they come after New. It
// must be known before channels are opened or fast connect is answered.
func (m *Machine) SetEncryption(e *Encryption) {
	m.enc = e
	if m.started && m.secure() {
		m.cese.transfer(m)
	}
}

// Start begins capability exchange and master slave determination, as H.245
// is reachable. Only the first call counts.
func (m *Machine) Start() {
	if m.started || m.ended {
		return
	}
	m.started = true
	m.cese.transfer(m)
	m.msd.determine(m)
}

// Receive takes a message of the peer.
func (m *Machine) Receive(msg *h245.MultimediaSystemControlMessage) {
	if m.ended || msg == nil {
		return
	}
	understood := false
	switch {
	case msg.Request != nil:
		understood = m.request(msg.Request)
	case msg.Response != nil:
		understood = m.response(msg.Response)
	case msg.Command != nil:
		understood = m.command(msg.Command)
	case msg.Indication != nil:
		understood = m.indication(msg.Indication)
	}
	if !understood {
		m.notUnderstood(msg)
	}
}

// ReceiveBytes decodes and takes a message of the peer. An error says what was
// wrong with it; the peer has been told, and the call goes on.
func (m *Machine) ReceiveBytes(b []byte) error {
	if m.ended {
		return nil
	}
	msg := new(h245.MultimediaSystemControlMessage)
	err := error(nil)
	if len(b) > maxMessage {
		err = fmt.Errorf("h323/control: a message of %d octets", len(b))
	} else {
		_, err = per.Decode(b, msg)
	}
	if err != nil {
		m.discarded++
		if m.replies++; m.replies <= maxReplies {
			m.indicate(h245.IndicationMessage{FunctionNotSupported: &h245.FunctionNotSupported{
				Cause: h245.FunctionNotSupportedCause{SyntaxError: new(per.Null)}}})
		}
		return err
	}
	m.Receive(msg)
	return nil
}

// notUnderstood answers requests and commands that we do not know (H.245
// 7.13.1); what is unknown otherwise is ignored.
func (m *Machine) notUnderstood(msg *h245.MultimediaSystemControlMessage) {
	m.discarded++
	if msg.Request == nil && msg.Command == nil {
		return
	}
	if m.replies++; m.replies > maxReplies {
		return
	}
	m.indicate(h245.IndicationMessage{FunctionNotUnderstood: &h245.FunctionNotUnderstood{Request: msg.Request, Command: msg.Command}})
}

func (m *Machine) request(r *h245.RequestMessage) bool {
	switch {
	case r.TerminalCapabilitySet != nil:
		m.capabilitiesReceived(r.TerminalCapabilitySet)
	case r.MasterSlaveDetermination != nil:
		m.msd.determination(m, r.MasterSlaveDetermination)
	case r.OpenLogicalChannel != nil:
		m.openReceived(r.OpenLogicalChannel)
	case r.CloseLogicalChannel != nil:
		m.closeReceived(r.CloseLogicalChannel)
	case r.RequestChannelClose != nil:
		m.closeRequested(r.RequestChannelClose)
	case r.RequestMode != nil:
		m.modeRequested(r.RequestMode)
	case r.RoundTripDelayRequest != nil:
		m.respond(h245.ResponseMessage{RoundTripDelayResponse: &h245.RoundTripDelayResponse{
			SequenceNumber: r.RoundTripDelayRequest.SequenceNumber}})
	default:
		return m.refused(r)
	}
	return true
}

func (m *Machine) response(r *h245.ResponseMessage) bool {
	switch {
	case r.TerminalCapabilitySetAck != nil:
		m.cese.ack(m, r.TerminalCapabilitySetAck.SequenceNumber)
	case r.TerminalCapabilitySetReject != nil:
		m.cese.reject(m, r.TerminalCapabilitySetReject.SequenceNumber)
	case r.MasterSlaveDeterminationAck != nil:
		m.msd.ack(m, r.MasterSlaveDeterminationAck)
	case r.MasterSlaveDeterminationReject != nil:
		m.msd.reject(m)
	case r.OpenLogicalChannelAck != nil:
		m.openAcknowledged(r.OpenLogicalChannelAck)
	case r.OpenLogicalChannelReject != nil:
		m.openRejected(r.OpenLogicalChannelReject)
	case r.CloseLogicalChannelAck != nil:
		m.closeAcknowledged(r.CloseLogicalChannelAck.ForwardLogicalChannelNumber)
	case r.RequestChannelCloseAck != nil:
		m.closeRequestAnswered(r.RequestChannelCloseAck.ForwardLogicalChannelNumber, true)
	case r.RequestChannelCloseReject != nil:
		m.closeRequestAnswered(r.RequestChannelCloseReject.ForwardLogicalChannelNumber, false)
	case r.GenericResponse != nil:
		m.genericSaid(r.GenericResponse)
	case r.Extensions != nil:
		return false
	}
	return true // others answer what we never ask
}

// proceed does what has become possible.
func (m *Machine) proceed() {
	if m.ended || !m.cese.acked || m.peer == nil || !m.msd.determined() {
		return
	}
	m.announce(m.msd.status == master)
	m.offerContent()
	m.open(core.Microphone)
	m.open(core.Camera)
	m.proceedContent()
}

// announce tells the call once that it is set up.
func (m *Machine) announce(master bool) {
	if !m.announced && !m.ended {
		m.announced = true
		m.tell(Ready{Master: master})
	}
}

// forget what the peer declined: it has told other capabilities.
func (m *Machine) forget() {
	m.tried, m.wanted = map[core.Source][]string{}, map[core.Source]string{}
	m.declined, m.awaits = map[core.Source]bool{}, map[core.Source]bool{}
}

// Hold tells the peer to send nothing, by an empty capability set (H.323
// 8.4.6), or that it may again.
func (m *Machine) Hold(on bool) {
	if m.ended || m.held == on {
		return
	}
	m.held = on
	if m.started {
		m.cese.transfer(m)
	}
}

// End closes all channels and ends the session. No event follows.
func (m *Machine) End() {
	if m.ended {
		return
	}
	if m.started {
		for _, l := range m.sorted(m.out) {
			m.sendClose(l.number(), nil)
		}
	}
	m.disconnect()
	m.stop()
}

// disconnect says that the session is over, if there has been one.
func (m *Machine) disconnect() {
	if m.started {
		m.order(h245.CommandMessage{EndSessionCommand: &h245.EndSessionCommand{Disconnect: new(per.Null)}})
	}
}

// over ends everything here and tells why.
func (m *Machine) over(reason core.Reason) {
	if !m.ended {
		m.stop()
		m.call.Event(Ended{Reason: reason})
	}
}

// stop ends everything here.
func (m *Machine) stop() {
	m.ended = true
	m.cese.stopTimer()
	m.msd.stopTimer()
	m.token.stopTimers()
	for n, stop := range m.closing {
		stop()
		delete(m.closing, n)
	}
	for _, list := range []map[int]*lcse{m.out, m.in} {
		for _, l := range m.sorted(list) {
			delete(list, l.number())
			l.release(m)
		}
	}
}

// fail ends a session that came to nothing. A call whose channels fast connect
// has opened goes on without H.245.
func (m *Machine) fail(reason core.Reason) {
	if m.ended {
		return
	}
	if reason.Code == core.Failure && m.anyOpen() {
		m.note("%s", reason.Detail)
		return
	}
	m.log.Info("H.245 failed", "code", reason.Code, "detail", reason.Detail)
	m.disconnect()
	m.over(reason)
}

func (m *Machine) anyOpen() bool {
	for _, list := range []map[int]*lcse{m.out, m.in} {
		for _, l := range list {
			if l.state == established {
				return true
			}
		}
	}
	return false
}

// warn is a note that is given once.
func (m *Machine) warn(text string) {
	if !m.warned {
		m.warned = true
		m.note("%s", text)
	}
}

// note tells the operator something, within bounds.
func (m *Machine) note(format string, args ...any) {
	if m.notes++; m.notes <= maxNotes {
		m.tell(Note{Text: fmt.Sprintf(format, args...)})
	}
}

// The call may end the session whenever it is spoken to. It then hears nothing
// more, so that what goes on here need not ask each time.

func (m *Machine) send(msg *h245.MultimediaSystemControlMessage) {
	if !m.ended {
		m.call.Send(msg)
	}
}

func (m *Machine) tell(e Event) {
	if !m.ended {
		m.call.Event(e)
	}
}

func (m *Machine) after(d time.Duration, f func()) (stop func()) {
	if m.ended {
		return func() {}
	}
	return m.call.After(d, f)
}

func (m *Machine) ask(r h245.RequestMessage) {
	m.send(&h245.MultimediaSystemControlMessage{Request: &r})
}

func (m *Machine) respond(r h245.ResponseMessage) {
	m.send(&h245.MultimediaSystemControlMessage{Response: &r})
}

func (m *Machine) order(c h245.CommandMessage) {
	m.send(&h245.MultimediaSystemControlMessage{Command: &c})
}

func (m *Machine) indicate(i h245.IndicationMessage) {
	m.send(&h245.MultimediaSystemControlMessage{Indication: &i})
}

// State is what a Machine has reached.
type State struct {
	Determined, Master, Paused, Held, Ended bool

	Channels  []*Channel // that are open, outgoing first
	Discarded int        // messages that were not understood
}

// State is a snapshot for logs.
func (m *Machine) State() State {
	s := State{Determined: m.msd.determined(), Master: m.msd.status == master,
		Paused: m.paused, Held: m.held, Ended: m.ended, Discarded: m.discarded}
	for _, list := range []map[int]*lcse{m.out, m.in} {
		for _, l := range m.sorted(list) {
			if l.state == established {
				s.Channels = append(s.Channels, l.ch)
			}
		}
	}
	return s
}
