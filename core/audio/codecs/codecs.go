// Package codecs lists the audio codecs of the bridge. A new codec is a folder
// beside this one and a line here.
package codecs

import (
	"strings"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/g711"
	"bridgehead/core/audio/g722"
	"bridgehead/core/audio/opus"
)

// All lists the codecs, the best sound first.
var All = []*audio.Codec{opus.Codec, g722.Codec, g711.Mu, g711.A}

// Lookup finds the codec that c names.
func Lookup(c core.Codec) (*audio.Codec, bool) {
	for _, a := range All {
		if strings.EqualFold(a.Name, c.Name) && (c.ClockRate == 0 || c.ClockRate == a.ClockRate) {
			return a, true
		}
	}
	return nil, false
}
