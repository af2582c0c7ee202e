//go:build e2e

package e2e

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// network stands between browsers and the gateway's media port, and loses
// packets both ways: what `tc netem` would do, without needing the kernel's
// help.
type network struct {
	t      testing.TB
	lose   atomic.Int64 // per mille
	conn   *net.UDPConn
	server *net.UDPAddr
	mu     sync.Mutex
	up     map[string]*net.UDPConn
	lost   atomic.Int64
}

// newNetwork listens on 127.0.0.2 at the port of the gateway on 127.0.0.1.
func newNetwork(t testing.TB, port int) *network {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, conn: c, server: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, up: map[string]*net.UDPConn{}}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(n.close)
	go n.outward()
	return n
}

func (n *network) close() {
	n.conn.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.up {
		c.Close()
	}
}

func (n *network) drop() bool {
	if rand.Int64N(1000) < n.lose.Load() {
		n.lost.Add(1)
		return true
	}
	return false
}

func (n *network) outward() {
	buf := make([]byte, 2048)
	for {
		k, from, err := n.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		if up := n.upstream(from); up != nil && !n.drop() {
			_, _ = up.Write(buf[:k])
		}
	}
}

// upstream is the way to the gateway for one browser.
func (n *network) upstream(from *net.UDPAddr) *net.UDPConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.up[from.String()]; c != nil {
		return c
	}
	c, err := net.DialUDP("udp4", nil, n.server)
	if err != nil {
		return nil
	}
	_ = c.SetReadBuffer(4 << 20)
	n.up[from.String()] = c
	go func() {
		buf := make([]byte, 2048)
		for {
			k, err := c.Read(buf)
			if err != nil {
				return
			}
			if !n.drop() {
				_, _ = n.conn.WriteToUDP(buf[:k], from)
			}
		}
	}()
	return c
}

// slot is what a browser receives in one place.
type slot struct {
	Kind, Source, Name              string
	Width, Height                   int
	FramesDecoded, PacketsReceived  int
	PacketsLost                     int
	ConcealedSamples, TotalReceived float64
}

// slots are what the browser receives.
func (b *browser) slots() []slot {
	b.d.t.Helper()
	var stats struct{ Slots []slot }
	b.eval("window.bridgehead.stats()", &stats)
	return stats.Slots
}

// camera gives what the browser receives of another's camera.
func (b *browser) camera(of string) (s slot) {
	b.d.t.Helper()
	for _, s := range b.slots() {
		if s.Kind == "video" && s.Source == "camera" && s.Name == of {
			return s
		}
	}
	return slot{}
}

// frames counts the pictures decoded within a time.
func (b *browser) frames(of string, within time.Duration) int {
	b.d.t.Helper()
	before := b.camera(of).FramesDecoded
	time.Sleep(within)
	return b.camera(of).FramesDecoded - before
}

func TestTwoBrowsersSeeEachOtherThroughLossAndRestart(t *testing.T) {
	media := freePort(t)
	at := "127.0.0.1:" + strconv.Itoa(media)
	g := serve(t, "--listen.webrtc", at, "--listen.webrtc_tcp", "", "--listen.turn", "", "--rtp.advertise", "127.0.0.2")
	wan := newNetwork(t, media)
	g.meeting(map[string]any{"number": "7001", "name": "Team"})
	d := newDriver(t)
	alice, bob := d.open("alice", 440, nil), d.open("bob", 1000, nil)
	alice.join(g, "7001", "Alice", "")
	bob.join(g, "7001", "Bob", "")
	both := func(what string, ok func(b *browser, other string) bool) {
		t.Helper()
		eventually(t, 40*time.Second, what, func() bool { return ok(alice, "Bob") && ok(bob, "Alice") })
	}
	both("each sees the other", func(b *browser, other string) bool { s := b.camera(other); return s.FramesDecoded > 20 && s.Width > 0 })

	// A larger picture brings a larger layer, a smaller one a smaller layer.
	eventually(t, 40*time.Second, "Bob gets a large layer of Alice", func() bool { return bob.camera("Alice").Width >= 640 })
	large := bob.camera("Alice").Width
	bob.do("resize", map[string]any{"width": 390, "height": 400})
	eventually(t, 30*time.Second, "Bob's small picture gets a small layer", func() bool { w := bob.camera("Alice").Width; return w > 0 && w < large })
	small := bob.camera("Alice").Width
	bob.do("resize", map[string]any{"width": 1280, "height": 800})
	eventually(t, 40*time.Second, "Bob's large picture gets a large layer again", func() bool { return bob.camera("Alice").Width > small })
	t.Logf("layers seen: %d, %d and %d wide", large, small, bob.camera("Alice").Width)

	for _, perMille := range []int64{20, 100} {
		wan.lose.Store(perMille)
		time.Sleep(3 * time.Second)
		atAlice, atBob := alice.frames("Bob", 6*time.Second), bob.frames("Alice", 6*time.Second)
		t.Logf("%.0f %% loss: Alice decoded %d, Bob %d pictures in 6 s", float64(perMille)/10, atAlice, atBob)
		if atAlice < 60 || atBob < 60 {
			t.Errorf("at %d per mille loss only %d and %d pictures in 6 s were decoded", perMille, atAlice, atBob)
		}
	}
	alice.mustHear([]float64{1000}, []float64{440})
	wan.lose.Store(0)

	// The network is gone for so long that the server gives the path up and
	// asks for an ICE restart; nobody leaves the meeting.
	wan.lose.Store(1000)
	time.Sleep(8 * time.Second)
	wan.lose.Store(0)
	both("pictures go on after the restart", func(b *browser, other string) bool { return b.frames(other, time.Second) > 5 })
	if n := len(g.participants("7001")); n != 2 {
		t.Errorf("%d participants after the restart, want the same 2", n)
	}
	alice.mustHear([]float64{1000}, []float64{440})

	// The signalling breaks: the call goes on and the page comes back to it.
	before := g.participants("7001")
	alice.do("eval", map[string]any{"script": "window.bridgehead.dropSocket(), 1"})
	time.Sleep(2 * time.Second)
	alice.click("Mute")
	eventually(t, 20*time.Second, "Alice is muted by her own hand, in the same place", func() bool {
		for _, p := range g.participants("7001") {
			if p.ID == before[0].ID && p.AudioMuted {
				return true
			}
		}
		return false
	})
}

func TestScreenShareBeginsAndEnds(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001", "name": "Team"})
	d := newDriver(t)
	alice, bob := d.open("alice", 440, nil), d.open("bob", 1000, nil)
	alice.join(g, "7001", "Alice", "")
	bob.join(g, "7001", "Bob", "")
	shares := func() (n int) {
		for _, p := range g.participants("7001") {
			for _, s := range p.Sources {
				if s == "screen" {
					n++
				}
			}
		}
		return n
	}
	g.waitFor("7001", "webrtc", "joined")
	alice.click("Share")
	eventually(t, 30*time.Second, "Alice shares her screen", func() bool { return shares() == 1 })
	eventually(t, 30*time.Second, "Bob sees Alice's screen", func() bool {
		var stats struct{ Slots []slot }
		bob.eval("window.bridgehead.stats()", &stats)
		for _, s := range stats.Slots {
			if s.Source == "screen" && s.Name == "Alice" && s.FramesDecoded > 0 {
				return true
			}
		}
		return false
	})
	alice.click("Stop sharing")
	eventually(t, 10*time.Second, "the share has ended", func() bool { return shares() == 0 })
	alice.click("Share")
	eventually(t, 30*time.Second, "Alice shares again", func() bool { return shares() == 1 })
}

func TestPageIsUsableByEverybody(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001", "name": "Team", "guest_passcode": "1234", "host_passcode": "99999"})
	d := newDriver(t)
	for _, view := range []struct {
		id     string
		width  int
		height int
		dark   bool
	}{{"wide", 1440, 900, false}, {"narrow", 390, 844, true}} {
		b := d.open(view.id, 440, map[string]any{"width": view.width, "height": view.height, "dark": view.dark})
		b.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/"})
		b.accessible("home")
		b.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/join/7001"})
		b.sees("Join meeting")
		b.accessible("before joining")
		b.join(g, "7001", view.id, "")
		b.sees("This meeting needs a passcode")
		b.accessible("passcode")
		b.pass("4321")
		b.sees("That passcode is wrong")
		b.pass("99999")
		g.waitFor("7001", "webrtc", "joined")
		b.sees("Leave")
		b.accessible("meeting")
		var wide bool
		b.eval("document.documentElement.scrollWidth > innerWidth", &wide)
		if wide {
			t.Errorf("%s: the meeting is wider than the screen", view.id)
		}
		b.click("Leave")
		b.sees("You have left the meeting")
		b.accessible("after leaving")
	}
}

// accessible fails on anything that axe finds.
func (b *browser) accessible(page string) {
	b.d.t.Helper()
	var violations []struct {
		ID, Impact, Help string
		Targets          []any
	}
	if err := unmarshal(b.do("axe", map[string]any{"timeout": 60000}), &violations); err != nil {
		b.d.t.Fatal(err)
	}
	for _, v := range violations {
		b.d.t.Errorf("%s, %s: axe: %s (%s): %s %v", b.id, page, v.ID, v.Impact, v.Help, v.Targets)
	}
}
