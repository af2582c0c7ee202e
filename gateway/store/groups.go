package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Group is a set of accounts and devices by a name.
type Group struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Users   []string  `json:"users" doc:"ids of accounts"`
	Devices []string  `json:"devices" doc:"ids of devices"`
	Created time.Time `json:"created"`
}

// SaveGroup keeps a group with its members: a new one if it has no ID.
// [ErrNotFound]: it, or one of its members, is not there.
func (s *Store) SaveGroup(ctx context.Context, g Group) (Group, error) {
	err := s.Atomically(ctx, func(ctx context.Context) (err error) {
		if g.ID == "" {
			g.ID, g.Created = NewSecret(), time.Now().UTC().Truncate(time.Second)
			err = s.exec(ctx, `INSERT INTO groups (id, name, created) VALUES (?, ?, ?)`, g.ID, g.Name, g.Created.Unix())
		} else {
			err = s.exec(ctx, `UPDATE groups SET name = ? WHERE id = ?`, g.Name, g.ID)
		}
		if err != nil {
			return err
		}
		if err := s.run(ctx, `DELETE FROM grouped WHERE "group" = ?`, g.ID); err != nil {
			return err
		}
		for table, ids := range map[string][]string{"user": g.Users, "device": g.Devices} {
			for _, id := range ids {
				insert := fmt.Sprintf(`INSERT INTO grouped ("group", %[1]s) SELECT ?, id FROM %[1]ss WHERE id = ?`, table)
				if err := s.exec(ctx, insert, g.ID, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g, err
}

func scanGroup(r row) (g Group, err error) {
	var created int64
	var users, devices sql.NullString
	err = r.Scan(&g.ID, &g.Name, &created, &users, &devices)
	g.Created, g.Users, g.Devices = time.Unix(created, 0).UTC(), strings.Fields(users.String), strings.Fields(devices.String)
	return g, err
}

const groupColumns = `id, name, created, (SELECT group_concat(user, ' ') FROM grouped WHERE "group" = id), (SELECT group_concat(device, ' ') FROM grouped WHERE "group" = id)`

// Groups lists all groups.
func (s *Store) Groups(ctx context.Context) ([]Group, error) {
	return rows(ctx, s, scanGroup, `SELECT `+groupColumns+` FROM groups ORDER BY name`)
}

// Group finds a group by its id.
func (s *Store) Group(ctx context.Context, id string) (Group, error) {
	return one(ctx, s, scanGroup, `SELECT `+groupColumns+` FROM groups WHERE id = ?`, id)
}

// RemoveGroup removes a group; its members stay.
func (s *Store) RemoveGroup(ctx context.Context, id string) error {
	return s.exec(ctx, `DELETE FROM groups WHERE id = ?`, id)
}
