package control_test

import (
	"testing"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h245"
	"bridgehead/h323/h460/h46019"
	"bridgehead/h323/per"
)

const traversalOID per.OID = "0.0.8.460.19.0.1"

// traversalOf reads H.460.19 as a peer does, in the order of the fields.
func traversalOf(t testing.TB, list []h245.GenericInformation) *h46019.TraversalParameters {
	t.Helper()
	if len(list) == 0 {
		return nil
	}
	g := list[0]
	if len(list) != 1 || *g.MessageIdentifier.Standard != traversalOID || len(g.MessageContent) != 1 || *g.MessageContent[0].ParameterIdentifier.Standard != 1 {
		t.Fatalf("genericInformation %+v", list)
	}
	p := new(h46019.TraversalParameters)
	if _, err := per.Decode(*g.MessageContent[0].ParameterValue.OctetString, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func traversing(p h46019.TraversalParameters) []h245.GenericInformation {
	b, err := per.Encode(&p)
	if err != nil {
		panic(err)
	}
	return []h245.GenericInformation{{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
		MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)},
			ParameterValue: h245.ParameterValue{OctetString: new(per.OctetString(b))}}}}}
}

func place(port int) *h245.TransportAddress {
	return &h245.TransportAddress{UnicastAddress: &h245.UnicastAddress{IPAddress: &h245.UnicastAddressIPAddress{Network: []byte{10, 0, 0, 7}, TsapIdentifier: port}}}
}

func ackOf(m *message) *h245.OpenLogicalChannelAck {
	if m.Response == nil {
		return nil
	}
	return m.Response.OpenLogicalChannelAck
}

// server is a side whose peer is behind a firewall, and has opened nothing yet.
func server(t testing.TB, w *world, id uint32) *side {
	s := w.alone(control.Options{})
	s.m.SetTraversal()
	for source, local := range s.local {
		local.MultiplexID = id
		s.local[source] = local
	}
	become(s, true)
	feed(t, s, "103")
	return s
}

func TestOpenTellsWhereToKeepAlive(t *testing.T) {
	for _, id := range []uint32{0, 0xdeadbeef} {
		s := server(t, newWorld(t), id)
		p := traversalOf(t, last(s, olc).GenericInformation)
		if p == nil || p.KeepAliveChannel == nil || p.KeepAliveChannel.UnicastAddress.IPAddress.TsapIdentifier != 20000 || *p.KeepAliveInterval != 19 || p.KeepAlivePayloadType != nil {
			t.Fatalf("%+v", p)
		}
		if (id == 0) != (p.MultiplexID == nil) || (id == 0) != (p.MultiplexedMediaControlChannel == nil) {
			t.Fatalf("ID %08x: %+v", id, p)
		}
		if id != 0 && (*p.MultiplexID != int64(id) || p.MultiplexedMediaControlChannel.UnicastAddress.IPAddress.TsapIdentifier != 20001) {
			t.Fatalf("%+v", p)
		}
	}
}

func TestOpenOfAStrangerToTraversalIsPlain(t *testing.T) {
	w := newWorld(t)
	s := w.alone(control.Options{})
	become(s, true)
	feed(t, s, "103")
	if p := last(s, olc); p == nil || p.GenericInformation != nil {
		t.Fatalf("%+v", p)
	}
	acknowledge(s, traversing(h46019.TraversalParameters{MultiplexID: new(int64(7))}), place(5000))
	if ch := s.channel(true, core.Microphone); ch == nil || ch.Remote.MultiplexID != 0 {
		t.Fatalf("%+v", ch)
	}
}

// acknowledge accepts the side's sound.
func acknowledge(s *side, generic []h245.GenericInformation, media *h245.TransportAddress) {
	o := last(s, olc)
	s.m.Receive(respond(h245.ResponseMessage{OpenLogicalChannelAck: &h245.OpenLogicalChannelAck{
		ForwardLogicalChannelNumber: o.ForwardLogicalChannelNumber, GenericInformation: generic,
		ForwardMultiplexAckParameters: &h245.OpenLogicalChannelAckForwardMultiplexAckParameters{
			H2250LogicalChannelAckParameters: &h245.H2250LogicalChannelAckParameters{SessionID: new(1), MediaChannel: media, MediaControlChannel: place(5001)}}}}))
}

func TestAckTellsWhereMultiplexedMediaGoes(t *testing.T) {
	for name, c := range map[string]struct {
		p         h46019.TraversalParameters
		rtp, rtcp uint16
		id        uint32
		keepAlive uint8
	}{
		"not multiplexed": {h46019.TraversalParameters{KeepAlivePayloadType: new(127)}, 5000, 5001, 0, 127},
		"multiplexed":     {h46019.TraversalParameters{MultiplexID: new(int64(9)), MultiplexedMediaChannel: place(2776), MultiplexedMediaControlChannel: place(2777)}, 2776, 2777, 9, 0},
		"in mediaChannel": {h46019.TraversalParameters{MultiplexID: new(int64(1<<32 - 2))}, 5000, 5001, 1<<32 - 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, newWorld(t), 0)
			acknowledge(s, traversing(c.p), place(5000))
			ch := s.channel(true, core.Microphone)
			if ch == nil || ch.Remote.RTP.Port() != c.rtp || ch.Remote.RTCP.Port() != c.rtcp || ch.Remote.MultiplexID != c.id || ch.KeepAlive != c.keepAlive {
				t.Fatalf("%+v", ch)
			}
		})
	}
}

func TestChannelOfAnEndpointBehindAFirewall(t *testing.T) {
	w := newWorld(t)
	s := server(t, w, 0xdeadbeef)
	generic := traversing(h46019.TraversalParameters{MultiplexID: new(int64(9)), MultiplexedMediaControlChannel: place(2777), KeepAlivePayloadType: new(126)})
	generic = append([]h245.GenericInformation{{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(per.OID("0.0.8.460.24.1"))}}}, generic...)
	o := &h245.OpenLogicalChannel{ForwardLogicalChannelNumber: 5, GenericInformation: generic}
	o.ForwardLogicalChannelParameters.DataType = h245.DataType{AudioData: &h245.AudioCapability{G711Ulaw64k: new(20)}}
	o.ForwardLogicalChannelParameters.MultiplexParameters.H2250LogicalChannelParameters = &h245.H2250LogicalChannelParameters{SessionID: 1, MediaControlChannel: place(5001)}
	s.m.Receive(request(h245.RequestMessage{OpenLogicalChannel: o}))
	w.run()
	ch := s.channel(false, core.Microphone)
	if ch == nil || ch.Remote.RTCP.Port() != 2777 || ch.Remote.MultiplexID != 9 || ch.KeepAlive != 126 || ch.Remote.RTP.IsValid() {
		t.Fatalf("%+v", ch)
	}
	p := traversalOf(t, last(s, ackOf).GenericInformation)
	if p == nil || *p.MultiplexID != 0xdeadbeef || p.MultiplexedMediaChannel == nil || p.MultiplexedMediaControlChannel == nil || p.KeepAliveChannel != nil {
		t.Fatalf("%+v", p)
	}
}

func TestBrokenTraversalParametersAreIgnored(t *testing.T) {
	for name, generic := range map[string][]h245.GenericInformation{
		"no content": {{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)}}},
		"not an octet string": {{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
			MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)}, ParameterValue: h245.ParameterValue{Logical: new(per.Null)}}}}},
		"cut": {{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
			MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)}, ParameterValue: h245.ParameterValue{OctetString: new(per.OctetString{0x7f})}}}}},
		"no place": traversing(h46019.TraversalParameters{MultiplexID: new(int64(0)), MultiplexedMediaChannel: place(0)}),
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, newWorld(t), 0)
			acknowledge(s, generic, place(5000))
			if ch := s.channel(true, core.Microphone); ch == nil || ch.Remote.RTP.Port() != 5000 || ch.Remote.MultiplexID != 0 {
				t.Fatalf("%+v", ch)
			}
		})
	}
}

func TestFastConnectGivesWayToTraversal(t *testing.T) {
	w := newWorld(t)
	a, b := w.pair(options(), options())
	offer := a.m.Offer()
	b.m.SetTraversal()
	if answer, ok := b.m.Answer(offer); ok || answer != nil || len(b.open) > 0 {
		t.Fatal("fast connect was accepted")
	}
	if got := b.m.Offer(); got != nil {
		t.Fatalf("%d elements are offered", len(got))
	}
}

// FuzzTraversal gives a Machine the parameters of an acknowledgement.
func FuzzTraversal(f *testing.F) {
	for _, p := range []h46019.TraversalParameters{{}, {MultiplexID: new(int64(9)), MultiplexedMediaChannel: place(2776), KeepAlivePayloadType: new(1)},
		{KeepAliveChannel: place(1), KeepAliveInterval: new(int64(19)), MultiplexedMediaControlChannel: place(3)}} {
		b, _ := per.Encode(&p)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := server(t, newWorld(t), 3)
		acknowledge(s, []h245.GenericInformation{{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
			MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)},
				ParameterValue: h245.ParameterValue{OctetString: new(per.OctetString(b))}}}}}, place(5000))
		ch := s.channel(true, core.Microphone)
		if ch == nil || !ch.Remote.RTP.IsValid() || ch.Remote.RTP.Addr().IsUnspecified() || ch.KeepAlive > 127 {
			t.Fatalf("%+v", ch)
		}
	})
}
