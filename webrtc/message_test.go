package webrtc

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
)

func TestRosterIsToldOnceAndThenItsChanges(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	party := func(id string) core.Party {
		return core.Party{ID: id, Name: id, Joined: at, Sources: []core.Source{core.Microphone}}
	}
	s := &socket{}
	a, b, c, d := party("a"), party("b"), party("c"), party("d")
	if m, ok := s.roster(core.Roster{Parties: []core.Party{a, b, c}}).(rosterMsg); !ok || len(m.Parties) != 3 {
		t.Fatalf("%+v", m)
	}
	tell := func(locked bool, all ...core.Party) (changed, gone string) {
		m, ok := s.roster(core.Roster{Parties: all, Locked: locked}).(rosterChangeMsg)
		if !ok || m.Locked != locked {
			t.Fatalf("%+v", m)
		}
		for _, p := range m.Parties {
			changed += p.ID
		}
		return changed, strings.Join(m.Gone, "")
	}
	for i, x := range []struct {
		all           []core.Party
		changed, gone string
	}{
		{[]core.Party{a, b, c}, "", ""},
		{[]core.Party{a, c, d}, "d", "b"},
		{[]core.Party{d, a}, "a", "ac"}, // not in their order: told anew
		{nil, "", "da"},
		{[]core.Party{b}, "b", ""},
	} {
		if changed, gone := tell(i == 1, x.all...); changed != x.changed || gone != x.gone {
			t.Errorf("%d: changed %q, gone %q", i, changed, gone)
		}
	}
	// A change of any field is told.
	for i := range reflect.TypeFor[core.Party]().NumField() {
		x := party("b")
		switch f := reflect.ValueOf(&x).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			x.Sources = nil
		default:
			x.Joined, x.Security.Media = at.Add(1), "other"
		}
		old := party("b")
		if sameParty(&old, &x) {
			t.Errorf("a change of %s is not told", reflect.TypeFor[core.Party]().Field(i).Name)
		}
	}
}
