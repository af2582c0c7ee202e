package control

import (
	"fmt"
	"strconv"
	"strings"

	"bridgehead/h323/h245"
	"bridgehead/h323/per"
)

// Identifiers of ITU-T H.241: the H.264 capability, and how RTP carries it, as
// RFC 6184's packetization modes 0 and 1.
const (
	h264OID      per.OID = "0.0.8.241.0.0.1"
	singleNALOID per.OID = "0.0.8.241.0.0.0.0"
	nonInterOID  per.OID = "0.0.8.241.0.0.0.1"
)

// Parameters of the H.264 capability (H.241 8.3.2), and their units.
const (
	paramMBPS    = 3 // 500 macroblocks/s
	paramFS      = 4 // 256 macroblocks
	paramProfile = 41
	paramLevel   = 42

	unitMBPS = 500
	unitFS   = 256
)

// Profiles, as H.241's bits.
const (
	baseline = 0x40
	mainProf = 0x20
	high     = 0x08
)

// levels are H.241's numbers (table 8-4) of H.264's, lowest first. Level 1b is
// 9, as the high profiles write it.
var levels = []struct{ number, idc int }{
	{15, 10}, {19, 9}, {22, 11}, {29, 12}, {36, 13}, {43, 20}, {50, 21}, {57, 22},
	{64, 30}, {71, 31}, {78, 32}, {85, 40}, {92, 41}, {99, 42}, {106, 50}, {113, 51}, {120, 52},
}

// h264 are the parameters of an H.264 stream or receiver.
type h264 struct {
	profiles int // bits
	level    int // index of levels
	mbps, fs int // beyond the level's: macroblocks/s, macroblocks; 0: none
	mode     int // packetization, 0 or 1
}

// parseFmtp reads the parameters of RFC 6184 8.1. What is missing is that of
// constrained baseline at level 3.1.
func parseFmtp(fmtp string) (h264, error) {
	h := h264{profiles: baseline, level: 9}
	for field := range strings.SplitSeq(fmtp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch strings.ToLower(name) {
		case "profile-level-id":
			id, err := strconv.ParseUint(value, 16, 24)
			if err != nil || len(value) != 6 {
				return h, fmt.Errorf("h323/control: profile-level-id %q", value)
			}
			h.profiles, h.level = profileOf(int(id>>16)), levelOf(int(id&0xff), id&0x1000 != 0 && id>>16 != 100)
		case "packetization-mode":
			h.mode = min(atoi(value), 1)
		case "max-mbps":
			h.mbps = atoi(value)
		case "max-fs":
			h.fs = atoi(value)
		}
	}
	return h, nil
}

func atoi(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

func profileOf(idc int) int {
	switch idc {
	case 77:
		return mainProf
	case 100:
		return high
	}
	return baseline
}

// levelOf is the index of the highest level not above the one given.
func levelOf(idc int, constraint3 bool) int {
	if idc == 9 || idc == 11 && constraint3 {
		return 1
	}
	best := 0
	for i, l := range levels {
		if l.idc <= idc && i != 1 {
			best = i
		}
	}
	return best
}

// fmtp writes the parameters as SDP does.
func (h h264) fmtp() string {
	profile, idc := "42e0", levels[h.level].idc
	switch {
	case h.profiles&baseline != 0:
		if idc == 9 {
			profile, idc = "42f0", 11
		}
	case h.profiles&mainProf != 0:
		profile = "4d00"
	default:
		profile = "6400"
	}
	out := fmt.Sprintf("profile-level-id=%s%02x;packetization-mode=%d", profile, idc, h.mode)
	if h.mbps > 0 {
		out += ";max-mbps=" + strconv.Itoa(h.mbps)
	}
	if h.fs > 0 {
		out += ";max-fs=" + strconv.Itoa(h.fs)
	}
	return out
}

// capability writes the parameters as H.241 does; rate is in bit/s.
func (h h264) capability(rate int) *h245.VideoCapability {
	params := []h245.GenericParameter{
		parameter(paramProfile, h245.ParameterValue{BooleanArray: new(h.profiles)}),
		parameter(paramLevel, h245.ParameterValue{UnsignedMin: new(levels[h.level].number)}),
	}
	if n := h.mbps / unitMBPS; n > 0 {
		params = append(params, parameter(paramMBPS, h245.ParameterValue{UnsignedMin: new(min(n, 65535))}))
	}
	if n := h.fs / unitFS; n > 0 {
		params = append(params, parameter(paramFS, h245.ParameterValue{UnsignedMin: new(min(n, 65535))}))
	}
	return &h245.VideoCapability{GenericVideoCapability: &h245.GenericCapability{
		CapabilityIdentifier: h245.CapabilityIdentifier{Standard: new(h264OID)},
		MaxBitRate:           new(int64(rate / 100)), Collapsing: params}}
}

func parameter(id int, v h245.ParameterValue) h245.GenericParameter {
	return h245.GenericParameter{ParameterIdentifier: h245.ParameterIdentifier{Standard: &id}, ParameterValue: v}
}

// parseVideo reads a capability: H.264 alone is known. rate is in bit/s.
func parseVideo(v *h245.VideoCapability) (h h264, rate int, ok bool) {
	g := v.GenericVideoCapability
	if g == nil || g.CapabilityIdentifier.Standard == nil || *g.CapabilityIdentifier.Standard != h264OID {
		return h, 0, false
	}
	for _, list := range [][]h245.GenericParameter{g.Collapsing, g.NonCollapsing} {
		for _, p := range list {
			h.set(p)
		}
	}
	if h.profiles == 0 {
		h.profiles = baseline
	}
	if g.MaxBitRate != nil {
		rate = int(min(*g.MaxBitRate, 1<<31/100)) * 100
	}
	return h, rate, true
}

func (h *h264) set(p h245.GenericParameter) {
	if p.ParameterIdentifier.Standard == nil {
		return
	}
	n := 0
	switch v := p.ParameterValue; {
	case v.BooleanArray != nil:
		n = *v.BooleanArray
	case v.UnsignedMin != nil:
		n = *v.UnsignedMin
	case v.UnsignedMax != nil:
		n = *v.UnsignedMax
	}
	switch *p.ParameterIdentifier.Standard {
	case paramProfile:
		h.profiles = n & (baseline | mainProf | high)
	case paramLevel:
		for i, l := range levels {
			if l.number <= n {
				h.level = i
			}
		}
	case paramMBPS:
		h.mbps = n * unitMBPS
	case paramFS:
		h.fs = n * unitFS
	}
}

// within is what a sender of h may send to a receiver of r: its own profile
// where the receiver has it, and the lower level. A receiver of a higher
// profile takes the constrained baseline in it.
func (h h264) within(r h264) h264 {
	out := h264{profiles: h.profiles & r.profiles, level: min(h.level, r.level), mode: min(h.mode, r.mode)}
	if out.profiles == 0 {
		out.profiles = r.profiles
	}
	if h.level >= r.level {
		out.mbps, out.fs = r.mbps, r.fs
	}
	return out
}
