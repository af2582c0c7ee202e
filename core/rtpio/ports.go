// Package rtpio sends and receives the media of legs that have a UDP port of
// their own (SIP, H.323, node links): RTP and RTCP (RFC 3550, RFC 3551), SRTP
// keyed by the signalling (RFC 3711, RFC 4568, RFC 7714), telephone events
// (RFC 4733), endpoints behind firewalls and many of them on one port pair
// (H.460.19), and what is measured on the way.
//
// Nothing here waits: the media clock polls every socket ([Ports.Pollers]),
// and packets are sent by whoever writes them.
package rtpio

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/udp"
)

// Options of [New].
type Options struct {
	// Bind is the local address of all sockets; zero: all IPv4 addresses.
	Bind netip.Addr
	// First and Last bound the ports used, inclusive; both 0: any free port.
	First, Last int
	// Share lets many sessions use one port pair, where [Ports.OpenFor] can
	// tell them apart. It needs the Senders to be stepped.
	Share bool
	Log   *slog.Logger
}

// Ports hands out RTP ports. It is shared by all edges that need them.
type Ports struct {
	opt     Options
	log     *slog.Logger
	pollers []*Poller
	senders []*Sender

	mu        sync.Mutex
	used      map[uint16]bool
	sessions  int
	next      int
	multiplex *multiplex    // bound when first needed
	pairs     []*sharedPair // … each
	hosts     hosts
}

// New checks the range. It opens nothing yet.
func New(opt Options) (*Ports, error) {
	if !opt.Bind.IsValid() {
		opt.Bind = netip.IPv4Unspecified()
	}
	if opt.First%2 == 1 {
		opt.First++
	}
	if (opt.First != 0 || opt.Last != 0) && (opt.First < 1024 || opt.Last > 65535 || opt.Last <= opt.First) {
		return nil, fmt.Errorf("RTP ports %d-%d: want a range within 1024-65535 with at least one even and the odd port above it", opt.First, opt.Last)
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	p := &Ports{opt: opt, log: opt.Log, used: map[uint16]bool{}}
	for range 2 * runtime.GOMAXPROCS(0) {
		p.pollers = append(p.pollers, &Poller{in: newIntake()})
	}
	for _, x := range p.pollers {
		p.senders = append(p.senders, &Sender{x})
	}
	return p, nil
}

// ErrNoPort says that the whole range is in use.
var ErrNoPort = errors.New("no free RTP port left")

// Open binds an even port for RTP and the odd one above it for RTCP (RFC 3550
// §11). The session discards all until it is started.
func (p *Ports) Open() (*Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rtp, rtcp, err := p.bind()
	if err != nil {
		return nil, err
	}
	p.sessions++
	s := newSession(p, rtp, rtcp)
	s.out.buf = make([]byte, 0, udp.MaxPacket)
	s.poller = p.quietest()
	s.poller.add(s)
	return s, nil
}

// bind finds a free pair; the lock is held.
func (p *Ports) bind() (rtp, rtcp udp.Socket, err error) {
	tries := 64
	if p.opt.First != 0 {
		tries = (p.opt.Last - p.opt.First + 1) / 2
	}
	for range tries {
		port := p.candidate()
		if p.used[port] {
			continue
		}
		if rtp, err = udp.Open(netip.AddrPortFrom(p.opt.Bind, port)); err != nil {
			continue // taken by another program
		}
		if rtcp, err = udp.Open(netip.AddrPortFrom(p.opt.Bind, port+1)); err != nil {
			rtp.Close()
			continue
		}
		p.used[port] = true
		return rtp, rtcp, nil
	}
	return rtp, rtcp, busy()
}

// candidate walks the range, so that a port just freed rests before its next
// call and late packets of the last one reach nobody.
func (p *Ports) candidate() uint16 {
	if p.opt.First == 0 {
		return uint16(20000+rand.IntN(20000)) &^ 1
	}
	pairs := (p.opt.Last - p.opt.First + 1) / 2
	p.next = (p.next + 1) % pairs
	return uint16(p.opt.First + 2*p.next)
}

func (p *Ports) quietest() *Poller {
	return slices.MinFunc(p.pollers, func(a, b *Poller) int { return len(a.list()) - len(b.list()) })
}

func (p *Ports) release(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, port)
	p.sessions--
}

// InUse is the number of open sessions.
func (p *Ports) InUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

// Pollers are to be stepped by the media clock, each by one goroutine at a
// time.
func (p *Ports) Pollers() []*Poller { return p.pollers }

// Senders are to be stepped by the media clock when all due at a tick has been
// written, each by one goroutine at a time.
func (p *Ports) Senders() []*Sender { return p.senders }

// Poller reads the sockets of its share of the sessions.
type Poller struct {
	stepping sync.Mutex
	in       *intake
	shared   atomic.Pointer[multiplex] // that this poller reads; nil: none
	ticks    int
	mu       sync.Mutex // guards changes of the lists
	sessions atomic.Pointer[[]*Session]
	pairs    atomic.Pointer[[]*sharedPair]
	wake     atomic.Pointer[func()] // for who comes first
}

func (p *Poller) list() []*Session {
	if l := p.sessions.Load(); l != nil {
		return *l
	}
	return nil
}

func (p *Poller) add(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := append(slices.Clone(p.list()), s)
	p.sessions.Store(&next)
	p.came(len(next))
}

// Wakes has wake called, from any goroutine, when there is something to read again.
func (p *Poller) Wakes(wake func()) { p.wake.Store(&wake) }

// came: one of n has, and if no other was here, perhaps nobody looks.
func (p *Poller) came(n int) {
	if wake := p.wake.Load(); n == 1 && wake != nil {
		(*wake)()
	}
}

func (p *Poller) remove(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(p.list()), func(x *Session) bool { return x == s })
	p.sessions.Store(&next)
}

// pause waits for the step under way, if any.
func (p *Poller) pause() {
	p.stepping.Lock()
	defer p.stepping.Unlock()
}

// Idle reports whether there is nothing to read.
func (p *Poller) Idle() bool {
	return len(p.list()) == 0 && !slices.ContainsFunc(p.commons(), func(q *sharedPair) bool { return q.size.Load() > 0 })
}

// rtcpEvery is how many ticks pass between two looks at an RTCP socket.
const rtcpEvery = 5

// Step reads all sockets that have something and sends the RTCP that is due.
func (p *Poller) Step(now time.Duration) {
	if p.Idle() {
		return
	}
	p.stepping.Lock()
	defer p.stepping.Unlock()
	p.in.Offset = time.Duration(time.Now().UnixNano()) - core.Now()
	p.ticks++
	if m := p.shared.Load(); m != nil {
		m.poll(p.in, now)
	}
	for _, q := range p.commons() {
		q.poll(p.in, now)
	}
	list := p.list()
	for i, s := range list {
		ahead(list, i)
		s.poll(p.in, now, (p.ticks+i)%rtcpEvery == 0)
	}
}
