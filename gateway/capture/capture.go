// Package capture makes a capture of a call's signalling that Wireshark opens:
// a pcap file with the addresses and the times that its messages had. They were
// masked when they were recorded, and SIP that came by TCP or TLS stands in UDP
// datagrams, so that every message is one packet. And it makes the packets of
// HEPv3, by which a Homer is told of them.
package capture

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"bridgehead/gateway/store"
)

// mostPayload is what an IP packet has room for, with its headers.
const mostPayload = 65535 - 40 - 20

// PCAP is the messages of a ladder as a capture of raw IP packets.
func PCAP(steps []store.Step) []byte {
	const magic, rawIP = 0xa1b23c4d, 101 // of nanoseconds; LINKTYPE_RAW
	var out bytes.Buffer
	le := binary.LittleEndian
	head := le.AppendUint32(nil, magic)
	head = le.AppendUint16(head, 2)
	head = le.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = le.AppendUint32(head, 65535)
	head = le.AppendUint32(head, rawIP)
	out.Write(head)
	sent := map[[2]netip.AddrPort]uint32{}
	for _, s := range steps {
		from, to, ok := ends(s)
		if !ok || s.Text == "" && s.Wire == nil {
			continue
		}
		var p []byte
		if s.Wire == nil {
			p = packet(from, to, udp, datagram(from, to, []byte(s.Text)))
		} else {
			way, back := [2]netip.AddrPort{from, to}, [2]netip.AddrPort{to, from}
			p = packet(from, to, tcp, segment(from, to, 1+sent[way], 1+sent[back], s.Wire))
			sent[way] += uint32(min(len(s.Wire), mostPayload))
		}
		b := le.AppendUint32(nil, uint32(s.At.Unix()))
		b = le.AppendUint32(b, uint32(s.At.Nanosecond()))
		b = le.AppendUint32(b, uint32(len(p)))
		b = le.AppendUint32(b, uint32(len(p)))
		out.Write(append(b, p...))
	}
	return out.Bytes()
}

// ends are those of a message; false: the step is none.
func ends(s store.Step) (from, to netip.AddrPort, ok bool) {
	from, err := netip.ParseAddrPort(s.From)
	if err != nil {
		return from, to, false
	}
	if to, err = netip.ParseAddrPort(s.To); err != nil {
		return from, to, false
	}
	unmap := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
	from, to = unmap(from), unmap(to)
	return from, to, from.Addr().Is4() == to.Addr().Is4()
}

// The protocols of packets, and where their checksums are.
const (
	tcp, udp       = 6, 17
	tcpSum, udpSum = 16, 6
)

// datagram is one of UDP (RFC 768), without its checksum.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	payload = payload[:min(len(payload), mostPayload)]
	be := binary.BigEndian
	b := be.AppendUint16(be.AppendUint16(nil, from.Port()), to.Port())
	b = be.AppendUint16(b, uint16(8+len(payload)))
	return append(be.AppendUint16(b, 0), payload...)
}

// segment is one of TCP (RFC 9293) in the middle of a connection, without its
// checksum.
func segment(from, to netip.AddrPort, seq, ack uint32, payload []byte) []byte {
	payload = payload[:min(len(payload), mostPayload)]
	be := binary.BigEndian
	b := be.AppendUint16(be.AppendUint16(nil, from.Port()), to.Port())
	b = be.AppendUint32(be.AppendUint32(b, seq), ack)
	const push, acknowledges = 1 << 3, 1 << 4
	b = append(b, 5<<4, push|acknowledges, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, payload...)
}

// packet is an IP packet (RFC 791, RFC 8200); the checksum of what is in it is
// filled in.
func packet(from, to netip.AddrPort, protocol byte, b []byte) []byte {
	be := binary.BigEndian
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	pseudo := append(append(bytes.Clone(src), dst...), 0, protocol)
	sum := checksum(append(be.AppendUint16(pseudo, uint16(len(b))), b...))
	if protocol == tcp {
		be.PutUint16(b[tcpSum:], sum)
	} else {
		if sum == 0 { // which would say that there is none
			sum = 0xffff
		}
		be.PutUint16(b[udpSum:], sum)
	}
	const hops = 64
	if !from.Addr().Is4() {
		head := be.AppendUint16([]byte{6 << 4, 0, 0, 0}, uint16(len(b)))
		return append(append(append(append(head, protocol, hops), src...), dst...), b...)
	}
	head := be.AppendUint16([]byte{4<<4 | 5, 0}, uint16(20+len(b)))
	head = append(head, 0, 0, 0, 0, hops, protocol, 0, 0)
	head = append(append(head, src...), dst...)
	be.PutUint16(head[10:], checksum(head))
	return append(head, b...)
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Meta is what HEP tells beside a message.
type Meta struct {
	At       time.Time
	From, To netip.AddrPort
	Network  string // udp, tcp, tls, wss
	Kind     Kind
	Agent    uint32 // that captured it
	Call     string // by which messages belong together
}

// Kind of payload, as HEP numbers them.
type Kind uint8

// SIP is the only one that is sent.
const SIP Kind = 1
