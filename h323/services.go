package h323

import (
	"crypto/rand"
	"fmt"
	"net/netip"

	"bridgehead/core"
	"bridgehead/h323/h225"
	"bridgehead/h323/h450"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/h323/ras"
)

// service takes a supplementary service's message (H.450.1 §8). A bridge is
// held, and calls are transferred to it; it transfers nobody, and every other
// service is refused.
func (l *leg) service(b []byte) {
	list, interpretation, err := h450.Decode(b)
	if err != nil {
		l.e.counters.Malformed.Add(1)
		return
	}
	for _, r := range list {
		if r.Invoke == nil || l.state == over {
			continue // answers: nothing was asked
		}
		l.invoked(r.Invoke, interpretation)
	}
}

func (l *leg) invoked(i *h450.Invoke, otherwise *h450.InterpretationApdu) {
	code := int64(-1)
	if i.Opcode.Local != nil {
		code = *i.Opcode.Local
	}
	id := int64(i.InvokeID)
	switch code {
	case h450.HoldNotific, h450.RetrieveNotific:
		l.hold(code == h450.HoldNotific)
	case h450.CallTransferAbandon:
	case h450.CallTransferSetup: // the call comes of a transfer, and is one like any other
		l.reply(h450.ROS{ReturnResult: &h450.ReturnResult{InvokeID: id}})
	case h450.CallTransferIdentify:
		l.identifyTransfer(id)
	case h450.CallTransferInitiate:
		l.note("the other side asks to be transferred: refused, it can dial the number itself")
		l.reply(h450.ROS{ReturnError: &h450.ReturnError{InvokeID: id, Errcode: h450.Code{Local: new(int64(h450.NotAvailable))}}})
	default:
		switch {
		case otherwise != nil && otherwise.Discard != nil:
		case otherwise != nil && otherwise.ClearCall != nil:
			l.hangup(core.Reason{Code: core.Incompatible, Detail: fmt.Sprintf("the other side needs supplementary service %d", code)})
		default:
			l.reply(h450.ROS{Reject: &h450.Reject{InvokeID: id, Problem: h450.Problem{Invoke: new(int64(h450.UnrecognizedOperation))}}})
		}
	}
}

// identifyTransfer tells where somebody else can be transferred to who shall
// come where this call is (H.450.2 §8.2): the number that was called, here.
func (l *leg) identifyTransfer(id int64) {
	number := l.incoming.digits
	if l.out || number == "" || l.state != active {
		l.reply(h450.ROS{ReturnError: &h450.ReturnError{InvokeID: id, Errcode: h450.Code{Local: new(int64(h450.NotAvailable))}}})
		return
	}
	at := netip.AddrPortFrom(l.localHost(), l.s.local.Port())
	var b [1]byte
	rand.Read(b[:])
	result, err := per.Encode(&h450.CTIdentifyRes{CallIdentity: fmt.Sprint(b[0]), ReroutingNumber: h450.EndpointAddress{
		DestinationAddress: []h225.AliasAddress{ras.AliasOf(number), ras.AliasOf(at.String())}}})
	if err != nil {
		return
	}
	l.reply(h450.ROS{ReturnResult: &h450.ReturnResult{InvokeID: id, Result: &h450.Result{Opcode: h450.Code{Local: new(int64(h450.CallTransferIdentify))}, Result: result}}})
}

// reply sends a message of a supplementary service.
func (l *leg) reply(r h450.ROS) {
	b, err := h450.Of(r)
	if err != nil {
		l.log.Error("H.450 message not encoded", "error", err)
		return
	}
	m := l.message(q931.Facility)
	m.q.IEs = append(m.q.IEs, q931.IE{ID: q931.FacilityIE})
	m.body().Empty = null
	m.pdu().H4501SupplementaryService = []per.OctetString{b}
	l.send(m)
}
