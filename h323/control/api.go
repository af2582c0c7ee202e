package control

import "bridgehead/h323/h245"

// Start begins capability exchange and master slave determination, as H.245
// is reachable. Only the first call counts.
func (m *Machine) Start() {}

// Receive takes a message of the peer.
func (m *Machine) Receive(msg *h245.MultimediaSystemControlMessage) {}

// ReceiveBytes decodes and takes a message of the peer.
func (m *Machine) ReceiveBytes(b []byte) error { return nil }

// Offer gives the elements of fastStart that propose each codec both ways.
func (m *Machine) Offer() [][]byte { return nil }

// Answer chooses from a caller's fastStart and opens what it chose.
func (m *Machine) Answer(fastStart [][]byte) (answer [][]byte, ok bool) { return nil, false }

// Answered takes the callee's choice of what Offer proposed, and opens it.
func (m *Machine) Answered(fastStart [][]byte) error { return nil }

// Digit sends a key.
func (m *Machine) Digit(key byte) {}

// FastUpdate asks for a whole picture on an incoming channel.
func (m *Machine) FastUpdate(ch *Channel) {}

// FlowControl limits an incoming channel, in bit/s; 0: no limit.
func (m *Machine) FlowControl(ch *Channel, bps int) {}

// Rekey gives a channel a new media key.
func (m *Machine) Rekey(ch *Channel) {}

// Hold tells the peer to send nothing, by an empty capability set.
func (m *Machine) Hold(on bool) {}

// End closes all channels and ends the session.
func (m *Machine) End() {}

// State is a snapshot for logs.
func (m *Machine) State() State { return State{} }

// State is what a Machine has reached.
type State struct {
	Ready, Master, Paused, Held, Ended bool
	Channels                           []*Channel // open ones
	Discarded                          int        // messages not understood
}
