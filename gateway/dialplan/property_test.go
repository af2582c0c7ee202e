package dialplan

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// writer writes dial plans as nobody should, past all checks.
type writer struct{ *rand.Rand }

func (w writer) one(of ...string) string { return of[w.IntN(len(of))] }

// dialled are the numbers and addresses that plans and callers are about.
var dialled = []string{"", "7001", "7002", "7004**5555", "201", "room1", "echo", "9", "+4930123456", "004930123456", "+442079460018", "+15550100", "+15550102",
	"tel:+4930123456", "sip:+4930123456@carrier.example.net", "trunk", "trunk:carrier", "tel:+4930123456@local", "ann@example.org", "+15550300", "+15550301", "+15550302", "+15550304", "TEL:+4930123456", " tel:+4930123456"}

func (w writer) rule() *rule {
	r := store.Rule{RuleSettings: store.RuleSettings{
		Name: "rule", Enabled: w.IntN(8) > 0, Direction: w.one("in", "out", ""),
		Source: w.one("any", "trunk", "trunk:carrier", "stranger", "device", "account", ""), Class: w.one("any", "stranger", "member", "superuser", "administrator", ""),
		Pattern: w.one("+", "0", "7", "s", `^.*$`, `^(.*)$`, `^(\+?)(\d+)$`, `^7$|^.+$`, ""), Rewrite: w.one("", "", "+4930123456", "$1", "${1}7002", "tel:$1"),
		Strip: w.IntN(4), Prepend: w.one("", "", "+49", "tel:", "7002"),
		Target:    w.one("reception", "meeting", "meeting:7002", "meeting:7004", "user", "user:room1", "user:trunk:carrier", "trunk", "trunk:carrier", "trunk:spare", "refuse", "next", "next", "tel", "sip"),
		Countries: []string{"DE", "GB", "US"},
	}}
	c := compile(r)
	if c.checkPattern() == nil && (c.whole != nil || c.Rewrite == "") && w.IntN(4) > 0 {
		c.fault = nil // as if the other checks had let it pass
	}
	return c
}

func (w writer) table(s *store.Store) *Table {
	trunks, err := s.Trunks(context.Background())
	if err != nil {
		panic(err)
	}
	t := &Table{trunks: trunks, out: Telephone(Home{Country: "DE", Countries: []string{"DE", "GB"}}, trunks, nil)}
	for range w.IntN(12) {
		t.rules = append(t.rules, w.rule())
	}
	return t
}

func (w writer) call(proved bool) store.Attempt {
	a := store.Attempt{Direction: w.one("in", "out", ""), To: w.one(dialled...), From: w.one("", "+4930123456"), Class: w.one("", "stranger", "any", "none")}
	if w.IntN(2) == 0 {
		a.Trunk, a.Class = w.one("carrier", "spare", "other"), w.one("", "stranger", "device", "user", "administrator")
	}
	if proved {
		a.Trunk, a.Class = "", w.one("device", "user", "superuser", "administrator")
	}
	return a
}

// strangersStay decides about callers by one plan, and tells how many who have
// proved who they are reach a telephone.
func strangersStay(t testing.TB, s *store.Store, w writer) (out int) {
	t.Helper()
	plan := w.table(s)
	for range 20 {
		for _, known := range []bool{false, true} {
			call := w.call(known)
			d, err := plan.Decide(context.Background(), s, call)
			if err != nil {
				t.Fatal(err)
			}
			leaves := d.exit.To != "" || d.kind == toTrunk || d.Number != "" || len(d.Lines) > 0
			switch {
			case leaves && !known:
				t.Fatalf("a stranger reaches a telephone: %+v\n%s", call, d)
			case leaves:
				out++
			}
		}
	}
	return out
}

// astray keeps trunks, and numbers that lead where they must not.
func astray(t testing.TB, s *store.Store) *store.Store {
	t.Helper()
	ctx := context.Background()
	for i, name := range []string{"carrier", "spare"} {
		if _, err := s.AddTrunk(ctx, store.Trunk{Name: name, TrunkSettings: store.TrunkSettings{Host: name + ".example.net", Enabled: true, Priority: i}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, target := range []string{"trunk:carrier", "user:trunk:carrier", "tel:+4930123456", "next", "user:room1"} {
		n := store.Number{Number: fmt.Sprint("+1555030", i), Trunk: "carrier", Target: target, NoPasscode: true}
		if err := s.AddNumber(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// However the plan is written, nobody who has not proved who it is reaches a
// trunk, by no chain of rules; others do, by some of these plans.
func TestStrangersReachNoTrunkHoweverThePlanIsWritten(t *testing.T) {
	s := astray(t, newBench(t).store)
	out := 0
	for seed := range uint64(300) {
		out += strangersStay(t, s, writer{rand.New(rand.NewPCG(seed, 7))})
	}
	if out < 100 {
		t.Errorf("only %d calls of those who may have reached a telephone: these plans prove nothing", out)
	}
}

func FuzzStrangersReachNoTrunk(f *testing.F) {
	s, err := store.Open(f.Context(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	astray(f, s)
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, one, two uint64) {
		strangersStay(t, s, writer{rand.New(rand.NewPCG(one, two))})
	})
}

// exchange is a telephone network that counts who reaches it, and every other
// edge: none answers.
type exchange struct {
	mu     sync.Mutex
	called []string
}

func (e *exchange) Name() string                               { return "exchange" }
func (e *exchange) Serve(context.Context, core.Dialplan) error { return nil }
func (e *exchange) Dial(_ context.Context, to string, _ core.Room) (core.Leg, error) {
	return nil, core.Reason{Code: core.Unreachable}
}

func (e *exchange) Place(_ context.Context, q pstn.Request, _ core.Room) (core.Leg, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.called = append(e.called, q.To)
	return nil, core.Reason{Code: core.Unreachable}
}

func (e *exchange) calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.called)
}

// A whole call: a stranger dials anything, types anything at the reception, gets
// into a meeting with the host's passcode and has it call anything. No telephone
// rings; for a host who is signed in, it does.
func TestStrangersReachNoTrunkByReceptionAndMeeting(t *testing.T) {
	b := newBench(t)
	astray(t, b.store)
	network := &exchange{}
	b.Telephone(network)
	b.Dialer(network, "sip", "sips", "h323")
	known, err := b.store.AddUser(t.Context(), store.User{Email: "ann@example.org", Role: store.RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	w := writer{rand.New(rand.NewPCG(1, 2))}
	for i := range 60 {
		b.table.Store(w.table(b.store))
		leg := coretest.New(0, func(i *core.Info) {
			i.Source = info(core.SIP, fmt.Sprintf("192.0.2.%d", w.IntN(250))).Source
			if i.Phone = w.IntN(2) == 0; i.Phone {
				i.Protocol, i.Address = core.PSTN, fmt.Sprint("+4930", callers)
			}
		})
		call := core.Call{To: w.one(dialled...), Info: leg.Info()}
		if leg.Info().Phone {
			call.Trunk = w.one("carrier", "spare")
		}
		if room, err := b.Route(t.Context(), call); err == nil && room.Join(t.Context(), leg) == nil {
			for range w.IntN(30) {
				leg.Press(w.one("0", "1", "2", "4", "7", "9", "*", "#", "#", "7004#5555#"))
			}
		}
		leg.Hangup(core.Reason{Code: core.Normal})
		asHost(b, leg.Info(), "7004", w.one(dialled...))
		if reached := network.calls(); len(reached) > 0 {
			t.Fatalf("plan %d: a stranger reaches %v", i, reached)
		}
	}
	b.table.Store(&Table{out: b.table.Load().out})
	who := info(core.WebRTC, "192.0.2.1")
	who.User = known.ID
	asHost(b, who, "7004", "tel:+4930123456")
	if reached := network.calls(); len(reached) != 1 || reached[0] != "+4930123456" {
		t.Errorf("a host who is signed in reaches %v", reached)
	}
}

// asHost has a party call an address as host of a meeting, and waits for how
// that goes.
func asHost(b *bench, who core.Info, meeting, to string) {
	b.t.Helper()
	who.ID += " as host"
	m, _, err := b.Live.Open(b.t.Context(), meeting)
	if err != nil {
		b.t.Fatal(err)
	}
	host := coretest.New(0, func(i *core.Info) { *i = who })
	if err := m.Door(core.Host).Join(b.t.Context(), host); err != nil {
		b.t.Fatal(err)
	}
	host.Seat().Signal(core.Command{Verb: core.DialOut, Value: to})
	late := time.After(10 * time.Second)
	for {
		select {
		case e := <-host.Events():
			if n, is := e.(core.Notice); is && n.Code != core.PictureNotice {
				host.Hangup(core.Reason{Code: core.Normal})
				return
			}
		case <-late:
			b.t.Fatalf("nobody tells how the call to %s went", to)
		}
	}
}
