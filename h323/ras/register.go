package ras

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
)

// features of H.460 that bring calls through firewalls, by number.
const (
	feature17 = 17
	feature18 = 18
)

// discover handles GRQ (H.225.0 §7.2): which gatekeeper, and how to prove
// oneself to it.
func (g *Gatekeeper) discover(r *request, m *h225.GatekeeperRequest) *h225.RasMessage {
	var why h225.GatekeeperRejectReason
	hashes := slices.ContainsFunc(m.AuthenticationCapability, func(a h235.AuthenticationMechanism) bool { return a.PwdHash != nil }) &&
		slices.Contains(m.AlgorithmOIDs, h235.HMACSHA1OID)
	switch {
	case m.GatekeeperIdentifier != nil && *m.GatekeeperIdentifier != g.opt.Identifier:
		why.TerminalExcluded = none
	case r.verdict == wrong, len(m.AuthenticationCapability) > 0 && !hashes && !g.opt.Open:
		why.SecurityDenial = none
	case securityError(r.verdict) != nil:
		why.SecurityError = securityError(r.verdict)
	default:
		return g.discovered(r, m, hashes)
	}
	return &h225.RasMessage{GatekeeperReject: &h225.GatekeeperReject{RequestSeqNum: r.seq, ProtocolIdentifier: protocol,
		GatekeeperIdentifier: &g.opt.Identifier, RejectReason: why}}
}

func (g *Gatekeeper) discovered(r *request, m *h225.GatekeeperRequest, hashes bool) *h225.RasMessage {
	c := &h225.GatekeeperConfirm{RequestSeqNum: r.seq, ProtocolIdentifier: protocol, GatekeeperIdentifier: &g.opt.Identifier,
		RasAddress: Address(g.rasAddress(r.from)), AlternateGatekeeper: g.alternates(), FeatureSet: features(traversal(r.from, m.FeatureSet))}
	if hashes {
		c.AuthenticationMode = &h235.AuthenticationMechanism{PwdHash: none}
		c.AlgorithmOID = new(h235.HMACSHA1OID)
	}
	return &h225.RasMessage{GatekeeperConfirm: c}
}

// rasAddress is where a peer sends its messages to.
func (g *Gatekeeper) rasAddress(to Peer) netip.AddrPort {
	return netip.AddrPortFrom(g.opt.Signalling(to.Addr).Addr(), cmp.Or(g.Addr().Port(), Port))
}

func (g *Gatekeeper) alternates() (out []h225.AlternateGK) {
	for _, a := range g.opt.Alternates {
		k := h225.AlternateGK{RasAddress: Address(a.Address), NeedToRegister: a.Register, Priority: a.Priority}
		if a.Identifier != "" {
			k.GatekeeperIdentifier = &a.Identifier
		}
		out = append(out, k)
	}
	return out
}

// traversal is how calls will reach an endpoint: H.460.18 whenever it offers
// that, since no sender's address tells of a firewall that translates nothing.
func traversal(from Peer, f *h225.FeatureSet) Traversal {
	if from.Stream != nil {
		return H46017
	}
	if f == nil {
		return NoTraversal
	}
	for _, list := range [][]h225.FeatureDescriptor{f.NeededFeatures, f.DesiredFeatures, f.SupportedFeatures} {
		for _, d := range list {
			if d.Id.Standard != nil && *d.Id.Standard == feature18 {
				return H46018
			}
		}
	}
	return NoTraversal
}

func features(t Traversal) *h225.FeatureSet {
	number := map[Traversal]int64{H46017: feature17, H46018: feature18}[t]
	if number == 0 {
		return nil
	}
	return &h225.FeatureSet{SupportedFeatures: []h225.FeatureDescriptor{{Id: h225.GenericIdentifier{Standard: &number}}}}
}

// register handles RRQ (H.225.0 §7.3).
func (g *Gatekeeper) register(r *request, m *h225.RegistrationRequest) *h225.RasMessage {
	if deref(m.KeepAlive) && m.EndpointIdentifier != nil {
		return g.refresh(r, m)
	}
	e, why := g.candidate(r, m)
	var reg Registration
	if why == nil {
		reg, why = g.enter(r, m, e)
	}
	if why != nil {
		return g.refuse(r, *why)
	}
	g.log.Info("H.323 endpoint registered", "device", reg.User, "aliases", reg.Aliases, "source", r.from.Addr, "product", reg.Vendor, "traversal", string(reg.Traversal))
	return g.confirm(r, reg, m.TimeToLive)
}

func (g *Gatekeeper) refuse(r *request, why h225.RegistrationRejectReason) *h225.RasMessage {
	m := &h225.RasMessage{RegistrationReject: &h225.RegistrationReject{RequestSeqNum: r.seq, ProtocolIdentifier: protocol,
		RejectReason: why, GatekeeperIdentifier: &g.opt.Identifier}}
	_, v := body(m)
	g.log.Info("H.323 registration refused", "source", r.from.Addr, "device", r.user, "reason", reasonOf(v))
	return m
}

// candidate makes a registration of a full RRQ, or says what is wrong with it.
func (g *Gatekeeper) candidate(r *request, m *h225.RegistrationRequest) (*registration, *h225.RegistrationRejectReason) {
	secure := r.verdict == proved
	if e := securityError(r.verdict); e != nil {
		return nil, &h225.RegistrationRejectReason{SecurityError: e}
	}
	if !secure && (r.verdict == wrong || !g.opt.Open) {
		return nil, &h225.RegistrationRejectReason{SecurityDenial: none}
	}
	if m.GatekeeperIdentifier != nil && *m.GatekeeperIdentifier != g.opt.Identifier {
		return nil, &h225.RegistrationRejectReason{DiscoveryRequired: none}
	}
	way := traversal(r.from, m.FeatureSet)
	signal, ok := addressIn(m.CallSignalAddress)
	if way == NoTraversal && (!ok || signal.Port() == 0) {
		return nil, &h225.RegistrationRejectReason{InvalidCallSignalAddress: none}
	}
	if _, ok := addressIn(m.RasAddress); !ok && way != H46017 {
		return nil, &h225.RegistrationRejectReason{InvalidRASAddress: none}
	}
	aliases, why := g.claim(r, m.TerminalAlias)
	if why != nil {
		return nil, why
	}
	return &registration{Registration: Registration{User: r.user, Aliases: aliases, CallSignal: reachable(signal, r.from.Addr.Addr(), secure),
		Peer: r.from, Vendor: vendor(m.EndpointVendor), Traversal: way, Authenticated: secure},
		password: r.password, calls: map[CallID]*admission{}}, nil
}

// claim gives the aliases that an endpoint may have, or why it may not have
// those that it wants. A device's name and number are the device's alone, and
// a device takes no other number: calls to it would go astray.
func (g *Gatekeeper) claim(r *request, list []h225.AliasAddress) ([]string, *h225.RegistrationRejectReason) {
	if len(list) > maxAliases {
		return nil, &h225.RegistrationRejectReason{ResourceUnavailable: none}
	}
	aliases := aliasesOf(list, maxAliases)
	for _, a := range aliases {
		owner := g.userOf(a)
		switch {
		case owner != "" && owner != r.user && r.user == "":
			return nil, &h225.RegistrationRejectReason{SecurityDenial: none}
		case owner != r.user && (owner != "" || isNumber(a) && !g.opt.Open), owner == "" && g.opt.Reserved != nil && g.opt.Reserved(a):
			g.log.Warn("H.323 endpoint wants an alias that is not its own", "alias", a, "device", r.user, "source", r.from.Addr)
			return nil, &h225.RegistrationRejectReason{InvalidAlias: none}
		}
	}
	if len(aliases) > 0 {
		return aliases, nil
	}
	if r.user == "" {
		return nil, &h225.RegistrationRejectReason{InvalidAlias: none}
	}
	aliases = []string{r.user}
	if d, _ := g.opt.Devices.Device(r.user); d.Extension != "" {
		aliases = append(aliases, d.Extension)
	}
	return aliases, nil
}

func isNumber(s string) bool { return isDigits(strings.TrimPrefix(s, international)) }

// reachable is where calls to an endpoint go. An address that it has by no
// right, or behind a translator, is replaced by where its message came from;
// one with a password may have several interfaces.
func reachable(said netip.AddrPort, source netip.Addr, secure bool) netip.AddrPort {
	ip := said.Addr()
	odd := !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
	if !secure || odd || ip.IsPrivate() != source.IsPrivate() {
		ip = source
	}
	return netip.AddrPortFrom(ip, said.Port())
}

func vendor(v h225.VendorIdentifier) string {
	return strings.TrimSpace(text(v.ProductId) + " " + text(v.VersionId))
}

// enter puts a registration into the tables, in place of the one that it had.
func (g *Gatekeeper) enter(r *request, m *h225.RegistrationRequest, e *registration) (Registration, *h225.RegistrationRejectReason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.opt.Now()
	before := g.before(r, m, e)
	if taken := g.taken(e, before, now); len(taken) > 0 {
		return Registration{}, &h225.RegistrationRejectReason{DuplicateAlias: &taken}
	}
	if m.AdditiveRegistration != nil {
		why := g.addTo(before, e, m)
		return e.Registration, why
	}
	device := g.users[e.User]
	switch {
	case before != nil:
	case len(g.regs) >= maxRegistrations, e.User == "" && len(g.hosts[e.Peer.Addr.Addr()]) >= maxPerAddress:
		return Registration{}, &h225.RegistrationRejectReason{ResourceUnavailable: none}
	case e.User != "" && len(device) >= maxPerDevice:
		oldest := device[0]
		g.remove(oldest)
		r.after = append(r.after, func() { g.expel(oldest, h225.UnregRequestReason{ReregistrationRequired: none}) })
	}
	if before != nil {
		e.ID = before.ID
		if m.Restart != nil {
			g.drop(before)
		}
		e.calls = before.calls
		g.unlink(before)
	} else {
		e.ID = g.newID()
	}
	e.Expires = now.Add(g.granted(e.Traversal, m.TimeToLive))
	g.link(e)
	return e.Registration, nil
}

// before is the registration that e replaces. With g.mu held.
func (g *Gatekeeper) before(r *request, m *h225.RegistrationRequest, e *registration) *registration {
	if b := g.regs[r.id]; b != nil && b.User == e.User && (e.Authenticated || b.Peer.Addr.Addr() == e.Peer.Addr.Addr()) {
		return b
	}
	list := g.users[e.User]
	if e.User == "" {
		list = g.hosts[e.Peer.Addr.Addr()]
	}
	for _, b := range list {
		if b.User == e.User && (b.Peer.same(e.Peer) || e.Traversal == NoTraversal && b.CallSignal == e.CallSignal) {
			return b
		}
	}
	return nil
}

// taken are e's aliases that another's registration has. With g.mu held.
func (g *Gatekeeper) taken(e, before *registration, now time.Time) (out []h225.AliasAddress) {
	for _, a := range e.Aliases {
		for _, other := range g.aliases[fold(a)] {
			if other != before && other.live(now) && (other.User != e.User || e.User == "") {
				out = append(out, AliasOf(a))
				break
			}
		}
	}
	return out
}

// addTo adds the aliases of an additive registration (H.323 §7.2.2); e becomes
// the whole. With g.mu held.
func (g *Gatekeeper) addTo(before, e *registration, m *h225.RegistrationRequest) *h225.RegistrationRejectReason {
	if before == nil || m.EndpointIdentifier == nil || before.ID != *m.EndpointIdentifier {
		return &h225.RegistrationRejectReason{FullRegistrationRequired: none}
	}
	g.unlink(before)
	for _, a := range e.Aliases {
		if !slices.ContainsFunc(before.Aliases, func(b string) bool { return fold(a) == fold(b) }) && len(before.Aliases) < maxAliases {
			before.Aliases = append(slices.Clip(before.Aliases), a)
		}
	}
	g.link(before)
	e.Registration = before.Registration
	return nil
}

// granted is how long a registration lasts.
func (g *Gatekeeper) granted(way Traversal, asked *h225.TimeToLive) time.Duration {
	ttl := g.opt.TimeToLive
	if way == H46018 { // the datagrams keep the pinhole open
		ttl = min(ttl, firewallTTL)
	}
	if asked != nil && *asked < int64(ttl/time.Second) {
		ttl = max(time.Duration(*asked)*time.Second, minTTL)
	}
	return ttl
}

// confirm is RCF. Admission is not granted beforehand (preGrantedARQ): by the
// ARQ a call proves whose it is.
func (g *Gatekeeper) confirm(r *request, e Registration, asked *h225.TimeToLive) *h225.RasMessage {
	if r.verdict == proved {
		r.receiver = e.ID
	}
	c := &h225.RegistrationConfirm{RequestSeqNum: r.seq, ProtocolIdentifier: protocol,
		CallSignalAddress: []h225.TransportAddress{Address(g.opt.Signalling(r.from.Addr))}, GatekeeperIdentifier: &g.opt.Identifier, EndpointIdentifier: e.ID,
		AlternateGatekeeper: g.alternates(), TimeToLive: new(int64(g.granted(e.Traversal, asked) / time.Second)),
		WillRespondToIRR: new(true), MaintainConnection: new(e.Traversal == H46017), SupportsAdditiveRegistration: none, FeatureSet: features(e.Traversal)}
	for _, a := range e.Aliases {
		c.TerminalAlias = append(c.TerminalAlias, AliasOf(a))
	}
	return &h225.RasMessage{RegistrationConfirm: c}
}

// refresh handles a lightweight RRQ (H.323 §7.2.2.1). One that is in order but
// of nobody known has to be repeated in full.
func (g *Gatekeeper) refresh(r *request, m *h225.RegistrationRequest) *h225.RasMessage {
	g.mu.Lock()
	e, insecure := g.member(r)
	if e == nil {
		g.mu.Unlock()
		switch err := securityError(r.verdict); {
		case err != nil:
			return g.refuse(r, h225.RegistrationRejectReason{SecurityError: err})
		case insecure:
			return g.refuse(r, h225.RegistrationRejectReason{SecurityDenial: none})
		}
		return g.refuse(r, h225.RegistrationRejectReason{FullRegistrationRequired: none})
	}
	if !e.Peer.same(r.from) {
		g.unlink(e)
		e.Peer = r.from
		g.link(e)
	}
	e.Expires, e.probed = g.opt.Now().Add(g.granted(e.Traversal, m.TimeToLive)), false
	reg := e.Registration
	g.mu.Unlock()
	return g.confirm(r, reg, m.TimeToLive)
}

// member is the registration whose endpointIdentifier a message has, if the
// message is that endpoint's: signed by its device, or, of one without a
// password, from its address. With g.mu held.
func (g *Gatekeeper) member(r *request) (e *registration, insecure bool) {
	if r.verdict != absent && r.verdict != proved {
		return nil, true
	}
	e = g.regs[r.id]
	switch {
	case e == nil || !e.live(g.opt.Now()):
		return nil, false
	case e.Authenticated && (r.verdict != proved || r.user != e.User):
		return nil, true
	case !e.Authenticated && (e.Peer.Addr.Addr() != r.from.Addr.Addr() || e.Peer.Stream != r.from.Stream):
		return nil, false
	}
	if r.verdict == proved {
		r.receiver = e.ID
	}
	return e, false
}

// unregister handles URQ of an endpoint (H.225.0 §7.4): of all, or of some of
// its aliases.
func (g *Gatekeeper) unregister(r *request, m *h225.UnregistrationRequest) *h225.RasMessage {
	g.mu.Lock()
	if r.id == "" { // old endpoints name themselves by their address only
		for _, e := range g.hosts[r.from.Addr.Addr()] {
			if signal, ok := addressIn(m.CallSignalAddress); ok && e.CallSignal.Port() == signal.Port() && e.Peer.same(r.from) {
				r.id = e.ID
			}
		}
	}
	e, insecure := g.member(r)
	if e == nil {
		g.mu.Unlock()
		why := h225.UnregRejectReason{NotCurrentlyRegistered: none}
		if insecure {
			why = h225.UnregRejectReason{SecurityDenial: none}
		}
		return &h225.RasMessage{UnregistrationReject: &h225.UnregistrationReject{RequestSeqNum: r.seq, RejectReason: why}}
	}
	g.unlink(e)
	gone := aliasesOf(m.EndpointAlias, maxAliases)
	left := slices.DeleteFunc(slices.Clone(e.Aliases), func(a string) bool {
		return len(gone) == 0 || slices.ContainsFunc(gone, func(b string) bool { return fold(a) == fold(b) })
	})
	if len(left) > 0 {
		e.Aliases = left
		g.link(e)
	} else {
		g.drop(e)
	}
	user := e.User
	g.mu.Unlock()
	g.log.Info("H.323 endpoint unregistered", "device", user, "source", r.from.Addr, "aliases left", left)
	return &h225.RasMessage{UnregistrationConfirm: &h225.UnregistrationConfirm{RequestSeqNum: r.seq}}
}

// link puts a registration into the tables, as the newest; unlink takes it out
// and leaves its calls; remove takes its calls too. With g.mu held.
func (g *Gatekeeper) link(e *registration) {
	g.regs[e.ID] = e
	for _, a := range e.Aliases {
		g.aliases[fold(a)] = append(g.aliases[fold(a)], e)
	}
	if e.User != "" {
		g.users[e.User] = append(g.users[e.User], e)
	}
	host := e.Peer.Addr.Addr()
	g.hosts[host] = append(g.hosts[host], e)
}

func (g *Gatekeeper) unlink(e *registration) {
	delete(g.regs, e.ID)
	for _, a := range e.Aliases {
		without(g.aliases, fold(a), e)
	}
	without(g.users, e.User, e)
	without(g.hosts, e.Peer.Addr.Addr(), e)
}

func (g *Gatekeeper) remove(e *registration) {
	g.unlink(e)
	g.drop(e)
}

func without[K comparable](m map[K][]*registration, key K, e *registration) {
	list := slices.DeleteFunc(slices.Clone(m[key]), func(o *registration) bool { return o == e })
	if len(list) == 0 {
		delete(m, key)
	} else {
		m[key] = list
	}
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}
