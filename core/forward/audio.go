package forward

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"bridgehead/core"
	"bridgehead/core/cache"
)

// What counts as speech, and for how long. Levels here are loudness: 127 minus
// the RFC 6464 level, so 0 is silence.
const (
	speech = 127 - 50 // louder than -50 dBov
	// margin is how much louder, in dB, a newcomer must be than the quietest
	// holder of a slot; it and the hold keep two voices from flapping.
	margin = 6
	hold   = 400 * time.Millisecond
	// silence frees a slot: longer than a pause for breath.
	silence = 2 * time.Second
)

// Mic is a published microphone.
type Mic struct {
	router *Router
	party  unique.Handle[string]
	muted  atomic.Bool
	closed atomic.Bool
	// loud is the smoothed loudness in 1/16 dB; heard when it last was speech.
	loud  atomic.Int32
	heard atomic.Int64
	slot  atomic.Pointer[slot]
}

// slot is one of the interchangeable speaker tracks.
type slot struct {
	index  int
	holder atomic.Pointer[Mic]
	since  atomic.Int64
}

func (r *Router) publishMic(t core.Track) *Mic {
	m := &Mic{router: r, party: unique.Make(t.Party)}
	r.mu.Lock()
	old := r.mics[t.Party]
	r.mics[t.Party] = m
	r.mu.Unlock()
	if old != nil {
		old.retire()
	}
	return m
}

// Mute stops the forwarding of the microphone, whatever its sender does.
func (m *Mic) Mute(on bool) {
	m.muted.Store(on)
	if on {
		m.release()
	}
}

// Close ends the publication.
func (m *Mic) Close() error {
	r := m.router
	r.mu.Lock()
	if id := m.party.Value(); r.mics[id] == m {
		delete(r.mics, id)
	}
	r.mu.Unlock()
	m.retire()
	return nil
}

func (m *Mic) retire() {
	m.closed.Store(true)
	m.release()
}

func (m *Mic) release() {
	m.router.claim.Lock()
	defer m.router.claim.Unlock()
	m.loud.Store(0)
	if s := m.slot.Swap(nil); s != nil {
		s.holder.CompareAndSwap(m, nil)
	}
}

// Write forwards a packet if the microphone holds a slot, or now gets one.
func (m *Mic) Write(p *core.Packet) error {
	if m.muted.Load() || m.closed.Load() || len(p.Payload) == 0 {
		return nil
	}
	m.listen(p)
	s := m.slot.Load()
	if s == nil {
		if m.loudness() < speech {
			return nil
		}
		if s = m.router.claimSlot(m, p.Arrival); s == nil {
			return nil
		}
	}
	for some := range slices.Chunk((*m.router.hearers.Load())[s.index], together) {
		for _, o := range some {
			cache.Fetch(o)
		}
		for _, o := range some {
			o.warm()
		}
		for _, o := range some {
			if o.party != m.party {
				o.write(m, p)
			}
		}
	}
	return nil
}

// together is how many subscribers' memory is fetched at once, with their keys: few
// enough for the nearest cache.
const together = 8

// listen smooths the level: up within two packets, so that no first syllable
// is lost, down within a third of a second.
func (m *Mic) listen(p *core.Packet) {
	level := p.Level
	if level == core.LevelUnknown {
		// Opus with DTX sends packets of one or two bytes in silence; the
		// rest counts as a middling voice.
		level = 127
		if len(p.Payload) > 3 {
			level = 40
		}
	}
	now := int32(127-min(level, 127)) << 4
	old := m.loud.Load()
	if now > old {
		old += (now - old + 1) / 2
	} else {
		old -= (old - now) / 16
	}
	m.loud.Store(old)
	if now>>4 >= speech {
		m.heard.Store(int64(p.Arrival))
	}
}

func (m *Mic) loudness() int { return int(m.loud.Load() >> 4) }

// claimSlot gives m a free slot, or that of a holder clearly quieter.
func (r *Router) claimSlot(m *Mic, now time.Duration) *slot {
	r.claim.Lock()
	defer r.claim.Unlock()
	if m.closed.Load() || m.muted.Load() {
		return nil
	}
	var best *slot
	quietest := m.loudness() - margin
	for _, s := range r.slots {
		h := s.holder.Load()
		if h == nil {
			best = s
			break
		}
		if l := h.loudness(); l < quietest && now-time.Duration(s.since.Load()) >= hold {
			best, quietest = s, l
		}
	}
	if best == nil {
		return nil
	}
	if h := best.holder.Load(); h != nil {
		h.slot.Store(nil)
	}
	best.since.Store(int64(now))
	best.holder.Store(m)
	m.slot.Store(best)
	return best
}

func (r *Router) decaySlots(now time.Duration) {
	for _, s := range r.slots {
		h := s.holder.Load()
		if h != nil && now-time.Duration(h.heard.Load()) > silence && now-time.Duration(s.since.Load()) > silence {
			h.release()
		}
	}
}

// Speaking tells who is heard now, loudest first, and who is in which slot.
func (r *Router) Speaking() core.Speaking {
	out := core.Speaking{Slots: make([]string, len(r.slots))}
	var heard []*Mic
	loud := map[*Mic]int{} // one reading, so that the order is a total one
	for i, s := range r.slots {
		if m := s.holder.Load(); m != nil {
			out.Slots[i] = m.party.Value()
			if l := m.loudness(); l >= speech {
				heard, loud[m] = append(heard, m), l
			}
		}
	}
	slices.SortStableFunc(heard, func(a, b *Mic) int { return cmp.Compare(loud[b], loud[a]) })
	for _, m := range heard {
		out.Parties = append(out.Parties, m.party.Value())
	}
	return out
}

// Levels are the sound levels, in -dBov, of the microphones that hold a slot.
func (r *Router) Levels() map[string]uint8 {
	of := map[string]uint8{}
	for _, s := range r.slots {
		if m := s.holder.Load(); m != nil {
			of[m.party.Value()] = uint8(127 - m.loudness())
		}
	}
	return of
}

// slotOut is one speaker slot as one subscriber gets it: a single RTP stream
// with continuous numbering, whoever speaks.
type slotOut struct {
	// mu serialises the holder before and the holder now, whose goroutines
	// may overlap for one packet. The sink does not block.
	mu    sync.Mutex
	party unique.Handle[string] // whose it is
	sink  core.Sink
	from  *Mic
	pkt   core.Packet
	num   numbering
}

// warm has what write needs fetched.
func (o *slotOut) warm() {
	o.mu.Lock()
	defer o.mu.Unlock()
	core.Warm(o.sink)
}

func (o *slotOut) write(m *Mic, p *core.Packet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sink == nil {
		return
	}
	o.pkt = *p
	h := &o.pkt.Header
	h.Extension, h.Extensions, h.CSRC = false, nil, nil
	if o.from != m || o.num.strayed(p) {
		o.from = m
		o.num.join(p, 48000)
		h.Marker = true // a talk spurt begins (RFC 3551, section 4.1)
	}
	seq, ok := o.num.next(p.Header.SequenceNumber)
	if !ok {
		return
	}
	h.SequenceNumber, h.Timestamp = seq, o.num.timestamp(p)
	_ = o.sink.Write(&o.pkt) // the sink counts its own errors
}

func (o *slotOut) open(sink core.Sink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sink, o.from = sink, nil
}

func (o *slotOut) isOpen() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sink != nil
}

func (o *slotOut) close() {
	o.mu.Lock()
	sink := o.sink
	o.sink = nil
	o.mu.Unlock()
	if sink != nil {
		_ = sink.Close()
	}
}

// openSlots subscribes the party to the speaker slots that it does not have
// yet. A party that takes only mixed sound gets none.
func (s *Subscriber) openSlots() {
	if !s.info.Forwarded || s.info.Audio.Name == "" {
		s.router.setListening(s, false)
		return
	}
	for i := range s.slots {
		o := &s.slots[i]
		if o.isOpen() {
			continue
		}
		sink, err := s.leg.Subscribe(core.Track{Source: core.Microphone, Slot: i, Codec: s.info.Audio})
		if err != nil {
			break
		}
		o.open(sink)
	}
	s.router.setListening(s, true)
}

func (r *Router) setListening(s *Subscriber, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := *r.hearers.Load()
	on = on && !s.closed.Load()
	if slices.Contains(now[0], &s.slots[0]) == on {
		return
	}
	next := make([][]*slotOut, len(now))
	for i, all := range now {
		o := &s.slots[i]
		next[i] = slices.DeleteFunc(slices.Clone(all), func(x *slotOut) bool { return x == o })
		if on {
			next[i] = append(next[i], o)
		}
	}
	r.hearers.Store(&next)
}
