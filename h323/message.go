package h323

import (
	"fmt"
	"net/netip"

	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// protocolID is that of H.225.0 version 7, which names what we speak; a peer's
// version is never held against it.
const protocolID per.OID = "0.0.8.2250.0.7"

// message is a call signalling message with its user-user part.
type message struct {
	q    *q931.Message
	u    h225.H323UserInformation
	user []byte // u as it came
	// sign encodes a SETUP in the name of a registered endpoint; nil: unsigned.
	sign func(*h225.SetupUUIE, func() ([]byte, error)) ([]byte, error)
}

// parse reads a message as it came out of a TPKT. A message without user-user
// part, such as a plain STATUS, has an empty one.
func parse(b []byte) (*message, error) {
	q, err := q931.Parse(b)
	if err != nil {
		return nil, err
	}
	m := &message{q: q}
	user, at, ok := q.User()
	if !ok {
		return m, nil
	}
	m.user = user
	if _, err := per.Decode(user, &m.u); err != nil {
		return m, fmt.Errorf("user-user part at octet %d: %w", at, err)
	}
	return m, nil
}

func (m *message) pdu() *h225.H323UUPDU                 { return &m.u.H323UuPdu }
func (m *message) body() *h225.H323UUPDUH323MessageBody { return &m.u.H323UuPdu.H323MessageBody }
func (m *message) ie(id uint8) *q931.IE                 { return m.q.Find(id) }

func octets[T ~[]byte](list []T) (out [][]byte) {
	for _, b := range list {
		out = append(out, b)
	}
	return out
}

// encode writes the message, with the user-user part as its last element.
func (m *message) encode() ([]byte, error) {
	encode := func() ([]byte, error) { return per.Encode(&m.u) }
	user, err := m.signed(encode)
	if err != nil {
		return nil, err
	}
	q := *m.q
	q.IEs = append(q.IEs[:len(q.IEs):len(q.IEs)], q931.UserIE(user))
	return q.Append(nil)
}

func (m *message) signed(encode func() ([]byte, error)) ([]byte, error) {
	if m.sign == nil || m.body().Setup == nil {
		return encode()
	}
	return m.sign(m.body().Setup, encode)
}

// common are the components that the bodies of several messages share.
type common struct {
	callID      []byte
	h245Address *h225.TransportAddress
	tokens      []h235.ClearToken
	crypto      []h225.CryptoH323Token
	fastStart   []per.OctetString
	noFastStart bool // fastConnectRefused
	destination *h225.EndpointType
}

func (m *message) common() (c common) {
	var id *h225.CallIdentifier
	switch b := m.body(); {
	case b.Setup != nil:
		s := b.Setup
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.destination = s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, &s.SourceInfo
	case b.CallProceeding != nil:
		s := b.CallProceeding
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.noFastStart, c.destination = s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, s.FastConnectRefused != nil, &s.DestinationInfo
	case b.Alerting != nil:
		s := b.Alerting
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.noFastStart, c.destination = s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, s.FastConnectRefused != nil, &s.DestinationInfo
	case b.Progress != nil:
		s := b.Progress
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.noFastStart, c.destination = &s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, s.FastConnectRefused != nil, &s.DestinationInfo
	case b.Connect != nil:
		s := b.Connect
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.noFastStart, c.destination = s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, s.FastConnectRefused != nil, &s.DestinationInfo
	case b.Facility != nil:
		s := b.Facility
		id, c.h245Address, c.tokens, c.crypto, c.fastStart, c.noFastStart, c.destination = s.CallIdentifier, s.H245Address, s.Tokens, s.CryptoTokens, s.FastStart, s.FastConnectRefused != nil, s.DestinationInfo
	case b.ReleaseComplete != nil:
		id = b.ReleaseComplete.CallIdentifier
	case b.Information != nil:
		id = b.Information.CallIdentifier
	}
	if id != nil {
		c.callID = id.Guid
	}
	return c
}

// addressOf reads a transport address; false if it is none that can be reached.
func addressOf(t *h225.TransportAddress) (netip.AddrPort, bool) {
	if t == nil {
		return netip.AddrPort{}, false
	}
	a, ok := ras.AddrPort(*t)
	if !ok || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Port() == 0 {
		return netip.AddrPort{}, false
	}
	return a, true
}

// transport writes a transport address.
func transport(a netip.AddrPort) *h225.TransportAddress { return new(ras.Address(a)) }

// endpoint is what this end says of itself: a bridge, which mixes.
func (e *Edge) endpoint() h225.EndpointType {
	t := h225.EndpointType{Vendor: &h225.VendorIdentifier{
		Vendor:    h225.H221NonStandard{T35CountryCode: 181}, // United States; no manufacturer code is ours
		ProductId: []byte(product),
	}}
	if e.opt.Terminal {
		t.Terminal = &h225.TerminalInfo{}
		return t
	}
	t.Mcu, t.Mc = &h225.McuInfo{}, true
	return t
}

const product = "Bridgehead"
