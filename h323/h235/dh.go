package h235

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"sync"

	"bridgehead/h323/per"
)

// A Group is a Diffie-Hellman group that a clear token may name: the Oakley
// and MODP groups of RFC 2409 and RFC 3526, with the generator 2.
type Group struct {
	OID  per.OID // of the token
	Bits int
	c    int64 // of the prime's formula
}

// Groups, weakest first. The first is for systems that know no other.
var Groups = []Group{
	{"0.0.8.235.0.3.43", 1024, 129093},
	{"0.0.8.235.0.3.44", 1536, 741804},
	{"0.0.8.235.0.3.45", 2048, 124476},
	{"0.0.8.235.0.3.47", 4096, 240904},
	{"0.0.8.235.0.4.77", 6144, 929484},
	{"0.0.8.235.0.4.78", 8192, 4743158},
}

// NoGroupOID is the token OID that says that H.235.6 is known, without a key.
const NoGroupOID per.OID = "0.0.8.235.0.3.24"

// maxDHset is the largest group whose numbers fit the module's DHset.
const maxDHset = 2048

// Errors of tokens. All of them mean that no key is agreed.
var (
	ErrGroup     = errors.New("h235: the token's Diffie-Hellman group is none that is known")
	ErrPublicKey = errors.New("h235: the token's public key is out of range")
)

var (
	one    = big.NewInt(1)
	two    = big.NewInt(2)
	primes sync.Map // by bits
)

// GroupOf finds the group of a token's OID.
func GroupOf(oid per.OID) (Group, bool) {
	for _, g := range Groups {
		if g.OID == oid {
			return g, true
		}
	}
	return Group{}, false
}

// Prime is p = 2^n - 2^(n-64) - 1 + 2^64 (⌊2^(n-130) π⌋ + c), for n bits (RFC
// 3526 §2).
func (g Group) Prime() *big.Int {
	if p, ok := primes.Load(g.Bits); ok {
		return p.(*big.Int)
	}
	n := uint(g.Bits)
	p := piTimes(n - 130)
	p.Add(p, big.NewInt(g.c)).Lsh(p, 64)
	p.Add(p, new(big.Int).Lsh(one, n)).Sub(p, new(big.Int).Lsh(one, n-64)).Sub(p, one)
	primes.Store(g.Bits, p)
	return p
}

// piTimes is ⌊2^n π⌋, by Machin's formula: π/4 = 4 arctan 1/5 - arctan 1/239.
func piTimes(n uint) *big.Int {
	const guard = 64
	unit := new(big.Int).Lsh(one, n+guard)
	pi := arctan(unit, 5)
	pi.Lsh(pi, 2).Sub(pi, arctan(unit, 239)).Lsh(pi, 2)
	return pi.Rsh(pi, guard)
}

// arctan is arctan 1/x in units of 1/unit.
func arctan(unit *big.Int, x int64) *big.Int {
	square, power, sum := big.NewInt(x*x), new(big.Int).Div(unit, big.NewInt(x)), new(big.Int)
	for i := int64(1); power.Sign() > 0; i += 2 {
		term := new(big.Int).Div(power, big.NewInt(i))
		if i&2 != 0 {
			term.Neg(term)
		}
		sum.Add(sum, term)
		power.Div(power, square)
	}
	return sum
}

// A PrivateKey is one side's half of an exchange, for one call.
type PrivateKey struct {
	Group Group
	x     *big.Int
}

// secretBits of an exponent: twice the strength of the longest key it protects.
const secretBits = 512

// GenerateKey draws a key; random is nil for crypto/rand.
func GenerateKey(g Group, random io.Reader) (*PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, secretBits/8)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] |= 0x80
	return &PrivateKey{g, new(big.Int).SetBytes(b)}, nil
}

// Public is the half that goes to the peer, in as many octets as the prime.
func (k *PrivateKey) Public() []byte {
	y := new(big.Int).Exp(two, k.x, k.Group.Prime())
	return y.FillBytes(make([]byte, k.Group.Bits/8))
}

// Secret is what both sides share, in as many octets as the prime. A peer's
// half that would make it guessable (0, 1, p-1 or beyond) is refused: as
// (p-1)/2 is prime, there are no other small subgroups.
func (k *PrivateKey) Secret(peer []byte) ([]byte, error) {
	p := k.Group.Prime()
	if len(peer) > len(p.Bytes())+1 {
		return nil, ErrPublicKey
	}
	y := new(big.Int).SetBytes(peer)
	if y.Cmp(one) <= 0 || y.Cmp(new(big.Int).Sub(p, one)) >= 0 {
		return nil, ErrPublicKey
	}
	return y.Exp(y, k.x, p).FillBytes(make([]byte, k.Group.Bits/8)), nil
}

// SessionKey is what media keys are encrypted under: the n low octets of the
// secret, 16 or 32 (H.235.6 §7.6.1).
func SessionKey(secret []byte, n int) []byte { return bytes.Clone(secret[len(secret)-n:]) }

// Token is the clear token that carries the public half. The prime and the
// generator go with the 1024-bit group only, where peers want to see them.
func (k *PrivateKey) Token() ClearToken {
	t := ClearToken{TokenOID: k.Group.OID}
	if k.Group.Bits > maxDHset {
		t.Dhkeyext = &DHsetExt{Halfkey: per.Bits(k.Public())}
		return t
	}
	t.Dhkey = &DHset{Halfkey: per.Bits(k.Public())}
	if k.Group.Bits == 1024 {
		t.Dhkey.ModSize = per.Bits(k.Group.Prime().Bytes())
		t.Dhkey.Generator = per.Bits(two.FillBytes(make([]byte, k.Group.Bits/8)))
	}
	return t
}

// PeerKey takes the group and the peer's half out of a token. Numbers that the
// token brings along must be those of the group that its OID names: a peer does
// not choose the group.
func PeerKey(t *ClearToken) (Group, []byte, error) {
	g, ok := GroupOf(t.TokenOID)
	var half, p, generator per.BitString
	switch {
	case !ok:
		return Group{}, nil, ErrGroup
	case t.Dhkey != nil:
		half, p, generator = t.Dhkey.Halfkey, t.Dhkey.ModSize, t.Dhkey.Generator
	case t.Dhkeyext != nil:
		half = t.Dhkeyext.Halfkey
		if t.Dhkeyext.ModSize != nil {
			p = *t.Dhkeyext.ModSize
		}
		if t.Dhkeyext.Generator != nil {
			generator = *t.Dhkeyext.Generator
		}
	default:
		return Group{}, nil, ErrGroup
	}
	if p.Len > 0 && new(big.Int).SetBytes(p.Bytes).Cmp(g.Prime()) != 0 ||
		generator.Len > 0 && new(big.Int).SetBytes(generator.Bytes).Cmp(two) != 0 || half.Len%8 != 0 {
		return Group{}, nil, ErrGroup
	}
	return g, half.Bytes, nil
}
