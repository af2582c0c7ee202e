package pstn

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ in, country, want string }{
		{"+1 (415) 555-2671", "", "+14155552671"},
		{"4155552671", "US", "+14155552671"},
		{"14155552671", "US", "+14155552671"},
		{"030 123456", "DE", "+4930123456"},
		{"004930123456", "", "+4930123456"},
		{"4930123456", "", "+4930123456"},
		{"tel:+44-20-7946-0018;phone-context=x", "", "+442079460018"},
		{"7001", "", ""}, {"", "US", ""}, {"alice", "US", ""}, {"+", "", ""}, {"+1;ext", "", ""},
		{strings.Repeat("1", 65), "US", ""}, {"+999999999999999999", "", ""},
	} {
		got, err := Normalize(c.in, c.country)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q in %q: %q, %v", c.in, c.country, got, err)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		f                  Format
		wire, e164, onWire string
	}{
		{Format{}, "+4930123456", "+4930123456", "+4930123456"},
		{Format{Country: "DE", Style: National}, "030123456", "+4930123456", "030123456"},
		{Format{Country: "US", Style: National}, "011498912345", "+498912345", "00498912345"},
		{Format{Country: "US", Style: Digits}, "14155552671", "+14155552671", "14155552671"},
		{Format{Style: International}, "0014155552671", "+14155552671", "0014155552671"},
		{Format{StripIn: 2, PrependIn: "+", Style: Digits, PrependOut: "99"}, "9914155552671", "+14155552671", "9914155552671"},
		{Format{Country: "US"}, "101", "101", "101"},
	} {
		if got := c.f.In(c.wire); got != c.e164 {
			t.Errorf("%+v reads %q as %q", c.f, c.wire, got)
		}
		if got := c.f.Out(c.e164); got != c.onWire {
			t.Errorf("%+v writes %q as %q", c.f, c.e164, got)
		}
	}
}

func TestCountryAndTarget(t *testing.T) {
	if Country("+4930123456") != "DE" || Country("+80012345678") != "001" || Country("x") != "" {
		t.Error(Country("+4930123456"), Country("+80012345678"), Country("x"))
	}
	for in, want := range map[string]Target{"reception": {"reception", ""}, "meeting:7001": {"meeting", "7001"}, "user:a@b": {"user", "a@b"}} {
		if got, err := ParseTarget(in); err != nil || got != want {
			t.Error(in, got, err)
		}
	}
	for _, in := range []string{"", "meeting:", "reception:x", "nowhere:1"} {
		if _, err := ParseTarget(in); err == nil {
			t.Errorf("%q passed", in)
		}
	}
	numbers := []Number{{Number: "+1", Trunk: "a", Label: "first"}, {Number: "+2"}}
	if n, ok := Find(numbers, "a", "+1"); !ok || n.Label != "first" {
		t.Error("own number not found")
	}
	if _, ok := Find(numbers, "b", "+1"); ok {
		t.Error("found over another trunk")
	}
	if _, ok := Find(numbers, "b", "+2"); !ok {
		t.Error("not found over any trunk")
	}
}

func TestCauses(t *testing.T) {
	for _, c := range causes {
		if c.Value < 1 || c.Value > 127 || c.Name == "" || c.Status < 400 {
			t.Errorf("%+v", c)
		}
	}
	for status, cause := range map[int]int{404: 1, 486: 17, 503: 41, 599: 41, 699: 21, 499: 31, 200: 0} {
		if got := CauseOfStatus(status); got != cause {
			t.Errorf("%d gives %d, want %d", status, got, cause)
		}
	}
	if c, ok := CauseNamed(CauseOf(core.Full)); !ok || c.Code != core.Busy || CauseOf("?") != 41 {
		t.Error("full is not busy")
	}
	if _, ok := CauseNamed(126); ok {
		t.Error("unknown cause found")
	}
}

// fakeLine answers with its error, and notes what it was asked.
type fakeLine struct {
	name  string
	err   error
	calls []string
	into  core.Room
}

func (l *fakeLine) Name() string { return l.name }
func (l *fakeLine) Dial(_ context.Context, number, from string, into core.Room) (core.Leg, error) {
	l.calls = append(l.calls, number+" from "+from)
	l.into = into
	return nil, l.err
}

func edgeWith(t *testing.T, r Rules, lines ...*fakeLine) *Edge {
	t.Helper()
	e := New(Options{Log: slog.New(slog.DiscardHandler), Lines: func(name string) (Line, bool) {
		for _, l := range lines {
			if l.name == name {
				return l, true
			}
		}
		return nil, false
	}})
	if err := e.SetRules(r); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestDial(t *testing.T) {
	routes := []Route{{Line: "second", Priority: 2, From: "+4930999"}, {Line: "first", Priority: 1, From: "+4930111"}, {Line: "us", Prefixes: []string{"+1"}}, {Line: "gone"}}
	for _, c := range []struct {
		name   string
		err    error
		to     string
		code   core.Code
		second int
	}{
		{"first takes it", nil, "tel:030 123456", core.Normal, 0},
		{"first is dead", core.Reason{Code: core.Unreachable}, "+4930123456", core.Normal, 1},
		{"first is full", core.Reason{Code: core.Overload}, "+4930123456", core.Normal, 1},
		{"busy", core.Reason{Code: core.Busy}, "+4930123456", core.Busy, 0},
		{"declined", core.Reason{Code: core.Declined}, "+4930123456", core.Declined, 0},
		{"no answer", core.Reason{Code: core.NoAnswer}, "+4930123456", core.NoAnswer, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			first, second := &fakeLine{name: "first", err: c.err}, &fakeLine{name: "second"}
			e := edgeWith(t, Rules{Country: "DE", Allowed: []string{"de"}, Routes: routes, Numbers: []Number{{Number: "+4930777"}}}, first, second)
			_, err := e.DialFrom(context.Background(), c.to, "+4930777", nil)
			if got := core.ReasonOf(err).Code; got != c.code || len(first.calls) != 1 || len(second.calls) != c.second {
				t.Errorf("%s: %v, %v, %v", c.name, err, first.calls, second.calls)
			}
			if first.calls[0] != "+4930123456 from +4930777" {
				t.Error(first.calls)
			}
			time.Sleep(2 * penaltyTime)
			e.DialFrom(context.Background(), c.to, "+1900", nil) // not ours to show
			if first.calls[1] != "+4930123456 from +4930111" {
				t.Error(first.calls)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	line := &fakeLine{name: "l"}
	none := edgeWith(t, Rules{Routes: []Route{{Line: "l"}}}, line)
	some := edgeWith(t, Rules{Allowed: []string{"DE", "GB"}, Routes: []Route{{Line: "l"}}}, line)
	for _, c := range []struct {
		e    *Edge
		to   string
		code core.Code
	}{
		{none, "+4930123456", core.Forbidden}, // no country by default
		{some, "+14155552671", core.Forbidden},
		{some, "+882161234567", core.Forbidden}, // satellite
		{some, "+499001234567", core.Forbidden},
		{some, "110", core.NotFound}, // no emergency calls from a meeting
		{some, "tel:nobody", core.NotFound},
	} {
		if _, err := c.e.Dial(context.Background(), c.to, nil); core.ReasonOf(err).Code != c.code {
			t.Errorf("%s: %v", c.to, err)
		}
	}
	if len(line.calls) != 0 {
		t.Error(line.calls)
	}
	if err := none.SetRules(Rules{Allowed: []string{"XX"}}); err == nil {
		t.Error("no such country")
	}
	if err := none.SetRules(Rules{Routes: []Route{{Prefixes: []string{"49"}}}}); err == nil {
		t.Error("prefix without plus")
	}
}

func TestRateAndWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &fakeLine{name: "l"}
		e := edgeWith(t, Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "l", CallsPerSecond: 2}}}, line)
		for range 10 {
			e.Dial(context.Background(), "+4930123456", nil)
		}
		if len(line.calls) != 2 {
			t.Errorf("%d calls in no time", len(line.calls))
		}
		time.Sleep(time.Second)
		if _, err := e.Dial(context.Background(), "+4930123456", nil); err != nil {
			t.Error(err)
		}
	})
	n := 0
	for range 1000 {
		if New(Options{}).order([]Route{{Line: "a", Weight: 9}, {Line: "b"}}, "+1")[0].Line == "a" {
			n++
		}
	}
	if n < 840 || n > 960 {
		t.Errorf("the heavy one came first %d of 1000 times", n)
	}
}

type fakeLeg struct {
	core.Leg
	why atomic.Pointer[core.Reason]
}

func (l *fakeLeg) Hangup(r core.Reason) { l.why.Store(&r) }

type fakeRoom struct{ joined int }

func (r *fakeRoom) Name() string                         { return "r" }
func (r *fakeRoom) Join(context.Context, core.Leg) error { r.joined++; return nil }

// Calls of a line whose minutes are used up end, and no new ones begin.
func TestMinutesOfADayAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, r, leg := &fakeLine{name: "l"}, &fakeRoom{}, &fakeLeg{}
		begun := time.Now()
		left := func() time.Duration { return time.Hour - time.Since(begun) }
		e := edgeWith(t, Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "l", Left: left}}}, line)
		e.Dial(context.Background(), "+4930123456", r)
		line.into.Join(context.Background(), leg)
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if leg.why.Load() != nil || r.joined != 1 {
			t.Fatal("ended early")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if why := leg.why.Load(); why == nil || why.Code != core.Ended {
			t.Error("not ended")
		}
		if _, err := e.Dial(context.Background(), "+4930123456", r); core.ReasonOf(err).Code != core.Overload || len(line.calls) != 1 {
			t.Errorf("%v, %v", err, line.calls)
		}
	})
}

func FuzzNormalize(f *testing.F) {
	f.Add("+1 415 555 2671", "US")
	f.Add("tel:00", "DE")
	f.Fuzz(func(t *testing.T, number, country string) {
		out, err := Normalize(number, country)
		if err == nil && (!strings.HasPrefix(out, "+") || strings.Trim(out[1:], "0123456789") != "") {
			t.Errorf("%q became %q", number, out)
		}
	})
}
