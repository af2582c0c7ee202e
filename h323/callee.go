package h323

import (
	"context"
	"strings"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/control"
	"bridgehead/h323/h225"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// incoming is what a SETUP began.
type incoming struct {
	setup  *message
	digits string // the called number so far, with overlap sending
	timer  func()
	waits  bool // mediaWaitForConnect: no early media
	cancel context.CancelFunc
}

// setup begins a call (H.323 §8.1).
func (e *Edge) setup(s *stream, m *message) {
	l := e.newLeg(s, m.q.CallReference, false)
	if err := l.admitSetup(m); err != nil {
		s.refuse(m, core.ReasonOf(err))
		return
	}
	from := s.remote.Addr()
	if err := e.guard.callers.Enter(from); err != nil {
		s.refuse(m, core.ReasonOf(err))
		return
	}
	if !s.carry(l) { // the same SETUP again
		e.guard.callers.Leave(from)
		return
	}
	if err := e.enter(l); err != nil {
		s.release(l)
		e.guard.callers.Leave(from)
		s.refuse(m, core.ReasonOf(err))
		return
	}
	l.box.Post(func() { l.begin(m) })
}

// admitSetup checks what does not need the call, and makes its parts.
func (l *leg) admitSetup(m *message) error {
	setup := m.body().Setup
	if setup == nil {
		return core.Reason{Code: core.Incompatible, Detail: "SETUP without its user-user part: not H.323"}
	}
	if g := setup.ConferenceGoal; g.CapabilityNegotiation != nil || g.CallIndependentSupplementaryService != nil {
		return core.Reason{Code: core.Incompatible, Detail: "the SETUP is for no call"}
	}
	copy(l.confID[:], setup.ConferenceID)
	if setup.CallIdentifier != nil && len(setup.CallIdentifier.Guid) == 16 {
		l.callID = [16]byte(setup.CallIdentifier.Guid)
	} else {
		l.callID = newID() // H.323 version 1
	}
	l.incoming = incoming{setup: m, waits: setup.MediaWaitForConnect != nil && *setup.MediaWaitForConnect}
	l.carrier = carrier{l: l, ours: true}
	if err := l.describe(m); err != nil {
		return err
	}
	return l.makeMachine()
}

func (l *leg) makeMachine() (err error) {
	terminal := 190
	if l.e.opt.Terminal {
		terminal = 50
	}
	codecs := l.e.codecs
	if l.outgoing != nil && l.outgoing.codecs != nil {
		codecs = l.outgoing.codecs
	}
	l.machine, err = control.New(control.Options{Terminal: terminal, Codecs: codecs, Required: l.required(), Log: l.log}, l)
	return err
}

// begin answers the SETUP with CALL PROCEEDING and finds the way on.
func (l *leg) begin(m *message) {
	l.state = callPresent
	l.traceMessage(edge.Received, m)
	setup := m.body().Setup
	l.to = edge.MaskPasscode(calledNumber(m))
	l.carrier.heard(m)
	l.traverse(m)
	if err := l.secure(setup.Tokens); err != nil {
		l.hangup(core.ReasonOf(err))
		return
	}
	l.log.Info("H.323 call", "from", l.info.Address, "to", l.to, "source", l.s.remote, "h235", l.security.agreed, "fast", len(setup.FastStart) > 0, "tunnel", l.carrier.theirs)
	l.e.trace(l.event(edge.TraceEvent{Kind: edge.Started, Info: l.Info()}))
	to := calledNumber(m)
	if to == "" && setup.CanOverlapSend != nil && *setup.CanOverlapSend && m.ie(q931.SendingComplete) == nil {
		l.state = overlapReceiving
		ack := l.message(q931.SetupAck)
		ack.body().SetupAcknowledge = &h225.SetupAcknowledgeUUIE{ProtocolIdentifier: protocolID, CallIdentifier: *identifier(l.callID[:])}
		l.send(ack)
		l.incoming.timer = l.after(digitWait, l.proceed)
		return
	}
	l.incoming.digits = to
	l.proceed()
}

// moreDigits collects a number that comes in pieces (Q.931 §5.2.4).
func (l *leg) moreDigits(keys string, complete bool) {
	in := &l.incoming
	in.timer()
	if len(in.digits) < 64 {
		in.digits += keys
	}
	if complete || strings.HasSuffix(keys, "#") {
		in.digits = strings.TrimSuffix(in.digits, "#")
		l.proceed()
		return
	}
	in.timer = l.after(digitWait, l.proceed)
}

// proceed: the number is known. With fast connect the room decides about the
// answer; without, nobody can be heard or hear before it, so that the call is
// answered first and led into its room once sound flows.
func (l *leg) proceed() {
	l.state = incomingProceeding
	l.to = edge.MaskPasscode(l.incoming.digits)
	p := l.message(q931.CallProceeding)
	p.body().CallProceeding = &h225.CallProceedingUUIE{ProtocolIdentifier: protocolID, DestinationInfo: l.e.endpoint(), CallIdentifier: identifier(l.callID[:]),
		FeatureSet: l.answeredFeatures()}
	l.send(p)
	l.waiting = l.route
	setup := l.incoming.setup.body().Setup
	if len(setup.FastStart) > 0 {
		l.fast.offered = true
		answer, ok := l.machine.Answer(octets(setup.FastStart))
		if l.state == over {
			return
		}
		if ok {
			l.fast.agreed = true
			for _, b := range answer {
				l.fast.answer = append(l.fast.answer, b)
			}
		} else {
			l.fast.refused = true
		}
	}
	l.tunnelledIn(l.incoming.setup)
	for _, b := range setup.ParallelH245Control { // H.323 §8.2.4
		l.control(b)
	}
	if l.state == over {
		return
	}
	if l.fast.agreed {
		l.join()
		return
	}
	if a, ok := addressOf(setup.H245Address); ok && !l.carrier.tunnelled() {
		l.carrier.connect(a) // early H.245
	}
	l.answer()
	l.after(mediaWait, l.join)
}

// route finds the room.
func (l *leg) route() {
	ctx, plan := l.e.serving()
	if plan == nil {
		l.hangup(core.Reason{Code: core.Unreachable, Detail: "this end takes no calls"})
		return
	}
	ctx, l.incoming.cancel = context.WithCancel(ctx)
	call := core.Call{To: l.incoming.digits, From: l.info.Address, Info: l.Info()}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				l.box.Fail(r)
			}
		}()
		room, err := plan.Route(ctx, call)
		if err != nil {
			l.Hangup(core.ReasonOf(err))
			return
		}
		l.into(ctx, room)
	}()
}

// ringing sends ALERTING.
func (l *leg) ringing() {
	if l.out || l.state != incomingProceeding {
		return
	}
	l.state = callReceived
	m := l.message(q931.Alerting)
	var x extras
	if !l.incoming.waits {
		x = l.extras(false)
	}
	m.body().Alerting = &h225.AlertingUUIE{ProtocolIdentifier: protocolID, DestinationInfo: l.e.endpoint(), CallIdentifier: identifier(l.callID[:]),
		FastStart: x.fastStart, Tokens: x.tokens, FeatureSet: l.answeredFeatures()}
	l.send(m)
}

// early sends PROGRESS with the answer to fast connect, so that the caller
// hears the room before the call is connected.
func (l *leg) early() {
	if l.out || l.state != incomingProceeding && l.state != callReceived || l.fast.answer == nil || l.incoming.waits {
		return
	}
	m := l.message(q931.Progress)
	m.q.IEs = append(m.q.IEs, q931.ProgressIE(q931.ProgressValue{Description: 8}))
	x := l.extras(false)
	m.body().Progress = &h225.ProgressUUIE{ProtocolIdentifier: protocolID, DestinationInfo: l.e.endpoint(), CallIdentifier: *identifier(l.callID[:]),
		FastStart: x.fastStart, Tokens: x.tokens}
	l.send(m)
}

// answer sends CONNECT and begins H.245.
func (l *leg) answer() {
	if l.out || l.state != incomingProceeding && l.state != callReceived {
		return
	}
	l.state = active
	m := l.message(q931.Connect)
	x := l.extras(true)
	c := &h225.ConnectUUIE{ProtocolIdentifier: protocolID, DestinationInfo: l.e.endpoint(), ConferenceID: l.confID[:], CallIdentifier: identifier(l.callID[:]),
		FastStart: x.fastStart, Tokens: x.tokens, FastConnectRefused: x.refused, FeatureSet: l.answeredFeatures()}
	if !l.carrier.tunnelled() {
		c.H245Address = l.carrier.address()
	}
	m.body().Connect = c
	l.send(m)
	l.e.trace(l.event(edge.TraceEvent{Kind: edge.Answered, Info: l.Info()}))
	l.carrier.begin()
	l.log.Info("H.323 call answered", "codec", l.Info().Audio.Name)
}

// describe fills in the leg's Info, and who the caller has proved to be.
func (l *leg) describe(m *message) error {
	if err := l.identify(m); err != nil {
		return err
	}
	i := &l.info
	alias := callerName(m)
	i.Address = alias
	if i.Address != "" {
		i.Address += "@"
	}
	i.Address = edge.Clean(i.Address+l.s.remote.Addr().String(), 128)
	if i.Name != "" {
		return nil
	}
	if ie := m.ie(q931.Display); ie != nil {
		i.Name = edge.Clean(strings.TrimSpace(ie.Text()), 64)
	}
	if i.Name == "" {
		i.Name = edge.Clean(alias, 64)
	}
	if l.borrowed(i.Name) || l.borrowed(alias) {
		i.Name = "" // a name of ours is not lent to strangers
	}
	if i.Name == "" {
		i.Name = l.s.remote.Addr().String()
	}
	return nil
}

// callerName is the caller's name or number, as it states it.
func callerName(m *message) string {
	if s := m.body().Setup; s != nil {
		for _, a := range s.SourceAddress {
			if n := ras.Alias(a); n != "" {
				return n
			}
		}
	}
	if ie := m.ie(q931.Calling); ie != nil {
		if n, ok := ie.Number(); ok && n.Presentation == 0 {
			return n.Digits
		}
	}
	return ""
}

// calledNumber is the number or name that a SETUP is for: the alias, or the
// called party number where there is none. Some write domain##alias, and an
// alias may be a whole H.323 URL (RFC 3508).
func calledNumber(m *message) string {
	to := ""
	if s := m.body().Setup; s != nil {
		to = ras.Called(s.DestinationAddress)
		if to == "" && s.RemoteExtensionAddress != nil {
			to = ras.Alias(*s.RemoteExtensionAddress)
		}
	}
	if to == "" {
		if ie := m.ie(q931.Called); ie != nil {
			if n, ok := ie.Number(); ok {
				to = n.Digits
			}
		}
	}
	to = strings.TrimPrefix(to, "h323:")
	if _, alias, has := strings.Cut(to, "##"); has {
		to = alias
	}
	to, _, _ = strings.Cut(to, "@")
	return edge.Clean(to, 128)
}
