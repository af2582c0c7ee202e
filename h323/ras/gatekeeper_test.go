package ras

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/per"
)

// What h323plus sent to a gatekeeper, signed, is sent to ours byte by byte.
func TestSignedMessagesOfPeers(t *testing.T) {
	g, c := newGatekeeper(t, nil)
	var ids []string
	g.newID = func() string { id := ids[0]; ids = ids[1:]; return id }
	n := 0
	for _, v := range signedVectors(t) {
		if rc := v.m.RegistrationConfirm; rc != nil {
			ids = append(ids, rc.EndpointIdentifier)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	slices.Reverse(ids) // bob registers first
	for _, v := range signedVectors(t) {
		name, b := body(v.m)
		tok := hashed(b)
		c.t = time.Unix(*tok.HashedVals.TimeStamp, 0)
		if !strings.HasSuffix(name, "Request") {
			continue
		}
		n++
		p := &peer{t: t, g: g, password: v.Password, raw: v.raw, from: Peer{Addr: netip.MustParseAddrPort("127.0.0.1:27001")}}
		m := p.send()
		answer, b := body(m)
		if answer != strings.TrimSuffix(name, "Request")+"Confirm" || seqOf(b) != seqOf(reflectBody(v.m)) {
			t.Fatalf("%s is answered by %s", name, describe(m))
		}
		if tok := hashed(b); tok == nil || *tok.HashedVals.SendersID != "GKAUTH" || !strings.HasSuffix(*tok.HashedVals.GeneralID, "_endp") {
			t.Errorf("%s is answered with the token %+v", name, tok)
		}
		if again := p.send(); describe(again) != describe(m) {
			t.Errorf("repeated, %s is answered by %s", name, describe(again))
		}
	}
	if n != 7 || g.counters.Repeated.Load() != 7 {
		t.Errorf("%d requests, %d repeated", n, g.counters.Repeated.Load())
	}
}

// Without passwords, an open gatekeeper takes what h323plus sent.
func TestOpen(t *testing.T) {
	g, _ := newGatekeeper(t, func(o *Options) { o.Open, o.Identifier, o.Devices = true, "GKPROXY", nil })
	g.newID = func() string { return "2937770738_endp" }
	p := &peer{t: t, g: g}
	p.at("127.0.0.1:27001")
	for _, v := range []struct{ name, answer string }{
		{"011-ras-gatekeeperRequest-h323plus", "gatekeeperConfirm"},
		{"016-ras-registrationRequest-h323plus", "registrationConfirm"},
		{"018-ras-registrationRequest-h323plus-keepalive", "registrationReject fullRegistrationRequired"},
		{"004-ras-admissionRequest-h323plus", "admissionConfirm"},
		{"008-ras-disengageRequest-h323plus", "disengageConfirm"},
		{"024-ras-unregistrationRequest-h323plus", "unregistrationConfirm"},
		{"020-ras-serviceControlResponse-h323plus", "none"},
		{"012-ras-locationConfirm-gnugk", "none"},
	} {
		p.raw = vector(t, v.name)
		if got := describe(p.send()); got != v.answer {
			t.Errorf("%s is answered by %s", v.name, got)
		}
		if v.name[:3] == "016" {
			reg, ok := g.Lookup("ALICE")
			if !ok || reg.CallSignal != netip.MustParseAddrPort("127.0.0.1:2730") || reg.Vendor != "H323Plus CallGen 2.3.0 (H323plus v1.28.0)" || reg.Authenticated {
				t.Errorf("registered is %+v", reg)
			}
		}
		if v.name[:3] == "004" {
			call := CallID{138, 51, 226, 81, 198, 229, 241, 17, 152, 239, 2, 252, 0, 0, 0, 1}
			if reg, ok := g.Admitted(call[:], loopback); !ok || reg.Aliases[0] != "alice" {
				t.Errorf("admitted is %+v", reg)
			}
		}
	}
	if len(g.Registrations()) != 0 || len(g.hosts)+len(g.aliases)+len(g.users)+len(g.calls)+g.admissions != 0 {
		t.Errorf("left is %+v", g.Registrations())
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	g, _ := newGatekeeper(t, func(o *Options) { o.Known = func(a string) bool { return a == "100" } })
	p := (&peer{t: t, g: g}).at("198.51.100.9:1719")
	lrq := func(called string) *h225.RasMessage {
		return &h225.RasMessage{LocationRequest: &h225.LocationRequest{DestinationInfo: []h225.AliasAddress{AliasOf(called)}, ReplyAddress: Address(us)}}
	}
	for name, m := range map[string]func(called string) *h225.RasMessage{
		"LRQ": lrq, "RRQ": func(a string) *h225.RasMessage { return rrq(a) },
		"ARQ": func(a string) *h225.RasMessage { return arq("nobody", a, 1) },
	} {
		if a, b := describe(p.ask(m("100"))), describe(p.ask(m("999"))); a != b {
			t.Errorf("%s tells a number that exists (%s) from one that does not (%s)", name, a, b)
		}
	}
	g.opt.Neighbours = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	if a, b := describe(p.ask(lrq("100"))), describe(p.ask(lrq("999"))); a != "locationConfirm" || b != "locationReject notRegistered" {
		t.Errorf("a neighbour is told %s and %s", a, b)
	}
	nothing := lrq("100")
	nothing.LocationRequest.DestinationInfo = []h225.AliasAddress{{TransportID: &h225.TransportAddress{NetBios: new(per.OctetString(make([]byte, 16)))}}}
	if a := describe(p.ask(nothing)); a != "locationReject notRegistered" {
		t.Errorf("a neighbour is told %s of nothing", a)
	}
	b := newPeer(t, g, "bob")
	id := b.register()
	if a := describe(b.ask(arq(id, "100", 1))) + describe(b.ask(arq(id, "999", 2))) + describe(b.ask(arq(id, "7002", 3))); a != "admissionConfirmadmissionReject calledPartyNotRegisteredadmissionConfirm" {
		t.Errorf("the registered are told %s", a)
	}
}

func TestWrongCredentials(t *testing.T) {
	g, c := newGatekeeper(t, nil)
	bob := newPeer(t, g, "bob")
	id := bob.register("bob")

	t.Run("password", func(t *testing.T) {
		p := newPeer(t, g, "bob").at("203.0.113.7:1719")
		p.password = "guess"
		for i := range wrongBurst {
			if got := describe(p.ask(rrq("bob"))); got != "registrationReject securityDenial" {
				t.Fatalf("try %d: %s", i, got)
			}
		}
		p.password = "secret2" // too late
		if got := describe(p.ask(rrq("bob"))); got != "none" || g.counters.Blocked.Load() != 1 {
			t.Errorf("blocked, it is answered by %s", got)
		}
		c.step(time.Minute)
		if got := describe(p.ask(rrq("bob"))); got != "registrationConfirm" {
			t.Errorf("a minute later, it is answered by %s", got)
		}
	})
	t.Run("registered go on behind the address of a guesser", func(t *testing.T) {
		p := newPeer(t, g, "room")
		p.password = "guess"
		for range wrongBurst + 1 {
			p.ask(rrq("room"))
		}
		if got := describe(bob.ask(light(id))); got != "registrationConfirm" {
			t.Error(got)
		}
		c.step(time.Hour)
		bob.sender = "bob"
		id = bob.register("bob")
	})
	t.Run("changed", func(t *testing.T) {
		bob.seal(arq(id, "7003", 1))
		bob.raw[len(bob.raw)-1] ^= 0x80 // canMapAlias, or the like
		if got := describe(bob.send()); got == "admissionConfirm" {
			t.Errorf("changed, it is answered by %s", got)
		}
	})
	t.Run("replay", func(t *testing.T) {
		bob.seal(arq(id, "7003", 2))
		bob.send()
		c.step(retryTime)
		if got := describe(bob.send()); got != "admissionReject securityError" || g.counters.Replayed.Load() != 1 {
			t.Errorf("replayed, it is answered by %s", got)
		}
	})
	t.Run("clock", func(t *testing.T) {
		for off, want := range map[time.Duration]string{-4 * time.Minute: "Confirm", 4 * time.Minute: "Confirm", 6 * time.Minute: "Reject securityError", -6 * time.Minute: "Reject securityError"} {
			c.step(-off)
			bob.seal(light(id))
			c.step(off)
			if got := describe(bob.send()); got != "registration"+want {
				t.Errorf("%v off: %s", off, got)
			}
		}
	})
	t.Run("another gatekeeper's", func(t *testing.T) {
		g.opt.Identifier = "other"
		bob.seal(light(id))
		g.opt.Identifier = "GKAUTH"
		if got := describe(bob.send()); got != "registrationReject securityError" {
			t.Error(got)
		}
	})
	t.Run("unsigned", func(t *testing.T) {
		bob.password = ""
		for _, m := range []*h225.RasMessage{light(id), rrq("bob"), arq(id, "7003", 3),
			{UnregistrationRequest: &h225.UnregistrationRequest{CallSignalAddress: rrq().RegistrationRequest.CallSignalAddress, EndpointIdentifier: &id}},
			{BandwidthRequest: &h225.BandwidthRequest{EndpointIdentifier: id, ConferenceID: make([]byte, 16)}},
			{DisengageRequest: &h225.DisengageRequest{EndpointIdentifier: id, ConferenceID: make([]byte, 16), DisengageReason: h225.DisengageReason{NormalDrop: none}}}} {
			if got := describe(bob.ask(m)); !strings.HasSuffix(got, "Reject securityDenial") {
				t.Errorf("%s is answered by %s", describe(m), got)
			}
		}
		bob.password = "secret2"
	})
	t.Run("another device's password", func(t *testing.T) {
		p := newPeer(t, g, "room")
		if got := describe(p.ask(light(id))); got != "registrationReject securityDenial" {
			t.Error(got)
		}
		for _, alias := range []string{"bob", "7002", "555"} {
			if got := describe(p.ask(rrq("room", alias))); got != "registrationReject invalidAlias" {
				t.Errorf("%s: %s", alias, got)
			}
		}
	})
}

func TestVersionsOfIdentifiers(t *testing.T) {
	for oid, want := range map[per.OID]bool{"0.0.8.235.0.2.1": true, "0.0.8.235.0.1.1": true, "0.0.8.235.0.2.2": false, "0.0.8.235.0.2.1.1": false, "0.0.8.235.0.9.1": false, "1.2.1": false, "": false} {
		if is(oid, h235.HashedTokenOID) != want {
			t.Errorf("%s: %v", oid, !want)
		}
	}
}

func TestReplays(t *testing.T) {
	var p replays
	for i := range int64(1000) {
		if !p.fresh(once{1000 + i/10, i}) || p.fresh(once{1000 + i/10, i}) {
			t.Fatalf("message %d", i)
		}
	}
	if len(p.seen) > maxOnce || p.fresh(once{1000, 0}) || p.fresh(once{1000, 5000}) {
		t.Errorf("%d are remembered, all up to %d are refused", len(p.seen), p.floor)
	}
}

func TestRegistration(t *testing.T) {
	g, c := newGatekeeper(t, func(o *Options) {
		o.TimeToLive = time.Minute
		o.Alternates = []Alternate{{Address: netip.MustParseAddrPort("192.0.2.2:1719"), Identifier: "second", Register: true, Priority: 1}}
	})
	p := newPeer(t, g, "room")
	m := p.ask(&h225.RasMessage{GatekeeperRequest: &h225.GatekeeperRequest{ProtocolIdentifier: protocol, RasAddress: Address(us), EndpointType: h225.EndpointType{},
		AuthenticationCapability: []h235.AuthenticationMechanism{{CertSign: none}, {PwdHash: none}}, AlgorithmOIDs: []per.OID{"1.2.3", h235.HMACSHA1OID}}})
	if k := m.GatekeeperConfirm; k == nil || k.AuthenticationMode.PwdHash == nil || *k.AlgorithmOID != h235.HMACSHA1OID || *k.AlternateGatekeeper[0].GatekeeperIdentifier != "second" {
		t.Fatalf("discovered by %s", describe(m))
	}
	m = p.ask(rrq())
	k := m.RegistrationConfirm
	if k == nil || *k.TimeToLive != 60 || Alias(k.TerminalAlias[0]) != "room" || Alias(k.TerminalAlias[1]) != "7003" || k.PreGrantedARQ != nil {
		t.Fatalf("registered by %s", describe(m))
	}
	p.sender = k.EndpointIdentifier
	for _, alias := range []string{"room", "7003"} {
		if reg, ok := g.Lookup(alias); !ok || reg.User != "room" || !reg.Authenticated || reg.CallSignal != netip.MustParseAddrPort("10.0.0.5:1720") || reg.Vendor != "Room 1" {
			t.Errorf("%s rings %+v", alias, reg)
		}
	}
	c.step(50 * time.Second)
	if got := describe(p.ask(light(k.EndpointIdentifier))); got != "registrationConfirm" {
		t.Fatal(got)
	}
	c.step(50 * time.Second)
	if _, ok := g.Lookup("room"); !ok {
		t.Error("refreshed, it is gone")
	}
	more := rrq("Board room")
	more.RegistrationRequest.AdditiveRegistration, more.RegistrationRequest.EndpointIdentifier = none, &k.EndpointIdentifier
	if got := p.ask(more); len(got.RegistrationConfirm.TerminalAlias) != 3 {
		t.Errorf("with another alias it is registered by %+v", got.RegistrationConfirm)
	}
	if reg, ok := g.Lookup("BOARD ROOM"); !ok || reg.ID != k.EndpointIdentifier {
		t.Errorf("the alias rings %+v", reg)
	}
	less := &h225.UnregistrationRequest{CallSignalAddress: more.RegistrationRequest.CallSignalAddress, EndpointIdentifier: &k.EndpointIdentifier, EndpointAlias: []h225.AliasAddress{AliasOf("board room")}}
	if got := describe(p.ask(&h225.RasMessage{UnregistrationRequest: less})); got != "unregistrationConfirm" {
		t.Error(got)
	}
	if _, ok := g.Lookup("board room"); ok || len(g.Registrations()) != 1 {
		t.Error("the alias rings on, or nothing else")
	}
	c.step(time.Minute)
	if _, ok := g.Lookup("room"); ok || len(g.Registrations()) != 0 {
		t.Error("expired, it still rings")
	}
	if got := describe(p.ask(light(k.EndpointIdentifier))); got != "registrationReject fullRegistrationRequired" {
		t.Error(got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	g, _ := newGatekeeper(t, func(o *Options) {
		o.Open = true
		o.Reserved = func(a string) bool { return a == "100" }
	})
	newPeer(t, g, "room").at("10.0.0.9:1719").register("room", "Board room", "555")
	p := (&peer{t: t, g: g}).at("10.0.0.8:1719")
	p.register("mine")
	for name, c := range map[string]struct {
		want   string
		change func(*h225.RegistrationRequest)
	}{
		"an alias of another": {"duplicateAlias", func(m *h225.RegistrationRequest) { m.TerminalAlias = []h225.AliasAddress{AliasOf("board ROOM")} }},
		"a number of another": {"duplicateAlias", func(m *h225.RegistrationRequest) { m.TerminalAlias = []h225.AliasAddress{AliasOf("555")} }},
		"a device's name":     {"securityDenial", func(m *h225.RegistrationRequest) { m.TerminalAlias = []h225.AliasAddress{AliasOf("alice")} }},
		"a device's number":   {"securityDenial", func(m *h225.RegistrationRequest) { m.TerminalAlias = []h225.AliasAddress{AliasOf("7002")} }},
		"a meeting's number":  {"invalidAlias", func(m *h225.RegistrationRequest) { m.TerminalAlias = []h225.AliasAddress{AliasOf("100")} }},
		"no alias":            {"invalidAlias", func(m *h225.RegistrationRequest) { m.TerminalAlias = nil }},
		"too many aliases": {"resourceUnavailable", func(m *h225.RegistrationRequest) {
			m.TerminalAlias = make([]h225.AliasAddress, maxAliases+1)
			for i := range m.TerminalAlias {
				m.TerminalAlias[i] = AliasOf("x")
			}
		}},
		"no signalling address": {"invalidCallSignalAddress", func(m *h225.RegistrationRequest) { m.CallSignalAddress = nil }},
		"no RAS address":        {"invalidRASAddress", func(m *h225.RegistrationRequest) { m.RasAddress = nil }},
		"another gatekeeper":    {"discoveryRequired", func(m *h225.RegistrationRequest) { m.GatekeeperIdentifier = new("else") }},
		"an addition to nothing": {"fullRegistrationRequired", func(m *h225.RegistrationRequest) {
			m.AdditiveRegistration, m.EndpointIdentifier = none, new("nobody")
		}},
	} {
		m := rrq("other")
		c.change(m.RegistrationRequest)
		if got := describe(p.ask(m)); got != "registrationReject "+c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if grj := describe(p.ask(&h225.RasMessage{GatekeeperRequest: &h225.GatekeeperRequest{ProtocolIdentifier: protocol, RasAddress: Address(us), GatekeeperIdentifier: new("else")}})); grj != "gatekeeperReject terminalExcluded" {
		t.Error(grj)
	}
	if len(g.Registrations()) != 2 {
		t.Errorf("registered are %+v", g.Registrations())
	}
}

func TestReachable(t *testing.T) {
	for _, c := range []struct {
		said, source string
		secure       bool
		want         string
	}{
		{"10.0.0.5:1720", "10.0.0.5", false, "10.0.0.5:1720"},
		{"192.168.1.5:1720", "203.0.113.5", true, "203.0.113.5:1720"}, // translated
		{"10.0.0.6:1721", "10.0.0.5", true, "10.0.0.6:1721"},          // two interfaces
		{"10.0.0.6:1721", "10.0.0.5", false, "10.0.0.5:1721"},         // whose word counts for nothing
		{"127.0.0.1:22", "10.0.0.5", true, "10.0.0.5:22"},
		{"0.0.0.0:1720", "10.0.0.5", true, "10.0.0.5:1720"},
		{"[ff02::1]:1720", "2001:db8::1", true, "[2001:db8::1]:1720"},
	} {
		if got := reachable(netip.MustParseAddrPort(c.said), netip.MustParseAddr(c.source), c.secure); got.String() != c.want {
			t.Errorf("%s from %s: %s", c.said, c.source, got)
		}
	}
}

func TestCalls(t *testing.T) {
	g, c := newGatekeeper(t, func(o *Options) { o.MaxBandwidth = 1_000_000 })
	p := newPeer(t, g, "room")
	id := p.register()
	here := p.from.Addr.Addr()
	m := p.ask(arq(id, "100**4711", 1))
	if k := m.AdmissionConfirm; k == nil || k.CallModel.GatekeeperRouted == nil || k.BandWidth != 7680 {
		t.Fatalf("admitted by %s", describe(m))
	}
	if a, _ := AddrPort(m.AdmissionConfirm.DestCallSignalAddress); a != us {
		t.Errorf("the call goes to %s", a)
	}
	call := CallID{1}
	if _, ok := g.Admitted(call[:], netip.MustParseAddr("10.0.0.6")); ok {
		t.Error("admitted from elsewhere")
	}
	if reg, ok := g.Admitted(call[:], here); !ok || reg.User != "room" {
		t.Error("not admitted")
	}
	if _, ok := g.Caller(id, here); !ok {
		t.Error("the endpoint is not known by its identifier")
	}
	if _, ok := g.Caller(id, loopback); ok {
		t.Error("the endpoint is known elsewhere")
	}
	brq := func(bits int64, call CallID) *h225.RasMessage {
		return p.ask(&h225.RasMessage{BandwidthRequest: &h225.BandwidthRequest{EndpointIdentifier: id, ConferenceID: make([]byte, 16), BandWidth: bits / 100, CallIdentifier: callIdentifier(call)}})
	}
	if a, b, c := describe(brq(900_000, call)), describe(brq(2_000_000, call)), describe(brq(100, CallID{9})); a != "bandwidthConfirm" || b != "bandwidthReject insufficientResources" || c != "bandwidthReject invalidConferenceID" {
		t.Error(a, b, c)
	}
	drq := &h225.RasMessage{DisengageRequest: &h225.DisengageRequest{EndpointIdentifier: id, ConferenceID: make([]byte, 16), DisengageReason: h225.DisengageReason{NormalDrop: none}, CallIdentifier: callIdentifier(call)}}
	g.Ended(call[:])
	if got := describe(p.ask(drq)); got != "disengageConfirm" {
		t.Error(got)
	}
	// a SETUP that never comes, and one that came
	p.ask(arq(id, "100", 2))
	p.ask(arq(id, "100", 3))
	p.ask(light(id))
	two, three := CallID{2}, CallID{3}
	g.Admitted(three[:], here)
	c.step(unused + time.Second)
	g.sweep(c.now())
	if _, ok := g.Admitted(two[:], here); ok {
		t.Error("the admission lasts for ever")
	}
	if _, ok := g.Admitted(three[:], here); !ok {
		t.Error("the call is forgotten")
	}
	for i := range maxCalls + 5 {
		c.step(100 * time.Millisecond)
		m = p.ask(&h225.RasMessage{AdmissionRequest: &h225.AdmissionRequest{CallType: h225.CallType{PointToPoint: none}, EndpointIdentifier: id, ConferenceID: make([]byte, 16),
			CallIdentifier: callIdentifier(CallID{7, byte(i), byte(i >> 8)})}})
	}
	if got := describe(m); got != "admissionReject resourceUnavailable" || len(g.calls) != maxCalls || g.admissions != maxCalls {
		t.Errorf("%s with %d calls", got, len(g.calls))
	}
}

func TestOldestOfADeviceGoes(t *testing.T) {
	g, c := newGatekeeper(t, nil)
	var first string
	for i := range maxPerDevice + 2 {
		c.step(time.Second)
		id := newPeer(t, g, "room").at(fmt.Sprintf("10.0.1.%d:1719", i)).ask(func() *h225.RasMessage {
			m := rrq("room")
			m.RegistrationRequest.CallSignalAddress[0] = Address(netip.MustParseAddrPort(fmt.Sprintf("10.0.1.%d:1720", i)))
			return m
		}()).RegistrationConfirm
		if i == 0 {
			first = id.EndpointIdentifier
		}
	}
	list := g.Registrations()
	if len(list) != maxPerDevice || slices.ContainsFunc(list, func(r Registration) bool { return r.ID == first }) {
		t.Errorf("registered are %d", len(list))
	}
	if reg, _ := g.Lookup("7003"); reg.Peer.Addr.Addr().String() != fmt.Sprintf("10.0.1.%d", maxPerDevice+1) {
		t.Errorf("the number rings %v", reg.Peer.Addr)
	}
}

func TestOddMessages(t *testing.T) {
	g, _ := newGatekeeper(t, nil)
	p := newPeer(t, g, "room")
	odd := &h225.RasMessage{NonStandardMessage: &h225.NonStandardMessage{NonStandardData: h225.NonStandardParameter{
		NonStandardIdentifier: h225.NonStandardIdentifier{Object: new(per.OID("1.2.3"))}, Data: []byte{1}}}}
	if got := describe(p.ask(odd)); got != "none" {
		t.Errorf("a stranger is answered by %s", got)
	}
	id := p.register()
	if m := p.ask(odd); m == nil || m.UnknownMessageResponse == nil || !bytes.Equal(m.UnknownMessageResponse.MessageNotUnderstood, p.raw) {
		t.Errorf("it is answered by %s", describe(m))
	}
	newer := append([]byte{0x80 | 31}, 2, 1, 0) // a message of a newer version
	p.raw = newer
	if got := describe(p.send()); got != "unknownMessageResponse" {
		t.Errorf("a newer message is answered by %s", got)
	}
	if got := describe(p.ask(&h225.RasMessage{ResourcesAvailableIndicate: &h225.ResourcesAvailableIndicate{ProtocolIdentifier: protocol, EndpointIdentifier: id}})); got != "resourcesAvailableConfirm" {
		t.Error(got)
	}
	if got := describe(p.ask(&h225.RasMessage{ServiceControlIndication: &h225.ServiceControlIndication{EndpointIdentifier: &id}})); got != "serviceControlResponse" {
		t.Error(got)
	}
	irr := func(id string) string {
		return describe(p.ask(&h225.RasMessage{InfoRequestResponse: &h225.InfoRequestResponse{EndpointIdentifier: id, RasAddress: Address(us),
			CallSignalAddress: []h225.TransportAddress{Address(us)}, NeedResponse: new(true)}}))
	}
	if a, b := irr(id), irr("nobody"); a != "infoRequestAck" || b != "infoRequestNak notRegistered" {
		t.Error(a, b)
	}
	for _, raw := range [][]byte{nil, {0xff}, bytes.Repeat([]byte{0}, maxMessage+1), vector(t, "016-ras-registrationRequest-h323plus")[:50]} {
		if g.Handle(raw, p.from) != nil {
			t.Errorf("%x is answered", raw)
		}
	}
	if n := g.counters.Malformed.Load(); n != 4 {
		t.Errorf("%d are malformed", n)
	}
}
