// Package store keeps what must outlive a restart: meetings, users and their
// tokens, trunks, numbers, devices, call records and chat, in one SQLite file
// under the data directory. Secrets are hashed where they are only compared (user
// passwords by argon2id, tokens by SHA-256) and sealed with a key that lies
// beside the database where they must be had again (AES-256-GCM), as messages are.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is safe for use from any goroutine.
type Store struct {
	db         *sql.DB
	seal       sealer
	hashing    *hashing
	statements sync.Map // *sql.Stmt by query, of which there are as many as in the source
}

// The errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
)

// Open opens the database under dir, brings its schema up to date, and makes
// both database and key if they are not there.
func Open(ctx context.Context, dir string) (*Store, error) { return openFile(ctx, dir, false) }

// ErrOutdated says that a database was made by an older version.
var ErrOutdated = errors.New("the database is of an older version")

// OpenAsIs opens a database that there is, and does not bring it up to date:
// [ErrOutdated] if that were needed.
func OpenAsIs(ctx context.Context, dir string) (*Store, error) { return openFile(ctx, dir, true) }

func openFile(ctx context.Context, dir string, asIs bool) (*Store, error) {
	seal, err := openSealer(filepath.Join(dir, "secret.key"))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "bridgehead.db")
	if f, err := os.OpenFile(file, os.O_CREATE, 0o600); err == nil { // for nobody else to read
		f.Close()
	}
	// Writers of several processes (serve, and the command line beside it)
	// wait for one another instead of failing.
	dsn := "file:" + file + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(NORMAL)&_pragma=secure_delete(1)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(4)
	s := &Store{db: db, seal: seal, hashing: newHashing()}
	if err := s.migrate(ctx, asIs); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) migrate(ctx context.Context, asIs bool) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.db, dir)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	has, want, err := p.GetVersions(ctx)
	switch {
	case err == nil && has < want && asIs:
		return ErrOutdated
	case err == nil && has > want:
		return fmt.Errorf("the database was made by a newer version of Bridgehead (schema %d, this one knows %d): install that version, or restore a backup from before", has, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the database up to date: %w", err)
	}
	return nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Snapshot writes a copy of the database, as it is at one moment, to a file that
// does not exist yet.
func (s *Store) Snapshot(ctx context.Context, file string) error {
	_, err := s.db.ExecContext(ctx, `VACUUM INTO ?`, file)
	return err
}

// Check reads the whole database and says what is broken in it.
func (s *Store) Check(ctx context.Context) error {
	faults, err := rows(ctx, s, value[string], `PRAGMA integrity_check`)
	if err != nil {
		return err
	}
	if len(faults) != 1 || faults[0] != "ok" {
		return fmt.Errorf("the database is damaged: %s", strings.Join(faults, "; "))
	}
	broken, err := rows(ctx, s, func(r row) (table string, err error) {
		return table, r.Scan(&table, new(any), new(any), new(any))
	}, `PRAGMA foreign_key_check`)
	if err == nil && len(broken) > 0 {
		err = fmt.Errorf("rows of %s point nowhere", strings.Join(broken, ", "))
	}
	return err
}

// Version changes whenever anything configured does, by whichever process.
func (s *Store) Version(ctx context.Context) (n int64, err error) {
	return one(ctx, s, value[int64], `SELECT n FROM changes`)
}

// prepared is a statement compiled once: that costs more than to carry it out.
// Whoever asks does not wait long enough to change their mind, and a context
// that can end costs two goroutines each time: do and one go without.
// A transaction compiles on its own connection, since it must not wait for
// another one; what it was the first to need is compiled for the next ones once it
// is over.
func (s *Store) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	tx, _ := ctx.Value(inside{}).(*transaction)
	known, ok := s.statements.Load(query)
	switch {
	case ok && tx != nil:
		return tx.StmtContext(ctx, known.(*sql.Stmt)), nil
	case tx != nil:
		tx.fresh = append(tx.fresh, query)
		return tx.PrepareContext(ctx, query)
	case ok:
		return known.(*sql.Stmt), nil
	}
	st, err := s.db.Prepare(query)
	if err != nil {
		return nil, err
	}
	if first, had := s.statements.LoadOrStore(query, st); had {
		st.Close()
		st = first.(*sql.Stmt)
	}
	return st, nil
}

// inside is the key of the transaction that a context carries.
type inside struct{}

type transaction struct {
	*sql.Tx
	fresh []string // queries that were not compiled before
}

// Atomically runs f; all that it does with its context is kept together, or,
// when it fails or the process ends before, nothing of it.
func (s *Store) Atomically(ctx context.Context, f func(context.Context) error) error {
	if ctx.Value(inside{}) != nil {
		return f(ctx)
	}
	begun, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	tx := &transaction{Tx: begun}
	defer tx.Rollback()
	if err := f(context.WithValue(ctx, inside{}, tx)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, query := range tx.fresh {
		_, _ = s.prepared(ctx, query) // else the next one tries again
	}
	return nil
}

// do runs a statement, and tells how many rows it has changed.
func (s *Store) do(ctx context.Context, query string, args ...any) (n int64, err error) {
	st, err := s.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		if strings.Contains(err.Error(), "UNIQUE constraint") || strings.Contains(err.Error(), "PRIMARY KEY constraint") {
			err = ErrExists
		}
		return 0, err
	}
	return r.RowsAffected()
}

// exec runs a statement that must change a row: else it is [ErrNotFound].
func (s *Store) exec(ctx context.Context, query string, args ...any) error {
	n, err := s.do(ctx, query, args...)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// run runs a statement that may find nothing to change.
func (s *Store) run(ctx context.Context, query string, args ...any) error {
	_, err := s.do(ctx, query, args...)
	return err
}

// rows reads all rows of a query by scan.
func rows[T any](ctx context.Context, s *Store, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	st, err := s.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list := []T{}
	for r.Next() {
		x, err := scan(r)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, r.Err()
}

// one reads the only row of a query.
func one[T any](ctx context.Context, s *Store, scan func(row) (T, error), query string, args ...any) (x T, err error) {
	st, err := s.prepared(ctx, query)
	if err != nil {
		return x, err
	}
	if x, err = scan(st.QueryRowContext(context.WithoutCancel(ctx), args...)); errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return x, err
}

// value scans a row of one column.
func value[T any](r row) (x T, err error) { return x, r.Scan(&x) }

type row interface{ Scan(...any) error }
