package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Role of a user account.
type Role string

// The roles.
const (
	RoleUser          Role = "user"
	RoleSuperuser     Role = "superuser"
	RoleAdministrator Role = "administrator"
)

// User is an account that signs in.
type User struct {
	ID          string    `json:"id"`
	Email       string    `json:"email"`
	DisplayName string    `json:"display_name"`
	Role        Role      `json:"role"`
	Hidden      bool      `json:"hidden" doc:"not in the directory"`
	Disabled    bool      `json:"disabled" doc:"cannot sign in"`
	Created     time.Time `json:"created"`
}

// AddUser makes an account.
func (s *Store) AddUser(ctx context.Context, u User, password string) (User, error) {
	u.ID, u.Created = NewSecret(), time.Now().Truncate(time.Second)
	err := s.exec(ctx, `INSERT INTO users (id, email, display_name, password, role, hidden, disabled, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Email, u.DisplayName, hashPassword(password), u.Role, u.Hidden, u.Disabled, u.Created.Unix())
	return u, err
}

const userColumns = `id, email, display_name, role, hidden, disabled, created`

func scanUser(r row) (u User, err error) {
	var created int64
	err = r.Scan(&u.ID, &u.Email, &u.DisplayName, &u.Role, &u.Hidden, &u.Disabled, &created)
	u.Created = time.Unix(created, 0).UTC()
	return u, err
}

// Users lists all accounts.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	return rows(ctx, s, scanUser, `SELECT `+userColumns+` FROM users ORDER BY email`)
}

// User finds an account by id or e-mail address.
func (s *Store) User(ctx context.Context, idOrEmail string) (User, error) {
	return one(ctx, s, scanUser, `SELECT `+userColumns+` FROM users WHERE id = ?1 OR email = ?1`, idOrEmail)
}

// UpdateUser changes all but the address; the password too, unless it is empty.
// A new password ends all sign-ins, and so does disabling.
func (s *Store) UpdateUser(ctx context.Context, u User, password string) error {
	err := s.exec(ctx, `UPDATE users SET display_name = ?, role = ?, hidden = ?, disabled = ? WHERE id = ?`, u.DisplayName, u.Role, u.Hidden, u.Disabled, u.ID)
	if err == nil && password != "" {
		err = s.exec(ctx, `UPDATE users SET password = ? WHERE id = ?`, hashPassword(password), u.ID)
	}
	if err == nil && (password != "" || u.Disabled) {
		_, err = s.db.ExecContext(ctx, `DELETE FROM tokens WHERE user = ?`, u.ID)
	}
	return err
}

// RemoveUser removes an account and its tokens. What it did stays in the audit
// log under an id that is nobody's; its e-mail address is erased there too.
func (s *Store) RemoveUser(ctx context.Context, idOrEmail string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var id, email string
	err = tx.QueryRowContext(ctx, `DELETE FROM users WHERE id = ?1 OR email = ?1 RETURNING id, email`, idOrEmail).Scan(&id, &email)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	for _, q := range []string{
		`UPDATE audit SET name = '' WHERE actor = ?1 OR name = ?2 COLLATE NOCASE`,
		`UPDATE audit SET object = ?1 WHERE object = ?2 COLLATE NOCASE`,
		`UPDATE audit SET object = 'users/' || ?1 WHERE object = 'users/' || ?2 COLLATE NOCASE`,
	} {
		if _, err := tx.ExecContext(ctx, q, id, email); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// decoy is compared for an unknown account, so that the time tells nothing.
var decoy = hashPassword("no such account")

// CheckPassword finds the account that e-mail and password belong to; one that
// is disabled is as if it were none.
func (s *Store) CheckPassword(ctx context.Context, email, password string) (User, error) {
	var phc string
	err := s.db.QueryRowContext(ctx, `SELECT password FROM users WHERE email = ? AND disabled = 0`, email).Scan(&phc)
	if err != nil {
		phc = decoy
	}
	if !samePassword(phc, password) || err != nil {
		return User{}, ErrNotFound
	}
	return s.User(ctx, email)
}

// Token is a key to the API.
type Token struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

// AddToken makes a token of a user; the secret is returned only here. ttl 0
// never expires.
func (s *Store) AddToken(ctx context.Context, user, name string, ttl time.Duration) (secret string, t Token, err error) {
	secret = "bh_" + NewSecret()
	t = Token{ID: NewSecret(), User: user, Name: name, Created: time.Now().UTC().Truncate(time.Second)}
	var expires int64
	if ttl > 0 {
		t.Expires = t.Created.Add(ttl)
		expires = t.Expires.Unix()
	}
	err = s.exec(ctx, `INSERT INTO tokens (hash, id, user, name, created, expires) VALUES (?, ?, ?, ?, ?, ?)`,
		hashToken(secret), t.ID, user, name, t.Created.Unix(), expires)
	return secret, t, err
}

// Tokens lists the tokens of a user; of all when empty.
func (s *Store) Tokens(ctx context.Context, user string) ([]Token, error) {
	return rows(ctx, s, func(r row) (t Token, err error) {
		var created, expires int64
		err = r.Scan(&t.ID, &t.User, &t.Name, &created, &expires)
		t.Created = time.Unix(created, 0).UTC()
		if expires != 0 {
			t.Expires = time.Unix(expires, 0).UTC()
		}
		return t, err
	}, `SELECT id, user, name, created, expires FROM tokens WHERE ?1 = '' OR user = ?1 ORDER BY created`, user)
}

// RemoveToken revokes a token by its id or the secret itself.
func (s *Store) RemoveToken(ctx context.Context, idOrSecret string) error {
	return s.exec(ctx, `DELETE FROM tokens WHERE id = ? OR hash = ?`, idOrSecret, hashToken(idOrSecret))
}

// Authenticate finds the user whose token this is.
func (s *Store) Authenticate(ctx context.Context, secret string) (User, error) {
	return one(ctx, s, scanUser, `SELECT `+userColumns+` FROM users WHERE disabled = 0 AND id = (SELECT user FROM tokens WHERE hash = ? AND (expires = 0 OR expires > ?))`,
		hashToken(secret), time.Now().Unix())
}

// ErrLastAdministrator keeps the last administrator from being removed.
var ErrLastAdministrator = errors.New("this is the last administrator")
