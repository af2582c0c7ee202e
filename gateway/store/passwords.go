package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// argon2id parameters: the first recommended choice of RFC 9106 §4 scaled to
// a small machine.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
)

var b64 = base64.RawStdEncoding

// ErrBusy says that more passwords than can be hashed soon are waiting.
var ErrBusy = errors.New("too many passwords to check at one time")

// hashing bounds what hashing passwords takes: half of the cores, so that a
// flood of sign-ins leaves the rest to calls, and a short queue.
type hashing struct {
	slots   chan struct{}
	waiting atomic.Int32
}

// queued is how many may wait for each slot: about a second.
const queued = 16

func newHashing() *hashing {
	return &hashing{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// do runs f, which hashes, when it is its turn.
func (h *hashing) do(ctx context.Context, f func()) error {
	defer h.waiting.Add(-1)
	if int(h.waiting.Add(1)) > (queued+1)*cap(h.slots) {
		return ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hash makes a PHC string of a password.
func (s *Store) hash(ctx context.Context, password string) (phc string, err error) {
	err = s.hashing.do(ctx, func() { phc = hashPassword(password) })
	return phc, err
}

func hashPassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	hash := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(hash))
}

func samePassword(phc, password string) bool {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil {
		return false
	}
	salt, err1 := b64.DecodeString(parts[4])
	want, err2 := b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, time, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// decoy is compared for an unknown account, so that the time tells nothing.
var decoy = hashPassword("no such account")

// CheckPassword finds the account that e-mail and password belong to; one that
// is disabled is as if it were none: [ErrNotFound]. [ErrBusy]: it was not
// looked at.
func (s *Store) CheckPassword(ctx context.Context, email, password string) (User, error) {
	phc, err := one(ctx, s, value[string], `SELECT password FROM users WHERE email = ? AND disabled = 0`, email)
	if err != nil {
		phc = decoy
	}
	same := false
	if busy := s.hashing.do(ctx, func() { same = samePassword(phc, password) }); busy != nil {
		return User{}, busy
	}
	if !same || err != nil {
		return User{}, ErrNotFound
	}
	return s.User(ctx, email)
}

// SetPassword gives an account a new password. All its tokens end, but for
// the one with the id keep.
func (s *Store) SetPassword(ctx context.Context, user, password, keep string) error {
	phc, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.Atomically(ctx, func(ctx context.Context) error {
		if err := s.exec(ctx, `UPDATE users SET password = ? WHERE id = ?`, phc, user); err != nil {
			return err
		}
		return s.run(ctx, `DELETE FROM tokens WHERE user = ? AND id <> ?`, user, keep)
	})
}

// KnownFor is how long a browser is known by which somebody has signed in.
const KnownFor = 180 * 24 * time.Hour

// Know makes the mark of a browser by which an account's owner has signed in:
// the name tells accounts apart without saying which, the value proves it.
func (s *Store) Know(user string) (name, value string) {
	value = strconv.FormatInt(time.Now().Add(KnownFor).Unix(), 36) + "." + NewSecret()
	return s.knownName(user), value + "." + s.mac("known browser", user, value)
}

// Known finds the mark of an account among named values. It gives back what
// tells this browser from others of the account.
func (s *Store) Known(user string, find func(name string) string) (id string, ok bool) {
	value := find(s.knownName(user))
	i := strings.LastIndexByte(value, '.')
	if i < 0 || !hmac.Equal([]byte(value[i+1:]), []byte(s.mac("known browser", user, value[:i]))) {
		return "", false
	}
	until, _, _ := strings.Cut(value, ".")
	expires, err := strconv.ParseInt(until, 36, 64)
	return value[:i], err == nil && time.Now().Unix() < expires
}

func (s *Store) knownName(user string) string { return s.mac("known name", user)[:16] }

// mac is an HMAC-SHA-256 by a key of the data directory, in hex.
func (s *Store) mac(parts ...string) string {
	m := hmac.New(sha256.New, s.seal.macKey)
	for _, p := range parts {
		fmt.Fprintf(m, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(m.Sum(nil))
}
