package ras

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
)

// answer is what ends a request of the client, or (RIP) has it wait.
type answer = *h225.RasMessage

// errSilent: no answer came.
var errSilent = errors.New("the gatekeeper does not answer")

// refused is a reject as an error.
func refused(name string, m *h225.RasMessage) error {
	_, v := body(m)
	return fmt.Errorf("the gatekeeper refuses: %s %s", name, reasonOf(v))
}

// request sends a message until an answer comes, or none does.
func (c *Client) request(ctx context.Context, m *h225.RasMessage) (answer, error) {
	came := make(chan answer, 4)
	c.mu.Lock()
	if c.conn == nil || len(c.waiting) >= maxPending {
		c.mu.Unlock()
		return nil, errSilent
	}
	for {
		if c.seq = c.seq%65535 + 1; c.waiting[c.seq] == nil {
			break
		}
	}
	seq := c.seq
	c.waiting[seq] = came
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, seq)
	}()
	_, v := body(m)
	v.FieldByName("RequestSeqNum").Set(reflect.ValueOf(seq))
	raw, err := c.seal(m)
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, m, raw, came)
}

func (c *Client) exchange(ctx context.Context, m *h225.RasMessage, raw []byte, came <-chan answer) (answer, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for tries := 0; ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case a := <-came:
			if a.RequestInProgress == nil {
				return a, nil
			}
			timer.Reset(min(time.Duration(a.RequestInProgress.Delay)*time.Millisecond, maxDelay))
		case <-timer.C:
			if tries++; tries > tryTimes {
				return nil, errSilent
			}
			c.send(m, raw)
			timer.Reset(tryEvery)
		}
	}
}

// seal writes a message, signed if there is a password: by the user name to
// register, by the endpointIdentifier then. GRQ only says that it can sign:
// it is not known to whom.
func (c *Client) seal(m *h225.RasMessage) ([]byte, error) {
	if m.GatekeeperRequest != nil {
		return per.Encode(m)
	}
	return seal(m, c.token())
}

func (c *Client) token() token {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.random++
	return token{password: c.opt.Password, from: cmp.Or(c.endpoint, c.opt.User), to: c.gk.identifier, at: time.Now(), random: c.random}
}

// SignSetup puts the endpointIdentifier into a SETUP and, if there is a
// password, a token of H.235.1 that covers what encode gives: the user-user
// part with the SETUP in it.
func (c *Client) SignSetup(setup *h225.SetupUUIE, encode func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if c.endpoint != "" {
		setup.EndpointIdentifier = new(c.endpoint)
	}
	c.mu.Unlock()
	t := c.token()
	if t.password == "" {
		return encode()
	}
	return t.sign(reflect.ValueOf(setup).Elem(), encode)
}

func (c *Client) send(m *h225.RasMessage, raw []byte) {
	c.mu.Lock()
	conn, to := c.conn, c.gk.addr
	c.mu.Unlock()
	if c.opt.Trace != nil {
		c.opt.Trace(event(time.Now(), true, to, m))
	}
	conn.WriteToUDPAddrPort(raw, to)
}

// tell sends a message that waits for no answer; one with a number of its own
// if it has none.
func (c *Client) tell(m *h225.RasMessage) {
	_, v := body(m)
	if seqOf(v) == 0 {
		c.mu.Lock()
		c.seq = c.seq%65535 + 1
		v.FieldByName("RequestSeqNum").Set(reflect.ValueOf(c.seq))
		c.mu.Unlock()
	}
	raw, err := c.seal(m)
	if err != nil {
		c.log.Error("a RAS message can't be written", "error", err)
		return
	}
	c.send(m, raw)
}

func (c *Client) read(conn packetConn) {
	buf := make([]byte, maxMessage+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.take(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

// take handles a message of the gatekeeper; those of others are dropped.
func (c *Client) take(raw []byte, from netip.AddrPort) {
	c.mu.Lock()
	gk := c.gk
	c.mu.Unlock()
	m := new(h225.RasMessage)
	if from.Addr() != gk.addr.Addr() || len(raw) == 0 || len(raw) > maxMessage {
		return
	}
	if _, err := per.Decode(raw, m); err != nil {
		c.log.Debug("malformed RAS message", "source", from, "error", err)
		return
	}
	if c.opt.Trace != nil {
		c.opt.Trace(event(time.Now(), false, from, m))
	}
	_, v := body(m)
	if !v.IsValid() {
		return
	}
	signed := c.signed(raw, v)
	if confirms(m) && !signed {
		c.log.Warn("an answer of the gatekeeper is not signed by the password", "gatekeeper", from)
		return
	}
	if !c.asked(m, from, signed) {
		c.mu.Lock()
		came := c.waiting[seqOf(v)]
		c.mu.Unlock()
		select {
		case came <- m:
		default:
		}
	}
}

// confirms tells whether a message, if it were another's, would lead calls or
// the registration astray.
func confirms(m *h225.RasMessage) bool {
	return m.RegistrationConfirm != nil || m.AdmissionConfirm != nil || m.BandwidthConfirm != nil
}

// signed verifies a message of the gatekeeper (H.235.1 §8); all count as
// signed if there is no password.
func (c *Client) signed(raw []byte, v reflect.Value) bool {
	if c.opt.Password == "" {
		return true
	}
	t := hashed(v)
	return t != nil && h235.Verify(raw, t.Token.Hash.Bytes, c.opt.Password) &&
		time.Since(time.Unix(deref(t.HashedVals.TimeStamp), 0)).Abs() <= defaultSkew
}

// asked answers what the gatekeeper asks by itself; false: it is an answer.
func (c *Client) asked(m *h225.RasMessage, from netip.AddrPort, signed bool) bool {
	switch {
	case m.UnregistrationRequest != nil:
		c.tell(&h225.RasMessage{UnregistrationConfirm: &h225.UnregistrationConfirm{RequestSeqNum: m.UnregistrationRequest.RequestSeqNum}})
		c.unregistered(m, signed)
	case m.DisengageRequest != nil:
		c.disengaged(m.DisengageRequest)
	case m.BandwidthRequest != nil:
		c.limited(m.BandwidthRequest, signed)
	case m.InfoRequest != nil:
		c.inform(m.InfoRequest)
	case m.ServiceControlIndication != nil:
		c.tell(&h225.RasMessage{ServiceControlResponse: &h225.ServiceControlResponse{RequestSeqNum: m.ServiceControlIndication.RequestSeqNum,
			Result: &h225.ServiceControlResponseResult{NotAvailable: none}}})
	default:
		return false
	}
	return true
}

// unregistered registers anew. Where the gatekeeper's word isn't signed it is
// asked by a lightweight RRQ first.
func (c *Client) unregistered(m *h225.RasMessage, signed bool) {
	c.alternate(m.UnregistrationRequest.AlternateGatekeeper)
	why := ""
	if signed {
		_, v := body(m)
		why = "URQ " + reasonOf(v)
	}
	select {
	case c.again <- why:
	default:
	}
}

func (c *Client) disengaged(m *h225.DisengageRequest) {
	id := callKey(m.CallIdentifier, m.ConferenceID)
	c.mu.Lock()
	call := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	c.tell(&h225.RasMessage{DisengageConfirm: &h225.DisengageConfirm{RequestSeqNum: m.RequestSeqNum}})
	if call != nil && c.opt.Dropped != nil {
		c.opt.Dropped(id, core.Reason{Code: core.Forbidden, Say: "The gatekeeper ended the call.", Detail: "h323: DRQ of the gatekeeper"})
	}
}

func (c *Client) limited(m *h225.BandwidthRequest, signed bool) {
	id := callKey(m.CallIdentifier, m.ConferenceID)
	c.mu.Lock()
	known := c.calls[id] != nil
	if known && signed {
		c.calls[id].Bandwidth = 100 * m.BandWidth
	}
	c.mu.Unlock()
	switch {
	case !signed:
		c.tell(bandwidthReject(m, h225.BandRejectReason{SecurityDenial: none}))
		return
	case !known:
		c.tell(bandwidthReject(m, h225.BandRejectReason{InvalidConferenceID: none}))
		return
	}
	c.tell(&h225.RasMessage{BandwidthConfirm: &h225.BandwidthConfirm{RequestSeqNum: m.RequestSeqNum, BandWidth: m.BandWidth}})
	if c.opt.Limited != nil {
		c.opt.Limited(id, 100*m.BandWidth)
	}
}

func bandwidthReject(m *h225.BandwidthRequest, why h225.BandRejectReason) *h225.RasMessage {
	return &h225.RasMessage{BandwidthReject: &h225.BandwidthReject{RequestSeqNum: m.RequestSeqNum, RejectReason: why}}
}

// maxReported bounds the calls of one IRR, which has to fit a datagram.
const maxReported = 16

// inform answers IRQ by IRR (H.225.0 §7.12): of the call that it names, or of
// all.
func (c *Client) inform(m *h225.InfoRequest) {
	irr := &h225.InfoRequestResponse{RequestSeqNum: m.RequestSeqNum, EndpointType: c.endpointType(), RasAddress: c.rasAddress(),
		CallSignalAddress: []h225.TransportAddress{Address(c.opt.Signalling)}, EndpointAlias: c.aliases()}
	c.mu.Lock()
	if irr.EndpointIdentifier = c.endpoint; irr.EndpointIdentifier == "" {
		c.mu.Unlock()
		return
	}
	complete := true
	for _, a := range c.calls {
		if m.CallReferenceValue != 0 && (m.CallIdentifier == nil || !bytes.Equal(m.CallIdentifier.Guid, a.CallID[:])) {
			continue
		}
		if len(irr.PerCallInfo) == maxReported {
			complete = false
			break
		}
		irr.PerCallInfo = append(irr.PerCallInfo, a.info())
	}
	c.mu.Unlock()
	switch {
	case m.CallReferenceValue != 0 && len(irr.PerCallInfo) == 0:
		irr.IrrStatus = &h225.InfoRequestResponseStatus{InvalidCall: none}
	case !complete:
		irr.IrrStatus = &h225.InfoRequestResponseStatus{Incomplete: none}
	}
	c.tell(&h225.RasMessage{InfoRequestResponse: irr})
}

func (a *Admission) info() h225.InfoRequestResponsePerCallInfo {
	return h225.InfoRequestResponsePerCallInfo{CallReferenceValue: int(a.Reference), ConferenceID: bytes.Clone(a.ConferenceID[:]),
		Originator: new(!a.Answer), CallType: h225.CallType{PointToPoint: none}, BandWidth: a.Bandwidth / 100,
		CallModel: h225.CallModel{Direct: none}, CallIdentifier: callIdentifier(a.CallID), SubstituteConfIDs: []h225.ConferenceIdentifier{}}
}
