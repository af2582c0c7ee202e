// Package ras is registration, admission and status of H.323, the RAS channel
// of ITU-T H.225.0 §7: a [Gatekeeper] at which endpoints register and ask for
// admission to calls, and a [Client] that registers this bridge at somebody
// else's gatekeeper.
//
// Messages are authenticated by H.235.1, procedure I: HMAC-SHA1-96 of the
// whole message under the hash of the password, with a time and a number that
// come once. Endpoints behind firewalls are called by H.460.18 (a datagram asks
// them to connect), or bring their RAS over the call signalling connection
// (H.460.17): see [Peer].
//
// All calls are routed to the bridge (H.323's gatekeeper routed model): it is
// the meeting that is dialled, or stands between two endpoints so that their
// call can grow into one.
package ras

import (
	"net/netip"
	"reflect"
	"strings"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// Port is the UDP port of RAS.
const Port = 1719

// protocol is H.225.0 version 7.
const protocol per.OID = "0.0.8.2250.0.7"

// maxMessage is the octets of the longest message that is read.
const maxMessage = 8 << 10

// none stands for NULL alternatives and components.
var none = &per.Null{}

// CallID is a call's callIdentifier.
type CallID = [16]byte

// Peer is where a message comes from and its answer goes to.
type Peer struct {
	Addr netip.AddrPort
	// Stream is the call signalling connection that carried the message
	// (H.460.17); nil for UDP.
	Stream Stream
}

// Stream carries messages to an endpoint over its call signalling connection.
// Two of the same connection compare equal.
type Stream interface {
	// SendRAS queues a message; it doesn't wait and keeps the octets.
	SendRAS(message []byte) error
}

func (p Peer) same(q Peer) bool { return p.Addr == q.Addr && p.Stream == q.Stream }

// Event is a message that came or went, for ladders.
type Event struct {
	Time    time.Time
	Sent    bool
	Peer    netip.AddrPort
	Message string // its name in ASN.1
	Text    string // what matters in it, without passcodes
	CallID  CallID // zero where it belongs to no call
}

// body is the one alternative of the message that is set, and its name; the
// zero Value if it is of a kind unknown here.
func body(m *h225.RasMessage) (string, reflect.Value) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() && f.Elem().Kind() == reflect.Struct {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			return name, f.Elem()
		}
	}
	return "", reflect.Value{}
}

// get is the named component of a message's body; the zero T if there is none.
func get[T any](v reflect.Value, name string) T {
	if v.IsValid() {
		if f := v.FieldByName(name); f.IsValid() {
			if t, ok := f.Interface().(T); ok {
				return t
			}
		}
	}
	var zero T
	return zero
}

func seqOf(v reflect.Value) int { return get[int](v, "RequestSeqNum") }

// callOf is the call that a message is about.
func callOf(v reflect.Value) CallID {
	if c := get[*h225.CallIdentifier](v, "CallIdentifier"); c != nil {
		return idOf(c.Guid)
	}
	return CallID{}
}

func idOf(b []byte) (id CallID) {
	copy(id[:], b)
	return id
}

func callIdentifier(id CallID) *h225.CallIdentifier { return &h225.CallIdentifier{Guid: id[:]} }

// reasonOf names the alternative of a reason that is set.
func reasonOf(v reflect.Value) string {
	for _, name := range []string{"RejectReason", "NakReason", "Reason", "DisengageReason"} {
		f := reflect.Indirect(v.FieldByName(name))
		if !f.IsValid() {
			continue
		}
		for i := range f.NumField() {
			if a := f.Field(i); a.Kind() == reflect.Pointer && !a.IsNil() {
				name, _, _ := strings.Cut(f.Type().Field(i).Tag.Get("json"), ",")
				return name
			}
		}
	}
	return ""
}

// Address is an address as H.225.0 writes it.
func Address(a netip.AddrPort) h225.TransportAddress {
	ip := a.Addr().Unmap()
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	if ip.Is4() {
		return h225.TransportAddress{IpAddress: &h225.TransportAddressIpAddress{Ip: ip.AsSlice(), Port: int(a.Port())}}
	}
	return h225.TransportAddress{Ip6Address: &h225.TransportAddressIp6Address{Ip: ip.WithZone("").AsSlice(), Port: int(a.Port())}}
}

// AddrPort reads an address of IP; false if it is of another network.
func AddrPort(t h225.TransportAddress) (netip.AddrPort, bool) {
	var ip []byte
	var port int
	switch {
	case t.IpAddress != nil:
		ip, port = t.IpAddress.Ip, t.IpAddress.Port
	case t.Ip6Address != nil:
		ip, port = t.Ip6Address.Ip, t.Ip6Address.Port
	case t.IpSourceRoute != nil:
		ip, port = t.IpSourceRoute.Ip, t.IpSourceRoute.Port
	}
	a, ok := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), ok
}

// addressIn is the first address of IP in the list.
func addressIn(list []h225.TransportAddress) (netip.AddrPort, bool) {
	for _, t := range list {
		if a, ok := AddrPort(t); ok {
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// event tells of a message.
func event(now time.Time, sent bool, peer netip.AddrPort, m *h225.RasMessage) Event {
	name, v := body(m)
	e := Event{Time: now, Sent: sent, Peer: peer, Message: name}
	if !v.IsValid() {
		return e
	}
	e.CallID = callOf(v)
	words := []string{reasonOf(v)}
	for _, list := range []string{"TerminalAlias", "EndpointAlias", "DestinationInfo"} {
		for _, a := range aliasesOf(get[[]h225.AliasAddress](v, list), 4) {
			words = append(words, mask(a))
		}
	}
	e.Text = strings.TrimSpace(strings.Join(words, " "))
	return e
}
