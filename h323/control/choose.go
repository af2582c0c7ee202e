package control

import (
	"errors"
	"net/netip"
	"slices"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

var (
	errNoAddress = errors.New("no unicast address to send to")
	errClear     = errors.New("it is in clear, and encryption is required")
	errClearOnly = core.Reason{Code: core.NotEncrypted, Say: "This call must be encrypted", Detail: "H.235.6: the peer offers media in clear only"}
)

// choose finds the best of our codecs that the peer takes, other than those it
// has refused: first the one that it sends itself.
func (m *Machine) choose(source core.Source) (medium, bool) {
	list := m.common(source)
	prefer := m.wanted[source]
	if in := carrying(m.in, source); prefer == "" && in != nil {
		prefer = in.ch.Codec.Name
	}
	slices.SortStableFunc(list, func(a, b medium) int {
		switch {
		case a.codec.Name == b.codec.Name || a.codec.Name != prefer && b.codec.Name != prefer:
			return 0
		case a.codec.Name == prefer:
			return -1
		}
		return 1
	})
	if len(list) == 0 {
		return medium{}, false
	}
	return list[0], true
}

// tryOf names a way to send, for the list of what was refused.
func tryOf(d medium) string {
	if d.algorithms == nil {
		return d.codec.Name + d.codec.Fmtp
	}
	return d.codec.Name + d.codec.Fmtp + " " + string(d.algorithms[0])
}

// common lists what we can send of a source and the peer takes, best first:
// encrypted where both sides can, and else in clear unless that is refused.
func (m *Machine) common(source core.Source) (list []medium) {
	var beside []int // entries of what else we send, to be received at once
	if source.Kind() == core.Video {
		for _, l := range m.out {
			if n := m.entryOf(l.medium); n != 0 && l.ch.Source != source && l.ch.Source != core.Screen {
				beside = append(beside, n)
			}
		}
	}
	fits := func(n int) bool {
		return m.peer.listed(n) && !slices.ContainsFunc(beside, func(b int) bool { return !m.peer.together(n, b) })
	}
	for _, ours := range m.media {
		if ours.source() != source {
			continue
		}
		for _, e := range m.peer.entries {
			if !e.known || !ours.like(e.media) {
				continue
			}
			both := ours.toward(e.media, m.peer.mode)
			offered, n := m.peer.security(e.number)
			if alg, ok := m.algorithm(offered); ok && (fits(n) || fits(e.number)) {
				both.algorithms = []per.OID{alg}
				both.codec.PayloadType = encryptedType(both.codec.PayloadType)
			} else {
				if m.opt.Required || source == core.Screen && m.secure() || !fits(e.number) {
					continue
				}
				if m.secure() && len(offered) == 0 {
					m.warn("H.235.6: keys are agreed, but the peer takes media in clear only")
				}
			}
			if !slices.Contains(m.tried[source], tryOf(both)) {
				list = append(list, both)
			}
			break
		}
	}
	return list
}

// entryOf finds the peer's entry of what we send it.
func (m *Machine) entryOf(d medium) int {
	for _, e := range m.peer.entries {
		if e.known && d.like(e.media) {
			if _, n := m.peer.security(e.number); n != 0 && d.algorithms != nil {
				return n
			}
			return e.number
		}
	}
	return 0
}

// like reports whether a peer's medium is ours: a presentation is none of the
// main picture, and we send no other content.
func (d medium) like(peer medium) bool {
	return d.codec.Name == peer.codec.Name && d.role&presentation == peer.role&presentation && (d.role == 0) == (peer.role == 0)
}

// toward narrows a medium of ours to what the peer takes of it.
func (d medium) toward(peer medium, mode int) medium {
	if d.codec.Name == "H264" {
		receiver := peer.h264
		receiver.mode = mode
		d.h264 = d.h264.within(receiver)
		d.codec.Fmtp = d.h264.fmtp()
		d.rate, d.role = peer.rate, d.role&peer.role&presentation
		return d
	}
	if most := peer.codec.Ptime; most > 0 && frames(d.codec) > frames(peer.codec) {
		d.codec.Ptime = most
	}
	return d
}

// algorithm is the best that both sides allow.
func (m *Machine) algorithm(offered []per.OID) (per.OID, bool) {
	if m.secure() {
		for _, a := range m.enc.Algorithms {
			if slices.Contains(offered, a) {
				return a, true
			}
		}
	}
	return "", false
}

// nothingToOpen ends a call in which no sound can be sent. A peer that has
// refused what it told to take, or sends sound itself, is kept.
func (m *Machine) nothingToOpen() {
	if len(m.tried[core.Microphone]) > 0 || !slices.ContainsFunc(m.media, func(d medium) bool { return d.source() == core.Microphone }) {
		return
	}
	if m.opt.Required && slices.ContainsFunc(m.peer.entries, func(e entry) bool { return e.known && e.media.source() == core.Microphone }) {
		m.refuseClear()
		return
	}
	if carrying(m.in, core.Microphone) == nil {
		m.fail(core.Reason{Code: core.Incompatible, Say: "No common codec", Detail: "H.245: the peer takes no audio codec of ours"})
	}
}

// clearRefused follows a channel in clear that was refused: if ours can't be
// opened either, the call is over.
func (m *Machine) clearRefused() {
	if m.opt.Required && !m.secure() {
		m.refuseClear()
	}
}

func (m *Machine) refuseClear() {
	m.note("H.235.6: encryption is required, and the peer offers media in clear only")
	m.fail(errClearOnly)
}

// yields reports whether our channel has to wait for the master's, because of
// which it was refused, and takes over its codec once it is there.
func (m *Machine) yields(source core.Source) bool {
	if !m.awaits[source] {
		return false
	}
	in := carrying(m.in, source)
	if in == nil {
		return true
	}
	delete(m.awaits, source)
	delete(m.tried, source)
	m.wanted[source] = in.ch.Codec.Name
	return false
}

// olcKind tells which source an OpenLogicalChannel is about.
func olcKind(olc *h245.OpenLogicalChannel) core.Source {
	t := &olc.ForwardLogicalChannelParameters.DataType
	if t.VideoData != nil || t.H235Media != nil && t.H235Media.MediaType.VideoData != nil {
		return core.Camera
	}
	return core.Microphone
}

// transportAddress writes an address as H.245 does.
func transportAddress(a netip.AddrPort) *h245.TransportAddress {
	ip, u := a.Addr().Unmap(), h245.UnicastAddress{}
	if ip.Is4() {
		u.IPAddress = &h245.UnicastAddressIPAddress{Network: ip.AsSlice(), TsapIdentifier: int(a.Port())}
	} else {
		b := ip.As16()
		u.IP6Address = &h245.UnicastAddressIP6Address{Network: b[:], TsapIdentifier: int(a.Port())}
	}
	return &h245.TransportAddress{UnicastAddress: &u}
}

// addrPort reads an address that media can be sent to.
func addrPort(t *h245.TransportAddress) (netip.AddrPort, bool) {
	if t == nil || t.UnicastAddress == nil {
		return netip.AddrPort{}, false
	}
	network, port := []byte(nil), 0
	switch u := t.UnicastAddress; {
	case u.IPAddress != nil:
		network, port = u.IPAddress.Network, u.IPAddress.TsapIdentifier
	case u.IP6Address != nil:
		network, port = u.IP6Address.Network, u.IP6Address.TsapIdentifier
	}
	ip, ok := netip.AddrFromSlice(network)
	ip = ip.Unmap()
	if !ok || port <= 0 || port > 65535 || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}

// remoteOf is where a channel's receiver is; without an address for reports,
// they go to the next port (RFC 3550 11).
func remoteOf(rtp, rtcp *h245.TransportAddress) (Transport, error) {
	media, ok := addrPort(rtp)
	if !ok {
		return Transport{}, errNoAddress
	}
	control, ok := addrPort(rtcp)
	if !ok && media.Port() < 65535 {
		control = netip.AddrPortFrom(media.Addr(), media.Port()+1)
	}
	return Transport{RTP: media, RTCP: control}, nil
}

// placeOf is where a peer that proposes a channel has its RTP port: as it says,
// or below that of RTCP (RFC 3550, section 11); zero if neither is told.
func placeOf(p *h245.H2250LogicalChannelParameters) netip.AddrPort {
	if media, ok := addrPort(p.MediaChannel); ok {
		return media
	}
	if control, ok := addrPort(p.MediaControlChannel); ok && control.Port() > 1 {
		return netip.AddrPortFrom(control.Addr(), control.Port()-1)
	}
	return netip.AddrPort{}
}
