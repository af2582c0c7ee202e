package lines

import (
	"context"
	"fmt"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/gateway/caller"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

const (
	loopKeys = "159"            // pressed to come back
	loopTone = 1004.0           // Hz
	loopFor  = 3 * time.Second  // that a tone, and keys, are waited for
	loopRing = 15 * time.Second // that it may ring
	audible  = -45.0            // dBov
)

// loopback calls the number at which the carrier gives callers their sound back:
// codec, ports and keys are tried in both directions.
func (c Checker) loopback(ctx context.Context, r *report, t store.Trunk, config sip.TrunkConfig) {
	if c.Clock == nil {
		r.note("loop-back", nil, "is called by the gateway's own check only, in the console or by the API", "")
		return
	}
	party := caller.New(caller.Options{Play: caller.Steady(-18, loopTone), Keep: time.Minute})
	defer party.Close()
	defer c.Clock.Mix(party)()
	ringing, cancel := context.WithTimeout(ctx, loopRing)
	defer cancel()
	leg, done, err := c.Edge.Try(ringing, config, t.Loopback, t.CallerID, party)
	if err != nil {
		r.note("loop-back", err, "", "Is loopback a number that this account may call? The call is under Calls, with its ladder.")
		return
	}
	defer done()
	defer func() {
		leg.Hangup(core.Reason{Code: core.Normal, Detail: "the check is done"})
		select {
		case <-party.Over():
		case <-time.After(time.Second):
		}
	}()
	const unanswered = "Is loopback a number that answers at once? The call is under Calls, with its ladder."
	select {
	case <-party.Answered():
		if r.returns(ctx, party, t.Loopback) {
			r.keys(ctx, party)
		}
	case <-party.Over():
		r.note("loop-back", party.Reason(), "", unanswered)
	case <-ringing.Done():
		r.note("loop-back", fmt.Errorf("%s does not answer", t.Loopback), "", unanswered)
	}
}

// returns waits for the tone to come back.
func (r *report) returns(ctx context.Context, party *caller.Caller, number string) bool {
	const window = caller.Rate / 50
	level, at := 0.0, 0
	came := party.Until(ctx, loopFor, func() bool {
		for pcm := party.HeardSince(at); len(pcm) >= window; pcm, at = pcm[window:], at+window {
			if level = audio.Spectrum(pcm[:window], caller.Rate, loopTone)[0]; level > audible {
				return true
			}
		}
		return false
	})
	s := party.Info().AudioStats
	if came {
		return r.note("loop-back", nil, fmt.Sprintf("%s, in %s: a tone of -18 dBov came back at %.0f dBov, first after %d ms", number, s.Codec, level, at*1000/caller.Rate), "")
	}
	err := fmt.Errorf("%s answered, but the tone did not come back: %d packets were sent, %d came", number, s.PacketsSent, s.PacketsReceived)
	remedy := "Sound does not get through in one direction or both: let the ports of rtp.ports through, and see advertise."
	if s.PacketsReceived > 0 {
		remedy = "Packets come, without the tone: is loopback a number that gives callers their sound back? If so, ours does not get there: see advertise and codecs."
	}
	return r.note("loop-back", err, "", remedy)
}

// keys waits for those that are pressed to come back, as keys or as tones.
func (r *report) keys(ctx context.Context, party *caller.Caller) {
	at := len(party.Heard())
	party.Press(loopKeys)
	keys, via := "", ""
	if party.Until(ctx, loopFor, func() bool {
		keys, via = "", "inband"
		for _, d := range party.Digits() {
			keys, via = keys+string(d.Key), d.Via
		}
		if keys == "" {
			audio.NewDigitDetector(caller.Rate).Write(party.HeardSince(at), func(k byte) { keys += string(k) })
		}
		return keys == loopKeys
	}) {
		r.note("DTMF", nil, "keys "+loopKeys+" came back, by "+via, "")
		return
	}
	r.note("DTMF", fmt.Errorf("of the keys %s, %q came back", loopKeys, keys), "", "Ask the carrier which way it takes keys, and allow that in dtmf. A loop-back number may also keep keys to itself: then leave loopback empty.")
}
