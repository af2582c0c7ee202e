package forward

import (
	"encoding/hex"
	"testing"
	"time"

	"bridgehead/core"

	"github.com/pion/rtp"
)

// roomSystem is a camera of H.264 that sends a picture of one packet every 33
// ms, with its parameter sets when asked for a whole one.
type roomSystem struct {
	sink core.Sink
	asks int
	seq  uint16
	ts   uint32
	sps  []byte
	mark byte // by which its pictures are known
	form form
}

// form is how the pictures are put into packets.
type form int

const (
	alone      form = iota // each NAL unit by itself
	aggregated             // parameter sets and picture as one STAP-A
	fragmented             // pictures as two FU-A
)

// Parameter sets of 640x360 and 1920x1080, as x264 writes them.
const (
	sps360  = "6742c016d900a02ff970110000030001000003001e0f162e48"
	sps1080 = "67640028acd940780227e5c044000003000400000300783c60c658"
)

func h264Camera(t *testing.T, r *Router, party, fmtp, sps string, mark byte) *roomSystem {
	t.Helper()
	s, err := hex.DecodeString(sps)
	if err != nil {
		t.Fatal(err)
	}
	c := &roomSystem{seq: uint16(mark) * 700, ts: uint32(mark) << 20, sps: s, mark: mark}
	c.sink = r.Publish(core.Track{Party: party, Source: core.Camera, Codec: h264Codec(fmtp)}, func(core.NeedKeyframe) { c.asks++ })
	return c
}

func h264Codec(fmtp string) core.Codec {
	return core.Codec{Name: "H264", ClockRate: 90000, Fmtp: fmtp}
}

func (c *roomSystem) picture(at time.Duration) {
	c.ts += 3000
	if c.asks > 0 {
		c.asks = 0
		idr := []byte{0x65, 0x80, c.mark}
		if c.form == aggregated {
			stap := append([]byte{0x78, 0, byte(len(c.sps))}, c.sps...)
			c.packet(at, append(append(stap, 0, 2, 0x68, c.mark, 0, 3), idr...), true)
			return
		}
		c.packet(at, c.sps, false)
		c.packet(at, []byte{0x68, c.mark}, false)
		c.slice(at, idr)
		return
	}
	c.slice(at, []byte{0x41, 0x80, c.mark})
}

func (c *roomSystem) slice(at time.Duration, nal []byte) {
	if c.form != fragmented {
		c.packet(at, nal, true)
		return
	}
	c.packet(at, []byte{0x7c, 0x80 | nal[0]&0x1f, nal[1]}, false)
	c.packet(at, []byte{0x7c, 0x40 | nal[0]&0x1f, nal[2]}, true)
}

func (c *roomSystem) packet(at time.Duration, b []byte, last bool) {
	c.seq++
	_ = c.sink.Write(&core.Packet{Header: rtp.Header{SequenceNumber: c.seq, Timestamp: c.ts, Marker: last}, Payload: b, Arrival: at})
}

// watcher is a room system that watches.
func watcher(id, fmtp string) *fakeLeg {
	l := newLeg(id)
	l.info.Forwarded = false
	l.info.Video = []core.Codec{h264Codec(fmtp)}
	return l
}

func (l *fakeLeg) stage() *fakeSink { return l.sinks[core.Track{Source: core.Stage}] }

// on is whose picture came last, by its mark; 0: nothing.
func (s *fakeSink) on() byte {
	if len(s.got) == 0 {
		return 0
	}
	b := s.got[len(s.got)-1].Payload
	return b[len(b)-1]
}

// decodable fails unless every change of picture begins with a parameter set.
func (s *fakeSink) decodable(t *testing.T) {
	t.Helper()
	var now byte
	ready := false
	for i, p := range s.got {
		switch p.Payload[0] & 0x1f {
		case 7:
			ready = true
			continue
		case 8:
			continue
		}
		if mark := p.Payload[len(p.Payload)-1]; mark != now && !ready {
			t.Fatalf("packet %d is of another picture, which did not begin whole", i)
		} else {
			now, ready = mark, false
		}
	}
}

const (
	mode0 = "profile-level-id=42e01f"
	mode1 = "profile-level-id=42e01f;packetization-mode=1"
)

// world runs cameras and tells who is the loudest.
type world struct {
	r    *Router
	cams []*roomSystem
	now  time.Duration
	loud []string
}

func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += 100 * time.Millisecond
		for i := range 3 {
			for _, c := range w.cams {
				c.picture(w.now - time.Duration(2-i)*33*time.Millisecond)
			}
		}
		w.r.Speakers(w.now, w.loud)
		w.r.Step(w.now)
	}
}

func TestStageShowsWhoSpeaks(t *testing.T) {
	w := world{r: New(Options{}), now: time.Second}
	a, b := watcher("a", mode1), watcher("b", mode1)
	subA := w.r.Subscribe(a)
	w.r.Subscribe(b)
	for i, id := range []string{"a", "b", "c"} {
		w.cams = append(w.cams, h264Camera(t, w.r, id, mode1, sps360, byte(i+1)))
	}
	w.run(500 * time.Millisecond)
	if a.stage().on() != 2 || b.stage().on() != 1 {
		t.Fatalf("nobody has spoken: a sees %d, b sees %d; want one another", a.stage().on(), b.stage().on())
	}
	w.run(2 * time.Second)
	w.loud = []string{"c"}
	w.run(300 * time.Millisecond)
	if a.stage().on() != 2 {
		t.Fatal("a cough took the stage")
	}
	w.run(700 * time.Millisecond)
	if a.stage().on() != 3 || b.stage().on() != 3 {
		t.Fatalf("c speaks: a sees %d, b sees %d", a.stage().on(), b.stage().on())
	}
	w.loud = []string{"b", "c"}
	w.run(3 * time.Second)
	if a.stage().on() != 2 || b.stage().on() != 3 {
		t.Fatalf("b speaks: a sees %d, and b %d, who should see the last one before", a.stage().on(), b.stage().on())
	}
	w.loud = nil
	w.run(10 * time.Second)
	if a.stage().on() != 2 {
		t.Fatal("silence changed the stage")
	}
	// Losses are asked for, but by one party no more than once a second.
	asked := 0
	for range 30 {
		subA.Keyframe(core.Track{Source: core.Stage})
		w.run(100 * time.Millisecond)
		asked += w.cams[1].asks
	}
	if asked < 2 || asked > 4 {
		t.Errorf("asked %d times in 3 s", asked)
	}
	w.cams[1].sink.Close()
	w.cams = append(w.cams[:1], w.cams[2])
	w.run(500 * time.Millisecond)
	if a.stage().on() != 3 {
		t.Errorf("b is gone: a sees %d", a.stage().on())
	}
	for _, l := range []*fakeLeg{a, b} {
		l.stage().continuous(t)
		l.stage().decodable(t)
	}
	subA.Close()
	w.run(100 * time.Millisecond)
	if !a.stage().closed {
		t.Error("the stage is not closed with its party")
	}
}

func TestStageKeepsToLimits(t *testing.T) {
	w := world{r: New(Options{}), now: time.Second}
	single, small, high := watcher("x", mode0), watcher("y", "profile-level-id=42e00d;packetization-mode=1"), watcher("z", "profile-level-id=640028;packetization-mode=1")
	for _, l := range []*fakeLeg{single, small, high} {
		w.r.Subscribe(l)
	}
	w.cams = []*roomSystem{h264Camera(t, w.r, "a", mode1, sps360, 1), h264Camera(t, w.r, "b", "profile-level-id=640028;packetization-mode=1", sps1080, 2)}
	w.loud = []string{"b"}
	w.run(3 * time.Second)
	w.loud = []string{"a"}
	at := len(small.stage().got)
	w.run(3 * time.Second)
	if n := len(small.stage().got) - at; n != 0 {
		t.Errorf("a level of 396 macroblocks got %d packets of 640x360", n)
	}
	w.loud = []string{"b"}
	w.run(3 * time.Second)
	if high.stage().on() != 2 {
		t.Errorf("the high profile sees %d", high.stage().on())
	}
}

// One that takes a NAL unit a packet gets what others aggregate, taken apart,
// and nothing of what they fragment.
func TestStageInSingleUnits(t *testing.T) {
	w := world{r: New(Options{}), now: time.Second}
	x := watcher("x", mode0)
	w.r.Subscribe(x)
	w.cams = []*roomSystem{h264Camera(t, w.r, "a", mode1, sps360, 1), h264Camera(t, w.r, "b", mode1, sps360, 2)}
	w.cams[0].form, w.cams[1].form = aggregated, fragmented
	w.run(3 * time.Second)
	w.loud = []string{"b"}
	w.run(3 * time.Second)
	w.cams[0].asks++ // another aggregate in the middle of the stream
	w.run(time.Second)
	got := x.stage().got
	if len(got) < 150 {
		t.Fatalf("%d packets in 7 s", len(got))
	}
	for i, p := range got {
		if b := p.Payload; b[len(b)-1] == 2 || b[0]&0x1f > 23 {
			t.Fatalf("packet %d is % x", i, b)
		}
	}
	x.stage().continuous(t)
	x.stage().decodable(t)
}

func TestStageShowsTheScreen(t *testing.T) {
	w := world{r: New(Options{}), now: time.Second}
	one, two := watcher("x", mode1), watcher("y", mode1)
	two.info.Content = two.info.Video
	w.r.Subscribe(one)
	sub := w.r.Subscribe(two)
	screen := h264Camera(t, w.r, "a", mode1, sps360, 9)
	screen.sink = w.r.Publish(core.Track{Party: "a", Source: core.Screen, Codec: h264Codec(mode1)}, func(core.NeedKeyframe) { screen.asks++ })
	w.cams = []*roomSystem{screen, h264Camera(t, w.r, "b", mode1, sps360, 2)}
	w.loud = []string{"b"}
	sub.View([]core.Want{{Party: "a", Source: core.Screen, Height: 1080}})
	w.run(3 * time.Second)
	if one.stage().on() != 9 {
		t.Errorf("one without content sees %d in the picture, not the screen", one.stage().on())
	}
	shown := two.sinks[core.Track{Party: "a", Source: core.Screen}]
	if two.stage().on() != 2 || shown == nil || shown.on() != 9 {
		t.Errorf("one with content sees %d, and beside it %v", two.stage().on(), shown)
	}
}

// Who publishes may change the format of one layer after the other; those who
// watch are sent the new one from its first whole picture on.
func TestViewFollowsAChangeOfFormat(t *testing.T) {
	w := world{r: New(Options{}), now: time.Second}
	browser := newLeg("b")
	browser.info.Video = []core.Codec{{Name: "VP8", ClockRate: 90000}, h264Codec(mode1)}
	sub := w.r.Subscribe(browser)
	sub.View([]core.Want{{Party: "a", Source: core.Camera, Height: 720}})
	var sinks []core.Sink
	for _, rid := range []string{"q", "h", "f"} {
		track := core.Track{Party: "a", Source: core.Camera, Layer: rid, Codec: core.Codec{Name: "VP8", ClockRate: 90000}}
		sinks = append(sinks, w.r.Publish(track, func(core.NeedKeyframe) {}))
	}
	seq := uint16(1)
	vp8 := []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0}
	for range 10 {
		w.now += 33 * time.Millisecond
		for _, s := range sinks {
			_ = s.Write(&core.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: uint32(seq) * 3000, Marker: true}, Payload: vp8, Arrival: w.now})
		}
		seq++
		w.r.Step(w.now)
	}
	before := browser.camera("a")
	if before == nil || len(before.got) == 0 {
		t.Fatal("no VP8 came")
	}
	// The smallest layer changes; the largest one sends nothing any more.
	sinks[0].Close()
	c := h264Camera(t, w.r, "x", mode1, sps360, 1)
	c.sink = w.r.Publish(core.Track{Party: "a", Source: core.Camera, Layer: "q", Codec: h264Codec(mode1)}, func(core.NeedKeyframe) { c.asks++ })
	c.asks = 1
	for i := range 3 { // it begins whole, unasked
		c.picture(w.now + time.Duration(i)*33*time.Millisecond)
	}
	w.now += 100 * time.Millisecond
	w.r.Step(w.now)
	c.picture(w.now)
	s := browser.camera("a")
	if s != before && len(s.got) < 6 {
		t.Errorf("%d packets of the new format came, want all 6 of its first pictures", len(s.got))
	}
	if s == before || len(s.got) == 0 {
		t.Fatal("no H.264 came")
	}
	s.decodable(t)
	if !before.closed {
		t.Error("the VP8 is still there")
	}
}
