package pstn

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
)

// lines of the routes in the order in which they are tried.
func lines(list []Route) string {
	var names []string
	for _, rt := range list {
		names = append(names, rt.Line)
	}
	return strings.Join(names, " ")
}

func TestCheapestLineOfAPriorityComesFirst(t *testing.T) {
	routes := []Route{
		{Line: "spare", Priority: 9},
		{Line: "unknown"},
		{Line: "world", Rates: map[string]float64{"+": 5, "+49": 2, "+4915": 20}},
		{Line: "german", Prefixes: []string{"+49"}, Rates: map[string]float64{"+49": 3}},
	}
	for number, want := range map[string]string{
		"+4930123456":    "world german unknown spare",
		"+4915112345678": "german world unknown spare",
		"+14155552671":   "world unknown spare",
	} {
		if got := lines(New(Options{}).order(serving(routes, number), number)); got != want {
			t.Errorf("%s goes by %s, want %s", number, got, want)
		}
	}
	for _, bad := range []map[string]float64{{"49": 1}, {"+4x": 1}, {"+49": -1}} {
		if New(Options{}).SetRules(Rules{Routes: []Route{{Line: "l", Rates: bad}}}) == nil {
			t.Errorf("rates %v passed", bad)
		}
	}
}

// spared is a refusal that asks for no more calls for a while.
type spared struct{ core.Reason }

func (spared) RetryAfter() time.Duration { return 10 * time.Second }
func (s spared) Unwrap() error           { return s.Reason }

func TestFailedLinesComeLastForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &fakeLine{name: "first", err: core.Reason{Code: core.Unreachable}}, &fakeLine{name: "second"}
		e := edgeWith(t, Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "first", Priority: 1}, {Line: "second", Priority: 2}}}, first, second)
		dial := func(want error, firsts, seconds int) {
			t.Helper()
			_, err := e.Dial(context.Background(), "+4930123456", nil)
			if (err == nil) != (want == nil) || want != nil && core.ReasonOf(err).Code != core.ReasonOf(want).Code || len(first.calls) != firsts || len(second.calls) != seconds {
				t.Errorf("%v, %v, %v", err, first.calls, second.calls)
			}
		}
		dial(nil, 1, 1)
		dial(nil, 1, 2) // the first is not waited for again
		time.Sleep(penaltyTime + time.Second)
		first.err = core.Reason{Code: core.Failure} // one number's fault, it may be
		dial(nil, 2, 3)
		dial(nil, 3, 4)
		first.err, second.err = spared{core.Reason{Code: core.Overload}}, spared{core.Reason{Code: core.Overload}}
		dial(first.err, 4, 5)
		dial(first.err, 4, 5) // both are spared
		time.Sleep(11 * time.Second)
		first.err = nil
		dial(nil, 5, 5)
	})
}

// ringing is a line whose calls ring and are then told to have failed.
type ringing struct {
	fakeLine
	then []core.Code // of one call after another; core.Normal: it goes on ringing
}

func (l *ringing) Dial(ctx context.Context, number, from string, into core.Room) (core.Leg, error) {
	if _, err := l.fakeLine.Dial(ctx, number, from, into); err != nil {
		return nil, err
	}
	code := l.then[0]
	l.then = l.then[1:]
	if code != core.Normal {
		go into.(core.Watcher).Failed(&fakeLeg{}, core.Reason{Code: code})
	}
	return &fakeLeg{}, nil
}

type watchingRoom struct {
	fakeRoom
	failed []core.Code
}

func (*watchingRoom) Ringing(core.Leg)                     {}
func (r *watchingRoom) Failed(_ core.Leg, why core.Reason) { r.failed = append(r.failed, why.Code) }

// A line that dies while the telephone rings is tried once more, for another
// server of its own, and then the next.
func TestLineDiesWhileItRings(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []core.Code
		told          []core.Code
	}{
		{"another server takes it", []core.Code{core.Unreachable, core.Normal}, nil, nil},
		{"the next line takes it", []core.Code{core.Unreachable, core.Unreachable}, []core.Code{core.Normal}, nil},
		{"none takes it", []core.Code{core.Unreachable, core.Unreachable}, []core.Code{core.Unreachable, core.Unreachable}, []core.Code{core.Unreachable}},
		{"busy", []core.Code{core.Busy}, nil, []core.Code{core.Busy}},
		{"declined by the next", []core.Code{core.Unreachable, core.Unreachable}, []core.Code{core.Declined}, []core.Code{core.Declined}},
		{"not answered", []core.Code{core.NoAnswer}, nil, []core.Code{core.NoAnswer}},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := &ringing{fakeLine: fakeLine{name: "a"}, then: c.first}, &ringing{fakeLine: fakeLine{name: "b"}, then: c.second}
			e := New(Options{Lines: func(name string) (Line, bool) {
				return map[string]Line{"a": a, "b": b}[name], true
			}})
			if err := e.SetRules(Rules{Allowed: []string{"DE"}, Routes: []Route{{Line: "a"}, {Line: "b", Priority: 1}}}); err != nil {
				t.Fatal(err)
			}
			r := &watchingRoom{}
			if _, err := e.Dial(context.Background(), "+4930123456", r); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(a.then)+len(b.then) != 0 || len(r.failed) != len(c.told) || len(c.told) > 0 && r.failed[0] != c.told[0] {
				t.Errorf("%s: left %v and %v, told %v, want %v", c.name, a.then, b.then, r.failed, c.told)
			}
		})
	}
}
