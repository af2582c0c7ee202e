package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Meeting is a meeting as it is kept. The passcodes are in clear here and
// sealed in the database.
type Meeting struct {
	Number          string
	Name            string
	Kind            string // permanent or one-time
	Hidden          bool
	HostPasscode    string
	GuestPasscode   string
	Admission       string // open or accept
	EncryptedOnly   bool
	MaxParticipants int
	Layout          string // of composed pictures; empty: as configured
	Presenting      string // take-over or empty: who begins to present takes over; keep: who presents stays
	Owner           string
	Created         time.Time
}

// OneTime tells a meeting that is deleted when it ends.
func (m Meeting) OneTime() bool { return m.Kind == "one-time" }

// retiredFor is how long the number of a one-time meeting is not given out.
const retiredFor = 30 * 24 * time.Hour

// AddMeeting keeps a new meeting; without a Number one is chosen.
func (s *Store) AddMeeting(ctx context.Context, m Meeting) (Meeting, error) {
	m.Created = time.Now().UTC().Truncate(time.Second)
	if m.Number != "" {
		return m, s.insertMeeting(ctx, m)
	}
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(900_000_000))
		if err != nil {
			return m, err
		}
		// Long enough that guessing numbers leads nowhere.
		m.Number = fmt.Sprint(100_000_000 + n.Int64())
		if err := s.insertMeeting(ctx, m); !errors.Is(err, ErrExists) {
			return m, err
		}
	}
	return m, errors.New("no free meeting number found")
}

func (s *Store) insertMeeting(ctx context.Context, m Meeting) error {
	var at int64
	if err := s.db.QueryRowContext(ctx, `SELECT at FROM retired WHERE number = ?`, m.Number).Scan(&at); err == nil &&
		time.Since(time.Unix(at, 0)) < retiredFor {
		return ErrExists
	}
	return s.exec(ctx, `INSERT INTO meetings (number, name, kind, hidden, host_passcode, guest_passcode, admission, encrypted_only, max_participants, layout, presenting, owner, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, ''), ?)`, m.Number, m.Name, m.Kind, m.Hidden, s.seal.seal(m.HostPasscode), s.seal.seal(m.GuestPasscode),
		m.Admission, m.EncryptedOnly, m.MaxParticipants, m.Layout, m.Presenting, m.Owner, m.Created.Unix())
}

// UpdateMeeting changes a meeting; its number stays.
func (s *Store) UpdateMeeting(ctx context.Context, m Meeting) error {
	return s.exec(ctx, `UPDATE meetings SET name = ?, kind = ?, hidden = ?, host_passcode = ?, guest_passcode = ?, admission = ?, encrypted_only = ?, max_participants = ?, layout = ?, presenting = ?
		WHERE number = ?`, m.Name, m.Kind, m.Hidden, s.seal.seal(m.HostPasscode), s.seal.seal(m.GuestPasscode), m.Admission, m.EncryptedOnly, m.MaxParticipants, m.Layout, m.Presenting, m.Number)
}

const meetingColumns = `number, name, kind, hidden, host_passcode, guest_passcode, admission, encrypted_only, max_participants, layout, presenting, COALESCE(owner, ''), created`

func (s *Store) scanMeeting(r row) (m Meeting, err error) {
	var host, guest []byte
	var created int64
	if err = r.Scan(&m.Number, &m.Name, &m.Kind, &m.Hidden, &host, &guest, &m.Admission, &m.EncryptedOnly, &m.MaxParticipants, &m.Layout, &m.Presenting, &m.Owner, &created); err != nil {
		return m, err
	}
	m.Created = time.Unix(created, 0).UTC()
	if m.HostPasscode, err = s.seal.open(host); err != nil {
		return m, err
	}
	m.GuestPasscode, err = s.seal.open(guest)
	return m, err
}

// Meeting finds a meeting by its number.
func (s *Store) Meeting(ctx context.Context, number string) (Meeting, error) {
	return one(ctx, s, s.scanMeeting, `SELECT `+meetingColumns+` FROM meetings WHERE number = ?`, number)
}

// Meetings lists all meetings.
func (s *Store) Meetings(ctx context.Context) ([]Meeting, error) {
	return rows(ctx, s, s.scanMeeting, `SELECT `+meetingColumns+` FROM meetings ORDER BY created, number`)
}

// RemoveMeeting deletes a meeting. The number of a one-time meeting rests
// before it is given out again.
func (s *Store) RemoveMeeting(ctx context.Context, number string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO retired (number, at) SELECT number, ? FROM meetings WHERE number = ? AND kind = 'one-time'`, time.Now().Unix(), number); err != nil {
		return err
	}
	r, err := tx.ExecContext(ctx, `DELETE FROM meetings WHERE number = ?`, number)
	if err != nil {
		return err
	}
	if n, _ := r.RowsAffected(); n == 0 {
		return ErrNotFound
	}
	return tx.Commit()
}
