package h323

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

func (e *Edge) trace(t edge.TraceEvent) {
	if e.opt.Trace == nil {
		return
	}
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	t.Protocol = core.H323
	e.opt.Trace(t)
}

// event fills in what the call knows.
func (l *leg) event(t edge.TraceEvent) edge.TraceEvent {
	t.Leg, t.CallID, t.To = l.info.ID, hex.EncodeToString(l.callID[:]), l.to
	if l.s != nil {
		t.Flow = l.s.flow()
	}
	l.mu.Lock()
	t.From = l.info.Address
	l.mu.Unlock()
	return t
}

// refused records a call that never got a leg.
func (e *Edge) refused(s *stream, m *message, r core.Reason) {
	e.counters.Refused.Add(1)
	to := edge.MaskPasscode(calledNumber(m))
	e.log.Info("H.323 call refused", "source", s.remote, "to", to, "reason", r.Error())
	c := m.common()
	e.trace(edge.TraceEvent{Kind: edge.Refused, CallID: hex.EncodeToString(c.callID), Flow: s.flow(), To: to, From: edge.Clean(callerName(m), 128),
		Status: int(outcomeOf(r.Code).cause), Reason: r})
}

// traceMessage tells a message of the call, with secrets masked.
func (l *leg) traceMessage(k edge.TraceKind, m *message) {
	if l.e.opt.Trace == nil {
		return
	}
	t := l.event(edge.TraceEvent{Kind: k, Text: describe(m)})
	t.Message, t.Wire = masked(m)
	l.e.trace(t)
}

// traceControl tells an H.245 message of a connection of its own.
func (l *leg) traceControl(k edge.TraceKind, b []byte, flow edge.FlowInfo) {
	if l.e.opt.Trace == nil {
		return
	}
	text, body := controlText(b)
	t := l.event(edge.TraceEvent{Kind: k, Text: "H.245 " + text})
	t.Flow, t.Message = flow, body
	if body != nil {
		t.Wire = framed(b)
	}
	l.e.trace(t)
}

var typeNames = map[q931.Type]string{
	q931.Setup: "SETUP", q931.CallProceeding: "CALL PROCEEDING", q931.Alerting: "ALERTING", q931.Connect: "CONNECT",
	q931.Progress: "PROGRESS", q931.SetupAck: "SETUP ACKNOWLEDGE", q931.ReleaseComplete: "RELEASE COMPLETE",
	q931.Facility: "FACILITY", q931.Notify: "NOTIFY", q931.Status: "STATUS", q931.StatusInquiry: "STATUS INQUIRY",
	q931.Information: "INFORMATION",
}

// describe is a message's line in a ladder.
func describe(m *message) string {
	text := typeNames[m.q.Type]
	if text == "" {
		text = m.q.Type.String()
	}
	var more []string
	if c := m.common(); len(c.fastStart) > 0 {
		more = append(more, "fastStart")
	}
	for _, b := range m.pdu().H245Control {
		name, _ := controlText(b)
		more = append(more, name)
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}

// masked is the message as JSON, and as it goes over the wire. Keys pressed and
// passcodes are not in it, nor that by which a password could be sought.
func masked(m *message) (text, wire []byte) {
	c := &message{q: hiddenQ931(m.q)}
	user, err := per.Encode(&m.u)
	if err == nil {
		_, err = per.Decode(user, &c.u)
	}
	if err != nil {
		return nil, nil
	}
	hide(reflect.ValueOf(&c.u))
	control := &c.pdu().H245Control
	*control = slices.DeleteFunc(*control, func(b per.OctetString) bool { _, body := controlText(b); return body == nil })
	if b, err := c.encode(); err == nil {
		wire = framed(b)
	}
	texts := controlTexts(*control)
	*control = nil
	return edge.MaskPasscodes(jsonOf(struct {
		*h225.H323UserInformation
		H245 []json.RawMessage `json:"h245,omitempty"`
	}{&c.u, texts})), wire
}

// framed is a message in its TPKT; nil if it has no room there.
func framed(b []byte) []byte {
	out, err := q931.AppendTPKT(nil, b)
	if err != nil {
		return nil
	}
	return out
}

// hiddenQ931 is a message without passcodes and keys in its elements, and without
// the user-user part, which is written anew.
func hiddenQ931(m *q931.Message) *q931.Message {
	c := *m
	c.IEs = nil
	for _, ie := range m.IEs {
		if ie.ID == q931.Keypad || ie.ID == q931.UserUser {
			continue
		}
		ie.Value = edge.MaskPasscodes(ie.Value)
		c.IEs = append(c.IEs, ie)
	}
	return &c
}

// secret are the components that are left out: passwords, hashes made with one, and
// supplementary services, whose numbers may have a passcode in them.
var secret = map[string]bool{"Password": true, "CryptoTokens": true, "H4501SupplementaryService": true}

// hide takes secrets out of a decoded message.
func hide(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			hide(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			switch {
			case !f.CanSet():
			case secret[v.Type().Field(i).Name]:
				f.SetZero()
			default:
				hide(f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				hide(v.Index(i))
			}
		}
	case reflect.String:
		if s := v.String(); strings.Contains(s, "**") {
			v.SetString(string(edge.MaskPasscodes([]byte(s))))
		}
	}
}

func controlTexts(list []per.OctetString) (out []json.RawMessage) {
	for _, b := range list {
		if _, body := controlText(b); body != nil {
			out = append(out, body)
		}
	}
	return out
}

func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// controlText names an H.245 message and gives it as JSON, unless it tells a
// key.
func controlText(b []byte) (string, []byte) {
	var m h245.MultimediaSystemControlMessage
	if _, err := per.Decode(b, &m); err != nil {
		return "malformed H.245", nil
	}
	if i := m.Indication; i != nil && i.UserInput != nil {
		return "userInput", nil
	}
	return chosen(reflect.ValueOf(&m), 2), jsonOf(&m)
}

// chosen is the name of a CHOICE's alternative, so many levels down.
func chosen(v reflect.Value, levels int) (name string) {
	for ; levels > 0; levels-- {
		v = reflect.Indirect(v)
		if v.Kind() != reflect.Struct {
			return name
		}
		found := false
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
				name, _, _ = strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
				v, found = f, true
				break
			}
		}
		if !found {
			return name
		}
	}
	return name
}
