package load

import (
	_ "embed"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var documentText string

var document = template.Must(template.New("performance.md").Funcs(template.FuncMap{
	"ms": func(v float64) string { return measured("%.2f", v) },
	"x":  func(v float64) string { return measured("%.2f ×", v) },
	"f1": func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"f0": func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"size": func(c Cost) string {
		if c.Meetings > 1 {
			return fmt.Sprintf("%d in %d meetings", c.Callers, c.Meetings)
		}
		return strconv.Itoa(c.Callers)
	},
	"percent": func(part, all int) string {
		return fmt.Sprintf("%.2f %%", 100*float64(part)/max(1, float64(all)))
	},
	"met": func(ok bool) string {
		if ok {
			return "met"
		}
		return "**not met**"
	},
}).Parse(documentText))

// measured is a figure, or a dash where there is none.
func measured(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// Write writes docs/performance.md.
func (r *Results) Write(w io.Writer) error { return document.Execute(w, r) }

// What the project has set itself.
const (
	echoGoal     = 1.4  // times the echo limit, at 200 and 500 callers
	forwardGoal  = 1.6  // the same, for a packet forwarded
	gsoGoal      = 1.0  // the same, for video sent in batches
	h235Goal     = 2.0  // the same, for callers by H.323
	janusGoal    = 5.0  // times below it
	flatGoal     = 1.2  // times the cheapest smaller size
	delayGoal    = 40.0 // ms, p99
	clearCPUGoal = 4.0  // ms per call
	tlsCPUGoal   = 7.0
	webCPUGoal   = 8.0
	h323CPUGoal  = 10.0  // with the Diffie-Hellman exchange of every call
	dialInGoal   = 64.0  // KiB a party
	browserGoal  = 300.0 // KiB
	composedGoal = 1.0   // times ffmpeg making the same picture
	switchGoal   = 40.0  // ms, p99: a look at the sockets, and a late one
	composeGoal  = 150.0 // ms, p99: the camera's picture, the next one made, and its way through the worker
	idleGoal     = 1.0   // % of a core
	connectGoal  = 0.999
)

// liveKit is what the best other SFU cost for a packet, in µs, as measured in
// another run on a machine of this kind; a third of it is wanted.
var liveKit = map[string]float64{"audio 1→200": 38, "audio 10→50": 27, "video 1→100": 30}

// Goal is one of them and what came of it.
type Goal struct {
	What, Want, Got string
	Met             bool
}

// atMost is a goal that a figure must not be above.
func atMost(what, unit string, goal, got float64) Goal {
	return Goal{what, fmt.Sprintf("at most %s %s", plain(goal), unit), fmt.Sprintf("%.2f %s", got, unit), got <= goal}
}

func plain(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// Goals compares the results with what was wanted.
func (r *Results) Goals() (list []Goal) {
	if wrong, of := r.hearing(); of > 0 {
		list = append(list, Goal{"all hear and see what they should, in every round", "everybody", fmt.Sprintf("%d of %d", of-wrong, of), wrong == 0})
	}
	list = append(list, r.callerGoals()...)
	for _, f := range r.Forward {
		if f.Small {
			continue
		}
		list = append(list, atMost("forwarding "+f.Name, "× the echo that encrypts", forwardGoal, f.Ratio))
		if f.Video {
			list = append(list, atMost("the same, with segmentation offload", "× the echo that encrypts", gsoGoal, f.Ratio))
		}
		if best, ok := liveKit[f.Name]; ok {
			list = append(list, atMost("the same, a third of LiveKit's", "µs a packet", best/3, f.Packet))
		}
	}
	list = append(list, r.Rooms.goals()...)
	for _, m := range r.Memory {
		list = append(list, atMost("memory, "+m.Name, "KiB", m.Goal, m.Each))
	}
	for _, d := range r.Delay {
		list = append(list, Goal{fmt.Sprintf("delay, %s, %d callers", d.Name, d.Callers), fmt.Sprintf("p99 at most %.0f ms", delayGoal), fmt.Sprintf("%.1f ms", d.P99), d.P99 <= delayGoal})
	}
	for _, s := range r.Setup {
		if s.Asked != setupRate {
			continue
		}
		goal := tlsCPUGoal
		switch {
		case s.Name == overUDP:
			goal = clearCPUGoal
		case s.Name == byBrowser:
			goal = webCPUGoal
		case strings.HasPrefix(s.Name, "H.323"):
			goal = h323CPUGoal
		}
		list = append(list, atMost("a call's set-up and tear-down, "+s.Name, "ms CPU", goal, s.CPU))
	}
	for _, s := range r.Storm {
		if s.Limit > 0 {
			list = append(list, Goal{fmt.Sprintf("those inside while %d of %d callers are refused", s.Refused, s.Asked), "no packet lost, no gap over 40 ms",
				fmt.Sprintf("%d lost, %d with a gap", s.Lost, s.Gapped), s.Lost+s.Gapped == 0})
		}
	}
	if r.IdleMemory == 0 {
		return list // not measured
	}
	return append(list, Goal{"idle", fmt.Sprintf("below %.0f %% of a core", idleGoal), fmt.Sprintf("%.2f %%", r.IdleCPU), r.IdleCPU < idleGoal})
}

// hearing is how many parties of all scenarios heard or saw something else than
// they should.
func (r *Results) hearing() (wrong, of int) {
	for _, c := range r.Cost {
		wrong, of = wrong+c.Wrong, of+c.Right+c.Wrong
	}
	for _, f := range r.Forward {
		wrong, of = wrong+f.Wrong, of+f.Right+f.Wrong
	}
	for _, s := range r.Storm {
		wrong, of = wrong+s.Inside-s.Right, of+s.Inside
	}
	if r.Rooms != nil {
		wrong, of = wrong+r.Rooms.Wrong, of+r.Rooms.Right+r.Rooms.Wrong
	}
	return wrong, of
}

// PicturePackets and PacketSize tell of the cameras.
func (r *Results) PicturePackets() int { return picturePackets }

// PacketSize: see PicturePackets.
func (r *Results) PacketSize() int { return packetSize }

// Large is the large meeting; nil if it was not measured.
func (r *Results) Large() *Forward {
	for i := range r.Forward {
		if r.Forward[i].Watchers > 0 {
			return &r.Forward[i]
		}
	}
	return nil
}

// Floors are the sizes at which the echo in batches was measured.
func (r *Results) Floors() (list []Cost) {
	for _, c := range r.Cost {
		if c.FloorRatio > 0 {
			list = append(list, c)
		}
	}
	return list
}

// Rivals are the sizes at which Janus was measured.
func (r *Results) Rivals() (list []Cost) {
	for _, c := range r.Cost {
		if c.Janus > 0 || c.JanusFailed > 0 {
			list = append(list, c)
		}
	}
	return list
}

// callerGoals are those of mixed sound.
func (r *Results) callerGoals() (list []Goal) {
	for _, c := range r.Cost {
		if c.Meetings > 1 {
			continue
		}
		name := fmt.Sprintf("%d callers, ", c.Callers)
		if c.Callers == 200 || c.Callers == 500 {
			list = append(list, atMost(name+"clear", "× the echo", echoGoal, c.ClearRatio), atMost(name+"AEAD_AES_256_GCM", "× the echo that encrypts", echoGoal, c.GCMRatio))
		}
		if c.H235 > 0 {
			list = append(list, atMost(name+"H.235 AES-256-CBC", "× the echo", h235Goal, c.H235Ratio))
		}
		if c.Janus > 0 {
			list = append(list, Goal{name + "Janus beside them", fmt.Sprintf("at least %.0f × as dear", janusGoal), fmt.Sprintf("%.2f ×", c.JanusRatio), c.JanusRatio >= janusGoal})
		}
		if c.Callers >= 200 {
			list = append(list, Goal{name + "no gap over 40 ms", "none", fmt.Sprintf("%d, the worst of %.0f ms", c.Gapped, c.MaxGapMS), c.Gapped == 0})
		}
		if c.Callers >= 500 {
			list = append(list, Goal{name + "packets lost", "none", fmt.Sprint(c.Lost), c.Lost == 0})
		}
	}
	if worst, at := r.Rise(); at > 0 {
		list = append(list, Goal{"cost of a caller as meetings grow", fmt.Sprintf("at no size over %s × that of a smaller", plain(flatGoal)), fmt.Sprintf("%.2f ×, at %d", worst, at), worst <= flatGoal})
	}
	return list
}

// Rise is by how much a caller costs more in a meeting than in any smaller one,
// at worst, and in which; 0 if there is nothing to compare.
func (r *Results) Rise() (worst float64, callers int) {
	for _, c := range r.Cost {
		if c.Meetings <= 1 && c.Rise > worst {
			worst, callers = c.Rise, c.Callers
		}
	}
	return worst, callers
}

// PacketPaths are the benchmarks of what every packet passes, Messages those of
// H.323's signalling.
func (r *Results) PacketPaths() []Path { return r.paths(false) }

// Messages: see PacketPaths.
func (r *Results) Messages() []Path { return r.paths(true) }

func (r *Results) paths(messages bool) (list []Path) {
	for _, p := range r.Paths {
		signalling := strings.HasPrefix(p.Name, "h323/") && !strings.HasPrefix(p.Name, "h323/h235")
		if signalling == messages {
			list = append(list, p)
		}
	}
	return list
}

// Rates is the highest rate of each way to call at which all calls came through.
func (r *Results) Rates() (list []Setup) {
	for _, s := range r.Setup {
		ok := float64(s.Connected) >= connectGoal*float64(s.Calls) && s.Reached >= 0.9*s.Asked
		switch n := len(list); {
		case !ok:
		case n > 0 && list[n-1].Name == s.Name:
			list[n-1] = s
		default:
			list = append(list, s)
		}
	}
	return list
}
