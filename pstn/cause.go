package pstn

import "bridgehead/core"

// Cause is one value of ITU-T Q.850 with what it means here. Status is the SIP
// response that RFC 3398 8.2.6.1 maps it to.
type Cause struct {
	Value  int
	Name   string
	Code   core.Code
	Status int
}

var causes = []Cause{
	{1, "unallocated number", core.NotFound, 404},
	{2, "no route to network", core.Unreachable, 404},
	{3, "no route to destination", core.Unreachable, 404},
	{16, "normal call clearing", core.Normal, 480},
	{17, "user busy", core.Busy, 486},
	{18, "no user responding", core.NoAnswer, 408},
	{19, "no answer from the user", core.NoAnswer, 480},
	{20, "subscriber absent", core.NoAnswer, 480},
	{21, "call rejected", core.Declined, 403},
	{22, "number changed", core.NotFound, 410},
	{27, "destination out of order", core.Unreachable, 502},
	{28, "address incomplete", core.NotFound, 484},
	{29, "facility rejected", core.Incompatible, 501},
	{31, "normal, unspecified", core.Normal, 480},
	{34, "no circuit available", core.Overload, 503},
	{38, "network out of order", core.Unreachable, 503},
	{41, "temporary failure", core.Unreachable, 503},
	{42, "switching equipment congestion", core.Overload, 503},
	{47, "resource unavailable", core.Overload, 503},
	{55, "incoming calls barred", core.Forbidden, 403},
	{57, "bearer capability not authorized", core.Forbidden, 403},
	{58, "bearer capability not available", core.Incompatible, 503},
	{65, "bearer capability not implemented", core.Incompatible, 488},
	{70, "only restricted digital available", core.Incompatible, 488},
	{79, "service not implemented", core.Incompatible, 501},
	{87, "user not member of group", core.Forbidden, 403},
	{88, "incompatible destination", core.Incompatible, 503},
	{102, "recovery on timer expiry", core.Unreachable, 504},
	{111, "protocol error", core.Failure, 500},
	{127, "interworking, unspecified", core.Failure, 500},
}

// CauseNamed is the cause with this value; false when Q.850 values of that
// number are not told apart here.
func CauseNamed(value int) (Cause, bool) {
	for _, c := range causes {
		if c.Value == value {
			return c, true
		}
	}
	return Cause{}, false
}

// CauseOfStatus maps a SIP status to a Q.850 cause (RFC 3398 7.2.4.1); 0 for
// those that end no call.
func CauseOfStatus(status int) int {
	if c, ok := statuses[status]; ok {
		return c
	}
	switch {
	case status < 300:
		return 0
	case status >= 500 && status < 600:
		return 41
	case status >= 600:
		return 21
	}
	return 31
}

var statuses = map[int]int{
	400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
	413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25,
	484: 28, 485: 1, 486: 17, 488: 88, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127,
	600: 17, 603: 21, 604: 1, 606: 88,
}

// CauseOf is the cause that tells the network why this bridge ends a call.
func CauseOf(c core.Code) int {
	if v, ok := codes[c]; ok {
		return v
	}
	return 41
}

var codes = map[core.Code]int{
	core.Normal: 16, core.Ended: 16, core.Removed: 16, core.Rejected: 21, core.NotFound: 1, core.WrongPasscode: 21,
	core.Throttled: 21, core.Full: 17, core.Locked: 21, core.NotEncrypted: 88, core.Incompatible: 88, core.Forbidden: 21,
	core.Unauthorized: 21, core.Busy: 17, core.NoAnswer: 19, core.Unreachable: 20, core.Declined: 21, core.MediaTimeout: 102,
	core.Overload: 42, core.Revoked: 21, core.Shutdown: 41, core.Failure: 41,
}
