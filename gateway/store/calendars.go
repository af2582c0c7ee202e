package store

import "context"

// NewCalendar makes the secret of an account's calendar address; the one before
// is good no more.
func (s *Store) NewCalendar(ctx context.Context, user string) (secret string, err error) {
	secret = NewSecret()
	return secret, s.exec(ctx, `INSERT INTO calendars (user, hash) VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET hash = excluded.hash`, user, hashToken(secret))
}

// RemoveCalendar ends an account's calendar address.
func (s *Store) RemoveCalendar(ctx context.Context, user string) error {
	return s.exec(ctx, `DELETE FROM calendars WHERE user = ?`, user)
}

// CalendarOf finds the account whose calendar address has this secret.
func (s *Store) CalendarOf(ctx context.Context, secret string) (User, error) {
	id, err := one(ctx, s, value[string], `SELECT user FROM calendars WHERE hash = ?`, hashToken(secret))
	if err != nil {
		return User{}, err
	}
	return s.User(ctx, id)
}
