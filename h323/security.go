package h323

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/h323/control"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
)

// security is a call's H.235.6: the Diffie-Hellman exchange in the tokens of
// SETUP and CONNECT, from which the session key comes.
type security struct {
	keys   []*h235.PrivateKey // ours: of each group offered, or of the one answered
	tokens []h235.ClearToken  // to be sent
	agreed bool
}

// algorithms of media encryption, best first.
var algorithms = []per.OID{h235.AES256OID, h235.AES128OID}

// Groups that are offered, in bits: the largest at which h323plus endpoints go
// up to AES-256, the usual one, and that of old systems. As long is the largest
// that is answered: each doubling costs six times the time.
const (
	bestGroup  = 4096
	usualGroup = 2048
	oldGroup   = 1024
)

// marker goes beside the keys, as all endpoints send it.
var marker = h235.ClearToken{TokenOID: h235.NoGroupOID}

// offer draws a key for each group up to max bits and makes SETUP's tokens, the
// strongest first: h323plus answers the first that it knows, and goes up to
// AES-256 by that.
func (s *security) offer(max int) error {
	for _, g := range slices.Backward(h235.Groups) {
		if g.Bits > max || g.Bits != bestGroup && g.Bits != usualGroup && g.Bits != oldGroup {
			continue
		}
		k, err := h235.GenerateKey(g, nil)
		if err != nil {
			return err
		}
		s.keys, s.tokens = append(s.keys, k), append(s.tokens, k.Token())
	}
	s.tokens = append(s.tokens, marker)
	return nil
}

var (
	errNoTokens  = errors.New("no H.235 tokens")
	errReplayed  = errors.New("a public key that another endpoint has used")
	errReflected = errors.New("our own public key came back")
)

// answer takes SETUP's tokens: the strongest group that both know. Groups
// beyond 4096 bits are passed over; whoever offers them offers others too.
func (s *security) answer(tokens []h235.ClearToken) (secret, half []byte, err error) {
	err = errNoTokens
	for i := len(h235.Groups) - 1; i >= 0; i-- {
		g := h235.Groups[i]
		if g.Bits > bestGroup {
			continue
		}
		for t := range tokens {
			if tokens[t].TokenOID != g.OID {
				continue
			}
			if secret, half, err = s.answerGroup(&tokens[t]); err == nil {
				return secret, half, nil
			}
		}
	}
	return nil, nil, err
}

func (s *security) answerGroup(t *h235.ClearToken) (secret, half []byte, err error) {
	g, half, err := h235.PeerKey(t)
	if err != nil {
		return nil, nil, err
	}
	k, err := h235.GenerateKey(g, nil)
	if err != nil {
		return nil, nil, err
	}
	if secret, err = k.Secret(half); err != nil {
		return nil, nil, err
	}
	s.keys, s.tokens = []*h235.PrivateKey{k}, []h235.ClearToken{k.Token(), marker}
	return secret, half, nil
}

// accept takes the callee's answer to an offer.
func (s *security) accept(tokens []h235.ClearToken) (secret, half []byte, err error) {
	err = errNoTokens
	for i := range tokens {
		if tokens[i].Dhkey == nil && tokens[i].Dhkeyext == nil {
			continue
		}
		var g h235.Group
		if g, half, err = h235.PeerKey(&tokens[i]); err != nil {
			continue
		}
		err = h235.ErrGroup
		for _, k := range s.keys {
			if k.Group.OID != g.OID {
				continue
			}
			if bytes.Equal(bytes.TrimLeft(k.Public(), "\x00"), bytes.TrimLeft(half, "\x00")) {
				return nil, nil, errReflected
			}
			if secret, err = k.Secret(half); err == nil {
				return secret, half, nil
			}
		}
	}
	return nil, nil, err
}

// halfKeys remembers the public keys that came, so that one taken from
// somebody else's call is not accepted. An endpoint may use its own again.
type halfKeys struct {
	mu   sync.Mutex
	seen map[[32]byte]halfKey
}

type halfKey struct {
	from netip.Addr
	at   time.Time
}

const maxHalfKeys = 8192

// fresh notes the key; false if it has come from another address before.
func (h *halfKeys) fresh(half []byte, from netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[[32]byte]halfKey{}
	}
	sum := sha256.Sum256(bytes.TrimLeft(half, "\x00"))
	if k, known := h.seen[sum]; known && k.from != from {
		return false
	}
	if len(h.seen) >= maxHalfKeys {
		for k := range h.seen { // any: a map has no order
			delete(h.seen, k)
			break
		}
	}
	h.seen[sum] = halfKey{from, time.Now()}
	return true
}

// secure settles the call's encryption by the peer's tokens. The error is a
// core.Reason: the call may not go on in clear.
func (l *leg) secure(tokens []h235.ClearToken) error {
	if l.security.agreed {
		return nil
	}
	take := l.security.answer
	if l.out {
		if l.security.keys == nil {
			return nil // nothing was offered
		}
		take = l.security.accept
	}
	secret, half, err := take(tokens)
	if err == nil && !l.e.halves.fresh(half, l.s.remote.Addr()) {
		err = errReplayed
	}
	switch {
	case err == nil:
		l.security.agreed = true
		l.machine.SetEncryption(&control.Encryption{Algorithms: algorithms, Secret: secret})
		return nil
	case !l.required():
		if !errors.Is(err, errNoTokens) {
			l.note("H.235 tokens not usable: " + err.Error())
		}
		l.machine.SetEncryption(nil)
		return nil
	}
	l.e.counters.Downgrade.Add(1)
	detail := "H.235.6 is required, but " + err.Error() + ": the other side does not encrypt, or somebody on the way has stripped the tokens"
	l.note(detail)
	return core.Reason{Code: core.NotEncrypted, Say: "This system takes encrypted calls only.", Detail: detail}
}

// required tells whether this call's media must be encrypted.
func (l *leg) required() bool {
	if l.outgoing != nil {
		return !l.outgoing.opt.Clear
	}
	return !l.e.opt.Legacy
}
