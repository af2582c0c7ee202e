// Package core is the ground floor of the bridge: the few words in which every
// protocol edge and every room speak to one another.
//
// A party is anyone in a meeting: a browser, a SIP or H.323 endpoint, a caller
// from the telephone network. An edge implements [Leg], the party as the room
// sees it; a room implements [Seat], the room as the party sees it. The two
// mirror each other: media is always a [Sink], control is always an [Event].
//
// A party that moves from the reception to the waiting room to the meeting is
// sat anew. A seat in the waiting room leads nowhere, so "no media before
// acceptance" holds for every protocol without any edge's help.
package core

import "context"

// Sink takes the packets of one track. Write never blocks and never keeps the
// packet or its payload after it returns; an error is informative, the caller
// goes on sending. A Sink is written from one goroutine at a time.
type Sink interface {
	Write(*Packet) error
	Close() error
}

// Discard is a Sink that takes everything and does nothing with it.
var Discard Sink = discard{}

type discard struct{}

func (discard) Write(*Packet) error { return nil }
func (discard) Close() error        { return nil }

// Leg is one party as a room sees it; an edge implements it. Every method may
// be called from any goroutine and returns without waiting for the network.
type Leg interface {
	// Info is a snapshot of who this is and how the call is doing.
	Info() Info
	// Sit gives the party its seat from now on. The edge publishes its tracks
	// there anew and drops the sinks of the seat before.
	Sit(Seat)
	// Subscribe is the room's wish to send the party this track. The caller
	// closes the sink. An error says that the party cannot take the track now.
	Subscribe(Track) (Sink, error)
	// Signal queues an event for the party.
	Signal(Event)
	// Hangup ends the call; the edge then calls Leave on the seat. Only the
	// first reason counts.
	Hangup(Reason)
}

// Seat is a room as its party sees it; a room implements it. Every method may
// be called from any goroutine and never blocks.
type Seat interface {
	// Publish offers a track and returns where to write its packets.
	Publish(Track) (Sink, error)
	// Signal queues an event for the room.
	Signal(Event)
	// Leave tells the room that the party is gone. Later calls do nothing.
	Leave(Reason)
}

// Room is where a leg can go: a meeting, the reception, another party's phone.
type Room interface {
	Name() string
	// Join seats the leg, now or later, and returns. A refusal is a [Reason].
	Join(context.Context, Leg) error
}

// Watcher is a Room that follows the calls placed into it by Edge.Dial. The
// methods may come from any goroutine.
type Watcher interface {
	// Ringing: the called party's device rings.
	Ringing(Leg)
	// Failed comes instead of Join, once, when the call ends unanswered after
	// Dial has returned it.
	Failed(Leg, Reason)
}

// Dialplan finds the room that a call leads to. A refusal is a [Reason].
type Dialplan interface {
	Route(context.Context, Call) (Room, error)
}

// Edge speaks one protocol to the outside.
type Edge interface {
	Name() string
	// Serve answers calls until ctx ends.
	Serve(context.Context, Dialplan) error
	// Dial calls an address and, once it is answered, joins it to the room.
	// The leg is returned while it still rings; the end of ctx before the
	// answer gives up. A room that is a [Watcher] is told how it goes.
	Dial(ctx context.Context, to string, into Room) (Leg, error)
}
