package forward

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"bridgehead/core"
	"bridgehead/core/h264"
)

const (
	// A keyframe costs ten times a common frame, so publishers are asked once a
	// second in the long run, whoever has lost the picture meanwhile; what was not
	// asked for is saved up for one, half a second after another, so that a newcomer
	// need not wait.
	askEvery = time.Second
	askAgain = 500 * time.Millisecond
	askSaved = 2
	// The media worker is no stranger: whoever is sent a composed picture anew need
	// not wait.
	askWorker = 200 * time.Millisecond
	// idle is when a layer counts as paused by its sender.
	idle = 1500 * time.Millisecond
	// missed is when it does while another layer of the same picture comes: a
	// browser short of bandwidth stops its larger layers without a word.
	missed = 400 * time.Millisecond
)

// source is one picture (camera or screen) of a party, in one or more layers.
type source struct {
	key    sourceKey
	layers atomic.Pointer[[]*layer] // small to large; replaced, never changed
	// codec is that of the layer published last: a publisher may change it in
	// the middle of the call, one layer after the other.
	codec atomic.Pointer[core.Codec]
}

// layer is one stream of packets of a picture.
type layer struct {
	router *Router
	source *source
	track  core.Track
	rank   int         // of the rid among q, h, f
	params h264.Params // of an H.264 stream
	parse  func([]byte) desc
	ask    func(core.NeedKeyframe)
	// composed: by the media worker.
	composed bool
	// outs take the packets. The slice is replaced, never changed.
	outs   atomic.Pointer[[]*out]
	closed atomic.Bool

	// Written by the publisher's goroutine, read by Step.
	need     atomic.Bool              // somebody waits for a keyframe
	bytes    [maxSID + 1]atomic.Int64 // since the beginning, by spatial layer
	arrived  atomic.Int64             // when the last packet came; 0: never
	height   atomic.Int32             // of the last keyframe, 0: unknown
	fragment atomic.Int64             // when the last fragment of H.264 came; 0: never
	spatials atomic.Int32             // highest spatial layer seen

	// Owned by the publisher's goroutine.
	prelude *prelude // nil but at a change of format
	ssrc    uint32
	sps     bool
	begun   bool
	epoch   uint32
	lastSN  uint16

	// Owned by Step.
	asked    time.Duration // when last; 0: never
	asks     *rate.Limiter
	measured time.Duration
	counted  [maxSID + 1]int64
	rates    [maxSID + 1]int // bit/s of each spatial layer
	active   bool
}

var ranks = map[string]int{"q": 0, "h": 1, "f": 2}

func (r *Router) publishLayer(t core.Track, ask func(core.NeedKeyframe)) *layer {
	l := &layer{router: r, track: t, rank: 2, parse: parserOf(t.Codec.Name), ask: ask, asks: rate.NewLimiter(rate.Every(askEvery), askSaved)}
	if isH264(t.Codec) {
		l.params = h264.Fmtp(t.Codec.Fmtp)
	}
	if n, ok := ranks[t.Layer]; ok {
		l.rank = n
	}
	l.outs.Store(new([]*out))
	key := sourceKey{t.Party, t.Source}
	r.mu.Lock()
	defer r.mu.Unlock()
	src := r.sources[key]
	if src != nil && *src.codec.Load() != t.Codec {
		l.prelude = &prelude{}
	}
	if src == nil {
		src = &source{key: key}
		src.layers.Store(new([]*layer))
		r.sources[key] = src
	}
	l.source = src
	src.codec.Store(&t.Codec)
	next := slices.DeleteFunc(slices.Clone(*src.layers.Load()), func(x *layer) bool {
		return x.track.Layer == t.Layer
	})
	next = append(next, l)
	slices.SortStableFunc(next, func(a, b *layer) int { return cmp.Compare(a.rank, b.rank) })
	src.layers.Store(&next)
	return l
}

// Close ends the publication of the layer.
func (l *layer) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	r, src := l.router, l.source
	r.mu.Lock()
	defer r.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*src.layers.Load()), func(x *layer) bool { return x == l })
	src.layers.Store(&next)
	if len(next) == 0 && r.sources[src.key] == src {
		delete(r.sources, src.key)
	}
	return nil
}

// Write forwards a packet to all who get this layer. The payload's picture
// numbers are rewritten in place for each of them and put back at the end.
func (l *layer) Write(p *core.Packet) error {
	if l.closed.Load() {
		return nil
	}
	l.arrived.Store(int64(max(p.Arrival, 1)))
	if l.prelude != nil && l.hold(p) {
		return nil
	}
	l.forward(p)
	return nil
}

func (l *layer) forward(p *core.Packet) {
	l.watchRestart(p)
	d := l.parse(p.Payload)
	l.bytes[d.sid&maxSID].Add(int64(len(p.Payload)) + 12)
	if d.sps {
		l.sps = true
	} else if l.sps && d.idrOnly {
		d.keyframe = false // the decoder can only start at the SPS before it
	}
	if d.keyframe {
		l.need.Store(false)
		if d.height > 0 {
			l.height.Store(int32(d.height))
		}
	}
	if d.fragment {
		l.fragment.Store(l.arrived.Load())
	}
	if int32(d.sid) > l.spatials.Load() {
		l.spatials.Store(int32(d.sid))
	}
	for _, o := range *l.outs.Load() {
		o.write(l, p, &d)
	}
	d.restore(p.Payload)
}

// watchRestart notes a sender that has begun anew.
func (l *layer) watchRestart(p *core.Packet) {
	d := int16(p.Header.SequenceNumber - l.lastSN)
	if l.begun && p.Header.SSRC == l.ssrc && d < jump && d > -jump {
		if d > 0 {
			l.lastSN = p.Header.SequenceNumber
		}
		return
	}
	if l.begun {
		l.need.Store(true)
	}
	l.begun, l.ssrc, l.lastSN = true, p.Header.SSRC, p.Header.SequenceNumber
	l.epoch++
}

// measure reads the layers' rates.
func (s *source) measure(now time.Duration) {
	layers := *s.layers.Load()
	latest := int64(0)
	for _, l := range layers {
		latest = max(latest, l.arrived.Load())
	}
	for _, l := range layers {
		last := l.arrived.Load()
		l.active = last > 0 && now-time.Duration(last) < idle && latest-last < int64(missed)
		span := now - l.measured
		if span < 400*time.Millisecond {
			continue
		}
		for i := range l.bytes {
			sum := l.bytes[i].Load()
			rate := int((sum - l.counted[i]) * 8 * int64(time.Second) / int64(span))
			if l.rates[i] > 0 {
				rate = l.rates[i] + (rate-l.rates[i])/3
			}
			l.rates[i], l.counted[i] = rate, sum
		}
		l.measured = now
	}
}

// askKeyframes asks the publisher for what is waited for, again and again until
// the keyframe comes.
func (s *source) askKeyframes(now time.Duration) {
	for _, l := range *s.layers.Load() {
		if l.ask == nil || !l.need.Load() || len(*l.outs.Load()) == 0 {
			continue
		}
		if l.mayAsk(now) {
			l.asked = now
			l.ask(core.NeedKeyframe{Track: l.track})
		}
	}
}

func (l *layer) mayAsk(now time.Duration) bool {
	if l.composed {
		return l.asked == 0 || now-l.asked >= askWorker
	}
	return (l.asked == 0 || now-l.asked >= askAgain) && l.asks.AllowN(time.Unix(0, int64(now)), 1)
}

// fragmentsFor is how long a stream counts as fragmented after a fragment.
const fragmentsFor = 10 * time.Second

// sent is what the stream is sent within: one in which nothing is fragmented
// is as good as one of packetization mode 0.
func (l *layer) sent(now time.Duration) h264.Params {
	p := l.params
	last := time.Duration(l.fragment.Load())
	if last == 0 || now-last > fragmentsFor {
		p.Mode = 0
	}
	return p
}

func (l *layer) add(o *out) {
	now := *l.outs.Load()
	if !slices.Contains(now, o) {
		next := append(slices.Clone(now), o)
		l.outs.Store(&next)
	}
}

func (l *layer) remove(o *out) {
	now := *l.outs.Load()
	if slices.Contains(now, o) {
		next := slices.DeleteFunc(slices.Clone(now), func(x *out) bool { return x == o })
		l.outs.Store(&next)
	}
}

// lines is the height of the layer's picture, guessed from its rid while no
// keyframe has told it.
func (l *layer) lines() int {
	if h := int(l.height.Load()); h > 0 {
		return h
	}
	return 180 << l.rank
}

func takes(codecs []core.Codec, name string) bool {
	return slices.ContainsFunc(codecs, func(c core.Codec) bool { return strings.EqualFold(c.Name, name) })
}
