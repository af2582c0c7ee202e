package ras

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"bridgehead/h323/h225"
	"bridgehead/h323/h235"
	"bridgehead/h323/internal/vectors"
	"bridgehead/h323/per"
)

// captured is when the signed messages of testdata/h323 were captured.
const captured = 1795450242

var (
	quiet    = slog.New(slog.NewTextHandler(io.Discard, nil))
	us       = netip.MustParseAddrPort("192.0.2.1:1720")
	loopback = netip.MustParseAddr("127.0.0.1")
)

// devices are those of the captures, and two more.
type devices map[string]Device

var some = devices{
	"alice": {Name: "Alice", Password: "secret1"},
	"bob":   {Name: "Bob", Password: "secret2", Extension: "7002"},
	"room":  {Name: "Room", Password: "secret3", Extension: "7003"},
}

func (d devices) Device(user string) (Device, bool) {
	one, ok := d[user]
	return one, ok
}

func (d devices) Extension(number string) (string, bool) {
	for user, one := range d {
		if one.Extension == number && number != "" {
			return user, true
		}
	}
	return "", false
}

// clock is stepped by tests.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newGatekeeper is one of the captures' time, without UDP.
func newGatekeeper(t testing.TB, change func(*Options)) (*Gatekeeper, *clock) {
	c := &clock{t: time.Unix(captured, 0)}
	opt := Options{Identifier: "GKAUTH", Devices: some, Signalling: func(netip.AddrPort) netip.AddrPort { return us }, Now: c.now, Log: quiet}
	if change != nil {
		change(&opt)
	}
	g, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

// peer is an endpoint at some address, that signs its messages if it has a
// password.
type peer struct {
	t        testing.TB
	g        *Gatekeeper
	from     Peer
	sender   string // sendersID
	password string
	seq      int
	random   int64
	raw      []byte // of the last message sent
}

func (p *peer) at(addr string) *peer { p.from.Addr = netip.MustParseAddrPort(addr); return p }

// ask sends a message and gives the answer, nil if there is none. The answer
// is signed if the request was, and has its number.
func (p *peer) ask(m *h225.RasMessage) *h225.RasMessage {
	p.t.Helper()
	p.seal(m)
	return p.send()
}

func (p *peer) seal(m *h225.RasMessage) {
	p.t.Helper()
	p.seq = p.seq%65535 + 1
	p.random++
	_, v := body(m)
	if seqOf(v) == 0 {
		v.FieldByName("RequestSeqNum").SetInt(int64(p.seq))
	}
	var err error
	if p.raw, err = seal(m, token{password: p.password, from: p.sender, to: p.g.opt.Identifier, at: p.g.opt.Now(), random: p.random}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send() *h225.RasMessage {
	p.t.Helper()
	reply := p.g.Handle(p.raw, p.from)
	if reply == nil {
		return nil
	}
	m := new(h225.RasMessage)
	if _, err := per.Decode(reply, m); err != nil {
		p.t.Fatalf("the answer %x: %v", reply, err)
	}
	if _, v := body(m); hashed(v) != nil && !h235.Verify(reply, hashed(v).Token.Hash.Bytes, p.password) {
		p.t.Fatal("the answer is signed by another password")
	}
	return m
}

// rrq is a full registration.
func rrq(aliases ...string) *h225.RasMessage {
	m := &h225.RegistrationRequest{ProtocolIdentifier: protocol,
		CallSignalAddress: []h225.TransportAddress{Address(netip.MustParseAddrPort("10.0.0.5:1720"))},
		RasAddress:        []h225.TransportAddress{Address(netip.MustParseAddrPort("10.0.0.5:1719"))},
		TerminalType:      h225.EndpointType{Terminal: &h225.TerminalInfo{}},
		EndpointVendor:    h225.VendorIdentifier{ProductId: []byte("Room\x00"), VersionId: []byte("1\x00")}}
	for _, a := range aliases {
		m.TerminalAlias = append(m.TerminalAlias, AliasOf(a))
	}
	return &h225.RasMessage{RegistrationRequest: m}
}

// light refreshes the registration.
func light(id string) *h225.RasMessage {
	m := rrq()
	m.RegistrationRequest.KeepAlive, m.RegistrationRequest.EndpointIdentifier = new(true), &id
	return m
}

// newPeer is a device's endpoint.
func newPeer(t testing.TB, g *Gatekeeper, user string) *peer {
	return (&peer{t: t, g: g, sender: user, password: some[user].Password}).at("10.0.0.5:1719")
}

// register registers an endpoint, which signs by its identifier from then on.
func (p *peer) register(aliases ...string) string {
	p.t.Helper()
	m := p.ask(rrq(aliases...))
	if m == nil || m.RegistrationConfirm == nil {
		p.t.Fatalf("not registered: %s", describe(m))
	}
	if p.password != "" {
		p.sender = m.RegistrationConfirm.EndpointIdentifier
	}
	return m.RegistrationConfirm.EndpointIdentifier
}

// describe is a message's name and its reason.
func describe(m *h225.RasMessage) string {
	if m == nil {
		return "none"
	}
	name, v := body(m)
	return strings.TrimSpace(name + " " + reasonOf(v))
}

func arq(endpoint, called string, call byte) *h225.RasMessage {
	return &h225.RasMessage{AdmissionRequest: &h225.AdmissionRequest{CallType: h225.CallType{PointToPoint: none}, EndpointIdentifier: endpoint,
		DestinationInfo: []h225.AliasAddress{AliasOf(called)}, BandWidth: 7680, CallReferenceValue: int(call),
		ConferenceID: make([]byte, 16), CallIdentifier: callIdentifier(CallID{call})}}
}

// vector is a captured message.
func vector(t testing.TB, name string) []byte {
	text, err := os.ReadFile(filepath.Join(vectors.Dir(), name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorNames lists the captured messages of a kind.
func vectorNames(kind string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(vectors.Dir(), "*-"+kind+"-*.hex"))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".hex"))
	}
	return names, err
}

func reflectBody(m *h225.RasMessage) reflect.Value {
	_, v := body(m)
	return v
}

type signedVector struct {
	Password, PDU string
	raw           []byte
	m             *h225.RasMessage
}

// signedVectors are the captured messages of endpoints and their gatekeeper.
func signedVectors(t testing.TB) (all []signedVector) {
	text, err := os.ReadFile(filepath.Join(vectors.Dir(), "h2351-hmac-sha1-96.json"))
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		v := &all[i]
		v.raw, _ = hex.DecodeString(v.PDU)
		v.m = new(h225.RasMessage)
		if _, err := per.Decode(v.raw, v.m); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// wire is a UDP socket of a test: what is written goes to a function.
type wire struct {
	local  netip.AddrPort
	in     chan datagram
	closed chan struct{}
	once   sync.Once
	out    func(b []byte, to netip.AddrPort)
}

type datagram struct {
	b    []byte
	from netip.AddrPort
}

func newWire(local string, out func(b []byte, to netip.AddrPort)) *wire {
	return &wire{local: netip.MustParseAddrPort(local), in: make(chan datagram, 64), closed: make(chan struct{}), out: out}
}

func (w *wire) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-w.in:
		return copy(b, d.b), d.from, nil
	case <-w.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (w *wire) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	w.out(append([]byte{}, b...), to)
	return len(b), nil
}

func (w *wire) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(w.local) }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}
