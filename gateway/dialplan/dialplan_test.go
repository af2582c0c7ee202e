package dialplan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/coretest"
	"bridgehead/core/ivr"
	"bridgehead/core/meet"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// bench is a plan with meetings, numbers and a device.
type bench struct {
	*Plan
	t     *testing.T
	store *store.Store
	book  *records.Book
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx := t.Context()
	s, err := store.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	voice, err := ivr.NewVoice("en", "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	book := records.New(s, log)
	writing, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { book.Run(writing) })
	t.Cleanup(func() { stop(); writer.Wait(); s.Close() })
	b := &bench{t: t, store: s, book: book}
	b.Plan = New(Options{Store: s, Clock: clock.New(log), Voice: voice, Guard: NewGuard(10, 30, time.Minute), Book: book, Notify: func(meet.Change) {}, Log: log})
	for _, m := range []store.Meeting{
		{Number: "7001", Kind: "permanent", Admission: "open", GuestPasscode: "1234", HostPasscode: "99999"},
		{Number: "7002", Kind: "permanent", Admission: "open"},
		{Number: "7003", Kind: "one-time", Admission: "open"},
		{Number: "7004", Kind: "permanent", Admission: "open", HostPasscode: "5555"},
	} {
		if _, err := s.AddMeeting(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []store.Number{
		{Number: "+15550100", Trunk: "carrier", Target: "reception"}, {Number: "+15550101", Trunk: "carrier", Target: "meeting:7001"},
		{Number: "+15550102", Trunk: "carrier", Target: "meeting:7002"}, {Number: "+15550103", Trunk: "carrier", Target: "user:nobody"},
	} {
		if err := s.AddNumber(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddDevice(ctx, store.Device{User: "room1", Password: "secret-enough", Extension: "201"}); err != nil {
		t.Fatal(err)
	}
	return b
}

var callers int

func info(p core.Protocol, source string) core.Info {
	callers++
	return core.Info{ID: fmt.Sprint("call-", callers), Protocol: p, Direction: core.In, Source: netip.MustParseAddr(source),
		Security: core.Security{Signalling: "tls", Media: "sdes-srtp"}, Audio: coretest.PCMU}
}

func (b *bench) route(c core.Call) (string, core.Code) {
	room, err := b.Route(b.t.Context(), c)
	if err != nil {
		return "", core.ReasonOf(err).Code
	}
	if code, ok := strings.CutPrefix(room.Name(), "refusal: "); ok {
		return "", core.Code(code)
	}
	return room.Name(), ""
}

func TestRoutes(t *testing.T) {
	b := newBench(t)
	device := info(core.SIP, "192.0.2.9")
	device.User = "room2"
	phone := info(core.PSTN, "198.51.100.1")
	phone.Phone, phone.Address = true, "+15550199"
	for _, c := range []struct {
		name string
		call core.Call
		room string
		code core.Code
	}{
		{"guest by address", core.Call{To: "7001**1234", Info: info(core.SIP, "192.0.2.1")}, "7001", ""},
		{"host by address", core.Call{To: "7001**99999", Info: info(core.SIP, "192.0.2.1")}, "7001", ""},
		{"passcode still to come", core.Call{To: "7001", Info: info(core.SIP, "192.0.2.1")}, "reception", ""},
		{"wrong passcode", core.Call{To: "7001**1", Info: info(core.SIP, "192.0.2.1")}, "reception", ""},
		{"no passcode needed", core.Call{To: "7002", Info: info(core.SIP, "192.0.2.1")}, "7002", ""},
		{"guests need none", core.Call{To: "7004", Info: info(core.SIP, "192.0.2.1")}, "7004", ""},
		{"passcode where none is", core.Call{To: "7002**77", Info: info(core.SIP, "192.0.2.1")}, "reception", ""},
		{"unknown number", core.Call{To: "4711", Info: info(core.SIP, "192.0.2.2")}, "reception", ""},
		{"no number", core.Call{To: "", Info: info(core.SIP, "192.0.2.2")}, "reception", ""},
		{"browser, passcode missing", core.Call{To: "7001", Info: info(core.WebRTC, "192.0.2.3")}, "", core.WrongPasscode},
		{"browser, unknown number", core.Call{To: "4711", Info: info(core.WebRTC, "192.0.2.3")}, "", core.NotFound},
		{"browser", core.Call{To: "7001**1234", Info: info(core.WebRTC, "192.0.2.3")}, "7001", ""},
		{"trunk to reception", core.Call{To: "+15550100", Trunk: "carrier", Info: phone}, "reception", ""},
		{"trunk to meeting with passcode", core.Call{To: "+15550101", Trunk: "carrier", Info: phone}, "reception", ""},
		{"trunk to meeting without", core.Call{To: "+15550102", Trunk: "carrier", Info: phone}, "7002", ""},
		{"trunk to nobody", core.Call{To: "+15550103", Trunk: "carrier", Info: phone}, "", core.Unreachable},
		{"trunk, unknown number", core.Call{To: "+15550199", Trunk: "carrier", Info: phone}, "", core.NotFound},
		{"trunk, another's number", core.Call{To: "+15550100", Trunk: "other", Info: phone}, "", core.NotFound},
		{"trunk, a meeting's number", core.Call{To: "7002", Trunk: "carrier", Info: phone}, "", core.NotFound},
		{"device calls device", core.Call{To: "201", Info: device}, "device room1", ""},
		{"stranger calls device", core.Call{To: "201", Info: info(core.SIP, "192.0.2.4")}, "reception", ""},
		{"stranger calls device by name", core.Call{To: "room1", Info: info(core.SIP, "192.0.2.4")}, "reception", ""},
	} {
		if room, code := b.route(c.call); room != c.room || code != c.code {
			t.Errorf("%s: led to %q, code %q; want %q, %q", c.name, room, code, c.room, c.code)
		}
	}
}

// A source that guesses on is refused, over calls and protocols; others and
// the right passcode from elsewhere are not.
func TestSourceThatGuessesIsRefused(t *testing.T) {
	b := newBench(t)
	for i := range 10 {
		p := []core.Protocol{core.WebRTC, core.SIP}[i%2]
		b.route(core.Call{To: fmt.Sprintf("7001**%d", i), Info: info(p, "192.0.2.66")})
	}
	for _, p := range []core.Protocol{core.WebRTC, core.SIP} {
		if _, code := b.route(core.Call{To: "7001**1234", Info: info(p, "192.0.2.66")}); code != core.Throttled {
			t.Errorf("%s from the guesser gives %q", p, code)
		}
	}
	if room, _ := b.route(core.Call{To: "7001**1234", Info: info(core.SIP, "192.0.2.67")}); room != "7001" {
		t.Errorf("another source is led to %q", room)
	}
}

func TestTriesAreForgottenAfterTheWindow(t *testing.T) {
	g := NewGuard(3, 5, time.Minute)
	now := time.Now()
	g.now = func() time.Time { return now }
	for range 3 {
		g.Wrong(Source(info(core.SIP, "2001:db8::1")), "")
	}
	if g.Allowed(Source(info(core.SIP, "2001:db8::2")), "") == nil {
		t.Error("the rest of the /64 may still guess")
	}
	if err := g.Allowed(Source(info(core.SIP, "2001:db8:1::1")), ""); err != nil {
		t.Errorf("another network: %v", err)
	}
	now = now.Add(time.Minute + time.Second)
	if err := g.Allowed(Source(info(core.SIP, "2001:db8::1")), ""); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// Meeting numbers and passcodes are throttled per source first, then per
// meeting; its owner, signed in, is not kept out by either.
func TestGuessesAtAMeetingAreThrottledPerSourceThenPerMeeting(t *testing.T) {
	b := newBench(t)
	owner, err := b.store.AddUser(t.Context(), store.User{Email: "owner@example.org", Role: store.RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.AddMeeting(t.Context(), store.Meeting{Number: "7009", Kind: "permanent", Admission: "open", GuestPasscode: "1234", Owner: owner.ID}); err != nil {
		t.Fatal(err)
	}
	source := func(n int) string { return fmt.Sprintf("192.0.2.%d", n) }
	try := func(to, from, user string) core.Code {
		i := info(core.WebRTC, from)
		i.User = user
		_, code := b.route(core.Call{To: to, Info: i})
		return code
	}
	for i := range 10 {
		try(fmt.Sprint("8", i), source(1), "") // numbers that are none
	}
	for from, want := range map[string]core.Code{source(1): core.Throttled, source(2): ""} {
		if got := try("7009**1234", from, ""); got != want {
			t.Errorf("numbers guessed from %s: a right passcode from %s gives %q, want %q", source(1), from, got, want)
		}
	}
	for i := range 30 {
		if got := try("7009**9999", source(10+i/5), ""); got != core.WrongPasscode {
			t.Fatalf("guess %d, within the limit of its source: %q", i, got)
		}
	}
	for _, c := range []struct {
		to, from, user string
		want           core.Code
	}{
		{"7009**1234", source(99), "", core.Throttled},
		{"7009**1234", source(10), "", core.Throttled},
		{"7002", source(10), "", ""}, // another meeting
		{"7009", source(99), owner.ID, ""},
		{"7009", source(1), owner.ID, ""},
		{"7009**1234", source(99), "another account", core.Throttled},
	} {
		if got := try(c.to, c.from, c.user); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// However many sources and targets there are, few are remembered, and those
// that are refused stay so.
func TestGuardIsBounded(t *testing.T) {
	g := NewGuard(3, 5, time.Minute)
	for range 5 {
		g.Wrong("guesser", "7001")
	}
	for i := range maxTracked + 10_000 {
		g.Wrong(fmt.Sprint("source ", i), fmt.Sprint("target ", i))
	}
	if n, m := len(g.sources.when), len(g.targets.when); n > maxTracked || m > maxTracked {
		t.Errorf("%d sources and %d targets are remembered", n, m)
	}
	if g.Allowed("guesser", "") == nil || g.Allowed("another", "7001") == nil {
		t.Error("a flood of others made the guesser forgotten")
	}
}

func TestRecordsHoldNoPasscode(t *testing.T) {
	b := newBench(t)
	b.route(core.Call{To: "7001**1234", Info: info(core.SIP, "192.0.2.1")})
	b.route(core.Call{To: "7001**4321", Info: info(core.WebRTC, "192.0.2.1")})
	for _, c := range b.book.Open() {
		if text := fmt.Sprintf("%+v", c); strings.Contains(text, "1234") || strings.Contains(text, "4321") {
			t.Errorf("the record holds the passcode: %s", text)
		}
	}
}

func (b *bench) waitForRecord(id string) store.Call {
	b.t.Helper()
	for range 500 {
		if c, err := b.store.Call(b.t.Context(), id); err == nil && c.Code != "" {
			return c
		}
		time.Sleep(2 * time.Millisecond) // another goroutine writes it
	}
	b.t.Fatalf("call %s has no record", id)
	return store.Call{}
}

func TestEveryEndIsRecorded(t *testing.T) {
	b := newBench(t)
	who := info(core.SIP, "192.0.2.1")
	leg := coretest.New(0, func(i *core.Info) { i.ID = who.ID })
	room, err := b.Route(t.Context(), core.Call{To: "7002", From: "sip:ann@example.org", Info: who})
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Join(t.Context(), leg); err != nil {
		t.Fatal(err)
	}
	leg.Hangup(core.Reason{Code: core.Normal})
	if c := b.waitForRecord(who.ID); c.Code != "normal" || c.Meeting != "7002" || c.From != "sip:ann@example.org" {
		t.Errorf("record %+v", c)
	}
	refused := info(core.WebRTC, "192.0.2.1")
	b.route(core.Call{To: "4711", Info: refused})
	if c := b.waitForRecord(refused.ID); c.Code != "not-found" {
		t.Errorf("record %+v", c)
	}
}

// Browsers are asked for a passcode: that leaves no record; each wrong answer does.
func TestWrongPasscodesOfBrowsersAreRecorded(t *testing.T) {
	b := newBench(t)
	asked, wrong := info(core.WebRTC, "192.0.2.1"), info(core.WebRTC, "192.0.2.1")
	b.route(core.Call{To: "7001", Info: asked})
	b.route(core.Call{To: "7001**4321", Info: wrong})
	if c := b.waitForRecord(wrong.ID); c.Code != string(core.WrongPasscode) {
		t.Errorf("record %+v", c)
	}
	if open := b.book.Open(); len(open) != 0 {
		t.Errorf("%d records stay open: %+v", len(open), open)
	}
	if c, err := b.book.Find(t.Context(), asked.ID); err == nil {
		t.Errorf("the question for the passcode is recorded: %+v", c)
	}
}

// A caller without a screen hears why, before the call ends with the reason.
func TestRefusalsOfTelephonesAreSpoken(t *testing.T) {
	b := newBench(t)
	leg := coretest.New(0, func(i *core.Info) { i.Protocol, i.Phone = core.PSTN, true })
	room, err := b.Route(t.Context(), core.Call{To: "+15550103", Trunk: "carrier", Info: leg.Info()})
	if err != nil {
		t.Fatalf("refused without a word: %v", err)
	}
	if err := room.Join(t.Context(), leg); err != nil {
		t.Fatal(err)
	}
	leg.Hangup(core.Reason{Code: core.Normal}) // nobody steps the clock: the prompt would never end
	if c := b.waitForRecord(leg.Info().ID); c.Code == "" || room.Name() != "refusal: unreachable" {
		t.Errorf("room %s, record %+v", room.Name(), c)
	}
}

func TestP28OneTimeMeetingIsGoneAfterItsEnd(t *testing.T) {
	b := newBench(t)
	leg := coretest.New(0, nil)
	room, err := b.Route(t.Context(), core.Call{To: "7003", Info: leg.Info()})
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Join(t.Context(), leg); err != nil {
		t.Fatal(err)
	}
	m := b.Live.Running("7003")
	m.End(core.Reason{Code: core.Ended})
	<-m.Done()
	for range 500 {
		if _, err := b.store.Meeting(t.Context(), "7003"); errors.Is(err, store.ErrNotFound) {
			if _, code := b.route(core.Call{To: "7003", Info: info(core.WebRTC, "192.0.2.1")}); code != core.NotFound {
				t.Errorf("it still leads somewhere: %q", code)
			}
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Error("the meeting is still kept")
}

// A call between two is over when one hangs up; once a third has come it is a
// meeting, which goes on.
func TestPairEndsUnlessItHasGrown(t *testing.T) {
	for _, third := range []bool{false, true} {
		b := newBench(t)
		m, _, err := b.Live.Open(t.Context(), "7002")
		if err != nil {
			t.Fatal(err)
		}
		b.Live.pair("7002")
		legs := []*coretest.Leg{coretest.New(0, nil), coretest.New(0, nil)}
		if third {
			legs = append(legs, coretest.New(0, nil))
		}
		for _, l := range legs {
			if err := m.Door(core.Guest).Join(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		legs[0].Hangup(core.Reason{Code: core.Normal})
		for range 100 {
			if legs[1].Reason() != nil {
				break
			}
			time.Sleep(2 * time.Millisecond) // another goroutine ends it
		}
		if ended := legs[1].Reason() != nil; ended == third {
			t.Errorf("with a third %v, the second was hung up on: %v", third, ended)
		}
		m.End(core.Reason{Code: core.Ended})
	}
}

func TestLongCallsAreEnded(t *testing.T) {
	b := newBench(t)
	m, _, err := b.Live.Open(t.Context(), "7002")
	if err != nil {
		t.Fatal(err)
	}
	l := coretest.New(0, nil)
	if err := m.Door(core.Guest).Join(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	b.Live.EndLong(time.Hour)
	if l.Reason() != nil {
		t.Fatal("ended within its time")
	}
	b.Live.EndLong(0)
	if r := l.Reason(); r == nil || r.Code != core.Ended || r.Say == "" {
		t.Errorf("reason %v", r)
	}
	m.End(core.Reason{Code: core.Ended})
}

// Over capacity some callers hear so; of a rush, most are only told by their
// signalling. Browsers read it.
func TestOverCapacityCallersAreTold(t *testing.T) {
	b := newBench(t)
	full := core.Reason{Code: core.Overload, Say: "All lines are busy."}
	b.Plan.opt.Admit = func() error { return full }
	call := func(p core.Protocol) (core.Room, *coretest.Leg, error) {
		leg := coretest.New(0, func(i *core.Info) { i.Protocol, i.Phone = p, p == core.PSTN })
		room, err := b.Route(t.Context(), core.Call{To: "7001", Info: leg.Info()})
		return room, leg, err
	}
	if _, _, err := call(core.WebRTC); core.ReasonOf(err).Code != core.Overload {
		t.Errorf("a browser is told %v", err)
	}
	var legs []*coretest.Leg
	for i := range maxSpoken {
		room, leg, err := call(core.SIP)
		if err != nil {
			t.Fatalf("caller %d hears nothing: %v", i, err)
		}
		if err := room.Join(t.Context(), leg); err != nil {
			t.Fatal(err)
		}
		legs = append(legs, leg)
	}
	if _, _, err := call(core.SIP); core.ReasonOf(err).Code != core.Overload {
		t.Errorf("caller %d is spoken to: %v", maxSpoken+1, err)
	}
	for _, leg := range legs {
		leg.Hangup(core.Reason{Code: core.Normal})
	}
	for range 500 {
		if b.Plan.speaking.Load() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Plan.opt.Admit = nil
	if _, _, err := call(core.SIP); err != nil || b.Plan.speaking.Load() != 0 {
		t.Errorf("afterwards: %v, %d still spoken to", err, b.Plan.speaking.Load())
	}
}

// Who has made a meeting is its host by having signed in, even while the
// address it comes from is stopped for guessing.
func TestP42OwnersAreHosts(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	u, err := b.store.AddUser(ctx, store.User{Email: "owner@example.org", Role: store.RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.AddMeeting(ctx, store.Meeting{Number: "7100", Kind: "permanent", Admission: "accept", GuestPasscode: "1234", Owner: u.ID}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		_, _ = b.Route(ctx, core.Call{To: "7100**0000", Info: info(core.WebRTC, "192.0.2.7")})
	}
	for _, c := range []struct {
		protocol core.Protocol
		user     string
		host     bool
	}{{core.WebRTC, u.ID, true}, {core.WebRTC, "", false}, {core.WebRTC, "somebody else", false}, {core.SIP, u.ID, false}} {
		i := info(c.protocol, "192.0.2.7")
		i.User = c.user
		room, err := b.Route(ctx, core.Call{To: "7100", Info: i})
		if !c.host {
			if err == nil && room.Name() == "7100" {
				t.Errorf("%s %q was let in", c.protocol, c.user)
			}
			continue
		}
		if err != nil {
			t.Fatalf("the owner: %v", err)
		}
		leg := coretest.New(0, func(x *core.Info) { *x = i })
		if err := room.Join(ctx, leg); err != nil {
			t.Fatal(err)
		}
		if p := b.Live.Running("7100").Participants(); len(p) != 1 || p[0].Role != core.Host || p[0].State != core.Joined {
			t.Errorf("the owner is %+v", p)
		}
	}
}
