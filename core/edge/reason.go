package edge

import "bridgehead/core"

// words tell in a meeting why a call out did not come about.
var words = map[core.Code]string{
	core.Unauthorized: "The other side asks for a login.",
	core.Forbidden:    "The other side does not allow the call.",
	core.NotFound:     "There is nobody at this address.",
	core.NoAnswer:     "Nobody answers.",
	core.Busy:         "The line is busy.",
	core.Declined:     "The call was declined.",
	core.Incompatible: "The other side's equipment speaks no language of ours.",
	core.NotEncrypted: "The other side and we can't agree on encryption.",
	core.Unreachable:  "The address does not answer.",
	core.Overload:     "All lines are busy.",
	core.Failure:      "The other side has a fault.",
}

// InWords sees to it that a Reason says something to people.
func InWords(r core.Reason) core.Reason {
	if r.Say == "" {
		r.Say = words[r.Code]
	}
	return r
}
