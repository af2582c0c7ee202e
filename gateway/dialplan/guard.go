package dialplan

import (
	"sync"
	"time"

	"bridgehead/core"
)

// Guard counts wrong answers, such as passcodes and passwords: per source
// first, across calls and protocols, so that calling again does not help; then
// per target, such as a meeting or an account, so that many sources together
// do not get further either. (That the third wrong answer ends a call is the
// business of who asks: reception and web client.)
type Guard struct {
	mu      sync.Mutex
	sources tally
	targets tally
	now     func() time.Time
}

// NewGuard refuses a source after tries wrong answers within the window, and
// everybody at a target after perTarget of them.
func NewGuard(tries, perTarget int, window time.Duration) *Guard {
	g := &Guard{now: time.Now, sources: tally{when: map[string][]time.Time{}}, targets: tally{when: map[string][]time.Time{}}}
	g.Set(tries, perTarget, window)
	return g
}

// Set changes the limits.
func (g *Guard) Set(tries, perTarget int, window time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources.tries, g.targets.tries = tries, perTarget
	g.sources.window, g.targets.window = window, window
}

// Source is what the tries of a caller count against: its number on the
// telephone network, where all calls come from the carrier's address; else the
// address, IPv6 by its /64.
func Source(who core.Info) string {
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

var errTarget = core.Reason{Code: core.Throttled, Say: "Too many wrong tries. Please try again later.", Detail: "too many wrong passcodes for this meeting, from many sources"}

// Allowed tells whether a source may try at all, and at the target; an empty
// target is none, or one that the source need not wait for.
func (g *Guard) Allowed(source, target string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.allowed(source, target)
}

func (g *Guard) allowed(source, target string) error {
	switch now := g.now(); {
	case g.sources.full(source, now):
		return errThrottled
	case target != "" && g.targets.full(target, now):
		return errTarget
	}
	return nil
}

// Wrong counts a wrong answer, at a target unless it is empty.
func (g *Guard) Wrong(source, target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wrong(source, target)
}

func (g *Guard) wrong(source, target string) {
	g.sources.add(source, g.now())
	if target != "" {
		g.targets.add(target, g.now())
	}
}

// Try is [Guard.Allowed], and counts the answer as wrong before it is looked
// at, so that many at one time are no more than one after another.
func (g *Guard) Try(source, target string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.allowed(source, target)
	if err == nil {
		g.wrong(source, target)
	}
	return err
}

// Right takes back what [Guard.Try] has counted.
func (g *Guard) Right(source, target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources.drop(source)
	g.targets.drop(target)
}

// Blocked lists the sources that are refused now.
func (g *Guard) Blocked() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.sources.when {
		if g.sources.full(s, g.now()) {
			list = append(list, s)
		}
	}
	return list
}

// tally counts events by key within a window, of a bounded number of keys.
type tally struct {
	tries  int
	window time.Duration
	when   map[string][]time.Time
}

// maxTracked bounds the keys remembered.
const maxTracked = 50_000

func (t *tally) full(key string, now time.Time) bool { return len(t.recent(key, now)) >= t.tries }

func (t *tally) recent(key string, now time.Time) []time.Time {
	list := t.when[key]
	for len(list) > 0 && now.Sub(list[0]) > t.window {
		list = list[1:]
	}
	if len(list) == 0 {
		delete(t.when, key)
		return nil
	}
	t.when[key] = list
	return list
}

func (t *tally) add(key string, now time.Time) {
	if len(t.when) >= maxTracked {
		t.forget(now)
	}
	list := append(t.recent(key, now), now)
	t.when[key] = list[max(0, len(list)-t.tries):]
}

// drop takes the last event back.
func (t *tally) drop(key string) {
	if list := t.when[key]; len(list) > 1 {
		t.when[key] = list[:len(list)-1]
	} else {
		delete(t.when, key)
	}
}

// forget drops what is too old to matter; if that is not enough, a tenth of
// all, so that it is not called again at once: keys that are not refused first,
// since to flood the table must not free the others.
func (t *tally) forget(now time.Time) {
	for key := range t.when {
		t.recent(key, now)
	}
	for _, all := range []bool{false, true} {
		for key, list := range t.when {
			if len(t.when) < maxTracked*9/10 {
				return
			}
			if all || len(list) < t.tries {
				delete(t.when, key)
			}
		}
	}
}
