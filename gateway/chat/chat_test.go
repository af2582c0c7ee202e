package chat

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/meet"
	"bridgehead/gateway/store"
)

// hall is a keeper beside a permanent meeting, 1000, and a one-time one, 2000,
// both of the account "owner".
type hall struct {
	*Keeper
	t   *testing.T
	ids map[string]string
	at  time.Time
}

func newHall(t *testing.T) *hall {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := &hall{Keeper: New(s, slog.New(slog.DiscardHandler)), t: t, ids: map[string]string{}, at: time.Now().Add(-time.Hour)}
	for _, n := range []string{"owner", "anna", "bert", "carl"} {
		u, err := s.AddUser(t.Context(), store.User{Email: n + "@example.org", Role: store.RoleUser}, "a good password")
		if err != nil {
			t.Fatal(err)
		}
		h.ids[n] = u.ID
	}
	for number, kind := range map[string]string{"1000": "permanent", "2000": "one-time"} {
		if _, err := s.AddMeeting(t.Context(), store.Meeting{Number: number, Kind: kind, Admission: "open", Owner: h.ids["owner"]}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// happens is a party that comes or goes, a minute later.
func (h *hall) happens(meeting, what, party string, p core.Protocol, user string) {
	h.at = h.at.Add(time.Minute)
	h.put(change{meet.Change{Meeting: meeting, What: what, Party: core.Party{ID: party, Protocol: p}, User: user}, h.at}, 0)
	h.Step(h.t.Context())
}

func (h *hall) writes(meeting, name string, p core.Protocol, user, text string) {
	h.at = h.at.Add(time.Minute)
	h.Said(meet.Line{Meeting: meeting, Protocol: p, User: user, Text: core.Text{Name: name, Body: text, At: h.at}})
	h.Step(h.t.Context())
}

// reads is what an account reads, with who wrote it.
func (h *hall) reads(who string) (texts []string) {
	h.t.Helper()
	list, err := h.store.Conversations(h.t.Context(), h.ids[who], 10)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range list {
		messages, err := h.store.Messages(h.t.Context(), c.ID, h.ids[who], 0, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, m := range messages {
			texts = append(texts, m.Name+": "+m.Text)
		}
	}
	slices.Reverse(texts)
	return texts
}

func TestMeetingsChatIsKeptForWhoWasThere(t *testing.T) {
	for _, history := range []bool{false, true} {
		h := newHall(t)
		if err := h.Set(t.Context(), Settings{Enabled: true, History: history}); err != nil {
			t.Fatal(err)
		}
		var told [][]string
		h.Notify = func(_ store.Message, readers []string) { slices.Sort(readers); told = append(told, readers) }
		h.happens("1000", "joined", "p1", core.WebRTC, h.ids["anna"])
		h.happens("1000", "joined", "p2", core.SIP, "room1")
		h.writes("1000", "Room 1", core.SIP, "room1", "one")
		h.happens("1000", "joined", "p3", core.WebRTC, h.ids["bert"])
		h.happens("1000", "joined", "p4", core.WebRTC, "") // a guest
		h.writes("1000", "forged", core.WebRTC, h.ids["anna"], "two")
		h.happens("1000", "left", "p1", core.WebRTC, h.ids["anna"])
		h.writes("1000", "A Guest", core.WebRTC, "", "three")
		h.happens("1000", "ended", "", "", "")
		h.happens("1000", "joined", "p5", core.WebRTC, h.ids["anna"])
		want := map[string][]string{"owner": {"Room 1: one", "anna: two", "A Guest: three"}, "anna": {"Room 1: one", "anna: two"}, "bert": {"anna: two", "A Guest: three"}, "carl": nil}
		if history {
			want["bert"] = want["owner"]
		}
		for who, w := range want {
			if got := h.reads(who); !slices.Equal(got, w) {
				t.Errorf("history %v: %s reads %q, want %q", history, who, got, w)
			}
		}
		all := []string{h.ids["owner"], h.ids["anna"], h.ids["bert"]}
		slices.Sort(all)
		if len(told) != 3 || !slices.Equal(told[1], all) {
			t.Errorf("told are %q", told)
		}
		if list, _ := h.store.Conversations(t.Context(), h.ids["bert"], 1); list[0].Unread != 0 {
			t.Errorf("who was there has %d unread", list[0].Unread)
		}
	}
}

// Who is in a meeting by two devices leaves with the last.
func TestStayEndsWithTheLastDevice(t *testing.T) {
	h := newHall(t)
	h.happens("1000", "joined", "p1", core.WebRTC, h.ids["anna"])
	h.happens("1000", "joined", "p2", core.WebRTC, h.ids["anna"])
	h.happens("1000", "joined", "p3", core.WebRTC, h.ids["bert"])
	for _, text := range []string{"one", "two", "three"} {
		h.writes("1000", "", core.WebRTC, h.ids["bert"], text)
		h.happens("1000", "left", map[string]string{"one": "p1", "two": "p2"}[text], core.WebRTC, h.ids["anna"])
	}
	if got := h.reads("anna"); !slices.Equal(got, []string{"bert: one", "bert: two"}) {
		t.Errorf("anna reads %q", got)
	}
}

func TestOneTimeMeetingsKeepNothing(t *testing.T) {
	h := newHall(t)
	h.happens("2000", "joined", "p1", core.WebRTC, h.ids["owner"])
	h.writes("2000", "x", core.WebRTC, h.ids["owner"], "gone with the wind")
	if got := h.reads("owner"); got != nil {
		t.Errorf("kept is %q", got)
	}
}

func TestSettingsAreTakenUp(t *testing.T) {
	h := newHall(t)
	if err := h.store.Set(t.Context(), SettingsKey, map[string]bool{"enabled": false}); err != nil {
		t.Fatal(err)
	}
	if err := h.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open, history := h.Policy(); open || !history {
		t.Errorf("open %v, history %v", open, history)
	}
}
