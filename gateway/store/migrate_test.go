package store

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// old makes a database as the program of that schema did, with a row in each of
// the tables that it had.
func old(t *testing.T, dir string, schema int64) {
	t.Helper()
	seal, err := openSealer(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "bridgehead.db")+"?_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, _ := fs.Sub(migrations, "migrations")
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatalf("schema %d: %s: %v", schema, query, err)
		}
	}
	do(`INSERT INTO users (id, email, display_name, password, role, created) VALUES ('u', 'ann@example.org', 'Ann', ?, 'administrator', 1700000000)`, hashPassword("a good password"))
	do(`INSERT INTO tokens (hash, id, user, name, created, expires) VALUES (?, 't', 'u', 'script', 1700000000, 0)`, hashToken("bh_secret"))
	do(`INSERT INTO meetings (number, name, kind, hidden, host_passcode, guest_passcode, admission, encrypted_only, max_participants, owner, created)
		VALUES ('7001', 'Team', 'permanent', 1, ?, NULL, 'accept', 1, 5, 'u', 1700000000)`, seal.seal("99887766"))
	do(`INSERT INTO trunks (id, name, settings, password) VALUES ('l', 'line', '{"mode":"register","transport":"tls","host":"sip.example.org"}', ?)`, seal.seal("line secret"))
	do(`INSERT INTO numbers (number, trunk, target, settings) VALUES ('+15550100', 'line', 'reception', '{"number":"+15550100","trunk":"line","target":"reception"}')`)
	do(`INSERT INTO devices (id, user, password, name, extension, created) VALUES ('d', 'room1', ?, 'Room 1', '201', 1700000000)`, seal.seal("long enough"))
	do(`INSERT INTO calls (id, started, ended, protocol, direction, caller, called, source, meeting, trunk, code, detail, ladder)
		VALUES ('c', 1700000000000, 1700000060000, 'sip', 'in', 'bob', '7001', '192.0.2.1', '7001', '', 'normal', '{"name":"Bob"}', '[{"what":"INVITE"}]')`)
	do(`INSERT INTO retired (number, at) VALUES ('7002', ?)`, 4000000000)
	if schema >= 4 {
		do(`INSERT INTO audit (at, actor, name, source, act, object, detail) VALUES (1700000000, 'u', 'ann@example.org', '192.0.2.1', 'add-meeting', '7001', 'name')`)
	}
}

func schemas(t *testing.T) (list []int64) {
	t.Helper()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		n, err := goose.NumericComponent(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

// Whatever version was run before, nothing is lost by the next.
func TestEverySchemaIsBroughtUpToDate(t *testing.T) {
	for _, schema := range schemas(t) {
		dir := t.TempDir()
		old(t, dir, schema)
		s, ctx := open(t, dir), t.Context()
		u, err1 := s.CheckPassword(ctx, "ann@example.org", "a good password")
		_, err2 := s.Authenticate(ctx, "bh_secret")
		m, err3 := s.Meeting(ctx, "7001")
		trunk, err4 := s.Trunk(ctx, "line")
		number, err5 := s.Number(ctx, "+15550100")
		device, err6 := s.Device(ctx, "201")
		call, err7 := s.Call(ctx, "c")
		err8 := s.Check(ctx)
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
			if err != nil {
				t.Errorf("from schema %d: %v", schema, err)
			}
		}
		if u.Role != RoleAdministrator || m.Admission != "accept" || m.HostPasscode != "99887766" || !m.Hidden || m.MaxParticipants != 5 || m.Owner != "u" ||
			trunk.Password != "line secret" || trunk.Host != "sip.example.org" || number.Target != "reception" || device.Password != "long enough" || call.Detail.Name != "Bob" || len(call.Ladder) != 1 {
			t.Errorf("from schema %d: %+v %+v %+v %+v %+v %+v", schema, u, m, trunk, number, device, call)
		}
		if _, err := s.AddMeeting(ctx, Meeting{Number: "7002", Kind: "permanent"}); err != ErrExists {
			t.Errorf("from schema %d: a resting number is given out: %v", schema, err)
		}
		if acts, err := s.Acts(ctx, 0, 10); err != nil || schema >= 4 && len(acts) != 1 {
			t.Errorf("from schema %d: audit %v, %v", schema, acts, err)
		}
	}
}

// Who only looks changes nothing.
func TestOldSchemaIsLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	old(t, dir, 12)
	for range 2 {
		if _, err := OpenAsIs(t.Context(), dir); err != ErrOutdated {
			t.Fatal(err)
		}
	}
	open(t, dir)
	s, err := OpenAsIs(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// An older program does not touch what it does not understand.
func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("opened: %v", err)
	}
}
