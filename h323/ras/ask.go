package ras

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/h460/h46018"
	"bridgehead/h323/per"
)

// Requests of the gatekeeper are repeated if no answer comes.
const (
	askEvery = 1500 * time.Millisecond
	askTimes = 4
	// probeTime is how long a registration that expired outlives its IRQ.
	probeTime = 8 * time.Second
)

// pending is a request of ours without an answer yet.
type pending struct {
	raw   []byte
	to    Peer
	tries int
	timer *time.Timer
}

// ask sends a request to an endpoint, again and again until an answer comes.
// It takes the number of the request from a count of its own.
func (g *Gatekeeper) ask(e *registration, m *h225.RasMessage) {
	_, v := body(m)
	g.mu.Lock()
	if len(g.pending) >= maxPending {
		g.mu.Unlock()
		return
	}
	for {
		if g.seq = g.seq%65535 + 1; g.pending[g.seq] == nil {
			break
		}
	}
	seq, p := g.seq, &pending{to: e.Peer, tries: askTimes}
	g.pending[seq] = p
	g.mu.Unlock()
	v.FieldByName("RequestSeqNum").Set(reflect.ValueOf(seq))
	p.raw = g.encode(m, e.password, e.ID)
	g.trace(true, e.Peer.Addr, m)
	g.try(seq, p)
}

func (g *Gatekeeper) try(seq int, p *pending) {
	g.mu.Lock()
	if g.pending[seq] != p {
		g.mu.Unlock()
		return
	}
	if p.tries--; p.tries < 0 || p.raw == nil {
		delete(g.pending, seq)
		g.mu.Unlock()
		return
	}
	p.timer = time.AfterFunc(askEvery, func() { g.try(seq, p) })
	g.mu.Unlock()
	g.send(p.raw, p.to)
}

func (g *Gatekeeper) send(raw []byte, to Peer) {
	switch {
	case to.Stream != nil:
		if err := to.Stream.SendRAS(slices.Clone(raw)); err != nil {
			g.log.Debug("RAS message not sent", "to", to.Addr, "error", err)
		}
	case g.conn != nil:
		g.conn.WriteToUDPAddrPort(raw, to.Addr)
	}
}

// settled ends the request of that number to that peer.
func (g *Gatekeeper) settled(seq int, from Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pending[seq]; p != nil && p.to.same(from) {
		p.timer.Stop()
		delete(g.pending, seq)
	}
}

// wait gives a request more time, as RequestInProgress asks (H.225.0 §7.16).
func (g *Gatekeeper) wait(m *h225.RequestInProgress, from Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pending[m.RequestSeqNum]; p != nil && p.to.same(from) {
		p.timer.Reset(min(time.Duration(m.Delay)*time.Millisecond, maxDelay))
	}
}

// expire lets registrations and admissions end by time.
func (g *Gatekeeper) expire(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.sweep(g.opt.Now())
		}
	}
}

// sweep asks the endpoints whose registration has just expired whether they
// live, since old ones don't refresh it, and drops those that didn't answer.
func (g *Gatekeeper) sweep(now time.Time) {
	var quiet, dead []*registration
	g.mu.Lock()
	for _, e := range g.regs {
		for id, a := range e.calls {
			if !a.used && now.Sub(a.granted) > unused {
				g.end(e, id)
			}
		}
		switch {
		case now.Before(e.Expires):
		case !e.probed:
			e.probed = true
			quiet = append(quiet, e.copy())
		case now.Sub(e.Expires) > probeTime:
			dead = append(dead, e.copy())
			g.remove(e)
		}
	}
	g.mu.Unlock()
	for _, e := range quiet {
		g.ask(e, &h225.RasMessage{InfoRequest: &h225.InfoRequest{}})
	}
	for _, e := range dead {
		g.log.Info("H.323 registration expired", "device", e.User, "source", e.Peer.Addr)
		g.expel(e, h225.UnregRequestReason{TtlExpired: none})
	}
}

// copy is of use without the lock.
func (e *registration) copy() *registration {
	return &registration{Registration: e.Registration, password: e.password}
}

// expel tells an endpoint that it is registered no more.
func (g *Gatekeeper) expel(e *registration, why h225.UnregRequestReason) {
	g.ask(e, &h225.RasMessage{UnregistrationRequest: &h225.UnregistrationRequest{
		CallSignalAddress: []h225.TransportAddress{Address(e.CallSignal)}, EndpointIdentifier: &e.ID,
		GatekeeperIdentifier: &g.opt.Identifier, Reason: &why}})
}

// Revoke ends a device's registrations and calls at once. The caller has seen
// to it that Devices does not know it any more.
func (g *Gatekeeper) Revoke(user string) {
	type one struct {
		*registration
		calls map[CallID]*admission
	}
	var gone []one
	g.mu.Lock()
	for _, e := range slices.Clone(g.users[user]) {
		gone = append(gone, one{e.copy(), g.drop(e)})
		g.unlink(e)
	}
	delete(g.replays, user)
	g.mu.Unlock()
	for _, e := range gone {
		for _, id := range slices.SortedFunc(maps.Keys(e.calls), func(a, b CallID) int { return slices.Compare(a[:], b[:]) }) {
			a := e.calls[id]
			g.ask(e.registration, &h225.RasMessage{DisengageRequest: &h225.DisengageRequest{EndpointIdentifier: e.ID, ConferenceID: a.conference,
				CallReferenceValue: a.reference, DisengageReason: h225.DisengageReason{ForcedDrop: none}, CallIdentifier: callIdentifier(id),
				GatekeeperIdentifier: &g.opt.Identifier, AnsweredCall: &a.answer}})
			if g.opt.Revoked != nil {
				g.opt.Revoked(user, id)
			}
		}
		g.expel(e.registration, h225.UnregRequestReason{SecurityDenial: none})
	}
}

// Lost tells that a call signalling connection, which brought RAS messages,
// has gone: what is registered over it is gone too (H.460.17).
func (g *Gatekeeper) Lost(from Peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range slices.Clone(g.hosts[from.Addr.Addr().Unmap()]) {
		if from.Stream != nil && e.Peer.Stream == from.Stream {
			g.remove(e)
		}
	}
}

// Invite asks an endpoint behind a firewall to connect to the call signalling
// address for that call, by a ServiceControlIndication (H.460.18 §7). It sends
// FACILITY with the callIdentifier there, and gets SETUP. The indication is
// repeated until it answers; it may connect more than once.
func (g *Gatekeeper) Invite(reg Registration, callID []byte) error {
	g.mu.Lock()
	e := g.regs[reg.ID]
	if e != nil {
		e = e.copy()
	}
	g.mu.Unlock()
	if e == nil || e.Traversal != H46018 || len(callID) != 16 {
		return errors.New("ras: the endpoint is not registered with H.460.18")
	}
	indication, err := per.Encode(&h46018.IncomingCallIndication{CallSignallingAddress: Address(g.opt.Signalling(e.Peer.Addr)),
		CallID: h225.CallIdentifier{Guid: slices.Clone(callID)}})
	if err != nil {
		return err
	}
	g.ask(e, &h225.RasMessage{ServiceControlIndication: &h225.ServiceControlIndication{
		ServiceControl: []h225.ServiceControlSession{{Reason: h225.ServiceControlSessionReason{Open: none}}},
		GenericData: []h225.GenericData{{Id: h225.GenericIdentifier{Standard: new(int64(feature18))},
			Parameters: []h225.EnumeratedParameter{{Id: h225.GenericIdentifier{Standard: new(int64(1))},
				Content: &h225.Content{Raw: new(per.OctetString(indication))}}}}}}})
	return nil
}
