// Package capture makes a capture of a call's signalling that Wireshark opens:
// a pcap file with the addresses and the times that its messages had. They were
// masked when they were recorded, and SIP that came by TCP or TLS stands in UDP
// datagrams, so that every message is one packet. And it makes the packets of
// HEPv3, by which a Homer is told of them, and of how calls are heard.
package capture

import (
	"bytes"
	"math"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"bridgehead/gateway/store"
)

// mostPayload is what an IP packet has room for, with its headers.
const mostPayload = math.MaxUint16 - 40 - 20

// PCAP is the messages of a ladder as a capture of raw IP packets.
func PCAP(steps []store.Step) ([]byte, error) {
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	if err := w.WriteFileHeader(math.MaxUint16, layers.LinkTypeRaw); err != nil {
		return nil, err
	}
	sent := map[[2]netip.AddrPort]uint32{}
	for _, s := range steps {
		from, to, ok := ends(s)
		if !ok || s.Text == "" && s.Wire == nil {
			continue
		}
		payload, transport := []byte(s.Text), gopacket.SerializableLayer(&layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())})
		if s.Wire != nil { // in the middle of a connection
			way, back := [2]netip.AddrPort{from, to}, [2]netip.AddrPort{to, from}
			payload = s.Wire
			transport = &layers.TCP{SrcPort: layers.TCPPort(from.Port()), DstPort: layers.TCPPort(to.Port()), Seq: 1 + sent[way], Ack: 1 + sent[back],
				PSH: true, ACK: true, Window: math.MaxUint16}
			sent[way] += uint32(min(len(payload), mostPayload))
		}
		p, err := packet(from.Addr(), to.Addr(), transport, payload[:min(len(payload), mostPayload)])
		if err != nil {
			return nil, err
		}
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: s.At, CaptureLength: len(p), Length: len(p)}, p); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
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

// packet is an IP packet with its lengths and checksums.
func packet(from, to netip.Addr, transport gopacket.SerializableLayer, payload []byte) ([]byte, error) {
	protocol := map[gopacket.LayerType]layers.IPProtocol{layers.LayerTypeUDP: layers.IPProtocolUDP, layers.LayerTypeTCP: layers.IPProtocolTCP}[transport.LayerType()]
	const hops = 64
	var ip interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	} = &layers.IPv4{Version: 4, TTL: hops, Protocol: protocol, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	if from.Is6() {
		ip = &layers.IPv6{Version: 6, HopLimit: hops, NextHeader: protocol, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	}
	if err := transport.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}).SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, transport, gopacket.Payload(payload))
	return b.Bytes(), err
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

// The kinds that are sent; RTCP is JSON.
const (
	SIP  Kind = 1
	RTCP Kind = 5
)
