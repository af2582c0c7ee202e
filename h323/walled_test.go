package h323

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h225"
	"bridgehead/h323/h460/h46018"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// newGatekept is a site with a gatekeeper, open to all.
func newGatekept(t testing.TB) (*site, *ras.Gatekeeper) {
	t.Helper()
	var s *site
	g, err := ras.New(ras.Options{Listen: "127.0.0.1:0", Open: true, Log: slog.New(slog.DiscardHandler),
		Signalling: func(peer netip.AddrPort) netip.AddrPort { return s.Signalling(peer) }})
	if err != nil {
		t.Fatal(err)
	}
	s = newSite(t, Options{Legacy: true, Gatekeeper: g})
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		receive(t, "the end of the gatekeeper", done)
	})
	return s, g
}

// registration of an endpoint that no connection or datagram reaches unasked.
func registration(feature int64) *h225.RasMessage {
	return &h225.RasMessage{RegistrationRequest: &h225.RegistrationRequest{RequestSeqNum: 1, ProtocolIdentifier: protocolID,
		CallSignalAddress: []h225.TransportAddress{ras.Address(netip.MustParseAddrPort("10.77.0.7:1720"))},
		RasAddress:        []h225.TransportAddress{ras.Address(netip.MustParseAddrPort("10.77.0.7:1719"))},
		TerminalType:      h225.EndpointType{Terminal: &h225.TerminalInfo{}},
		TerminalAlias:     []h225.AliasAddress{ras.AliasOf("room5")},
		FeatureSet: &h225.FeatureSet{SupportedFeatures: []h225.FeatureDescriptor{
			{Id: h225.GenericIdentifier{Standard: &feature}}}}}}
}

func encodeRAS(t testing.TB, m *h225.RasMessage) []byte {
	t.Helper()
	b, err := per.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decodeRAS(t testing.TB, b []byte) *h225.RasMessage {
	t.Helper()
	m := new(h225.RasMessage)
	if _, err := per.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// placed calls the registered endpoint; the error comes when the call ends.
func placed(t testing.TB, s *site) <-chan error {
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	go func() {
		_, err := s.DialWith(ctx, "h323:room5", s.room, DialOptions{Clear: true})
		ended <- err
	}()
	return ended
}

// called checks the SETUP to an endpoint behind a firewall, and refuses it.
func (w *wire) called(ended <-chan error) {
	w.t.Helper()
	w.caller = false
	m := w.until(q931.Setup)
	w.ref = m.q.CallReference
	copy(w.id[:], m.common().callID)
	if got := feature19(m); len(got) != 2 || len(m.body().Setup.FastStart) != 0 {
		w.t.Errorf("SETUP says %v of H.460.19, and has %d elements of fastStart", got, len(m.body().Setup.FastStart))
	}
	w.release()
	if err := receive(w.t, "the end of the call", ended); core.ReasonOf(err).Code == core.Unreachable {
		w.t.Error(err)
	}
}

// H.460.18 §7: the endpoint is asked by a datagram to connect for a call.
func TestEndpointIsAskedToConnect(t *testing.T) {
	noLeak(t)
	s, g := newGatekept(t)
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(g.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next := func() *h225.RasMessage {
		b := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return decodeRAS(t, b[:n])
	}
	c.Write(encodeRAS(t, registration(18)))
	if m := next(); m.RegistrationConfirm == nil {
		t.Fatalf("registered by %+v", m)
	}
	ended := placed(t, s)
	sci := next().ServiceControlIndication
	if sci == nil {
		t.Fatal("no ServiceControlIndication")
	}
	var i h46018.IncomingCallIndication
	if _, err := per.Decode(*sci.GenericData[0].Parameters[0].Content.Raw, &i); err != nil {
		t.Fatal(err)
	}
	if at, _ := ras.AddrPort(i.CallSignallingAddress); at != s.Addresses()["h323"] {
		t.Errorf("it is to connect to %v", at)
	}
	c.Write(encodeRAS(t, &h225.RasMessage{ServiceControlResponse: &h225.ServiceControlResponse{RequestSeqNum: sci.RequestSeqNum}}))
	stranger := wireTo(t, s, "127.0.0.9") // knows the call, but is elsewhere
	stranger.send(stranger.connects(i.CallID.Guid))
	stranger.send(stranger.message(q931.StatusInquiry))
	stranger.until(q931.Status) // so that it has been heard by now
	w := wireTo(t, s, "127.0.0.1")
	w.send(w.connects(per.OctetString(make([]byte, 16)))) // of no call
	w.send(w.connects(i.CallID.Guid))
	w.called(ended) // and not the stranger, who came first
	stranger.Close()
}

// connects is what an endpoint says first on a connection that it was asked
// for.
func (w *wire) connects(id per.OctetString) *message {
	m := &message{q: &q931.Message{Type: q931.Facility, IEs: []q931.IE{{ID: q931.FacilityIE}}}}
	m.body().Facility = &h225.FacilityUUIE{ProtocolIdentifier: protocolID, Reason: h225.FacilityReason{UndefinedReason: null}, CallIdentifier: &h225.CallIdentifier{Guid: id}}
	return m
}

// H.460.17 §7: the endpoint's one connection carries RAS and its calls.
func TestRASOverCallSignalling(t *testing.T) {
	noLeak(t)
	s, g := newGatekept(t)
	w := wireTo(t, s, "127.0.0.1")
	carry := func(b []byte) *message {
		id, one, raw := int64(featureH46017), int64(1), per.OctetString(b)
		m := &message{q: &q931.Message{Type: q931.Facility, IEs: []q931.IE{{ID: q931.FacilityIE}}}}
		m.body().Empty = null
		m.pdu().GenericData = []h225.GenericData{{Id: h225.GenericIdentifier{Standard: &id},
			Parameters: []h225.EnumeratedParameter{{Id: h225.GenericIdentifier{Standard: &one}, Content: &h225.Content{Raw: &raw}}}}}
		return m
	}
	w.send(carry([]byte{0xff, 0xff})) // no message
	w.send(carry(encodeRAS(t, registration(featureH46017))))
	answer := w.until(q931.Facility)
	if m := decodeRAS(t, *answer.pdu().GenericData[0].Parameters[0].Content.Raw); m.RegistrationConfirm == nil {
		t.Fatalf("registered by %+v", m)
	}
	for range 2 { // the connection outlives the call
		w.called(placed(t, s))
	}
	if _, ok := g.Lookup("room5"); !ok {
		t.Error("the registration ends with the call")
	}
	w.Close()
	eventually(t, "the registration ends with the connection", func() bool { _, ok := g.Lookup("room5"); return !ok })
}
