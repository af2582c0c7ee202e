package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Export is all that is kept about a person, by table: what GDPR article 15
// asks for. It holds no secrets.
type Export map[string][]map[string]any

// exports are the queries of an export; ?1 is the account's id. A table that
// refers to accounts has a row here.
var exports = map[string]string{
	"account":  `SELECT id, email, display_name, role, hidden, disabled, pending, second_factor, ` + at("created") + ` FROM users WHERE id = ?1`,
	"tokens":   `SELECT id, name, session, agent, ` + at("created") + `, ` + at("used") + `, ` + at("expires") + ` FROM tokens WHERE user = ?1 ORDER BY created`,
	"meetings": `SELECT number, name, kind, hidden, ` + at("created") + ` FROM meetings WHERE owner = ?1 ORDER BY number`,
	"hosting":  `SELECT meeting FROM hosts WHERE user = ?1 ORDER BY meeting`,
	"calendar": `SELECT 1 AS address FROM calendars WHERE user = ?1`,
	"devices":  `SELECT id, user, name, extension, hidden, ` + at("created") + ` FROM devices WHERE owner = ?1 ORDER BY user`,
	"passkeys": `SELECT id, name, host, ` + at("created") + `, ` + at("used") + ` FROM passkeys WHERE user = ?1 ORDER BY created`,
	"calls":    `SELECT id, ` + at("started / 1000", "started") + `, ` + at("ended / 1000", "ended") + `, protocol, direction, caller, called, source, meeting, code FROM calls WHERE account = ?1 ORDER BY started`,
	"members":  `SELECT conversation, since FROM members WHERE user = ?1 ORDER BY conversation`,
	"stays":    `SELECT conversation, ` + at("start / 1000", "start") + `, ` + at("finish / 1000", "finish") + ` FROM stays WHERE user = ?1 ORDER BY start`,
	"seen":     `SELECT conversation, message FROM seen WHERE user = ?1 ORDER BY conversation`,
	"messages": `SELECT id, conversation, ` + at("at / 1000", "at") + `, body FROM messages WHERE sender = ?1 ORDER BY id`,
	"groups":   `SELECT groups.id, name FROM grouped JOIN groups ON groups.id = "group" WHERE user = ?1 ORDER BY name`,
	"audit":    `SELECT id, ` + at("at") + `, source, act, object, detail FROM audit WHERE actor = ?1 ORDER BY id`,
}

// at selects a column of seconds, or an expression by a name, as a time of
// RFC 3339; 0 is null.
func at(seconds string, name ...string) string {
	return fmt.Sprintf(`strftime('%%Y-%%m-%%dT%%H:%%M:%%SZ', NULLIF(%s, 0), 'unixepoch') AS %s`, seconds, append(name, seconds)[0])
}

// fields scans a row by the names of its columns.
func fields(r row) (map[string]any, error) {
	columns, err := r.(*sql.Rows).Columns()
	if err != nil {
		return nil, err
	}
	values, all := make([]any, len(columns)), map[string]any{}
	for i := range values {
		values[i] = new(any)
	}
	err = r.Scan(values...)
	for i, c := range columns {
		all[c] = *values[i].(*any)
	}
	return all, err
}

// Export collects what is kept about the owner of an account; what they wrote to
// others, for themselves only.
func (s *Store) Export(ctx context.Context, id string, self bool) (Export, error) {
	if u, err := s.User(ctx, id); err != nil || u.ID != id {
		return nil, ErrNotFound
	}
	all := Export{}
	for name, query := range exports {
		var err error
		if all[name], err = rows(ctx, s, fields, query, id); err != nil {
			return nil, fmt.Errorf("export of %s: %w", name, err)
		}
	}
	return all, s.unseal(all["messages"], self)
}

// unseal puts the text of exported messages in place of their sealed bodies.
func (s *Store) unseal(messages []map[string]any, read bool) error {
	for _, m := range messages {
		id, _ := m["id"].(int64)
		conversation, _ := m["conversation"].(string)
		body, _ := m["body"].([]byte)
		plain, err := s.seal.openAs(bodyOf(id, conversation), body)
		if err != nil {
			return err
		}
		var sealed sealedMessage
		if err := json.Unmarshal([]byte(plain), &sealed); err != nil {
			return err
		}
		if delete(m, "body"); read {
			m["text"] = sealed.Text
		}
	}
	return nil
}
