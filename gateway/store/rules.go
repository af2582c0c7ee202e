package store

import (
	"context"
	"encoding/json"
	"time"
)

// Rule is a line of the dial plan. Package dialplan says what its fields mean,
// and which are valid.
type Rule struct {
	ID string `json:"id"`
	RuleSettings
}

// RuleSettings are what an operator sets in a rule.
type RuleSettings struct {
	Name      string   `json:"name"`
	Priority  int      `json:"priority" doc:"the lowest is tried first"`
	Enabled   bool     `json:"enabled"`
	Direction string   `json:"direction" enum:"in,out"`
	Source    string   `json:"source" doc:"any, trunk (any of them), trunk:NAME, stranger, device or account"`
	Class     string   `json:"class" enum:"any,member,superuser,administrator" doc:"the least that the caller must be"`
	Pattern   string   `json:"pattern" doc:"the beginning of the called number or name, or an RE2 expression of the whole between ^ and $"`
	Strip     int      `json:"strip,omitempty" doc:"characters cut off the beginning"`
	Prepend   string   `json:"prepend,omitempty" doc:"put before what is left"`
	Rewrite   string   `json:"rewrite,omitempty" doc:"instead of both: a template with the groups of the expression, such as +49$1"`
	Target    string   `json:"target" doc:"reception, meeting, meeting:NUMBER, user, user:EMAIL, trunk, trunk:NAME (of a trunk or a group), refuse, refuse:WORDS or next"`
	MaxCost   float64  `json:"max_cost,omitempty" doc:"most that a minute may cost by the trunks' rates; 0: any"`
	Countries []string `json:"countries" doc:"that a rule with a trunk lets call, by ISO 3166 code; none: no calls"`
}

// SaveRule keeps a rule: a new one if it has no ID.
func (s *Store) SaveRule(ctx context.Context, r Rule) (Rule, error) {
	settings, err := json.Marshal(r.RuleSettings)
	if err != nil {
		return r, err
	}
	if r.ID == "" {
		r.ID = NewSecret()
		return r, s.exec(ctx, `INSERT INTO rules (id, name, priority, settings) VALUES (?, ?, ?, ?)`, r.ID, r.Name, r.Priority, settings)
	}
	return r, s.exec(ctx, `UPDATE rules SET name = ?, priority = ?, settings = ? WHERE id = ?`, r.Name, r.Priority, settings, r.ID)
}

func scanRule(r row) (x Rule, err error) {
	var settings []byte
	x.Countries = []string{}
	if err = r.Scan(&x.ID, &settings); err == nil {
		err = json.Unmarshal(settings, &x.RuleSettings)
	}
	return x, err
}

// Rules lists all rules in the order in which they are tried.
func (s *Store) Rules(ctx context.Context) ([]Rule, error) {
	return rows(ctx, s, scanRule, `SELECT id, settings FROM rules ORDER BY priority, name`)
}

// Rule finds a rule by id or name.
func (s *Store) Rule(ctx context.Context, idOrName string) (Rule, error) {
	return one(ctx, s, scanRule, `SELECT id, settings FROM rules WHERE id = ?1 OR name = ?1`, idOrName)
}

// RemoveRule removes a rule.
func (s *Store) RemoveRule(ctx context.Context, idOrName string) error {
	return s.exec(ctx, `DELETE FROM rules WHERE id = ?1 OR name = ?1`, idOrName)
}

// Attempt is a call whose way is asked for.
type Attempt struct {
	Direction string    `json:"direction" enum:"in,out" default:"in" required:"false" doc:"in: it comes to the bridge; out: a meeting places it"`
	To        string    `json:"to" maxLength:"255" doc:"called number, name or address"`
	From      string    `json:"from,omitempty" maxLength:"255" doc:"the caller's number"`
	Trunk     string    `json:"trunk,omitempty" maxLength:"64" doc:"over which it comes in"`
	Class     string    `json:"class,omitempty" enum:"stranger,device,user,superuser,administrator" doc:"who calls, or has somebody called; a stranger when empty"`
	At        time.Time `json:"at,omitzero" doc:"now, when missing"`
}

// Expectation is what the dial plan must do with a call, after every change.
type Expectation struct {
	ID   string  `json:"id"`
	Name string  `json:"name" minLength:"1" maxLength:"64"`
	Call Attempt `json:"call"`
	Want string  `json:"want" maxLength:"255" doc:"outcome, or how it begins"`
}

// AddExpectation keeps a new expectation.
func (s *Store) AddExpectation(ctx context.Context, e Expectation) (Expectation, error) {
	e.ID = NewSecret()
	settings, err := json.Marshal(e)
	if err != nil {
		return e, err
	}
	return e, s.exec(ctx, `INSERT INTO expectations (id, name, settings) VALUES (?, ?, ?)`, e.ID, e.Name, settings)
}

func scanExpectation(r row) (e Expectation, err error) {
	var settings []byte
	if err = r.Scan(&settings); err == nil {
		err = json.Unmarshal(settings, &e)
	}
	return e, err
}

// Expectations lists all expectations.
func (s *Store) Expectations(ctx context.Context) ([]Expectation, error) {
	return rows(ctx, s, scanExpectation, `SELECT settings FROM expectations ORDER BY name`)
}

// RemoveExpectation removes an expectation.
func (s *Store) RemoveExpectation(ctx context.Context, idOrName string) error {
	return s.exec(ctx, `DELETE FROM expectations WHERE id = ?1 OR name = ?1`, idOrName)
}
