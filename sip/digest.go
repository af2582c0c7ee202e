package sip

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
)

// The digest algorithms of RFC 8760, in the order in which they are offered.
const (
	SHA256 = "SHA-256"
	MD5    = "MD5"
)

func digestHash(algorithm, s string) string {
	if algorithm == SHA256 {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// HA1 is what a store keeps in place of a password (RFC 7616 3.4.2).
func HA1(algorithm, user, realm, password string) string {
	return digestHash(algorithm, user+":"+realm+":"+password)
}

// credentials are the parameters of one Authorization, or of one challenge.
type credentials map[string]string

// parseDigest reads "Digest k=v, k="v" …". It takes at most 32 parameters.
func parseDigest(v string) (credentials, bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
	if !strings.EqualFold(scheme, "Digest") || len(rest) > 4096 {
		return nil, false
	}
	c := credentials{}
	for len(c) < 32 {
		var k string
		var ok bool
		if k, rest, ok = strings.Cut(rest, "="); !ok {
			break
		}
		k = strings.ToLower(strings.Trim(k, " ,\t"))
		rest = strings.TrimLeft(rest, " \t")
		var val string
		if strings.HasPrefix(rest, `"`) {
			val, rest, ok = strings.Cut(rest[1:], `"`)
			if !ok {
				return nil, false
			}
		} else {
			val, rest, _ = strings.Cut(rest, ",")
			val = strings.TrimSpace(val)
		}
		if _, twice := c[k]; twice {
			return nil, false
		}
		c[k] = val
	}
	return c, true
}

// answer is the response value of RFC 7616 3.4.1 with qop=auth, or the old
// form of RFC 2069 without.
func (c credentials) answer(ha1, algorithm, method string) string {
	ha2 := digestHash(algorithm, method+":"+c["uri"])
	if c["qop"] == "" {
		return digestHash(algorithm, ha1+":"+c["nonce"]+":"+ha2)
	}
	return digestHash(algorithm, strings.Join([]string{ha1, c["nonce"], c["nc"], c["cnonce"], c["qop"], ha2}, ":"))
}

// nonceLife is how long a nonce may be used. A device registers anew every
// few minutes; a stale one costs it a round trip, no password prompt.
const nonceLife = 5 * time.Minute

// maxNonces bounds how many nonces' counters are kept.
const maxNonces = 8192

// authenticator is the server side. A nonce carries its own time and proof, so
// that a challenge costs no memory; only used nonces are remembered, for the
// count that keeps an Authorization from being sent again.
type authenticator struct {
	realm   string
	devices Devices
	only    string // the only algorithm; "": both
	secret  [32]byte

	mu   sync.Mutex
	used map[string]usedNonce
	// plain are the users whose endpoints did not answer a challenge that
	// offered SHA-256: some give up on it even with MD5 beside.
	plain map[string]bool
}

type usedNonce struct {
	count uint64
	until time.Time
}

func newAuthenticator(realm string, d Devices) *authenticator {
	a := &authenticator{realm: realm, devices: d, used: map[string]usedNonce{}, plain: map[string]bool{}}
	rand.Read(a.secret[:])
	return a
}

func (a *authenticator) nonce(at time.Time) string {
	var b [24 + 16]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.UnixMilli()))
	rand.Read(b[8:24])
	mac := hmac.New(sha256.New, a.secret[:])
	mac.Write(b[:24])
	copy(b[24:], mac.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (a *authenticator) fresh(nonce string, now time.Time) (ours, fresh bool) {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 40 {
		return false, false
	}
	mac := hmac.New(sha256.New, a.secret[:])
	mac.Write(b[:24])
	if !hmac.Equal(mac.Sum(nil)[:16], b[24:]) {
		return false, false
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(b))))
	return true, age >= 0 && age < nonceLife
}

// challenge puts both algorithms on a 401, the stronger first (RFC 8760 2.4);
// MD5 alone for endpoints that are known, or have shown, to know no better.
func (a *authenticator) challenge(req *request, res *response, stale bool) {
	nonce := a.nonce(time.Now())
	algorithms := []string{SHA256, MD5}
	switch {
	case a.only != "":
		algorithms = []string{a.only}
	case len(all(req, "Authorization")) == 0 && a.knowsMD5Only(req):
		algorithms = algorithms[1:]
	}
	for _, alg := range algorithms {
		v := fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=%s, qop="auth"`, a.realm, nonce, alg)
		if stale {
			v += ", stale=true"
		}
		set(res, "WWW-Authenticate", v)
	}
}

// knowsMD5Only also notes that the user is challenged: one that comes again
// without credentials has not understood. A SHA-256 login takes the note back.
func (a *authenticator) knowsMD5Only(req *request) bool {
	agent := first(req, "User-Agent")
	if strings.HasPrefix(agent, "baresip v0") || strings.HasPrefix(agent, "baresip v1") {
		return true // libre before 2.0
	}
	user := req.From().Address.User
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plain[user] {
		return true
	}
	if len(a.plain) >= maxNonces {
		clear(a.plain)
	}
	a.plain[user] = true
	return false
}

// verdict of verify.
type verdict uint8

const (
	authNone  verdict = iota // no credentials of this realm
	authStale                // right form, old nonce
	authWrong
	authOK
	authBlocked // too many wrong ones from this source
)

var errGuessing = core.Reason{Code: core.Throttled, Say: "Too many wrong passwords. Please try again later.", Detail: "too many wrong passwords from this source"}

// verify checks a request's Authorization, unless its source has guessed too
// often: then even the right password is of no use, but to a device that has
// registered over this connection before.
func (e *Edge) verify(by *authenticator, req *request, in *flow) (user string, d Device, v verdict) {
	from := in.remote.Addr()
	registered := in.stream != nil && in.stream.user.Load() != nil
	if !registered && len(all(req, "Authorization")) > 0 && e.guard.guessing(from) {
		return "", Device{}, authBlocked
	}
	if user, d, v = by.verify(req); v == authWrong {
		e.guard.wrong(from)
		e.guard.strike(in, edge.WrongPassword)
	}
	return user, d, v
}

// verify checks the request's Authorization and names the device.
func (a *authenticator) verify(req *request) (user string, d Device, v verdict) {
	if a.devices == nil {
		return "", Device{}, authNone
	}
	worst := authNone
	for i, h := range all(req, "Authorization") {
		c, ok := parseDigest(h)
		if !ok || c["realm"] != a.realm || i > 3 {
			continue
		}
		d, v := a.check(c, req)
		if v == authOK || v == authStale {
			return c["username"], d, v
		}
		worst = max(worst, v)
	}
	return "", Device{}, worst
}

func (a *authenticator) check(c credentials, req *request) (Device, verdict) {
	alg := strings.ToUpper(c["algorithm"])
	if alg == "" {
		alg = MD5
	}
	if alg != MD5 && alg != SHA256 || a.only != "" && alg != a.only || c["qop"] != "auth" {
		return Device{}, authWrong
	}
	var at uri
	if siplib.ParseUri(c["uri"], &at) != nil || at.Host != req.Recipient.Host || at.User != req.Recipient.User {
		return Device{}, authWrong
	}
	ours, fresh := a.fresh(c["nonce"], time.Now())
	if !ours {
		return Device{}, authStale
	}
	d, known := a.devices.Device(c["username"])
	ha1 := ""
	if known && d.HA1 != nil {
		ha1 = d.HA1(alg, a.realm)
	}
	// The work is the same for a name that does not exist.
	want := c.answer(ha1, alg, string(req.Method))
	if subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(c["response"]))) != 1 || ha1 == "" {
		return Device{}, authWrong
	}
	if !fresh || !a.count(c) {
		return Device{}, authStale
	}
	if alg == SHA256 {
		a.mu.Lock()
		delete(a.plain, req.From().Address.User)
		a.mu.Unlock()
	}
	return d, authOK
}

// count refuses a nonce count that was seen (RFC 7616 3.4: replay).
func (a *authenticator) count(c credentials) bool {
	nc, err := strconv.ParseUint(c["nc"], 16, 32)
	if err != nil || nc == 0 {
		return false
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.used) >= maxNonces {
		for k, u := range a.used {
			if now.After(u.until) {
				delete(a.used, k)
			}
		}
		if len(a.used) >= maxNonces {
			return false // stale: the device tries again with a new nonce
		}
	}
	u := a.used[c["nonce"]]
	if nc <= u.count {
		return false
	}
	a.used[c["nonce"]] = usedNonce{nc, now.Add(nonceLife)}
	return true
}

// login answers challenges, for one peer.
type login struct {
	user, password string
	realm          string // "" any: only for a peer that was addressed explicitly
	only           string // the only algorithm; "": the stronger
	nc             uint32
}

var errChallenge = errors.New("challenge cannot be answered")

// authorize puts the answer to a 401 or 407 on a request, replacing one that
// is there. It answers for its own realm alone (CVE-2021-41158).
func (l *login) authorize(req *request, res *response) error {
	ask, give := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		ask, give = "Proxy-Authenticate", "Proxy-Authorization"
	}
	if l == nil || l.user == "" {
		return errChallenge
	}
	best, alg := credentials(nil), ""
	for i, h := range all(res, ask) {
		c, ok := parseDigest(h)
		if !ok || i > 8 || l.realm != "" && c["realm"] != l.realm || c["nonce"] == "" {
			continue
		}
		a := strings.ToUpper(c["algorithm"])
		if a == "" {
			a = MD5
		}
		if l.only != "" && a != l.only {
			continue
		}
		if a == SHA256 && alg != SHA256 || a == MD5 && alg == "" {
			best, alg = c, a
		}
	}
	if best == nil {
		return errChallenge
	}
	for req.RemoveHeader(give) {
	}
	set(req, give, l.credentials(best, alg, req))
	return nil
}

func (l *login) credentials(c credentials, alg string, req *request) string {
	l.nc++
	out := credentials{"uri": req.Recipient.String(), "nonce": c["nonce"]}
	for _, q := range strings.Split(c["qop"], ",") {
		if strings.EqualFold(strings.TrimSpace(q), "auth") {
			out["qop"], out["cnonce"], out["nc"] = "auth", newTag(), fmt.Sprintf("%08x", l.nc)
		}
	}
	resp := out.answer(HA1(alg, l.user, c["realm"], l.password), alg, string(req.Method))
	v := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s`, l.user, c["realm"], c["nonce"], out["uri"], resp, alg)
	if out["qop"] != "" {
		v += fmt.Sprintf(`, qop=auth, cnonce="%s", nc=%s`, out["cnonce"], out["nc"])
	}
	if o, ok := c["opaque"]; ok {
		v += fmt.Sprintf(`, opaque="%s"`, o)
	}
	return v
}
