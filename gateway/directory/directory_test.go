package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bridgehead/gateway/store"
)

func names(list []Entry) (names []string) {
	for _, e := range list {
		names = append(names, e.Name)
	}
	return names
}

func people(names ...string) (list []store.User) {
	for i, n := range names {
		list = append(list, store.User{ID: fmt.Sprint("u", i), DisplayName: n, Email: "x@example.org"})
	}
	return list
}

func TestSearchFindsPartsOfWordsBestFirst(t *testing.T) {
	list := List(people("Roland Anders", "Anna Müller", "Hanna Øst", "Joanna Lang-Ann", "Stroß Łukasz", "Εύα Άννα"),
		[]store.Device{{ID: "d", User: "room1", Name: "Annex", Extension: "201"}}, []store.Meeting{{Number: "2010", Name: "Board"}}, Hosts{})
	for typed, want := range map[string][]string{
		"ann":      {"Anna Müller", "Annex", "Joanna Lang-Ann", "Hanna Øst"},
		"ANNA mu":  {"Anna Müller"},
		"muller":   {"Anna Müller"},
		"mul anna": {"Anna Müller"},
		"ost":      {"Hanna Øst"},
		"stross":   {"Stroß Łukasz"},
		"lukasz":   {"Stroß Łukasz"},
		"αννα":     {"Εύα Άννα"},
		"201":      {"Annex", "Board"},
		"room1":    {"Annex"},
		"nobody":   nil,
		"ann nobo": nil,
	} {
		if got, _ := Search(list, Query{Text: typed, Limit: 10}); !slices.Equal(names(got), want) {
			t.Errorf("%q finds %q, want %q", typed, names(got), want)
		}
	}
}

func TestSearchByPages(t *testing.T) {
	var all []store.User
	for i := range 95 {
		all = append(all, store.User{ID: fmt.Sprint(i), DisplayName: "Same Name", Hidden: i%10 == 0})
	}
	list := List(all, nil, nil, Hosts{})
	seen := map[string]bool{}
	cursor := ""
	for {
		page, next := Search(list, Query{Text: "name", Limit: 10, Cursor: cursor})
		for _, e := range page {
			if seen[e.ID] {
				t.Fatalf("%s comes twice", e.ID)
			}
			seen[e.ID] = true
		}
		if cursor = next; next == "" {
			break
		}
	}
	if len(seen) != 85 {
		t.Errorf("all pages have %d entries", len(seen))
	}
	if page, _ := Search(list, Query{Limit: 10, Cursor: "%%% no cursor"}); len(page) != 10 {
		t.Errorf("what is no cursor begins anew: %d", len(page))
	}
}

func TestListedIsWhatMayBeCalled(t *testing.T) {
	list := List(
		[]store.User{{ID: "a", Email: "anna@example.org"}, {ID: "b", DisplayName: "Gone", Disabled: true}, {ID: "c", DisplayName: "Carl", Hidden: true}},
		[]store.Device{{ID: "1", User: "desk", Extension: "12", Owner: "a"}, {ID: "2", User: "secret", Owner: "c", Hidden: true}},
		[]store.Meeting{{Number: "1", Kind: "permanent", Owner: "c", Hidden: true}, {Number: "2", Kind: "one-time"}, {Number: "3", Name: "Open"}},
		Hosts{SIPS: "m.example", H323: "m.example:1721"})
	for account, want := range map[string][]string{"": {"3", "a", "1"}, "a": {"3", "a", "1"}, "c": {"3", "a", "1", "c", "2", "1"}} {
		got, _ := Search(list, Query{For: account, Limit: 10})
		var ids []string
		for _, e := range got {
			ids = append(ids, e.ID)
		}
		slices.Sort(ids)
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("%q finds %q, want %q", account, ids, want)
		}
	}
	anna, _ := Search(list, Query{Text: "anna", Limit: 1})
	if e := anna[0]; e.Name != "anna" || e.Address != "a" || e.Number != "12" || e.SIP != "sips:12@m.example" || e.H323 != "h323:desk@m.example:1721" {
		t.Errorf("%+v", e)
	}
}

// unfold reads content lines as RFC 6350 3.2 has them.
func unfold(t *testing.T, text string) []string {
	t.Helper()
	for _, l := range strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		if len(l) > 75 || !utf8.ValidString(l) || strings.ContainsAny(l, "\r\n") {
			t.Errorf("line %q has %d octets", l, len(l))
		}
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "\r\n ", ""), "\r\n"), "\r\n")
}

func TestVCards(t *testing.T) {
	long := strings.Repeat("Ödön, der Große; ", 12) + "\nEND:VCARD\\\x00"
	lines := unfold(t, string(VCards([]Entry{{ID: "7", Kind: Room, Name: long, Number: "201", SIP: "sips:201@m.example", H323: "h323:room@m.example"}, {ID: "8", Kind: Person, Name: "B"}})))
	want := []string{"BEGIN:VCARD", "VERSION:4.0", "KIND:location", "UID;VALUE=text:room-7",
		"FN:" + strings.Repeat(`Ödön\, der Große\; `, 12) + `\nEND:VCARD\\`, `TEL;VALUE=text;TYPE="voice,video":201`,
		"IMPP;PREF=1:sips:201@m.example", "X-SIP:sips:201@m.example", "IMPP;PREF=2:h323:room@m.example", "X-H323:h323:room@m.example", "END:VCARD",
		"BEGIN:VCARD", "VERSION:4.0", "KIND:individual", "UID;VALUE=text:person-8", "FN:B", "END:VCARD"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q\nwant\n%q", lines, want)
	}
}

// However long and strange, a name stays within its line.
func FuzzVCards(f *testing.F) {
	f.Add("Anna\r\nX-EVIL:1", "20")
	f.Fuzz(func(t *testing.T, name, number string) {
		lines := unfold(t, string(VCards([]Entry{{ID: "1", Kind: Person, Name: name, Number: number}})))
		if n := len(lines); n != 6 && n != 7 {
			t.Errorf("%d lines: %q", n, lines)
		}
	})
}
