package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
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
	Admission       string // open, accept, accept-any or known
	WaitForHost     bool
	MuteOnEntry     bool
	Quiet           bool // comings and goings are not announced
	Schedule        Schedule
	Hosts           []string // accounts that are hosts, beside the owner
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
	if retired, err := one(ctx, s, value[int64], `SELECT at FROM retired WHERE number = ?`, m.Number); err == nil && time.Since(time.Unix(retired, 0)) < retiredFor {
		return ErrExists
	}
	at := m.Schedule
	return s.write(ctx, m, `INSERT INTO meetings (number, name, kind, hidden, host_passcode, guest_passcode, admission, encrypted_only, max_participants, layout, presenting,
		wait_for_host, mute_on_entry, quiet, starts, minutes, zone, repeats, owner, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, ''), ?)`, m.Number, m.Name, m.Kind, m.Hidden, s.seal.seal(m.HostPasscode), s.seal.seal(m.GuestPasscode),
		m.Admission, m.EncryptedOnly, m.MaxParticipants, m.Layout, m.Presenting, m.WaitForHost, m.MuteOnEntry, m.Quiet, unix(at.Start), at.Minutes, zone(at.Start), at.Repeat, m.Owner, m.Created.Unix())
}

// UpdateMeeting changes a meeting; its number and owner stay.
func (s *Store) UpdateMeeting(ctx context.Context, m Meeting) error {
	at := m.Schedule
	return s.write(ctx, m, `UPDATE meetings SET name = ?, kind = ?, hidden = ?, host_passcode = ?, guest_passcode = ?, admission = ?, encrypted_only = ?, max_participants = ?, layout = ?, presenting = ?,
		wait_for_host = ?, mute_on_entry = ?, quiet = ?, starts = ?, minutes = ?, zone = ?, repeats = ? WHERE number = ?`,
		m.Name, m.Kind, m.Hidden, s.seal.seal(m.HostPasscode), s.seal.seal(m.GuestPasscode), m.Admission, m.EncryptedOnly, m.MaxParticipants, m.Layout, m.Presenting,
		m.WaitForHost, m.MuteOnEntry, m.Quiet, unix(at.Start), at.Minutes, zone(at.Start), at.Repeat, m.Number)
}

// write carries out a statement that makes or changes a meeting, and keeps who
// else is host there.
func (s *Store) write(ctx context.Context, m Meeting, query string, args ...any) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		if err := s.exec(ctx, query, args...); err != nil {
			return err
		}
		if err := s.run(ctx, `DELETE FROM hosts WHERE meeting = ?`, m.Number); err != nil {
			return err
		}
		for _, user := range m.Hosts {
			if err := s.run(ctx, `INSERT OR IGNORE INTO hosts (meeting, user) VALUES (?, ?)`, m.Number, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// unix is a time as it is kept; 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// zone is the name of a time's zone; empty for no time.
func zone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Location().String()
}

const meetingColumns = `number, name, kind, hidden, host_passcode, guest_passcode, admission, encrypted_only, max_participants, layout, presenting,
	wait_for_host, mute_on_entry, quiet, starts, minutes, zone, repeats, COALESCE(owner, ''), created,
	COALESCE((SELECT group_concat(user, ' ') FROM hosts WHERE meeting = number), '')`

func (s *Store) scanMeeting(r row) (m Meeting, err error) {
	var host, guest []byte
	var created, starts int64
	var in, hosts string
	if err = r.Scan(&m.Number, &m.Name, &m.Kind, &m.Hidden, &host, &guest, &m.Admission, &m.EncryptedOnly, &m.MaxParticipants, &m.Layout, &m.Presenting,
		&m.WaitForHost, &m.MuteOnEntry, &m.Quiet, &starts, &m.Schedule.Minutes, &in, &m.Schedule.Repeat, &m.Owner, &created, &hosts); err != nil {
		return m, err
	}
	m.Created = time.Unix(created, 0).UTC()
	if hosts != "" {
		m.Hosts = strings.Fields(hosts)
	}
	if starts != 0 {
		place, err := time.LoadLocation(in)
		if err != nil {
			place = time.UTC
		}
		m.Schedule.Start = time.Unix(starts, 0).In(place)
	}
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
	return s.Atomically(ctx, func(ctx context.Context) error {
		err := s.run(ctx, `INSERT OR REPLACE INTO retired (number, at) SELECT number, ? FROM meetings WHERE number = ? AND kind = 'one-time'`, time.Now().Unix(), number)
		if err != nil {
			return err
		}
		return s.exec(ctx, `DELETE FROM meetings WHERE number = ?`, number)
	})
}
