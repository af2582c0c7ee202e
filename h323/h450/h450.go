// Package h450 has the messages of supplementary services: the generic frame
// of ITU-T H.450.1, with remote operations (X.880) in it, and as much of call
// transfer (H.450.2) and hold (H.450.4) as a bridge takes part in. They travel
// in the user-user part of call signalling.
package h450

import (
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// Operations, by their local code.
const (
	CallTransferIdentify = 7 // H.450.2: where would a call be transferred to?
	CallTransferAbandon  = 8
	CallTransferInitiate = 9
	CallTransferSetup    = 10
	HoldNotific          = 101 // H.450.4
	RetrieveNotific      = 102
)

// NotAvailable is the general error (H.450.1 §9) that refuses a service.
const NotAvailable = 3

// UnrecognizedOperation is the problem of an invocation that is rejected.
const UnrecognizedOperation = 1

// SupplementaryService is the SEQUENCE H4501SupplementaryService.
type SupplementaryService struct {
	NetworkFacilityExtension *NetworkFacilityExtension `json:"networkFacilityExtension,omitzero"`
	InterpretationApdu       *InterpretationApdu       `json:"interpretationApdu,omitzero"`
	ServiceApdu              ServiceApdus              `json:"serviceApdu"`
	Extensions               per.Extensions            `json:"...,omitzero"`
}

// NetworkFacilityExtension is the SEQUENCE of that name.
type NetworkFacilityExtension struct {
	SourceEntity             EntityType         `json:"sourceEntity"`
	SourceEntityAddress      *h225.AliasAddress `json:"sourceEntityAddress,omitzero"`
	DestinationEntity        EntityType         `json:"destinationEntity"`
	DestinationEntityAddress *h225.AliasAddress `json:"destinationEntityAddress,omitzero"`
	Extensions               per.Extensions     `json:"...,omitzero"`
}

// EntityType is the CHOICE of that name.
type EntityType struct {
	_          per.Choice
	Endpoint   *per.Null      `json:"endpoint,omitzero"`
	AnyEntity  *per.Null      `json:"anyEntity,omitzero"`
	Extensions per.Extensions `json:"...,omitzero"`
}

// InterpretationApdu is the CHOICE of that name: what to do with an invocation
// that is not understood. Without it, it is rejected.
type InterpretationApdu struct {
	_          per.Choice
	Discard    *per.Null      `json:"discardAnyUnrecognizedInvokePdu,omitzero"`
	ClearCall  *per.Null      `json:"clearCallIfAnyInvokePduNotRecognized,omitzero"`
	Reject     *per.Null      `json:"rejectAnyUnrecognizedInvokePdu,omitzero"`
	Extensions per.Extensions `json:"...,omitzero"`
}

// ServiceApdus is the CHOICE of that name.
type ServiceApdus struct {
	_          per.Choice
	RosApdus   *[]ROS         `json:"rosApdus,omitzero"`
	Extensions per.Extensions `json:"...,omitzero"`
}

// ROS is the CHOICE of remote operations' messages.
type ROS struct {
	_            per.Choice
	Invoke       *Invoke       `json:"invoke,omitzero"`
	ReturnResult *ReturnResult `json:"returnResult,omitzero"`
	ReturnError  *ReturnError  `json:"returnError,omitzero"`
	Reject       *Reject       `json:"reject,omitzero"`
}

// Code is an operation's or an error's code.
type Code struct {
	_      per.Choice
	Local  *int64   `json:"local,omitzero"`
	Global *per.OID `json:"global,omitzero"`
}

// Invoke asks for an operation.
type Invoke struct {
	InvokeID int          `json:"invokeId" per:"0..65535"`
	LinkedID *int         `json:"linkedId,omitzero" per:"0..65535"`
	Opcode   Code         `json:"opcode"`
	Argument per.OpenType `json:"argument,omitzero" per:"optional"`
}

// ReturnResult answers one.
type ReturnResult struct {
	InvokeID int64   `json:"invokeId"`
	Result   *Result `json:"result,omitzero"`
}

// Result is an operation's.
type Result struct {
	Opcode Code         `json:"opcode"`
	Result per.OpenType `json:"result"`
}

// ReturnError refuses one.
type ReturnError struct {
	InvokeID  int64        `json:"invokeId"`
	Errcode   Code         `json:"errcode"`
	Parameter per.OpenType `json:"parameter,omitzero" per:"optional"`
}

// Reject says that a message makes no sense here.
type Reject struct {
	InvokeID int64   `json:"invokeId"`
	Problem  Problem `json:"problem"`
}

// Problem is the CHOICE of what a Reject says.
type Problem struct {
	_            per.Choice
	General      *int64 `json:"general,omitzero"`
	Invoke       *int64 `json:"invoke,omitzero"`
	ReturnResult *int64 `json:"returnResult,omitzero"`
	ReturnError  *int64 `json:"returnError,omitzero"`
}

// EndpointAddress is the SEQUENCE of that name.
type EndpointAddress struct {
	DestinationAddress     []h225.AliasAddress `json:"destinationAddress"`
	RemoteExtensionAddress *h225.AliasAddress  `json:"remoteExtensionAddress,omitzero"`
	Extensions             per.Extensions      `json:"...,omitzero"`
}

// CTIdentifyRes is the result of CallTransferIdentify: whoever calls that
// number has been transferred.
type CTIdentifyRes struct {
	CallIdentity    string          `json:"callIdentity" per:"numeric size 0..4"`
	ReroutingNumber EndpointAddress `json:"reroutingNumber"`
	Extensions      per.Extensions  `json:"...,omitzero"`
}

// Of puts one message in its frame, encoded.
func Of(r ROS) ([]byte, error) {
	return per.Encode(&SupplementaryService{ServiceApdu: ServiceApdus{RosApdus: &[]ROS{r}}})
}

// Decode reads the messages in a frame, and what to do with invocations that
// are not understood (nil: reject).
func Decode(b []byte) ([]ROS, *InterpretationApdu, error) {
	var s SupplementaryService
	if _, err := per.Decode(b, &s); err != nil {
		return nil, nil, err
	}
	if s.ServiceApdu.RosApdus == nil {
		return nil, s.InterpretationApdu, nil
	}
	return *s.ServiceApdu.RosApdus, s.InterpretationApdu, nil
}
