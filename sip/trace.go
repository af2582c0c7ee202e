package sip

import (
	"bytes"
	"regexp"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
)

func flowInfo(f *flow) edge.FlowInfo {
	return edge.FlowInfo{Network: f.network, Local: f.local, Remote: f.remote}
}

func (e *Edge) trace(t edge.TraceEvent) {
	if e.opt.Trace == nil {
		return
	}
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	t.Protocol = core.SIP
	e.opt.Trace(t)
}

// refuse records a call that never got a leg, or whose leg never began.
func (e *Edge) refuse(t edge.TraceEvent) {
	e.counters.Refused.Add(1)
	t.Kind, t.To, t.From = edge.Refused, edge.MaskPasscode(t.To), edge.Clean(t.From, 128)
	e.log.Info("SIP call refused", "source", t.Flow.Remote, "to", t.To, "status", t.Status, "reason", t.Reason.Error(), "call", edge.Clean(t.CallID, 64))
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
	waiting []edge.TraceEvent
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
	var list []edge.TraceEvent
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

func (e *Edge) traceMessage(k edge.TraceKind, f *flow, b []byte, m message) {
	if e.opt.Trace == nil {
		return
	}
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	t := edge.TraceEvent{Time: time.Now(), Kind: k, Flow: flowInfo(f), Text: edge.Clean(string(edge.MaskPasscodes(line)), 256), Message: mask(b)}
	if m != nil {
		t.CallID = callID(m)
	} else if id := callIDLine.FindSubmatch(b); id != nil {
		t.CallID = string(id[1])
	}
	req, _ := m.(*request)
	begins := k == edge.Received && req != nil && req.Method == siplib.INVITE && req.To() != nil && param(req.To().Params, "tag") == ""
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
// keys pressed, what people write, and the passcode in NUMBER**PASSCODE.
func mask(b []byte) []byte {
	out := make([]byte, 0, len(b))
	hidden := bytes.HasPrefix(b, []byte("MESSAGE ")) // the body is; so is that of DTMF
	for body := false; len(b) > 0; {
		line, rest, more := bytes.Cut(b, []byte("\r\n"))
		b = rest
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch {
		case body && hidden:
			line = []byte("*")
		case len(line) == 0:
			body = true
		case !body && (foldPrefix(name, "authorization") || foldPrefix(name, "proxy-authorization")):
			line = append(bytes.Clone(name), ": ***"...)
		case !body && foldPrefix(line, "content-type") && bytes.Contains(bytes.ToLower(line), []byte("dtmf")), !body && foldPrefix(line, "c:") && bytes.Contains(line, []byte("dtmf")):
			hidden = true
		case body:
			line = maskKeys(line)
		}
		if !body {
			line = edge.MaskPasscodes(line)
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
	for i := range line {
		if line[i]|0x20 == 'i' && foldPrefix(line[i:], "inline:") {
			return append(bytes.Clone(line[:i]), "inline:***"...)
		}
	}
	return line
}
