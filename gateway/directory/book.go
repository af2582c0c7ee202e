package directory

import (
	"context"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/meet"
	"bridgehead/gateway/store"
)

// Book answers who can be called and who is there. Set its fields before its
// first use; its methods may be called from any goroutine.
type Book struct {
	Store *store.Store
	Hosts func() Hosts
	// Registrations are the user names of the devices registered now.
	Registrations func() []string
	// Notify is told of an entry that has come, gone, or changed whether it is
	// in a call, and to which account alone it is known; empty: to all.
	Notify func(e Entry, only string)

	kept kept

	mu         sync.Mutex
	parties    map[string]map[string]ref // by meeting and party: who is inside
	calls      map[ref]int               // how often each is
	registered map[string]bool
	attending  map[string]bool // accounts that follow the events
	stirred    map[ref]bool
}

// ref names an entry: a person by account, a room by user name, a meeting by
// number.
type ref struct {
	kind Kind
	id   string
}

// kept is the list as of a version of the store.
type kept struct {
	mu      sync.Mutex
	version int64
	hosts   Hosts
	list    []Entry
	owned   map[string][]string
	at      map[ref]int
}

// entries are all that can be called; they are read anew when something kept
// has changed.
func (b *Book) entries(ctx context.Context) (*kept, error) {
	version, err := b.Store.Version(ctx)
	if err != nil {
		return nil, err
	}
	b.kept.mu.Lock()
	defer b.kept.mu.Unlock()
	k := &b.kept
	if at := b.Hosts(); k.list == nil || k.version != version || k.hosts != at {
		people, err := b.Store.Users(ctx)
		if err != nil {
			return nil, err
		}
		devices, err := b.Store.Devices(ctx)
		if err != nil {
			return nil, err
		}
		meetings, err := b.Store.Meetings(ctx)
		if err != nil {
			return nil, err
		}
		k.list = List(people, devices, meetings, at)
		k.version, k.hosts, k.owned, k.at = version, at, Owned(k.list), map[ref]int{}
		for i := range k.list {
			k.at[k.list[i].ref()] = i
		}
	}
	return &kept{list: k.list, owned: k.owned, at: k.at}, nil
}

func (e *Entry) ref() ref {
	if e.Kind == Room {
		return ref{Room, e.user}
	}
	return ref{e.Kind, e.ID}
}

// Search finds entries, as [Search] does, with who is there now.
func (b *Book) Search(ctx context.Context, q Query) (found []Entry, next string, err error) {
	k, err := b.entries(ctx)
	if err != nil {
		return nil, "", err
	}
	found, next = Search(k.list, q)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range found {
		b.now(&found[i], k.owned)
	}
	return found, next, nil
}

// Changed follows what happens in meetings. It does not block.
func (b *Book) Changed(c meet.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch inside := b.parties[c.Meeting]; c.What {
	case "joined":
		if inside == nil {
			inside = map[string]ref{}
			put(&b.parties, c.Meeting, inside)
		}
		b.leave(inside, c.Party.ID)
		inside[c.Party.ID] = whoIs(c)
		put(&b.calls, whoIs(c), b.calls[whoIs(c)]+1)
	case "left":
		b.leave(inside, c.Party.ID)
		if len(inside) == 0 {
			delete(b.parties, c.Meeting)
		}
	case "ended":
		for id := range inside {
			b.leave(inside, id)
		}
		delete(b.parties, c.Meeting)
	default:
		return
	}
	b.stir(whoIs(c))
	b.stir(ref{Meeting, c.Meeting})
}

// whoIs names the entry that a party is; the zero value for a stranger.
func whoIs(c meet.Change) ref {
	switch {
	case c.User == "" || c.Party.Phone:
		return ref{}
	case c.Party.Protocol == core.WebRTC:
		return ref{Person, c.User}
	}
	return ref{Room, c.User}
}

func (b *Book) leave(inside map[string]ref, party string) {
	who, ok := inside[party]
	if !ok {
		return
	}
	delete(inside, party)
	if b.calls[who]--; b.calls[who] <= 0 {
		delete(b.calls, who)
	}
	b.stir(who)
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

func (b *Book) stir(r ref) {
	if r != (ref{}) {
		put(&b.stirred, r, true)
	}
}

// Attended notes that an account follows the events, or does no more. It does
// not block.
func (b *Book) Attended(account string, here bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	put(&b.attending, account, here)
	if !here {
		delete(b.attending, account)
	}
	b.stir(ref{Person, account})
}

// Registered tells whether a device was registered at the last step.
func (b *Book) Registered(user string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.registered[user]
}

// every is how often registrations are looked at, and changes told.
const every = time.Second

// Run tells of changes until ctx ends.
func (b *Book) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.Step(ctx)
		}
	}
}

// Step looks who is registered now, and tells of everybody who has changed.
func (b *Book) Step(ctx context.Context) {
	if !b.stirs() {
		return
	}
	k, err := b.entries(ctx)
	if err != nil {
		return // the next step
	}
	type told struct {
		e    Entry
		only string
	}
	var tell []told
	b.mu.Lock()
	for r := range b.stirred { // a person is where its devices are
		if i, ok := k.at[r]; ok && r.kind == Room && k.list[i].owner != "" && !k.list[i].hidden {
			b.stir(ref{Person, k.list[i].owner})
		}
	}
	for r := range b.stirred {
		i, ok := k.at[r]
		if !ok {
			continue
		}
		t := told{e: k.list[i]}
		b.now(&t.e, k.owned)
		if t.e.hidden {
			t.only = t.e.owner
			if t.only == "" {
				continue
			}
		}
		tell = append(tell, t)
	}
	clear(b.stirred)
	b.mu.Unlock()
	for _, t := range tell {
		b.Notify(t.e, t.only)
	}
}

// stirs looks who is registered now, and tells whether anything has changed.
func (b *Book) stirs() bool {
	now := map[string]bool{}
	for _, d := range b.Registrations() {
		now[d] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := range now {
		if !b.registered[d] {
			b.stir(ref{Room, d})
		}
	}
	for d := range b.registered {
		if !now[d] {
			b.stir(ref{Room, d})
		}
	}
	b.registered = now
	return len(b.stirred) > 0
}

// now fills in who is there. b.mu is held.
func (b *Book) now(e *Entry, owned map[string][]string) {
	e.Present, e.InCall = b.registered[e.user] && e.Kind == Room, b.calls[e.ref()] > 0
	switch e.Kind {
	case Person:
		e.Present = b.attending[e.ID]
		for _, d := range owned[e.ID] {
			e.Present, e.InCall = e.Present || b.registered[d], e.InCall || b.calls[ref{Room, d}] > 0
		}
	case Meeting:
		e.Present = len(b.parties[e.ID]) > 0
		e.InCall = e.Present
	}
}
