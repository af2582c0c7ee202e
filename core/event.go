package core

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one of the types below: everything that is not media.
type Event interface{ event() }

// Events of a party to its room.
type (
	// Digit is a key pressed: 0-9, *, #, A-D.
	Digit struct {
		Key byte
		// Via tells how it came: rfc4733, info, inband, uii.
		Via string
	}
	// Hold: the party holds the bridge (On) or takes the call up again.
	Hold struct{ On bool }
	// Hand raises or lowers the party's own hand.
	Hand struct{ Raised bool }
	// View lists what the party wants to see; it replaces the list before.
	View struct{ Wants []Want }
	// Bitrate is what the network now carries toward the party, in bit/s, in
	// all, or what the party takes of one source.
	Bitrate struct {
		Source     Source // empty: in all
		BitsPerSec int
	}
	// Changed: the party's Info has changed; media is negotiated anew. Video
	// says that its sound goes on as it was.
	Changed struct{ Video bool }
	// Command is an act of moderation; the room checks the right to it.
	Command struct {
		Verb  Verb
		Party string // whom it is about, where there is one
		Value string // address to dial, new name
	}
	// Rename sets the party's own shown name.
	Rename struct{ Name string }
)

// Events either way.
type (
	// Mute sets a source's mute: by the party itself, or told to it by the
	// room. By names who did it, where it was not the party.
	Mute struct {
		Source Source
		On     bool
		By     string
	}
	// Floor: the party wants to present its screen (On), or no more; the room
	// lets it, or does not, or no more. By names who presents instead. A party
	// that begins to publish a screen has asked for it.
	Floor struct {
		On bool
		By string
	}
	// NeedKeyframe asks the publisher of the track for a whole picture.
	NeedKeyframe struct{ Track Track }
	// Text is a chat line.
	Text struct {
		From, Name, Body string
		At               time.Time
	}
)

// MaxText bounds a line of chat, in bytes.
const MaxText = 4000

// Writable tells whether a line may be passed on: UTF-8 with something to read,
// of MaxText bytes at most.
func Writable(line string) bool {
	return len(line) <= MaxText && utf8.ValidString(line) && strings.TrimSpace(line) != ""
}

// Events of a room to its party.
type (
	// Answer connects an incoming call that so far only rings. Seats before
	// it give early media (RFC 3960).
	Answer struct{}
	// Ringing: the called party's device rings.
	Ringing struct{}
	// Placed tells where the party now is.
	Placed struct {
		Meeting string // number
		Name    string // of the meeting
		State   State
		Awaits  Awaits // while it waits
		Role    Role
		Locked  bool
	}
	// Roster is who is here. The slice is never changed after sending.
	Roster struct {
		Parties []Party
		Locked  bool
		Layout  string // of the composed picture
	}
	// Speaking names those heard now, loudest first; never changed after
	// sending. Slots[i] is the party in audio slot i, "" if free.
	Speaking struct {
		Parties []string
		Slots   []string
	}
	// Levels are the sound levels of those heard now, in -dBov.
	Levels struct{ Of map[string]uint8 }
	// Showing tells which layer of a subscribed track the party gets, or that
	// it is paused for want of bandwidth.
	Showing struct {
		Track  Track
		Paused bool
	}
	// Prefer asks for the party's pictures in a format from now on, since
	// somebody here takes no other; the zero Codec leaves it to the party.
	Prefer struct{ Video Codec }
	// Notice is a line to show to the party, in plain words.
	Notice struct {
		Code string
		Text string
	}
)

// PictureNotice is the Code of a Notice about how the party's picture is made.
const PictureNotice = "picture"

// Want is one track that a party wishes to see.
type Want struct {
	Party  string
	Source Source
	// Height of the picture on the screen, in pixels; 0 pauses it.
	Height int
}

// Verb is an act of moderation.
type Verb string

// The acts of moderation, as API paths and web client name them.
const (
	Accept     Verb = "accept"
	Reject     Verb = "reject"
	MuteParty  Verb = "mute"
	Unmute     Verb = "unmute"
	StopVideo  Verb = "stop-video"
	Remove     Verb = "remove"
	MakeHost   Verb = "make-host"
	LowerHand  Verb = "lower-hand"
	RenameOne  Verb = "rename"
	MuteAll    Verb = "mute-all"
	UnmuteAll  Verb = "unmute-all"
	RemoveAll  Verb = "remove-all"
	Lock       Verb = "lock"
	Unlock     Verb = "unlock"
	EndMeeting Verb = "end"
	DialOut    Verb = "dial"
	SetLayout  Verb = "layout" // of a party, or of the meeting; Value names it
)

// State of a party.
type State string

// The states.
const (
	InReception State = "reception"
	Waiting     State = "waiting"
	Joined      State = "joined"
	Held        State = "held"
)

// Awaits is what a party that waits is waiting for.
type Awaits string

// What they wait for.
const (
	AwaitsAcceptance Awaits = "acceptance" // by a host
	AwaitsAnybody    Awaits = "anybody"    // to be accepted by anybody inside
	AwaitsHost       Awaits = "host"
)

// Role of a party in a meeting.
type Role string

// The roles.
const (
	Host  Role = "host"
	Guest Role = "guest"
)

// Party is a line of the roster.
type Party struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Address     string    `json:"address"`
	Protocol    Protocol  `json:"protocol"`
	Direction   Direction `json:"direction"`
	Phone       bool      `json:"phone"`
	State       State     `json:"state"`
	Role        Role      `json:"role"`
	AudioMuted  bool      `json:"audio_muted"`
	VideoMuted  bool      `json:"video_muted"`
	HandRaised  bool      `json:"hand_raised"`
	Security    Security  `json:"security"`
	Stir        Stir      `json:"stir,omitzero"`
	Sources     []Source  `json:"sources"` // what it publishes now
	Joined      time.Time `json:"joined,omitzero"`
	MutedByHost bool      `json:"muted_by_host"`
	Awaits      Awaits    `json:"awaits,omitempty"`
}

func (Digit) event()        {}
func (Hold) event()         {}
func (Hand) event()         {}
func (View) event()         {}
func (Bitrate) event()      {}
func (Changed) event()      {}
func (Command) event()      {}
func (Rename) event()       {}
func (Mute) event()         {}
func (Floor) event()        {}
func (NeedKeyframe) event() {}
func (Text) event()         {}
func (Answer) event()       {}
func (Ringing) event()      {}
func (Placed) event()       {}
func (Roster) event()       {}
func (Speaking) event()     {}
func (Levels) event()       {}
func (Showing) event()      {}
func (Prefer) event()       {}
func (Notice) event()       {}
