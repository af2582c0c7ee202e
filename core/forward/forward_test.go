package forward

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"bridgehead/core"

	"github.com/pion/rtp"
)

// fakeLeg takes every track and remembers what it got.
type fakeLeg struct {
	info core.Info

	mu     sync.Mutex
	sinks  map[core.Track]*fakeSink
	events []core.Event
	full   bool
}

func newLeg(id string, video ...string) *fakeLeg {
	l := &fakeLeg{sinks: map[core.Track]*fakeSink{}}
	l.info = core.Info{ID: id, Forwarded: true, Audio: core.Codec{Name: "opus", ClockRate: 48000, Channels: 2}}
	for _, v := range video {
		l.info.Video = append(l.info.Video, core.Codec{Name: v, ClockRate: 90000})
	}
	return l
}

func (l *fakeLeg) Info() core.Info    { l.mu.Lock(); defer l.mu.Unlock(); return l.info }
func (l *fakeLeg) Sit(core.Seat)      {}
func (l *fakeLeg) Hangup(core.Reason) {}
func (l *fakeLeg) Signal(e core.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *fakeLeg) Subscribe(t core.Track) (core.Sink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return nil, errors.New("no free slot")
	}
	s := &fakeSink{}
	l.sinks[core.Track{Party: t.Party, Source: t.Source, Slot: t.Slot}] = s
	return s, nil
}

func (l *fakeLeg) slot(i int) *fakeSink { return l.sinks[core.Track{Source: core.Microphone, Slot: i}] }
func (l *fakeLeg) camera(party string) *fakeSink {
	return l.sinks[core.Track{Party: party, Source: core.Camera}]
}

func (l *fakeLeg) showing() (last core.Showing) {
	for _, e := range l.events {
		if s, ok := e.(core.Showing); ok {
			last = s
		}
	}
	return last
}

type fakeSink struct {
	got    []core.Packet
	closed bool
}

func (s *fakeSink) Write(p *core.Packet) error {
	c := *p
	c.Payload = slices.Clone(p.Payload)
	s.got = append(s.got, c)
	return nil
}
func (s *fakeSink) Close() error { s.closed = true; return nil }

// continuous fails unless the packets' sequence numbers follow one another and
// their timestamps never go back.
func (s *fakeSink) continuous(t *testing.T) {
	t.Helper()
	for i := 1; i < len(s.got); i++ {
		a, b := s.got[i-1].Header, s.got[i].Header
		if b.SequenceNumber != a.SequenceNumber+1 {
			t.Fatalf("packet %d: sequence number %d after %d", i, b.SequenceNumber, a.SequenceNumber)
		}
		if int32(b.Timestamp-a.Timestamp) < 0 {
			t.Fatalf("packet %d: timestamp %d after %d", i, b.Timestamp, a.Timestamp)
		}
	}
}

// voice is a microphone driven packet by packet.
type voice struct {
	sink core.Sink
	seq  uint16
	ts   uint32
}

func (v *voice) say(at time.Duration, level uint8) {
	v.seq++
	v.ts += 960
	_ = v.sink.Write(&core.Packet{
		Header:  rtp.Header{SequenceNumber: v.seq, Timestamp: v.ts, PayloadType: 111},
		Payload: []byte("opus frame"), Arrival: at, Level: level,
	})
}

func mic(r *Router, party string, seq uint16) *voice {
	return &voice{r.Publish(core.Track{Party: party, Source: core.Microphone}, nil), seq, uint32(seq) * 1000}
}

func TestSpeakersAreChosenByLevel(t *testing.T) {
	r := New(Options{AudioSlots: 2})
	leg, own := newLeg("x"), newLeg("b")
	r.Subscribe(leg)
	r.Subscribe(own)
	r.Step(0)
	a, b, c := mic(r, "a", 100), mic(r, "b", 65530), mic(r, "c", 7)
	var now time.Duration
	frame := func(la, lb, lc uint8) {
		now += 20 * time.Millisecond
		a.say(now, la)
		b.say(now, lb)
		c.say(now, lc)
	}
	for range 50 {
		frame(20, 30, 100)
	}
	if got := r.Speaking(); !slices.Equal(got.Parties, []string{"a", "b"}) || !slices.Equal(got.Slots, []string{"a", "b"}) {
		t.Fatalf("speaking %v", got)
	}
	frame(20, 30, 27) // not louder by the margin
	if got := r.Speaking(); !slices.Equal(got.Slots, []string{"a", "b"}) {
		t.Fatalf("a slot flapped: %v", got)
	}
	for range 50 {
		frame(20, 90, 25)
	}
	if got := r.Speaking(); !slices.Equal(got.Slots, []string{"a", "c"}) {
		t.Fatalf("the louder did not take the slot: %v", got)
	}
	for range 2 {
		leg.slot(0).continuous(t)
		leg.slot(1).continuous(t)
	}
	if n := len(own.slot(1).got); n > 52 {
		t.Errorf("a party heard its own microphone: %d packets", n)
	}
	if n := len(own.slot(0).got); n < 98 {
		t.Errorf("a slot lost packets: %d", n)
	}
	r.Step(now + 5*time.Second)
	if got := r.Speaking(); got.Slots[0] != "" || got.Slots[1] != "" {
		t.Errorf("silent slots not freed: %v", got)
	}
}

func TestMutedMicrophoneIsNotForwarded(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x")
	r.Subscribe(leg)
	r.Step(0)
	a := mic(r, "a", 1)
	a.say(0, 10)
	a.say(20*time.Millisecond, 10)
	a.sink.(*Mic).Mute(true)
	for i := range 10 {
		a.say(time.Duration(i+2)*20*time.Millisecond, 10)
	}
	if n := len(leg.slot(0).got); n != 1 {
		t.Errorf("%d packets, want the one before the mute", n)
	}
}

// cam is one layer of a VP8 camera with picture ids and temporal layers.
type cam struct {
	sink core.Sink
	asks int
	seq  uint16
	ts   uint32
	pid  uint16
	tl0  uint8
	n    int
}

func camera(r *Router, party, rid string, seq uint16) *cam {
	c := &cam{seq: seq, ts: uint32(seq) << 8, pid: seq & 0x7fff, tl0: uint8(seq)}
	t := core.Track{Party: party, Source: core.Camera, Layer: rid, Codec: core.Codec{Name: "VP8", ClockRate: 90000}}
	c.sink = r.Publish(t, func(core.NeedKeyframe) { c.asks++ })
	return c
}

// frame sends one frame of two packets, of temporal layers 0 2 1 2.
func (c *cam) frame(t *testing.T, at time.Duration, key bool, size int) {
	t.Helper()
	tid := [4]byte{0, 2, 1, 2}[c.n%4]
	if key {
		tid, c.n = 0, 0
	}
	c.n++
	c.pid = (c.pid + 1) & 0x7fff
	c.ts += 3000
	if tid == 0 {
		c.tl0++
	}
	for part := range 2 {
		c.seq++
		b := []byte{0x80, 0xe0, 0x80 | byte(c.pid>>8), byte(c.pid), c.tl0, tid<<6 | 0x20}
		if part == 0 {
			b[0] |= 0x10
		}
		frame := make([]byte, size/2)
		frame[0] = 1
		if key && part == 0 {
			copy(frame, []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0})
		}
		b = append(b, frame...)
		before := slices.Clone(b)
		_ = c.sink.Write(&core.Packet{
			Header:  rtp.Header{SequenceNumber: c.seq, Timestamp: c.ts, Marker: part == 1, SSRC: 1},
			Payload: b, Arrival: at,
		})
		if !slices.Equal(before, b) {
			t.Fatal("the publisher's payload was not put back")
		}
	}
}

func picturesContinuous(t *testing.T, s *fakeSink) {
	t.Helper()
	last := int32(-1)
	for i, p := range s.got {
		d := parseVP8(p.Payload)
		if d.start && last >= 0 && d.pid != (last+1)&0x7fff {
			t.Fatalf("packet %d: picture id %d after %d", i, d.pid, last)
		}
		last = d.pid
	}
}

func TestLayerSwitch(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP8")
	sub := r.Subscribe(leg)
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	q, f := camera(r, "a", "q", 500), camera(r, "a", "f", 40000)
	now := time.Second
	step := func(n int) {
		for range n {
			now += 33 * time.Millisecond
			q.frame(t, now, q.asks > 0, 300)
			f.frame(t, now, f.asks > 0, 3000)
			q.asks, f.asks = 0, 0
			r.Step(now)
		}
	}
	step(30)
	s := leg.camera("a")
	if s == nil || len(s.got) == 0 || leg.showing().Track.Layer != "q" {
		t.Fatalf("small layer not shown: %+v", leg.showing())
	}
	for _, p := range s.got {
		if len(p.Payload) > 1000 {
			t.Fatal("a packet of the large layer came")
		}
	}
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 720}})
	before := len(s.got)
	step(30)
	if leg.showing().Track.Layer != "f" || len(s.got[len(s.got)-1].Payload) < 1000 {
		t.Fatalf("not switched up: %+v", leg.showing())
	}
	if len(s.got) < before+50 {
		t.Error("the picture stood still during the switch")
	}
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 0}})
	step(5)
	if !leg.showing().Paused {
		t.Error("height 0 does not pause")
	}
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	step(30)
	s.continuous(t)
	picturesContinuous(t, s)
	sub.View(nil)
	step(1)
	if !s.closed {
		t.Error("sink of an unwanted picture left open")
	}
}

func TestBitrateChoosesTheLayer(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP8")
	sub := r.Subscribe(leg)
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 720}})
	q, f := camera(r, "a", "q", 5), camera(r, "a", "f", 9)
	now := time.Second
	run := func(d time.Duration) {
		for end := now + d; now < end; {
			now += 33 * time.Millisecond
			q.frame(t, now, q.asks > 0, 600)
			f.frame(t, now, f.asks > 0, 6000)
			q.asks, f.asks = 0, 0
			r.Step(now)
		}
	}
	run(2 * time.Second)
	if leg.showing().Track.Layer != "f" {
		t.Fatalf("no estimate yet, so the best layer: %+v", leg.showing())
	}
	sub.Bitrate("", 400_000)
	run(2 * time.Second)
	if leg.showing().Track.Layer != "q" {
		t.Fatalf("not lowered: %+v", leg.showing())
	}
	sub.Bitrate("", 4_000_000)
	run(time.Second)
	if leg.showing().Track.Layer != "q" {
		t.Fatal("raised at once")
	}
	run(9 * time.Second)
	if leg.showing().Track.Layer != "f" {
		t.Fatalf("not raised again: %+v", leg.showing())
	}
	sub.Bitrate("", 110_000)
	run(time.Second)
	s := leg.camera("a")
	n := len(s.got)
	run(2 * time.Second)
	if rate := len(s.got) - n; rate < 20 || rate > 40 {
		t.Errorf("%d packets in 2 s, want the base frame rate: 30", rate)
	}
	s.continuous(t)
	picturesContinuous(t, s)
}

func TestKeyframeRequestsAreCoalescedAndRetried(t *testing.T) {
	r := New(Options{})
	var subs []*Subscriber
	for range 20 {
		s := r.Subscribe(newLeg("x", "VP8"))
		s.View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
		subs = append(subs, s)
	}
	q := camera(r, "a", "q", 5)
	now := time.Second
	for range 30 { // 3 s without an answer
		now += 100 * time.Millisecond
		q.frame(t, now, false, 300)
		for _, s := range subs {
			s.Keyframe(core.Track{Party: "a", Source: core.Camera})
		}
		r.Step(now)
	}
	if q.asks < 3 || q.asks > 4 {
		t.Errorf("%d requests in 3 s, want one a second", q.asks)
	}
	q.frame(t, now, true, 300)
	asks := q.asks
	for range 10 {
		now += 100 * time.Millisecond
		q.frame(t, now, false, 300)
		r.Step(now)
	}
	if q.asks != asks {
		t.Errorf("%d requests after the keyframe", q.asks-asks)
	}
}

func TestCodecMismatchIsShownAsPaused(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "H264")
	r.Subscribe(leg).View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	camera(r, "a", "", 5).frame(t, time.Second, true, 300)
	r.Step(time.Second)
	if s := leg.showing(); !s.Paused || s.Track.Party != "a" || leg.camera("a") != nil {
		t.Errorf("showing %+v", s)
	}
}

func TestRefusedTrackIsOfferedAgain(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP8")
	leg.full = true
	sub := r.Subscribe(leg)
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	camera(r, "a", "", 5).frame(t, time.Second, true, 300)
	r.Step(time.Second)
	leg.full = false
	sub.Refresh()
	r.Step(time.Second + time.Millisecond)
	if leg.camera("a") == nil || leg.slot(2) == nil {
		t.Error("tracks not offered again")
	}
}

func TestNothingComesAfterClose(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP8")
	sub := r.Subscribe(leg)
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	c, v := camera(r, "a", "", 5), mic(r, "a", 1)
	now := time.Second
	for range 10 {
		now += 33 * time.Millisecond
		c.frame(t, now, c.asks > 0, 300)
		v.say(now, 10)
		r.Step(now)
	}
	picture, sound := leg.camera("a"), leg.slot(0)
	a, b := len(picture.got), len(sound.got)
	if a == 0 || b == 0 {
		t.Fatal("nothing came before")
	}
	sub.Close()
	c.frame(t, now, true, 300)
	v.say(now, 10)
	if len(picture.got) != a || len(sound.got) != b {
		t.Error("packets after Close")
	}
	r.Step(now)
	if !picture.closed || !sound.closed {
		t.Error("sinks left open")
	}
}

func TestRestartedPublisherWaitsForKeyframe(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP8")
	r.Subscribe(leg).View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
	c := camera(r, "a", "", 5)
	now := time.Second
	run := func(key bool) {
		now += 33 * time.Millisecond
		c.frame(t, now, key, 300)
		r.Step(now)
	}
	run(false)
	run(true)
	run(false)
	s := leg.camera("a")
	n := len(s.got)
	c.seq, c.ts, c.asks = c.seq+20000, 77, 0
	now += askEvery
	run(false)
	if len(s.got) != n || c.asks != 1 {
		t.Errorf("%d packets, %d requests", len(s.got)-n, c.asks)
	}
	run(true)
	run(false)
	if len(s.got) != n+4 {
		t.Errorf("%d packets after the keyframe", len(s.got)-n)
	}
	s.continuous(t)
}

// Of parties who join one after another each sees within a second: who comes 1.3
// s after two keyframes were asked for waits for no second to pass.
func TestNewcomersDoNotWait(t *testing.T) {
	r := New(Options{})
	c := camera(r, "a", "", 5)
	now := time.Second
	until := func(at time.Duration) {
		for ; now < at; now += 20 * time.Millisecond {
			c.frame(t, now, c.asks > 0, 300)
			c.asks = 0
			r.Step(now)
		}
	}
	for i, at := range []time.Duration{1000, 1500, 2300} {
		until(at * time.Millisecond)
		leg := newLeg(string(rune('x'+i)), "VP8")
		r.Subscribe(leg).View([]core.Want{{Party: "a", Source: core.Camera, Height: 180}})
		until((at + 100) * time.Millisecond)
		if got := leg.camera("a"); got == nil || len(got.got) == 0 {
			t.Errorf("who came at %d ms sees nothing after 100 ms", at)
		}
	}
}

func TestVP9SpatialLayers(t *testing.T) {
	r := New(Options{})
	leg := newLeg("x", "VP9")
	sub := r.Subscribe(leg)
	want := func(h int) { sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: h}}) }
	want(180)
	asks := 0
	sink := r.Publish(core.Track{Party: "a", Source: core.Camera, Codec: core.Codec{Name: "VP9"}}, func(core.NeedKeyframe) { asks++ })
	var seq, pid uint16
	now := time.Second
	frame := func() {
		now += 33 * time.Millisecond
		pid++
		key := asks > 0
		asks = 0
		for sid := range 3 {
			seq++
			b := []byte{0x80 | 0x20 | 0x08 | 0x04, 0x80 | byte(pid>>8), byte(pid), byte(sid << 1), 0}
			if !key {
				b[0] |= 0x40
			}
			b = append(b, make([]byte, 100<<sid)...)
			_ = sink.Write(&core.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: uint32(pid) * 3000, Marker: sid == 2}, Payload: b, Arrival: now})
		}
		r.Step(now)
	}
	highest := func() (top uint8, ended bool) {
		s := leg.camera("a")
		for _, p := range s.got[len(s.got)-6:] {
			d := parseVP9(p.Payload)
			top = max(top, d.sid)
			ended = p.Header.Marker
		}
		return top, ended
	}
	for _, c := range []struct {
		height int
		sid    uint8
	}{{180, 0}, {720, 2}, {360, 1}} {
		want(c.height)
		for range 60 {
			frame()
		}
		if top, ended := highest(); top != c.sid || !ended {
			t.Errorf("height %d: spatial layer %d, marker %v", c.height, top, ended)
		}
	}
	leg.camera("a").continuous(t)
}

func TestLateAndDoublePackets(t *testing.T) {
	var n numbering
	p := func(seq uint16) *core.Packet {
		return &core.Packet{Header: rtp.Header{SequenceNumber: seq}}
	}
	n.join(p(100), 90000)
	expect := func(seq, want uint16, ok bool) {
		t.Helper()
		got, took := n.next(seq)
		if took != ok || ok && got != want {
			t.Errorf("packet %d: %d %v, want %d %v", seq, got, took, want, ok)
		}
	}
	expect(100, 100, true)
	expect(101, 101, true)
	n.skip(102)
	expect(104, 103, true)
	expect(103, 102, true)  // late
	expect(103, 102, false) // twice
	expect(102, 0, false)   // left out before
	expect(99, 0, false)    // before the join
	n.join(p(7), 90000)
	expect(7, 104, true)
	expect(6, 0, false)
}

func TestForwardingDoesNotAllocate(t *testing.T) {
	video, audio := fanOut(t, 20)
	if n := testing.AllocsPerRun(1000, video); n != 0 {
		t.Errorf("%v allocations per video packet", n)
	}
	if n := testing.AllocsPerRun(1000, audio); n != 0 {
		t.Errorf("%v allocations per audio packet", n)
	}
}

type nullSink struct{}

func (nullSink) Write(*core.Packet) error { return nil }
func (nullSink) Close() error             { return nil }

type nullLeg struct{ *fakeLeg }

func (nullLeg) Subscribe(core.Track) (core.Sink, error) { return nullSink{}, nil }

// fanOut returns functions that forward one packet to n subscribers.
func fanOut(tb testing.TB, n int) (video, audio func()) {
	r := New(Options{})
	for range n {
		s := r.Subscribe(nullLeg{newLeg("x", "VP8")})
		s.View([]core.Want{{Party: "a", Source: core.Camera, Height: 720}})
	}
	track := core.Track{Party: "a", Source: core.Camera, Codec: core.Codec{Name: "VP8"}}
	sink := r.Publish(track, func(core.NeedKeyframe) {})
	voice := r.Publish(core.Track{Party: "a", Source: core.Microphone}, nil)
	p := &core.Packet{Header: rtp.Header{SSRC: 1}, Arrival: time.Second}
	p.Payload = append([]byte{0x90, 0xe0, 0x80, 1, 1, 0, 0, 0, 0, 0x9d, 1, 0x2a, 0, 5, 0xd0, 2}, make([]byte, 1100)...)
	a := &core.Packet{Payload: make([]byte, 80), Arrival: time.Second, Level: 20}
	video = func() {
		p.Header.SequenceNumber++
		_ = sink.Write(p)
		p.Payload[6] |= 1 // no keyframe from the second on
	}
	audio = func() { a.Header.SequenceNumber++; _ = voice.Write(a) }
	r.Step(time.Second)
	_ = sink.Write(p)
	r.Step(time.Second)
	audio()
	video()
	if out := (*sink.(*layer).outs.Load()); len(out) != n || out[0].current.Load() == nil {
		tb.Fatal("nothing is forwarded")
	}
	return video, audio
}

func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"1to20", 20}, {"1to100", 100}} {
		video, audio := fanOut(b, c.n)
		for kind, f := range map[string]func(){"video": video, "audio": audio} {
			b.Run(kind+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.n), "ns/forwarded")
			})
		}
	}
}
