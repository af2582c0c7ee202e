package load

import (
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var documentText string

var document = template.Must(template.New("performance.md").Funcs(template.FuncMap{
	"ms": func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"x":  func(v float64) string { return fmt.Sprintf("%.2f ×", v) },
	"f1": func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"f0": func(v float64) string { return fmt.Sprintf("%.0f", v) },
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

// Write writes docs/performance.md.
func (r *Results) Write(w io.Writer) error { return document.Execute(w, r) }

// What the project has set itself.
const (
	echoGoal     = 2.0  // times the echo limit
	delayGoal    = 40.0 // ms, p99
	clearCPUGoal = 4.0  // ms per call
	tlsCPUGoal   = 7.0
	h323CPUGoal  = 10.0 // with the Diffie-Hellman exchange of every call
	idleGoal     = 1.0  // % of a core
	connectGoal  = 0.999
)

// Goal is one of them and what came of it.
type Goal struct {
	What, Want, Got string
	Met             bool
}

// Goals compares the results with what was wanted.
func (r *Results) Goals() (list []Goal) {
	for _, c := range r.Cost {
		want := fmt.Sprintf("at most %.0f × the echo", echoGoal)
		list = append(list,
			Goal{fmt.Sprintf("%d callers, clear", c.Callers), want, fmt.Sprintf("%.2f ×", c.ClearRatio), c.ClearRatio <= echoGoal},
			Goal{fmt.Sprintf("%d callers, AEAD_AES_256_GCM", c.Callers), want, fmt.Sprintf("%.2f ×", c.GCM256Ratio), c.GCM256Ratio <= echoGoal},
			Goal{fmt.Sprintf("%d callers, H.235 AES-256-CBC", c.Callers), want, fmt.Sprintf("%.2f ×", c.H235Ratio), c.H235Ratio <= echoGoal})
	}
	for _, d := range r.Delay {
		list = append(list, Goal{"delay, " + d.Name, fmt.Sprintf("p99 at most %.0f ms", delayGoal), fmt.Sprintf("%.1f ms", d.P99), d.P99 <= delayGoal})
	}
	for _, s := range r.Setup {
		if s.Asked != setupRate {
			continue
		}
		goal := tlsCPUGoal
		switch {
		case s.Name == overUDP:
			goal = clearCPUGoal
		case strings.HasPrefix(s.Name, "H.323"):
			goal = h323CPUGoal
		}
		list = append(list, Goal{"a call's set-up and tear-down, " + s.Name, fmt.Sprintf("at most %.0f ms CPU", goal), fmt.Sprintf("%.2f ms", s.CPU), s.CPU <= goal})
	}
	return append(list, Goal{"idle", fmt.Sprintf("below %.0f %% of a core", idleGoal), fmt.Sprintf("%.2f %%", r.IdleCPU), r.IdleCPU < idleGoal})
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
