package meet

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/clock"
	"bridgehead/core/coretest"
	"bridgehead/core/mix"
)

// bell speaks every prompt as a short tone of 3000 Hz, music as 2500 Hz.
type bell struct {
	mu    sync.Mutex
	asked []string
}

func tone(hz float64, d time.Duration) *mix.Clip {
	pcm := make([]int16, audio.Samples(d, 8000))
	audio.NewTone(8000, -20, hz).Read(pcm)
	return mix.NewClip(8000, pcm)
}

var prompt, music = tone(3000, 100*time.Millisecond), tone(2500, time.Second)

func (b *bell) Say(name string) []*mix.Clip {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, name)
	return []*mix.Clip{prompt}
}
func (b *bell) Count(int) []*mix.Clip      { return []*mix.Clip{prompt} }
func (b *bell) Spell(a string) []*mix.Clip { return b.Say("spell " + a) }
func (b *bell) Music() *mix.Clip           { return music }

func (b *bell) said(name string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.asked {
		if a == name {
			n++
		}
	}
	return n
}

// hall is a meeting whose clock is stepped by hand.
type hall struct {
	*Meeting
	t       *testing.T
	clock   *clock.Clock
	bell    *bell
	changes []Change
}

func newHall(t *testing.T, change func(*Options)) *hall {
	h := &hall{t: t, clock: clock.New(nil), bell: &bell{}}
	var mu sync.Mutex
	opt := Options{Settings: Settings{Number: "7001", Name: "Test", Admission: Open}, Clock: h.clock, Voice: h.bell,
		Notify: func(c Change) { mu.Lock(); h.changes = append(h.changes, c); mu.Unlock() }}
	if change != nil {
		change(&opt)
	}
	h.Meeting = New(opt)
	return h
}

// settle waits until the meeting has done all that was queued.
func (h *hall) settle() { h.do(func() {}); synctest.Wait() }

func (h *hall) join(role core.Role, leg *coretest.Leg) error {
	err := h.Door(role).Join(h.t.Context(), leg)
	h.settle()
	return err
}

func (h *hall) mustJoin(role core.Role, legs ...*coretest.Leg) {
	h.t.Helper()
	for _, l := range legs {
		if err := h.join(role, l); err != nil {
			h.t.Fatal(err)
		}
	}
}

// speak has the legs talk for a time.
func (h *hall) speak(d time.Duration, legs ...*coretest.Leg) {
	for range d / clock.Frame {
		for _, l := range legs {
			l.Speak(nil)
		}
		time.Sleep(clock.Frame) // of the bubble's time
		h.clock.StepAll(core.Now())
	}
	h.settle()
}

// run makes a test in a bubble of its own time.
func run(t *testing.T, change func(*Options), f func(h *hall)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, change)
		f(h)
		h.End(core.Reason{Code: core.Ended})
		<-h.Done()
	})
}

func clear(i *core.Info) {
	i.Security = core.Security{Signalling: "clear", Media: "clear"}
	i.Phone = true
}

func TestEachHearsTheOthersAndNotItself(t *testing.T) {
	run(t, nil, func(h *hall) {
		a, b, c := coretest.New(440, nil), coretest.New(700, nil), coretest.New(1200, clear)
		h.mustJoin(core.Guest, a, b, c)
		h.speak(2*time.Second, a, b, c) // announcements pass
		for _, l := range []*coretest.Leg{a, b, c} {
			l.Forget()
		}
		h.speak(time.Second, a, b, c)
		for i, l := range []*coretest.Leg{a, b, c} {
			for j, level := range l.Hears(440, 700, 1200) {
				if i == j && level > -50 {
					t.Errorf("leg %d hears itself at %.0f dBov", i, level)
				}
				if i != j && level < -24 {
					t.Errorf("leg %d hears leg %d at %.0f dBov only", i, j, level)
				}
			}
		}
	})
}

// The promise that all of admission rests on: nothing either way before
// acceptance, and no way around it.
func TestP30NoMediaBeforeAcceptance(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Accept }, func(h *hall) {
		host, guest := coretest.New(440, nil), coretest.New(700, clear)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		waiting := guest.Mic()
		h.speak(2*time.Second, host, guest)
		host.Forget()
		guest.Forget()
		guest.Press("*6*3*91")
		h.speak(time.Second, host, guest)
		if l := host.Hears(700)[0]; l > -60 {
			t.Errorf("the host hears the waiting guest at %.0f dBov", l)
		}
		if l := guest.Hears(440, 2500); l[0] > -60 || l[1] < -40 {
			t.Errorf("the waiting guest hears host at %.0f and music at %.0f dBov", l[0], l[1])
		}
		parties := h.Participants()
		if parties[1].State != core.Waiting {
			t.Fatalf("guest is %s", parties[1].State)
		}
		if err := h.Command(core.Command{Verb: core.Accept, Party: guest.Info().ID}); err != nil {
			t.Fatal(err)
		}
		h.speak(2*time.Second, host, guest)
		host.Forget()
		guest.Forget()
		h.speak(time.Second, host, guest)
		if host.Hears(700)[0] < -24 || guest.Hears(440)[0] < -24 || guest.Hears(2500)[0] > -45 {
			t.Errorf("after acceptance: host hears %.0f, guest hears %.0f and music %.0f", host.Hears(700)[0], guest.Hears(440)[0], guest.Hears(2500)[0])
		}
		// The sink of the waiting room still leads nowhere.
		host.Forget()
		for range 50 {
			guest.Speak(waiting)
			h.speak(clock.Frame)
		}
		if l := host.Hears(700)[0]; l > -50 {
			t.Errorf("the waiting room's sink is heard at %.0f dBov", l)
		}
	})
}

func TestRejectedIsToldAndHungUpOn(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Accept }, func(h *hall) {
		host, guest := coretest.New(0, nil), coretest.New(0, clear)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		h.speak(time.Second)
		host.Press("*92")
		h.settle()
		h.speak(time.Second)
		select {
		case <-guest.Ended():
		default:
			t.Fatal("the rejected guest was not hung up on")
		}
		if guest.Reason().Code != core.Rejected || h.bell.said("rejected") != 1 {
			t.Errorf("reason %v, prompt spoken %d times", guest.Reason(), h.bell.said("rejected"))
		}
		if here, _ := h.Size(); here != 1 {
			t.Errorf("%d are here, want the host", here)
		}
	})
}

func TestP34MutingOneselfAndOtherKeys(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Accept }, func(h *hall) {
		host, guest := coretest.New(0, nil), coretest.New(0, nil)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		state := func() Participant { h.settle(); return h.Participants()[1] }
		host.Press("*91")
		if s := state().State; s != core.Joined {
			t.Fatalf("after *91 the guest is %s", s)
		}
		guest.Press("*6")
		if !state().AudioMuted {
			t.Error("*6 did not mute")
		}
		guest.Press("*6*3")
		if p := state(); p.AudioMuted || !p.HandRaised {
			t.Errorf("*6*3 gave %+v", p.Party)
		}
		guest.Press("*95*97*92")
		if p := state(); p.AudioMuted {
			t.Error("a guest muted all")
		}
		if _, locked := h.Settings(); locked {
			t.Error("a guest locked the meeting")
		}
		host.Press("*95")
		if !state().AudioMuted {
			t.Error("*95 did not mute the guest")
		}
		host.Press("*97")
		h.settle()
		if _, locked := h.Settings(); !locked {
			t.Error("*97 did not lock")
		}
		if err := h.join(core.Guest, coretest.New(0, nil)); core.ReasonOf(err).Code != core.Locked {
			t.Errorf("a locked meeting gives %v", err)
		}
		host.Press("*4**")
		h.settle()
		if h.bell.said("participants") != 1 || h.bell.said("help-host") != 1 {
			t.Error("*4 or ** was not answered")
		}
	})
}

// One lost digit turns no command into one that ends or removes anything.
func TestNoCommandIsOneLostKeyFromRejection(t *testing.T) {
	for _, typed := range []string{"*6", "*3", "*4", "**", "*91", "*95", "*97"} {
		for lost := range typed {
			var k keypad
			got := ""
			for i := range typed {
				if i != lost {
					if c := k.add(typed[i], time.Second); c != "" {
						got = c
					}
				}
			}
			if got == "*92" {
				t.Errorf("%s without key %d rejects", typed, lost)
			}
		}
	}
}

func TestUnfinishedCommandIsForgotten(t *testing.T) {
	var k keypad
	k.add('*', 0)
	k.add('9', 0)
	if got := k.add('1', keyPause+1); got != "" {
		t.Errorf("a pause gave %q", got)
	}
}

// A browser that has said "muted" while its microphone was being opened, and
// "unmuted" after, must not be muted by its own words coming back.
func TestPartiesAreNotToldTheirOwnMutes(t *testing.T) {
	run(t, nil, func(h *hall) {
		p := coretest.New(0, nil)
		h.mustJoin(core.Guest, p)
		told := func() (n int) {
			h.settle()
			for _, e := range p.Told() {
				if _, ok := e.(core.Mute); ok {
					n++
				}
			}
			return n
		}
		p.Seat().Signal(core.Mute{Source: core.Microphone, On: true})
		p.Seat().Signal(core.Mute{Source: core.Microphone})
		if n := told(); n != 0 {
			t.Errorf("told %d times of its own mute", n)
		}
		p.Press("*6")
		if told() != 1 {
			t.Error("not told that the keys have muted it")
		}
	})
}

func TestP33MuteAllHoldsForLatecomers(t *testing.T) {
	run(t, nil, func(h *hall) {
		host, late := coretest.New(0, nil), coretest.New(700, nil)
		h.mustJoin(core.Host, host)
		if err := h.Command(core.Command{Verb: core.MuteAll}); err != nil {
			t.Fatal(err)
		}
		h.mustJoin(core.Guest, late)
		h.speak(2*time.Second, late)
		host.Forget()
		h.speak(time.Second, late)
		if l := host.Hears(700)[0]; l > -60 {
			t.Errorf("the latecomer is heard at %.0f dBov", l)
		}
	})
}

// A camera that a host has stopped stays so when it is published anew.
func TestStoppedCameraStaysStopped(t *testing.T) {
	run(t, nil, func(h *hall) {
		l := coretest.New(0, nil)
		h.mustJoin(core.Guest, l)
		publish := func(layer string) *picture {
			k, err := l.Seat().Publish(core.Track{Source: core.Camera, Layer: layer, Codec: core.Codec{Name: "VP8", ClockRate: 90000}})
			if err != nil {
				t.Fatal(err)
			}
			return k.(*published).Sink.(*picture)
		}
		before := publish("q")
		_ = h.Command(core.Command{Verb: core.StopVideo, Party: l.Info().ID})
		if after := publish("f"); !before.covered.Load() || !after.covered.Load() {
			t.Errorf("covered: before %v, after %v", before.covered.Load(), after.covered.Load())
		}
	})
}

func TestRefusals(t *testing.T) {
	run(t, func(o *Options) { o.EncryptedOnly, o.MaxParticipants = true, 2 }, func(h *hall) {
		if err := h.join(core.Guest, coretest.New(0, clear)); core.ReasonOf(err).Code != core.NotEncrypted {
			t.Errorf("a clear leg gets %v", err)
		}
		h.mustJoin(core.Guest, coretest.New(0, nil), coretest.New(0, nil))
		if err := h.join(core.Host, coretest.New(0, nil)); core.ReasonOf(err).Code != core.Full {
			t.Errorf("a full meeting gives %v", err)
		}
	})
}

func TestRemovedPartyIsSilentAtOnceAndGone(t *testing.T) {
	run(t, nil, func(h *hall) {
		a, b := coretest.New(440, nil), coretest.New(700, nil)
		h.mustJoin(core.Guest, a, b)
		h.speak(2*time.Second, a, b)
		_ = h.Command(core.Command{Verb: core.Remove, Party: b.Info().ID})
		a.Forget()
		h.speak(time.Second, a, b)
		if l := a.Hears(700)[0]; l > -30 {
			t.Errorf("the removed party is heard at %.0f dBov", l)
		}
		if r := b.Reason(); r == nil || r.Code != core.Removed {
			t.Errorf("reason %v", r)
		}
		if here, _ := h.Size(); here != 1 {
			t.Errorf("%d are here", here)
		}
	})
}

func TestEndHangsUpOnEverybodyAndRefusesNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, nil)
		a, b := coretest.New(0, nil), coretest.New(0, nil)
		h.mustJoin(core.Host, a)
		h.mustJoin(core.Guest, b)
		a.Seat().Signal(core.Command{Verb: core.EndMeeting})
		<-h.Done()
		for _, l := range []*coretest.Leg{a, b} {
			if r := l.Reason(); r == nil || r.Code != core.Ended {
				t.Errorf("reason %v", r)
			}
		}
		if err := h.Door(core.Host).Join(context.Background(), coretest.New(0, nil)); core.ReasonOf(err).Code != core.NotFound {
			t.Errorf("joining an ended meeting gives %v", err)
		}
	})
}

func TestGuestsCannotModerate(t *testing.T) {
	run(t, nil, func(h *hall) {
		host, guest := coretest.New(0, nil), coretest.New(0, nil)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		for _, v := range []core.Verb{core.Remove, core.MuteParty, core.EndMeeting, core.Lock, core.RemoveAll, core.MuteAll, core.DialOut, core.MakeHost} {
			guest.Seat().Signal(core.Command{Verb: v, Party: host.Info().ID})
		}
		h.settle()
		if here, _ := h.Size(); here != 2 || host.Reason() != nil {
			t.Error("a guest removed somebody")
		}
		if p := h.Participants(); p[0].AudioMuted || p[1].Role != core.Guest {
			t.Errorf("a guest moderated: %+v", p)
		}
	})
}

func TestRosterShowsWaitingPartiesToHostsOnly(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Accept }, func(h *hall) {
		screen := func(i *core.Info) { i.Forwarded = true }
		host, guest, newcomer, phone := coretest.New(0, screen), coretest.New(0, screen), coretest.New(0, screen), coretest.New(0, nil)
		h.mustJoin(core.Host, host)
		for _, l := range []*coretest.Leg{guest, phone} {
			h.mustJoin(core.Guest, l)
			_ = h.Command(core.Command{Verb: core.Accept, Party: l.Info().ID})
		}
		h.mustJoin(core.Guest, newcomer)
		h.speak(time.Second)
		last := func(l *coretest.Leg) (n int) {
			for _, e := range l.Told() {
				if r, ok := e.(core.Roster); ok {
					n = len(r.Parties)
				}
			}
			return n
		}
		if last(host) != 4 || last(guest) != 3 || last(newcomer) != 0 || last(phone) != 0 {
			t.Errorf("host sees %d, guest %d, newcomer %d, telephone %d; want 4, 3, 0, 0", last(host), last(guest), last(newcomer), last(phone))
		}
	})
}

// Parties that come, speak, flood and go at the same time do no harm (run with
// -race).
func TestChurn(t *testing.T) {
	c := clock.New(nil)
	m := New(Options{Settings: Settings{Number: "1", Admission: Open}, Clock: c, Voice: &bell{}})
	ctx, stop := context.WithCancel(t.Context())
	var stepping, parties sync.WaitGroup
	stepping.Go(func() {
		for now := time.Duration(0); ctx.Err() == nil; now += clock.Frame {
			c.StepAll(now)
		}
	})
	for range 8 {
		parties.Go(func() {
			for range 20 {
				l := coretest.New(440, nil)
				if err := m.Door(core.Guest).Join(ctx, l); err != nil {
					t.Error(err)
					return
				}
				for range 10 {
					l.Speak(nil)
					l.Press("*6*3")
				}
				l.Hangup(core.Reason{Code: core.Normal})
			}
		})
	}
	parties.Wait()
	stop()
	stepping.Wait()
	m.do(func() {})
	if here, _ := m.Size(); here != 0 {
		t.Errorf("%d are still here", here)
	}
	m.End(core.Reason{Code: core.Ended})
}

func TestNamesAreMadeFitToShow(t *testing.T) {
	for in, want := range map[string]string{" Ann\x00\n ": "Ann", "\u202eevil": "evil", "": ""} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}
