// Package chat keeps what people write to one another: of two, of groups, and
// of permanent meetings, whose lines it takes from the meetings themselves. It
// says who may write and who hears of it; the store seals what is kept.
//
// Of a meeting's chat its owner may read all, other accounts what was written
// while they were there. What is written in one-time meetings is never kept.
package chat

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/meet"
	"bridgehead/gateway/store"
)

// Settings are what superusers set at run time.
type Settings struct {
	Enabled bool `json:"enabled" doc:"people may write, in meetings and outside"`
	History bool `json:"history" doc:"who comes into a meeting is shown what was written since it was last empty"`
}

// SettingsKey is where the store has them.
const SettingsKey = "chat"

// What is refused.
var (
	ErrOff     = core.Reason{Code: core.Forbidden, Say: "Chat is turned off on this bridge.", Detail: "chat is turned off"}
	ErrText    = core.Reason{Code: core.Incompatible, Say: "A message has 1 to 4000 bytes of text.", Detail: "chat text"}
	ErrPace    = core.Reason{Code: core.Throttled, Say: "You write too fast. Wait a moment.", Detail: "chat pace"}
	ErrMeeting = core.Reason{Code: core.Busy, Say: "Join the meeting to write there.", Detail: "chat of a meeting"}
)

// Keeper implements [meet.Chat].
type Keeper struct {
	store *store.Store
	log   *slog.Logger
	// Notify is told of each new message, and of one that is erased, with who
	// may read it; it must not block. Set it before the first message.
	Notify func(m store.Message, readers []string)

	settings atomic.Pointer[Settings]

	mu       sync.Mutex
	queue    []any // meet.Change, meet.Line; in the order in which they happened
	ready    chan struct{}
	paces    edge.Keyed[string]  // of accounts
	meetings map[string]*meeting // touched by Run alone
}

// meeting is one that runs.
type meeting struct {
	began        time.Time
	conversation string            // once something was written
	last         int64             // message
	inside       map[string]*guest // by party
}

// guest is a party of a meeting that has an account.
type guest struct {
	account string
	from    time.Time
	noted   bool // its stay is
}

// New makes a keeper; Load must follow.
func New(s *store.Store, log *slog.Logger) *Keeper {
	k := &Keeper{store: s, log: log, Notify: func(store.Message, []string) {}, ready: make(chan struct{}, 1), paces: edge.Keyed[string]{}, meetings: map[string]*meeting{}}
	k.settings.Store(&Settings{Enabled: true, History: true})
	return k
}

// Load takes up the settings as they are kept now.
func (k *Keeper) Load(ctx context.Context) error {
	s := Settings{Enabled: true, History: true}
	if err := k.store.Setting(ctx, SettingsKey, &s); err != nil {
		return err
	}
	k.settings.Store(&s)
	return nil
}

// Settings are those in force.
func (k *Keeper) Settings() Settings { return *k.settings.Load() }

// Set keeps settings and puts them in force.
func (k *Keeper) Set(ctx context.Context, s Settings) error {
	if err := k.store.Set(ctx, SettingsKey, s); err != nil {
		return err
	}
	k.settings.Store(&s)
	return nil
}

// Open tells why an account may not chat; nil: it may.
func (k *Keeper) Open() error {
	if !k.Settings().Enabled {
		return ErrOff
	}
	return nil
}

// Pace: what an account may write outside of meetings.
const (
	perSecond = 1
	burst     = 20
)

// Pace counts something that an account does to others, and refuses it when
// that is too much.
func (k *Keeper) Pace(account string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.paces.At(time.Now(), account, perSecond, burst).Take() {
		return ErrPace
	}
	return nil
}

// Begin makes a conversation of an account with others, or finds that of the
// two.
func (k *Keeper) Begin(ctx context.Context, account, name string, others []string) (store.Conversation, error) {
	if err := errors.Join(k.Open(), k.Pace(account)); err != nil {
		return store.Conversation{}, err
	}
	kind := "group"
	if len(others) == 1 && name == "" {
		kind = "direct"
	}
	members := []string{account}
	for _, o := range others {
		if o != account {
			members = append(members, o)
		}
	}
	if len(members) < 2 {
		return store.Conversation{}, core.Reason{Code: core.Incompatible, Say: "Name somebody else to talk to.", Detail: "chat with oneself"}
	}
	id, err := k.store.AddConversation(ctx, kind, strings.TrimSpace(name), members)
	if err != nil {
		return store.Conversation{}, err
	}
	return k.store.Conversation(ctx, id, account)
}

// Add lets a member of a group add others.
func (k *Keeper) Add(ctx context.Context, account, id string, others []string) (store.Conversation, error) {
	c, err := k.member(ctx, account, id)
	if err != nil {
		return c, err
	}
	if c.Kind != "group" {
		return c, core.Reason{Code: core.Busy, Say: "Only groups take more members.", Detail: "chat of kind " + c.Kind}
	}
	if err := k.store.AddMembers(ctx, id, others); err != nil {
		return c, err
	}
	return k.store.Conversation(ctx, id, account)
}

// member finds a conversation that an account may read, while chat is on.
func (k *Keeper) member(ctx context.Context, account, id string) (store.Conversation, error) {
	if err := k.Open(); err != nil {
		return store.Conversation{}, err
	}
	return k.store.Conversation(ctx, id, account)
}

// Say keeps a message of an account and tells who may read it.
func (k *Keeper) Say(ctx context.Context, account, id, text string) (store.Message, error) {
	c, err := k.member(ctx, account, id)
	switch {
	case err != nil:
		return store.Message{}, err
	case c.Kind == "meeting":
		return store.Message{}, ErrMeeting
	case !core.Writable(text):
		return store.Message{}, ErrText
	}
	if err := k.Pace(account); err != nil {
		return store.Message{}, err
	}
	return k.keep(ctx, store.Message{Conversation: id, Sender: account, Text: text, At: time.Now()})
}

func (k *Keeper) keep(ctx context.Context, m store.Message) (store.Message, error) {
	m, err := k.store.AddMessage(ctx, m)
	if err == nil {
		k.tell(ctx, m)
	}
	return m, err
}

func (k *Keeper) tell(ctx context.Context, m store.Message) {
	if readers, err := k.store.Readers(ctx, m.ID); err == nil {
		k.Notify(m, readers)
	}
}

// Erase deletes a message that the account has sent.
func (k *Keeper) Erase(ctx context.Context, account, id string, message int64) error {
	if _, err := k.member(ctx, account, id); err != nil {
		return err
	}
	readers, err := k.store.Readers(ctx, message)
	if err != nil {
		return err
	}
	if err := k.store.RemoveMessage(ctx, id, message, account); err != nil {
		return err
	}
	k.Notify(store.Message{ID: message, Conversation: id}, readers)
	return nil
}

// Policy implements [meet.Chat].
func (k *Keeper) Policy() (open, history bool) {
	s := k.Settings()
	return s.Enabled, s.History
}

// maxQueue bounds the lines that wait to be kept.
const maxQueue = 10_000

// Said implements [meet.Chat].
func (k *Keeper) Said(l meet.Line) {
	if !k.put(l, maxQueue) {
		k.log.Warn("a line of chat is not kept: too many are waiting", "meeting", l.Meeting)
	}
}

// change is a meet.Change and when it was.
type change struct {
	meet.Change
	at time.Time
}

// Changed follows who is in which meeting. It does not block.
func (k *Keeper) Changed(c meet.Change) {
	if c.What == "joined" || c.What == "left" || c.What == "ended" {
		k.put(change{c, time.Now()}, 0)
	}
}

// put queues; most bounds the queue, 0: nothing does.
func (k *Keeper) put(x any, most int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if most > 0 && len(k.queue) >= most {
		return false
	}
	k.queue = append(k.queue, x)
	select {
	case k.ready <- struct{}{}:
	default:
	}
	return true
}

// Run keeps what is said until ctx ends, and then what is still waiting.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-k.ready:
		}
		k.Step(context.WithoutCancel(ctx))
	}
}

// Step keeps what is waiting.
func (k *Keeper) Step(ctx context.Context) {
	k.mu.Lock()
	queue := k.queue
	k.queue = nil
	k.mu.Unlock()
	var rush core.Yielder
	for _, x := range queue {
		rush.Yield()
		var err error
		switch x := x.(type) {
		case change:
			err = k.changed(ctx, x)
		case meet.Line:
			err = k.said(ctx, x)
		}
		if err != nil {
			k.log.Error("chat of a meeting not kept", "error", err)
		}
	}
}

func (k *Keeper) changed(ctx context.Context, c change) (err error) {
	m := k.meetings[c.Meeting]
	if c.What == "joined" {
		if m == nil {
			m = &meeting{began: c.at, inside: map[string]*guest{}}
			k.meetings[c.Meeting] = m
		}
		g := &guest{from: c.at}
		if c.Party.Protocol == core.WebRTC { // a device's User is no account
			g.account = c.User
		}
		if k.Settings().History {
			g.from = m.began
		}
		m.inside[c.Party.ID] = g
		return nil
	}
	if m == nil {
		return nil
	}
	gone := []string{c.Party.ID}
	if c.What == "ended" {
		gone = slices.Collect(maps.Keys(m.inside))
	}
	for _, id := range gone {
		if g := m.inside[id]; g != nil {
			delete(m.inside, id)
			err = errors.Join(err, k.leave(ctx, m, g, c.at))
		}
	}
	if len(m.inside) == 0 {
		delete(k.meetings, c.Meeting)
	}
	return err
}

// leave ends the stay of one who leaves, unless it is here by another device.
func (k *Keeper) leave(ctx context.Context, m *meeting, g *guest, at time.Time) error {
	if !g.noted {
		return nil
	}
	for _, o := range m.inside {
		if o.account == g.account {
			o.noted = true
			return nil
		}
	}
	return errors.Join(k.store.See(ctx, m.conversation, g.account, m.last), k.store.EndStay(ctx, m.conversation, g.account, at))
}

// said keeps a line of a permanent meeting, and who was there.
func (k *Keeper) said(ctx context.Context, l meet.Line) error {
	m := k.meetings[l.Meeting]
	kept, err := k.store.Meeting(ctx, l.Meeting)
	if m == nil || err != nil || kept.OneTime() {
		return ignore(err)
	}
	if m.conversation, err = k.store.MeetingConversation(ctx, l.Meeting); err != nil {
		return err
	}
	for _, g := range m.inside {
		if g.account != "" && !g.noted {
			if err := k.store.BeginStay(ctx, m.conversation, g.account, g.from); err != nil {
				return err
			}
			g.noted = true
		}
	}
	message := store.Message{Conversation: m.conversation, Name: l.Text.Name, Text: l.Text.Body, At: l.Text.At}
	if l.Protocol == core.WebRTC {
		message.Sender = l.User
	}
	message, err = k.keep(ctx, message)
	m.last = message.ID
	return err
}

// ignore forgives that the meeting has been deleted meanwhile.
func ignore(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
