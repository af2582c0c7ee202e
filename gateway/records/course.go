package records

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// The course of a call's sound is looked at so often, and kept in so many
// samples: when they are full, every other is left out and only every other look
// is kept from then on. So it covers the call, however long that is.
const (
	lookEvery  = 5 * time.Second
	maxSamples = 120
)

// course is how a call's sound has gone so far.
type course struct {
	looks, per int // how many there were; every per-th is kept
	last       store.Sample
	worst      float64 // jitter since the last that was kept
	quiet      bool    // nothing comes
	losing     bool
	found      string
}

// Follow looks at all calls' sound until ctx ends.
func (b *Book) Follow(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			b.look(now)
		}
	}
}

// Meter is how the sound of a call under way is now; silence, if there is none.
func (b *Book) Meter(id string) core.Meter {
	b.mu.Lock()
	l := b.joined[id]
	b.mu.Unlock()
	if l == nil {
		return core.Meter{Level: silence, Loudest: silence}
	}
	return l.meter()
}

func (b *Book) look(now time.Time) {
	b.mu.Lock()
	legs := slices.Collect(maps.Values(b.joined))
	b.mu.Unlock()
	var rush core.Yielder
	for _, l := range legs {
		rush.Yield()
		if info := l.Info(); info.AudioStats.PacketsSent+info.AudioStats.PacketsReceived > 0 {
			l.look(now, info)
		}
	}
}

// look takes a sample, and says in the ladder what is new.
func (l *watchedLeg) look(now time.Time, info core.Info) {
	s := sampleOf(now, info, l.meter().Level)
	l.mu.Lock()
	before := l.course.last
	news := l.course.news(s, info.AudioStats, l.held)
	keep, thin := l.course.take(&s)
	l.mu.Unlock()
	if l.book.Sampled != nil {
		l.book.Sampled(info, before, s)
	}
	for _, text := range news {
		l.step("media", text)
	}
	if keep {
		l.book.Update(l.id, func(c *store.Call) {
			if thin {
				c.Media = everyOther(c.Media)
			}
			c.Media = append(c.Media, s)
		})
	}
}

func sampleOf(now time.Time, info core.Info, level uint8) store.Sample {
	m := Media(info.AudioStats, info.RTT)
	return store.Sample{At: now, Codec: m.Codec, Received: m.PacketsReceived, Lost: m.PacketsLost, Sent: m.PacketsSent, RemoteLost: m.RemoteLost,
		JitterMS: m.JitterMS, RTTMS: m.RTTMS, LevelDBov: -int(level)}
}

// take tells whether a sample is kept, and whether those before are thinned first.
func (c *course) take(s *store.Sample) (keep, thin bool) {
	c.worst = max(c.worst, s.JitterMS)
	c.last = *s
	c.per = max(c.per, 1)
	c.looks++
	if c.looks%c.per != 0 {
		return false, false
	}
	s.JitterMS, c.worst = c.worst, 0
	if c.looks/c.per > maxSamples {
		c.per *= 2
		c.looks = (maxSamples/2 + 1) * c.per
		thin = true
	}
	return true, thin
}

func everyOther(list []store.Sample) []store.Sample {
	kept := list[:0]
	for i := 1; i < len(list); i += 2 {
		list[i].JitterMS = max(list[i].JitterMS, list[i-1].JitterMS)
		kept = append(kept, list[i])
	}
	return kept
}

// tooMuch of what is sent in a look, lost, is told.
const tooMuch = 0.05

// news is what has changed since the look before, in words.
func (c *course) news(s store.Sample, st core.Stats, held bool) (list []string) {
	say := func(format string, a ...any) { list = append(list, fmt.Sprintf(format, a...)) }
	w, was := st.Way, c.last
	if found := place(w.Found); found != "" && found != c.found {
		text := "sound comes from " + found
		if signalled := place(w.Signalled); signalled != "" && signalled != found {
			text += ", signalled was " + signalled
		}
		c.found = found
		say("%s", text)
	}
	if was.Codec != "" && s.Codec != "" && !strings.EqualFold(was.Codec, s.Codec) {
		say("codec %s, it was %s", s.Codec, was.Codec)
	}
	if was.At.IsZero() {
		return list
	}
	came, lost := s.Received-was.Received, max(s.Lost, was.Lost)-was.Lost
	switch quiet := came == 0 && !held; {
	case quiet && !c.quiet:
		say("no sound has come for %d s", int(s.At.Sub(was.At).Seconds()))
	case !quiet && c.quiet:
		say("sound comes again")
	}
	c.quiet = came == 0 && !held
	losing := came > 0 && float64(lost) > tooMuch*float64(came+lost)
	switch {
	case losing && !c.losing:
		say("%d %% of the packets are lost", 100*lost/(came+lost))
	case !losing && c.losing && came > 0:
		say("few packets are lost again")
	}
	c.losing = losing
	return list
}

// meter is how the party's sound was so far, in all rooms.
func (l *watchedLeg) meter() core.Meter {
	l.mu.Lock()
	voice, before := l.voice, l.before
	l.mu.Unlock()
	if voice == nil {
		before.Level = silence
		return together(before, core.Meter{Level: silence, Loudest: silence})
	}
	return together(before, voice.Meter())
}

const silence = 127 // -dBov

// together adds what was heard later to what was heard before.
func together(a, b core.Meter) core.Meter {
	if a.Listened == 0 && a.Loudest == 0 {
		a.Loudest = silence // there was none before
	}
	return core.Meter{Level: b.Level, Loudest: min(a.Loudest, b.Loudest), Listened: a.Listened + b.Listened, Clipped: a.Clipped + b.Clipped,
		Compared: a.Compared + b.Compared, Echoes: a.Echoes + b.Echoes, EchoAfter: cmp.Or(b.EchoAfter, a.EchoAfter)}
}

// sounded takes into a record how the party sounded, and how it pressed keys.
func (l *watchedLeg) sounded(c *store.Call) {
	m := l.meter()
	a := &c.Detail.Audio
	a.Listened, a.Clipped = m.Listened, m.Clipped
	a.Compared, a.Echoes, a.EchoMS = m.Compared, m.Echoes, int(m.EchoAfter.Milliseconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.voice != nil || m.Loudest < silence {
		a.Loudest = -int(m.Loudest)
	}
	c.Detail.Keys = maps.Clone(l.keys)
}
