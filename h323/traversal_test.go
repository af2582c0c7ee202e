package h323

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h225"
	"bridgehead/h323/h245"
	"bridgehead/h323/h460/h46019"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// walledClient is an endpoint behind a firewall, as H.460.19 wants it: what it
// tells of its own addresses is of no use to who stands outside.
type walledClient struct {
	t         testing.TB
	w         *wire
	m         *control.Machine
	rtp, rtcp *net.UDPConn
	id        uint32 // its own; 0: it takes no multiplexed media
	server    *h46019.TraversalParameters
	media     netip.AddrPort // the server's
	seq       uint16         // of the last packet
	open      map[bool]*control.Channel
}

const traversalOID per.OID = "0.0.8.460.19.0.1"

func newWalledClient(t testing.TB, s *site, id uint32) *walledClient {
	t.Helper()
	c := &walledClient{t: t, w: wireTo(t, s, "127.0.0.1"), id: id, open: map[bool]*control.Channel{}}
	for _, u := range []**net.UDPConn{&c.rtp, &c.rtcp} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		*u = conn
	}
	var err error
	if c.m, err = control.New(control.Options{Terminal: 50, Codecs: []core.Codec{pcmu}}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *walledClient) Send(m *h245.MultimediaSystemControlMessage) {
	p := h46019.TraversalParameters{}
	if c.id != 0 {
		local, _ := c.Local(core.Microphone, netip.AddrPort{})
		p.MultiplexID = new(int64(c.id))
		p.MultiplexedMediaChannel, p.MultiplexedMediaControlChannel = h245Address(local.RTP), h245Address(local.RTCP)
	}
	switch {
	case m.Request != nil && m.Request.OpenLogicalChannel != nil:
		m.Request.OpenLogicalChannel.GenericInformation = generic(c.t, p)
	case m.Response != nil && m.Response.OpenLogicalChannelAck != nil:
		p.KeepAlivePayloadType = new(127)
		m.Response.OpenLogicalChannelAck.GenericInformation = generic(c.t, p)
	}
	b, err := per.Encode(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.w.tunnelled(b)
}

func (c *walledClient) After(time.Duration, func()) func() { return func() {} }
func (c *walledClient) Closed(*control.Channel)            {}
func (c *walledClient) Event(control.Event)                {}
func (c *walledClient) Opened(ch *control.Channel)         { c.open[ch.Out] = ch }

func (c *walledClient) Local(core.Source, netip.AddrPort) (control.Transport, error) {
	return control.Transport{RTP: netip.MustParseAddrPort("10.77.0.7:5000"), RTCP: netip.MustParseAddrPort("10.77.0.7:5001")}, nil
}

func h245Address(a netip.AddrPort) *h245.TransportAddress {
	return &h245.TransportAddress{UnicastAddress: &h245.UnicastAddress{IPAddress: &h245.UnicastAddressIPAddress{Network: a.Addr().AsSlice(), TsapIdentifier: int(a.Port())}}}
}

func generic(t testing.TB, p h46019.TraversalParameters) []h245.GenericInformation {
	b, err := per.Encode(&p)
	if err != nil {
		t.Fatal(err)
	}
	return []h245.GenericInformation{{MessageIdentifier: h245.CapabilityIdentifier{Standard: new(traversalOID)},
		MessageContent: []h245.GenericParameter{{ParameterIdentifier: h245.ParameterIdentifier{Standard: new(1)},
			ParameterValue: h245.ParameterValue{OctetString: new(per.OctetString(b))}}}}}
}

// feature19 is what a message says of H.460.19: nil nothing, else its
// parameters.
func feature19(m *message) (params []int64) {
	for _, f := range m.features() {
		if *f.Id.Standard == featureH46019 {
			params = []int64{}
			for _, p := range f.Parameters {
				params = append(params, *p.Id.Standard)
			}
		}
	}
	return params
}

// call places the call with what SETUP says of H.460.19, and speaks H.245
// until sound is open both ways.
func (c *walledClient) call(feature []h225.EnumeratedParameter) {
	c.t.Helper()
	m := c.w.setup("7001")
	m.body().Setup.SupportedFeatures = []h225.FeatureDescriptor{{Id: h225.GenericIdentifier{Standard: new(int64(featureH46019))}, Parameters: feature}}
	c.w.send(m)
	connect := c.w.until(q931.Connect)
	if got := feature19(connect); len(got) != 2 || got[0] != supportsMultiplexedSend || got[1] != traversalServer {
		c.t.Errorf("CONNECT says %v of H.460.19", got)
	}
	c.m.Start()
	for len(c.open) < 2 {
		m, err := c.w.next()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, b := range m.pdu().H245Control {
			c.note(b)
			if err := c.m.ReceiveBytes(b); err != nil {
				c.t.Error(err)
			}
		}
	}
}

// note takes what the server's OpenLogicalChannel says of H.460.19.
func (c *walledClient) note(b []byte) {
	m := new(h245.MultimediaSystemControlMessage)
	if _, err := per.Decode(b, m); err != nil || m.Request == nil || m.Request.OpenLogicalChannel == nil {
		return
	}
	for _, g := range m.Request.OpenLogicalChannel.GenericInformation {
		c.server = new(h46019.TraversalParameters)
		if _, err := per.Decode(*g.MessageContent[0].ParameterValue.OctetString, c.server); err != nil {
			c.t.Fatal(err)
		}
		k := c.server.KeepAliveChannel.UnicastAddress.IPAddress
		ip, _ := netip.AddrFromSlice(k.Network)
		c.media = netip.AddrPortFrom(ip, uint16(k.TsapIdentifier))
	}
}

// send sends a packet of RTP as the server wants it.
func (c *walledClient) send(pt byte, payload string) {
	c.t.Helper()
	var b []byte
	if c.server.MultiplexID != nil {
		b = binary.BigEndian.AppendUint32(b, uint32(*c.server.MultiplexID))
	}
	c.seq++
	b = binary.BigEndian.AppendUint16(append(b, 0x80, pt), c.seq)
	b = append(append(b, 0, 0, 0, 1, 0, 0, 0, 9), payload...)
	if _, err := c.rtp.WriteToUDPAddrPort(b, c.media); err != nil {
		c.t.Fatal(err)
	}
}

// heard waits for the payload, and tells what stands before the packet.
func (c *walledClient) heard(payload string) uint32 {
	c.t.Helper()
	b := make([]byte, 2048)
	c.rtp.SetReadDeadline(time.Now().Add(patience))
	n, err := c.rtp.Read(b)
	if err != nil {
		c.t.Fatal(err)
	}
	id := uint32(0)
	if b = b[:n]; c.id != 0 {
		id, b = binary.BigEndian.Uint32(b), b[4:]
	}
	if len(b) < 12 || string(b[12:]) != payload {
		c.t.Fatalf("heard %x", b)
	}
	return id
}

func TestMediaThroughAFirewall(t *testing.T) {
	for name, id := range map[string]uint32{"a port of its own": 0, "multiplexed both ways": 0xfeedface} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			s := newSite(t, Options{Legacy: true})
			c := newWalledClient(t, s, id)
			var feature []h225.EnumeratedParameter
			if id != 0 {
				feature = []h225.EnumeratedParameter{{Id: h225.GenericIdentifier{Standard: new(int64(supportsMultiplexedSend))}}}
			}
			c.call(feature)
			seat := receive(t, "the seat", s.room.seats)
			if c.server == nil || (id != 0) != (c.server.MultiplexID != nil) {
				t.Fatalf("the server says %+v", c.server)
			}
			eventually(t, "the seat hears", func() bool {
				seat.mu.Lock()
				defer seat.mu.Unlock()
				return seat.track.Codec.Name != ""
			})
			c.send(127, "") // keep-alive
			var sink core.Sink
			eventually(t, "sound can be sent to where the keep-alive came from", func() bool {
				for _, p := range s.ports.Pollers() {
					p.Step(core.Now())
				}
				sink, _ = seat.leg.Subscribe(core.Track{Source: core.Mix, Codec: seat.leg.Info().Audio})
				m := seat.leg.(*leg).audio.Load()
				return sink != nil && m != nil && m.session.Found().IsValid()
			})
			sink.Write(&core.Packet{Payload: []byte("from the meeting"), Level: core.LevelUnknown})
			if got := c.heard("from the meeting"); got != id {
				t.Errorf("multiplexID %08x, want %08x", got, id)
			}
			eventually(t, "the room is heard", func() bool {
				c.send(0, "from the room")
				for _, p := range s.ports.Pollers() {
					p.Step(core.Now())
				}
				return seat.heard([]byte("from the room"))
			})
			c.w.release()
			receive(t, "the end", seat.left)
			s.quiet()
		})
	}
}

func TestNoTraversalBetweenServers(t *testing.T) {
	s := newSite(t, Options{Legacy: true})
	w := wireTo(t, s, "127.0.0.1")
	m := w.setup("7001")
	m.body().Setup.SupportedFeatures = serverFeature()
	w.send(m)
	if got := feature19(w.until(q931.Connect)); got != nil {
		t.Errorf("CONNECT says %v of H.460.19", got)
	}
	w.release()
}
