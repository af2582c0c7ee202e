package core

import (
	"time"

	"github.com/pion/rtp"
)

// Packet is one RTP packet (RFC 3550) on its way through the bridge: header and
// payload in clear, as the publisher numbered them. Whoever needs it after
// Write returns copies it.
type Packet struct {
	Header  rtp.Header
	Payload []byte
	// Kept, if not nil, is a copy of the payload as it came that is never
	// changed: all who must keep the packet may hold on to this one.
	Kept []byte
	// Arrival is when the packet reached this machine, on the clock of [Now].
	Arrival time.Duration
	// Level is the sound level in -dBov, 0 (loudest) to 127 (silence), as the
	// sender states it (RFC 6464); LevelUnknown if it does not.
	Level uint8
}

// Warmer is a Sink that can have the processor fetch what its next Write will
// need, so that the Writes of many Sinks, one after the other, need not each wait
// for the memory ([bridgehead/core/cache]). It is called by who writes.
type Warmer interface{ Warm() }

// Warm does so where the Sink can.
func Warm(s Sink) {
	if w, ok := s.(Warmer); ok {
		w.Warm()
	}
}

// LevelUnknown is the Level of a packet whose sender states none.
const LevelUnknown = 255

var start = time.Now()

// Now is the bridge's media clock: monotonic time since the process began.
func Now() time.Duration { return time.Since(start) }

// Kind is what a track carries.
type Kind uint8

// The kinds of track.
const (
	Audio Kind = iota + 1
	Video
)

func (k Kind) String() string { return [...]string{"", "audio", "video"}[k] }

// Source is where a track comes from.
type Source string

// The sources of tracks.
const (
	Microphone Source = "microphone"
	Camera     Source = "camera"
	Screen     Source = "screen"
	// Mix is the audio that the room itself makes for a party.
	Mix Source = "mix"
	// Stage is what a party is sent that can show one picture only: whoever
	// speaks, as one stream.
	Stage Source = "stage"
)

// Kind of the media that the source gives.
func (s Source) Kind() Kind {
	if s == Camera || s == Screen || s == Stage {
		return Video
	}
	return Audio
}

// Metered is a Sink of sound that listens to it.
type Metered interface{ Meter() Meter }

// Meter is how sound was so far.
type Meter struct {
	Level   uint8 // now, -dBov
	Loudest uint8 // -dBov; 127: silence, or nobody listened
	// Listened are the frames of 20 ms that were decoded, Clipped those of them
	// that reach full scale.
	Listened, Clipped uint64
	// Compared are the windows of 10 s in which the others talked enough to look
	// for their echo in the sound, Echoes those of them in which there was one,
	// EchoAfter they had talked.
	Compared, Echoes uint64
	EchoAfter        time.Duration
}

// Track is one stream of packets.
type Track struct {
	// Party is the ID of the party whose media this is; empty for what the
	// room makes itself.
	Party  string
	Source Source
	// Layer is the simulcast stream (RFC 8853 rid) from "q" over "h" to "f";
	// empty where there is only one.
	Layer string
	Codec Codec
	// Slot numbers the interchangeable audio tracks (active speakers) that a
	// room forwards to a party, from 0; only with an empty Party.
	Slot int
}

// Codec names a payload format as SDP does (RFC 8866 rtpmap and fmtp).
type Codec struct {
	// Name is the media subtype as registered: PCMU, PCMA, G722, opus, VP8,
	// VP9, H264, AV1. It is compared without regard to case.
	Name string
	// ClockRate of the RTP timestamp, in Hz (8000 for G722 too, RFC 3551).
	ClockRate int
	Channels  int
	// PayloadType as numbered in this party's own session.
	PayloadType uint8
	Fmtp        string
	// Ptime is the length of sound in each packet sent to the party; 0: 20 ms.
	Ptime time.Duration
}
