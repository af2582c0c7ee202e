package meet

import (
	"testing"

	"bridgehead/core"
	"bridgehead/core/coretest"
)

func states(h *hall) (list []string) {
	for _, p := range h.Participants() {
		list = append(list, string(p.State)+string(p.Awaits))
	}
	return list
}

func (h *hall) expect(what string, want ...string) {
	h.t.Helper()
	got := states(h)
	if len(got) != len(want) {
		h.t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			h.t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

func member(i *core.Info) { i.User = "ann" }

func TestGuestsWaitForTheHost(t *testing.T) {
	run(t, func(o *Options) { o.WaitForHost = true }, func(h *hall) {
		a, b := coretest.New(440, nil), coretest.New(700, clear)
		h.mustJoin(core.Guest, a, b)
		h.expect("before the host", "waitinghost", "waitinghost")
		if h.bell.said("waiting-for-host") != 2 {
			t.Errorf("said %v", h.bell.asked)
		}
		host := coretest.New(1200, nil)
		h.mustJoin(core.Host, host)
		h.expect("with the host", "joined", "joined", "joined")
		h.mustJoin(core.Guest, coretest.New(1800, nil))
		h.expect("a latecomer", "joined", "joined", "joined", "joined")
	})
}

func TestWhoWaitsForTheHostMayHaveToBeAcceptedThen(t *testing.T) {
	run(t, func(o *Options) { o.WaitForHost, o.Admission = true, Accept }, func(h *hall) {
		h.mustJoin(core.Guest, coretest.New(440, nil))
		h.expect("before the host", "waitinghost")
		h.mustJoin(core.Host, coretest.New(1200, nil))
		h.expect("with the host", "waitingacceptance", "joined")
	})
}

func TestMeetingBeginsWhenNoHostIsNeededAnyMore(t *testing.T) {
	run(t, func(o *Options) { o.WaitForHost = true }, func(h *hall) {
		h.mustJoin(core.Guest, coretest.New(440, nil))
		set, _ := h.Settings()
		set.WaitForHost = false
		h.Update(set)
		h.expect("after the change", "joined")
	})
}

func TestAnybodyInsideAccepts(t *testing.T) {
	run(t, func(o *Options) { o.Admission = AcceptAny }, func(h *hall) {
		host, guest, phone := coretest.New(1200, nil), coretest.New(440, nil), coretest.New(700, clear)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest, phone)
		h.expect("before", "joined", "waitinganybody", "waitinganybody")
		host.Seat().Signal(core.Command{Verb: core.Accept, Party: guest.Info().ID})
		h.settle()
		guest.Seat().Signal(core.Command{Verb: core.MuteAll})
		guest.Seat().Signal(core.Digit{Key: '*'})
		guest.Seat().Signal(core.Digit{Key: '9'})
		guest.Seat().Signal(core.Digit{Key: '1'})
		h.settle()
		h.expect("the guest let the phone in", "joined", "joined", "joined")
		for _, p := range h.Participants() {
			if p.AudioMuted {
				t.Errorf("the guest muted %s", p.Name)
			}
		}
	})
}

func TestTheWaitingLetNobodyIn(t *testing.T) {
	run(t, func(o *Options) { o.Admission = AcceptAny }, func(h *hall) {
		a, b := coretest.New(440, nil), coretest.New(700, nil)
		h.mustJoin(core.Guest, a, b)
		a.Seat().Signal(core.Command{Verb: core.Accept, Party: b.Info().ID})
		a.Seat().Signal(core.Command{Verb: core.Accept, Party: a.Info().ID})
		h.settle()
		h.expect("both", "waitinganybody", "waitinganybody")
	})
}

func TestWhoIsKnownComesIn(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Known }, func(h *hall) {
		h.mustJoin(core.Guest, coretest.New(440, member), coretest.New(700, nil))
		h.expect("a member and a stranger", "joined", "waitingacceptance")
	})
}

func TestGuestsComeInMuted(t *testing.T) {
	run(t, func(o *Options) { o.MuteOnEntry, o.Quiet = true, true }, func(h *hall) {
		host, guest := coretest.New(1200, nil), coretest.New(440, nil)
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		muted := func() []bool { p := h.Participants(); return []bool{p[0].AudioMuted, p[1].AudioMuted} }
		if m := muted(); m[0] || !m[1] {
			t.Errorf("muted: host %v, guest %v", m[0], m[1])
		}
		guest.Seat().Signal(core.Mute{Source: core.Microphone})
		h.settle()
		if m := muted(); m[1] {
			t.Error("the guest cannot unmute itself")
		}
		if h.bell.said("joined") != 0 {
			t.Error("a coming was announced")
		}
	})
}

func TestNewcomerIsIntroducedToThoseWhoHear(t *testing.T) {
	run(t, func(o *Options) { o.Admission = Accept }, func(h *hall) {
		h.mustJoin(core.Host, coretest.New(1200, clear))
		h.mustJoin(core.Guest, coretest.New(700, func(i *core.Info) { clear(i); i.Protocol, i.Address = core.PSTN, "tel:+15550123" }))
		if h.bell.said("newcomer-pstn") != 1 || h.bell.said("spell tel:+15550123") != 1 {
			t.Errorf("said %v", h.bell.asked)
		}
	})
}
