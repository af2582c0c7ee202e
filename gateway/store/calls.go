package store

import (
	"context"
	"encoding/json"
	"time"
)

// Call is the record of a call, or of an attempt that was refused.
type Call struct {
	ID        string     `json:"id"`
	Started   time.Time  `json:"started"`
	Ended     time.Time  `json:"ended,omitzero"`
	Protocol  string     `json:"protocol"`
	Direction string     `json:"direction"`
	From      string     `json:"from"`
	To        string     `json:"to"`
	Source    string     `json:"source"`
	Meeting   string     `json:"meeting,omitempty"`
	Trunk     string     `json:"trunk,omitempty"`
	Account   string     `json:"account,omitempty" doc:"of the caller, or whose device called"`
	Code      string     `json:"code,omitempty"`
	Detail    CallDetail `json:"detail"`
	Ladder    []Step     `json:"-"`
}

// CallDetail is the rest of a record.
type CallDetail struct {
	Name     string  `json:"name,omitempty"`
	Reason   string  `json:"reason,omitempty"` // for the operator
	Status   int     `json:"status,omitempty"` // SIP status or WebSocket close code, where there was one
	Security any     `json:"security,omitempty"`
	Audio    any     `json:"audio,omitempty"`
	Video    any     `json:"video,omitempty"`
	MOS      float64 `json:"mos,omitempty"`
}

// Step is one line of a call's ladder.
type Step struct {
	At   time.Time `json:"at"`
	From string    `json:"from,omitempty"`
	To   string    `json:"to,omitempty"`
	What string    `json:"what"`           // method or status, or what was decided
	Text string    `json:"text,omitempty"` // the message, secrets masked
}

// SaveCall writes a record, or overwrites it by its ID.
func (s *Store) SaveCall(ctx context.Context, c Call) error {
	detail, err := json.Marshal(c.Detail)
	if err != nil {
		return err
	}
	ladder, err := json.Marshal(c.Ladder)
	if err != nil {
		return err
	}
	var ended int64
	if !c.Ended.IsZero() {
		ended = c.Ended.UnixMilli()
	}
	return s.exec(ctx, `INSERT INTO calls (id, started, ended, protocol, direction, caller, called, source, meeting, trunk, code, detail, ladder, account)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM users WHERE id = ?)) ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, meeting = excluded.meeting,
		caller = excluded.caller, called = excluded.called, trunk = excluded.trunk, code = excluded.code, detail = excluded.detail, ladder = excluded.ladder`,
		c.ID, c.Started.UnixMilli(), ended, c.Protocol, c.Direction, c.From, c.To, c.Source, c.Meeting, c.Trunk, c.Code, detail, ladder, c.Account)
}

const callColumns = `id, started, ended, protocol, direction, caller, called, source, meeting, trunk, code, detail, COALESCE(account, '')`

func scanCall(r row) (c Call, err error) {
	return scanCallAnd(r)
}

func scanCallAnd(r row, more ...any) (c Call, err error) {
	var started, ended int64
	var detail []byte
	if err = r.Scan(append([]any{&c.ID, &started, &ended, &c.Protocol, &c.Direction, &c.From, &c.To, &c.Source, &c.Meeting, &c.Trunk, &c.Code, &detail, &c.Account}, more...)...); err != nil {
		return c, err
	}
	c.Started = time.UnixMilli(started).UTC()
	if ended != 0 {
		c.Ended = time.UnixMilli(ended).UTC()
	}
	return c, json.Unmarshal(detail, &c.Detail)
}

// Calls lists the newest records of calls that have ended, of one meeting if it is not empty.
func (s *Store) Calls(ctx context.Context, meeting string, limit int) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE ended <> 0 AND (?1 = '' OR meeting = ?1) ORDER BY started DESC LIMIT ?2`, meeting, limit)
}

// CallsOf lists the newest records of an account's calls that have ended.
func (s *Store) CallsOf(ctx context.Context, account string, limit int) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE ended <> 0 AND account = ?1 ORDER BY started DESC LIMIT ?2`, account, limit)
}

// Call finds a record with its ladder.
func (s *Store) Call(ctx context.Context, id string) (Call, error) {
	return one(ctx, s, func(r row) (Call, error) {
		var ladder []byte
		c, err := scanCallAnd(r, &ladder)
		if err == nil {
			err = json.Unmarshal(ladder, &c.Ladder)
		}
		return c, err
	}, `SELECT `+callColumns+`, ladder FROM calls WHERE id = ?`, id)
}

// PurgeCalls deletes records that began before a time, and closes those that
// a stop of the process has left open.
func (s *Store) PurgeCalls(ctx context.Context, before time.Time) error {
	return s.run(ctx, `DELETE FROM calls WHERE started < ?`, before.UnixMilli())
}

// CloseOpenCalls ends the records of calls that a stop of the process cut off.
func (s *Store) CloseOpenCalls(ctx context.Context) error {
	return s.run(ctx, `UPDATE calls SET ended = ?, code = 'shutdown' WHERE ended = 0`, time.Now().UnixMilli())
}
