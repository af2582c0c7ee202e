package ras

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"bridgehead/h323/h225"
)

// admission is an endpoint's part in a call that was granted to it.
type admission struct {
	conference []byte
	reference  int
	answer     bool
	granted    time.Time
	used       bool // its SETUP came, or none will
}

// admit handles ARQ (H.225.0 §7.6). Every call is routed to the bridge. Where
// numbers lead is told to the registered only.
func (g *Gatekeeper) admit(r *request, m *h225.AdmissionRequest) *h225.RasMessage {
	g.mu.Lock()
	e, insecure := g.member(r)
	g.mu.Unlock()
	to := g.opt.Signalling(r.from.Addr)
	why := h225.AdmissionRejectReason{}
	switch err := securityError2(r.verdict); {
	case err != nil:
		why.SecurityError = err
	case insecure:
		why.SecurityDenial = none
	case e == nil:
		why.CallerNotRegistered = none
	case !m.AnswerCall && !g.leads(Called(m.DestinationInfo), m.DestCallSignalAddress, to):
		why.CalledPartyNotRegistered = none
	case !g.begin(m):
		why.ResourceUnavailable = none
	default:
		return &h225.RasMessage{AdmissionConfirm: &h225.AdmissionConfirm{RequestSeqNum: r.seq, BandWidth: g.allow(m.BandWidth),
			CallModel: h225.CallModel{GatekeeperRouted: none}, DestCallSignalAddress: Address(to),
			WillRespondToIRR: new(true), UuiesRequested: &h225.UUIEsRequested{}}}
	}
	return &h225.RasMessage{AdmissionReject: &h225.AdmissionReject{RequestSeqNum: r.seq, RejectReason: why}}
}

// begin notes an admission; false: there are too many.
func (g *Gatekeeper) begin(m *h225.AdmissionRequest) bool {
	id := callKey(m.CallIdentifier, m.ConferenceID)
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.regs[m.EndpointIdentifier]
	if e == nil {
		return false
	}
	if e.calls[id] == nil {
		if g.admissions >= maxAdmissions || len(e.calls) >= maxCalls {
			return false
		}
		g.admissions++
		g.calls[id] = append(g.calls[id], e.ID)
	}
	e.calls[id] = &admission{m.ConferenceID, m.CallReferenceValue, m.AnswerCall, g.opt.Now(), m.AnswerCall}
	return true
}

// callKey is what a call goes by: the callIdentifier, or, in the first version
// of H.225.0, the conferenceID.
func callKey(id *h225.CallIdentifier, conference []byte) CallID {
	if id != nil {
		return idOf(id.Guid)
	}
	return idOf(conference)
}

// leads tells whether a call leads anywhere: to an endpoint, to what is known,
// or, by address alone, to the bridge itself.
func (g *Gatekeeper) leads(called string, address *h225.TransportAddress, us netip.AddrPort) bool {
	if called == "" && address != nil {
		if a, ok := AddrPort(*address); !ok || a != us {
			return false
		}
	}
	if _, ok := g.Lookup(called); ok {
		return true
	}
	return g.opt.Known == nil || g.opt.Known(called)
}

// allow is what of a bandwidth is granted, in units of 100 bit/s.
func (g *Gatekeeper) allow(asked h225.BandWidth) h225.BandWidth {
	return min(asked, cmp.Or(g.opt.MaxBandwidth/100, asked))
}

// bandwidth handles BRQ (H.225.0 §7.8).
func (g *Gatekeeper) bandwidth(r *request, m *h225.BandwidthRequest) *h225.RasMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, insecure := g.member(r)
	why := h225.BandRejectReason{}
	switch {
	case insecure:
		why.SecurityDenial = none
	case e == nil:
		why.NotBound = none
	case e.calls[callKey(m.CallIdentifier, m.ConferenceID)] == nil:
		why.InvalidConferenceID = none
	case g.allow(m.BandWidth) < m.BandWidth:
		why.InsufficientResources = none
	default:
		return &h225.RasMessage{BandwidthConfirm: &h225.BandwidthConfirm{RequestSeqNum: r.seq, BandWidth: m.BandWidth}}
	}
	return &h225.RasMessage{BandwidthReject: &h225.BandwidthReject{RequestSeqNum: r.seq, RejectReason: why, AllowedBandWidth: g.allow(m.BandWidth)}}
}

// disengage handles DRQ of an endpoint (H.225.0 §7.9). A call that is over
// already is confirmed all the same: both ends say so.
func (g *Gatekeeper) disengage(r *request, m *h225.DisengageRequest) *h225.RasMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, insecure := g.member(r)
	if e == nil {
		why := h225.DisengageRejectReason{NotRegistered: none}
		if insecure {
			why = h225.DisengageRejectReason{SecurityDenial: none}
		}
		return &h225.RasMessage{DisengageReject: &h225.DisengageReject{RequestSeqNum: r.seq, RejectReason: why}}
	}
	g.end(e, callKey(m.CallIdentifier, m.ConferenceID))
	return &h225.RasMessage{DisengageConfirm: &h225.DisengageConfirm{RequestSeqNum: r.seq}}
}

// end forgets an endpoint's part in a call. With g.mu held.
func (g *Gatekeeper) end(e *registration, id CallID) {
	if e.calls[id] == nil {
		return
	}
	delete(e.calls, id)
	g.admissions--
	g.calls[id] = slices.DeleteFunc(g.calls[id], func(endpoint string) bool { return endpoint == e.ID })
	if len(g.calls[id]) == 0 {
		delete(g.calls, id)
	}
}

// drop forgets the calls of an endpoint. With g.mu held.
func (g *Gatekeeper) drop(e *registration) map[CallID]*admission {
	calls := maps.Clone(e.calls)
	for id := range calls {
		g.end(e, id)
	}
	return calls
}

// locate handles LRQ (H.225.0 §7.7). It would let anybody try out numbers, so
// only neighbours and the registered get an answer.
func (g *Gatekeeper) locate(r *request, m *h225.LocationRequest) *h225.RasMessage {
	g.mu.Lock()
	e, _ := g.member(r)
	g.mu.Unlock()
	if e == nil && !g.opt.Open && !g.neighbour(r.from.Addr.Addr()) {
		g.counters.Unlisted.Add(1)
		return nil
	}
	called, us := Called(m.DestinationInfo), g.opt.Signalling(r.from.Addr)
	if called == "" || !g.leads(called, nil, us) {
		return &h225.RasMessage{LocationReject: &h225.LocationReject{RequestSeqNum: r.seq, RejectReason: h225.LocationRejectReason{NotRegistered: none}}}
	}
	return &h225.RasMessage{LocationConfirm: &h225.LocationConfirm{RequestSeqNum: r.seq, CallSignalAddress: Address(us), RasAddress: Address(g.rasAddress(r.from))}}
}

// status handles IRR (H.225.0 §7.12), asked for or not. It shows that the
// endpoint lives.
func (g *Gatekeeper) status(r *request, m *h225.InfoRequestResponse) *h225.RasMessage {
	g.settled(r.seq, r.from)
	g.mu.Lock()
	defer g.mu.Unlock()
	e, insecure := g.member(r)
	if e != nil && e.probed {
		e.Expires, e.probed = g.opt.Now().Add(g.granted(e.Traversal, nil)), false
	}
	switch {
	case !deref(m.NeedResponse):
		return nil
	case insecure:
		return nak(r.seq, h225.InfoRequestNakReason{SecurityDenial: none})
	case e == nil:
		return nak(r.seq, h225.InfoRequestNakReason{NotRegistered: none})
	}
	return &h225.RasMessage{InfoRequestAck: &h225.InfoRequestAck{RequestSeqNum: r.seq}}
}

func nak(seq int, why h225.InfoRequestNakReason) *h225.RasMessage {
	return &h225.RasMessage{InfoRequestNak: &h225.InfoRequestNak{RequestSeqNum: seq, NakReason: why}}
}

// resources handles RAI (H.225.0 §7.13). Gateways that register have no calls
// chosen for them by load, so it is only confirmed.
func (g *Gatekeeper) resources(r *request) *h225.RasMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, _ := g.member(r); e == nil {
		return nil
	}
	return &h225.RasMessage{ResourcesAvailableConfirm: &h225.ResourcesAvailableConfirm{RequestSeqNum: r.seq, ProtocolIdentifier: protocol}}
}

// service handles SCI of an endpoint (H.225.0 §7.15): there are no services.
func (g *Gatekeeper) service(r *request) *h225.RasMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, _ := g.member(r); e == nil {
		return nil
	}
	return &h225.RasMessage{ServiceControlResponse: &h225.ServiceControlResponse{RequestSeqNum: r.seq,
		Result: &h225.ServiceControlResponseResult{NotAvailable: none}}}
}

// Admitted is the endpoint that was admitted to call, by the callIdentifier of
// its SETUP (conferenceID of the first version) and the address that it came
// from; false: nobody was. The admission then lasts until Ended.
func (g *Gatekeeper) Admitted(callID []byte, from netip.Addr) (Registration, bool) {
	id := idOf(callID)
	now := g.opt.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.hosts[from.Unmap()] {
		if a := e.calls[id]; a != nil && !a.answer && e.live(now) {
			a.used = true
			return e.Registration, true
		}
	}
	return Registration{}, false
}

// Caller is the endpoint that a SETUP without admission comes from: one that
// is registered with that endpointIdentifier, from that address.
func (g *Gatekeeper) Caller(endpointIdentifier string, from netip.Addr) (Registration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.regs[endpointIdentifier]
	if e == nil || !e.live(g.opt.Now()) || e.Peer.Addr.Addr() != from.Unmap() {
		return Registration{}, false
	}
	return e.Registration, true
}

// Ended tells that a call is over. The endpoint's DRQ may come before or after.
func (g *Gatekeeper) Ended(callID []byte) {
	id := idOf(callID)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, endpoint := range slices.Clone(g.calls[id]) {
		if e := g.regs[endpoint]; e != nil {
			g.end(e, id)
		}
	}
}
