package core

import "errors"

// Code is why a call ended or was refused. Edges translate it to a SIP status,
// a Q.850 cause or a WebSocket close code; nobody else does.
type Code string

// The codes.
const (
	Normal        Code = "normal"         // somebody hung up
	Ended         Code = "ended"          // the meeting was ended
	Removed       Code = "removed"        // a host removed the party
	Rejected      Code = "rejected"       // a host did not accept it
	NotFound      Code = "not-found"      // no such number
	WrongPasscode Code = "wrong-passcode" // three times
	Throttled     Code = "throttled"      // too many tries from this source
	Full          Code = "full"
	Locked        Code = "locked"
	NotEncrypted  Code = "not-encrypted" // the meeting or listener wants encryption
	Incompatible  Code = "incompatible"  // no common codec or malformed offer
	Forbidden     Code = "forbidden"
	Unauthorized  Code = "unauthorized"
	Busy          Code = "busy"
	NoAnswer      Code = "no-answer"
	Unreachable   Code = "unreachable"
	Declined      Code = "declined" // by the called person
	MediaTimeout  Code = "media-timeout"
	Overload      Code = "overload"
	Revoked       Code = "revoked"
	Shutdown      Code = "shutdown"
	Failure       Code = "failure" // ours
)

// Reason ends a call. It is an error with two audiences: Say is in plain words
// for the caller, Detail for the operator's log and the call record.
type Reason struct {
	Code   Code   `json:"code"`
	Say    string `json:"say,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func (r Reason) Error() string {
	if r.Detail != "" {
		return string(r.Code) + ": " + r.Detail
	}
	return string(r.Code)
}

// ReasonOf is the Reason in err, or a Failure that carries its text.
func ReasonOf(err error) Reason {
	var r Reason
	if err == nil {
		return Reason{Code: Normal}
	}
	if errors.As(err, &r) {
		return r
	}
	return Reason{Code: Failure, Detail: err.Error()}
}
