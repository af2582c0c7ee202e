package h323

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"bridgehead/core"
)

// way of calling, as the caller wants it.
type way struct {
	name   string
	dial   DialOptions
	legacy bool // the called side allows clear media
	media  string
	tls    bool
}

// ways are all modes that make a call. Over TLS, where encryption is required,
// H.245 does not leave the call signalling's connection: who wants it elsewhere
// has none, and with it no slow start.
func ways() (list []way) {
	for _, secure := range []bool{false, true} {
		for _, slow := range []bool{false, true} {
			for _, separate := range []bool{false, true} {
				for _, media := range []string{"h235", "plain caller", "legacy caller"} {
					if secure && separate && media == "h235" {
						continue
					}
					w := way{tls: secure, media: "h235", dial: DialOptions{Slow: slow, Separate: separate, Name: "Alice"}}
					switch media {
					case "plain caller":
						w.dial.Plain, w.dial.Clear, w.legacy, w.media = true, true, true, "clear"
					case "legacy caller": // both may go clear, and yet encrypt
						w.dial.Clear, w.legacy = true, true
					}
					w.name = fmt.Sprintf("tls=%v slow=%v separate=%v %s", secure, slow, separate, media)
					list = append(list, w)
				}
			}
		}
	}
	return list
}

func (w way) address(s *site) string {
	if w.tls {
		return s.secureAddress("7001")
	}
	return s.address("7001")
}

// Without H.245 there is yet a call, by fast connect alone.
func TestControlStaysInsideTLS(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	c := dial(t, a, b, b.secureAddress("7001"), DialOptions{Separate: true})
	speaks(c.a, b, c.b)
	speaks(c.b, a, c.a)
	if i := c.b.leg.Info(); i.Security.Media != "h235" {
		t.Errorf("security is %+v", i.Security)
	}
	for _, s := range []*site{a, b} {
		for _, e := range s.trace() {
			if e.Flow.Network != "tls" && e.Flow.Network != "" {
				t.Errorf("%s %s goes over %s", e.Kind, e.Text, e.Flow.Network)
			}
		}
	}
	c.hangup(c.b)
}

func TestTwoEdgesInEveryMode(t *testing.T) {
	noLeak(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			noLeak(t)
			a, b := newSite(t, Options{Legacy: w.legacy, Terminal: true}), newSite(t, Options{Legacy: w.legacy})
			c := dial(t, a, b, w.address(b), w.dial)
			c.talk()
			if r := receive(t, "the route", b.routed); r.To != "7001" || r.Info.Name != "Alice" || r.Info.Protocol != core.H323 {
				t.Errorf("the call is routed as %+v", r)
			}
			want := core.Security{Signalling: "clear", Media: w.media}
			if w.tls {
				want.Signalling = "tls"
			}
			if w.media == "h235" {
				want.Suite = "AES_256_CBC"
			}
			for _, s := range []*seat{c.a, c.b} {
				if i := s.leg.Info(); i.Security != want || i.Security.Encrypted() != (w.media == "h235") {
					t.Errorf("%s: security is %+v, want %+v", i.Direction, i.Security, want)
				}
			}
			c.hangup(c.a)
			back := dial(t, b, a, w.address(a), w.dial)
			back.talk()
			back.hangup(back.b)
		})
	}
}

func TestManyCalls(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	for i := range 20 {
		c := dial(t, a, b, b.address("7001"), DialOptions{Slow: i%2 == 0, Separate: i%3 == 0})
		speaks(c.a, b, c.b)
		c.hangup([]*seat{c.a, c.b}[i%2])
	}
	for range 5 {
		if _, err := a.DialWith(t.Context(), b.address("7001"), a.room, DialOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var here []*seat
	for range 5 {
		here = append(here, receive(t, "a caller", a.room.seats))
		receive(t, "a called side", b.room.seats)
	}
	if a.Calls() != 5 || b.Calls() != 5 {
		t.Errorf("%d and %d calls, want 5 at once", a.Calls(), b.Calls())
	}
	for _, s := range here {
		s.leg.Hangup(core.Reason{Code: core.Normal})
	}
	a.quiet()
	b.quiet()
	if n := b.Counters().Calls.Load(); n != 25 {
		t.Errorf("%d calls are counted, want 25", n)
	}
}

// A host that has been heard from where it said it would be shares a port with
// others when it says so again before our own is told.
func TestCallersShareAPort(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	port := func(s *seat) int { return s.leg.(*leg).audio.Load().session.Port() }
	first := dial(t, a, b, b.address("7001"), DialOptions{})
	first.talk()
	var ports []int
	calls := []*call{first}
	for range 2 * runtime.GOMAXPROCS(0) {
		c := dial(t, a, b, b.address("7001"), DialOptions{})
		c.talk()
		calls, ports = append(calls, c), append(ports, port(c.b))
	}
	slices.Sort(ports)
	if n := len(slices.Compact(ports)); n > runtime.GOMAXPROCS(0) || slices.Contains(ports, port(first.b)) {
		t.Errorf("ports %v, the first's %d", ports, port(first.b))
	}
	for _, c := range calls {
		c.talk()
		c.a.leg.Hangup(core.Reason{Code: core.Normal})
	}
	a.quiet()
	b.quiet()
}

func TestHoldAndBack(t *testing.T) {
	for _, opt := range []DialOptions{{}, {Slow: true}, {Slow: true, Separate: true}} {
		t.Run(fmt.Sprintf("slow=%v separate=%v", opt.Slow, opt.Separate), func(t *testing.T) {
			noLeak(t)
			a, b := newSite(t, Options{}), newSite(t, Options{})
			c := dial(t, a, b, b.address("7001"), opt)
			c.talk()
			caller := c.a.leg.(*leg)
			for range 2 {
				caller.box.Post(func() { caller.machine.Hold(true) })
				if !receive(t, "the hold", c.b.holds) {
					t.Error("the hold ends before it begins")
				}
				eventually(t, "nothing is sent to who holds", func() bool { return c.b.leg.Info().Audio.Name == "" })
				caller.box.Post(func() { caller.machine.Hold(false) })
				if receive(t, "the end of the hold", c.b.holds) {
					t.Error("the hold begins again")
				}
				c.talk()
			}
			c.hangup(c.b)
		})
	}
}

func TestShutdownHangsUp(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{}), newSite(t, Options{})
	c := dial(t, a, b, b.address("7001"), DialOptions{})
	b.cancel()
	if r := receive(t, "the called side's end", c.b.left); r.Code != core.Shutdown {
		t.Errorf("the called side ends with %v", r)
	}
	if r := receive(t, "the caller's end", c.a.left); r.Code != core.Normal {
		t.Errorf("the caller ends with %v", r)
	}
	receive(t, "the end of the edge", b.done)
	if r := fails(t, a, b.address("7001"), DialOptions{}); r.Code != core.Unreachable {
		t.Errorf("a call after the end fails with %v", r)
	}
}
