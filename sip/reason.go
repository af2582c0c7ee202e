package sip

import (
	"fmt"
	"strconv"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// outcome is how one core.Code looks on the wire: the final response to an
// INVITE, and the Q.850 cause (RFC 3326, RFC 3398) in Reason.
type outcome struct {
	status int
	cause  int
}

var outcomes = map[core.Code]outcome{
	core.Normal:        {603, 16},
	core.Ended:         {480, 16},
	core.Removed:       {403, 16},
	core.Rejected:      {603, 21},
	core.NotFound:      {404, 1},
	core.WrongPasscode: {403, 21},
	core.Throttled:     {403, 21}, // 429 is RFC 3892's: something else
	core.Full:          {486, 17},
	core.Locked:        {403, 21},
	core.NotEncrypted:  {488, 88},
	core.Incompatible:  {488, 88},
	core.Forbidden:     {403, 21},
	core.Unauthorized:  {403, 21},
	core.Busy:          {486, 17},
	core.NoAnswer:      {480, 19},
	core.Unreachable:   {480, 20},
	core.Declined:      {603, 21},
	core.MediaTimeout:  {408, 102},
	core.Overload:      {503, 42},
	core.Revoked:       {403, 21},
	core.Shutdown:      {503, 41},
	core.Failure:       {500, 41},
}

func outcomeOf(c core.Code) outcome {
	if o, ok := outcomes[c]; ok {
		return o
	}
	return outcomes[core.Failure]
}

// codeOf reads a final response to an INVITE of ours.
func codeOf(status int) core.Code {
	switch status {
	case 401, 407:
		return core.Unauthorized
	case 403:
		return core.Forbidden
	case 404, 410, 484, 485, 604:
		return core.NotFound
	case 480, 487:
		return core.NoAnswer
	case 486, 600:
		return core.Busy
	case 603, 607, 608:
		return core.Declined
	case 406, 415, 488, 606:
		return core.Incompatible
	case 494:
		return core.NotEncrypted
	case 408, 502, 504:
		return core.Unreachable
	case 503:
		return core.Overload
	}
	switch {
	case status < 500: // another server would not like it better
		return core.Incompatible
	case status >= 600:
		return core.Declined
	}
	return core.Failure
}

// failure is the Reason of a final response to an INVITE of ours: its Detail
// is for the operator and holds the peer's own words.
func failure(res *response) core.Reason {
	detail := fmt.Sprintf("%d %s", res.StatusCode, edge.Clean(res.Reason, 80))
	for _, h := range []string{"Reason", "Warning"} {
		if v := first(res, h); v != "" {
			detail += ", " + h + ": " + edge.Clean(v, 160)
		}
	}
	return edge.InWords(core.Reason{Code: codeOf(res.StatusCode), Detail: detail})
}

// reasonHeader is the value of Reason (RFC 3326) for a BYE or CANCEL.
func reasonHeader(r core.Reason) string {
	o := outcomeOf(r.Code)
	text := string(r.Code)
	return fmt.Sprintf(`Q.850;cause=%d;text="%s"`, o.cause, text)
}

// byeReason reads the Reason headers of a peer's BYE or CANCEL.
func byeReason(m message) core.Reason {
	r := core.Reason{Code: core.Normal}
	for _, v := range all(m, "Reason") {
		r.Detail = strings.TrimPrefix(r.Detail+"; "+edge.Clean(v, 160), "; ")
	}
	return r
}

// Cause finds the Q.850 cause in a Reason header's value; 0 if it has none.
func Cause(value string) int {
	for _, part := range strings.Split(value, ",") {
		f := strings.Split(part, ";")
		if !strings.EqualFold(strings.TrimSpace(f[0]), "Q.850") {
			continue
		}
		for _, p := range f[1:] {
			if k, v, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(k, "cause") {
				n, err := strconv.ParseUint(v, 10, 7)
				if err == nil {
					return int(n)
				}
			}
		}
	}
	return 0
}

// warning is the value of a Warning header (RFC 3261 20.43).
func warning(code int, host, text string) string {
	return fmt.Sprintf(`%d %s "%s"`, code, host, strings.NewReplacer(`"`, "'", `\`, "/", "\r", " ", "\n", " ").Replace(text))
}
