package store

import (
	"context"
	"time"
)

// Act is an entry of the audit log: who changed what, when and from where. It
// holds no secrets.
type Act struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"id of the account; empty: the command line"`
	Name   string    `json:"name" doc:"its e-mail address then"`
	Source string    `json:"source" doc:"IP address"`
	Act    string    `json:"act" doc:"id of the operation"`
	Object string    `json:"object" doc:"what it was done to"`
	Detail string    `json:"detail" doc:"the fields that were given"`
}

// Audit writes an entry; ID and At are set here, and the Name of an account: by
// then one that removed itself has none.
func (s *Store) Audit(ctx context.Context, a Act) error {
	return s.exec(ctx, `INSERT INTO audit (at, actor, name, source, act, object, detail) 
		VALUES (?1, ?2, CASE ?2 WHEN '' THEN ?3 ELSE COALESCE((SELECT email FROM users WHERE id = ?2), '') END, ?4, ?5, ?6, ?7)`,
		time.Now().Unix(), a.Actor, a.Name, a.Source, a.Act, a.Object, a.Detail)
}

// Acts lists the newest entries whose ID is below before; of all if it is 0.
func (s *Store) Acts(ctx context.Context, before int64, limit int) ([]Act, error) {
	return rows(ctx, s, func(r row) (a Act, err error) {
		var at int64
		err = r.Scan(&a.ID, &at, &a.Actor, &a.Name, &a.Source, &a.Act, &a.Object, &a.Detail)
		a.At = time.Unix(at, 0).UTC()
		return a, err
	}, `SELECT id, at, actor, name, source, act, object, detail FROM audit WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2`, before, limit)
}

// PurgeActs deletes entries made before a time.
func (s *Store) PurgeActs(ctx context.Context, before time.Time) error {
	return s.run(ctx, `DELETE FROM audit WHERE at < ?`, before.Unix())
}
