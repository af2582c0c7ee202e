package dialplan

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// Tolls bounds what a stolen password can cost: how many calls to telephones one
// account may place in an hour, and how many may go to one country.
type Tolls struct {
	mu        sync.Mutex
	accounts  tally
	countries tally
	told      map[string]time.Time
	alarm     func(TollAlarm)
	now       func() time.Time
}

// TollAlarm says that calls are refused, and why. There is one in an hour for
// each account and country.
type TollAlarm struct {
	Account string    `json:"account,omitempty"`
	Country string    `json:"country,omitempty"`
	Calls   int       `json:"calls" doc:"within the last hour"`
	At      time.Time `json:"at"`
}

// Text is the alarm in plain words.
func (a TollAlarm) Text() string {
	who := "to " + a.Country
	if a.Account != "" {
		who = "by " + a.Account
	}
	return fmt.Sprintf("%d calls to telephones within an hour %s: no more are let out until an hour after the first of them. "+
		"Is the password in the wrong hands? If all is well, raise pstn.calls_per_hour or pstn.country_calls_per_hour.", a.Calls, who)
}

// TollWindow is that of all limits.
const TollWindow = time.Hour

// NewTolls lets so many calls in an hour out, 0: any number. alarm is told when
// a limit is reached; it must not block.
func NewTolls(perAccount, perCountry int, alarm func(TollAlarm)) *Tolls {
	t := &Tolls{alarm: alarm, now: time.Now, told: map[string]time.Time{}}
	t.accounts, t.countries = tally{when: map[string][]time.Time{}, window: TollWindow}, tally{when: map[string][]time.Time{}, window: TollWindow}
	t.Set(perAccount, perCountry)
	return t
}

// Set changes the limits.
func (t *Tolls) Set(perAccount, perCountry int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accounts.tries, t.countries.tries = perAccount, perCountry
}

// Resume counts the calls of the last hour, oldest first, that were let out
// before this process began: a restart is no fresh start. Those to the bridge's own
// numbers never count.
func (t *Tolls) Resume(calls []store.Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range calls {
		if by := c.Detail.Request.By; by != ownCaller {
			t.count(by, countryOf(c.Detail.Request.To), c.Started)
		}
	}
}

func countryOf(number string) string { return cmp.Or(pstn.Country(number), "an unknown country") }

// Admit counts a call of an account, or refuses it.
func (t *Tolls) Admit(account, number string) error {
	if t == nil {
		return nil
	}
	country := countryOf(number)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	switch {
	case t.accounts.tries > 0 && t.accounts.full(account, now):
		return t.refuse(TollAlarm{Account: account, Calls: t.accounts.tries, At: now}, "account "+account)
	case t.countries.tries > 0 && t.countries.full(country, now):
		return t.refuse(TollAlarm{Country: country, Calls: t.countries.tries, At: now}, "calls to "+country)
	}
	t.count(account, country, now)
	return nil
}

// count takes down a call. t.mu is held.
func (t *Tolls) count(account, country string, at time.Time) {
	if t.accounts.tries > 0 {
		t.accounts.add(account, at)
	}
	if t.countries.tries > 0 {
		t.countries.add(country, at)
	}
}

// refuse tells of a limit once in its window.
func (t *Tolls) refuse(a TollAlarm, what string) error {
	for key, at := range t.told {
		if a.At.Sub(at) > TollWindow {
			delete(t.told, key)
		}
	}
	if _, told := t.told[what]; !told && len(t.told) < maxTracked {
		t.told[what] = a.At
		t.alarm(a)
	}
	return core.Reason{Code: core.Throttled, Say: "Too many calls to telephones. Please try again later.",
		Detail: fmt.Sprintf("toll limit: %s, %d calls within an hour", what, a.Calls)}
}
