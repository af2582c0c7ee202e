package bfcp

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"testing"
	"time"
)

// end is one side of a call, with what it was told.
type end struct {
	*Session
	told []string
	out  []Message
	// timers are run by hand.
	timers []*timer
	yes    func(e *end) // what it does when asked
}

type timer struct {
	d    time.Duration
	f    func()
	over bool
}

func (e *end) Asked() {
	e.told = append(e.told, "asked")
	if e.yes != nil {
		e.yes(e)
	}
}
func (e *end) Theirs(on bool) {
	e.told = append(e.told, map[bool]string{true: "theirs", false: "theirs ends"}[on])
}
func (e *end) Ours(on bool) {
	e.told = append(e.told, map[bool]string{true: "ours", false: "ours not"}[on])
}
func (e *end) Gone() { e.told = append(e.told, "gone") }

func newEnd(server, datagrams bool) *end {
	e := &end{}
	e.Session = NewSession(Options{Server: server, Datagrams: datagrams, Conference: 7, User: 3, Floor: 1, On: e,
		Send: func(m Message) { e.out = append(e.out, m) },
		After: func(d time.Duration, f func()) func() {
			t := &timer{d: d, f: f}
			e.timers = append(e.timers, t)
			return func() { t.over = true }
		}})
	return e
}

// fire runs the timers that are set.
func (e *end) fire() {
	due := e.timers
	e.timers = nil
	for _, t := range due {
		if !t.over {
			t.f()
		}
	}
}

// pair joins two ends until neither has anything to say, by way of the wire.
type pair struct {
	t            *testing.T
	server, part *end
	lose         func(m Message) bool
}

func newPair(t *testing.T, datagrams bool) *pair {
	p := &pair{t: t, server: newEnd(true, datagrams), part: newEnd(false, datagrams)}
	p.server.yes = func(e *end) { e.Decide(true) }
	p.run()
	return p
}

func (p *pair) run() {
	p.t.Helper()
	for n := 0; len(p.server.out)+len(p.part.out) > 0; n++ {
		if n > 100 {
			p.t.Fatal("they never stop talking")
		}
		for _, x := range [][2]*end{{p.part, p.server}, {p.server, p.part}} {
			out := x[0].out
			x[0].out = nil
			for _, m := range out {
				got, err := Parse(m.Append(nil))
				if err != nil {
					p.t.Fatalf("%+v: %v", m, err)
				}
				if p.lose == nil || !p.lose(got) {
					x[1].Receive(got)
				}
			}
		}
	}
}

func (p *pair) want(server, part []string) {
	p.t.Helper()
	if !slices.Equal(p.server.told, server) || !slices.Equal(p.part.told, part) {
		p.t.Errorf("server was told %q, want %q; participant %q, want %q", p.server.told, server, p.part.told, part)
	}
	p.server.told, p.part.told = nil, nil
}

func TestFloorMoves(t *testing.T) {
	for _, datagrams := range []bool{false, true} {
		p := newPair(t, datagrams)
		p.want(nil, nil)
		p.part.Ask()
		p.run()
		p.want([]string{"asked", "theirs"}, []string{"ours"})
		p.part.Release()
		p.run()
		p.want([]string{"theirs ends"}, []string{"ours not"})
		p.server.Ask()
		p.run()
		p.want([]string{"ours"}, []string{"theirs"})
		p.part.Ask() // takes over
		p.run()
		p.want([]string{"asked", "ours not", "theirs"}, []string{"ours", "theirs ends"})
		p.server.Ask()
		p.run()
		p.want([]string{"ours not"}, nil)
		p.server.Revoke()
		p.run()
		p.want([]string{"theirs ends"}, []string{"ours not"})
		p.server.yes = func(e *end) { e.Decide(false) }
		p.part.Ask()
		p.run()
		p.want([]string{"asked"}, []string{"ours not"})
		p.server.Ask()
		p.server.Release()
		p.run()
		p.want([]string{"ours", "ours not"}, []string{"theirs", "theirs ends"})
	}
}

// Both ask at the same moment: one has the floor in the end, and both know who.
func TestBothAskAtOnce(t *testing.T) {
	p := newPair(t, true)
	p.server.Ask()
	p.part.Ask()
	p.run()
	if p.server.ours || !p.server.theirs || !p.part.ours || p.part.theirs {
		t.Errorf("server: ours %v theirs %v; participant: ours %v theirs %v", p.server.ours, p.server.theirs, p.part.ours, p.part.theirs)
	}
}

// Undecided, a wish can be taken back, and a grant that comes too late is given back.
func TestWishTakenBack(t *testing.T) {
	p := newPair(t, true)
	p.server.yes = nil
	p.part.Ask()
	p.run()
	p.part.Release()
	p.server.Decide(true)
	p.run()
	if p.server.theirs || p.part.ours {
		t.Error("somebody has the floor")
	}
}

func TestDatagramsAreSentAgain(t *testing.T) {
	p := newPair(t, true)
	for _, primitive := range []Primitive{FloorRequest, FloorRequestStatus, FloorStatus, FloorStatusAck} {
		lost := 0
		p.lose = func(m Message) bool {
			if m.Primitive == primitive && lost < 2 {
				lost++
				return true
			}
			return false
		}
		p.part.Ask()
		for range 4 {
			p.run()
			p.server.fire()
			p.part.fire()
		}
		p.run()
		if lost == 0 || !p.server.theirs || !p.part.ours {
			t.Errorf("primitive %d lost %d times: the floor was not granted", primitive, lost)
		}
		p.lose = nil
		p.part.Release()
		p.run()
	}
	p.server.told, p.part.told = nil, nil
	p.lose = func(Message) bool { return true }
	p.part.Ask()
	for range maxTries + 1 {
		p.run()
		p.part.fire()
	}
	p.want(nil, []string{"gone"})
}

func TestServerRefuses(t *testing.T) {
	s := newEnd(true, true)
	for _, c := range []struct {
		in   Message
		want uint8
	}{
		{Message{Conference: 8, User: 3, Primitive: Hello}, noConference},
		{Message{Conference: 7, User: 4, Primitive: Hello}, noUser},
		{Message{Conference: 7, User: 3, Primitive: FloorRequest, Floor: 9}, invalidFloor},
		{Message{Conference: 7, User: 3, Primitive: FloorRelease, Request: 5}, noRequest},
		{Message{Conference: 7, User: 3, Primitive: ChairAction}, unknownPrimitive},
	} {
		c.in.Version, c.in.Transaction = 2, s.next+10
		s.out = nil
		s.Receive(c.in)
		if len(s.out) != 1 || s.out[0].Primitive != ErrorMessage || s.out[0].Error != c.want || !s.out[0].Response {
			t.Errorf("%+v: answered %+v", c.in, s.out)
		}
		s.next++
	}
}

// FloorRequest as RFC 8855 lays it out, written by hand.
func TestWire(t *testing.T) {
	want := "20010001" + "00000007" + "0001" + "0003" + "05040001"
	m := Message{Version: 1, Primitive: FloorRequest, Conference: 7, Transaction: 1, User: 3, Floor: 1}
	if got := hex.EncodeToString(m.Append(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	status := Message{Version: 2, Response: true, Primitive: FloorRequestStatus, Conference: 7, Transaction: 1, User: 3,
		Status: &Report{Request: 5, Floor: 1, Status: Granted, Beneficiary: 3}}
	wire := status.Append(nil)
	wantStatus := "50040006" + "00000007" + "0001" + "0003" + "1f180005" + "25080005" + "0b040300" + "23080001" + "0b040300" + "1d040003"
	if got := hex.EncodeToString(wire); got != wantStatus {
		t.Errorf("%s, want %s", got, wantStatus)
	}
	got, err := Parse(wire)
	if err != nil || !reflect.DeepEqual(got, status) {
		t.Errorf("%+v %+v, %v", got, got.Status, err)
	}
	for n := range len(wire) {
		if _, err := Parse(wire[:n]); err == nil {
			t.Errorf("the first %d bytes are taken for a message", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add((&Message{Version: 2, Primitive: HelloAck, Conference: 7}).Append(nil))
	f.Add((&Message{Version: 1, Primitive: FloorStatus, Floor: 1, Status: &Report{Request: 1, Floor: 1, Status: Granted, Beneficiary: 2}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(m.Append(nil))
		if m.Primitive == ErrorMessage {
			return // says its code even where none came
		}
		if err != nil || !reflect.DeepEqual(again, m) && m.Status == nil {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
		for _, server := range []bool{true, false} {
			e := newEnd(server, bytes.Contains(b, []byte{2}))
			e.yes = func(e *end) { e.Decide(len(b)%2 == 0) }
			e.Receive(m)
			e.Ask()
			e.Receive(m)
			e.Release()
			e.Revoke()
		}
	})
}
