package doctor

import (
	"strconv"
	"strings"

	"bridgehead/gateway/store"
)

// ladder is a call's signalling, made easy to ask.
type ladder struct {
	steps []store.Step
	local string // our address in the first message
}

func ladderOf(steps []store.Step, in bool) ladder {
	l := ladder{steps: steps}
	for _, s := range steps {
		if s.From == "" {
			continue
		}
		if l.local = s.From; in {
			l.local = s.To
		}
		break
	}
	return l
}

// spoke tells whether the peer has sent any message.
func (l ladder) spoke() bool {
	for _, s := range l.steps {
		if s.From != "" && s.From != l.local {
			return true
		}
	}
	return false
}

// has tells whether a step that is no message says something like this.
func (l ladder) has(what string, words ...string) bool {
	for _, s := range l.steps {
		if s.From != "" || s.What != what {
			continue
		}
		for _, w := range words {
			if strings.Contains(s.Text, w) {
				return true
			}
		}
	}
	return false
}

// lastHold tells whether the peer held the call at last.
func (l ladder) lastHold() (held bool) {
	for _, s := range l.steps {
		if s.From == "" && s.What == "media" && strings.HasPrefix(s.Text, "the peer ") {
			held = strings.Contains(s.Text, "holds")
		}
	}
	return held
}

// rang tells whether the called party's device did.
func (l ladder) rang() bool {
	for _, s := range l.steps {
		if strings.HasPrefix(s.What, "SIP/2.0 18") || strings.HasPrefix(s.What, "ALERTING") || s.From == "" && s.What == "ringing" {
			return true
		}
	}
	return false
}

// Status is the final response to the first INVITE in a ladder; 0: none.
func Status(steps []store.Step) (status int) {
	for _, s := range steps {
		n := finalOf(s)
		switch {
		case n >= 200 && n < 300:
			return n
		case n >= 300:
			status = n // the last of those tried
		}
	}
	return status
}

// finalOf is the status of a final response to an INVITE.
func finalOf(s store.Step) int {
	code, ok := strings.CutPrefix(s.What, "SIP/2.0 ")
	if !ok || len(code) < 3 || !strings.Contains(strings.ToUpper(header(s.Text, "CSeq")), "INVITE") {
		return 0
	}
	n, err := strconv.Atoi(code[:3])
	if err != nil || n < 200 {
		return 0
	}
	return n
}

// header is the value of one in a SIP message.
func header(message, name string) string {
	head, _, _ := strings.Cut(message, "\r\n\r\n")
	for line := range strings.Lines(head) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// sdpOf is the session description in the first of the peer's messages that has
// one; those of a request alone, if invite is set.
func (l ladder) sdp(invite bool) string {
	for _, s := range l.steps {
		if s.From == "" || s.From == l.local || invite && !strings.HasPrefix(s.What, "INVITE") {
			continue
		}
		if _, body, ok := strings.Cut(s.Text, "\r\n\r\n"); ok && strings.Contains(body, "m=audio") {
			return body
		}
	}
	return ""
}

// staticCodecs are the payload types that need no rtpmap (RFC 3551).
var staticCodecs = map[string]string{"0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "15": "G728", "18": "G729"}

// codecs lists what a description offers of sound, and whether keys are among it.
func codecs(sdp string) (names []string, keys bool) {
	named := map[string]string{}
	var types []string
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "m=") && types != nil {
			break
		}
		if m, ok := strings.CutPrefix(line, "m=audio "); ok {
			if f := strings.Fields(m); len(f) > 2 {
				types = f[2:]
			}
		}
		if m, ok := strings.CutPrefix(line, "a=rtpmap:"); ok {
			pt, name, _ := strings.Cut(m, " ")
			name, _, _ = strings.Cut(name, "/")
			named[pt] = name
		}
	}
	for _, pt := range types {
		name := named[pt]
		if name == "" {
			name = staticCodecs[pt]
		}
		switch {
		case strings.EqualFold(name, "telephone-event"):
			keys = true
		case name != "" && !strings.EqualFold(name, "CN") && len(names) < 8:
			names = append(names, name)
		}
	}
	return names, keys
}
