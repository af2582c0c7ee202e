// Package doctor says in plain words how a call went and, where it went wrong,
// what would help. It judges by a call's record alone: its signalling, what was
// decided about it and what was measured of its sound. It is what an operator
// reads first, above the ladder.
package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// The grades of a finding.
const (
	Good   = "good"
	Poor   = "poor"   // the call was held, and not as it should be
	Failed = "failed" // it was not, or somebody could not be heard
	Open   = "open"   // it is under way, and well
)

// Examine gives what there is to say of a call, the verdict first. There is
// always one.
func Examine(c store.Call) []store.Finding {
	f := factsOf(&c)
	if !f.answered() {
		if c.Code == "" {
			return []store.Finding{{Code: "under-way", Grade: Open, Text: "The call is being set up."}}
		}
		return []store.Finding{f.unanswered()}
	}
	var list []store.Finding
	if end, bad := f.ending(); bad {
		list = append(list, end)
	}
	for _, look := range []func(*facts) (store.Finding, bool){deaf, stopped, dumb, keyless, renegotiation, silent, lossy, lossyThere, shaky, clipping, echoing, slow} {
		if found, ok := look(f); ok {
			list = append(list, found)
		}
	}
	if len(list) > 1 && list[0].Code == "media-timeout" {
		list = list[1:] // the other says why
	}
	if len(list) == 0 {
		list = append(list, f.well())
	}
	if why, known := unproved[f.Detail.Stir.Result]; known && f.Detail.Stir.Result != noIdentity {
		list = append(list, poor("caller-unproved", "the caller's number is not proved: "+why.text, why.remedy))
	}
	return list
}

// Verdict is the first of the findings as one text, with its remedy.
func Verdict(list []store.Finding) string {
	if len(list) == 0 {
		return ""
	}
	return strings.TrimSpace(list[0].Text + " " + list[0].Remedy)
}

// facts are a record, made easy to ask.
type facts struct {
	*store.Call
	in     bool
	code   core.Code
	why    string // the reason's detail
	source netip.Addr
	audio  store.Stats
	ladder ladder
}

func factsOf(c *store.Call) *facts {
	f := &facts{Call: c, in: c.Direction != string(core.Out), code: core.Code(c.Code), why: c.Detail.Reason, audio: c.Detail.Audio}
	f.source, _ = netip.ParseAddr(c.Source)
	f.ladder = ladderOf(c.Ladder, f.in)
	return f
}

func (f *facts) answered() bool { return !f.Detail.Answered.IsZero() }

// mentions tells whether the reason has one of these words.
func (f *facts) mentions(words ...string) bool {
	for _, w := range words {
		if strings.Contains(f.why, w) {
			return true
		}
	}
	return false
}

// peer is who is at the other end, as the subject of a sentence.
func (f *facts) peer() string {
	switch {
	case f.Trunk != "":
		return "the carrier"
	case f.in:
		return "the caller"
	}
	return "the called party"
}

// from is where a call comes from or goes to, as far as it is known.
func (f *facts) from() string {
	if f.Source == "" {
		return f.peer()
	}
	return f.Source
}

// span is how long the call has lasted since it was answered.
func (f *facts) span() time.Duration {
	end := f.Ended
	if end.IsZero() {
		end = time.Now()
		if n := len(f.Media); n > 0 {
			end = f.Media[n-1].At
		}
	}
	return max(0, end.Sub(f.Detail.Answered))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds())) }

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func failed(code, text, remedy string) store.Finding {
	return store.Finding{Code: code, Grade: Failed, Text: sentence(text), Remedy: remedy}
}

func poor(code, text, remedy string) store.Finding {
	return store.Finding{Code: code, Grade: Poor, Text: sentence(text), Remedy: remedy}
}

// well is the verdict on a call of which there is nothing bad to say.
func (f *facts) well() store.Finding {
	what := f.audio.Codec
	if n := f.audio.PacketsReceived + f.audio.PacketsLost; n > 0 {
		what += fmt.Sprintf(", %.1f %% of its packets lost", 100*float64(f.audio.PacketsLost)/float64(n))
	}
	if f.Detail.MOS > 0 {
		what += fmt.Sprintf(", MOS %.1f", f.Detail.MOS)
	}
	if f.code == "" {
		return store.Finding{Code: "under-way", Grade: Open, Text: "The call is under way, and goes well: " + what + "."}
	}
	text := fmt.Sprintf("The call went well for %s: %s.", f.span().Round(time.Second), what)
	if how := endings[f.code]; how != "" {
		text += " " + how
	}
	return store.Finding{Code: "good", Grade: Good, Text: text}
}

// endings are the ways in which a good call ends.
var endings = map[core.Code]string{
	core.Normal: "Somebody hung up.", core.Ended: "The meeting was ended.", core.Removed: "A host removed the caller.",
	core.Shutdown: "The bridge was shut down.",
	core.Revoked:  "The account or device was revoked.",
}

// private tells whether an address leads nowhere from outside (RFC 1918, 4193,
// 6598, 3927).
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || a.IsUnspecified() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a)
}
