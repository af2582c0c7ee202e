package forward

import (
	"context"
	"io"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/compose"
	"bridgehead/core/compose/wire"
)

// painter is a worker of the tests: of each scene it makes pictures of two
// packets whose last octet is 200 and the scene's number.
type painter struct {
	mu      sync.Mutex
	conn    net.Conn
	scenes  map[uint32]wire.Scene
	keys    map[uint32]bool
	packets map[uint32]int
	codecs  map[uint32]wire.Codec
	stamp   uint32
}

func (p *painter) serve() {
	buf := make([]byte, wire.MaxFrame)
	for {
		k, body, err := wire.Read(p.conn, buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		id, _ := wire.ParseID(body)
		switch k {
		case wire.SetScene:
			s, _ := wire.ParseScene(body)
			if _, known := p.scenes[s.ID]; !known {
				p.keys[s.ID] = true
			}
			p.scenes[s.ID] = s
		case wire.EndScene:
			delete(p.scenes, id)
		case wire.Keyframe:
			p.keys[id] = true
		case wire.Packet:
			m, _ := wire.ParseMedia(body)
			p.packets[m.ID]++
			p.codecs[m.ID] = m.Codec
		}
		p.mu.Unlock()
	}
}

// paint makes a picture of each scene.
func (p *painter) paint() {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, _ := wire.AppendJSON(nil, wire.Health, wire.Report{})
	p.stamp += 9000
	for id := range p.scenes {
		m := wire.Media{ID: id, Codec: wire.H264, Stamp: p.stamp, Marker: true, Payload: []byte{0x41, 0x80, 200 + byte(id)}}
		if p.keys[id] {
			delete(p.keys, id)
			set := m
			set.Marker, set.Payload = false, []byte{0x67, 0x42, 0xc0, 0x1f, 200 + byte(id)}
			b = set.Append(b)
			m.Payload = []byte{0x65, 0x80, 200 + byte(id)}
		}
		b = m.Append(b)
	}
	go p.conn.Write(b)
}

// of lists who is in the cells of the scene that is on the stage.
func (p *painter) of(t *testing.T, l *fakeLeg) (s wire.Scene, names []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	mark := l.stage().on()
	if mark < 200 {
		t.Fatalf("%s sees %d, which is not composed", l.info.ID, mark)
	}
	s = p.scenes[uint32(mark-200)]
	for _, c := range s.Cells {
		names = append(names, c.Name)
	}
	return s, names
}

// atelier is a world in which pictures are composed.
type atelier struct {
	world
	t       *testing.T
	clock   atomic.Int64
	mu      sync.Mutex
	painter *painter
}

func (a *atelier) start() (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.painter = &painter{conn: theirs, scenes: map[uint32]wire.Scene{}, keys: map[uint32]bool{}, packets: map[uint32]int{}, codecs: map[uint32]wire.Codec{}}
	go a.painter.serve()
	return ours, nil
}

func (a *atelier) paint() *painter {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.painter
}

func (a *atelier) run(d time.Duration) {
	for range d / (100 * time.Millisecond) {
		a.world.run(100 * time.Millisecond)
		a.clock.Store(int64(a.now))
		synctest.Wait()
		a.paint().paint()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
	}
}

func (a *atelier) cast(parties ...string) {
	var people []Person
	for _, p := range parties {
		people = append(people, Person{Party: p, Name: p})
	}
	a.r.Cast(people, false)
}

func composing(t *testing.T, cores float64, f func(a *atelier)) {
	synctest.Test(t, func(t *testing.T) {
		a := &atelier{t: t}
		a.now = time.Second
		c := compose.New(compose.Options{Start: a.start, Cores: cores, Now: func() time.Duration { return time.Duration(a.clock.Load()) }})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		a.r = New(Options{Composer: c})
		synctest.Wait()
		f(a)
		a.r.Close()
		if s := c.Stats(); s.Scenes != 0 || s.Sources != 0 {
			t.Errorf("left after the end: %+v", s)
		}
		stop()
		<-ended
		synctest.Wait()
	})
}

func names(list ...string) []string { return list }

func TestAllSeeOnePictureAndTheSpeakerAnother(t *testing.T) {
	composing(t, 8, func(a *atelier) {
		x, y, z := watcher("x", mode1), watcher("y", mode0), watcher("z", mode1)
		for i, l := range []*fakeLeg{x, y, z} {
			a.r.Subscribe(l)
			a.cams = append(a.cams, h264Camera(t, a.r, l.info.ID, mode1, sps360, byte(i+1)))
		}
		a.cast("x", "y", "z")
		a.loud = []string{"y"}
		a.run(3 * time.Second)
		s, who := a.paint().of(t, x)
		if !reflect.DeepEqual(who, names("y", "x", "z")) || s.Width != 1280 || s.Cells[0].Source == 0 {
			t.Errorf("x sees %v, %+v", who, s)
		}
		if x.stage().on() != z.stage().on() {
			t.Error("two who see the same have pictures of their own")
		}
		if _, who := a.paint().of(t, y); !reflect.DeepEqual(who, names("x", "y", "z")) {
			t.Errorf("who speaks sees %v", who)
		}
		a.loud = []string{"z"}
		a.run(3 * time.Second)
		if _, who := a.paint().of(t, x); !reflect.DeepEqual(who, names("z", "x", "y")) {
			t.Errorf("then x sees %v", who)
		}
		if _, who := a.paint().of(t, z); !reflect.DeepEqual(who, names("y", "x", "z")) {
			t.Errorf("and z sees %v", who)
		}
		if n := len(a.paint().scenes); n != 2 {
			t.Errorf("%d pictures are made", n)
		}
		for _, l := range []*fakeLeg{x, y, z} {
			l.stage().continuous(t)
			l.stage().decodable(t)
		}
	})
}

func TestLayoutsOfMeetingAndParty(t *testing.T) {
	composing(t, 8, func(a *atelier) {
		x, y := watcher("x", mode1), watcher("y", mode1)
		sub := a.r.Subscribe(x)
		a.r.Subscribe(y)
		for i, id := range []string{"x", "y"} {
			a.cams = append(a.cams, h264Camera(t, a.r, id, mode1, sps360, byte(i+1)))
		}
		a.cast("x", "y")
		a.run(time.Second)
		if x.stage().on() != 2 || y.stage().on() != 1 {
			t.Fatalf("two who see one another are sent %d and %d, not each other's own picture", x.stage().on(), y.stage().on())
		}
		a.r.Layout(compose.Grid2)
		sub.Layout(compose.Grid3)
		a.cast("x", "y", "phone")
		a.run(time.Second)
		if s, who := a.paint().of(t, x); !reflect.DeepEqual(who, names("x", "y", "phone")) || s.Cells[0].W != 426 || s.Cells[2].Source != 0 {
			t.Errorf("3x3: %v %+v", who, s.Cells)
		}
		if s, who := a.paint().of(t, y); !reflect.DeepEqual(who, names("x", "y", "phone")) || s.Cells[1].X != 640 {
			t.Errorf("2x2: %v %+v", who, s.Cells)
		}
		sub.Layout(compose.Switched)
		a.run(time.Second)
		if x.stage().on() != 2 {
			t.Errorf("switched: %d", x.stage().on())
		}
		sub.Writing("Wait", "a little")
		a.run(time.Second)
		if s, _ := a.paint().of(t, x); s.Title != "Wait" || len(s.Lines) != 1 {
			t.Errorf("writing: %+v", s)
		}
		sub.Writing()
		sub.Layout("")
		a.cast("x")
		a.run(time.Second)
		if s, _ := a.paint().of(t, x); s.Title != "You are the only one here" {
			t.Errorf("alone: %+v", s)
		}
		x.stage().continuous(t)
		x.stage().decodable(t)
	})
}

// A browser that sends VP8 only is seen by who takes H.264 only.
func TestOtherCodecsComeThroughComposing(t *testing.T) {
	composing(t, 8, func(a *atelier) {
		room := watcher("room", "profile-level-id=42e00d")
		sub := a.r.Subscribe(room)
		sub.Layout(compose.Switched)
		asks := 0
		camera := a.r.Publish(core.Track{Party: "browser", Source: core.Camera, Codec: core.Codec{Name: "VP8", ClockRate: 90000}}, func(core.NeedKeyframe) { asks++ })
		a.cast("room", "browser")
		for i := range 20 {
			p := &core.Packet{Payload: []byte{0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, Arrival: a.now}
			if asks > 0 {
				p.Payload = []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0}
			}
			p.Header.SequenceNumber, p.Header.Timestamp, p.Header.Marker = uint16(i), uint32(i*9000), true
			_ = camera.Write(p)
			a.run(100 * time.Millisecond)
		}
		s, who := a.paint().of(t, room)
		if !reflect.DeepEqual(who, names("browser")) || s.Width != 320 || s.Cells[0].W != 320 {
			t.Fatalf("sees %v %+v", who, s)
		}
		src := s.Cells[0].Source
		if src == 0 || a.paint().packets[src] < 10 || a.paint().codecs[src] != wire.VP8 || asks == 0 {
			t.Errorf("the worker got %d packets of %d; %d keyframes asked for", a.paint().packets[src], src, asks)
		}
	})
}

func TestADeadWorkerLeavesTheSwitchedPicture(t *testing.T) {
	composing(t, 8, func(a *atelier) {
		x := watcher("x", mode1)
		a.r.Subscribe(x)
		for i, id := range []string{"x", "y", "z"} {
			a.cams = append(a.cams, h264Camera(t, a.r, id, mode1, sps360, byte(i+1)))
		}
		a.cast("x", "y", "z")
		a.loud = []string{"z"}
		a.run(2 * time.Second)
		a.paint().of(t, x)
		a.paint().conn.Close()
		synctest.Wait()
		for range 3 {
			a.world.run(100 * time.Millisecond)
		}
		if x.stage().on() != 3 {
			t.Fatalf("0.3 s after the worker's death x sees %d", x.stage().on())
		}
		time.Sleep(time.Second)
		a.run(2 * time.Second)
		if _, who := a.paint().of(t, x); len(who) != 3 {
			t.Errorf("back again: %v", who)
		}
		x.stage().continuous(t)
		x.stage().decodable(t)
	})
}

func TestOverBudgetThePictureIsSwitchedAndThePartyTold(t *testing.T) {
	composing(t, 0.01, func(a *atelier) {
		x := watcher("x", mode1)
		a.r.Subscribe(x)
		for i, id := range []string{"x", "y", "z"} {
			a.cams = append(a.cams, h264Camera(t, a.r, id, mode1, sps360, byte(i+1)))
		}
		a.cast("x", "y", "z")
		a.run(20 * time.Second)
		told := 0
		for _, e := range x.events {
			if n, ok := e.(core.Notice); ok && n.Code == core.PictureNotice {
				told++
			}
		}
		if on := x.stage().on(); on != 2 || told != 1 {
			t.Errorf("sees %d, told %d times", on, told)
		}
	})
}

func TestTheScreenIsLarge(t *testing.T) {
	composing(t, 8, func(a *atelier) {
		x, y := watcher("x", mode1), watcher("y", mode1)
		y.info.Content = y.info.Video
		a.r.Subscribe(x)
		a.r.Subscribe(y)
		screen := h264Camera(t, a.r, "z", mode1, sps360, 9)
		screen.sink = a.r.Publish(core.Track{Party: "z", Source: core.Screen, Codec: h264Codec(mode1)}, func(core.NeedKeyframe) { screen.asks++ })
		a.cams = []*roomSystem{screen, h264Camera(t, a.r, "x", mode1, sps360, 1), h264Camera(t, a.r, "y", mode1, sps360, 2)}
		a.cast("x", "y", "z")
		a.r.Layout(compose.Content)
		a.run(2 * time.Second)
		if _, who := a.paint().of(t, x); !reflect.DeepEqual(who, names("z: screen", "x", "y", "z")) {
			t.Errorf("without content: %v", who)
		}
		if _, who := a.paint().of(t, y); !reflect.DeepEqual(who, names("x", "y", "z")) {
			t.Errorf("with content: %v", who)
		}
	})
}

func TestSeatsStay(t *testing.T) {
	k := func(ids string) (list []sourceKey) {
		for _, c := range ids {
			list = append(list, sourceKey{string(c), core.Camera})
		}
		return list
	}
	for _, c := range []struct {
		old, who string
		large    bool
		want     string
	}{{"", "abc", false, "abc"}, {"abc", "bcd", false, "dbc"}, {"abc", "bc", false, "cb"}, {"abcd", "cabd", true, "cbad"}, {"abc", "cabd", true, "cbad"}, {"abc", "", true, ""}} {
		got := ""
		for _, s := range seat(k(c.old), k(c.who), c.large) {
			got += s.party
		}
		if got != c.want {
			t.Errorf("seat(%q, %q, %v) = %q, want %q", c.old, c.who, c.large, got, c.want)
		}
	}
}
