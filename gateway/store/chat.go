package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Conversation is where messages are: of two people, of a group, or of a
// permanent meeting.
type Conversation struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" enum:"direct,group,meeting"`
	Name    string    `json:"name,omitempty" doc:"of a group or meeting"`
	Meeting string    `json:"meeting,omitempty" doc:"its number"`
	Created time.Time `json:"created"`
	Members []Member  `json:"members" doc:"of a meeting: none"`
	Unread  int       `json:"unread"`
	Last    *Message  `json:"last,omitempty"`
}

// Member of a conversation.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Message is a line of a conversation.
type Message struct {
	ID           int64     `json:"id"`
	Conversation string    `json:"conversation"`
	Sender       string    `json:"sender,omitempty" doc:"its account; empty for a guest, a device and an account that is no more"`
	Name         string    `json:"name,omitempty" doc:"of the sender"`
	Text         string    `json:"text"`
	At           time.Time `json:"at"`
}

// MaxMembers bounds a group.
const MaxMembers = 100

// ErrMembers refuses a group that has too many members.
var ErrMembers = errors.New("too many members")

// shownName is [User.Shown], in the SQL of several statements.
const shownName = `CASE u.display_name WHEN '' THEN substr(u.email, 1, instr(u.email, '@') - 1) ELSE u.display_name END`

// AddConversation begins a conversation of accounts, or finds that of the two.
// All members must be accounts that can sign in.
func (s *Store) AddConversation(ctx context.Context, kind, name string, members []string) (id string, err error) {
	err = s.Atomically(ctx, func(ctx context.Context) error {
		if kind == "direct" {
			id, err = one(ctx, s, value[string], `SELECT c.id FROM members a JOIN members b ON b.conversation = a.conversation JOIN conversations c ON c.id = a.conversation
				WHERE c.kind = 'direct' AND a.user = ? AND b.user = ?`, members[0], members[1])
			if !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		id = NewSecret()
		if err := s.exec(ctx, `INSERT INTO conversations (id, kind, name, created) VALUES (?, ?, ?, ?)`, id, kind, s.seal.sealAs(nameOf(id), name), time.Now().Unix()); err != nil {
			return err
		}
		return s.AddMembers(ctx, id, members)
	})
	return id, err
}

// nameOf and bodyOf say what a sealed value belongs to, so that it is of no use
// in another place.
func nameOf(conversation string) string { return "conversation " + conversation }
func bodyOf(id int64, conversation string) string {
	return fmt.Sprintf("message %d of %s", id, conversation)
}

// AddMembers lets accounts read what is said in a group from now on.
func (s *Store) AddMembers(ctx context.Context, conversation string, members []string) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		for _, m := range members {
			n, err := s.do(ctx, `INSERT INTO members (conversation, user, since) SELECT ?1, id, (SELECT COALESCE(MAX(id), 0) FROM messages) FROM users
				WHERE id = ?2 AND NOT disabled ON CONFLICT DO NOTHING`, conversation, m)
			if err == nil && n == 0 { // a member already, or nobody
				_, err = one(ctx, s, value[int], `SELECT 1 FROM members WHERE conversation = ? AND user = ?`, conversation, m)
			}
			if err != nil {
				return err
			}
		}
		n, err := one(ctx, s, value[int], `SELECT COUNT(*) FROM members WHERE conversation = ?`, conversation)
		if n > MaxMembers {
			err = ErrMembers
		}
		return err
	})
}

// LeaveConversation takes an account out; a conversation that nobody is left in
// goes with its messages.
func (s *Store) LeaveConversation(ctx context.Context, conversation, user string) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		if err := s.exec(ctx, `DELETE FROM members WHERE conversation = ? AND user = ?`, conversation, user); err != nil {
			return err
		}
		return s.run(ctx, forsaken+` AND id = ?`, conversation)
	})
}

const forsaken = `DELETE FROM conversations WHERE kind <> 'meeting' AND NOT EXISTS (SELECT 1 FROM members m WHERE m.conversation = conversations.id)`

// MeetingConversation finds the conversation of a meeting, or begins it.
func (s *Store) MeetingConversation(ctx context.Context, number string) (id string, err error) {
	err = s.run(ctx, `INSERT INTO conversations (id, kind, meeting, created) VALUES (?, 'meeting', ?, ?) ON CONFLICT (meeting) DO NOTHING`, NewSecret(), number, time.Now().Unix())
	if err != nil {
		return "", err
	}
	return one(ctx, s, value[string], `SELECT id FROM conversations WHERE meeting = ?`, number)
}

// BeginStay lets an account read what a meeting's conversation has from start
// on; EndStay ends that.
func (s *Store) BeginStay(ctx context.Context, conversation, user string, start time.Time) error {
	return s.run(ctx, `INSERT INTO stays (conversation, user, start) SELECT ?, id, ? FROM users WHERE id = ? ON CONFLICT DO UPDATE SET finish = 0`,
		conversation, start.UnixMilli(), user)
}

// EndStay ends an account's stay, if there is one.
func (s *Store) EndStay(ctx context.Context, conversation, user string, finish time.Time) error {
	return s.run(ctx, `UPDATE stays SET finish = ? WHERE conversation = ? AND user = ? AND finish = 0`, finish.UnixMilli(), conversation, user)
}

// CloseOpenStays ends the stays that a stop of the process cut off.
func (s *Store) CloseOpenStays(ctx context.Context) error {
	return s.run(ctx, `UPDATE stays SET finish = ? WHERE finish = 0`, time.Now().UnixMilli())
}

// conversationQuery finds what account ?1 may read; which narrows the messages
// that are looked at.
func conversationQuery(which string) string {
	return `SELECT c.id, c.kind, c.name, COALESCE(c.meeting, ''), COALESCE(t.name, ''), c.created, x.last, COALESCE(x.unread, 0)
	FROM conversations c LEFT JOIN meetings t ON t.number = c.meeting LEFT JOIN (
		SELECT r.conversation, MAX(r.id) AS last, SUM(g.sender IS NOT ?1 AND r.id > COALESCE(s.message, 0)) AS unread
		FROM readable r JOIN messages g ON g.id = r.id LEFT JOIN seen s ON s.conversation = r.conversation AND s.user = ?1
		WHERE r.reader = ?1 ` + which + ` GROUP BY r.conversation) x ON x.conversation = c.id
	WHERE (c.kind = 'meeting' AND x.last IS NOT NULL OR c.kind <> 'meeting' AND EXISTS (SELECT 1 FROM members m WHERE m.conversation = c.id AND m.user = ?1))`
}

// Conversations lists those that an account may read, the liveliest first.
func (s *Store) Conversations(ctx context.Context, user string, limit int) ([]Conversation, error) {
	list, err := rows(ctx, s, s.scanConversation, conversationQuery("")+` ORDER BY x.last DESC, c.created DESC LIMIT ?2`, user, limit)
	for i := range list {
		if err == nil {
			err = s.complete(ctx, &list[i])
		}
	}
	return list, err
}

// Conversation finds one that an account may read.
func (s *Store) Conversation(ctx context.Context, id, user string) (Conversation, error) {
	c, err := one(ctx, s, s.scanConversation, conversationQuery(`AND r.conversation = ?2`)+` AND c.id = ?2`, user, id)
	if err == nil {
		err = s.complete(ctx, &c)
	}
	return c, err
}

func (s *Store) scanConversation(r row) (c Conversation, err error) {
	var name []byte
	var meeting string
	var created int64
	var last sql.NullInt64
	if err = r.Scan(&c.ID, &c.Kind, &name, &c.Meeting, &meeting, &created, &last, &c.Unread); err != nil {
		return c, err
	}
	c.Created = time.Unix(created, 0).UTC()
	if last.Valid {
		c.Last = &Message{ID: last.Int64}
	}
	if c.Name, err = s.seal.openAs(nameOf(c.ID), name); c.Name == "" {
		c.Name = meeting
	}
	return c, err
}

// complete adds members and the last message.
func (s *Store) complete(ctx context.Context, c *Conversation) (err error) {
	c.Members, err = rows(ctx, s, func(r row) (m Member, err error) { return m, r.Scan(&m.ID, &m.Name) },
		`SELECT u.id, `+shownName+` FROM members m JOIN users u ON u.id = m.user WHERE m.conversation = ? ORDER BY 2, 1`, c.ID)
	if err == nil && c.Last != nil {
		var last Message
		last, err = one(ctx, s, s.scanMessage, messageQuery+` WHERE g.id = ?`, c.Last.ID)
		c.Last = &last
	}
	return err
}

const messageQuery = `SELECT g.id, g.conversation, COALESCE(g.sender, ''), COALESCE(` + shownName + `, ''), g.at, g.body FROM messages g LEFT JOIN users u ON u.id = g.sender`

// sealedMessage is what a message's body holds. The name is that of a sender
// without account; an account's is looked up, and so goes with it.
type sealedMessage struct {
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

func (s *Store) scanMessage(r row) (m Message, err error) {
	var at int64
	var body []byte
	if err = r.Scan(&m.ID, &m.Conversation, &m.Sender, &m.Name, &at, &body); err != nil {
		return m, err
	}
	m.At = time.UnixMilli(at).UTC()
	plain, err := s.seal.openAs(bodyOf(m.ID, m.Conversation), body)
	if err != nil {
		return m, err
	}
	var sealed sealedMessage
	err = json.Unmarshal([]byte(plain), &sealed)
	m.Text = sealed.Text
	if sealed.Name != "" {
		m.Name = sealed.Name
	}
	return m, err
}

// AddMessage keeps a message, whose ID it chooses. Name is kept of senders
// without account only.
func (s *Store) AddMessage(ctx context.Context, m Message) (Message, error) {
	sealed := sealedMessage{Text: m.Text}
	if m.Sender == "" {
		sealed.Name = m.Name
	}
	plain, err := json.Marshal(sealed)
	if err != nil {
		return m, err
	}
	m.At = m.At.UTC().Truncate(time.Millisecond)
	err = s.Atomically(ctx, func(ctx context.Context) (err error) {
		if m.ID, err = one(ctx, s, value[int64], `INSERT INTO messages (conversation, sender, at, body) VALUES (?, NULLIF(?, ''), ?, x'') RETURNING id`,
			m.Conversation, m.Sender, m.At.UnixMilli()); err != nil {
			return err
		}
		if m.Sender != "" {
			if m.Name, err = one(ctx, s, value[string], `SELECT `+shownName+` FROM users u WHERE id = ?`, m.Sender); err != nil {
				return err
			}
		}
		return s.exec(ctx, `UPDATE messages SET body = ? WHERE id = ?`, s.seal.sealAs(bodyOf(m.ID, m.Conversation), string(plain)), m.ID)
	})
	return m, err
}

// Messages lists what an account may read of a conversation, the newest first,
// before a message; 0: from the end.
func (s *Store) Messages(ctx context.Context, conversation, user string, before int64, limit int) ([]Message, error) {
	return rows(ctx, s, s.scanMessage, messageQuery+` JOIN readable r ON r.id = g.id WHERE r.conversation = ?1 AND r.reader = ?2 AND (?3 = 0 OR g.id < ?3)
		ORDER BY g.id DESC LIMIT ?4`, conversation, user, before, limit)
}

// RemoveMessage erases a message that the account has sent.
func (s *Store) RemoveMessage(ctx context.Context, conversation string, id int64, sender string) error {
	return s.exec(ctx, `DELETE FROM messages WHERE id = ? AND conversation = ? AND sender = ?`, id, conversation, sender)
}

// See notes how far an account has read.
func (s *Store) See(ctx context.Context, conversation, user string, message int64) error {
	return s.run(ctx, `INSERT INTO seen (conversation, user, message) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET message = MAX(message, excluded.message)`, conversation, user, message)
}

// Readers are the accounts that may read a message.
func (s *Store) Readers(ctx context.Context, message int64) ([]string, error) {
	return rows(ctx, s, value[string], `SELECT reader FROM readable WHERE id = ?`, message)
}

// PurgeChat erases messages from before a time, and what only they had need of.
func (s *Store) PurgeChat(ctx context.Context, before time.Time) error {
	for _, q := range []string{
		`DELETE FROM messages WHERE at < ?1`,
		`DELETE FROM stays WHERE finish <> 0 AND finish < ?1`,
		`DELETE FROM conversations WHERE kind = 'meeting' AND created < ?1 / 1000 AND NOT EXISTS (SELECT 1 FROM messages g WHERE g.conversation = conversations.id)
			AND NOT EXISTS (SELECT 1 FROM stays s WHERE s.conversation = conversations.id AND s.finish = 0)`,
	} {
		if err := s.run(ctx, q, before.UnixMilli()); err != nil {
			return err
		}
	}
	return s.run(ctx, forsaken)
}
