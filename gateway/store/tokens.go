package store

import (
	"context"
	"time"
)

// Token is a key to the API: of a program, or of a browser that signed in,
// which makes it a session.
type Token struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Name    string    `json:"name"`
	Session bool      `json:"session"`
	Agent   string    `json:"agent,omitempty" doc:"kind of browser and system"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero" doc:"day of its last use"`
	Expires time.Time `json:"expires,omitzero"`
}

// AddToken makes a token of a user; the secret is returned only here. ttl 0
// never expires.
func (s *Store) AddToken(ctx context.Context, user, name string, ttl time.Duration) (secret string, t Token, err error) {
	return s.addToken(ctx, Token{User: user, Name: name}, ttl)
}

// AddSession makes the token of a browser of this kind.
func (s *Store) AddSession(ctx context.Context, user, agent string, ttl time.Duration) (secret string, t Token, err error) {
	return s.addToken(ctx, Token{User: user, Name: "session", Session: true, Agent: agent}, ttl)
}

func (s *Store) addToken(ctx context.Context, t Token, ttl time.Duration) (string, Token, error) {
	secret := "bh_" + NewSecret()
	t.ID, t.Created = NewSecret(), time.Now().UTC().Truncate(time.Second)
	var expires int64
	if ttl > 0 {
		t.Expires = t.Created.Add(ttl)
		expires = t.Expires.Unix()
	}
	return secret, t, s.exec(ctx, `INSERT INTO tokens (hash, id, user, name, session, agent, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		hashToken(secret), t.ID, t.User, t.Name, t.Session, t.Agent, t.Created.Unix(), expires)
}

const tokenColumns = `id, user, name, session, agent, created, used, expires`

func scanToken(r row) (t Token, err error) {
	var created, used, expires int64
	err = r.Scan(&t.ID, &t.User, &t.Name, &t.Session, &t.Agent, &created, &used, &expires)
	t.Created = time.Unix(created, 0).UTC()
	if used != 0 {
		t.Used = time.Unix(used, 0).UTC()
	}
	if expires != 0 {
		t.Expires = time.Unix(expires, 0).UTC()
	}
	return t, err
}

// alive is the condition of tokens that open something at the time ?1.
const alive = `(expires = 0 OR expires > ?1)`

// Tokens lists the tokens of a user; of all when empty.
func (s *Store) Tokens(ctx context.Context, user string) ([]Token, error) {
	return rows(ctx, s, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE `+alive+` AND (?2 = '' OR user = ?2) ORDER BY created`, time.Now().Unix(), user)
}

// Token finds a token by its secret, if it is valid.
func (s *Store) Token(ctx context.Context, secret string) (Token, error) {
	return one(ctx, s, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE `+alive+` AND hash = ?2`, time.Now().Unix(), hashToken(secret))
}

// RemoveToken revokes a token by its id or the secret itself.
func (s *Store) RemoveToken(ctx context.Context, idOrSecret string) error {
	return s.exec(ctx, `DELETE FROM tokens WHERE id = ? OR hash = ?`, idOrSecret, hashToken(idOrSecret))
}

// RemoveSessions signs a user out everywhere, but for the token with the id
// keep.
func (s *Store) RemoveSessions(ctx context.Context, user, keep string) error {
	return s.run(ctx, `DELETE FROM tokens WHERE user = ? AND session AND id <> ?`, user, keep)
}

// PurgeTokens deletes what has expired.
func (s *Store) PurgeTokens(ctx context.Context) error {
	return s.run(ctx, `DELETE FROM tokens WHERE NOT `+alive, time.Now().Unix())
}

// Authenticate finds the user whose token this is, and notes the day.
func (s *Store) Authenticate(ctx context.Context, secret string) (User, error) {
	t, err := s.Token(ctx, secret)
	if err != nil {
		return User{}, ErrNotFound
	}
	u, err := s.User(ctx, t.User)
	if err != nil || u.Disabled {
		return User{}, ErrNotFound
	}
	if day := time.Now().UTC().Truncate(24 * time.Hour); t.Used.Before(day) {
		err = s.run(ctx, `UPDATE tokens SET used = ? WHERE id = ?`, day.Unix(), t.ID)
	}
	return u, err
}
