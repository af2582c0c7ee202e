package store

import (
	"context"
	"errors"
	"time"
)

// maxPending is how many sign-ups may wait for approval.
const maxPending = 1000

// SignUp keeps an account that waits for approval: disabled, until a superuser
// enables it. It takes the same time and answers the same if the address is
// taken already. [ErrTooMany]: as many wait as may.
func (s *Store) SignUp(ctx context.Context, email, displayName, password string) error {
	phc, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.exec(ctx, `INSERT INTO users (id, email, display_name, password, role, disabled, pending, created)
		SELECT ?, ?, ?, ?, ?, 1, 1, ? WHERE (SELECT count(*) FROM users WHERE pending) < ?`,
		NewSecret(), email, displayName, phc, RoleUser, time.Now().Unix(), maxPending)
	switch {
	case errors.Is(err, ErrExists):
		return nil
	case errors.Is(err, ErrNotFound):
		return ErrTooMany
	}
	return err
}

// PurgeSignUps removes sign-ups made before a time that nobody has approved.
func (s *Store) PurgeSignUps(ctx context.Context, before time.Time) error {
	return s.run(ctx, `DELETE FROM users WHERE pending AND created < ?`, before.Unix())
}
