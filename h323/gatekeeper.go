package h323

import (
	"context"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// admission is what gatekeepers know of a call.
type admission struct {
	reg   ras.Registration // of ours, that placed the call
	known bool
	asked *ras.Client // the outside one has admitted it
}

// identify finds the registered endpoint that the call comes from.
func (l *leg) identify(m *message) error {
	g := l.e.opt.Gatekeeper
	if g == nil {
		return nil
	}
	from := l.s.remote.Addr()
	reg, ok := g.Admitted(l.callID[:], from)
	if id := m.body().Setup.EndpointIdentifier; !ok && id != nil {
		reg, ok = g.Caller(*id, from)
	}
	if ok {
		l.admit.reg, l.admit.known = reg, true
		if reg.Authenticated {
			l.info.User = reg.User
		}
	}
	if user, ok := g.Verify(m.user, m.body().Setup, l.s.remote); ok {
		l.admit.known, l.info.User = true, user
		if !l.s.secure() {
			l.info.Security.Signalling = "h235" // nobody has changed it on the way
		}
	}
	return nil
}

// borrowed tells whether a name is that of an endpoint registered from another
// address.
func (l *leg) borrowed(name string) bool {
	g := l.e.opt.Gatekeeper
	if g == nil || name == "" || l.admit.known {
		return false
	}
	reg, ok := g.Lookup(name)
	return ok && reg.Peer.Addr.Addr() != l.s.remote.Addr()
}

// disengage tells the gatekeepers that the call is over.
func (l *leg) disengage(core.Reason) {
	if l.e.opt.Gatekeeper != nil {
		l.e.opt.Gatekeeper.Ended(l.callID[:])
	}
	if c := l.admit.asked; c != nil {
		l.admit.asked = nil
		id := l.callID
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			c.Disengage(ctx, id, core.Reason{Code: core.Normal})
		}()
	}
}

// ask has the outside gatekeeper admit the call and tell where it goes.
func (l *leg) ask() error {
	o := l.outgoing
	a := ras.Admission{CallID: l.callID, ConferenceID: l.confID, Reference: l.ref, Called: o.called, Caller: o.opt.From}
	if o.host != "" {
		if at, err := l.e.resolve(o.ctx, o.host, o.port); err == nil && len(at) > 0 {
			a.Peer = at[0]
		}
	}
	ctx, cancel := context.WithTimeout(o.ctx, setupWait)
	defer cancel()
	route, err := o.asked.Admit(ctx, a)
	if err != nil {
		return err
	}
	o.route, l.admit.asked = route, o.asked
	if route.Called != "" {
		o.called = route.Called
	}
	if !route.Signalling.IsValid() {
		return core.Reason{Code: core.Unreachable, Detail: "the gatekeeper gave no address"}
	}
	return nil
}

// reachDevice finds the way to an endpoint that is registered here.
func (l *leg) reachDevice(reg ras.Registration) (*stream, error) {
	l.mu.Lock() // the endpoint may connect at once
	l.outgoing.reg = &reg
	l.mu.Unlock()
	if len(reg.Aliases) > 0 {
		l.update(func(i *core.Info) { i.Name = edge.Clean(reg.Aliases[0], 64) })
	}
	switch reg.Traversal {
	case ras.H46017:
		s, ok := reg.Peer.Stream.(*stream)
		if !ok || !s.carry(l) {
			return nil, core.Reason{Code: core.Unreachable, Detail: "the endpoint's connection is gone"}
		}
		return s, nil
	case ras.H46018:
		if err := l.e.opt.Gatekeeper.Invite(reg, l.callID[:]); err != nil {
			return nil, core.Reason{Code: core.Unreachable, Detail: err.Error()}
		}
		return nil, nil
	}
	return l.connect(reg.CallSignal)
}

// called: an endpoint behind a firewall has connected for a call that we have
// told it of (H.460.18 §7); the first of its connections carries it.
func (e *Edge) called(s *stream, id [16]byte) {
	e.legsMu.Lock()
	var l *leg
	for x := range e.legs {
		if x.out && x.callID == id {
			l = x
		}
	}
	e.legsMu.Unlock()
	if l == nil {
		return
	}
	l.box.Post(func() {
		l.mu.Lock()
		reg := l.outgoing.reg
		l.mu.Unlock()
		if l.s != nil || l.state == over || reg == nil || reg.Traversal != ras.H46018 || reg.Peer.Addr.Addr() != s.remote.Addr() || !s.carry(l) {
			return
		}
		l.sendSetup(s)
	})
}

// rasMessages takes RAS messages out of a FACILITY and answers them over the
// same connection (H.460.17 §7).
func (s *stream) rasMessages(m *message) bool {
	g := s.e.opt.Gatekeeper
	if g == nil {
		return false
	}
	found := false
	for _, d := range m.pdu().GenericData {
		if d.Id.Standard == nil || *d.Id.Standard != featureH46017 {
			continue
		}
		for _, p := range d.Parameters {
			if p.Id.Standard == nil || *p.Id.Standard != 1 || p.Content == nil || p.Content.Raw == nil {
				continue
			}
			found = true
			s.callMu.Lock()
			s.used = true
			s.callMu.Unlock()
			if reply := g.Handle(*p.Content.Raw, ras.Peer{Addr: s.remote, Stream: s}); reply != nil {
				s.SendRAS(reply)
			}
		}
	}
	if found {
		s.keep(g)
	}
	return found
}

const featureH46017 = 17

// keep notes whether an endpoint is registered over the connection, which then
// stays open.
func (s *stream) keep(g *ras.Gatekeeper) {
	kept := false
	for _, r := range g.Registrations() {
		if r.Peer.Stream == ras.Stream(s) {
			kept = true
		}
	}
	s.callMu.Lock()
	s.kept = kept
	s.callMu.Unlock()
}

// SendRAS implements ras.Stream.
func (s *stream) SendRAS(b []byte) error {
	m := &message{q: &q931.Message{Type: q931.Facility, IEs: []q931.IE{{ID: q931.FacilityIE}}}}
	m.body().Empty = null
	tunnel := true
	m.pdu().H245Tunnelling = &tunnel
	id, one := int64(featureH46017), int64(1)
	raw := per.OctetString(b)
	m.pdu().GenericData = []h225.GenericData{{Id: h225.GenericIdentifier{Standard: &id},
		Parameters: []h225.EnumeratedParameter{{Id: h225.GenericIdentifier{Standard: &one}, Content: &h225.Content{Raw: &raw}}}}}
	return s.write(m)
}
