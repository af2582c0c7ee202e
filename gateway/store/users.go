package store

import (
	"cmp"
	"context"
	"errors"
	"strings"
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
	ID           string    `json:"id"`
	Email        string    `json:"email"`
	DisplayName  string    `json:"display_name"`
	Role         Role      `json:"role" enum:"user,superuser,administrator"`
	Hidden       bool      `json:"hidden" doc:"not in the directory"`
	Disabled     bool      `json:"disabled" doc:"cannot sign in"`
	Pending      bool      `json:"pending" doc:"signed up, and not approved yet: disabled until then"`
	SecondFactor bool      `json:"second_factor" doc:"sign-in asks for a passkey after the password"`
	Created      time.Time `json:"created"`
}

// Shown is what others see of an account, which may have chosen no name.
func (u User) Shown() string {
	name, _, _ := strings.Cut(u.Email, "@")
	return cmp.Or(u.DisplayName, name)
}

// AddUser makes an account.
func (s *Store) AddUser(ctx context.Context, u User, password string) (User, error) {
	u.ID, u.Created = NewSecret(), time.Now().UTC().Truncate(time.Second)
	phc, err := s.hash(ctx, password)
	if err != nil {
		return u, err
	}
	err = s.exec(ctx, `INSERT INTO users (id, email, display_name, password, role, hidden, disabled, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Email, u.DisplayName, phc, u.Role, u.Hidden, u.Disabled, u.Created.Unix())
	return u, err
}

const userColumns = `id, email, display_name, role, hidden, disabled, pending, second_factor, created`

func scanUser(r row) (u User, err error) {
	var created int64
	err = r.Scan(&u.ID, &u.Email, &u.DisplayName, &u.Role, &u.Hidden, &u.Disabled, &u.Pending, &u.SecondFactor, &created)
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

// ChangeUser lets change alter all of an account but address and password, as
// it is just then. Disabling ends all sign-ins; enabling approves a sign-up.
// One administrator who can sign in stays: [ErrLastAdministrator].
func (s *Store) ChangeUser(ctx context.Context, id string, change func(*User) error) (u User, err error) {
	err = s.Atomically(ctx, func(ctx context.Context) error {
		if u, err = one(ctx, s, scanUser, `SELECT `+userColumns+` FROM users WHERE id = ?`, id); err != nil {
			return err
		}
		was := u.Role
		if err := change(&u); err != nil {
			return err
		}
		u.Pending = u.Pending && u.Disabled
		if err := s.exec(ctx, `UPDATE users SET display_name = ?, role = ?, hidden = ?, disabled = ?, pending = ? WHERE id = ?`,
			u.DisplayName, u.Role, u.Hidden, u.Disabled, u.Pending, u.ID); err != nil {
			return err
		}
		if u.Disabled {
			if err := s.run(ctx, `DELETE FROM tokens WHERE user = ?`, u.ID); err != nil {
				return err
			}
		}
		return s.administered(ctx, was)
	})
	return u, err
}

// administered tells, after an account of this role was changed, whether an
// administrator is left who can sign in.
func (s *Store) administered(ctx context.Context, was Role) error {
	if was != RoleAdministrator {
		return nil
	}
	n, err := one(ctx, s, value[int], `SELECT count(*) FROM users WHERE role = ? AND NOT disabled`, RoleAdministrator)
	if err == nil && n == 0 {
		err = ErrLastAdministrator
	}
	return err
}

// RenameUser changes the name to show, and nothing that somebody else may be
// changing just now.
func (s *Store) RenameUser(ctx context.Context, id, name string) error {
	return s.exec(ctx, `UPDATE users SET display_name = ? WHERE id = ?`, name, id)
}

// RemoveUser removes an account and its tokens. What it did stays in the audit
// log under an id that is nobody's; its e-mail address is erased there too.
// One administrator who can sign in stays: [ErrLastAdministrator].
func (s *Store) RemoveUser(ctx context.Context, idOrEmail string) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		u, err := s.User(ctx, idOrEmail)
		if err != nil {
			return err
		}
		if err := s.exec(ctx, `DELETE FROM users WHERE id = ?`, u.ID); err != nil {
			return err
		}
		for _, q := range []string{
			`UPDATE audit SET name = '' WHERE actor = ?1 OR name = ?2 COLLATE NOCASE`,
			`UPDATE audit SET object = ?1 WHERE object = ?2 COLLATE NOCASE`,
			`UPDATE audit SET object = 'users/' || ?1 WHERE object = 'users/' || ?2 COLLATE NOCASE`,
		} {
			if err := s.run(ctx, q, u.ID, u.Email); err != nil {
				return err
			}
		}
		return s.administered(ctx, u.Role)
	})
}

// ErrLastAdministrator keeps the last administrator from being removed,
// disabled or demoted.
var ErrLastAdministrator = errors.New("this is the last administrator")
