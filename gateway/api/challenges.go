package api

import (
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"bridgehead/gateway/store"
)

// challenge is a question to an authenticator that waits for its answer.
type challenge struct {
	purpose string // what the answer is for: register, sign-in, second factor
	user    string // id of the account whose answer it must be; empty: that of any
	session webauthn.SessionData
	expires time.Time
}

// The purposes of challenges.
const (
	toRegister = "register"
	toSignIn   = "sign in"
	toConfirm  = "second factor"
)

const (
	challengeTTL  = 2 * time.Minute
	maxChallenges = 10_000
)

// challenges are few, short-lived, and each is answered once.
type challenges struct {
	mu   sync.Mutex
	open map[string]challenge
}

// ask keeps a challenge and gives it a name.
func (c *challenges) ask(q challenge) (id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.open) >= maxChallenges {
		for id, q := range c.open {
			if now.After(q.expires) {
				delete(c.open, id)
			}
		}
		for id := range c.open { // any; who loses it asks again
			if len(c.open) < maxChallenges {
				break
			}
			delete(c.open, id)
		}
	}
	id, q.expires = store.NewSecret(), now.Add(challengeTTL)
	c.open[id] = q
	return id
}

// take gives a challenge out for the last time.
func (c *challenges) take(id string) (challenge, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok := c.open[id]
	delete(c.open, id)
	return q, ok && time.Now().Before(q.expires)
}
