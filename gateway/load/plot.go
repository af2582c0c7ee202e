package load

import (
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// plot is a curve or several, drawn as SVG. The axis of X is logarithmic, as
// sizes of meetings are chosen; that of Y begins at 0.
type plot struct {
	title, x, y string
	lines       []line
	limit       float64 // a goal, drawn as a dashed line; 0: none
	limitName   string
}

type line struct {
	name   string
	points [][2]float64
}

// The drawing, in its own units.
const (
	plotWidth, plotHeight = 720, 400
	plotLeft, plotRight   = 70, 190 // the legend is at the right
	plotTop, plotBottom   = 50, 60
)

// Colours that those who see red and green alike can tell apart.
var plotColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// span of the axes; steps is the distance of the marks on Y.
func (p *plot) span() (lo, hi, top, step float64) {
	lo, hi, top = math.Inf(1), math.Inf(-1), p.limit
	for _, l := range p.lines {
		for _, q := range l.points {
			lo, hi, top = min(lo, q[0]), max(hi, q[0]), max(top, q[1])
		}
	}
	step = math.Pow(10, math.Floor(math.Log10(max(top, 1e-9))))
	for top/step < 4 {
		step /= 2
	}
	return lo, hi, step * math.Ceil(top*1.05/step), step
}

// write draws it; nothing if there are no points.
func (p *plot) write(w io.Writer) error {
	lo, hi, top, step := p.span()
	if !(lo > 0) || math.IsInf(lo, 0) {
		return nil
	}
	const right, bottom = plotWidth - plotRight, plotHeight - plotBottom
	x := func(v float64) float64 {
		if hi == lo {
			return (plotLeft + right) / 2
		}
		return plotLeft + (right-plotLeft)*math.Log(v/lo)/math.Log(hi/lo)
	}
	y := func(v float64) float64 { return bottom - (bottom-plotTop)*v/top }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="#333" role="img" aria-label="%s">`+"\n",
		plotWidth, plotHeight, html.EscapeString(p.title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	text := func(x, y float64, more, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f"%s>%s</text>`+"\n", x, y, more, html.EscapeString(s))
	}
	stroke := func(x1, y1, x2, y2 float64, more string) {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" %s/>`+"\n", x1, y1, x2, y2, more)
	}
	text(plotLeft, 28, ` font-size="16" font-weight="bold"`, p.title)
	text((plotLeft+right)/2, plotHeight-18, ` text-anchor="middle"`, p.x)
	text(0, 0, fmt.Sprintf(` text-anchor="middle" transform="translate(20 %d) rotate(-90)"`, (plotTop+bottom)/2), p.y)
	for v := 0.0; v <= top+step/2; v += step {
		stroke(plotLeft, y(v), right, y(v), `stroke="#ddd"`)
		text(plotLeft-8, y(v)+4, ` text-anchor="end"`, fmt.Sprintf("%.4g", v))
	}
	marked := map[float64]bool{}
	for _, l := range p.lines {
		for _, q := range l.points {
			if !marked[q[0]] {
				marked[q[0]] = true
				stroke(x(q[0]), bottom, x(q[0]), bottom+5, `stroke="#333"`)
				text(x(q[0]), bottom+20, ` text-anchor="middle"`, fmt.Sprintf("%.0f", q[0]))
			}
		}
	}
	if p.limit > 0 {
		stroke(plotLeft, y(p.limit), right, y(p.limit), `stroke="#333" stroke-dasharray="6 4"`)
		text(right+12, y(p.limit)+4, ` font-style="italic"`, p.limitName)
	}
	for i, l := range p.lines {
		p.line(&b, l, i, x, y)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// line draws one, with its name in the legend.
func (p *plot) line(b *strings.Builder, l line, i int, x, y func(float64) float64) {
	if len(l.points) == 0 {
		return
	}
	colour := plotColours[i%len(plotColours)]
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
	for _, q := range l.points {
		fmt.Fprintf(b, "%.1f,%.1f ", x(q[0]), y(q[1]))
	}
	b.WriteString("\"/>\n")
	for _, q := range l.points {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%.0f: %.3g</title></circle>`+"\n", x(q[0]), y(q[1]), colour, q[0], q[1])
	}
	at := float64(plotTop + 20*i)
	const left = plotWidth - plotRight + 12
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="12" height="12" fill="%s"/><text x="%d" y="%.1f">%s</text>`+"\n", left, at, colour, left+18, at+11, html.EscapeString(l.name))
}

// plots draws what was measured, by file name.
func (r *Results) plots() map[string]*plot {
	callers := func(name string, of func(*Cost) float64) line {
		l := line{name: name}
		for i := range r.Cost {
			if c := &r.Cost[i]; c.Meetings <= 1 && of(c) > 0 {
				l.points = append(l.points, [2]float64{float64(c.Callers), of(c)})
			}
		}
		return l
	}
	forward := func(name string, video bool, of func(*Forward) float64) line {
		l := line{name: name}
		for i := range r.Forward {
			if f := &r.Forward[i]; f.Video == video && (f.Senders == 1 || f.Watchers > 0) {
				l.points = append(l.points, [2]float64{float64(f.Listeners), of(f)})
			}
		}
		return l
	}
	const meeting = "callers in one meeting, three of them speaking"
	packet, echo := func(f *Forward) float64 { return f.Packet }, func(f *Forward) float64 { return f.Echo }
	return map[string]*plot{
		"callers.svg": {title: "What a caller costs", x: meeting, y: "ms of CPU a caller and second", lines: []line{
			callers("clear", func(c *Cost) float64 { return c.Clear }), callers(byGCM, func(c *Cost) float64 { return c.GCM }),
			callers("echo", func(c *Cost) float64 { return c.Echo }), callers("echo that encrypts", func(c *Cost) float64 { return c.EchoGCM }), callers("Janus", func(c *Cost) float64 { return c.Janus })}},
		"ratios.svg": {title: "What a caller costs beside the echo", x: meeting, y: "× the echo of the same round",
			limit: echoGoal, limitName: "goal", lines: []line{
				callers("clear", func(c *Cost) float64 { return c.ClearRatio }), callers(byGCM, func(c *Cost) float64 { return c.GCMRatio })}},
		"forwarding.svg": {title: "What a forwarded packet costs", x: "browsers that are sent one at a time", y: "µs of CPU a packet", lines: []line{
			forward("audio", false, packet), forward("video", true, packet), forward("echo, audio", false, echo), forward("echo, video", true, echo)}},
	}
}

// WritePlots writes the drawings into a folder.
func (r *Results) WritePlots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, p := range r.plots() {
		var b strings.Builder
		if err := p.write(&b); err != nil || b.Len() == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
