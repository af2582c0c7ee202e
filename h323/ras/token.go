package ras

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"bridgehead/core/edge"
	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
)

// token is what goes into a token of H.235.1, procedure I.
type token struct {
	password string
	from, to string // sendersID and generalID
	at       time.Time
	random   int64
}

// seal writes a message, signed if there is a password.
func seal(m *h225.RasMessage, t token) ([]byte, error) {
	_, v := body(m)
	if t.password == "" || !v.IsValid() {
		return per.Encode(m)
	}
	return t.sign(v, func() ([]byte, error) { return per.Encode(m) })
}

// sign puts the token into a message's body, and its hash into the encoding.
func (t token) sign(body reflect.Value, encode func() ([]byte, error)) ([]byte, error) {
	for range 3 { // the octets that mark the place must occur nowhere else
		place := make([]byte, h235.HashLen)
		rand.Read(place)
		body.FieldByName("CryptoTokens").Set(reflect.ValueOf([]h225.CryptoH323Token{t.token(place)}))
		b, err := encode()
		if err != nil || h235.Sign(b, place, t.password) {
			return b, err
		}
	}
	return nil, errors.New("ras: no place for the hash")
}

func (t token) token(place []byte) h225.CryptoH323Token {
	clear := h235.ClearToken{TokenOID: h235.HashedClearOID, TimeStamp: new(t.at.Unix()), Random: &t.random}
	if t.from != "" {
		clear.SendersID = &t.from
	}
	if t.to != "" {
		clear.GeneralID = &t.to
	}
	return h225.CryptoH323Token{NestedcryptoToken: &h235.CryptoToken{CryptoHashedToken: &h235.CryptoTokenCryptoHashedToken{
		TokenOID: h235.HashedTokenOID, HashedVals: clear,
		Token: h235.HASHED{AlgorithmOID: h235.HMACSHA1OID, Hash: per.Bits(place)}}}}
}

// hashed finds the token of H.235.1, procedure I, in a message's body.
func hashed(v reflect.Value) *h235.CryptoTokenCryptoHashedToken {
	for _, c := range get[[]h225.CryptoH323Token](v, "CryptoTokens") {
		if n := c.NestedcryptoToken; n != nil && n.CryptoHashedToken != nil {
			t := n.CryptoHashedToken
			if is(t.TokenOID, h235.HashedTokenOID) && is(t.HashedVals.TokenOID, h235.HashedClearOID) &&
				is(t.Token.AlgorithmOID, h235.HMACSHA1OID) && t.Token.Hash.Len == 8*h235.HashLen {
				return t
			}
		}
	}
	return nil
}

// is tells whether an object identifier of H.235 is that one, in whichever
// version: 0.0.8.235.0.VERSION.n.
func is(have, want per.OID) bool {
	const family = "0.0.8.235.0."
	v, n, _ := strings.Cut(strings.TrimPrefix(string(have), family), ".")
	_, m, _ := strings.Cut(strings.TrimPrefix(string(want), family), ".")
	return strings.HasPrefix(string(have), family) && (v == "1" || v == "2" || v == "3") && n == m
}

// verdict on the token of a message.
type verdict int

const (
	absent      verdict = iota
	proved              // the sender knows the password
	wrong               // or there is no such device
	blocked             // too many wrong ones came from there
	stale               // the password is right, the time is not
	replayed            // the password is right, but it came before
	misdirected         // the password is right, but it is for another gatekeeper
)

// identity is who a message proves to come from.
type identity struct {
	verdict
	user     string
	password string // of user, where the sender knows it: its answers are signed
}

// identify judges the token of a message (H.235.1 §8).
func (g *Gatekeeper) identify(r *request, v reflect.Value) identity {
	t := hashed(v)
	if t == nil || g.opt.Devices == nil {
		return identity{}
	}
	who := deref(t.HashedVals.SendersID)
	user, here := g.sender(r, who)
	source, now := r.from.Addr.Addr(), g.opt.Now()
	if !here && g.guard.guessing(source, now) {
		return identity{verdict: blocked}
	}
	if user == "" {
		user = g.userOf(who)
	}
	if user == "" && who == "" {
		user = g.userOf(Called(get[[]h225.AliasAddress](v, "TerminalAlias")))
	}
	device, ok := g.opt.Devices.Device(user)
	// the hash is reckoned in any case: time tells nobody who exists
	if right := h235.Verify(r.raw, t.Token.Hash.Bytes, device.Password); !right || !ok || device.Password == "" {
		g.guard.wrong(source, now)
		g.strike(source, edge.WrongPassword)
		g.log.Warn("RAS message with wrong credentials", "message", r.name, "sender", text([]byte(who)), "source", r.from.Addr)
		return identity{verdict: wrong}
	}
	r.receiver = who
	id := identity{verdict: proved, user: user, password: device.Password}
	switch to, at := t.HashedVals.GeneralID, deref(t.HashedVals.TimeStamp); {
	case to != nil && *to != g.opt.Identifier:
		id.verdict = misdirected
	case time.Unix(at, 0).Sub(now).Abs() > g.opt.Skew:
		id.verdict = stale
		g.log.Warn("RAS message with the time of another clock", "message", r.name, "device", user, "source", r.from.Addr, "off", time.Unix(at, 0).Sub(now).Round(time.Second))
	case !g.fresh(user, at, deref(t.HashedVals.Random)):
		id.verdict = replayed
		g.counters.Replayed.Add(1)
	}
	return id
}

// sender is the device of a registration that a sendersID names, or that the
// message itself names if it has none; here says that it is where the
// message comes from.
func (g *Gatekeeper) sender(r *request, who string) (user string, here bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.regs[cmp.Or(who, r.id)]
	if e == nil {
		e = g.regs[r.id]
		if e == nil || !e.Peer.same(r.from) {
			return "", false
		}
		return "", true
	}
	return e.User, e.Peer.same(r.from)
}

func (g *Gatekeeper) fresh(user string, at, random int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.replays[user]
	if p == nil {
		p = new(replays)
		g.replays[user] = p
	}
	return p.fresh(once{at, random})
}

// maxOnce is how many messages of one device are remembered.
const maxOnce = 256

// replays remembers which messages of a device came, the latest by their
// time, so that none is taken twice (H.235.1 §8.1). Devices of one name whose
// clocks differ may alternate.
type replays struct {
	seen  []once
	floor int64 // all up to that time are refused
}

// once is the time and the number of a message.
type once struct{ at, random int64 }

func (p *replays) fresh(o once) bool {
	if o.at <= p.floor || slices.Contains(p.seen, o) {
		return false
	}
	if len(p.seen) == maxOnce {
		oldest := 0
		for i := range p.seen {
			if p.seen[i].at < p.seen[oldest].at {
				oldest = i
			}
		}
		if p.floor = p.seen[oldest].at; o.at <= p.floor {
			return false
		}
		p.seen = slices.DeleteFunc(p.seen, func(s once) bool { return s.at <= p.floor })
	}
	p.seen = append(p.seen, o)
	return true
}

// securityError is a verdict as GRJ and RRJ tell it; nil: securityDenial.
func securityError(v verdict) *h225.SecurityErrors {
	switch v {
	case stale:
		return &h225.SecurityErrors{SecurityWrongSyncTime: none}
	case replayed:
		return &h225.SecurityErrors{SecurityReplay: none}
	case misdirected:
		return &h225.SecurityErrors{SecurityWrongGeneralID: none}
	}
	return nil
}

// securityError2 is a verdict as the other rejects tell it.
func securityError2(v verdict) *h225.SecurityErrors2 {
	switch v {
	case stale:
		return &h225.SecurityErrors2{SecurityWrongSyncTime: none}
	case replayed:
		return &h225.SecurityErrors2{SecurityReplay: none}
	case misdirected:
		return &h225.SecurityErrors2{SecurityWrongGeneralID: none}
	}
	return nil
}

// Verify tells which device a SETUP proves to come from by its token of
// H.235.1, which covers the whole of the encoded user-user part. False: it has
// none, or one that proves nothing.
func (g *Gatekeeper) Verify(encoded []byte, setup *h225.SetupUUIE, from netip.AddrPort) (user string, ok bool) {
	r := &request{name: "setup", raw: encoded, from: Peer{Addr: from}}
	if setup.EndpointIdentifier != nil {
		r.id = *setup.EndpointIdentifier
	}
	id := g.identify(r, reflect.ValueOf(setup).Elem())
	// whom it names as its receiver may be this end's alias and not the gatekeeper's
	return id.user, id.verdict == proved || id.verdict == misdirected
}
