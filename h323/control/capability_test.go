package control_test

import (
	"reflect"
	"testing"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
)

// Our own capabilities, as a peer reads them.
func TestOurCapabilities(t *testing.T) {
	high := core.Codec{Name: "H264", Fmtp: "profile-level-id=640028;packetization-mode=1;max-mbps=245000;max-fs=8192"}
	s := newWorld(t).alone(control.Options{Codecs: []core.Codec{pcmu, high, avc}, Encryption: aes(h235.AES256OID, h235.AES128OID), BitRate: 4_000_000})
	s.m.Start()
	set := s.sent[0].Request.TerminalCapabilitySet
	var numbers []int
	for _, e := range set.CapabilityTable {
		numbers = append(numbers, e.CapabilityTableEntryNumber)
	}
	if show(numbers) != "[1 2 3 4 5 90 91 92 93 101 102 103 104 105]" || show(set.CapabilityDescriptors[0].SimultaneousCapabilities) != "[[1 101] [2 3 102 103] [4 5 104 105] [93] [90 91 92]]" {
		t.Errorf("table %v, descriptors %v", numbers, set.CapabilityDescriptors)
	}
	video := set.CapabilityTable[1].Capability.ReceiveVideoCapability.GenericVideoCapability
	var params []int
	for _, p := range video.Collapsing {
		n := p.ParameterValue.BooleanArray
		if n == nil {
			n = p.ParameterValue.UnsignedMin
		}
		params = append(params, *p.ParameterIdentifier.Standard, *n)
	}
	if show(params) != "[41 8 42 85 3 490 4 32]" || *video.MaxBitRate != 40000 {
		t.Errorf("H.264: %v, %d", params, *video.MaxBitRate)
	}
	content := set.CapabilityTable[3].Capability.ReceiveVideoCapability.ExtendedVideoCapability
	if role := content.VideoCapabilityExtension[0]; *role.CapabilityIdentifier.Standard != "0.0.8.239.1.2" || *role.Collapsing[0].ParameterValue.BooleanArray != 3 ||
		!reflect.DeepEqual(content.VideoCapability[0], *set.CapabilityTable[1].Capability.ReceiveVideoCapability) {
		t.Errorf("content: %s", show(content))
	}
	if c := set.CapabilityTable[8].Capability.GenericControlCapability; *c.CapabilityIdentifier.Standard != "0.0.8.239.1.1" {
		t.Errorf("H.239: %s", show(c))
	}
	if p := set.MultiplexCapability.H2250Capability.MediaPacketizationCapability.RtpPayloadType; len(p) != 2 || *p[1].PayloadDescriptor.Oid != "0.0.8.241.0.0.0.1" {
		t.Errorf("packetization %v", p)
	}
	s = newWorld(t).alone(control.Options{Codecs: []core.Codec{pcmu}, Encryption: aes(h235.AES128OID), Required: true})
	s.m.Start()
	if d := s.sent[0].Request.TerminalCapabilitySet.CapabilityDescriptors[0]; show(d.SimultaneousCapabilities) != "[[101] [90 91 92]]" {
		t.Errorf("where encryption is required: %v", d)
	}
}

// H.241's levels and profiles, there and back.
func TestH264(t *testing.T) {
	for in, want := range map[string]string{
		"": "profile-level-id=42e01f;packetization-mode=0",
		"profile-level-id=42e01f;packetization-mode=1":        "profile-level-id=42e01f;packetization-mode=1",
		"profile-level-id=42801e":                             "profile-level-id=42e01e;packetization-mode=0",
		"profile-level-id=4D0028; packetization-mode=1":       "profile-level-id=4d0028;packetization-mode=1",
		"profile-level-id=640c1f;max-mbps=108000;max-fs=3600": "profile-level-id=64001f;packetization-mode=0;max-mbps=108000;max-fs=3584",
		"profile-level-id=42f00b":                             "profile-level-id=42f00b;packetization-mode=0",
		"profile-level-id=42e0ff":                             "profile-level-id=42e034;packetization-mode=0",
	} {
		w := newWorld(t)
		c := core.Codec{Name: "H264", Fmtp: in}
		a, b := w.pair(control.Options{Codecs: []core.Codec{pcmu, c}}, control.Options{Codecs: []core.Codec{pcmu, c}})
		start(w, a, b)
		if got := flows(t, a, b, core.Camera); got.Fmtp != want {
			t.Errorf("%q: %q", in, got.Fmtp)
		}
	}
	// what we send to a receiver of less
	w := newWorld(t)
	a, b := w.pair(control.Options{Codecs: []core.Codec{pcmu, avc}}, control.Options{Codecs: []core.Codec{pcmu, {Name: "H264", Fmtp: "profile-level-id=64000d;packetization-mode=0"}}})
	start(w, a, b)
	if got := flows(t, a, b, core.Camera); got.Fmtp != "profile-level-id=64000d;packetization-mode=0" {
		t.Errorf("%q", got.Fmtp)
	}
}
