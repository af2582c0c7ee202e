// Package control is the control protocol of H.323 calls, ITU-T H.245: the
// state machines of one call's control channel, over whatever it is carried
// (a connection of its own, a tunnel in H.225.0, fast connect).
//
// It does no input or output and knows no clock: a [Machine] is fed the peer's
// messages and told what to do, and speaks through its [Call]. All of a
// Machine's methods, and those of its Call, run in one goroutine at a time.
package control

import (
	"net/netip"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Call is what a Machine needs of the call that it controls.
type Call interface {
	// Send sends the peer a message; the order is kept.
	Send(*h245.MultimediaSystemControlMessage)
	// After runs f after d, in the Machine's goroutine, unless stopped.
	After(d time.Duration, f func()) (stop func())
	// Local gives the addresses at which a medium is received: one pair for
	// each source, the same for both directions. peer is where the peer has its
	// own, if it has said so. An error is a core.Reason; the channel is then
	// rejected.
	Local(source core.Source, peer netip.AddrPort) (Transport, error)
	// Opened: media flows over the channel from now on, over one of content
	// (H.239, core.Screen) once its sender may present, until it may no more. For a channel that
	// is opened anew with another codec, key or address, Closed comes first.
	Opened(*Channel)
	// Closed: no more media over the channel.
	Closed(*Channel)
	// Event tells what else the peer asks or says.
	Event(Event)
}

// Transport is where media is received (or sent to).
type Transport struct {
	RTP, RTCP netip.AddrPort
	// MultiplexID begins each datagram there (H.460.19); 0: none does.
	MultiplexID uint32
}

// Channel is a logical channel that is open: one medium in one direction.
type Channel struct {
	Number  uint16 // forward logical channel number, of the side that sends
	Out     bool   // we send
	Session int    // RTP session: 1 audio, 2 video, others as the master says
	Source  core.Source
	// Codec as it goes over this channel, with the payload type that is on
	// the wire.
	Codec core.Codec
	// Remote is the peer's: RTP and RTCP of an outgoing channel, of an
	// incoming one RTCP only (RTP is zero).
	Remote Transport
	// KeepAlive is the payload type of the peer's packets that keep a firewall
	// open (H.460.19); 0: not said.
	KeepAlive uint8
	// Key encrypts the channel's media (H.235.6); nil: in clear.
	Key *Key
	// BitRate is the most the receiver takes, in bit/s; 0: unknown.
	BitRate int
}

// Key is a media key.
type Key struct {
	Algorithm per.OID // h235.AES128OID …
	Bytes     []byte
}

// Stopped is a limit of zero, in bit/s.
const Stopped = 1

// Event is one of the types below.
type Event interface{ event() }

type (
	// Ready: capabilities are exchanged and master and slave determined, or
	// fast connect needs neither.
	Ready struct{ Master bool }
	// Digit is a key pressed, by UserInputIndication.
	Digit struct{ Key byte }
	// FastUpdate: the peer asks for a whole picture on an outgoing channel.
	FastUpdate struct{ Channel *Channel }
	// BitRate: flow control of an outgoing channel, in bit/s; 0: no limit
	// but the channel's, Stopped: nothing may be sent.
	BitRate struct {
		Channel    *Channel
		BitsPerSec int
	}
	// Paused: the peer's capability set is empty (On), or no more.
	Paused struct{ On bool }
	// Ended: the peer ended the session, or the protocol failed (a Reason
	// other than Normal).
	Ended struct{ Reason core.Reason }
	// Presentable: the peer takes content (H.239) of this codec; zero: none.
	Presentable struct{ Codec core.Codec }
	// Token: who may present content has changed, or our request to was
	// refused; neither: nobody.
	Token struct{ Ours, Theirs bool }
	// Note is a line for the operator: a downgrade refused, a retry.
	Note struct{ Text string }
)

func (Ready) event()       {}
func (Digit) event()       {}
func (FastUpdate) event()  {}
func (BitRate) event()     {}
func (Paused) event()      {}
func (Ended) event()       {}
func (Presentable) event() {}
func (Token) event()       {}
func (Note) event()        {}
