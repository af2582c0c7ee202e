package store

import (
	"context"
	"errors"
	"time"
)

// Passkey is a WebAuthn credential of an account: its public half.
type Passkey struct {
	ID         string    `json:"id"`
	User       string    `json:"-"`
	Name       string    `json:"name"`
	Host       string    `json:"host" doc:"host name of this gateway that it is for"`
	Handle     []byte    `json:"-"` // credential id
	Credential []byte    `json:"-"` // JSON, as the WebAuthn library keeps it
	Created    time.Time `json:"created"`
	Used       time.Time `json:"used,omitzero" doc:"day of its last use"`
}

// maxPasskeys is how many an account may have.
const maxPasskeys = 20

// ErrTooMany says that there are as many as there may be.
var ErrTooMany = errors.New("too many")

// ErrNeeded says that something cannot be removed while something else needs it.
var ErrNeeded = errors.New("still needed")

// AddPasskey keeps a new passkey.
func (s *Store) AddPasskey(ctx context.Context, p Passkey) (Passkey, error) {
	p.ID, p.Created = NewSecret(), time.Now().UTC().Truncate(time.Second)
	err := s.exec(ctx, `INSERT INTO passkeys (id, user, name, host, handle, credential, created, used)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0 WHERE (SELECT count(*) FROM passkeys WHERE user = ?2) < ?8`,
		p.ID, p.User, p.Name, p.Host, p.Handle, string(p.Credential), p.Created.Unix(), maxPasskeys)
	if errors.Is(err, ErrNotFound) {
		err = ErrTooMany
	}
	return p, err
}

// Passkeys lists the passkeys of an account.
func (s *Store) Passkeys(ctx context.Context, user string) ([]Passkey, error) {
	return rows(ctx, s, func(r row) (p Passkey, err error) {
		var created, used int64
		err = r.Scan(&p.ID, &p.User, &p.Name, &p.Host, &p.Handle, &p.Credential, &created, &used)
		p.Created = time.Unix(created, 0).UTC()
		if used != 0 {
			p.Used = time.Unix(used, 0).UTC()
		}
		return p, err
	}, `SELECT id, user, name, host, handle, credential, created, used FROM passkeys WHERE user = ? ORDER BY created, id`, user)
}

// RenamePasskey gives a passkey of an account another name.
func (s *Store) RenamePasskey(ctx context.Context, user, id, name string) error {
	return s.exec(ctx, `UPDATE passkeys SET name = ? WHERE id = ? AND user = ?`, name, id, user)
}

// UsedPasskey notes the day, and what the credential has become.
func (s *Store) UsedPasskey(ctx context.Context, p Passkey) error {
	day := time.Now().UTC().Truncate(24 * time.Hour)
	return s.exec(ctx, `UPDATE passkeys SET credential = ?, used = ? WHERE id = ?`, string(p.Credential), day.Unix(), p.ID)
}

// RemovePasskey removes a passkey of an account; not the last one while it is
// asked for at sign-in: [ErrNeeded].
func (s *Store) RemovePasskey(ctx context.Context, user, id string) error {
	err := s.exec(ctx, `DELETE FROM passkeys WHERE id = ?1 AND user = ?2
		AND ((SELECT count(*) FROM passkeys WHERE user = ?2) > 1 OR NOT (SELECT second_factor FROM users WHERE id = ?2))`, id, user)
	if errors.Is(err, ErrNotFound) {
		if all, _ := s.Passkeys(ctx, user); len(all) == 1 && all[0].ID == id {
			return ErrNeeded
		}
	}
	return err
}

// SecondFactor sets whether a passkey is asked for after the password. There
// must be one: [ErrNeeded].
func (s *Store) SecondFactor(ctx context.Context, user string, on bool) error {
	err := s.exec(ctx, `UPDATE users SET second_factor = ?1 WHERE id = ?2 AND (NOT ?1 OR EXISTS (SELECT 1 FROM passkeys WHERE user = ?2))`, on, user)
	if on && errors.Is(err, ErrNotFound) {
		err = ErrNeeded
	}
	return err
}

// RemovePasskeys removes all passkeys of an account, so that sign-in asks for
// none.
func (s *Store) RemovePasskeys(ctx context.Context, user string) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		if err := s.SecondFactor(ctx, user, false); err != nil {
			return err
		}
		return s.run(ctx, `DELETE FROM passkeys WHERE user = ?`, user)
	})
}
