package sip

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
)

// world is a network in memory, so that tests run on synctest's clock.
type world struct {
	t         *testing.T
	mu        sync.Mutex
	packets   map[netip.AddrPort]*memPacket
	listeners map[netip.AddrPort]*memListener
	next      uint16
	lose      func(from, to netip.AddrPort, b []byte) bool
}

func newWorld(t *testing.T) *world {
	return &world{t: t, packets: map[netip.AddrPort]*memPacket{}, listeners: map[netip.AddrPort]*memListener{}, next: 40000}
}

type datagram struct {
	b    []byte
	from netip.AddrPort
}

type memPacket struct {
	w    *world
	addr netip.AddrPort
	in   chan datagram
	done chan struct{}
	once sync.Once
}

func (w *world) packet(addr string) *memPacket {
	p := &memPacket{w: w, addr: netip.MustParseAddrPort(addr), in: make(chan datagram, 1000), done: make(chan struct{})}
	w.mu.Lock()
	w.packets[p.addr] = p
	w.mu.Unlock()
	return p
}

func (p *memPacket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-p.in:
		return copy(b, d.b), d.from, nil
	case <-p.done:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (p *memPacket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	p.w.mu.Lock()
	q, lose := p.w.packets[to], p.w.lose
	p.w.mu.Unlock()
	if q != nil && (lose == nil || !lose(p.addr, to, b)) {
		select {
		case q.in <- datagram{bytes.Clone(b), p.addr}:
		default:
		}
	}
	return len(b), nil
}

func (p *memPacket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.addr) }
func (p *memPacket) Close() error        { p.once.Do(func() { close(p.done) }); return nil }

type memListener struct {
	addr netip.AddrPort
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (w *world) listen(addr string) *memListener {
	l := &memListener{addr: netip.MustParseAddrPort(addr), in: make(chan net.Conn, 100), done: make(chan struct{})}
	w.mu.Lock()
	w.listeners[l.addr] = l
	w.mu.Unlock()
	return l
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }
func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }

type memConn struct {
	net.Conn
	local, remote netip.AddrPort
}

func (c memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (w *world) dial(from string, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	l := w.listeners[to]
	w.next++
	local := netip.AddrPortFrom(netip.MustParseAddr(from), w.next)
	w.mu.Unlock()
	if l == nil {
		return nil, io.ErrClosedPipe
	}
	a, b := bufferedPipe(), bufferedPipe()
	l.in <- memConn{&duplex{a, b}, to, local}
	return memConn{&duplex{b, a}, local, to}, nil
}

// stream in memory that, unlike net.Pipe, buffers: two ends that both write
// first must not stop one another.
type halfPipe struct {
	mu   sync.Mutex
	cond *sync.Cond
	buf  []byte
	eof  bool
}

func bufferedPipe() *halfPipe {
	p := &halfPipe{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

type duplex struct{ r, w *halfPipe }

func (d *duplex) Read(b []byte) (int, error) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	for len(d.r.buf) == 0 {
		if d.r.eof {
			return 0, io.EOF
		}
		d.r.cond.Wait()
	}
	n := copy(b, d.r.buf)
	d.r.buf = d.r.buf[n:]
	return n, nil
}

func (d *duplex) Write(b []byte) (int, error) {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	if d.w.eof {
		return 0, io.ErrClosedPipe
	}
	d.w.buf = append(d.w.buf, b...)
	d.w.cond.Broadcast()
	return len(b), nil
}

func (d *duplex) Close() error {
	for _, p := range []*halfPipe{d.r, d.w} {
		p.mu.Lock()
		p.eof = true
		p.cond.Broadcast()
		p.mu.Unlock()
	}
	return nil
}
func (d *duplex) LocalAddr() net.Addr              { return nil }
func (d *duplex) RemoteAddr() net.Addr             { return nil }
func (d *duplex) SetDeadline(time.Time) error      { return nil }
func (d *duplex) SetReadDeadline(time.Time) error  { return nil }
func (d *duplex) SetWriteDeadline(time.Time) error { return nil }

// fakeSession stands for an rtpio.Session.
type fakeSession struct {
	mu     sync.Mutex
	port   int
	flows  []rtpio.Flow
	sink   core.Sink
	keys   string
	sent   int
	asked  int
	stats  core.Stats
	closed bool
	dscp   int
}

func (s *fakeSession) Mark(dscp int) { s.dscp = dscp }
func (s *fakeSession) Port() int     { return s.port }
func (s *fakeSession) Start(f rtpio.Flow) error {
	s.mu.Lock()
	s.flows = append(s.flows, f)
	s.mu.Unlock()
	return nil
}
func (s *fakeSession) Receive(k core.Sink)       { s.mu.Lock(); s.sink = k; s.mu.Unlock() }
func (*fakeSession) Warm()                       {}
func (s *fakeSession) Write(*core.Packet) error  { s.sent++; return nil }
func (s *fakeSession) SendDigits(k string) error { s.mu.Lock(); s.keys += k; s.mu.Unlock(); return nil }
func (s *fakeSession) Stats() core.Stats         { s.mu.Lock(); defer s.mu.Unlock(); return s.stats }
func (s *fakeSession) RTT() time.Duration        { return 0 }
func (s *fakeSession) AskPicture(fir bool)       { s.mu.Lock(); s.asked++; s.mu.Unlock() }
func (s *fakeSession) Close() error              { s.mu.Lock(); s.closed = true; s.mu.Unlock(); return nil }
func (s *fakeSession) flow() rtpio.Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.flows) == 0 {
		return rtpio.Flow{}
	}
	return s.flows[len(s.flows)-1]
}

// testEdge is an edge in a world, with what it was told and what it did.
type testEdge struct {
	*Edge
	ip       string
	mu       sync.Mutex
	sessions []*fakeSession
	events   []edge.TraceEvent
	cancel   context.CancelFunc
	done     chan struct{}
}

func (w *world) edge(ip string, opt Options, plan core.Dialplan, kinds ...string) *testEdge {
	w.t.Helper()
	te := &testEdge{ip: ip, done: make(chan struct{})}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
		if os.Getenv("SIPLOG") != "" {
			opt.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("edge", ip)
		}
	}
	opt.Trace = func(t edge.TraceEvent) {
		te.mu.Lock()
		te.events = append(te.events, t)
		te.mu.Unlock()
	}
	e, err := New(opt)
	if err != nil {
		w.t.Fatal(err)
	}
	te.Edge = e
	e.dial = func(_ context.Context, to netip.AddrPort) (net.Conn, error) { return w.dial(ip, to) }
	e.open = func(netip.AddrPort) (session, error) {
		te.mu.Lock()
		defer te.mu.Unlock()
		s := &fakeSession{port: 20000 + 2*len(te.sessions)}
		te.sessions = append(te.sessions, s)
		return s, nil
	}
	for _, k := range kinds {
		switch k {
		case "udp":
			e.addPacket("sip_udp", w.packet(ip+":5060"))
		case "tcp":
			e.addListener("sip_tcp", "tcp", w.listen(ip+":5060"))
		case "tls":
			e.addListener("sips", "tls", w.listen(ip+":5061"))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	te.cancel = cancel
	go func() {
		defer close(te.done)
		if len(kinds) == 0 {
			<-ctx.Done()
			e.Close()
			return
		}
		e.Serve(ctx, plan)
	}()
	synctest.Wait()
	return te
}

func (te *testEdge) stop() {
	te.cancel()
	<-te.done
}

func (te *testEdge) session(i int) *fakeSession {
	te.mu.Lock()
	defer te.mu.Unlock()
	if i >= len(te.sessions) {
		return nil
	}
	return te.sessions[i]
}

func (te *testEdge) kinds(kind edge.TraceKind) []edge.TraceEvent {
	te.mu.Lock()
	defer te.mu.Unlock()
	var out []edge.TraceEvent
	for _, e := range te.events {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// count how many messages with this in the start line went the given way.
func (te *testEdge) messages(kind edge.TraceKind, start string) int {
	n := 0
	for _, e := range te.kinds(kind) {
		if strings.HasPrefix(e.Text, start) {
			n++
		}
	}
	return n
}

// testRoom is a dialplan with one room that does what the test says.
type testRoom struct {
	mu     sync.Mutex
	calls  []core.Call
	routes []context.Context // of these
	legs   []core.Leg
	seats  []*testSeat
	route  error
	join   func(core.Leg) error
	rang   int
	failed []core.Reason
	hold   bool // don't answer
}

func (r *testRoom) Name() string { return "test" }
func (r *testRoom) Route(ctx context.Context, c core.Call) (core.Room, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.routes = append(r.calls, c), append(r.routes, ctx)
	if r.route != nil {
		return nil, r.route
	}
	return r, nil
}
func (r *testRoom) Join(_ context.Context, l core.Leg) error {
	r.mu.Lock()
	r.legs = append(r.legs, l)
	r.mu.Unlock()
	if r.join != nil {
		return r.join(l)
	}
	r.sit(l)
	if !r.hold {
		l.Signal(core.Answer{})
	}
	return nil
}
func (r *testRoom) sit(l core.Leg) *testSeat {
	s := &testSeat{}
	r.mu.Lock()
	r.seats = append(r.seats, s)
	r.mu.Unlock()
	l.Sit(s)
	return s
}
func (r *testRoom) Ringing(core.Leg) { r.mu.Lock(); r.rang++; r.mu.Unlock() }
func (r *testRoom) Failed(_ core.Leg, why core.Reason) {
	r.mu.Lock()
	r.failed = append(r.failed, why)
	r.mu.Unlock()
}
func (r *testRoom) leg(i int) core.Leg {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i >= len(r.legs) {
		return nil
	}
	return r.legs[i]
}
func (r *testRoom) seat(i int) *testSeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i >= len(r.seats) {
		return nil
	}
	return r.seats[i]
}

type testSeat struct {
	mu     sync.Mutex
	tracks []core.Track
	events []core.Event
	left   *core.Reason
	got    int
}

func (s *testSeat) Publish(t core.Track) (core.Sink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracks = append(s.tracks, t)
	return countSink{s}, nil
}
func (s *testSeat) Signal(e core.Event) { s.mu.Lock(); s.events = append(s.events, e); s.mu.Unlock() }
func (s *testSeat) Leave(r core.Reason) { s.mu.Lock(); s.left = &r; s.mu.Unlock() }
func (s *testSeat) leaveReason() *core.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}
func (s *testSeat) list() []core.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]core.Event(nil), s.events...)
}

type countSink struct{ s *testSeat }

func (c countSink) Write(*core.Packet) error { c.s.mu.Lock(); c.s.got++; c.s.mu.Unlock(); return nil }
func (c countSink) Close() error             { return nil }

// certificate for the given names and addresses, its own root.
func certificate(t testing.TB, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tpl.IPAddresses = append(tpl.IPAddresses, ip)
		} else {
			tpl.DNSNames = append(tpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// peer is a scripted SIP endpoint that sends and reads raw messages.
type peer struct {
	t    *testing.T
	p    *memPacket
	c    net.Conn
	to   netip.AddrPort
	seen []byte
}

func (w *world) peer(addr, to string) *peer {
	return &peer{t: w.t, p: w.packet(addr), to: netip.MustParseAddrPort(to)}
}

func (w *world) tlsPeer(ip, to string, roots *x509.CertPool) *peer {
	w.t.Helper()
	c, err := w.dial(ip, netip.MustParseAddrPort(to))
	if err != nil {
		w.t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(to)
	tc := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: host})
	return &peer{t: w.t, c: tc}
}

func (p *peer) send(text string) {
	p.t.Helper()
	text = strings.ReplaceAll(strings.TrimLeft(text, "\n"), "\n", "\r\n")
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if !strings.Contains(head, "Content-Length") {
		head += "\r\nContent-Length: " + itoa(len(body))
	}
	b := []byte(head + "\r\n\r\n" + body)
	if p.c != nil {
		if _, err := p.c.Write(b); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	p.p.WriteToUDPAddrPort(b, p.to)
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

// read gives the next message, "" when none has come.
func (p *peer) read() string {
	p.t.Helper()
	synctest.Wait()
	if p.c == nil {
		select {
		case d := <-p.p.in:
			return string(d.b)
		default:
			return ""
		}
	}
	for {
		if i := bytes.Index(p.seen, []byte("\r\n\r\n")); i >= 0 {
			n, err := contentLength(p.seen[:i])
			if err != nil {
				p.t.Fatal(err)
			}
			if len(p.seen) >= i+4+n {
				msg := string(p.seen[:i+4+n])
				p.seen = p.seen[i+4+n:]
				return msg
			}
		}
		b := make([]byte, 65536)
		n, err := p.c.Read(b)
		if err != nil {
			return ""
		}
		p.seen = append(p.seen, b[:n]...)
	}
}

// expect reads on until a message starts like this, skipping others.
func (p *peer) expect(start string) string {
	p.t.Helper()
	var skipped []string
	for range 20 {
		m := p.read()
		if m == "" {
			break
		}
		if strings.HasPrefix(m, start) {
			return m
		}
		line, _, _ := strings.Cut(m, "\r\n")
		skipped = append(skipped, line)
	}
	p.t.Fatalf("no message starts with %q; came: %q", start, skipped)
	return ""
}

// nothing fails when a message is there.
func (p *peer) nothing() {
	p.t.Helper()
	if m := p.read(); m != "" {
		p.t.Fatalf("unexpected message:\n%s", m)
	}
}

func (p *peer) drain() {
	for p.read() != "" {
	}
}

// value of a header in a raw message.
func value(msg, name string) string {
	for _, line := range strings.Split(msg, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func tagOf(header string) string {
	_, v, _ := strings.Cut(header, ";tag=")
	v, _, _ = strings.Cut(v, ";")
	return v
}

func poolOf(t *testing.T, der []byte) *x509.CertPool {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AddCert(cert)
	return p
}
