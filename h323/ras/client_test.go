package ras

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h225"
)

var gkAddr = netip.MustParseAddrPort("192.0.2.1:1719")

// newClient is one whose messages go to a function, from ours.
func newClient(t testing.TB, out func(w *wire, b []byte, to netip.AddrPort), change func(*ClientOptions)) *Client {
	t.Helper()
	opt := ClientOptions{Gatekeeper: "192.0.2.1", Aliases: []string{"room", "7003"}, Password: "secret3",
		Signalling: netip.MustParseAddrPort("10.0.0.5:1720"), Log: quiet}
	if change != nil {
		change(&opt)
	}
	c, err := NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	c.lookup = func(_ context.Context, host string) (netip.Addr, error) { return netip.ParseAddr(host) }
	c.listen = func() (packetConn, error) {
		w := newWire("10.0.0.5:1719", nil)
		w.out = func(b []byte, to netip.AddrPort) { out(w, b, to) }
		return w, nil
	}
	return c
}

// pair is a client and gatekeepers of ours that talk over wires.
type pair struct {
	*Client
	test   sync.Mutex // of the fields below
	gks    map[netip.AddrPort]*Gatekeeper
	silent bool
	log    []string // messages of the client
	stop   func()
}

// change changes the fields while the client runs.
func (p *pair) change(f func()) {
	p.test.Lock()
	defer p.test.Unlock()
	f()
}

// sent are the client's messages so far.
func (p *pair) sent() []string {
	p.test.Lock()
	defer p.test.Unlock()
	return slices.Clone(p.log)
}

// changing are devices that come and go.
type changing struct {
	mu sync.Mutex
	devices
}

func (c *changing) Device(user string) (Device, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.devices.Device(user)
}

func (c *changing) Extension(number string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.devices.Extension(number)
}

func (c *changing) set(user string, d *Device) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.devices, user); d != nil {
		c.devices[user] = *d
	}
}

// join runs a client against gatekeepers at these addresses. It is to be
// called in a bubble.
func join(t *testing.T, change func(*ClientOptions), gks map[netip.AddrPort]*Gatekeeper) *pair {
	p := &pair{gks: gks}
	ctx, cancel := context.WithCancel(t.Context())
	for addr, g := range gks {
		w := newWire(addr.String(), nil)
		g.conn = w
		w.out = func(b []byte, to netip.AddrPort) { p.conn.(*wire).in <- datagram{b, addr} }
		go g.Serve(t.Context())
	}
	p.Client = newClient(t, func(w *wire, b []byte, to netip.AddrPort) {
		p.test.Lock()
		defer p.test.Unlock()
		p.log = append(p.log, describe(decoded(t, b)))
		if g := gks[to]; g != nil && !p.silent {
			g.conn.(*wire).in <- datagram{b, w.local}
		}
	}, change)
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	p.stop = func() { cancel(); <-done; synctest.Wait() }
	return p
}

func gatekeeperNow(t *testing.T, change func(*Options)) *Gatekeeper {
	g, _ := newGatekeeper(t, func(o *Options) {
		o.Now = nil
		if change != nil {
			change(o)
		}
	})
	return g
}

func TestClientAndGatekeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked []CallID
		var dropped []core.Reason
		allowed := &changing{devices: devices{"room": some["room"], "bob": some["bob"]}}
		g := gatekeeperNow(t, func(o *Options) {
			o.Devices = allowed
			o.Known = func(a string) bool { return a == "100" }
			o.MaxBandwidth = 500_000
			o.Revoked = func(_ string, id CallID) { revoked = append(revoked, id) }
		})
		p := join(t, func(o *ClientOptions) {
			o.Prefixes = []string{"88"}
			o.Dropped = func(_ CallID, r core.Reason) { dropped = append(dropped, r) }
		}, map[netip.AddrPort]*Gatekeeper{gkAddr: g})
		defer p.stop()
		synctest.Wait()
		if s := p.State(); !s.Registered || s.Identifier != "GKAUTH" || s.Gatekeeper != gkAddr {
			t.Fatalf("the client is %+v", s)
		}
		reg, ok := g.Lookup("7003")
		if !ok || reg.User != "room" || reg.Vendor != "Bridgehead" {
			t.Fatalf("registered is %+v", reg)
		}
		time.Sleep(time.Hour) // refreshed all the time
		if s := p.State(); !s.Registered || slices.Contains(p.sent(), "registrationReject") || len(g.Registrations()) != 1 {
			t.Fatalf("after an hour, the client is %+v", s)
		}
		a := Admission{CallID: CallID{1}, Reference: 5, Called: "100", Bandwidth: 768_000}
		route, err := p.Admit(t.Context(), a)
		if err != nil || route.Signalling != us || !route.Routed || route.Bandwidth != 500_000 || route.EndpointIdentifier != reg.ID {
			t.Fatalf("admitted by %+v, %v", route, err)
		}
		if _, ok := g.Admitted(a.CallID[:], netip.MustParseAddr("10.0.0.5")); !ok {
			t.Error("the gatekeeper does not know the call")
		}
		if _, err := p.Admit(t.Context(), Admission{CallID: CallID{2}, Called: "999"}); core.ReasonOf(err).Code != core.NotFound {
			t.Errorf("a call to nobody: %v", err)
		}
		if n, err := p.Bandwidth(t.Context(), a.CallID, 300_000); n != 300_000 || err != nil {
			t.Error(n, err)
		}
		if n, err := p.Bandwidth(t.Context(), a.CallID, 900_000); n != 500_000 || err == nil {
			t.Error(n, err)
		}
		if err := p.Disengage(t.Context(), a.CallID, core.Reason{Code: core.Normal}); err != nil || g.admissions != 0 || len(p.calls) != 0 {
			t.Errorf("%v; %d calls there, %d here", err, g.admissions, len(p.calls))
		}
		p.Admit(t.Context(), a)
		allowed.set("room", nil)
		g.Revoke("room")
		synctest.Wait()
		if len(revoked) != 1 || len(dropped) != 1 || len(g.Registrations()) != 0 {
			t.Errorf("revoked, %d calls ended there, %d here", len(revoked), len(dropped))
		}
		time.Sleep(time.Minute)
		if s := p.State(); s.Registered || !strings.Contains(s.Err, "securityDenial") {
			t.Errorf("revoked, the client is %+v", s)
		}
		if _, err := p.Admit(t.Context(), a); core.ReasonOf(err).Code != core.Unreachable {
			t.Error(err)
		}
		allowed.set("room", new(some["room"]))
		time.Sleep(time.Hour)
		if s := p.State(); !s.Registered {
			t.Errorf("allowed again, the client is %+v", s)
		}
		p.stop()
		if len(g.Registrations()) != 0 || p.sent()[len(p.sent())-1] != "unregistrationRequest" {
			t.Error("stopped, it is still registered")
		}
	})
}

func TestClientTurnsToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := netip.MustParseAddrPort("192.0.2.2:1719")
		one := gatekeeperNow(t, func(o *Options) { o.Alternates = []Alternate{{Address: second, Identifier: "GKTWO", Priority: 1}} })
		two := gatekeeperNow(t, func(o *Options) { o.Identifier = "GKTWO" })
		gks := map[netip.AddrPort]*Gatekeeper{gkAddr: one, second: two}
		p := join(t, nil, gks)
		defer p.stop()
		time.Sleep(time.Minute)
		p.change(func() { delete(gks, gkAddr) })
		time.Sleep(10 * time.Minute)
		if s := p.State(); !s.Registered || s.Identifier != "GKTWO" {
			t.Fatalf("it is %+v", s)
		}
		p.change(func() { gks[gkAddr] = one })
		time.Sleep(time.Hour)
		if s := p.State(); s.Identifier != "GKTWO" {
			t.Errorf("it went back to %+v", s)
		}
		// the gatekeeper forgets it, as when it is started anew
		two.mu.Lock()
		for _, e := range two.regs {
			two.remove(e)
		}
		two.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if s := p.State(); !s.Registered || s.Identifier != "GKTWO" || len(two.Registrations()) != 1 {
			t.Errorf("forgotten, it is %+v", s)
		}
		p.change(func() { p.silent = true })
		sent := len(p.sent())
		time.Sleep(time.Hour)
		if n := len(p.sent()) - sent; n > 500 || p.State().Registered {
			t.Errorf("%d messages to gatekeepers that are gone", n)
		}
		p.change(func() { p.silent = false })
		time.Sleep(3 * time.Minute)
		if s := p.State(); !s.Registered {
			t.Errorf("they are back, it is %+v", s)
		}
	})
}

// What GnuGk answered is what the client gets, byte by byte, under a clock of
// the time.
func TestAnswersOfPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(captured, 0)))
		var mu sync.Mutex
		answers := map[string][]byte{}
		for _, v := range signedVectors(t) {
			name, b := body(v.m)
			answers[fmt.Sprint(name, seqOf(b))] = v.raw
		}
		c := newClient(t, func(w *wire, b []byte, to netip.AddrPort) {
			name, v := body(decoded(t, b))
			mu.Lock()
			raw := answers[fmt.Sprint(strings.TrimSuffix(name, "Request")+"Confirm", seqOf(v))]
			mu.Unlock()
			if raw != nil {
				w.in <- datagram{raw, to}
			}
		}, func(o *ClientOptions) { o.Aliases, o.Password = []string{"alice"}, "secret1" })
		c.seq = 48958 // GRQ 48959 goes unanswered; RRQ 48960 is that of the capture

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(30 * time.Second)
		if s := c.State(); !s.Registered || s.Identifier != "GKAUTH" {
			t.Fatalf("it is %+v", s)
		}
		number(c, 48961)
		route, err := c.Admit(ctx, Admission{CallID: CallID{1}, Called: "bob"})
		if err != nil || route.Signalling != netip.MustParseAddrPort("127.0.0.1:2721") || !route.Routed || route.EndpointIdentifier != "1589001467_endp" {
			t.Fatalf("routed %+v, %v", route, err)
		}
		if err := c.Disengage(ctx, CallID{1}, core.Reason{}); err != nil {
			t.Error(err)
		}
		next := func(to string, raw []byte, seq int) {
			mu.Lock()
			defer mu.Unlock()
			answers = map[string][]byte{to: raw}
			number(c, seq)
		}
		// unsigned, or changed, it counts for nothing
		for _, name := range []string{"001-ras-admissionConfirm-gnugk", "002-ras-admissionConfirm-gnugk-h2351"} {
			raw := vector(t, name)
			raw[len(raw)-1] ^= 1
			_, v := body(decoded(t, raw))
			next(fmt.Sprint("admissionConfirm", seqOf(v)), raw, seqOf(v))
			if route, err := c.Admit(ctx, Admission{CallID: CallID{2}, Called: "bob"}); err == nil {
				t.Errorf("%s: routed %+v", name, route)
			}
		}
		raw := vector(t, "003-ras-admissionReject-gnugk")
		next("admissionConfirm39402", raw, 39402)
		if _, err := c.Admit(ctx, Admission{CallID: CallID{3}, Called: "bob"}); core.ReasonOf(err).Code != core.NotFound {
			t.Error(err)
		}
	})
}

// number has the client's next request be of that number.
func number(c *Client, seq int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq = seq - 1
}

// script is a client that is registered, and what it answers a gatekeeper.
func script(t *testing.T, password string) (c *Client, ask func(*h225.RasMessage) *h225.RasMessage) {
	var last *h225.RasMessage
	c = newClient(t, func(_ *wire, b []byte, _ netip.AddrPort) { last = decoded(t, b) }, func(o *ClientOptions) { o.Password = password })
	c.conn, _ = c.listen()
	c.gk, c.endpoint = gatekeeper{addr: gkAddr, identifier: "GK"}, "me"
	c.calls[CallID{1}] = &Admission{CallID: CallID{1}, Reference: 9, Bandwidth: 64_000}
	return c, func(m *h225.RasMessage) *h225.RasMessage {
		raw, err := seal(m, token{})
		if err != nil {
			t.Fatal(err)
		}
		last = nil
		c.take(raw, gkAddr)
		return last
	}
}

func TestGatekeeperAsks(t *testing.T) {
	c, ask := script(t, "")
	var dropped, limited int
	c.opt.Dropped = func(CallID, core.Reason) { dropped++ }
	c.opt.Limited = func(CallID, int64) { limited++ }
	if m := ask(&h225.RasMessage{InfoRequest: &h225.InfoRequest{RequestSeqNum: 7}}); m == nil || len(m.InfoRequestResponse.PerCallInfo) != 1 || m.InfoRequestResponse.RequestSeqNum != 7 {
		t.Errorf("IRQ is answered by %s", describe(m))
	}
	if m := ask(&h225.RasMessage{InfoRequest: &h225.InfoRequest{RequestSeqNum: 7, CallReferenceValue: 3, CallIdentifier: callIdentifier(CallID{3})}}); m.InfoRequestResponse.IrrStatus.InvalidCall == nil {
		t.Error("IRQ of no call is answered by one")
	}
	for i := range byte(40) {
		c.calls[CallID{2, i}] = &Admission{CallID: CallID{2, i}}
	}
	if m := ask(&h225.RasMessage{InfoRequest: &h225.InfoRequest{RequestSeqNum: 7}}); len(m.InfoRequestResponse.PerCallInfo) != maxReported || m.InfoRequestResponse.IrrStatus.Incomplete == nil {
		t.Error("IRR has too many calls, or doesn't say so")
	}
	brq := &h225.RasMessage{BandwidthRequest: &h225.BandwidthRequest{RequestSeqNum: 8, EndpointIdentifier: "me", ConferenceID: make([]byte, 16), BandWidth: 100, CallIdentifier: callIdentifier(CallID{1})}}
	if m := ask(brq); describe(m) != "bandwidthConfirm" || limited != 1 || c.calls[CallID{1}].Bandwidth != 10_000 {
		t.Errorf("BRQ is answered by %s", describe(m))
	}
	drq := &h225.RasMessage{DisengageRequest: &h225.DisengageRequest{RequestSeqNum: 9, EndpointIdentifier: "me", ConferenceID: make([]byte, 16),
		DisengageReason: h225.DisengageReason{ForcedDrop: none}, CallIdentifier: callIdentifier(CallID{1})}}
	if m := ask(drq); describe(m) != "disengageConfirm" || dropped != 1 {
		t.Errorf("DRQ is answered by %s", describe(m))
	}
	if ask(drq); dropped != 1 {
		t.Error("DRQ ends a call twice")
	}
	urq := &h225.RasMessage{UnregistrationRequest: &h225.UnregistrationRequest{RequestSeqNum: 9, CallSignalAddress: []h225.TransportAddress{},
		Reason: &h225.UnregRequestReason{TtlExpired: none}}}
	if m := ask(urq); describe(m) != "unregistrationConfirm" || <-c.again != "URQ ttlExpired" {
		t.Errorf("URQ is answered by %s", describe(m))
	}
	if m := ask(&h225.RasMessage{ServiceControlIndication: &h225.ServiceControlIndication{RequestSeqNum: 4, ServiceControl: []h225.ServiceControlSession{}}}); describe(m) != "serviceControlResponse" {
		t.Errorf("SCI is answered by %s", describe(m))
	}

	c, ask = script(t, "secret")
	if m := ask(brq); describe(m) != "bandwidthReject securityDenial" {
		t.Errorf("unsigned, BRQ is answered by %s", describe(m))
	}
	if ask(urq); <-c.again != "" {
		t.Error("an unsigned URQ ends the registration")
	}
}

func TestRequestInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := newClient(t, func(w *wire, b []byte, to netip.AddrPort) {
			n++
			_, v := body(decoded(t, b))
			rip, _ := seal(&h225.RasMessage{RequestInProgress: &h225.RequestInProgress{RequestSeqNum: seqOf(v), Delay: 20_000}}, token{})
			w.in <- datagram{rip, to}
		}, nil)
		c.conn, _ = c.listen()
		c.gk.addr = gkAddr
		go c.read(c.conn)
		began := time.Now()
		_, err := c.request(t.Context(), &h225.RasMessage{GatekeeperRequest: &h225.GatekeeperRequest{ProtocolIdentifier: protocol, RasAddress: Address(us)}})
		if took := time.Since(began); !errors.Is(err, errSilent) || took < 40*time.Second || took > 2*time.Minute {
			t.Errorf("%v after %v and %d tries", err, took, n)
		}
		c.conn.Close()
	})
}

func TestClientOptions(t *testing.T) {
	good := ClientOptions{Gatekeeper: "gk.example", Aliases: []string{"a"}, Signalling: us}
	for name, change := range map[string]func(*ClientOptions){
		"no gatekeeper": func(o *ClientOptions) { o.Gatekeeper = "" },
		"no address":    func(o *ClientOptions) { o.Signalling = netip.AddrPort{} },
		"no alias":      func(o *ClientOptions) { o.Aliases = nil },
		"empty alias":   func(o *ClientOptions) { o.Aliases = []string{""} },
		"no port":       func(o *ClientOptions) { o.Gatekeeper = "gk.example:none" },
	} {
		o := good
		change(&o)
		if _, err := NewClient(o); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	for in, want := range map[string]string{"gk": "gk 1719", "gk:1720": "gk 1720", "::1": "::1 1719", "[::1]:5": "::1 5", "10.0.0.1": "10.0.0.1 1719"} {
		if h, p, err := hostPort(in); fmt.Sprint(h, " ", p) != want || err != nil {
			t.Errorf("%s is %s %d, %v", in, h, p, err)
		}
	}
}

func FuzzClient(f *testing.F) {
	names, _ := vectorNames("ras")
	for _, n := range names {
		f.Add(vector(f, n))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, _ := script(t, "")
		c.opt.Trace = func(Event) {}
		c.waiting[9623] = make(chan answer, 1)
		c.take(raw, gkAddr)
		select {
		case m := <-c.waiting[9623]:
			if m.RegistrationConfirm != nil {
				c.registered(m.RegistrationConfirm, false)
			}
			if m.AdmissionConfirm != nil {
				c.routed(Admission{}, m.AdmissionConfirm)
			}
			if m.AdmissionReject != nil {
				c.rejected(m)
			}
		default:
		}
	})
}
