package ras

import (
	"cmp"
	"context"

	"bridgehead/core"
	"bridgehead/h323/h225"
)

// Admit asks for a call (H.225.0 §7.6) and says where it goes. The error is a
// [core.Reason]. The call counts as live until Disengage.
func (c *Client) Admit(ctx context.Context, a Admission) (Route, error) {
	c.mu.Lock()
	endpoint, gk := c.endpoint, c.gk
	c.mu.Unlock()
	if endpoint == "" {
		return Route{}, core.Reason{Code: core.Unreachable, Say: "The call can't be placed now.", Detail: "h323: not registered at the gatekeeper"}
	}
	m := c.admission(a, endpoint)
	if gk.identifier != "" {
		m.GatekeeperIdentifier = &gk.identifier
	}
	ans, err := c.request(ctx, &h225.RasMessage{AdmissionRequest: m})
	switch {
	case err != nil:
		return Route{}, core.Reason{Code: core.Unreachable, Say: "The call can't be placed now.", Detail: "h323: " + err.Error()}
	case ans.AdmissionReject != nil:
		return Route{}, c.rejected(ans)
	case ans.AdmissionConfirm == nil:
		return Route{}, core.Reason{Code: core.Failure, Detail: "h323: the gatekeeper doesn't understand ARQ"}
	}
	return c.routed(a, ans.AdmissionConfirm)
}

func (c *Client) admission(a Admission, endpoint string) *h225.AdmissionRequest {
	m := &h225.AdmissionRequest{CallType: h225.CallType{PointToPoint: none}, EndpointIdentifier: endpoint, BandWidth: a.Bandwidth / 100,
		CallReferenceValue: int(a.Reference), ConferenceID: a.ConferenceID[:], AnswerCall: a.Answer, CanMapAlias: new(true),
		CallIdentifier: callIdentifier(a.CallID), WillSupplyUUIEs: new(false), SrcInfo: []h225.AliasAddress{}}
	if caller := a.Caller; caller != "" {
		m.SrcInfo = append(m.SrcInfo, AliasOf(caller))
	} else if !a.Answer {
		m.SrcInfo = c.aliases()[:min(1, len(c.opt.Aliases))]
	}
	if a.Called != "" {
		m.DestinationInfo = []h225.AliasAddress{AliasOf(a.Called)}
	}
	switch peer := Address(a.Peer); {
	case a.Answer:
		m.DestCallSignalAddress = new(Address(c.opt.Signalling))
		if a.Peer.IsValid() {
			m.SrcCallSignalAddress = &peer
		}
	case a.Peer.IsValid():
		m.DestCallSignalAddress = &peer
	}
	return m
}

func (c *Client) routed(a Admission, m *h225.AdmissionConfirm) (Route, error) {
	to, ok := AddrPort(m.DestCallSignalAddress)
	if !ok && !a.Answer {
		return Route{}, core.Reason{Code: core.Unreachable, Detail: "h323: the gatekeeper routes the call to no IP address"}
	}
	a.Bandwidth = 100 * m.BandWidth
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[a.CallID] = &a
	return Route{Signalling: to, Routed: m.CallModel.GatekeeperRouted != nil, Called: Called(m.DestinationInfo), Tokens: m.Tokens,
		Bandwidth: a.Bandwidth, EndpointIdentifier: c.endpoint}, nil
}

// rejected is ARJ as a reason. Where the gatekeeper knows us no more, the
// bridge registers anew.
func (c *Client) rejected(m *h225.RasMessage) core.Reason {
	why := m.AdmissionReject.RejectReason
	r := core.Reason{Code: core.Forbidden, Say: "The call is not allowed."}
	switch {
	case why.CalledPartyNotRegistered != nil, why.UnallocatedNumber != nil, why.IncompleteAddress != nil, why.AliasesInconsistent != nil:
		r = core.Reason{Code: core.NotFound, Say: "There is no such number."}
	case why.CallerNotRegistered != nil, why.InvalidEndpointIdentifier != nil:
		r = core.Reason{Code: core.Unreachable, Say: "The call can't be placed now."}
		select {
		case c.again <- "ARJ callerNotRegistered":
		default:
		}
	case why.ResourceUnavailable != nil, why.ExceedsCallCapacity != nil:
		r = core.Reason{Code: core.Overload, Say: "There are too many calls now."}
	case why.NoRouteToDestination != nil, why.RouteCallToSCN != nil:
		r = core.Reason{Code: core.Unreachable, Say: "The number can't be reached."}
	}
	_, v := body(m)
	r.Detail = "h323: ARJ " + reasonOf(v)
	return r
}

// Bandwidth asks for another bandwidth of a call (H.225.0 §7.8), in bit/s both
// ways, and gives what is granted: less with an error.
func (c *Client) Bandwidth(ctx context.Context, call CallID, bitsPerSec int64) (int64, error) {
	m := &h225.BandwidthRequest{BandWidth: bitsPerSec / 100, CallType: &h225.CallType{PointToPoint: none}, CallIdentifier: callIdentifier(call)}
	if !c.fill(call, &m.EndpointIdentifier, &m.ConferenceID, &m.CallReferenceValue, &m.GatekeeperIdentifier, &m.AnsweredCall) {
		return 0, core.Reason{Code: core.NotFound, Detail: "h323: no such call at the gatekeeper"}
	}
	a, err := c.request(ctx, &h225.RasMessage{BandwidthRequest: m})
	switch {
	case err != nil:
		return 0, core.Reason{Code: core.Unreachable, Detail: "h323: " + err.Error()}
	case a.BandwidthConfirm != nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		if k := c.calls[call]; k != nil {
			k.Bandwidth = 100 * a.BandwidthConfirm.BandWidth
		}
		return 100 * a.BandwidthConfirm.BandWidth, nil
	case a.BandwidthReject != nil:
		return 100 * a.BandwidthReject.AllowedBandWidth, core.Reason{Code: core.Forbidden, Detail: refused("h323: BRJ", a).Error()}
	}
	return 0, core.Reason{Code: core.Failure, Detail: "h323: the gatekeeper doesn't understand BRQ"}
}

// Disengage tells that a call is over (H.225.0 §7.9).
func (c *Client) Disengage(ctx context.Context, call CallID, why core.Reason) error {
	m := &h225.DisengageRequest{CallIdentifier: callIdentifier(call), DisengageReason: disengageReason(why)}
	if !c.fill(call, &m.EndpointIdentifier, &m.ConferenceID, &m.CallReferenceValue, &m.GatekeeperIdentifier, &m.AnsweredCall) {
		return nil
	}
	c.mu.Lock()
	delete(c.calls, call)
	c.mu.Unlock()
	_, err := c.request(ctx, &h225.RasMessage{DisengageRequest: m})
	return err
}

func disengageReason(why core.Reason) h225.DisengageReason {
	switch cmp.Or(why.Code, core.Normal) {
	case core.Normal, core.Ended, core.Busy, core.NoAnswer, core.Declined:
		return h225.DisengageReason{NormalDrop: none}
	case core.Removed, core.Revoked, core.Shutdown:
		return h225.DisengageReason{ForcedDrop: none}
	}
	return h225.DisengageReason{UndefinedReason: none}
}

// fill sets what BRQ and DRQ say of a live call; false: there is none.
func (c *Client) fill(call CallID, endpoint *string, conference *h225.ConferenceIdentifier, reference *int, gk **string, answered **bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.calls[call]
	if a == nil || c.endpoint == "" {
		delete(c.calls, call)
		return false
	}
	*endpoint, *conference, *reference, *answered = c.endpoint, a.ConferenceID[:], int(a.Reference), &a.Answer
	if id := c.gk.identifier; id != "" {
		*gk = &id
	}
	return true
}
