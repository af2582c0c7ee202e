package control

import (
	"fmt"
	"net/netip"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// maxProposals of a fastStart are looked at.
const maxProposals = 64

var errAnswer = core.Reason{Code: core.Incompatible, Detail: "H.323: the answer to fast connect names nothing that was proposed"}

// A proposal is one element of fastStart (H.323 8.1.7): a channel that its
// sender, or (reverse) its receiver, may open.
type proposal struct {
	olc     *h245.OpenLogicalChannel
	number  int
	out     bool // we would send
	medium  medium
	params  *h245.H2250LogicalChannelParameters
	channel *lcse // once chosen
}

// Offer gives the elements of fastStart that propose each codec both ways,
// encrypted before clear. Channels are opened by Answered.
func (m *Machine) Offer() [][]byte {
	if m.ended || m.traversal {
		return nil
	}
	m.proposed = nil
	var out [][]byte
	for _, source := range []core.Source{core.Microphone, core.Camera} {
		local, err := m.call.Local(source, netip.AddrPort{})
		if err != nil {
			continue
		}
		for _, d := range m.variants(source) {
			for _, send := range []bool{true, false} {
				p := proposal{number: int(m.number()), out: send, medium: d}
				b, err := per.Encode(p.offer(m.session(source), local))
				if err != nil || len(m.proposed) >= maxProposals {
					continue
				}
				m.proposed = append(m.proposed, p)
				out = append(out, b)
			}
		}
	}
	return out
}

// variants of a source's codecs that are allowed.
func (m *Machine) variants(source core.Source) (list []medium) {
	for _, clear := range []bool{false, true} {
		for _, d := range m.media {
			switch {
			case d.source() != source || clear && m.opt.Required:
			case clear:
				list = append(list, d)
			case m.enc != nil:
				for _, a := range m.enc.Algorithms {
					d.algorithms = []per.OID{a}
					d.codec.PayloadType = encryptedType(d.codec.PayloadType)
					list = append(list, d)
				}
			}
		}
	}
	return list
}

// offer is a proposal as the caller makes it: with the address for reports and,
// of what it would receive, for media.
func (p proposal) offer(session int, local Transport) *h245.OpenLogicalChannel {
	params := p.medium.parameters(session, local)
	if p.out {
		return p.forward(params)
	}
	params.MediaChannel = transportAddress(local.RTP)
	return p.reverse(params)
}

func (p proposal) forward(params *h245.H2250LogicalChannelParameters) *h245.OpenLogicalChannel {
	olc := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: p.number}
	olc.ForwardLogicalChannelParameters.DataType = p.medium.dataType()
	olc.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters = params
	return olc
}

func (p proposal) reverse(params *h245.H2250LogicalChannelParameters) *h245.OpenLogicalChannel {
	olc := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: p.number}
	olc.ForwardLogicalChannelParameters.DataType.NullData = new(per.Null)
	olc.ForwardLogicalChannelParameters.MultiplexParameters.None = new(per.Null)
	olc.ReverseLogicalChannelParameters = &h245.OpenLogicalChannelReverseLogicalChannelParameters{DataType: p.medium.dataType(),
		MultiplexParameters: &h245.OpenLogicalChannelReverseLogicalChannelParametersMultiplexParameters{H2250LogicalChannelParameters: params}}
	return olc
}

// parseProposal reads an element. Toward the callee (answered false) what goes
// forward is received by us, in an answer it is sent by us.
func parseProposal(b []byte, answered bool) (p proposal, ok bool) {
	olc := new(h245.OpenLogicalChannel)
	if len(b) > maxMessage {
		return p, false
	}
	if _, err := per.Decode(b, olc); err != nil {
		return p, false
	}
	p.olc, p.number = olc, olc.ForwardLogicalChannelNumber
	if r := olc.ReverseLogicalChannelParameters; r != nil {
		p.out = !answered
		if r.MultiplexParameters != nil {
			p.params = r.MultiplexParameters.H2250LogicalChannelParameters
		}
		p.medium, ok = parseDataType(&r.DataType)
	} else {
		p.out = answered
		p.params = olc.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters
		p.medium, ok = parseDataType(&olc.ForwardLogicalChannelParameters.DataType)
	}
	if !ok || p.params == nil {
		return p, false
	}
	p.medium.packetized(p.params)
	if n := p.params.DynamicRTPPayloadType; n != nil {
		p.medium.codec.PayloadType = uint8(*n)
	} else if p.medium.algorithms != nil {
		p.medium.codec.PayloadType = encryptedType(p.medium.codec.PayloadType)
	}
	return p, true
}

// Answer chooses from a caller's fastStart one channel of each source each way,
// opens them and gives the elements to answer with. Not ok: nothing is opened,
// and H.245 has to do it.
func (m *Machine) Answer(fastStart [][]byte) (answer [][]byte, ok bool) {
	if m.ended || m.traversal || len(m.out) > 0 || len(m.in) > 0 {
		return nil, false
	}
	all := make([]proposal, 0, min(len(fastStart), maxProposals))
	for _, b := range fastStart[:min(len(fastStart), maxProposals)] {
		if p, ok := parseProposal(b, false); ok {
			all = append(all, p)
		}
	}
	var chosen []*proposal
	for _, source := range []core.Source{core.Microphone, core.Camera} {
		pair := m.chooseProposals(all, source)
		if source == core.Microphone && len(pair) == 0 {
			return nil, false
		}
		chosen = append(chosen, pair...)
	}
	for _, p := range chosen {
		olc, err := m.answerTo(p)
		if err == nil {
			var b []byte
			if b, err = per.Encode(olc); err == nil {
				answer = append(answer, b)
				continue
			}
		}
		m.note("H.323: fast connect is not accepted: %v", err)
		return nil, false
	}
	m.establishAll(chosen)
	m.announce(true)
	return answer, !m.ended
}

// chooseProposals takes of one source the caller's first that we can, either
// way: encrypted if it can be, with the same codec both ways if it can be. If
// the caller proposes both ways, both are taken or none.
func (m *Machine) chooseProposals(all []proposal, source core.Source) []*proposal {
	var in, out *proposal
	offered := map[bool]bool{}
	for i := range all {
		p := &all[i]
		if p.medium.source() != source {
			continue
		}
		offered[p.out] = true
		if !m.fits(p) {
			continue
		}
		if !p.out && better(in, p, nil) {
			in = p
		}
	}
	for i := range all {
		p := &all[i]
		if p.medium.source() == source && p.out && m.fits(p) && better(out, p, in) {
			out = p
		}
	}
	if offered[false] && in == nil || offered[true] && out == nil {
		return nil
	}
	var list []*proposal
	for _, p := range []*proposal{in, out} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// better reports whether p is to be taken rather than old.
func better(old, p, like *proposal) bool {
	switch {
	case old == nil:
		return true
	case (old.medium.algorithms != nil) != (p.medium.algorithms != nil):
		return p.medium.algorithms != nil
	case like == nil || old.medium.codec.Name == like.medium.codec.Name:
		return false
	}
	return p.medium.codec.Name == like.medium.codec.Name
}

// fits reports whether we can send or take what is proposed.
func (m *Machine) fits(p *proposal) bool {
	if p.medium.algorithms == nil && m.opt.Required || !m.takes(p.medium) {
		return false
	}
	if p.medium.algorithms != nil {
		if _, ok := m.algorithm(p.medium.algorithms); !ok {
			return false
		}
	}
	if p.out {
		_, err := remoteOf(p.params.MediaChannel, p.params.MediaControlChannel)
		return err == nil
	}
	return true
}

// answerTo makes the channel and the answer of a proposal that is chosen. We
// are the called side, and make the keys.
func (m *Machine) answerTo(p *proposal) (*h245.OpenLogicalChannel, error) {
	source := p.medium.source()
	local, err := m.call.Local(source, placeOf(p.params))
	if err != nil {
		return nil, err
	}
	if p.out {
		p.number = int(m.number())
		m.narrow(&p.medium)
	}
	if a, ok := m.algorithm(p.medium.algorithms); ok {
		p.medium.algorithms = []per.OID{a}
	}
	params := p.medium.parameters(p.params.SessionID, local)
	l, err := m.channelOf(p)
	if err != nil {
		return nil, err
	}
	olc := p.reverse(params)
	if !p.out {
		params.MediaChannel = transportAddress(local.RTP)
		olc = p.forward(params)
	}
	if p.medium.algorithms != nil {
		if l.ch.Key, err = m.newKey(p.medium.algorithms[0]); err == nil {
			olc.EncryptionSync, err = m.sync(l.ch.Key, l.ch.Codec.PayloadType)
		}
	}
	return olc, err
}

// channelOf makes the channel of a proposal, with what the peer says of it.
func (m *Machine) channelOf(p *proposal) (*lcse, error) {
	ch := &Channel{Number: uint16(p.number), Out: p.out, Session: p.params.SessionID, Source: p.medium.source(), Codec: p.medium.codec, BitRate: p.medium.rate}
	if ch.Session == 0 {
		ch.Session = m.session(ch.Source)
	}
	var err error
	if p.out {
		ch.Remote, err = remoteOf(p.params.MediaChannel, p.params.MediaControlChannel)
	} else {
		ch.Remote.RTCP, _ = addrPort(p.params.MediaControlChannel)
	}
	p.channel = &lcse{ch: ch, medium: p.medium}
	return p.channel, err
}

// narrow makes of what the peer takes what we send of it.
func (m *Machine) narrow(d *medium) {
	for _, ours := range m.media {
		if ours.codec.Name != d.codec.Name {
			continue
		}
		if d.codec.Name == "H264" {
			d.h264 = ours.h264.within(d.h264)
			d.codec.Fmtp = d.h264.fmtp()
		}
		d.codec.Ptime = min(d.codec.Ptime, ours.codec.Ptime)
		return
	}
}

func (m *Machine) establishAll(list []*proposal) {
	for _, p := range list {
		set := m.in
		if p.out {
			set = m.out
		}
		set[p.number] = p.channel
	}
	for _, p := range list {
		p.channel.establish(m)
	}
}

// Answered takes the callee's choice of what Offer proposed, and opens it. An
// error is a core.Reason: it names nothing of it, is in clear where it must not
// be, or the key or the address of a channel is no use. Nothing is opened then.
func (m *Machine) Answered(fastStart [][]byte) error {
	if m.ended || len(m.proposed) == 0 {
		return errAnswer
	}
	var chosen []*proposal
	for _, b := range fastStart[:min(len(fastStart), maxProposals)] {
		p, ok := parseProposal(b, true)
		if ok && p.medium.algorithms == nil && m.opt.Required {
			return errClearOnly
		}
		if !ok || !m.offered(&p) || taken(chosen, &p) {
			continue
		}
		l, err := m.channelOf(&p)
		if err == nil && p.medium.algorithms != nil {
			err = m.keyOfAnswer(l, p.olc.EncryptionSync)
		}
		if err != nil {
			return core.Reason{Code: core.Incompatible, Detail: fmt.Sprintf("H.323: the answer to fast connect: %v", err)}
		}
		if p.medium.algorithms == nil && m.secure() {
			m.warn("H.235.6: keys are agreed, but the peer takes media in clear only")
		}
		chosen = append(chosen, &p)
	}
	if len(chosen) == 0 {
		return errAnswer
	}
	m.proposed = nil
	m.establishAll(chosen)
	m.announce(false)
	return nil
}

func (m *Machine) keyOfAnswer(l *lcse, s *h245.EncryptionSync) (err error) {
	if s == nil {
		return errNoKey
	}
	if l.ch.Key, err = m.unsync(s, l.medium.algorithms); err == nil {
		l.ch.Codec.PayloadType = uint8(s.SynchFlag)
	}
	return err
}

// offered finds the proposal that an element answers: by its number where we
// send, and else by what it carries. A callee numbers what it sends itself.
func (m *Machine) offered(p *proposal) bool {
	match := func(q proposal, byNumber bool) bool {
		return q.out == p.out && q.medium.codec.Name == p.medium.codec.Name && (!byNumber || q.number == p.number) &&
			(q.medium.algorithms == nil) == (p.medium.algorithms == nil) &&
			(q.medium.algorithms == nil || len(p.medium.algorithms) > 0 && p.medium.algorithms[0] == q.medium.algorithms[0])
	}
	for _, byNumber := range []bool{true, false} {
		for _, q := range m.proposed {
			if !match(q, byNumber && p.out) {
				continue
			}
			if p.out {
				p.number = q.number
				m.narrow(&p.medium)
			}
			return true
		}
	}
	return false
}

func taken(list []*proposal, p *proposal) bool {
	for _, q := range list {
		if q.out == p.out && q.medium.source() == p.medium.source() {
			return true
		}
	}
	return false
}
