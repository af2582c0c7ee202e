package dialplan

import (
	"sync"
	"time"

	"bridgehead/core"
)

// Guard counts wrong passcodes and unknown numbers per source, across calls
// and protocols, so that calling again does not help. (That the third wrong
// answer ends a call is the business of who asks: reception and web client.)
type Guard struct {
	now func() time.Time

	mu      sync.Mutex
	tries   int           // from one source within window
	window  time.Duration // in which they count
	sources map[string][]time.Time
}

// maxTracked bounds the sources remembered.
const maxTracked = 50_000

// NewGuard refuses a source after tries wrong answers within the window.
func NewGuard(tries int, window time.Duration) *Guard {
	return &Guard{tries: tries, window: window, now: time.Now, sources: map[string][]time.Time{}}
}

// Set changes the limits.
func (g *Guard) Set(tries int, window time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries, g.window = tries, window
}

// sourceOf is what tries count against: a caller's number on the telephone
// network, where all calls come from the carrier's address; else the address,
// IPv6 by its /64.
func sourceOf(who core.Info) string {
	if who.Phone && who.Address != "" {
		return "tel:" + who.Address
	}
	if a := who.Source.Unmap(); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return who.Source.Unmap().WithZone("").String()
}

var errThrottled = core.Reason{Code: core.Throttled, Say: "Too many wrong tries. Please try again later.", Detail: "too many wrong passcodes or numbers from this source"}

// Allowed tells whether a source may try at all.
func (g *Guard) Allowed(who core.Info) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.recent(sourceOf(who))) >= g.tries {
		return errThrottled
	}
	return nil
}

func (g *Guard) recent(source string) []time.Time {
	list := g.sources[source]
	for len(list) > 0 && g.now().Sub(list[0]) > g.window {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(g.sources, source)
		return nil
	}
	g.sources[source] = list
	return list
}

// Wrong counts a wrong answer, and gives why back.
func (g *Guard) Wrong(who core.Info, why core.Reason) core.Reason {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sources) >= maxTracked {
		g.forget()
	}
	source := sourceOf(who)
	g.sources[source] = append(g.recent(source), g.now())
	return why
}

// forget drops what is too old to matter; if that is not enough, a tenth of
// all, so that it is not called again at once.
func (g *Guard) forget() {
	for s := range g.sources {
		g.recent(s)
	}
	for s := range g.sources {
		if len(g.sources) < maxTracked*9/10 {
			break
		}
		delete(g.sources, s)
	}
}

// Blocked lists the sources that are refused now.
func (g *Guard) Blocked() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sources {
		if len(g.recent(s)) >= g.tries {
			list = append(list, s)
		}
	}
	return list
}
