package h323

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
)

// patience is for a machine that is busy; tests wait for events, not for time.
const patience = 10 * time.Second

// eventually waits for what other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("after %v it is still not so that %s", patience, what)
		}
	}
}

// receive takes the next value of a channel.
func receive[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
	}
	return v
}

// site is an edge on loopback with its room, and what it has told.
type site struct {
	*Edge
	t      testing.TB
	ports  *rtpio.Ports
	room   *room
	routed chan core.Call
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	events []edge.TraceEvent
}

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bridge"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// newSite starts an edge that listens over TCP and TLS; at the test's end it
// must have lost nothing: no call, connection or port.
func newSite(t testing.TB, opt Options) *site {
	t.Helper()
	ports, err := rtpio.New(rtpio.Options{Bind: netip.MustParseAddr("127.0.0.1"), Share: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, ports: ports, room: newRoom(), routed: make(chan core.Call, 100), done: make(chan struct{})}
	opt.Listen, opt.ListenTLS, opt.Ports, opt.Log = "127.0.0.1:0", "127.0.0.1:0", ports, slog.New(slog.DiscardHandler)
	if os.Getenv("H323LOG") != "" {
		opt.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	opt.TLS = func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }
	opt.Roots = x509.NewCertPool()
	opt.Roots.AddCert(certificate().Leaf)
	if opt.SetupsPerSource == 0 {
		opt.SetupsPerSource = 1000
	}
	opt.Trace = func(e edge.TraceEvent) {
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
	}
	if s.Edge, err = New(opt); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.done)
		s.Serve(ctx, s)
	}()
	eventually(t, "the edge serves", func() bool { _, plan := s.serving(); return plan != nil })
	t.Cleanup(s.stopped)
	return s
}

// stopped ends the edge and looks for what it has kept.
func (s *site) stopped() {
	s.cancel()
	receive(s.t, "the end of the edge", s.done)
	eventually(s.t, "all is given back", func() bool {
		s.streamsMu.Lock()
		streams := len(s.streams)
		s.streamsMu.Unlock()
		return streams == 0 && s.Calls() == 0 && s.ports.InUse() == 0 && s.guard.callers.Sources() == 0
	})
	if n := s.counters.Panics.Load(); n != 0 {
		s.t.Errorf("%d faults", n)
	}
}

// quiet waits until the edge has no call, port or connection.
func (s *site) quiet() {
	s.t.Helper()
	eventually(s.t, "the call has left nothing", func() bool { return s.Calls() == 0 && s.ports.InUse() == 0 })
}

// noLeak fails the test if it leaves goroutines behind; call it first.
func noLeak(t testing.TB) {
	certificate()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		end := time.Now().Add(patience)
		for runtime.NumGoroutine() > before && time.Now().Before(end) {
			runtime.Gosched()
		}
		if n := runtime.NumGoroutine(); n > before {
			b := make([]byte, 1<<16)
			t.Errorf("%d goroutines were there before, %d are after:\n%s", before, n, b[:runtime.Stack(b, true)])
		}
	})
}

// Route implements core.Dialplan: every number leads to the one room.
func (s *site) Route(_ context.Context, c core.Call) (core.Room, error) {
	s.routed <- c
	if s.room.unroutable != nil {
		return nil, s.room.unroutable
	}
	return s.room, nil
}

func (s *site) address(number string) string {
	return "h323:" + number + "@" + s.Addresses()["h323"].String()
}

func (s *site) secureAddress(number string) string {
	return "h323:" + number + "@" + s.Addresses()["h323_tls"].String() + ";transport=tls"
}

func (s *site) trace() []edge.TraceEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// traced tells whether an event of the kind has the text in it.
func (s *site) traced(k edge.TraceKind, text string) bool {
	return slices.ContainsFunc(s.trace(), func(e edge.TraceEvent) bool { return e.Kind == k && strings.Contains(e.Text, text) })
}

// ended is the last call's end, or refusal.
func (s *site) ended() edge.TraceEvent {
	s.t.Helper()
	var found edge.TraceEvent
	eventually(s.t, "a call has ended", func() bool {
		for _, e := range s.trace() {
			if e.Kind == edge.Ended || e.Kind == edge.Refused {
				found = e
			}
		}
		return found.Kind != ""
	})
	return found
}

// room takes whoever comes, and plays what it is told to.
type room struct {
	seats      chan *seat
	rang       chan core.Leg
	failed     chan core.Reason
	unroutable error
	refuses    error
	rings      bool // and does not answer by itself
}

func newRoom() *room {
	return &room{seats: make(chan *seat, 200), rang: make(chan core.Leg, 200), failed: make(chan core.Reason, 200)}
}

func (r *room) Name() string                          { return "room" }
func (r *room) Ringing(l core.Leg)                    { r.rang <- l }
func (r *room) Failed(_ core.Leg, reason core.Reason) { r.failed <- reason }

func (r *room) Join(_ context.Context, l core.Leg) error {
	if r.refuses != nil {
		return r.refuses
	}
	s := &seat{leg: l, left: make(chan core.Reason, 1), digits: make(chan core.Digit, 100), holds: make(chan bool, 10), screen: newProjection()}
	// Seat and answer come together, however busy the machine is: else the edge
	// would take the time between for ringing.
	said := make(chan struct{})
	defer close(said)
	if x, ok := l.(*leg); ok {
		x.box.Post(func() { <-said })
	}
	l.Sit(s)
	if r.rings {
		l.Signal(core.Ringing{})
	} else {
		l.Signal(core.Answer{})
	}
	r.seats <- s
	return nil
}

// seat is where a leg sits: it hears the leg's microphone.
type seat struct {
	leg    core.Leg
	left   chan core.Reason
	digits chan core.Digit
	holds  chan bool

	screen *projection // what the party shares; nil: nothing is taken

	mu      sync.Mutex
	track   core.Track
	packets [][]byte
}

func (s *seat) Publish(t core.Track) (core.Sink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Source == core.Microphone {
		s.track = t
		return s, nil
	}
	if t.Source == core.Screen && s.screen != nil {
		s.screen.tracks <- t
		return s.screen, nil
	}
	return core.Discard, nil
}

func (s *seat) Write(p *core.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, bytes.Clone(p.Payload))
	return nil
}

func (s *seat) Close() error { return nil }

func (s *seat) Signal(e core.Event) {
	switch e := e.(type) {
	case core.Digit:
		s.digits <- e
	case core.Hold:
		s.holds <- e.On
	case core.View:
		if s.screen != nil {
			s.screen.views <- e
		}
	case core.NeedKeyframe:
		if s.screen != nil && e.Track.Source == core.Screen {
			s.screen.asked <- e.Track
		}
	}
}

func (s *seat) Leave(r core.Reason) { s.left <- r }

func (s *seat) heard(payload []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.packets, func(b []byte) bool { return bytes.Equal(b, payload) })
}

// speaks sends a sound from one call's end to the other and waits until it is
// heard there, just as it was.
func speaks(from *seat, at *site, to *seat) {
	at.t.Helper()
	var codec core.Codec
	eventually(at.t, "sound can be sent and is received", func() bool {
		codec = from.leg.Info().Audio
		to.mu.Lock()
		defer to.mu.Unlock()
		return codec.Name != "" && to.track.Codec.Name != ""
	})
	payload := make([]byte, 160)
	rand.Read(payload)
	p := &core.Packet{Payload: payload, Level: core.LevelUnknown}
	p.Header.Version, p.Header.SSRC, p.Header.PayloadType = 2, 7, codec.PayloadType
	var sink core.Sink
	eventually(at.t, "the sound is heard in clear at the other end", func() bool {
		if sink == nil {
			sink, _ = from.leg.Subscribe(core.Track{Source: core.Mix, Codec: codec})
		}
		if sink == nil || sink.Write(p) != nil {
			sink, codec = nil, from.leg.Info().Audio
			return false
		}
		p.Header.SequenceNumber++
		p.Header.Timestamp += 160
		for _, sender := range from.leg.(*leg).e.opt.Ports.Senders() {
			sender.Step(core.Now())
		}
		for _, poller := range at.ports.Pollers() {
			poller.Step(core.Now())
		}
		return to.heard(payload)
	})
	sink.Close()
}

// call is one between two sites.
type call struct {
	t        testing.TB
	from, to *site
	a, b     *seat // the caller's, the called side's
}

// dial calls, and waits until both ends sit.
func dial(t testing.TB, from, to *site, address string, opt DialOptions) *call {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := from.DialWith(ctx, address, from.room, opt); err != nil {
		t.Fatal(err)
	}
	return &call{t, from, to, receive(t, "the caller's seat", from.room.seats), receive(t, "the called side's seat", to.room.seats)}
}

// talk has each end heard by the other, and digits come over.
func (c *call) talk() {
	c.t.Helper()
	speaks(c.a, c.to, c.b)
	speaks(c.b, c.from, c.a)
	for key, way := range map[byte][2]*seat{'7': {c.a, c.b}, '#': {c.b, c.a}} {
		way[0].leg.Signal(core.Digit{Key: key})
		if d := receive(c.t, "the digit", way[1].digits); d.Key != key || d.Via != "uii" {
			c.t.Errorf("the key is %+v", d)
		}
	}
}

// hangup ends the call from one end, and the other must be told.
func (c *call) hangup(by *seat) {
	c.t.Helper()
	by.leg.Hangup(core.Reason{Code: core.Normal})
	for _, s := range []*seat{c.a, c.b} {
		if r := receive(c.t, "the end", s.left); r.Code != core.Normal {
			c.t.Errorf("the call ended with %v", r)
		}
	}
	c.from.quiet()
	c.to.quiet()
}

// fails calls, and gives back why that failed: told by Dial, or after it.
func fails(t testing.TB, from *site, address string, opt DialOptions) core.Reason {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := from.DialWith(ctx, address, from.room, opt); err != nil {
		return core.ReasonOf(err)
	}
	select {
	case r := <-from.room.failed:
		return r
	case s := <-from.room.seats:
		return receive(t, "the end", s.left)
	case <-time.After(patience):
		t.Fatal("the call does not fail")
	}
	return core.Reason{}
}
