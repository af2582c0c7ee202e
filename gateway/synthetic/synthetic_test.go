package synthetic

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/coretest"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// line is a telephone network that leads each call to one end of it.
type line func(ctx context.Context, into core.Room) (core.Leg, error)

// answers is a line whose other side answers and says a tone, silence if it is 0
// Hz; then comes in, if in is set, and reaches the meeting once the keys are right.
func answers(book *records.Book, hz float64, in bool) line {
	return func(ctx context.Context, into core.Room) (core.Leg, error) {
		l := coretest.New(hz, nil)
		if err := into.Join(ctx, l); err != nil {
			return nil, err
		}
		came := core.Info{ID: "came", Protocol: core.PSTN, Direction: core.In}
		if in {
			book.Begin(core.Call{To: "+15550100", Info: came, Trunk: "line"})
		}
		go func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			keys := ""
			for {
				select {
				case <-l.Ended():
					if in {
						book.End(came, core.Reason{Code: core.Normal})
					}
					return
				case e := <-l.Events():
					if d, ok := e.(core.Digit); ok {
						if keys += string(d.Key); keys == "7009#4711#" && in {
							book.Enter("came", "7009")
						}
					}
				case <-tick.C:
					l.Speak(nil)
				}
			}
		}()
		return l, nil
	}
}

// attempt has one call placed over a line, without any store.
func attempt(t *testing.T, c store.SyntheticCaller, lead func(*records.Book) line) (r store.SyntheticCall, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		media := clock.New(nil)
		go media.RunBy(ctx, coretest.NewBubble())
		book := records.New(nil, slog.New(slog.DiscardHandler))
		to := lead(book)
		k := New(Options{Clock: media, Book: book, Call: func(ctx context.Context, _, _ string, into core.Room) (core.Leg, error) { return to(ctx, into) }})
		c.Number = "+15550100"
		try := &try{k: k, c: c, r: store.SyntheticCall{Number: c.Number, At: time.Now()}}
		if err := try.run(ctx); err != nil {
			try.r.Fault = err.Error()
		}
		r, took = try.r, time.Since(try.r.At)
		stop()
		synctest.Wait()
	})
	return r, took
}

func TestFaultsAreToldByTheStepThatFails(t *testing.T) {
	meeting := store.SyntheticCaller{Keys: "7009#,4711#", SyntheticSettings: store.SyntheticSettings{Meeting: "7009"}}
	wrong := meeting
	wrong.Keys = "7009#,9999#"
	silent := errors.New("dial udp: no route to host")
	for name, c := range map[string]struct {
		caller store.SyntheticCaller
		line   func(*records.Book) line
		want   string
	}{
		"no line": {meeting, func(*records.Book) line {
			return func(context.Context, core.Room) (core.Leg, error) { return nil, silent }
		}, "It could not be placed: failure. (dial udp: no route to host)"},
		"it rings": {meeting, func(*records.Book) line {
			return func(context.Context, core.Room) (core.Leg, error) { return coretest.New(0, nil), nil }
		}, "It was not answered."},
		"busy":      {meeting, func(*records.Book) line { return busy }, "It was not answered. The call was ended: busy."},
		"silence":   {meeting, func(b *records.Book) line { return answers(b, 0, false) }, "It was answered, but no greeting was heard."},
		"echo":      {meeting, func(b *records.Book) line { return answers(b, tone, false) }, "It was answered, but no greeting was heard."},
		"elsewhere": {meeting, func(b *records.Book) line { return answers(b, 440, false) }, "It was answered, but did not come in here"},
		"wrong":     {wrong, func(b *records.Book) line { return answers(b, 440, true) }, "It came in, but did not reach meeting 7009."},
		"no sound":  {meeting, func(b *records.Book) line { return answers(b, 440, true) }, "It reached the meeting, but its tone of -20 dBov came in at -127 dBov"},
		"greeting":  {store.SyntheticCaller{}, func(b *records.Book) line { return answers(b, 440, true) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, took := attempt(t, c.caller, c.line)
			if !strings.HasPrefix(r.Fault, c.want) || c.want == "" && r.Fault != "" {
				t.Errorf("fault %q, want %q", r.Fault, c.want)
			}
			if took > 75*time.Second {
				t.Errorf("it took %v", took)
			}
			if c.want == "" && (r.Came != "came" || r.Call == "" || r.MOS < 4) {
				t.Errorf("met %+v", r)
			}
		})
	}
}

// busy is a line on which the called party is.
func busy(_ context.Context, into core.Room) (core.Leg, error) {
	l := coretest.New(0, nil)
	go into.(core.Watcher).Failed(l, core.Reason{Code: core.Busy})
	return l, nil
}

func TestCallersAreDueByTheirOwnTime(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, noon := t.Context(), time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	if _, err := s.AddTrunk(ctx, store.Trunk{Name: "line"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []store.SyntheticCaller{
		{Number: "+1", SyntheticSettings: store.SyntheticSettings{Every: 15, Enabled: true}},
		{Number: "+2", SyntheticSettings: store.SyntheticSettings{Every: 60, Enabled: true}},
		{Number: "+3", SyntheticSettings: store.SyntheticSettings{Every: 15}},
	} {
		if err := errors.Join(s.AddNumber(ctx, store.Number{Number: c.Number, Trunk: "line"}), s.AddSyntheticCaller(ctx, c)); err != nil {
			t.Fatal(err)
		}
	}
	k := New(Options{Store: s})
	due := func(at time.Time, want string) {
		t.Helper()
		list, err := k.due(ctx, at)
		got := ""
		for _, c := range list {
			got += c.Number
		}
		if err != nil || got != want {
			t.Errorf("due at %v: %q, %v; want %q", at.Sub(noon), got, err, want)
		}
	}
	due(noon, "+1+2")
	for _, n := range []string{"+1", "+2", "+4"} {
		if err := s.AddSyntheticCall(ctx, store.SyntheticCall{Number: n, At: noon}); err != nil {
			t.Fatal(err)
		}
	}
	due(noon.Add(14*time.Minute), "")
	due(noon.Add(15*time.Minute), "+1")
	due(noon.Add(time.Hour), "+1+2")
	k.calling["+1"] = true
	due(noon.Add(time.Hour), "+2")
	k.calling["+5"], k.calling["+6"], k.calling["+7"] = true, true, true
	due(noon.Add(time.Hour), "")
}

// What changes is told; what stays as it was is not told again.
func TestNewsAreToldOnce(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	_, err1 := s.AddTrunk(ctx, store.Trunk{Name: "line"})
	if err := errors.Join(err1, s.AddNumber(ctx, store.Number{Number: "+1", Trunk: "line"}), s.AddSyntheticCaller(ctx, store.SyntheticCaller{Number: "+1", Keys: "7009#4711#"})); err != nil {
		t.Fatal(err)
	}
	told := ""
	k := New(Options{Store: s, Clock: clock.New(nil), Book: records.New(s, slog.New(slog.DiscardHandler)), Log: slog.New(slog.DiscardHandler),
		Call: func(context.Context, string, string, core.Room) (core.Leg, error) {
			return nil, core.Reason{Code: core.Unreachable, Say: "There is no line."}
		},
		Told: func(c store.SyntheticCall, news bool) {
			told += map[bool]string{true: "news ", false: "same "}[news]
			if text := Text(c); !strings.Contains(text, "There is no line.") || strings.Contains(text, "4711") {
				t.Errorf("the text: %s", text)
			}
		}})
	for range 3 {
		if c, err := k.Call(ctx, "+1"); err != nil || c.OK {
			t.Errorf("%+v, %v", c, err)
		}
	}
	if told != "news same same " {
		t.Errorf("told %q", told)
	}
	if list, err := s.SyntheticCalls(ctx, "+1", 10); err != nil || len(list) == 0 {
		t.Errorf("kept %v, %v", list, err)
	}
}
