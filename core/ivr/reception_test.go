package ivr

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/coretest"
)

// room notes who joins it.
type room struct {
	mu     sync.Mutex
	joined []core.Leg
	refuse error
}

func (r *room) Name() string { return "room" }
func (r *room) Join(_ context.Context, l core.Leg) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == nil {
		r.joined = append(r.joined, l)
	}
	return r.refuse
}

// desk has a reception whose meeting 7001 has the passcode 1234, and whose
// meeting 7002 has none.
func desk(t *testing.T, to *room) (*Reception, func()) {
	voice, err := NewVoice("en", "")
	if err != nil {
		t.Fatal(err)
	}
	c := clock.New(nil)
	ctx, stop := context.WithCancel(t.Context())
	go c.RunBy(ctx, coretest.NewBubble())
	return &Reception{Desk: Desk{Clock: c, Voice: voice}, Enter: func(_ context.Context, number, passcode string, _ core.Info) (core.Room, error) {
		switch {
		case number == "7002", number == "7001" && passcode == "1234":
			return to, nil
		case number == "7001":
			return nil, core.Reason{Code: core.WrongPasscode}
		}
		return nil, core.Reason{Code: core.NotFound}
	}}, stop
}

// visit has a caller come to the reception and type.
func visit(t *testing.T, number string, refuse error, f func(l *coretest.Leg, to *room)) {
	synctest.Test(t, func(t *testing.T) {
		to := &room{refuse: refuse}
		r, stop := desk(t, to)
		r.Number = number
		l := coretest.New(0, nil)
		if err := r.Join(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		f(l, to)
		l.Hangup(core.Reason{Code: core.Normal})
		time.Sleep(time.Second)
		stop()
		synctest.Wait()
	})
}

func press(l *coretest.Leg, keys string) {
	for _, k := range strings.Split(keys, "") {
		l.Press(k)
		time.Sleep(200 * time.Millisecond)
	}
}

func joined(to *room) int {
	to.mu.Lock()
	defer to.mu.Unlock()
	return len(to.joined)
}

func TestNumberAndPasscodeLeadToTheMeeting(t *testing.T) {
	for _, c := range []struct{ number, keys string }{
		{"", "7001#1234#"}, {"", "7002#"}, {"7001", "1234#"}, {"", "7001**1234#"}, {"", "9#7001#9#1234#"}, {"", "##7002#"},
	} {
		visit(t, c.number, nil, func(l *coretest.Leg, to *room) {
			press(l, c.keys)
			if joined(to) != 1 || l.Reason() != nil {
				t.Errorf("number %q, keys %s: joined %d, reason %v", c.number, c.keys, joined(to), l.Reason())
			}
		})
	}
}

func TestWhatIsTypedIsToldAndPasscodesAsDots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := desk(t, &room{})
		var told []string
		r.Typed = func(_ core.Leg, question, answer, via string) {
			told = append(told, question+" "+answer+" "+via)
		}
		l := coretest.New(0, nil)
		_ = r.Join(t.Context(), l)
		time.Sleep(500 * time.Millisecond)
		press(l, "70#7001**5#12#")
		time.Sleep(20 * time.Second)
		stop()
		synctest.Wait()
		want := []string{"enter-number 7", "enter-number 70", "enter-number 7", "enter-number 70", "enter-number 700", "enter-number 7001", "enter-number 7001*",
			"enter-number 7001**", "enter-number 7001**●", "enter-passcode ●", "enter-passcode ●●"}
		for i := range want {
			want[i] += " rfc4733"
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestThreeWrongAnswersEndTheCall(t *testing.T) {
	for _, keys := range []string{"7001#1#2#3#", "1#2#3#", "1#7001#5#6#"} {
		visit(t, "", nil, func(l *coretest.Leg, to *room) {
			press(l, keys)
			time.Sleep(20 * time.Second) // the prompt is spoken
			if joined(to) != 0 || l.Reason() == nil {
				t.Fatalf("keys %s: joined %d, reason %v", keys, joined(to), l.Reason())
			}
		})
	}
}

func TestWrongPasscodeInTheAddressCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := desk(t, &room{})
		r.Number, r.Wrong = "7001", 1
		l := coretest.New(0, nil)
		_ = r.Join(t.Context(), l)
		time.Sleep(500 * time.Millisecond)
		press(l, "1#2#")
		time.Sleep(20 * time.Second)
		if why := l.Reason(); why == nil || why.Code != core.WrongPasscode {
			t.Errorf("after two more wrong passcodes: %v", why)
		}
		stop()
		synctest.Wait()
	})
}

func TestPromptIsSpokenAndAKeyInterruptsIt(t *testing.T) {
	visit(t, "", nil, func(l *coretest.Leg, _ *room) {
		time.Sleep(500 * time.Millisecond)
		if l.Heard() > 45 {
			t.Fatalf("nothing is spoken: -%d dBov", l.Heard())
		}
		press(l, "7")
		l.Forget()
		time.Sleep(time.Second)
		if l.Heard() < 70 {
			t.Errorf("the prompt goes on after a key: -%d dBov", l.Heard())
		}
	})
}

func TestEntryEndsByItselfAfterAPause(t *testing.T) {
	visit(t, "", nil, func(l *coretest.Leg, to *room) {
		press(l, "7002")
		time.Sleep(nextKey + time.Second)
		if joined(to) != 1 {
			t.Error("the entry without # did not end")
		}
	})
}

func TestSilentCallerIsAskedThreeTimesThenLetGo(t *testing.T) {
	visit(t, "", nil, func(l *coretest.Leg, _ *room) {
		time.Sleep(25 * time.Second)
		if l.Reason() != nil {
			t.Fatal("let go after the first question")
		}
		time.Sleep(time.Minute)
		if r := l.Reason(); r == nil || r.Code != core.NoAnswer {
			t.Errorf("reason %v", r)
		}
	})
}

func TestRefusalOfTheMeetingIsSpokenThenEndsTheCall(t *testing.T) {
	visit(t, "", core.Reason{Code: core.Full}, func(l *coretest.Leg, _ *room) {
		press(l, "7002")
		l.Press("#")
		l.Forget()
		time.Sleep(10 * time.Second)
		if r := l.Reason(); r == nil || r.Code != core.Full || l.Heard() > 50 {
			t.Errorf("reason %v, heard -%d dBov", r, l.Heard())
		}
	})
}

func TestRefusalIsEarlyMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := desk(t, &room{})
		l := coretest.New(0, nil)
		_ = (&Refusal{Desk: r.Desk, Reason: core.Reason{Code: core.Locked}}).Join(t.Context(), l)
		time.Sleep(10 * time.Second)
		for _, e := range l.Told() {
			if _, ok := e.(core.Answer); ok {
				t.Error("the call was answered")
			}
		}
		if got := l.Reason(); got == nil || got.Code != core.Locked || l.Heard() > 50 {
			t.Errorf("reason %v, heard -%d dBov", got, l.Heard())
		}
		stop()
		synctest.Wait()
	})
}

func TestCallersDoNotHearOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := desk(t, &room{})
		inband := func(i *core.Info) { i.InbandDigits = true }
		a, b := coretest.New(440, inband), coretest.New(700, inband)
		_ = r.Join(t.Context(), a)
		_ = r.Join(t.Context(), b)
		for range 200 {
			time.Sleep(20 * time.Millisecond)
			a.Speak(nil)
			b.Speak(nil)
		}
		if x, y := a.Hears(440, 700), b.Hears(440, 700); x[1] > -45 || y[0] > -45 || x[0] > -45 || y[1] > -45 {
			t.Errorf("a hears %v, b hears %v", x, y)
		}
		a.Hangup(core.Reason{})
		b.Hangup(core.Reason{})
		time.Sleep(time.Second)
		stop()
		synctest.Wait()
	})
}

func TestCallersHearThemselvesAtTheEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		voice, err := NewVoice("en", "")
		if err != nil {
			t.Fatal(err)
		}
		c := clock.New(nil)
		ctx, stop := context.WithCancel(t.Context())
		go c.RunBy(ctx, coretest.NewBubble())
		l := coretest.New(700, nil)
		if err := (&Echo{Desk: Desk{Clock: c, Voice: voice}}).Join(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			l.Speak(nil)
			time.Sleep(clock.Frame)
		}
		if h := l.Hears(700, 1200); h[0] < -24 || h[1] > -50 {
			t.Errorf("hears itself at %.0f dBov, %.0f of nothing", h[0], h[1])
		}
		time.Sleep(echoFor)
		synctest.Wait()
		if l.Reason() == nil {
			t.Error("it goes on for ever")
		}
		stop()
		synctest.Wait()
	})
}
