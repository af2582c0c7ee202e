package webrtc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
)

func (e *Edge) trace(t edge.TraceEvent) {
	if e.o.Trace == nil {
		return
	}
	t.Time, t.Protocol = time.Now(), core.WebRTC
	e.o.Trace(t)
}

// refuse records an attempt that was not led anywhere.
func (e *Edge) refuse(l *Leg, to string, r core.Reason) {
	e.trace(edge.TraceEvent{Kind: edge.Refused, Leg: l.id, To: edge.MaskPasscode(to), From: edge.Clean(l.info.Name, 128), Reason: r, Info: l.info})
}

// answered records that a browser is in a room.
func (l *Leg) answered() {
	l.edge.trace(edge.TraceEvent{Kind: edge.Answered, Leg: l.id, Info: l.Info()})
}

// noted tells what has become of the leg's media.
func (l *Leg) noted(format string, a ...any) {
	l.edge.trace(edge.TraceEvent{Kind: edge.Noted, Leg: l.id, Text: fmt.Sprintf(format, a...)})
}

// flowOf is the way of a request's messages.
func flowOf(r *http.Request) edge.FlowInfo {
	f := edge.FlowInfo{Network: "wss"}
	f.Remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(fmt.Stringer); ok {
		f.Local, _ = netip.ParseAddrPort(local.String())
	}
	return f
}

// password is what ICE's checks are signed with (RFC 8839 §5.4).
var password = regexp.MustCompile(`(a=ice-pwd:)[^\r\n]*`)

// message tells of one that came or went, without its secrets. What is no part
// of a call's set-up or end is left out: who looks at whom, what is written.
func (l *Leg) message(k edge.TraceKind, flow edge.FlowInfo, m any) {
	if l == nil || l.edge.o.Trace == nil {
		return
	}
	text, body := "", ""
	switch m := m.(type) {
	case *request:
		if text, body = m.traced(); text == "" {
			return
		}
	case answerMsg:
		text, body = "answer", shown(map[string]any{"id": m.ID}, m.SDP)
	case joinedMsg:
		text, body = "joined", shown(map[string]any{"id": m.ID, "resumed": m.Resumed}, "")
	case errorMsg:
		text, body = "error "+string(m.Code), shown(m, "")
	case byeMsg:
		text, body = "bye "+string(m.Code), shown(m, "")
	case needSlotsMsg:
		text, body = "need-slots", shown(m, "")
	case simpleMsg:
		if m.Type == "pong" {
			return
		}
		text = m.Type
	default:
		return
	}
	l.edge.trace(edge.TraceEvent{Kind: k, Leg: l.id, Flow: flow, Text: text, Message: []byte(body)})
}

// traced is a client's message as ladders show it; empty: it is not shown.
func (m *request) traced() (text, body string) {
	switch m.Type {
	case "join":
		what := map[string]any{"meeting": edge.Clean(m.Meeting, maxValue), "name": m.Name}
		for key, secret := range map[string]string{"passcode": m.Passcode, "token": m.Token, "resume": m.Resume} {
			if secret != "" {
				what[key] = "***"
			}
		}
		return "join", shown(what, "")
	case "offer":
		return "offer", shown(map[string]any{"id": m.ID, "fresh": m.Fresh, "sources": m.Sources}, m.SDP)
	case "leave", "restart":
		return m.Type, ""
	}
	return "", ""
}

// shown is a message's fields, and its session description behind them.
func shown(m any, sdp string) string {
	b, _ := json.Marshal(m)
	if sdp == "" {
		return string(b)
	}
	return string(b) + "\r\n\r\n" + password.ReplaceAllString(sdp, "${1}***")
}
