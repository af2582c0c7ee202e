package edge

import (
	"net/netip"
	"time"

	"bridgehead/core"
)

// TraceKind is what a TraceEvent tells.
type TraceKind string

// The kinds. Every call, refused ones too, has exactly one Ended or Refused.
const (
	Sent     TraceKind = "sent"     // a message left
	Received TraceKind = "received" // a message came
	Started  TraceKind = "started"  // a call began: Leg and Info are known
	Answered TraceKind = "answered"
	Alarm    TraceKind = "alarm"   // Text says what is wrong with a call
	Noted    TraceKind = "noted"   // Text says what has become of its media
	Vouched  TraceKind = "vouched" // Text says what is known of the caller's number, Info.Stir in short
	Refused  TraceKind = "refused"
	Ended    TraceKind = "ended"
)

// TraceEvent is one thing that happened, for ladders and call records.
type TraceEvent struct {
	Time     time.Time
	Kind     TraceKind
	Protocol core.Protocol
	CallID   string // of SIP; the call identifier of H.323
	Leg      string // Info.ID; "" for what belongs to no call, or comes after its end
	Flow     FlowInfo
	// Text is the start line of a message, or the words of an alarm; Message
	// the whole of it with secrets masked.
	Text    string
	Message []byte
	// Wire is the message as it is in a capture, masked, where Message is not:
	// a TPKT of H.323.
	Wire   []byte
	Status int // of the final response, where there was one
	Reason core.Reason
	Trunk  string
	From   string // calling and called, as shown
	To     string
	Info   core.Info // Started, Answered, Ended
}

// FlowInfo tells the way a message took.
type FlowInfo struct {
	Network       string // udp, tcp, tls
	Local, Remote netip.AddrPort
}
