package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMeetingComesBackWithItsPasscodes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	in := Meeting{Number: "7001", Name: "Team", Kind: "permanent", HostPasscode: "99887766", GuestPasscode: "12345678", Admission: "accept", MaxParticipants: 5, Layout: "1+7",
		WaitForHost: true, MuteOnEntry: true, Quiet: true, Schedule: Schedule{time.Date(2026, 3, 5, 9, 30, 0, 0, berlin(t)), 45, Weekly}}
	host, err := s.AddUser(t.Context(), User{Email: "host@example.org", Role: RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	in.Hosts = []string{host.ID}
	if _, err := s.AddMeeting(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddMeeting(t.Context(), in); !errors.Is(err, ErrExists) {
		t.Errorf("a second one gives %v", err)
	}
	s.Close()
	got, err := open(t, dir).Meeting(t.Context(), "7001")
	in.Created = got.Created
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Nothing that is a secret lies in the files in clear.
func TestSecretsAreNotInTheFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ctx := t.Context()
	secrets := []string{"99887766", "trunk-pa55word", "device-pa55word", "user-pa55word"}
	u, err := s.AddUser(ctx, User{Email: "a@example.org", Role: RoleUser}, secrets[3])
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.AddToken(ctx, u.ID, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := s.AddMeeting(ctx, Meeting{Number: "1", Kind: "permanent", Admission: "open", HostPasscode: secrets[0]})
	_, err2 := s.AddTrunk(ctx, Trunk{Name: "t", Password: secrets[1]})
	_, err3 := s.AddDevice(ctx, Device{User: "d", Password: secrets[2]})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	s.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(secrets, token) {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q in clear", filepath.Base(f), secret)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "secret.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret.key has mode %v, %v", info.Mode(), err)
	}
	again := open(t, dir)
	if d, err := again.Device(ctx, "d"); err != nil || d.Password != secrets[2] {
		t.Errorf("the device's password comes back as %q, %v", d.Password, err)
	}
}

func TestForeignKeyIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.AddMeeting(t.Context(), Meeting{Number: "1", Kind: "permanent", Admission: "open", HostPasscode: "1234"}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "secret.key"), make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Meeting(t.Context(), "1"); err == nil {
		t.Error("another key opened the passcode")
	}
}

func TestPasswordsAndTokens(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	u, err := s.AddUser(ctx, User{Email: "Ann@example.org", Role: RoleAdministrator}, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckPassword(ctx, "ann@example.org", "correct horse"); err != nil {
		t.Errorf("the right password, with the address in small letters: %v", err)
	}
	for _, c := range [][2]string{{"ann@example.org", "wrong"}, {"nobody@example.org", "correct horse"}, {"", ""}} {
		if _, err := s.CheckPassword(ctx, c[0], c[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v gives %v", c, err)
		}
	}
	token, _, _ := s.AddToken(ctx, u.ID, "a", 0)
	expired, _, _ := s.AddToken(ctx, u.ID, "b", time.Nanosecond)
	if got, err := s.Authenticate(ctx, token); err != nil || got.ID != u.ID {
		t.Errorf("token gives %v, %v", got, err)
	}
	for _, bad := range []string{expired, "", "bh_guess"} {
		if _, err := s.Authenticate(ctx, bad); err == nil {
			t.Errorf("token %q was taken", bad)
		}
	}
	if err := s.SetPassword(ctx, u.ID, "another one", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(ctx, token); err == nil {
		t.Error("a token outlived the change of password")
	}
}

func TestP28NumberOfAOneTimeMeetingRests(t *testing.T) {
	s := open(t, t.TempDir())
	m := Meeting{Number: "5", Kind: "one-time", Admission: "open"}
	if _, err := s.AddMeeting(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveMeeting(t.Context(), "5"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddMeeting(t.Context(), m); !errors.Is(err, ErrExists) {
		t.Errorf("the number was given out again: %v", err)
	}
}

func TestChosenNumbersAreFreeAndLong(t *testing.T) {
	s := open(t, t.TempDir())
	seen := map[string]bool{}
	for range 50 {
		m, err := s.AddMeeting(t.Context(), Meeting{Kind: "permanent", Admission: "open"})
		if err != nil || len(m.Number) != 9 || seen[m.Number] {
			t.Fatalf("number %q, %v", m.Number, err)
		}
		seen[m.Number] = true
	}
}

func TestVersionSeesAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	serving, shell := open(t, dir), open(t, dir)
	before, err := serving.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := serving.SaveCall(t.Context(), Call{ID: "c", Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if v, _ := serving.Version(t.Context()); v != before {
		t.Error("a call record counts as a change of configuration")
	}
	if _, err := shell.AddTrunk(t.Context(), Trunk{Name: "t"}); err != nil {
		t.Fatal(err)
	}
	if v, _ := serving.Version(t.Context()); v == before {
		t.Error("the trunk was not noticed")
	}
}

func TestP80CallsAreKeptAndPurged(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	old := Call{ID: "old", Started: time.Now().AddDate(0, 0, -40), Ended: time.Now(), Code: "normal"}
	now := Call{ID: "new", Started: time.Now(), Meeting: "7", Ladder: []Step{{What: "INVITE"}}}
	for _, c := range []Call{old, now, now} {
		if err := s.SaveCall(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PurgeCalls(ctx, time.Now().AddDate(0, 0, -30)); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Calls(ctx, "", 10); err != nil || len(list) != 0 {
		t.Fatalf("ended %v, %v", list, err)
	}
	if err := s.CloseOpenCalls(ctx); err != nil {
		t.Fatal(err)
	}
	list, err := s.Calls(ctx, "", 10)
	if err != nil || len(list) != 1 || list[0].ID != "new" {
		t.Fatalf("kept %v, %v", list, err)
	}
	c, err := s.Call(ctx, "new")
	if err != nil || c.Code != "shutdown" || len(c.Ladder) != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// What a call exchanged goes before its record, and the record in its time: as
// the clock goes on, day by day, nothing is there longer than it may be.
func TestP81TracesGoBeforeRecords(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	begun := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	for _, id := range []string{"answered", "refused"} {
		c := Call{ID: id, Started: begun, Ended: begun.Add(time.Minute), Code: "normal", Ladder: []Step{{What: "INVITE", Text: "sip:ann"}}, Media: []Sample{{At: begun, Received: 250}},
			Detail: CallDetail{Findings: []Finding{{Code: "good", Text: "It went well."}}}}
		if err := s.SaveCall(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	for day := range 200 {
		now := begun.AddDate(0, 0, day).Add(time.Hour)
		if err := errors.Join(s.PurgeTraces(ctx, now.AddDate(0, 0, -30), 100), s.PurgeCalls(ctx, now.AddDate(0, 0, -180))); err != nil {
			t.Fatal(err)
		}
		c, err := s.Call(ctx, "answered")
		switch {
		case day < 30 && (err != nil || len(c.Ladder) != 1 || len(c.Media) != 1):
			t.Fatalf("day %d: %+v, %v", day, c, err)
		case day >= 30 && day < 180 && (err != nil || len(c.Ladder)+len(c.Media) != 0 || len(c.Detail.Findings) != 1):
			t.Fatalf("day %d: the trace is there, or the record is not: %+v, %v", day, c, err)
		case day >= 180 && !errors.Is(err, ErrNotFound):
			t.Fatalf("day %d: %+v, %v", day, c, err)
		}
	}
}

// What is purged is not in the files any more either.
func TestP81WhatIsPurgedLeavesTheDisk(t *testing.T) {
	dir := t.TempDir()
	s, ctx := open(t, dir), t.Context()
	secret := strings.Repeat("INVITE sip:somebody@example.org ", 500)
	c := Call{ID: "a", Started: time.Now().AddDate(0, 0, -40), Ended: time.Now(), Ladder: []Step{{What: "INVITE", Text: secret}}}
	if err := s.SaveCall(ctx, c); err != nil {
		t.Fatal(err)
	}
	there := func() (n int) {
		files, _ := filepath.Glob(filepath.Join(dir, "bridgehead.db*"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			n += bytes.Count(b, []byte("somebody@example.org"))
		}
		return n
	}
	if there() == 0 {
		t.Fatal("it was never there")
	}
	if err := errors.Join(s.PurgeTraces(ctx, time.Now().AddDate(0, 0, -30), 100), s.Forget(ctx)); err != nil {
		t.Fatal(err)
	}
	if n := there(); n != 0 {
		t.Errorf("it is still there %d times", n)
	}
}

// However many attempts there are in the days that traces are kept, only the
// newest keep theirs.
func TestTracesAreARing(t *testing.T) {
	s, ctx := open(t, t.TempDir()), t.Context()
	begun := time.Now()
	for i := range 20 {
		if err := s.SaveCall(ctx, Call{ID: fmt.Sprint(i), Started: begun.Add(time.Duration(i) * time.Second), Ended: begun, Ladder: []Step{{What: "INVITE"}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PurgeTraces(ctx, begun.AddDate(0, 0, -30), 5); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if c, err := s.Call(ctx, fmt.Sprint(i)); err != nil || (len(c.Ladder) > 0) != (i >= 15) {
			t.Errorf("call %d: %v, %v", i, c.Ladder, err)
		}
	}
}

// Several writers at once wait for one another.
func TestWritersDoNotFail(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			s := a
			if i%2 == 0 {
				s = b
			}
			if _, err := s.AddMeeting(t.Context(), Meeting{Kind: "permanent", Admission: "open"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestP81AuditLogIsPurged(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Audit(t.Context(), Act{Act: "add-user"}); err != nil {
		t.Fatal(err)
	}
	for i, before := range []time.Duration{-time.Hour, time.Hour} {
		if err := s.PurgeActs(t.Context(), time.Now().Add(before)); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Acts(t.Context(), 0, 10); err != nil || len(list) != 1-i {
			t.Errorf("purged of what is older than %v: %v, %v", before, list, err)
		}
	}
}

// tables lists the rows of every table as text.
func tables(t *testing.T, s *Store) (text string) {
	t.Helper()
	names, err := rows(t.Context(), s, func(r row) (n string, err error) { return n, r.Scan(&n) }, `SELECT name FROM sqlite_master WHERE type = 'table'`)
	if err != nil || len(names) < 9 {
		t.Fatalf("tables %v, %v", names, err)
	}
	for _, name := range names {
		r, err := s.db.QueryContext(t.Context(), `SELECT * FROM "`+name+`"`)
		if err != nil {
			t.Fatal(err)
		}
		columns, _ := r.Columns()
		for r.Next() {
			fields := make([]any, len(columns))
			for i := range fields {
				fields[i] = new(any)
			}
			if err := r.Scan(fields...); err != nil {
				t.Fatal(err)
			}
			text += name
			for _, f := range fields {
				text += fmt.Sprintf(" %v", *f.(*any))
			}
			text += "\n"
		}
		r.Close()
	}
	return text
}

func TestP78ErasureLeavesNothingOfThePerson(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	u, err := s.AddUser(ctx, User{Email: "Ann.Example@example.org", DisplayName: "Ann Example", Role: RoleUser}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err1 := s.AddToken(ctx, u.ID, "phone of Ann Example", 0)
	_, err2 := s.AddMeeting(ctx, Meeting{Number: "7", Kind: "permanent", Admission: "open", Owner: u.ID})
	err3 := s.Audit(ctx, Act{Actor: u.ID, Name: u.Email, Act: "add-meeting", Object: "7"})
	err4 := s.Audit(ctx, Act{Name: "command line", Act: "add-user", Object: "ann.example@example.org"})
	err5 := s.Audit(ctx, Act{Name: "somebody", Act: "change-user", Object: "users/ann.example@example.org"})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	if before := strings.ToLower(tables(t, s)); strings.Count(before, "ann.example@example.org") != 4 {
		t.Fatalf("before:\n%s", before)
	}
	if err := s.RemoveUser(ctx, "ann.example@example.org"); err != nil {
		t.Fatal(err)
	}
	after := strings.ToLower(tables(t, s))
	if strings.Contains(after, "ann.example") || strings.Contains(after, "ann example") {
		t.Errorf("after:\n%s", after)
	}
	if list, _ := s.Acts(ctx, 0, 10); len(list) != 3 {
		t.Errorf("of three acts, %d are left", len(list))
	}
	if err := s.RemoveUser(ctx, u.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

// What is kept about people is these columns; a new one is a decision that
// belongs here.
func TestP82WhatIsKeptAboutPeopleIsMinimal(t *testing.T) {
	s := open(t, t.TempDir())
	for table, want := range map[string]string{
		"users":    "id email display_name password role created hidden disabled second_factor pending",
		"tokens":   "hash id user name created expires session agent used",
		"passkeys": "id user name host handle credential created used",
		"grouped":  "group user device",
		"devices":  "id user password name extension created hidden owner",
		"audit":    "id at actor name source act object detail",
	} {
		got, err := rows(t.Context(), s, func(r row) (n string, err error) { return n, r.Scan(&n) }, `SELECT name FROM pragma_table_info(?)`, table)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s has %v, want %s; %v", table, got, want, err)
		}
	}
}

// Every table that refers to accounts is in the export, and what it holds of
// one goes with it or is nobody's.
func TestP78ExportAndErasureKnowEveryTable(t *testing.T) {
	s := open(t, t.TempDir())
	type ref struct{ table, column, gone string }
	list, err := rows(t.Context(), s, func(r row) (x ref, err error) { return x, r.Scan(&x.table, &x.column, &x.gone) },
		`SELECT m.name, f."from", f.on_delete FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND f."table" = 'users'`)
	if err != nil || len(list) < 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, x := range list {
		if x.gone != "CASCADE" && x.gone != "SET NULL" {
			t.Errorf("%s.%s keeps accounts from being erased: %s", x.table, x.column, x.gone)
		}
		exported := false
		for _, q := range exports {
			exported = exported || strings.Contains(q, " FROM "+x.table+" ")
		}
		if !exported {
			t.Errorf("%s has no row in exports", x.table)
		}
	}
}

func TestKnownBrowserIsOfOneAccountAndForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{seal: sealer{macKey: []byte("key")}}
		name, value := s.Know("ann")
		jar := map[string]string{name: value}
		find := func(name string) string { return jar[name] }
		id, ok := s.Known("ann", find)
		if again, _ := s.Known("ann", find); !ok || id == "" || id != again {
			t.Fatalf("%q, %v", id, ok)
		}
		other, _ := s.Know("bob")
		jar[other] = value
		if _, ok := s.Known("bob", find); ok {
			t.Error("the mark of another account is taken")
		}
		for _, bad := range []string{"", ".", "x", value + "0", value[1:], strings.ToUpper(value)} {
			jar[name] = bad
			if _, ok := s.Known("ann", find); ok {
				t.Errorf("%q is taken", bad)
			}
		}
		jar[name] = value
		time.Sleep(KnownFor + time.Second)
		if _, ok := s.Known("ann", find); ok {
			t.Error("it is known for ever")
		}
	})
}

// What somebody wrote to others is in their own export, and in nobody else's.
func TestP78ExportOfChatIsForItsWriter(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	var ids []string
	for _, email := range []string{"ann@example.org", "bob@example.org"} {
		u, err := s.AddUser(ctx, User{Email: email, Role: RoleUser}, "a good password")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	conversation, err := s.AddConversation(ctx, "direct", "", ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := s.AddMessage(ctx, Message{Conversation: conversation, Sender: id, Text: "by " + id, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, self := range []bool{true, false} {
		all, err := s.Export(ctx, ids[0], self)
		m := all["messages"]
		if err != nil || len(m) != 1 || len(all["members"]) != 1 || m[0]["body"] != nil {
			t.Fatalf("%v, %v", all, err)
		}
		if text, has := m[0]["text"]; has != self || self && text != "by "+ids[0] {
			t.Errorf("self %v: %v", self, m)
		}
	}
}

// However many take the right from one another at one time, one is left.
func TestOneAdministratorIsAlwaysLeft(t *testing.T) {
	s := open(t, t.TempDir())
	var ids []string
	for i := range 4 {
		u, err := s.AddUser(t.Context(), User{Email: fmt.Sprint(i, "@example.org"), Role: RoleAdministrator}, "a good password")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	var all sync.WaitGroup
	var kept atomic.Int32
	for i, id := range ids {
		all.Go(func() {
			err := error(nil)
			switch i % 3 {
			case 0:
				err = s.RemoveUser(t.Context(), id)
			case 1:
				_, err = s.ChangeUser(t.Context(), id, func(u *User) error { u.Disabled = true; return nil })
			case 2:
				_, err = s.ChangeUser(t.Context(), id, func(u *User) error { u.Role = RoleUser; return nil })
			}
			if errors.Is(err, ErrLastAdministrator) {
				kept.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if kept.Load() != 1 {
		t.Errorf("%d are kept", kept.Load())
	}
}

// What only transactions run is compiled once as well.
func TestStatementsOfTransactionsAreKept(t *testing.T) {
	s := open(t, t.TempDir())
	known := func() (n int) {
		s.statements.Range(func(any, any) bool { n++; return true })
		return n
	}
	before := known()
	for range 2 {
		if err := s.Atomically(t.Context(), func(ctx context.Context) error { return s.SaveCall(ctx, Call{ID: "c", Started: time.Now()}) }); err != nil {
			t.Fatal(err)
		}
		if n := known() - before; n != 1 {
			t.Errorf("%d statements are kept", n)
		}
	}
}
