package vectors_test

import (
	"encoding/hex"
	"reflect"
	"testing"

	"bridgehead/h323/h225"
	"bridgehead/h323/h235/srtp"
	"bridgehead/h323/h245"
	"bridgehead/h323/h460/h46018"
	"bridgehead/h323/h460/h46019"
	"bridgehead/h323/per"
)

func address() h225.TransportAddress {
	return h225.TransportAddress{IpAddress: &h225.TransportAddressIpAddress{Ip: per.OctetString{127, 0, 0, 1}, Port: 1720}}
}

func media() *h245.TransportAddress {
	return &h245.TransportAddress{UnicastAddress: &h245.UnicastAddress{IPAddress: &h245.UnicastAddressIPAddress{
		Network: per.OctetString{127, 0, 0, 1}, TsapIdentifier: 20000}}}
}

func command(c h245.CommandMessage) *h245.MultimediaSystemControlMessage {
	return &h245.MultimediaSystemControlMessage{Command: &c}
}

var (
	id   = per.OctetString{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	call = h225.CallIdentifier{Guid: id}
)

// Messages that no peer sent, as Erlang's asn1ct encodes them too.
var built = []struct {
	name  string
	value any
	wire  string
}{
	{"flowControlCommand", command(h245.CommandMessage{FlowControlCommand: &h245.FlowControlCommand{
		Scope:       h245.FlowControlCommandScope{LogicalChannelNumber: new(102)},
		Restriction: h245.FlowControlCommandRestriction{MaximumBitRate: new(3840)}}}), "48000065200f00"},
	{"encryptionUpdateRequest", command(h245.CommandMessage{MiscellaneousCommand: &h245.MiscellaneousCommand{LogicalChannelNumber: 102,
		Type: h245.MiscellaneousCommandType{EncryptionUpdateRequest: &h245.EncryptionUpdateRequest{KeyProtectionMethod: &h245.KeyProtectionMethod{SharedSecret: true}}}}}), "4c0065830148"},
	{"bandwidthRequest", &h225.RasMessage{BandwidthRequest: &h225.BandwidthRequest{RequestSeqNum: 7, EndpointIdentifier: "ep", ConferenceID: id,
		CallReferenceValue: 9, BandWidth: 7680, CallIdentifier: &call, AnsweredCall: new(true)}}, "3200000602006500700102030405060708090a0b0c0d0e0f100009401e0017080011000102030405060708090a0b0c0d0e0f100180"},
	{"infoRequestResponse", &h225.RasMessage{InfoRequestResponse: &h225.InfoRequestResponse{RequestSeqNum: 7, EndpointIdentifier: "ep",
		EndpointType: h225.EndpointType{Terminal: &h225.TerminalInfo{}}, RasAddress: address(), CallSignalAddress: []h225.TransportAddress{address()},
		EndpointAlias: []h225.AliasAddress{{DialledDigits: new("7001")}, {H323ID: new("Zürich 🙂")}, {UrlID: new("h323:a@b")}},
		PerCallInfo: []h225.InfoRequestResponsePerCallInfo{{CallReferenceValue: 9, ConferenceID: id, Originator: new(true),
			CallType: h225.CallType{PointToPoint: new(per.Null)}, BandWidth: 1280, CallModel: h225.CallModel{Direct: new(per.Null)}, CallIdentifier: &call, SubstituteConfIDs: []h225.ConferenceIdentifier{}}},
		NeedResponse: new(true), IrrStatus: &h225.InfoRequestResponseStatus{Complete: new(per.Null)}}}, "5ac0000602004000650070007f00000106b801007f00000106b8030180a3344008005a00fc00720069006300680020d83dde42800a0007683332333a61406201a000090102030405060708090a0b0c0d0e0f108010050003c80011000102030405060708090a0b0c0d0e0f1001000e2801800100"},
	{"incomingCallIndication", &h46018.IncomingCallIndication{CallSignallingAddress: address(), CallID: call}, "007f00000106b8000102030405060708090a0b0c0d0e0f10"},
	{"traversalParameters", &h46019.TraversalParameters{MultiplexedMediaChannel: media(), MultiplexID: new(int64(1 << 31)),
		KeepAliveChannel: media(), KeepAlivePayloadType: new(126), KeepAliveInterval: new(int64(30))}, "5e007f0000014e20c080000000007f0000014e20fc001d"},
	{"srtpCryptoCapability", &srtp.SrtpCryptoCapability{{CryptoSuite: new(per.OID("0.0.8.235.0.4.91")), AllowMKI: new(false),
		SessionParams: &srtp.SrtpSessionParameters{Kdr: new(24), WindowSizeHint: new(64)}}}, "0170070008816b00045b42c0000000"},
}

func TestBuilt(t *testing.T) {
	for _, c := range built {
		b, err := per.Encode(c.value)
		if err != nil || hex.EncodeToString(b) != c.wire {
			t.Errorf("%s is written as\n%x, %v", c.name, b, err)
			continue
		}
		again := reflect.New(reflect.TypeOf(c.value).Elem()).Interface()
		if _, err := per.Decode(b, again); err != nil || !reflect.DeepEqual(again, c.value) {
			t.Errorf("%s is read as %+v, %v", c.name, again, err)
		}
	}
}
