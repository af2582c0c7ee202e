package h323

import (
	"fmt"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// outcome is how one core.Code looks on the wire: the reason of RELEASE
// COMPLETE (H.225.0 §7.3.4) and the cause of Q.850.
type outcome struct {
	cause uint8
	set   func(*h225.ReleaseCompleteReason)
}

func (o outcome) reason() *h225.ReleaseCompleteReason {
	r := &h225.ReleaseCompleteReason{}
	o.set(r)
	return r
}

var null = &per.Null{}

var (
	undefined   = func(r *h225.ReleaseCompleteReason) { r.UndefinedReason = null }
	unreachable = func(r *h225.ReleaseCompleteReason) { r.UnreachableDestination = null }
	rejection   = func(r *h225.ReleaseCompleteReason) { r.DestinationRejection = null }
	permission  = func(r *h225.ReleaseCompleteReason) { r.NoPermission = null }
	resources   = func(r *h225.ReleaseCompleteReason) { r.GatewayResources = null }
	busy        = func(r *h225.ReleaseCompleteReason) { r.InConf = null }
	adaptive    = func(r *h225.ReleaseCompleteReason) { r.AdaptiveBusy = null }
	denied      = func(r *h225.ReleaseCompleteReason) { r.SecurityDenied = null }
	unknown     = func(r *h225.ReleaseCompleteReason) { r.CalledPartyNotRegistered = null }
)

var outcomes = map[core.Code]outcome{
	core.Normal:        {16, undefined},
	core.Ended:         {16, undefined},
	core.Removed:       {16, rejection},
	core.Rejected:      {21, rejection},
	core.NotFound:      {1, unknown},
	core.WrongPasscode: {21, permission},
	core.Throttled:     {21, permission},
	core.Full:          {17, busy},
	core.Locked:        {21, rejection},
	core.NotEncrypted:  {88, denied},
	core.Incompatible:  {88, undefined},
	core.Forbidden:     {21, permission},
	core.Unauthorized:  {21, denied},
	core.Busy:          {17, busy},
	core.NoAnswer:      {19, undefined},
	core.Unreachable:   {20, unreachable},
	core.Declined:      {21, rejection},
	core.MediaTimeout:  {102, undefined},
	core.Overload:      {42, adaptive},
	core.Revoked:       {21, permission},
	core.Shutdown:      {41, resources},
	core.Failure:       {41, undefined},
}

func outcomeOf(c core.Code) outcome {
	if o, ok := outcomes[c]; ok {
		return o
	}
	return outcomes[core.Failure]
}

// codeOf reads a Q.850 cause.
func codeOf(cause uint8) core.Code {
	switch cause {
	case 1, 2, 3, 22, 28:
		return core.NotFound
	case 16, 31:
		return core.Normal
	case 17:
		return core.Busy
	case 18, 19:
		return core.NoAnswer
	case 20, 27:
		return core.Unreachable
	case 21:
		return core.Declined
	case 34, 42, 47:
		return core.Overload
	case 57, 55:
		return core.Forbidden
	case 65, 79, 88:
		return core.Incompatible
	case 102:
		return core.NoAnswer
	}
	return core.Failure
}

// released reads a peer's RELEASE COMPLETE: the reason where it tells more than
// the cause. Before the answer, a call that nobody took has ended normally too.
func releasedBecause(m *message, answered bool) core.Reason {
	r := core.Reason{Code: core.Normal}
	var parts []string
	if ie := m.ie(q931.CauseIE); ie != nil {
		if c, ok := ie.Cause(); ok {
			r.Code = codeOf(c.Value)
			parts = append(parts, fmt.Sprintf("cause %d", c.Value))
		}
	}
	if b := m.body().ReleaseComplete; b != nil && b.Reason != nil {
		code, name := reasonOf(b.Reason)
		if code != "" {
			r.Code = code
		}
		parts = append(parts, name)
	}
	if ie := m.ie(q931.Display); ie != nil {
		parts = append(parts, `"`+edge.Clean(ie.Text(), 80)+`"`)
	}
	r.Detail = strings.Join(parts, ", ")
	if !answered && r.Code == core.Normal {
		r.Code = core.NoAnswer
	}
	if answered && r.Code != core.Normal {
		r.Code = core.Normal // whatever it says: the other side has hung up
	}
	return edge.InWords(r)
}

func reasonOf(r *h225.ReleaseCompleteReason) (core.Code, string) {
	switch {
	case r.NoBandwidth != nil:
		return core.Overload, "noBandwidth"
	case r.GatekeeperResources != nil:
		return core.Overload, "gatekeeperResources"
	case r.UnreachableDestination != nil:
		return core.Unreachable, "unreachableDestination"
	case r.DestinationRejection != nil:
		return core.Declined, "destinationRejection"
	case r.NoPermission != nil:
		return core.Forbidden, "noPermission"
	case r.UnreachableGatekeeper != nil:
		return core.Unreachable, "unreachableGatekeeper"
	case r.GatewayResources != nil:
		return core.Overload, "gatewayResources"
	case r.BadFormatAddress != nil:
		return core.NotFound, "badFormatAddress"
	case r.AdaptiveBusy != nil:
		return core.Busy, "adaptiveBusy"
	case r.InConf != nil:
		return core.Busy, "inConf"
	case r.SecurityDenied != nil:
		return core.NotEncrypted, "securityDenied"
	case r.CalledPartyNotRegistered != nil:
		return core.NotFound, "calledPartyNotRegistered"
	case r.CallerNotRegistered != nil:
		return core.Unauthorized, "callerNotRegistered"
	case r.NeededFeatureNotSupported != nil:
		return core.Incompatible, "neededFeatureNotSupported"
	}
	return "", "undefinedReason"
}

// ascii makes text fit for IA5 elements.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
