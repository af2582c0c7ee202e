package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// people adds accounts by name and returns their ids.
func (s *Store) people(t *testing.T, names ...string) (ids []string) {
	t.Helper()
	for _, n := range names {
		u, err := s.AddUser(t.Context(), User{Email: n + "@example.org", Role: RoleUser}, "a good password")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	return ids
}

func (s *Store) say(t *testing.T, conversation, sender, text string) Message {
	t.Helper()
	m, err := s.AddMessage(t.Context(), Message{Conversation: conversation, Sender: sender, Text: text, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reads are the texts that an account finds in a conversation, oldest first.
func (s *Store) reads(t *testing.T, conversation, user string) (texts []string) {
	t.Helper()
	list, err := s.Messages(t.Context(), conversation, user, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		texts = append(texts, m.Text)
	}
	slices.Reverse(texts)
	return texts
}

func TestP89MessagesAreSealed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	p := s.people(t, "anna", "bert")
	id, err := s.AddConversation(t.Context(), "group", "the name of the group", p)
	if err != nil {
		t.Fatal(err)
	}
	first, second := s.say(t, id, p[0], "a very secret line"), s.say(t, id, p[1], "an answer")
	if _, err := s.AddMessage(t.Context(), Message{Conversation: id, Name: "Walter Guest", Text: "hello", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := s.reads(t, id, p[1]); !slices.Equal(got, []string{"a very secret line", "an answer", "hello"}) {
		t.Errorf("read %q", got)
	}
	for _, f := range []string{"bridgehead.db", "bridgehead.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		for _, clear := range []string{"secret line", "an answer", "name of the group", "Walter Guest"} {
			if bytes.Contains(data, []byte(clear)) {
				t.Errorf("%s has %q in clear", f, clear)
			}
		}
	}
	// A body in another row, or another conversation, does not open.
	if _, err := s.db.Exec(`UPDATE messages SET body = (SELECT body FROM messages WHERE id = ?) WHERE id = ?`, first.ID, second.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Messages(t.Context(), id, p[0], 0, 10); err == nil {
		t.Error("a swapped body was read")
	}
}

func TestChatOfTwoIsOne(t *testing.T) {
	s := open(t, t.TempDir())
	p := s.people(t, "anna", "bert", "carl")
	ab, err := s.AddConversation(t.Context(), "direct", "", p[:2])
	if err != nil {
		t.Fatal(err)
	}
	if ba, err := s.AddConversation(t.Context(), "direct", "", []string{p[1], p[0]}); err != nil || ba != ab {
		t.Errorf("the other way it is %s, not %s, %v", ba, ab, err)
	}
	if _, err := s.AddConversation(t.Context(), "direct", "", []string{p[0], "nobody"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("with nobody: %v", err)
	}
	if c, err := s.Conversation(t.Context(), ab, p[2]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a third reads %v, %v", c, err)
	}
	s.say(t, ab, p[0], "one")
	last := s.say(t, ab, p[0], "two")
	c, err := s.Conversation(t.Context(), ab, p[1])
	if err != nil || c.Unread != 2 || c.Last.Text != "two" || len(c.Members) != 2 || c.Members[0].Name != "anna" {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.See(t.Context(), ab, p[1], last.ID); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Conversations(t.Context(), p[1], 10); err != nil || len(list) != 1 || list[0].Unread != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if own, _ := s.Conversation(t.Context(), ab, p[0]); own.Unread != 0 {
		t.Errorf("own messages are unread: %d", own.Unread)
	}
}

func TestGroupMembersReadFromWhenTheyCame(t *testing.T) {
	s := open(t, t.TempDir())
	p := s.people(t, "anna", "bert", "carl")
	id, _ := s.AddConversation(t.Context(), "group", "", p[:2])
	s.say(t, id, p[0], "before")
	if err := s.AddMembers(t.Context(), id, p[2:]); err != nil {
		t.Fatal(err)
	}
	s.say(t, id, p[0], "after")
	if got := s.reads(t, id, p[2]); !slices.Equal(got, []string{"after"}) {
		t.Errorf("the newcomer reads %q", got)
	}
	for _, x := range p {
		if err := s.LeaveConversation(t.Context(), id, x); err != nil {
			t.Fatal(err)
		}
		if got := s.reads(t, id, x); got != nil {
			t.Errorf("who has left reads %q", got)
		}
	}
	if n := s.count(t, "conversations") + s.count(t, "messages"); n != 0 {
		t.Errorf("%d rows stay when nobody is left", n)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	var ids []string
	for i := range MaxMembers + 1 {
		ids = append(ids, fmt.Sprint("id", i))
		if _, err := s.db.Exec(`INSERT INTO users (id, email, display_name, password, role, created) VALUES (?1, ?1, '', '', 'user', 0)`, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddConversation(t.Context(), "group", "", ids); !errors.Is(err, ErrMembers) {
		t.Errorf("too many: %v", err)
	}
	id, err := s.AddConversation(t.Context(), "group", "", ids[1:])
	if err != nil {
		t.Errorf("as many as may: %v", err)
	}
	if err := s.AddMembers(t.Context(), id, ids); !errors.Is(err, ErrMembers) {
		t.Errorf("one more: %v", err)
	}
}

func (s *Store) count(t *testing.T, table string) (n int) {
	t.Helper()
	if err := s.db.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of a meeting's chat its owner reads all, others what was said while they were
// there; it goes with the meeting.
func TestMeetingChatIsForThoseWhoWereThere(t *testing.T) {
	s := open(t, t.TempDir())
	p := s.people(t, "owner", "bert", "carl")
	if _, err := s.AddMeeting(t.Context(), Meeting{Number: "1000", Name: "Board", Kind: "permanent", Admission: "open", Owner: p[0]}); err != nil {
		t.Fatal(err)
	}
	id, err := s.MeetingConversation(t.Context(), "1000")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	say := func(after time.Duration, text string) {
		t.Helper()
		if _, err := s.AddMessage(t.Context(), Message{Conversation: id, Name: "Guest", Text: text, At: at.Add(after)}); err != nil {
			t.Fatal(err)
		}
	}
	say(1*time.Minute, "one")
	_ = s.BeginStay(t.Context(), id, p[1], at.Add(2*time.Minute))
	say(3*time.Minute, "two")
	_ = s.EndStay(t.Context(), id, p[1], at.Add(4*time.Minute))
	say(5*time.Minute, "three")
	for i, want := range [][]string{{"one", "two", "three"}, {"two"}, nil} {
		if got := s.reads(t, id, p[i]); !slices.Equal(got, want) {
			t.Errorf("account %d reads %q, want %q", i, got, want)
		}
	}
	if _, err := s.Conversation(t.Context(), id, p[2]); !errors.Is(err, ErrNotFound) {
		t.Errorf("who was never there: %v", err)
	}
	if c, err := s.Conversation(t.Context(), id, p[1]); err != nil || c.Name != "Board" || c.Last.Text != "two" || c.Unread != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.RemoveMeeting(t.Context(), "1000"); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, "messages") + s.count(t, "stays") + s.count(t, "conversations"); n != 0 {
		t.Errorf("%d rows stay", n)
	}
}

func TestP78ChatLosesTheNameOfWhoIsErased(t *testing.T) {
	s := open(t, t.TempDir())
	p := s.people(t, "anna", "bert")
	id, _ := s.AddConversation(t.Context(), "direct", "", p)
	s.say(t, id, p[0], "from anna")
	_ = s.See(t.Context(), id, p[0], 1)
	if err := s.RemoveUser(t.Context(), p[0]); err != nil {
		t.Fatal(err)
	}
	list, err := s.Messages(t.Context(), id, p[1], 0, 10)
	if err != nil || len(list) != 1 || list[0].Sender != "" || list[0].Name != "" || list[0].Text != "from anna" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, column := range []string{"members.user", "stays.user", "seen.user", "messages.sender"} {
		table, name, _ := strings.Cut(column, ".")
		var n int
		if err := s.db.QueryRow(`SELECT COUNT(*) FROM `+table+` WHERE `+name+` = ?`, p[0]).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s still has the account: %d, %v", column, n, err)
		}
	}
}

func TestChatIsPurged(t *testing.T) {
	s := open(t, t.TempDir())
	p := s.people(t, "anna", "bert")
	id, _ := s.AddConversation(t.Context(), "direct", "", p)
	now := time.Now()
	for i, days := range []int{40, 31, 29, 0} {
		if _, err := s.AddMessage(t.Context(), Message{Conversation: id, Sender: p[0], Text: fmt.Sprint(i), At: now.AddDate(0, 0, -days)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PurgeChat(t.Context(), now.AddDate(0, 0, -30)); err != nil {
		t.Fatal(err)
	}
	if got := s.reads(t, id, p[1]); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("kept are %q", got)
	}
}

func TestSettings(t *testing.T) {
	s := open(t, t.TempDir())
	v := map[string]bool{"on": true}
	if err := s.Setting(t.Context(), "x", &v); err != nil || !v["on"] {
		t.Errorf("%v, %v", v, err)
	}
	before, _ := s.Version(t.Context())
	if err := s.Set(t.Context(), "x", map[string]bool{"on": false}); err != nil {
		t.Fatal(err)
	}
	if err := s.Setting(t.Context(), "x", &v); err != nil || v["on"] {
		t.Errorf("%v, %v", v, err)
	}
	if after, _ := s.Version(t.Context()); after == before {
		t.Error("another process does not notice the change")
	}
}
