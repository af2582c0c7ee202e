package core

import (
	"context"
	"net/netip"
	"time"
)

// Protocol of a leg, as the roster names it.
type Protocol string

// The protocols.
const (
	WebRTC Protocol = "webrtc"
	SIP    Protocol = "sip"
	H323   Protocol = "h323"
	PSTN   Protocol = "pstn"
)

// Direction of a call, seen from the bridge.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Security says how a leg is protected, hop to hop.
type Security struct {
	Signalling string `json:"signalling"` // tls, h235 or clear
	Media      string `json:"media"`      // dtls-srtp, sdes-srtp, h235 or clear
	// Suite is the media cipher by its registered name, such as
	// AEAD_AES_256_GCM (RFC 7714); empty when clear.
	Suite string `json:"suite,omitempty"`
}

// Encrypted reports whether nobody on the way can listen: both signalling and
// media are encrypted, or the media's keys never travel in the signalling, as
// with the Diffie-Hellman exchange of H.235.6.
func (s Security) Encrypted() bool {
	switch s.Media {
	case "", "clear":
		return false
	case "h235":
		return true
	}
	return s.Signalling != "" && s.Signalling != "clear"
}

// Stir is what is known of a caller's number on the telephone network beyond the
// caller's word (STIR, RFC 8224). The zero value: nothing.
type Stir struct {
	// Result is "verified", or why it is not: "no identity", "stale", "number
	// differs" and the like.
	Result string `json:"result"`
	// Attest is the signer's word (RFC 8588): "A", the number is the caller's; "B",
	// the signer knows the caller and not the number; "C", neither. Empty: it
	// says none.
	Attest string `json:"attest,omitempty" enum:"A,B,C"`
	// By is who has verified it: "bridge", or "carrier", which is taken at its word.
	By string `json:"by" enum:"bridge,carrier"`
}

// Verified is the [Stir.Result] of a number that is vouched for.
const Verified = "verified"

// Info is a snapshot of a party.
type Info struct {
	ID        string // opaque, never used twice
	Name      string // to show
	Address   string // SIP URI, E.164 number and the like, as far as the caller shows it
	Protocol  Protocol
	Direction Direction
	Security  Security
	// Source is the network address that the call comes from; wrong passcodes
	// count against it.
	Source netip.Addr
	// User is the account or device that the caller has proved to be; empty
	// for a stranger.
	User string
	// Request is the call out that this is one attempt of, beside those over
	// other trunks; see [WithRequest]. Zero: there are no others.
	Request Request
	// Phone tells a caller on the telephone network (a trunk), who has only
	// ears and keys.
	Phone bool
	// Stir is what is known of such a caller's number.
	Stir Stir
	// Audio is what the party can be sent; zero if nothing. Forwarded says
	// that it takes other such parties' microphones unmixed, as browsers do.
	Audio     Codec
	Forwarded bool
	// Video lists what the party can be sent, best first. One that is not
	// Forwarded is sent a single picture, the [Stage], in the first of them.
	Video []Codec
	// Content lists what a party that is not Forwarded can be sent of a shared
	// screen beside the Stage.
	Content []Codec
	// InbandDigits asks for tones to be sought in the party's sound, since it
	// has no other way to send keys.
	InbandDigits bool
	AudioStats   Stats
	VideoStats   Stats
	RTT          time.Duration // round trip by RTCP; 0 if unknown
}

// Stats count one kind of media of one leg since the call began.
type Stats struct {
	Codec           string
	PacketsReceived uint64
	PacketsSent     uint64
	PacketsLost     uint64 // by the gaps in what was received
	Jitter          time.Duration
	// RemoteLost and RemoteJitter are the far end's view, by RTCP.
	RemoteLost   uint64
	RemoteJitter time.Duration
	// SSRC is that of what is sent, of Octets so far; PeerSSRC of what comes,
	// whose time stamps run at ClockRate. As far as the edge tells.
	SSRC, PeerSSRC uint32
	Octets         uint64
	ClockRate      int // Hz
	Width          int
	Height         int
	FPS            int
	BitsPerSec     int
	Way            Way
}

// Way is the path of one kind of media, as far as the edge can tell.
type Way struct {
	Port      int            // of ours, where it is taken; 0 where ports are shared by all
	Signalled netip.AddrPort // where the peer wants it sent
	Found     netip.AddrPort // where the peer's comes from; zero before it has
	// First and Last are when the first and the last packet came; zero: none has.
	First, Last time.Time
	// What came and was not taken: Strange from an address that is not the
	// peer's, the first of which is Stranger; Alien of a payload type that was not
	// agreed on, the last of which is AlienType; Forged not authentic.
	Strange, Alien, Forged uint64
	Stranger               netip.AddrPort
	AlienType              uint8
}

type requestKey struct{}

// Request is a call out, whatever attempts it takes.
type Request struct {
	ID string
	By string // the account, device or number that has asked for it; empty: none known
	To string // as it was asked for
}

// WithRequest has all attempts of a call out tell so in their Info.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf is what [WithRequest] was told; zero: nothing.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// Call is a request to be routed.
type Call struct {
	// To is the called number or name, without scheme and host; with
	// NUMBER**PASSCODE the passcode is still in it.
	To   string
	From string
	Info Info
	// Trunk is the name of the trunk that the call came over; empty otherwise.
	Trunk string
}
