package ivr

import (
	"context"

	"bridgehead/core"
)

// Ringing is a caller who hears that another is being called (ringback tone as
// early media), until it is led on or refused.
type Ringing struct{ c *caller }

// Ring sits the leg down to wait for the one it calls. One of Lead, Refuse and
// Close must follow.
func (d *Desk) Ring(leg core.Leg) *Ringing {
	c := d.seat(leg)
	c.mixer.Music(d.Voice.Ringback(), true)
	return &Ringing{c}
}

// Gone is closed when the caller has hung up.
func (r *Ringing) Gone() <-chan struct{} { return r.c.gone }

// Lead takes the caller to a room.
func (r *Ringing) Lead(ctx context.Context, room core.Room) {
	defer r.c.stand()
	r.c.guard(func() { r.c.lead(context.WithoutCancel(ctx), room) })
}

// Refuse says why nobody answers, and ends the call.
func (r *Ringing) Refuse(why core.Reason) {
	defer r.c.stand()
	r.c.mixer.Music(nil, false)
	r.c.guard(func() { r.c.refuse(context.Background(), why) })
}

// Close frees the place of a caller who has gone.
func (r *Ringing) Close() { r.c.stand() }
