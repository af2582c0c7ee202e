package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// Bounds of registrations, in seconds and in number.
const (
	minExpires     = 60
	maxExpires     = 7200
	defaultExpires = 3600
	maxBindings    = 5     // of one device
	maxUsers       = 20000 // registered at once
)

// registrar keeps where devices are (RFC 3261 10.3). A binding lives as long
// as the TLS connection it was made over: calls to the device go there.
type registrar struct {
	e     *Edge
	mu    sync.Mutex
	users map[string][]*binding
}

type binding struct {
	contact uri
	flow    *flow
	callID  string
	seq     uint32
	until   time.Time
	agent   string
}

// Registration is one live binding.
type Registration struct {
	User    string         `json:"user"`
	Contact string         `json:"contact"`
	Source  netip.AddrPort `json:"source"`
	Agent   string         `json:"agent,omitempty"`
	Expires time.Time      `json:"expires"`
}

func newRegistrar(e *Edge) *registrar { return &registrar{e: e, users: map[string][]*binding{}} }

// register handles a REGISTER.
func (r *registrar) register(tx *serverTx, in *flow) {
	req := tx.req
	refuse := func(status int, name, value string) {
		res := reply(req, status, newTag())
		if name != "" {
			set(res, name, value)
		}
		r.e.log.Info("SIP registration refused", "user", edge.Clean(req.To().Address.User, 64), "source", in.remote, "status", status)
		tx.respond(res)
	}
	switch {
	case in.stream == nil || !in.secure():
		refuse(403, "Warning", warning(399, r.e.domain(), "Registration is possible over TLS only"))
		return
	case r.e.opt.Devices == nil:
		refuse(403, "", "")
		return
	}
	user, _, v := r.e.verify(r.e.auth, req, in)
	if v == authBlocked {
		refuse(403, "Warning", warning(399, r.e.domain(), errGuessing.Say))
		return
	}
	if v != authOK {
		res := reply(req, 401, newTag())
		r.e.auth.challenge(req, res, v == authStale)
		if v == authWrong {
			r.e.log.Warn("SIP registration with wrong credentials", "user", edge.Clean(req.To().Address.User, 64), "source", in.remote)
		}
		tx.respond(res)
		return
	}
	if to := unescape(req.To().Address.User); to != user {
		refuse(403, "", "")
		return
	}
	status, name, value := r.bind(user, req, in)
	if status != 200 {
		refuse(status, name, value)
		return
	}
	in.stream.trusted.Store(true)
	in.stream.user.Store(&user)
	tx.respond(r.list(user, req))
}

// bind carries out the contacts of an authenticated REGISTER (RFC 3261 10.3
// steps 6 to 8): all of them or none.
func (r *registrar) bind(user string, req *request, in *flow) (status int, header, value string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.live(user, now)
	general := expiresOf(first(req, "Expires"), defaultExpires)
	for _, h := range req.GetHeaders("Contact") {
		c, ok := h.(*siplib.ContactHeader)
		if !ok {
			return 400, "", ""
		}
		if c.Address.Wildcard || c.Address.Host == "*" {
			if general != 0 || first(req, "Expires") == "" {
				return 400, "", ""
			}
			list = nil
			continue
		}
		n := expiresOf(param(c.Params, "expires"), general)
		if n != 0 && n < minExpires {
			return 423, "Min-Expires", strconv.Itoa(minExpires)
		}
		i := slices.IndexFunc(list, func(b *binding) bool { return sameContact(b.contact, c.Address) })
		if i >= 0 {
			if list[i].callID == callID(req) && req.CSeq().SeqNo <= list[i].seq {
				return 500, "", ""
			}
			list = slices.Delete(slices.Clone(list), i, i+1)
		}
		if n == 0 {
			continue
		}
		if len(list) >= maxBindings {
			list = list[1:] // the oldest goes
		}
		list = append(list[:len(list):len(list)], &binding{contact: c.Address, flow: in, callID: callID(req), seq: req.CSeq().SeqNo,
			until: now.Add(time.Duration(min(n, maxExpires)) * time.Second), agent: edge.Clean(first(req, "User-Agent"), 80)})
	}
	if len(list) == 0 {
		delete(r.users, user)
	} else if _, known := r.users[user]; !known && len(r.users) >= maxUsers {
		return 503, "Retry-After", "60"
	} else {
		r.users[user] = list
	}
	return 200, "", ""
}

func expiresOf(v string, otherwise int) int {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	if err != nil {
		return otherwise
	}
	return int(min(n, 1<<30))
}

func sameContact(a, b uri) bool {
	return a.User == b.User && strings.EqualFold(a.Host, b.Host) && a.Port == b.Port
}

// live drops what has expired. Called with r.mu held.
func (r *registrar) live(user string, now time.Time) []*binding {
	list := slices.DeleteFunc(slices.Clone(r.users[user]), func(b *binding) bool { return now.After(b.until) || !b.flow.alive() })
	if len(list) == 0 {
		delete(r.users, user)
	} else {
		r.users[user] = list
	}
	return list
}

func (r *registrar) list(user string, req *request) *response {
	now := time.Now()
	res := reply(req, 200, newTag())
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.live(user, now) {
		c := &siplib.ContactHeader{Address: b.contact}
		c.Params.Add("expires", strconv.Itoa(int(b.until.Sub(now)/time.Second)))
		res.AppendHeader(c)
	}
	return res
}

// lost forgets what was registered over a connection that has gone.
func (r *registrar) lost(s *stream) {
	user := s.user.Load()
	if user == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live(*user, time.Now())
}

// aim points a call at the connections of a registered device.
func (r *registrar) aim(s *spec) error {
	user := unescape(s.uri.User)
	if r.e.opt.Devices == nil {
		return core.Reason{Code: core.NotFound, Detail: "sip: no devices are configured"}
	}
	if u, ok := r.e.opt.Devices.Extension(user); ok {
		user = u
	}
	d, ok := r.e.opt.Devices.Device(user)
	if !ok {
		return core.Reason{Code: core.NotFound, Say: "There is no such device.", Detail: "sip: no device " + edge.Clean(user, 64)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.live(user, time.Now()) {
		s.flows, s.targetURI = append(s.flows, b.flow), append(s.targetURI, b.contact)
	}
	if len(s.flows) == 0 {
		return core.Reason{Code: core.Unreachable, Say: "The device is not connected.", Detail: "sip: device " + edge.Clean(user, 64) + " is not registered"}
	}
	s.policy, s.secure = sdp.Required, true
	s.info.User = user
	if d.Name != "" {
		s.info.Name = d.Name
	}
	s.to.uri.Host = r.e.domain()
	return nil
}

// Registrations lists the live bindings by user.
func (e *Edge) Registrations() []Registration {
	r := e.registrar
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Registration
	for user, list := range r.users {
		for _, b := range list {
			if now.Before(b.until) && b.flow.alive() {
				out = append(out, Registration{user, b.contact.String(), b.flow.remote, b.agent, b.until})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].User < out[j].User })
	return out
}

// Revoke drops a device's registrations, connections and calls at once. The
// caller has seen to it that Devices does not know it any more.
func (e *Edge) Revoke(user string) {
	if user == "" {
		return // nobody in particular
	}
	e.registrar.mu.Lock()
	delete(e.registrar.users, user)
	e.registrar.mu.Unlock()
	e.legsMu.Lock()
	var legs []*leg
	for _, l := range e.legs {
		if l.info.User == user { // never changes
			legs = append(legs, l)
		}
	}
	e.legsMu.Unlock()
	for _, l := range legs {
		l.Hangup(core.Reason{Code: core.Revoked, Say: "Your access has ended.", Detail: fmt.Sprintf("device %s was revoked", edge.Clean(user, 64))})
	}
	e.streamsMu.Lock()
	var streams []*stream
	for s := range e.streams {
		if u := s.user.Load(); u != nil && *u == user {
			streams = append(streams, s)
		}
	}
	e.streamsMu.Unlock()
	// The BYEs go out first, behind the functions already posted.
	time.AfterFunc(200*time.Millisecond, func() {
		for _, s := range streams {
			s.Conn.Close()
		}
	})
}
