package sip

import (
	"bytes"
	"net/netip"
	"regexp"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
)

// TraceKind is what a TraceEvent tells.
type TraceKind string

// The kinds. Every call, refused ones too, has exactly one Ended or Refused.
const (
	Sent     TraceKind = "sent"     // a message left
	Received TraceKind = "received" // a message came
	Started  TraceKind = "started"  // a call began: Leg and Info are known
	Answered TraceKind = "answered"
	Alarm    TraceKind = "alarm" // Text says what is wrong with a call
	Refused  TraceKind = "refused"
	Ended    TraceKind = "ended"
)

// TraceEvent is one thing that happened, for ladders and call records.
type TraceEvent struct {
	Time   time.Time
	Kind   TraceKind
	CallID string // of SIP
	Leg    string // Info.ID; "" for what belongs to no call, or comes after its end
	Flow   FlowInfo
	// Text is the start line of a message, or the words of an alarm; Message
	// the whole of it with secrets masked.
	Text    string
	Message []byte
	Status  int // of the final response, where there was one
	Reason  core.Reason
	Trunk   string
	From    string // calling and called, as shown
	To      string
	Info    core.Info // Started, Answered, Ended
}

// FlowInfo tells the way a message took.
type FlowInfo struct {
	Network       string // udp, tcp, tls
	Local, Remote netip.AddrPort
}

func flowInfo(f *flow) FlowInfo { return FlowInfo{f.network, f.local, f.remote} }

func (e *Edge) trace(t TraceEvent) {
	if e.opt.Trace == nil {
		return
	}
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	e.opt.Trace(t)
}

// refuse records a call that never got a leg, or whose leg never began.
func (e *Edge) refuse(t TraceEvent) {
	e.counters.Refused.Add(1)
	t.Kind, t.To, t.From = Refused, MaskPasscode(t.To), clean(t.From, 128)
	e.log.Info("SIP call refused", "source", t.Flow.Remote, "to", t.To, "status", t.Status, "reason", t.Reason.Error(), "call", clean(t.CallID, 64))
	if n := e.nameOf(t.CallID); n != nil && !n.known {
		t.Leg = n.leg
		e.reveal(t.CallID)
		defer e.forget(t.CallID, n.leg)
	}
	e.trace(t)
}

// legName is the ID that a call's messages are traced with. It is given to the
// first INVITE; until it is clear what that becomes, its events wait.
type legName struct {
	leg     string
	known   bool
	waiting []TraceEvent
}

func (e *Edge) nameOf(callID string) *legName {
	e.namesMu.Lock()
	defer e.namesMu.Unlock()
	return e.names[callID]
}

// nameLeg gives a new leg the ID that its INVITE was traced with, or a new one.
func (e *Edge) nameLeg(callID string, out bool) string {
	e.namesMu.Lock()
	defer e.namesMu.Unlock()
	n := e.names[callID]
	if n != nil && !n.known && !out {
		return n.leg
	}
	id := newID()
	if n == nil && out && e.opt.Trace != nil {
		e.names[callID] = &legName{leg: id, known: true}
	}
	return id
}

// reveal passes on what waited, under the leg's name.
func (e *Edge) reveal(callID string) {
	e.namesMu.Lock()
	var list []TraceEvent
	n := e.names[callID]
	if n != nil && !n.known {
		list, n.waiting, n.known = n.waiting, nil, true
	}
	e.namesMu.Unlock()
	for _, t := range list {
		t.Leg = n.leg
		e.trace(t)
	}
}

// forget drops a name; what still waits is passed on without it.
func (e *Edge) forget(callID, leg string) {
	e.namesMu.Lock()
	n := e.names[callID]
	if n == nil || leg != "" && n.leg != leg || leg == "" && n.known {
		e.namesMu.Unlock()
		return
	}
	delete(e.names, callID)
	e.namesMu.Unlock()
	for _, t := range n.waiting {
		e.trace(t)
	}
}

func (e *Edge) traceMessage(k TraceKind, f *flow, b []byte, m message) {
	if e.opt.Trace == nil {
		return
	}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	t := TraceEvent{Time: time.Now(), Kind: k, Flow: flowInfo(f), Text: clean(string(maskPasscode(line)), 256), Message: mask(b)}
	if m != nil {
		t.CallID = callID(m)
	} else if id := callIDLine.FindSubmatch(b); id != nil {
		t.CallID = string(id[1])
	}
	req, _ := m.(*request)
	begins := k == Received && req != nil && req.Method == siplib.INVITE && req.To() != nil && param(req.To().Params, "tag") == ""
	e.namesMu.Lock()
	n := e.names[t.CallID]
	if n == nil && begins && len(e.names) < 4*e.opt.MaxCalls {
		n = &legName{leg: newID()}
		e.names[t.CallID] = n
	}
	wait := n != nil && !n.known && len(n.waiting) < 16
	if wait {
		n.waiting = append(n.waiting, t)
	} else if n != nil && n.known {
		t.Leg = n.leg
	}
	e.namesMu.Unlock()
	if !wait {
		e.trace(t)
	}
}

var callIDLine = regexp.MustCompile(`(?mi)^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)`)

// mask copies a message without its secrets: hashes of passwords, media keys,
// keys pressed, and the passcode in NUMBER**PASSCODE.
func mask(b []byte) []byte {
	out := make([]byte, 0, len(b))
	keys := false // the body is DTMF
	for body := false; len(b) > 0; {
		line, rest, more := bytes.Cut(b, []byte("\r\n"))
		b = rest
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case body && keys:
			line = []byte("*")
		case len(line) == 0:
			body = true
		case !body && (foldPrefix(name, "authorization") || foldPrefix(name, "proxy-authorization")):
			line = append(bytes.Clone(name), ": ***"...)
		case !body && foldPrefix(line, "content-type") && bytes.Contains(bytes.ToLower(line), []byte("dtmf")), !body && foldPrefix(line, "c:") && bytes.Contains(line, []byte("dtmf")):
			keys = true
		case body:
			line = maskKeys(line)
		}
		if !body {
			line = maskPasscode(line)
		}
		out = append(out, line...)
		if more {
			out = append(out, "\r\n"...)
		}
	}
	return out
}

func foldPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// maskKeys hides what follows inline: on an a=crypto line, wherever it is.
func maskKeys(line []byte) []byte {
	i := bytes.Index(bytes.ToLower(line), []byte("inline:"))
	if i < 0 {
		return line
	}
	return append(bytes.Clone(line[:i]), "inline:***"...)
}

// maskPasscode hides what stands between ** and the end of the user part.
func maskPasscode(line []byte) []byte {
	for at := 0; at < len(line); {
		i, n := stars(line[at:])
		if i < 0 {
			break
		}
		i += at + n
		end := bytes.IndexAny(line[i:], "@>;:? \t\"")
		if end < 0 {
			end = len(line) - i
		}
		line = append(append(bytes.Clone(line[:i]), "***"...), line[i+end:]...)
		at = i + 3
	}
	return line
}

// stars finds two asterisks, each as it is or as %2A, and their length.
func stars(b []byte) (at, n int) {
	for i := 0; i < len(b); i++ {
		if a := star(b[i:]); a > 0 {
			if c := star(b[i+a:]); c > 0 {
				return i, a + c
			}
		}
	}
	return -1, 0
}

func star(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '*':
		return 1
	case len(b) > 2 && b[0] == '%' && b[1] == '2' && b[2]|0x20 == 'a':
		return 3
	}
	return 0
}

// MaskPasscode is a called address fit for a log.
func MaskPasscode(to string) string { return clean(string(maskPasscode([]byte(to))), 128) }
