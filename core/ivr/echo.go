package ivr

import (
	"context"
	"time"

	"bridgehead/core"
)

// Echo gives callers their own sound back, so that they can try microphone,
// speaker and the way between. It ends after two minutes.
type Echo struct{ Desk }

const echoFor = 2 * time.Minute

// Name of the room.
func (e *Echo) Name() string { return "echo" }

// Join answers the call and returns at once.
func (e *Echo) Join(ctx context.Context, leg core.Leg) error {
	c := e.place(leg, true)
	leg.Signal(core.Answer{})
	leg.Signal(core.Placed{Name: e.Name(), State: core.Joined, Role: core.Guest})
	go func() {
		defer c.stand()
		over := time.NewTimer(echoFor)
		defer over.Stop()
		select {
		case <-c.gone:
		case <-over.C:
			leg.Hangup(core.Reason{Code: core.Normal, Say: "The test is over.", Detail: "echo test ended"})
			<-c.gone
		}
	}()
	return nil
}
