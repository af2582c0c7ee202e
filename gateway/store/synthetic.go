package store

import (
	"context"
	"encoding/json"
	"time"
)

// SyntheticCaller calls a number of the bridge from time to time, as anybody
// outside would. Its keys are kept sealed and never leave by JSON.
type SyntheticCaller struct {
	Number string `json:"number"`
	Keys   string `json:"-"`
	SyntheticSettings
}

// SyntheticSettings are what an operator sets of it.
type SyntheticSettings struct {
	Trunk   string `json:"trunk,omitempty" maxLength:"64" doc:"over which it calls out; empty: that of the number"`
	Meeting string `json:"meeting,omitempty" pattern:"^([0-9]{3,20})?$" doc:"that the call must reach; best one that is for this alone. Empty: the greeting is enough"`
	Every   int    `json:"every" minimum:"1" maximum:"1440" doc:"minutes from call to call"`
	Enabled bool   `json:"enabled"`
}

// SyntheticCall is one such call, and how far it came.
type SyntheticCall struct {
	Number string    `json:"number"`
	At     time.Time `json:"at"`
	OK     bool      `json:"ok"`
	Fault  string    `json:"fault,omitempty" doc:"what went wrong, in plain words"`
	Call   string    `json:"call,omitempty" doc:"record of the call out"`
	Came   string    `json:"came,omitempty" doc:"record of the call as it came in"`

	AnswerMS    int     `json:"answer_ms,omitempty" doc:"from the first message to the answer"`
	GreetingMS  int     `json:"greeting_ms,omitempty" doc:"from the answer to the first sound"`
	MeetingMS   int     `json:"meeting_ms,omitempty" doc:"from the last key to the meeting, to a tenth of a second"`
	LevelDBov   int     `json:"level_dbov,omitempty" doc:"at which the caller's tone came in; -127 is silence"`
	LossPercent float64 `json:"loss_percent" doc:"of what was sent to the caller"`
	JitterMS    float64 `json:"jitter_ms"`
	MOS         float64 `json:"mos,omitempty" doc:"of what the caller was sent, by the E-model (ITU-T G.107)"`
}

// AddSyntheticCaller keeps a new caller.
func (s *Store) AddSyntheticCaller(ctx context.Context, c SyntheticCaller) error {
	settings, err := json.Marshal(c.SyntheticSettings)
	if err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO synthetic_callers (number, settings, keys) VALUES (?, ?, ?)`, c.Number, settings, s.seal.seal(c.Keys))
}

// UpdateSyntheticCaller changes that of a number.
func (s *Store) UpdateSyntheticCaller(ctx context.Context, c SyntheticCaller) error {
	settings, err := json.Marshal(c.SyntheticSettings)
	if err != nil {
		return err
	}
	return s.exec(ctx, `UPDATE synthetic_callers SET settings = ?, keys = ? WHERE number = ?`, settings, s.seal.seal(c.Keys), c.Number)
}

func (s *Store) scanSyntheticCaller(r row) (c SyntheticCaller, err error) {
	var settings, keys []byte
	if err = r.Scan(&c.Number, &settings, &keys); err != nil {
		return c, err
	}
	if c.Keys, err = s.seal.open(keys); err != nil {
		return c, err
	}
	return c, json.Unmarshal(settings, &c.SyntheticSettings)
}

// SyntheticCallers lists them by number.
func (s *Store) SyntheticCallers(ctx context.Context) ([]SyntheticCaller, error) {
	return rows(ctx, s, s.scanSyntheticCaller, `SELECT number, settings, keys FROM synthetic_callers ORDER BY number`)
}

// SyntheticCaller finds that of a number.
func (s *Store) SyntheticCaller(ctx context.Context, number string) (SyntheticCaller, error) {
	return one(ctx, s, s.scanSyntheticCaller, `SELECT number, settings, keys FROM synthetic_callers WHERE number = ?`, number)
}

// RemoveSyntheticCaller removes it with its history.
func (s *Store) RemoveSyntheticCaller(ctx context.Context, number string) error {
	return s.exec(ctx, `DELETE FROM synthetic_callers WHERE number = ?`, number)
}

// AddSyntheticCall keeps what a caller has met; of one that is gone, nothing.
func (s *Store) AddSyntheticCall(ctx context.Context, c SyntheticCall) error {
	detail, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.run(ctx, `INSERT OR REPLACE INTO synthetic_calls (number, at, detail) SELECT number, ?, ? FROM synthetic_callers WHERE number = ?`, c.At.UnixMilli(), detail, c.Number)
}

func scanSyntheticCall(r row) (c SyntheticCall, err error) {
	var detail []byte
	if err = r.Scan(&detail); err == nil {
		err = json.Unmarshal(detail, &c)
	}
	return c, err
}

// SyntheticCalls lists what the caller of a number met, the latest first.
func (s *Store) SyntheticCalls(ctx context.Context, number string, limit int) ([]SyntheticCall, error) {
	return rows(ctx, s, scanSyntheticCall, `SELECT detail FROM synthetic_calls WHERE number = ? ORDER BY at DESC LIMIT ?`, number, limit)
}

// LastSyntheticCalls are the latest of each number.
func (s *Store) LastSyntheticCalls(ctx context.Context) ([]SyntheticCall, error) {
	return rows(ctx, s, scanSyntheticCall, `SELECT detail FROM synthetic_calls AS c WHERE at = (SELECT max(at) FROM synthetic_calls WHERE number = c.number) ORDER BY number`)
}

// PurgeSyntheticCalls removes those before a time.
func (s *Store) PurgeSyntheticCalls(ctx context.Context, before time.Time) error {
	return s.run(ctx, `DELETE FROM synthetic_calls WHERE at < ?`, before.UnixMilli())
}
