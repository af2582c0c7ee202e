package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Bounds of a peer's capability set.
const (
	maxEntries     = 256
	maxDescriptors = 64
	maxPlaces      = 16 // of one entry in the descriptors
	maxAlgorithms  = 8  // of one entry
)

// Numbers in our capability table: media from 1, with its H.235 alternative at
// 100 more, and user input behind.
const (
	securityEntry = 100
	inputEntry    = 90
	eventsEntry   = 92
	contentEntry  = 93
)

const (
	// EventsPayloadType is that of telephone-events (RFC 4733) toward us.
	EventsPayloadType = 101

	defaultPtime = 20 * time.Millisecond
)

// canonical completes a codec's description.
func canonical(c core.Codec) (core.Codec, error) {
	switch strings.ToUpper(c.Name) {
	case "PCMU":
		c.Name, c.ClockRate, c.Channels, c.PayloadType = "PCMU", 8000, 1, 0
	case "PCMA":
		c.Name, c.ClockRate, c.Channels, c.PayloadType = "PCMA", 8000, 1, 8
	case "G722":
		c.Name, c.ClockRate, c.Channels, c.PayloadType = "G722", 8000, 1, 9
	case "H264":
		h, err := parseFmtp(c.Fmtp)
		if err != nil {
			return c, err
		}
		c.Name, c.ClockRate, c.Channels, c.Fmtp = "H264", 90000, 0, h.fmtp()
		if c.PayloadType < 96 || c.PayloadType > 127 {
			c.PayloadType = 96
		}
	default:
		return c, fmt.Errorf("h323/control: H.245 has no capability for codec %q", c.Name)
	}
	if c.Name != "H264" && c.Ptime <= 0 {
		c.Ptime = defaultPtime
	}
	return c, nil
}

// source of a medium: a picture that has a role is content.
func (d medium) source() core.Source {
	switch {
	case d.codec.Name != "H264":
		return core.Microphone
	case d.role != 0:
		return core.Screen
	}
	return core.Camera
}

// frames of a packet, for the codecs whose frame is 1 ms.
func frames(c core.Codec) int {
	return min(max(int(c.Ptime/time.Millisecond), 1), 256)
}

func audioCapability(c core.Codec) *h245.AudioCapability {
	n := frames(c)
	switch c.Name {
	case "PCMU":
		return &h245.AudioCapability{G711Ulaw64k: &n}
	case "PCMA":
		return &h245.AudioCapability{G711Alaw64k: &n}
	}
	return &h245.AudioCapability{G722_64k: &n}
}

// parseAudio reads a capability of a codec that is known; Ptime is the most
// sound in a packet.
func parseAudio(a *h245.AudioCapability) (core.Codec, bool) {
	for name, n := range map[string]*int{"PCMU": a.G711Ulaw64k, "PCMA": a.G711Alaw64k, "G722": a.G722_64k} {
		if n != nil {
			c, err := canonical(core.Codec{Name: name, Ptime: time.Duration(*n) * time.Millisecond})
			return c, err == nil
		}
	}
	return core.Codec{}, false
}

// medium is a codec as one side takes or sends it.
type medium struct {
	codec core.Codec
	h264  h264
	rate  int // bit/s; 0: not said
	role  int // H.239's bits; 0: the main picture
	// algorithms of H.235.6; nil: in clear.
	algorithms []per.OID
}

func parseMedium(a *h245.AudioCapability, v *h245.VideoCapability) (d medium, ok bool) {
	switch {
	case a != nil:
		d.codec, ok = parseAudio(a)
	case v != nil:
		if x := v.ExtendedVideoCapability; x != nil {
			d.h264, d.rate, d.role, ok = parseExtended(x)
		} else {
			d.h264, d.rate, ok = parseVideo(v)
		}
		if ok {
			d.codec, _ = canonical(core.Codec{Name: "H264", Fmtp: d.h264.fmtp()})
		}
	}
	return d, ok
}

// parseDataType reads what a logical channel is to carry.
func parseDataType(t *h245.DataType) (medium, bool) {
	if t.H235Media == nil {
		return parseMedium(t.AudioData, t.VideoData)
	}
	d, ok := parseMedium(t.H235Media.MediaType.AudioData, t.H235Media.MediaType.VideoData)
	d.algorithms = algorithms(&t.H235Media.EncryptionAuthenticationAndIntegrity)
	if d.algorithms == nil {
		d.algorithms = []per.OID{}
	}
	return d, ok
}

// packetized takes over the packetization that a channel is to have.
func (d *medium) packetized(p *h245.H2250LogicalChannelParameters) {
	x := p.MediaPacketization
	if d.codec.Name == "H264" && x != nil && x.RtpPayloadType != nil {
		if oid := x.RtpPayloadType.PayloadDescriptor.Oid; oid != nil && *oid == nonInterOID {
			d.h264.mode = 1
			d.codec.Fmtp = d.h264.fmtp()
		}
	}
}

func (d medium) dataType() h245.DataType {
	var a *h245.AudioCapability
	var v *h245.VideoCapability
	if v = d.video(); v == nil {
		a = audioCapability(d.codec)
	}
	if d.algorithms == nil {
		return h245.DataType{AudioData: a, VideoData: v}
	}
	return h245.DataType{H235Media: &h245.H235Media{EncryptionAuthenticationAndIntegrity: security(d.algorithms),
		MediaType: h245.H235MediaMediaType{AudioData: a, VideoData: v}}}
}

// video is the capability of a picture; nil for sound.
func (d medium) video() *h245.VideoCapability {
	switch d.source() {
	case core.Camera:
		return d.h264.capability(d.rate)
	case core.Screen:
		return extended(d.h264.capability(d.rate), d.role)
	}
	return nil
}

func security(list []per.OID) (e h245.EncryptionAuthenticationAndIntegrity) {
	for _, oid := range list {
		e.EncryptionCapability = append(e.EncryptionCapability, h245.MediaEncryptionAlgorithm{Algorithm: new(oid)})
	}
	return e
}

func algorithms(e *h245.EncryptionAuthenticationAndIntegrity) (list []per.OID) {
	for _, a := range e.EncryptionCapability {
		if a.Algorithm != nil && len(list) < maxAlgorithms {
			list = append(list, *a.Algorithm)
		}
	}
	return list
}

// capabilitySet is what we take: each medium, alone and encrypted (H.235.6
// 8.3), sound with a picture, with content and with keys.
func (m *Machine) capabilitySet() h245.TerminalCapabilitySet {
	set := h245.TerminalCapabilitySet{}
	var packetization []h245.RTPPayloadType
	alternatives := map[core.Source]h245.AlternativeCapabilitySet{}
	add := func(n int, c h245.Capability) {
		set.CapabilityTable = append(set.CapabilityTable, h245.CapabilityTableEntry{CapabilityTableEntryNumber: n, Capability: &c})
	}
	for i, d := range m.media {
		n, source := i+1, d.source()
		if v := d.video(); v != nil {
			add(n, h245.Capability{ReceiveVideoCapability: v})
			packetization = addPacketization(packetization, d)
		} else {
			add(n, h245.Capability{ReceiveAudioCapability: audioCapability(d.codec)})
		}
		if !m.opt.Required {
			alternatives[source] = append(alternatives[source], n)
		}
	}
	if m.secure() {
		for i, d := range m.media {
			n, source := securityEntry+i+1, d.source()
			add(n, h245.Capability{H235SecurityCapability: &h245.H235SecurityCapability{
				EncryptionAuthenticationAndIntegrity: security(m.enc.Algorithms), MediaCapability: i + 1}})
			alternatives[source] = append(alternatives[source], n)
		}
	}
	add(inputEntry, h245.Capability{ReceiveUserInputCapability: &h245.UserInputCapability{BasicString: new(per.Null)}})
	add(inputEntry+1, h245.Capability{ReceiveUserInputCapability: &h245.UserInputCapability{Dtmf: new(per.Null)}})
	add(eventsEntry, h245.Capability{ReceiveRTPAudioTelephonyEventCapability: &h245.AudioTelephonyEventCapability{
		DynamicRTPPayloadType: EventsPayloadType, AudioTelephoneEvent: "0-16"}})
	var together []h245.AlternativeCapabilitySet
	for _, source := range []core.Source{core.Microphone, core.Camera, core.Screen} {
		if a := alternatives[source]; len(a) > 0 {
			together = append(together, a)
		}
	}
	if len(alternatives[core.Screen]) > 0 {
		add(contentEntry, h245.Capability{GenericControlCapability: &h245.GenericCapability{
			CapabilityIdentifier: h245.CapabilityIdentifier{Standard: new(contentOID)}}})
		together = append(together, h245.AlternativeCapabilitySet{contentEntry})
	}
	slices.SortStableFunc(set.CapabilityTable, func(a, b h245.CapabilityTableEntry) int {
		return a.CapabilityTableEntryNumber - b.CapabilityTableEntryNumber
	})
	together = append(together, h245.AlternativeCapabilitySet{inputEntry, inputEntry + 1, eventsEntry})
	set.CapabilityDescriptors = []h245.CapabilityDescriptor{{CapabilityDescriptorNumber: 1, SimultaneousCapabilities: together}}
	set.MultiplexCapability = &h245.MultiplexCapability{H2250Capability: transportCapability(packetization)}
	return set
}

func addPacketization(list []h245.RTPPayloadType, d medium) []h245.RTPPayloadType {
	for _, oid := range []per.OID{singleNALOID, nonInterOID}[:d.h264.mode+1] {
		if !slices.ContainsFunc(list, func(t h245.RTPPayloadType) bool { return *t.PayloadDescriptor.Oid == oid }) {
			list = append(list, packetizationOf(oid, d.codec.PayloadType))
		}
	}
	return list
}

func packetizationOf(oid per.OID, pt uint8) h245.RTPPayloadType {
	return h245.RTPPayloadType{PayloadDescriptor: h245.RTPPayloadTypePayloadDescriptor{Oid: &oid}, PayloadType: new(int(pt))}
}

// transportCapability says that media goes one to one, by unicast.
func transportCapability(packetization []h245.RTPPayloadType) *h245.H2250Capability {
	unicast := h245.MultipointCapability{MediaDistributionCapability: []h245.MediaDistributionCapability{{}}}
	return &h245.H2250Capability{MaximumAudioDelayJitter: 250,
		ReceiveMultipointCapability: unicast, TransmitMultipointCapability: unicast, ReceiveAndTransmitMultipointCapability: unicast,
		MediaPacketizationCapability:      h245.MediaPacketizationCapability{RtpPayloadType: packetization},
		LogicalChannelSwitchingCapability: new(false), T120DynamicPortCapability: new(false)}
}

// capabilities are a peer's: what it takes.
type capabilities struct {
	entries []entry // at most maxEntries
	// places of the entries in the descriptors; nil: there are none, and all
	// may be received at once.
	places map[int][]place
	mode   int // packetization of H.264
}

// place is one alternative capability set of a descriptor.
type place struct{ descriptor, set int }

// entry of the capability table: what is of use in it.
type entry struct {
	number int
	media  medium
	known  bool // media is one that we know
	// secures is the entry whose media this one encrypts by algorithms.
	secures    int
	algorithms []per.OID
	dtmf       bool
	events     uint8 // payload type of telephone-events; 0: not taken
	content    bool  // messages of H.239
}

// empty is the set that asks for silence (H.323 8.4.6). Some peers leave the
// multiplex capability in it.
func empty(set *h245.TerminalCapabilitySet) bool {
	return len(set.CapabilityTable) == 0 && len(set.CapabilityDescriptors) == 0
}

// merge takes a further set: entries are replaced and, if without a
// capability, removed (H.245 6.2.8). What is beyond the bounds is ignored.
func (c *capabilities) merge(set *h245.TerminalCapabilitySet) {
	for _, e := range set.CapabilityTable {
		c.entries = slices.DeleteFunc(c.entries, func(old entry) bool { return old.number == e.CapabilityTableEntryNumber })
		if e.Capability != nil && len(c.entries) < maxEntries {
			c.entries = append(c.entries, parseEntry(e.CapabilityTableEntryNumber, e.Capability))
		}
	}
	if d := set.CapabilityDescriptors; len(d) > 0 {
		c.locate(d[:min(len(d), maxDescriptors)])
	}
	if x := set.MultiplexCapability; x != nil && x.H2250Capability != nil {
		c.mode = 0
		for _, t := range x.H2250Capability.MediaPacketizationCapability.RtpPayloadType {
			if oid := t.PayloadDescriptor.Oid; oid != nil && *oid == nonInterOID {
				c.mode = 1
			}
		}
	}
}

// locate notes where the entries stand in the descriptors.
func (c *capabilities) locate(list []h245.CapabilityDescriptor) {
	c.places = make(map[int][]place, len(c.entries))
	for _, e := range c.entries {
		c.places[e.number] = nil
	}
	for i, d := range list {
		for j, set := range d.SimultaneousCapabilities {
			for _, n := range set {
				if at, ok := c.places[n]; ok && len(at) < maxPlaces {
					c.places[n] = append(at, place{i, j})
				}
			}
		}
	}
}

func parseEntry(n int, c *h245.Capability) entry {
	e := entry{number: n}
	switch {
	case c.ReceiveAudioCapability != nil:
		e.media, e.known = parseMedium(c.ReceiveAudioCapability, nil)
	case c.ReceiveAndTransmitAudioCapability != nil:
		e.media, e.known = parseMedium(c.ReceiveAndTransmitAudioCapability, nil)
	case c.ReceiveVideoCapability != nil:
		e.media, e.known = parseMedium(nil, c.ReceiveVideoCapability)
	case c.ReceiveAndTransmitVideoCapability != nil:
		e.media, e.known = parseMedium(nil, c.ReceiveAndTransmitVideoCapability)
	case c.H235SecurityCapability != nil:
		e.secures = c.H235SecurityCapability.MediaCapability
		e.algorithms = algorithms(&c.H235SecurityCapability.EncryptionAuthenticationAndIntegrity)
	case c.ReceiveUserInputCapability != nil:
		e.dtmf = c.ReceiveUserInputCapability.Dtmf != nil
	case c.ReceiveAndTransmitUserInputCapability != nil:
		e.dtmf = c.ReceiveAndTransmitUserInputCapability.Dtmf != nil
	case c.GenericControlCapability != nil:
		id := c.GenericControlCapability.CapabilityIdentifier.Standard
		e.content = id != nil && *id == contentOID
	case c.ReceiveRTPAudioTelephonyEventCapability != nil:
		e.events = uint8(c.ReceiveRTPAudioTelephonyEventCapability.DynamicRTPPayloadType)
	}
	return e
}

// takesSignals reports whether the peer takes keys as signals.
func (c *capabilities) takesSignals() bool {
	return c != nil && slices.ContainsFunc(c.entries, func(e entry) bool { return e.dtmf })
}

// EventsType is the payload type of telephone-events (RFC 4733) that the peer
// takes; 0: none.
func (m *Machine) EventsType() uint8 {
	if m.peer != nil {
		for _, e := range m.peer.entries {
			if e.events != 0 {
				return e.events
			}
		}
	}
	return 0
}

// security gives the algorithms by which the peer takes an entry's media
// encrypted, and the entry that says so.
func (c *capabilities) security(n int) ([]per.OID, int) {
	for _, e := range c.entries {
		if e.secures == n {
			return e.algorithms, e.number
		}
	}
	return nil, 0
}

// listed reports whether an entry may be used: it stands in a descriptor.
func (c *capabilities) listed(n int) bool { return c.places == nil || len(c.places[n]) > 0 }

// together reports whether two entries may be received at once: both stand in
// one descriptor, in different sets.
func (c *capabilities) together(a, b int) bool {
	return c.places == nil || slices.ContainsFunc(c.places[a], func(p place) bool {
		return slices.ContainsFunc(c.places[b], func(q place) bool { return p.descriptor == q.descriptor && p.set != q.set })
	})
}
