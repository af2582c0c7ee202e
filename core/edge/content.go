package edge

import (
	"strings"

	"bridgehead/core"
)

// Content follows who presents in the room, for a leg that can show its party
// one presentation beside the picture. It is owned by the leg's mailbox.
type Content struct {
	sharing string // who presents, as the roster says
	refused string // whose screen the party would not take
	wanted  string // whose screen the room has been asked for
}

// Roster looks for a screen that is shared; one that is shown stays.
func (c *Content) Roster(self string, list []core.Party) {
	next := ""
	for _, p := range list {
		for _, s := range p.Sources {
			if s == core.Screen && p.ID != self && (next != c.sharing || next == "") {
				next = p.ID
			}
		}
	}
	if c.sharing = next; next != c.refused {
		c.refused = ""
	}
}

// Refuse notes that the party does not take a party's screen; "" forgets it.
func (c *Content) Refuse(party string) { c.refused = party }

// Reseated: another room, of which nothing is known yet.
func (c *Content) Reseated() { *c = Content{} }

// Look is what to ask the room for, if that has changed; can: something can be
// shown now.
func (c *Content) Look(can bool) (v core.View, changed bool) {
	want := ""
	if can && c.sharing != c.refused {
		want = c.sharing
	}
	if want == c.wanted {
		return v, false
	}
	c.wanted = want
	if want != "" {
		v.Wants = []core.Want{{Party: want, Source: core.Screen, Height: 1080}}
	}
	return v, true
}

// TakesContent tells whether a party that takes one of these codecs can be sent
// a presentation: fragmented H.264 (RFC 6184 §6.3) is not for all.
func TakesContent(takes []core.Codec, sent core.Codec) error {
	fragments := func(c core.Codec) bool { return strings.Contains(c.Fmtp, "packetization-mode=1") }
	switch {
	case len(takes) == 0:
		return core.Reason{Code: core.Incompatible, Detail: "the party takes no content"}
	case !strings.EqualFold(takes[0].Name, sent.Name):
		return core.Reason{Code: core.Incompatible, Detail: "content goes in " + takes[0].Name}
	case fragments(sent) && !fragments(takes[0]):
		return core.Reason{Code: core.Incompatible, Detail: "the party takes no fragmented H.264"}
	}
	return nil
}

// Unlimited is said of a bit rate that is limited no more.
const Unlimited = 1 << 30

// Least is the smaller of two bit rates, either of which may be 0: not said.
func Least(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
