package control

import (
	"io"
	"log/slog"
	"time"

	"bridgehead/core"
	"bridgehead/h323/per"
)

// Bounds of what a peer can make a Machine keep or say.
const (
	maxChannels = 16 // each way
	maxNotes    = 32
	maxReplies  = 32 // functionNotUnderstood
	maxTries    = 3  // of capability exchange and determination (H.323 8.2)
)

// The timers of H.245's signalling entities, and their default of 30 s that
// the Recommendation leaves to the implementation.
const (
	t101 = 30 * time.Second // capability exchange
	t103 = 30 * time.Second // logical channels
	t106 = 30 * time.Second // master slave determination
	t108 = 30 * time.Second // request to close a channel
)

// Options of a Machine.
type Options struct {
	// Terminal is the terminalType of master slave determination: 50 a
	// terminal, 190 a bridge (an MCU with audio and video).
	Terminal int
	// Codecs that are taken and sent, best first: PCMU, PCMA, G722, H264. For
	// Opus H.245 has no capability.
	Codecs []core.Codec
	// Encryption is that of both sides' tokens; nil: no H.235.6 in this call.
	Encryption *Encryption
	// Required: media must be encrypted. Channels in clear are refused and
	// not opened.
	Required bool
	// BitRate is the most video that is taken, in bit/s; 0: 2 Mbit/s.
	BitRate int
	// Rand makes keys and numbers; nil: crypto/rand.
	Rand io.Reader
	Log  *slog.Logger
}

// Encryption is H.235.6 as the tokens of call signalling agree on it.
type Encryption struct {
	Algorithms []per.OID // that both sides allow, best first
	Secret     []byte    // of the Diffie-Hellman exchange; nil: not yet known
}

// Machine is one call's H.245.
type Machine struct {
	opt  Options
	call Call
	enc  *Encryption
}

// New makes a Machine that does nothing yet. An unknown codec is an error.
func New(opt Options, call Call) (*Machine, error) {
	return &Machine{opt: opt, call: call, enc: opt.Encryption}, nil
}

// SetEncryption tells what the tokens agree on, where they come after New: in
// time before Start, or before the answer to fast connect is given.
func (m *Machine) SetEncryption(e *Encryption) { m.enc = e }
