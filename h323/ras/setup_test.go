package ras

import (
	"net/netip"
	"testing"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// A SETUP signed in the name of a registered device proves it; changed on the
// way, or a second time, it proves nothing.
func TestSignedSetup(t *testing.T) {
	g, err := New(Options{Signalling: func(a netip.AddrPort) netip.AddrPort { return a }, Devices: devices{"room": {Name: "Room", Password: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(ClientOptions{Gatekeeper: "127.0.0.1", Signalling: netip.MustParseAddrPort("127.0.0.1:1720"), Aliases: []string{"room"}, User: "room", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	signed := func(name string) []byte {
		u := &h225.H323UserInformation{}
		setup := &h225.SetupUUIE{ProtocolIdentifier: protocol, SourceAddress: []h225.AliasAddress{AliasOf(name)}, ConferenceID: make([]byte, 16),
			ConferenceGoal: h225.SetupUUIEConferenceGoal{Create: none}, CallType: h225.CallType{PointToPoint: none}}
		u.H323UuPdu.H323MessageBody.Setup = setup
		b, err := c.SignSetup(setup, func() ([]byte, error) { return per.Encode(u) })
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	from := netip.MustParseAddrPort("127.0.0.1:40000")
	verify := func(b []byte) (string, bool) {
		var u h225.H323UserInformation
		if _, err := per.Decode(b, &u); err != nil {
			t.Fatal(err)
		}
		return g.Verify(b, u.H323UuPdu.H323MessageBody.Setup, from)
	}
	b := signed("room")
	if user, ok := verify(b); !ok || user != "room" {
		t.Fatalf("%q, %v", user, ok)
	}
	if _, ok := verify(b); ok {
		t.Error("the same SETUP again is taken")
	}
	changed := signed("room")
	for i := range changed {
		if changed[i] == 'r' && changed[i+2] == 'o' { // the sourceAddress, in two octets a character
			changed[i] = 'b'
			break
		}
	}
	if _, ok := verify(changed); ok {
		t.Error("a changed SETUP is taken")
	}
}
