package records

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
	"bridgehead/gateway/store"
)

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// A course covers a call of any length in a bounded number of samples, evenly.
func TestCourseIsBoundedAndCoversTheCall(t *testing.T) {
	b := bookOf(t)
	leg := coretest.New(0, nil)
	l := &watchedLeg{Leg: leg, book: b, id: leg.Info().ID}
	b.Begin(core.Call{Info: leg.Info()})
	const looks = 4 * 60 * 12 // four hours
	for i := range looks {
		at := noon.Add(time.Duration(i) * lookEvery)
		st := core.Stats{Codec: "PCMA", PacketsReceived: uint64(250 * (i + 1)), PacketsSent: uint64(250 * (i + 1))}
		if i == 1000 {
			st.Jitter = 90 * time.Millisecond
		}
		l.look(at, core.Info{AudioStats: st})
	}
	c, err := b.Find(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	n := len(c.Media)
	if n > maxSamples+1 || n < maxSamples/2 {
		t.Fatalf("%d samples", n)
	}
	if first, last := c.Media[0].At.Sub(noon), noon.Add((looks-1)*lookEvery).Sub(c.Media[n-1].At); first > 10*time.Minute || last > 10*time.Minute {
		t.Errorf("begins after %v, ends %v early", first, last)
	}
	worst := 0.0
	for _, s := range c.Media {
		worst = max(worst, s.JitterMS)
	}
	if worst != 90 {
		t.Errorf("the worst moment is lost: jitter of %v ms at most", worst)
	}
}

func TestWhatBecomesOfSoundIsInTheLadder(t *testing.T) {
	b := bookOf(t)
	leg := coretest.New(0, nil)
	l := &watchedLeg{Leg: leg, book: b, id: leg.Info().ID}
	b.Begin(core.Call{Info: leg.Info()})
	st := core.Stats{Codec: "PCMA"}
	st.Way.Signalled = netip.MustParseAddrPort("10.1.2.3:4000")
	look := func(i int) { l.look(noon.Add(time.Duration(i)*lookEvery), core.Info{AudioStats: st}) }
	st.PacketsReceived, st.Way.Found = 100, netip.MustParseAddrPort("203.0.113.7:4000")
	look(1)
	look(2) // nothing new has come
	look(3)
	st.PacketsReceived, st.PacketsLost = 200, 100
	look(4)
	st.PacketsReceived, st.Codec = 450, "G722"
	look(5)
	watchedSeat{Seat: nowhere{}, leg: l}.Signal(core.Hold{On: true})
	look(6)
	c, _ := b.Find(t.Context(), l.id)
	var said []string
	for _, s := range c.Ladder {
		said = append(said, s.Text)
	}
	want := "sound comes from 203.0.113.7:4000, signalled was 10.1.2.3:4000; no sound has come for 5 s; sound comes again; 50 % of the packets are lost; " +
		"codec G722, it was PCMA; few packets are lost again; the peer holds the call"
	if got := strings.Join(said, "; "); got != want {
		t.Errorf("said %s", got)
	}
}

type nowhere struct{ core.Seat }

func (nowhere) Signal(core.Event) {}
func (nowhere) Publish(core.Track) (core.Sink, error) {
	return listener{core.Discard}, nil
}

type listener struct{ core.Sink }

func (listener) Meter() core.Meter {
	return core.Meter{Level: 30, Loudest: 20, Listened: 100, Clipped: 7, Compared: 3, Echoes: 2, EchoAfter: 200 * time.Millisecond}
}

// What was heard is added up over the rooms that a call was in; keys are
// counted, not kept.
func TestSoundAndKeysAreInTheRecord(t *testing.T) {
	b := bookOf(t)
	leg := coretest.New(0, nil)
	if err := b.Watch(room{}).Join(t.Context(), leg); err != nil {
		t.Fatal(err)
	}
	b.Begin(core.Call{Info: leg.Info()})
	seat := watchedSeat{nowhere{}, b.joined[leg.Info().ID]}
	for range 2 {
		if _, err := seat.Publish(core.Track{Source: core.Microphone}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		seat.Signal(core.Digit{Key: '7', Via: "rfc4733"})
	}
	b.End(leg.Info(), core.Reason{Code: core.Normal})
	c := <-b.save
	if a := c.Detail.Audio; a.Listened != 200 || a.Clipped != 14 || a.Loudest != -20 || a.Compared != 6 || a.Echoes != 4 || a.EchoMS != 200 || c.Detail.Keys["rfc4733"] != 3 {
		t.Errorf("%+v, keys %v", a, c.Detail.Keys)
	}
	if len(c.Detail.Findings) == 0 {
		t.Error("no verdict")
	}
}

// How a call began and ended stays in a ladder that has no room for all.
func TestLadderKeepsItsEnds(t *testing.T) {
	c := &store.Call{}
	for i := range 1000 {
		climb(c, store.Step{What: "step", Text: strings.Repeat("x", i)})
	}
	n, bytes := len(c.Ladder), 0
	for _, s := range c.Ladder {
		bytes += len(s.Text)
	}
	if n > maxSteps || bytes > maxBytes || c.Detail.LeftOut != 1000-n || len(c.Ladder[0].Text) != 0 || len(c.Ladder[n-1].Text) != 999 {
		t.Errorf("%d steps of %d bytes, %d left out, from %d to %d", n, bytes, c.Detail.LeftOut, len(c.Ladder[0].Text), len(c.Ladder[n-1].Text))
	}
}
