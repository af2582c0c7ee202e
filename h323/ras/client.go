package ras

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h235"
)

// ClientOptions of [NewClient].
type ClientOptions struct {
	// Gatekeeper is the host or host:port, port 1719 if there is none.
	Gatekeeper string
	// Identifier is the gatekeeper's; "": whichever answers.
	Identifier string
	// Aliases are this bridge's names and numbers there.
	Aliases []string
	// Prefixes of numbers lead to this bridge as a gateway.
	Prefixes []string
	// User and Password of H.235.1; "": the first alias, and no password:
	// nothing is signed. With one, only signed confirmations count.
	User, Password string
	// Signalling is our call signalling address.
	Signalling netip.AddrPort
	// TimeToLive that is asked for; 0: 5 min.
	TimeToLive time.Duration
	// Listen is the local host:port of UDP; "": any.
	Listen string
	// Calls are those that go through the gatekeeper now, for its questions.
	// Dropped is told when it ends one, Bandwidth when it sets the bit/s, both
	// ways, that one may take. They must not block.
	Dropped   func(CallID, core.Reason)
	Bandwidth func(CallID, int64)
	Trace     func(Event)
	Log       *slog.Logger
}

// Admission is a call for which a gatekeeper is asked.
type Admission struct {
	CallID       CallID
	ConferenceID [16]byte
	Reference    uint16 // call reference value of Q.931
	// Answer: we are called, by Caller, for Called.
	Answer bool
	Called string         // alias
	Caller string         // alias; "" when we call: our first
	Peer   netip.AddrPort // the other side's call signalling address, if known
	// Bandwidth is asked for, in bit/s both ways.
	Bandwidth int64
}

// Route is where an admitted call goes.
type Route struct {
	Signalling netip.AddrPort
	// Routed: that is the gatekeeper's address and not the called party's.
	Routed bool
	// Called replaces the called alias, if not empty.
	Called    string
	Tokens    []h235.ClearToken // to go into SETUP
	Bandwidth int64             // granted, in bit/s
}

// State is how a registration is doing.
type State struct {
	Registered bool
	Gatekeeper netip.AddrPort
	Identifier string
	Err        string // why it is not registered
	Since      time.Time
}

var _ = context.Background
