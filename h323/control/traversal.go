package control

import (
	"bridgehead/h323/h245"
	"bridgehead/h323/h460/h46019"
	"bridgehead/h323/per"
)

// traversalOID names the parameters of H.460.19 in OpenLogicalChannel and its
// acknowledgement.
const traversalOID per.OID = "0.0.8.460.19.0.1"

// keepAliveInterval in seconds: firewalls forget a way after 30 or more.
const keepAliveInterval = 19

// maxGeneric of a message are looked at.
const maxGeneric = 8

// SetTraversal tells that the peer is behind a firewall and speaks H.460.19,
// whose server we are. It must be known before channels are opened; fast
// connect can't be had with it.
func (m *Machine) SetTraversal() { m.traversal = true }

// keepAlive tells the receiver of our channel where to send what keeps its
// firewall open (H.460.19 §6.2), and how to address us.
func (m *Machine) keepAlive(local Transport) []h245.GenericInformation {
	if !m.traversal {
		return nil
	}
	p := multiplexed(local)
	p.KeepAliveChannel, p.KeepAliveInterval = transportAddress(local.RTP), new(int64(keepAliveInterval))
	return generic(p)
}

// multiplexing tells the sender of a channel to put our multiplexID before its
// media (H.460.19 §7).
func (m *Machine) multiplexing(local Transport) []h245.GenericInformation {
	if !m.traversal || local.MultiplexID == 0 {
		return nil
	}
	return generic(multiplexed(local))
}

func multiplexed(local Transport) *h46019.TraversalParameters {
	p := &h46019.TraversalParameters{}
	if id := int64(local.MultiplexID); id != 0 {
		p.MultiplexID, p.MultiplexedMediaChannel, p.MultiplexedMediaControlChannel = &id, transportAddress(local.RTP), transportAddress(local.RTCP)
	}
	return p
}

func generic(p *h46019.TraversalParameters) []h245.GenericInformation {
	b, err := per.Encode(p)
	if err != nil {
		return nil
	}
	return []h245.GenericInformation{{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
		MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)},
			ParameterValue: h245.ParameterValue{OctetString: new(per.OctetString(b))}}}}}
}

// parseTraversal finds the parameters of H.460.19; nil: there are none that can
// be read.
func parseTraversal(list []h245.GenericInformation) *h46019.TraversalParameters {
	for _, g := range list[:min(len(list), maxGeneric)] {
		if g.MessageIdentifier.Standard == nil || *g.MessageIdentifier.Standard != traversalOID {
			continue
		}
		for _, c := range g.MessageContent[:min(len(g.MessageContent), maxGeneric)] {
			if n := c.ParameterIdentifier.Standard; n == nil || *n != 1 || c.ParameterValue.OctetString == nil {
				continue
			}
			p := new(h46019.TraversalParameters)
			if _, err := per.Decode(*c.ParameterValue.OctetString, p); err == nil {
				return p
			}
		}
	}
	return nil
}

// traversed takes what the peer says of a channel by H.460.19. Some write the
// addresses of multiplexed media where those of plain media belong, and leave
// the others out.
func (m *Machine) traversed(ch *Channel, list []h245.GenericInformation) {
	if !m.traversal {
		return
	}
	p := parseTraversal(list)
	if p == nil {
		return
	}
	if p.KeepAlivePayloadType != nil {
		ch.KeepAlive = uint8(*p.KeepAlivePayloadType)
	}
	if p.MultiplexID == nil || *p.MultiplexID == 0 {
		return
	}
	ch.Remote.MultiplexID = uint32(*p.MultiplexID)
	if at, ok := addrPort(p.MultiplexedMediaChannel); ok && ch.Out {
		ch.Remote.RTP = at
	}
	if at, ok := addrPort(p.MultiplexedMediaControlChannel); ok {
		ch.Remote.RTCP = at
	}
}
