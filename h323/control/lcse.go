package control

import (
	"net/netip"
	"slices"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// lcState of a logical channel; RELEASED is to be in no list.
type lcState int

const (
	awaitingEstablishment lcState = iota
	established
	awaitingRelease
)

// lcse is a logical channel signalling entity (H.245 C.4), outgoing or
// incoming. The incoming one answers at once and knows only ESTABLISHED.
type lcse struct {
	ch     *Channel
	medium medium
	state  lcState
	stop   func() // T103
	opened bool   // the call knows
	barred bool   // content that the meeting has stopped
	freed  bool   // content whose flow we have asked to be freed

	update  fastUpdate
	rekey   *Key   // on its way, until the peer takes it
	rekeyPT uint8  // its payload type
	limit   func() // stops the timer that limits key updates
}

func (l *lcse) number() int { return int(l.ch.Number) }

func (l *lcse) stopTimers() {
	for _, stop := range []*func(){&l.stop, &l.update.stop, &l.limit} {
		if *stop != nil {
			(*stop)()
			*stop = nil
		}
	}
}

// establish tells the call that media flows.
func (l *lcse) establish(m *Machine) {
	if m.ended {
		return
	}
	l.state, l.opened = established, true
	m.call.Opened(l.ch)
}

// release tells the call that no media flows any more. The entity has left
// its list, or awaits the peer's word.
func (l *lcse) release(m *Machine) {
	l.stopTimers()
	if l.opened {
		l.opened = false
		m.call.Closed(l.ch)
	}
}

// sorted lists channels by number, so that all is done in one order.
func (m *Machine) sorted(list map[int]*lcse) []*lcse {
	out := make([]*lcse, 0, len(list))
	for _, l := range list {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *lcse) int { return a.number() - b.number() })
	return out
}

// carrying is the channel of a source, in any state.
func carrying(list map[int]*lcse, source core.Source) *lcse {
	for _, l := range list {
		if l.ch.Source == source {
			return l
		}
	}
	return nil
}

func (m *Machine) find(ch *Channel) *lcse {
	if ch == nil {
		return nil
	}
	list := m.in
	if ch.Out {
		list = m.out
	}
	if l := list[int(ch.Number)]; l != nil && l.ch == ch {
		return l
	}
	return nil
}

// open opens our channel of a source, if there is none and the peer takes one
// of its codecs.
func (m *Machine) open(source core.Source) {
	if m.ended || m.paused || m.declined[source] || carrying(m.out, source) != nil || m.yields(source) {
		return
	}
	d, ok := m.choose(source)
	if !ok {
		if source == core.Microphone {
			m.nothingToOpen()
		}
		return
	}
	local, err := m.call.Local(source, netip.AddrPort{})
	if m.ended {
		return
	}
	if err != nil {
		m.declined[source] = true
		m.note("H.245: no %s channel is opened: %v", source.Kind(), err)
		return
	}
	l := &lcse{ch: &Channel{Number: m.numberOf(source), Out: true, Session: m.session(source), Source: source, Codec: d.codec, BitRate: d.rate}, medium: d}
	olc, err := m.openMessage(l, local)
	if err != nil {
		m.fail(core.Reason{Code: core.Failure, Detail: err.Error()})
		return
	}
	m.tried[source] = append(m.tried[source], tryOf(d))
	m.out[l.number()] = l
	l.stop = m.after(t103, func() { m.openExpired(l) })
	m.ask(h245.RequestMessage{OpenLogicalChannel: olc})
}

// session is the RTP session of a source (H.245 Table C.4: 1 sound, 2 video),
// as far as it is known.
func (m *Machine) session(source core.Source) int {
	switch source {
	case core.Screen:
		return m.contentSession()
	case core.Camera:
		return 2
	}
	return 1
}

// numberOf a channel to be opened: of content, what the peer has been told.
func (m *Machine) numberOf(source core.Source) uint16 {
	if n := m.token.channel; source == core.Screen && n != 0 && m.out[int(n)] == nil {
		return n
	}
	return m.number()
}

// number gives the next of our forward logical channel numbers that is free.
func (m *Machine) number() uint16 {
	for m.out[m.next] != nil {
		m.next = m.next%65535 + 1
	}
	n := m.next
	m.next = m.next%65535 + 1
	return uint16(n)
}

// openMessage makes the OpenLogicalChannel of our channel, and its key if we
// are master.
func (m *Machine) openMessage(l *lcse, local Transport) (*h245.OpenLogicalChannel, error) {
	olc := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: l.number(), GenericInformation: m.keepAlive(local)}
	olc.ForwardLogicalChannelParameters.DataType = l.medium.dataType()
	olc.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters = l.medium.parameters(l.ch.Session, local)
	if l.medium.algorithms == nil || m.msd.status != master {
		return olc, nil
	}
	key, err := m.newKey(l.medium.algorithms[0])
	if err != nil {
		return nil, err
	}
	l.ch.Key = key
	olc.EncryptionSync, err = m.sync(key, l.ch.Codec.PayloadType)
	return olc, err
}

// parameters of a channel that is proposed by its sender: it is told where
// receiver reports go.
func (d medium) parameters(session int, local Transport) *h245.H2250LogicalChannelParameters {
	p := &h245.H2250LogicalChannelParameters{SessionID: session,
		MediaGuaranteedDelivery: new(false), MediaControlChannel: transportAddress(local.RTCP)}
	if pt := d.codec.PayloadType; pt >= 96 {
		p.DynamicRTPPayloadType = new(int(pt))
	}
	if d.codec.Name == "H264" {
		oid := singleNALOID
		if d.h264.mode == 1 {
			oid = nonInterOID
		}
		p.MediaPacketization = &h245.H2250LogicalChannelParametersMediaPacketization{RtpPayloadType: new(packetizationOf(oid, d.codec.PayloadType))}
	} else {
		p.SilenceSuppression = new(false)
	}
	return p
}

// AWAITING ESTABLISHMENT: the peer accepts (C.4.4).
func (m *Machine) openAcknowledged(a *h245.OpenLogicalChannelAck) {
	l := m.out[a.ForwardLogicalChannelNumber]
	if l == nil || l.state != awaitingEstablishment {
		return // also AWAITING RELEASE: our close has crossed it
	}
	if err := m.accept(l, a); err != nil {
		m.note("H.245: the peer's acceptance of channel %d is no use: %v", l.number(), err)
		m.closeOut(l, nil)
		m.proceed()
		return
	}
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
	l.establish(m)
	if p := a.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters; p.FlowControlToZero != nil && *p.FlowControlToZero {
		m.tell(BitRate{Channel: l.ch, BitsPerSec: Stopped})
		m.freeFlow(l, Stopped)
	}
}

// accept takes what the receiver says of our channel: where it is, under
// which payload type, and the key if it is master.
func (m *Machine) accept(l *lcse, a *h245.OpenLogicalChannelAck) error {
	if a.ForwardMultiplexAckParameters == nil || a.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters == nil {
		return errNoAddress
	}
	p := a.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters
	remote, err := remoteOf(p.MediaChannel, p.MediaControlChannel)
	if err != nil {
		return err
	}
	if p.DynamicRTPPayloadType != nil {
		l.ch.Codec.PayloadType = uint8(*p.DynamicRTPPayloadType)
	}
	if p.SessionID != nil {
		l.ch.Session = *p.SessionID
	}
	if l.ch.Source == core.Screen {
		l.ch.Session = m.settle(l.ch.Session)
	}
	l.ch.Remote = remote
	m.traversed(l.ch, a.GenericInformation)
	if l.medium.algorithms != nil && l.ch.Key == nil {
		if a.EncryptionSync == nil {
			return errNoKey
		}
		if l.ch.Key, err = m.unsync(a.EncryptionSync, l.medium.algorithms); err != nil {
			return err
		}
		l.ch.Codec.PayloadType = uint8(a.EncryptionSync.SynchFlag)
	}
	return nil
}

// AWAITING ESTABLISHMENT: the peer refuses; ESTABLISHED: it ends the channel.
func (m *Machine) openRejected(r *h245.OpenLogicalChannelReject) {
	l := m.out[r.ForwardLogicalChannelNumber]
	if l == nil {
		return
	}
	source, was := l.ch.Source, l.state
	delete(m.out, l.number())
	l.release(m)
	switch {
	case was == established:
		m.declined[source] = true
	case r.Cause.MasterSlaveConflict != nil && source != core.Screen && m.wanted[source] == "":
		m.awaits[source] = true // the master's channel counts
	}
	m.proceed()
}

// AWAITING ESTABLISHMENT: T103 expires.
func (m *Machine) openExpired(l *lcse) {
	l.stop = nil
	if m.ended || l.state != awaitingEstablishment || m.out[l.number()] != l {
		return
	}
	m.note("H.245: the peer does not answer channel %d (T103)", l.number())
	delete(m.out, l.number())
	l.release(m)
	m.ask(h245.RequestMessage{CloseLogicalChannel: &h245.CloseLogicalChannel{ForwardLogicalChannelNumber: l.number(),
		Source: h245.CloseLogicalChannelSource{Lcse: new(per.Null)}}})
	m.proceed()
}

// closeOut closes our channel: AWAITING RELEASE, until the peer says so.
func (m *Machine) closeOut(l *lcse, reason *h245.CloseLogicalChannelReason) {
	if l.state == awaitingRelease || m.ended {
		return
	}
	l.release(m)
	if m.ended { // by the call
		return
	}
	l.state = awaitingRelease
	l.stop = m.after(t103, func() {
		l.stop = nil
		m.closeAcknowledged(l.number())
	})
	m.sendClose(l.number(), reason)
}

func (m *Machine) sendClose(n int, reason *h245.CloseLogicalChannelReason) {
	m.ask(h245.RequestMessage{CloseLogicalChannel: &h245.CloseLogicalChannel{ForwardLogicalChannelNumber: n,
		Source: h245.CloseLogicalChannelSource{User: new(per.Null)}, Reason: reason}})
}

// AWAITING RELEASE: it is released, by the peer's answer or by T103.
func (m *Machine) closeAcknowledged(n int) {
	l := m.out[n]
	if l == nil || l.state != awaitingRelease || m.ended {
		return
	}
	delete(m.out, n)
	l.release(m)
	m.proceed()
}

// openReceived is the incoming entity's RELEASED and ESTABLISHED (C.4.5): the
// peer opens a channel.
func (m *Machine) openReceived(olc *h245.OpenLogicalChannel) {
	n := olc.ForwardLogicalChannelNumber
	if old := m.in[n]; old != nil { // ESTABLISHED: it begins anew
		m.dropIn(old)
	}
	l, local, cause := m.examine(olc)
	if cause != nil {
		m.respond(h245.ResponseMessage{OpenLogicalChannelReject: &h245.OpenLogicalChannelReject{ForwardLogicalChannelNumber: n, Cause: *cause}})
		if cause.SecurityDenied != nil && olcKind(olc) == core.Microphone {
			m.clearRefused()
		}
		return
	}
	if old := carrying(m.in, l.ch.Source); old != nil { // examine has seen that it is replaced
		m.dropIn(old)
	}
	ack, err := m.acceptance(l, local, olc)
	if err != nil {
		m.fail(core.Reason{Code: core.Failure, Detail: err.Error()})
		return
	}
	m.in[n] = l
	m.respond(h245.ResponseMessage{OpenLogicalChannelAck: ack})
	l.state = established
	if l.ch.Source != core.Screen {
		l.establish(m)
	} else {
		m.contentChanged()
	}
	m.proceed()
}

func (m *Machine) dropIn(l *lcse) {
	delete(m.in, l.number())
	if stop := m.closing[l.number()]; stop != nil {
		stop()
		delete(m.closing, l.number())
	}
	l.release(m)
	if l.ch.Source == core.Screen {
		m.contentChanged()
	}
}

// examine says whether we take a channel that the peer opens.
func (m *Machine) examine(olc *h245.OpenLogicalChannel) (*lcse, Transport, *h245.OpenLogicalChannelRejectCause) {
	reject := func(c h245.OpenLogicalChannelRejectCause) (*lcse, Transport, *h245.OpenLogicalChannelRejectCause) {
		return nil, Transport{}, &c
	}
	f := &olc.ForwardLogicalChannelParameters
	p := f.MultiplexParameters.H2250LogicalChannelParameters
	d, ok := parseDataType(&f.DataType)
	if ok && p != nil {
		d.packetized(p)
		d.sessioned(p.SessionID)
	}
	switch {
	case !ok || p == nil || !m.takes(d):
		return reject(h245.OpenLogicalChannelRejectCause{DataTypeNotSupported: new(per.Null)})
	case olc.ReverseLogicalChannelParameters != nil:
		return reject(h245.OpenLogicalChannelRejectCause{UnsuitableReverseParameters: new(per.Null)})
	case len(m.in) >= maxChannels:
		return reject(h245.OpenLogicalChannelRejectCause{DataTypeNotAvailable: new(per.Null)})
	}
	source := d.source()
	if old := carrying(m.in, source); old != nil && (f.ReplacementFor == nil || *f.ReplacementFor != old.number()) {
		return reject(h245.OpenLogicalChannelRejectCause{DataTypeNotAvailable: new(per.Null)})
	}
	l := &lcse{medium: d, ch: &Channel{Number: uint16(olc.ForwardLogicalChannelNumber), Session: p.SessionID, Source: source, Codec: d.codec, BitRate: d.rate}}
	if source == core.Screen {
		l.ch.Session = m.settle(p.SessionID)
	} else if l.ch.Session == 0 { // the master numbers it
		l.ch.Session = m.session(source)
	}
	if err := m.admit(l, olc); err != nil {
		m.note("H.245: the peer's %s channel is refused: %v", source.Kind(), err)
		return reject(h245.OpenLogicalChannelRejectCause{SecurityDenied: new(per.Null)})
	}
	l.ch.Remote.RTCP, _ = addrPort(p.MediaControlChannel)
	m.traversed(l.ch, olc.GenericInformation)
	local, err := m.call.Local(source, placeOf(p))
	if err != nil {
		m.note("H.245: the peer's %s channel is refused: %v", source.Kind(), err)
		return reject(h245.OpenLogicalChannelRejectCause{DataTypeNotAvailable: new(per.Null)})
	}
	return l, local, nil
}

// takes reports whether a medium is one of ours.
func (m *Machine) takes(d medium) bool {
	return slices.ContainsFunc(m.media, func(ours medium) bool {
		return ours.codec.Name == d.codec.Name && ours.source() == d.source() &&
			(d.codec.Name != "H264" || ours.h264.profiles&d.h264.profiles != 0 && ours.h264.mode >= d.h264.mode)
	})
}

// admit settles payload type and key of a channel that the peer opens.
func (m *Machine) admit(l *lcse, olc *h245.OpenLogicalChannel) error {
	p := olc.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters
	pt := p.DynamicRTPPayloadType
	if l.medium.algorithms == nil {
		if m.opt.Required || m.secure() && l.ch.Source == core.Screen {
			return errClear
		}
		if m.secure() {
			m.warn("H.235.6: keys are agreed, but the peer sends in clear")
		}
		if pt != nil {
			l.ch.Codec.PayloadType = uint8(*pt)
		}
		return nil
	}
	if !m.secure() {
		return errNoSecret
	}
	l.ch.Codec.PayloadType = encryptedType(l.ch.Codec.PayloadType)
	if pt != nil {
		l.ch.Codec.PayloadType = uint8(*pt)
	}
	return m.keyOf(l, olc.EncryptionSync)
}

// acceptance makes the OpenLogicalChannelAck, with the key if we make it.
func (m *Machine) acceptance(l *lcse, local Transport, olc *h245.OpenLogicalChannel) (*h245.OpenLogicalChannelAck, error) {
	p := &h245.H2250LogicalChannelAckParameters{SessionID: new(l.ch.Session),
		MediaChannel: transportAddress(local.RTP), MediaControlChannel: transportAddress(local.RTCP), FlowControlToZero: new(false)}
	if pt := l.ch.Codec.PayloadType; pt >= 96 {
		p.DynamicRTPPayloadType = new(int(pt))
	}
	a := &h245.OpenLogicalChannelAck{ForwardLogicalChannelNumber: l.number(), GenericInformation: m.multiplexing(local),
		ForwardMultiplexAckParameters: &h245.OpenLogicalChannelAckForwardMultiplexAckParameters{H2250LogicalChannelAckParameters: p}}
	if l.ch.Key == nil || olc.EncryptionSync != nil {
		return a, nil
	}
	var err error
	a.EncryptionSync, err = m.sync(l.ch.Key, l.ch.Codec.PayloadType)
	return a, err
}

// closeReceived: the peer closes its channel. One that we do not know is
// closed already.
func (m *Machine) closeReceived(c *h245.CloseLogicalChannel) {
	n := c.ForwardLogicalChannelNumber
	m.respond(h245.ResponseMessage{CloseLogicalChannelAck: &h245.CloseLogicalChannelAck{ForwardLogicalChannelNumber: n}})
	if l := m.in[n]; l != nil {
		m.dropIn(l)
	}
}
