package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/compose/wire"

	"github.com/pion/rtp"
)

// fake is a worker of the tests: it says that it is well, makes a packet of each
// scene it is told of, and notes what it is sent.
type fake struct {
	t    *testing.T
	conn net.Conn

	mu      sync.Mutex
	dumb    bool
	scenes  []wire.Scene
	ended   []uint32
	packets []wire.Media
	keys    []uint32
	cpu     int64
}

func (f *fake) serve() {
	go f.beat()
	buf := make([]byte, wire.MaxFrame)
	for {
		k, body, err := wire.Read(f.conn, buf)
		if err != nil {
			return
		}
		f.mu.Lock()
		switch k {
		case wire.SetScene:
			s, err := wire.ParseScene(body)
			if err != nil {
				f.t.Error(err)
			}
			f.scenes = append(f.scenes, s)
			go f.say((&wire.Media{ID: s.ID, Codec: wire.H264, Marker: true, Payload: []byte{0x65}}).Append(nil))
		case wire.Packet:
			m, _ := wire.ParseMedia(body)
			m.Payload = append([]byte{}, m.Payload...)
			f.packets = append(f.packets, m)
		case wire.EndScene, wire.Keyframe:
			id, _ := wire.ParseID(body)
			if k == wire.Keyframe {
				f.keys = append(f.keys, id)
			} else {
				f.ended = append(f.ended, id)
			}
		}
		f.mu.Unlock()
	}
}

func (f *fake) beat() {
	for {
		f.mu.Lock()
		dumb, r := f.dumb, wire.Report{CPU: f.cpu}
		f.mu.Unlock()
		if !dumb {
			b, _ := wire.AppendJSON(nil, wire.Health, r)
			if !f.say(b) {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
		if dumb {
			return
		}
	}
}

func (f *fake) say(b []byte) bool {
	_, err := f.conn.Write(b)
	return err == nil
}

func (f *fake) count() (scenes, packets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.scenes), len(f.packets)
}

// bench runs a Composer with fake workers.
type bench struct {
	*Composer
	mu      sync.Mutex
	workers []*fake
	broken  bool // no worker can be started
}

func (b *bench) last() *fake {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.workers[len(b.workers)-1]
}

func (b *bench) started() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.workers)
}

func run(t *testing.T, cores float64, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{}
		b.Composer = New(Options{Cores: cores, Start: func() (io.ReadWriteCloser, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.broken {
				return nil, os.ErrNotExist
			}
			ours, theirs := net.Pipe()
			w := &fake{t: t, conn: theirs}
			b.workers = append(b.workers, w)
			go w.serve()
			return ours, nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		go b.Run(ctx)
		synctest.Wait()
		f(b)
		stop()
		b.last().conn.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// picture takes the packets of a scene.
type picture struct {
	mu  sync.Mutex
	got []core.Packet
}

func (p *picture) Write(k *core.Packet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, *k)
	return nil
}
func (p *picture) Close() error { return nil }
func (p *picture) packets() []core.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

func spec() wire.Scene {
	return wire.Scene{Width: 1280, Height: 720, Rate: 30, BitsPerSec: 1_500_000, Cells: []wire.Cell{{W: 640, H: 360}}}
}

func text(s string) wire.Scene {
	return wire.Scene{Width: 640, Height: 360, Rate: 15, BitsPerSec: 200_000, Title: s}
}

func TestADeadWorkerIsReplacedAndAllOpenedAnew(t *testing.T) {
	run(t, 8, func(b *bench) {
		asked := 0
		src := b.Source(func() { asked++ })
		var see picture
		v, err := b.Open(spec(), &see)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !v.Up() || len(see.packets()) != 1 {
			t.Fatalf("up %v, %d packets", v.Up(), len(see.packets()))
		}
		b.last().conn.Close()
		synctest.Wait()
		if v.Up() || b.Alive() {
			t.Fatal("the death is not seen")
		}
		_ = src.Sink("H264").Write(&core.Packet{Payload: []byte{1}}) // leads nowhere
		changed := spec()
		changed.Recording = true
		if err := v.Set(changed); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * firstWait)
		synctest.Wait()
		if !v.Up() || b.started() != 2 || asked != 1 {
			t.Fatalf("up %v, %d workers, asked for %d keyframes", v.Up(), b.started(), asked)
		}
		if s := b.last().scenes; len(s) != 1 || !s[0].Recording {
			t.Errorf("the new worker was told %+v", s)
		}
		got := see.packets()
		if len(got) != 2 || got[0].Header.SSRC == got[1].Header.SSRC || got[1].Header.SequenceNumber != got[0].Header.SequenceNumber+1 {
			t.Errorf("packets %+v", got)
		}
		if s := b.Stats(); s.Restarts != 1 || s.Scenes != 1 || s.Sources != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAHungWorkerIsReplaced(t *testing.T) {
	run(t, 8, func(b *bench) {
		time.Sleep(10 * time.Second)
		if b.started() != 1 {
			t.Fatalf("%d workers though all was well", b.started())
		}
		w := b.last()
		w.mu.Lock()
		w.dumb = true
		w.mu.Unlock()
		time.Sleep(hangs + time.Second)
		synctest.Wait()
		if b.started() != 2 || !b.Alive() {
			t.Errorf("%d workers, alive %v", b.started(), b.Alive())
		}
	})
}

func TestAWorkerThatBreaksAFrameIsReplaced(t *testing.T) {
	run(t, 8, func(b *bench) {
		b.last().say([]byte{0xff, 0xff, 0xff, 0xff, 1})
		time.Sleep(2 * firstWait)
		synctest.Wait()
		if b.started() != 2 {
			t.Errorf("%d workers", b.started())
		}
	})
}

func TestStartsAreSpacedOut(t *testing.T) {
	run(t, 8, func(b *bench) {
		for range 5 {
			b.last().conn.Close()
			time.Sleep(maxWait + time.Second)
			synctest.Wait()
		}
		b.mu.Lock()
		b.broken = true
		b.mu.Unlock()
		before := b.Stats().Restarts
		b.last().conn.Close()
		time.Sleep(10 * time.Minute)
		if n := b.Stats().Restarts - before; n < 50 || n > 65 {
			t.Errorf("%d tries in ten minutes", n)
		}
		b.mu.Lock()
		b.broken = false
		b.mu.Unlock()
		time.Sleep(maxWait)
		synctest.Wait()
		if !b.Alive() {
			t.Error("not started when it could be")
		}
	})
}

func TestNobodyWaitsForTheWorker(t *testing.T) {
	run(t, 8, func(b *bench) {
		w := b.last()
		w.mu.Lock() // it takes nothing more
		k := b.Source(func() {}).Sink("VP8")
		p := &core.Packet{Header: rtp.Header{SequenceNumber: 9}, Payload: make([]byte, 1200)}
		for range 2 * maxMedia / 1200 {
			_ = k.Write(p)
		}
		if n := b.Stats().Dropped; n < 1000 {
			t.Errorf("%d dropped", n)
		}
		w.mu.Unlock()
		synctest.Wait()
		_, packets := w.count()
		if packets < 1000 || w.packets[0].Codec != wire.VP8 || w.packets[0].Seq != 9 {
			t.Errorf("%d packets came through", packets)
		}
		if n := testing.AllocsPerRun(100, func() { _ = k.Write(p) }); n > 1 {
			t.Errorf("%v allocations a packet", n)
		}
	})
}

func TestTheBudgetIsKept(t *testing.T) {
	run(t, 1, func(b *bench) {
		var views []*View
		var err error
		for err == nil {
			var v *View
			if v, err = b.Open(spec(), &picture{}); err == nil {
				views = append(views, v)
			}
		}
		if !errors.Is(err, ErrBudget) || len(views) < 1 || len(views) > 6 {
			t.Fatalf("%d scenes, %v", len(views), err)
		}
		// They cost a fifth of what was thought: more fit.
		w := b.last()
		for range 100 {
			time.Sleep(200 * time.Millisecond)
			w.mu.Lock()
			w.cpu += int64(float64(200*time.Millisecond) * b.budget.sum / 5)
			w.mu.Unlock()
		}
		v, err := b.Open(spec(), &picture{})
		if err != nil {
			t.Fatalf("the estimate was not corrected: %v", err)
		}
		for _, v := range append(views, v) {
			v.Close()
			v.Close()
		}
		if b.budget.sum > 1e-9 || b.Stats().Scenes != 0 {
			t.Errorf("%+v after all were closed", b.Stats())
		}
	})
}

func TestWritingIsShared(t *testing.T) {
	run(t, 8, func(b *bench) {
		var one, two, other picture
		v, _ := b.Open(text("Please wait"), &one)
		w, _ := b.Open(text("Please wait"), &two)
		x, _ := b.Open(text("Welcome"), &other)
		synctest.Wait()
		if n, _ := b.last().count(); n != 2 {
			t.Fatalf("%d scenes for two texts", n)
		}
		// The second of them may have come after the scene's first packet.
		before := []int{len(one.packets()), len(two.packets()), len(other.packets())}
		b.last().say((&wire.Media{ID: b.last().scenes[0].ID, Codec: wire.H264, Payload: []byte{0x41}}).Append(nil))
		synctest.Wait()
		for i, p := range []*picture{&one, &two, &other} {
			if got, want := len(p.packets())-before[i], []int{1, 1, 0}[i]; got != want {
				t.Errorf("viewer %d got %d packets, want %d", i, got, want)
			}
		}
		v.Keyframe()
		v.Close()
		synctest.Wait()
		if len(b.last().ended) != 0 || len(b.last().keys) != 1 {
			t.Errorf("ended %v, keyframes %v", b.last().ended, b.last().keys)
		}
		w.Close()
		x.Close()
		synctest.Wait()
		if len(b.last().ended) != 2 {
			t.Errorf("ended %v", b.last().ended)
		}
	})
}

func FuzzTake(f *testing.F) {
	r, _ := json.Marshal(wire.Report{CPU: 1})
	f.Add(byte(wire.Health), r)
	f.Add(byte(wire.Packet), (&wire.Media{ID: 2, Payload: []byte{1}}).Append(nil)[5:])
	f.Add(byte(wire.Keyframe), []byte{0, 0, 0, 1})
	c := New(Options{Cores: 1})
	c.Source(func() {})
	if _, err := c.Open(spec(), core.Discard); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, k byte, body []byte) { _ = c.take(wire.Kind(k), body) })
}
