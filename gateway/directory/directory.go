// Package directory is the list of those who can be called: people, room
// systems and meetings. It knows who may see which entry, finds entries by
// what is typed, and writes them as vCards (RFC 6350) for room systems.
package directory

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"

	"bridgehead/gateway/store"
)

// Kind of an entry.
type Kind string

// The kinds.
const (
	Person  Kind = "person"
	Room    Kind = "room" // a device
	Meeting Kind = "meeting"
)

// Entry is one who, or where, can be called.
type Entry struct {
	ID      string `json:"id"`
	Kind    Kind   `json:"kind" enum:"person,room,meeting"`
	Name    string `json:"name"`
	Number  string `json:"number,omitempty" doc:"extension or meeting number"`
	Address string `json:"address,omitempty" doc:"what this bridge dials to reach it; a person without a device has none"`
	SIP     string `json:"sip,omitempty"`
	H323    string `json:"h323,omitempty"`
	Present bool   `json:"present" doc:"a device is registered, a person is signed in or its device is registered, somebody is in a meeting"`
	InCall  bool   `json:"in_call"`

	user   string // of a device
	owner  string // account, of devices and meetings
	hidden bool
	text   string // what is searched, folded
	words  []string
}

// Hosts is where endpoints reach this bridge; empty: not by that protocol.
type Hosts struct{ SIPS, H323 string }

// List makes the entries of all that is kept; what is disabled, and one-time
// meetings, have none. The result is sorted and is not changed after.
func List(people []store.User, devices []store.Device, meetings []store.Meeting, at Hosts) []Entry {
	var list []Entry
	for _, u := range people {
		if u.Disabled {
			continue
		}
		e := Entry{ID: u.ID, Kind: Person, Name: u.Shown(), owner: u.ID, hidden: u.Hidden}
		for _, d := range devices { // the first that says how to be reached
			if d.Owner == u.ID && !d.Hidden && e.Address == "" {
				e.Address, e.Number = u.ID, d.Extension
				e.at(at, cmp.Or(d.Extension, d.User), d.User)
			}
		}
		list = append(list, e)
	}
	for _, d := range devices {
		e := Entry{ID: d.ID, Kind: Room, Name: cmp.Or(d.Name, d.User), Number: d.Extension, Address: d.User, user: d.User, owner: d.Owner, hidden: d.Hidden}
		e.at(at, cmp.Or(d.Extension, d.User), d.User)
		list = append(list, e)
	}
	for _, m := range meetings {
		if m.OneTime() {
			continue
		}
		e := Entry{ID: m.Number, Kind: Meeting, Name: cmp.Or(m.Name, m.Number), Number: m.Number, Address: m.Number, owner: m.Owner, hidden: m.Hidden}
		e.at(at, m.Number, m.Number)
		list = append(list, e)
	}
	for i := range list {
		list[i].index()
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.key(0), b.key(0)) })
	return list
}

// at gives the entry its addresses: sip is the user part of SIP's, which takes
// digits and names, h323 the alias.
func (e *Entry) at(hosts Hosts, sip, h323 string) {
	if hosts.SIPS != "" {
		e.SIP = "sips:" + sip + "@" + hosts.SIPS
	}
	if hosts.H323 != "" {
		e.H323 = "h323:" + h323 + "@" + hosts.H323
	}
}

// Own is the entry that is the account itself, or belongs to it.
func (e *Entry) Own(account string) bool { return account != "" && e.owner == account }

// Seen tells whether an account finds the entry: of what is hidden, its own.
func (e *Entry) Seen(account string) bool { return !e.hidden || e.Own(account) }

// Owned are the listed devices of each account, by user name.
func Owned(list []Entry) map[string][]string {
	m := map[string][]string{}
	for _, e := range list {
		if e.Kind == Room && e.owner != "" && !e.hidden {
			m[e.owner] = append(m[e.owner], e.user)
		}
	}
	return m
}

// Query is a search.
type Query struct {
	For    string // account that searches; empty: a device
	Text   string
	Kind   Kind // empty: all
	Limit  int
	Cursor string // where the page before ended
}

// Search finds what the account may see: entries whose name begins with what
// was typed first, then those of which words do, then those that hold it
// anywhere. next is the cursor of the page behind; empty: there is none.
func Search(list []Entry, q Query) (found []Entry, next string) {
	typed := strings.Fields(fold(q.Text))
	after, _ := base64.RawURLEncoding.DecodeString(q.Cursor)
	type hit struct {
		key string
		e   *Entry
	}
	var hits []hit
	for i := range list {
		e := &list[i]
		if q.Kind != "" && e.Kind != q.Kind || !e.Seen(q.For) {
			continue
		}
		if rank, ok := e.rank(typed); ok {
			if key := e.key(rank); key > string(after) {
				hits = append(hits, hit{key, e})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Compare(a.key, b.key) })
	if len(hits) > q.Limit {
		hits = hits[:q.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(hits[q.Limit-1].key))
	}
	for _, h := range hits {
		found = append(found, *h.e)
	}
	return found, next
}

// key orders entries: by rank, then name.
func (e *Entry) key(rank int) string {
	return string(rune('0'+rank)) + "\x00" + strings.Join(e.words, " ") + "\x00" + string(e.Kind) + "\x00" + e.ID
}

// rank tells how well the entry fits the words typed; 0 is best.
func (e *Entry) rank(typed []string) (rank int, ok bool) {
	if len(typed) == 0 || strings.HasPrefix(e.text, strings.Join(typed, " ")) {
		return 0, true
	}
	rank = 1
	for _, w := range typed {
		switch {
		case slices.ContainsFunc(e.words, func(x string) bool { return strings.HasPrefix(x, w) }), strings.HasPrefix(e.Number, w):
		case strings.Contains(e.text, w):
			rank = 2
		default:
			return 0, false
		}
	}
	return rank, true
}

func (e *Entry) index() {
	e.words = strings.FieldsFunc(fold(e.Name), func(r rune) bool { return strings.ContainsRune(" \t.,;-_/()", r) })
	e.text = fold(e.Name + " " + e.Number)
	if e.user != "" {
		e.text += " " + fold(e.user)
	}
}
