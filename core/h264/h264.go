// Package h264 reads what a bridge must know of H.264 without decoding it: the
// limits that a receiver states (RFC 6184 §8.1, H.264 Annex A), the size of a
// picture from its sequence parameter set (H.264 §7.3.2.1.1), and the NAL units
// in RTP payloads (RFC 6184 §5) and byte streams (H.264 Annex B).
package h264

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// NAL unit types (H.264 table 7-1, RFC 6184 table 1).
const (
	Slice = 1
	IDR   = 5
	SEI   = 6
	SPS   = 7
	PPS   = 8
	AUD   = 9
	STAPA = 24
	FUA   = 28
)

// Params are the format parameters of a stream or receiver.
type Params struct {
	Profile     uint8 // profile_idc; 66: baseline
	Constraints uint8 // profile-iop
	Level       uint8 // level_idc, ten times the level; 11 with constraint_set3: 1b
	Mode        int   // packetization-mode
	MaxMBPS     int   // macroblocks a second
	MaxFS       int   // macroblocks in a picture
	MaxBR       int   // bit/s
}

// levels of table A-1: macroblocks a second, in a picture, and 1000 bit/s.
var levels = []struct {
	idc           uint8
	mbps, fs, kbr int
}{
	{10, 1485, 99, 64}, {11, 3000, 396, 192}, {12, 6000, 396, 384}, {13, 11880, 396, 768}, {20, 11880, 396, 2000},
	{21, 19800, 792, 4000}, {22, 20250, 1620, 4000}, {30, 40500, 1620, 10000}, {31, 108000, 3600, 14000},
	{32, 216000, 5120, 20000}, {40, 245760, 8192, 20000}, {41, 245760, 8192, 50000}, {42, 522240, 8704, 50000},
	{50, 589824, 22080, 135000}, {51, 983040, 36864, 240000}, {52, 2073600, 36864, 240000},
}

// Fmtp reads the parameters as SDP states them. What is missing or malformed
// is as by default: constrained baseline at level 1.
func Fmtp(fmtp string) Params {
	p := Params{Profile: 66, Level: 10}
	var mbps, fs, br int
	for _, f := range strings.Split(fmtp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(f), "=")
		n, err := strconv.Atoi(value)
		number := err == nil && n > 0 && n < 1<<26
		switch strings.ToLower(name) {
		case "profile-level-id":
			if b, err := hex.DecodeString(value); err == nil && len(b) == 3 {
				p.Profile, p.Constraints, p.Level = b[0], b[1], b[2]
			}
		case "packetization-mode":
			if number {
				p.Mode = n
			}
		case "max-mbps":
			mbps = onlyIf(number, n)
		case "max-fs":
			fs = onlyIf(number, n)
		case "max-br": // in 1000 bit/s
			br = onlyIf(number, n) * 1000
		}
	}
	p.limit()
	// They only ever raise what the level says (RFC 6184 §8.1).
	p.MaxMBPS, p.MaxFS, p.MaxBR = max(p.MaxMBPS, mbps), max(p.MaxFS, fs), max(p.MaxBR, br)
	return p
}

func onlyIf(ok bool, n int) int {
	if ok {
		return n
	}
	return 0
}

// LevelOf is the level_idc of pictures of 16:9 of so many lines, at 30 a second.
func LevelOf(lines int) uint8 {
	switch {
	case lines > 1088:
		return 51
	case lines > 720:
		return 40
	}
	return 31
}

// limit sets what the level allows; one unknown counts as the next below.
func (p *Params) limit() {
	for _, l := range levels {
		if p.Level < l.idc && p.MaxFS > 0 {
			break
		}
		p.MaxMBPS, p.MaxFS, p.MaxBR = l.mbps, l.fs, l.kbr*1000
	}
	if p.Level == 11 && p.Constraints&0x10 != 0 || p.Level == 9 { // level 1b
		p.MaxMBPS, p.MaxFS, p.MaxBR = 1485, 99, 128_000
	}
}

// Takes tells whether who has such limits can receive what is sent within
// those of sent: the packetization mode and the profile. Every profile decodes
// constrained baseline; others only their own.
func (p Params) Takes(sent Params) bool {
	if sent.Mode > p.Mode {
		return false
	}
	return sent.Profile == p.Profile || sent.Baseline()
}

// Baseline reports the constrained baseline profile, which all decoders take.
func (p Params) Baseline() bool { return p.Profile == 66 || p.Constraints&0x80 != 0 }

// Lines is the height of the largest picture of 16:9 within the limits, in
// pixels.
func (p Params) Lines() int {
	lines := 0
	for h := 1; ; h++ { // in macroblocks
		w := h * 16 / 9
		if w*h > p.MaxFS {
			return max(lines, 144)
		}
		lines = h * 16
	}
}
