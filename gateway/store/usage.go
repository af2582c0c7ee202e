package store

import (
	"context"
	"fmt"
	"time"
)

// Usage is what was used in a time, of one day, account, meeting, trunk or
// protocol.
type Usage struct {
	Key     string  `json:"key" doc:"the day, or the id of the account, the meeting's number, the trunk's name, the protocol; empty: none"`
	Name    string  `json:"name,omitempty" doc:"of the account or the meeting, while it is there"`
	Calls   int     `json:"calls" doc:"that reached a meeting"`
	Refused int     `json:"refused" doc:"attempts that did not"`
	Minutes float64 `json:"minutes" doc:"in meetings"`
	MOS     float64 `json:"mos,omitempty" doc:"of their sound, on average; missing where none was measured"`
}

// usageKeys are the ways of grouping, as expressions of a call's key and name.
var usageKeys = map[string][2]string{
	"day":      {`date(started / 1000, 'unixepoch')`, `''`},
	"user":     {`COALESCE(account, '')`, `COALESCE((SELECT display_name FROM users WHERE id = account), '')`},
	"meeting":  {`meeting`, `COALESCE((SELECT name FROM meetings WHERE number = meeting), '')`},
	"trunk":    {`trunk`, `''`},
	"protocol": {`protocol`, `''`},
}

// Usage sums up the calls that began in [from, to), by day (UTC), user, meeting,
// trunk or protocol; any other way of grouping is an error.
func (s *Store) Usage(ctx context.Context, by string, from, to time.Time) ([]Usage, error) {
	key, ok := usageKeys[by]
	if !ok {
		return nil, fmt.Errorf("usage by %q", by)
	}
	return rows(ctx, s, func(r row) (u Usage, err error) {
		var mos *float64
		if err = r.Scan(&u.Key, &u.Name, &u.Calls, &u.Refused, &u.Minutes, &mos); mos != nil {
			u.MOS = *mos
		}
		return u, err
	}, `SELECT `+key[0]+` AS k, `+key[1]+`, SUM(meeting <> ''), SUM(meeting = ''),
		ROUND(SUM(CASE WHEN meeting <> '' THEN ended - started ELSE 0 END) / 60000.0, 1), ROUND(AVG(NULLIF(json_extract(detail, '$.mos'), 0)), 2)
		FROM calls WHERE ended <> 0 AND started >= ? AND started < ? GROUP BY k ORDER BY k LIMIT 10000`, from.UnixMilli(), to.UnixMilli())
}
