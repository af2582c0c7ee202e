package rtpio

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"bridgehead/core"
	"bridgehead/core/cache"
	"bridgehead/core/udp"
)

// Flow is what was negotiated for a session. It is never changed once started:
// a new offer and answer starts a new flow.
type Flow struct {
	// Remote is where to send RTP, as signalled; RemoteRTCP the same for RTCP,
	// zero for the port above it.
	Remote, RemoteRTCP netip.AddrPort
	Mux                bool // RTCP on the RTP port (RFC 5761)
	// Send is the codec of what is written; without a Name nothing is sent.
	Send core.Codec
	// Receive lists the payload types taken in; empty discards all.
	Receive []core.Codec
	// DigitsIn and DigitsOut are telephone-event formats (RFC 4733).
	DigitsIn  []core.Codec
	DigitsOut core.Codec
	Keys      *Keys // nil: no SRTP
	// CipherIn and CipherOut encrypt payloads where Keys are nil, each
	// direction for itself; nil: in clear.
	CipherIn, CipherOut Cipher
	// Symmetric learns where a clear peer really sends from, once: the
	// signalled address has precedence, and what is found is locked. SRTP
	// never learns.
	Symmetric bool
	// Traversal: the peer is behind a firewall and keeps it open (H.460.19).
	// Its first packet tells where it is, be it sound or one that is empty or
	// of the payload type KeepAlive (0: none); it comes from Host, the peer's
	// of signalling, where the session has ports of its own. Only without Keys.
	Traversal bool
	KeepAlive uint8
	Host      netip.Addr
	// MultiplexID is prefixed to each datagram sent (H.460.19 §7); 0: none.
	MultiplexID uint32
	// The functions are called on the media clock and must not block.
	OnDigit    func(key byte)
	OnFeedback func(rtcp.Packet) // PLI, FIR, TMMBR…
	// OnRate is told, on the media clock, what the peer takes at most, in bit/s,
	// by its wish or by the losses that it reports; 0: no limit any more.
	OnRate func(bps int)
	// OnTimeout is called once when nothing has come for Timeout (0: never).
	Timeout   time.Duration
	OnTimeout func()
}

// Cipher encrypts the payload of RTP packets and leaves the header and RTCP in
// clear, as H.235.6 does. It knows nothing of who sent a packet. Each is used
// by one goroutine at a time and must not allocate.
type Cipher interface {
	// Encrypt appends the ciphertext to dst; padded is the packet's P bit.
	Encrypt(dst, payload []byte, seq uint16, timestamp uint32) (out []byte, padded bool)
	// Decrypt appends the plaintext, without padding, to dst.
	Decrypt(dst, payload []byte, seq uint16, timestamp uint32, padded bool) ([]byte, error)
	// Warm has the processor fetch what the next packet needs.
	Warm()
}

// Session is one RTP session: a port pair, and a flow once started. It is the
// core.Sink of what the party hears.
type Session struct {
	// What packets need comes first, in few cache lines.
	flow     atomic.Pointer[flow]
	sink     atomic.Pointer[core.Sink]
	closed   atomic.Bool
	shut     bool     // the sockets are closed; guarded by outMu
	in       receiver // touched by the poller only
	counters counters
	// outMu is held for the microseconds of one send, by one party's writers.
	outMu  sync.Mutex
	ssrc   uint32
	outbox *udp.Outbox // that sends what is written; nil: it goes at once
	out    sender      // guarded by outMu: written by the mixer, RTCP and digits

	ports     *Ports
	poller    *Poller
	shared    shared // whose sockets these are; nil: the session's own
	rtp, rtcp udp.Socket
	place     struct{ rtp, rtcp netip.AddrPort } // at the shared pair, which guards it
	id        uint32
}

// shared is a port pair of more than one session.
type shared interface {
	leave(*Session)
	// expect tells where a session's peer sends from.
	expect(s *Session, rtp, rtcp netip.AddrPort)
}

// flow is a Flow made ready for the packet path.
type flow struct {
	hot
	Flow
	started  time.Duration
	timedOut bool           // poller only
	reports  netip.AddrPort // poller only: where the peer's come from, with Traversal
	rtcpTo   atomic.Pointer[udp.Address]
	found    atomic.Pointer[netip.AddrPort]
	formats  [128]format
}

// hot is what each packet needs of a flow.
type hot struct {
	srtpIn, srtpOut     *protection
	cipherIn, cipherOut Cipher
	rtpTo               atomic.Pointer[udp.Address]
	sends               bool
	rate                int32 // of what is sent, Hz
	payloadType         uint8 // of it
	digits              bool  // may be sent
	traversal           bool
	heard               bool  // poller only: the peer was
	latch               latch // poller only
}

// format is what a payload type means.
type format struct {
	kind kind
	kHz  uint8 // of the RTP clock
}

type kind uint8

const (
	unknown kind = iota
	sound
	event
	keepAlive
)

func newSession(p *Ports, rtp, rtcp udp.Socket) *Session {
	s := &Session{ports: p, rtp: rtp, rtcp: rtcp, ssrc: rand.Uint32()}
	s.out.seq = uint16(rand.Uint32())
	s.out.stamp = rand.Uint32()
	return s
}

// Port is the local RTP port.
func (s *Session) Port() int { return int(s.rtp.Port()) }

// Mark sets the DSCP of the session's packets (RFC 2474); 0 leaves it as it is.
// Only for a session of [Ports.Open], whose ports are its own.
func (s *Session) Mark(dscp int) {
	if dscp != 0 {
		s.rtp.Mark(dscp)
		s.rtcp.Mark(dscp)
	}
}

// Found is where the peer's packets come from; zero before the first that is
// believed.
func (s *Session) Found() netip.AddrPort {
	if f := s.flow.Load(); f != nil {
		if at := f.found.Load(); at != nil {
			return *at
		}
	}
	return netip.AddrPort{}
}

// SSRC of what is sent.
func (s *Session) SSRC() uint32 { return s.ssrc }

// Start begins a flow; the one before, if any, ends. It fails only on keys of
// the wrong length. With the same keys as before, packets already seen stay
// refused.
func (s *Session) Start(f Flow) error {
	n := &flow{Flow: f, started: core.Now()}
	n.hot = hot{cipherIn: f.CipherIn, cipherOut: f.CipherOut, traversal: f.Traversal,
		sends: f.Send.Name != "", rate: int32(f.Send.ClockRate), payloadType: f.Send.PayloadType, digits: f.DigitsOut.Name != ""}
	old := s.flow.Load()
	if f.Keys != nil {
		var err error
		if n.srtpIn, n.srtpOut, err = protect(f.Keys, old); err != nil {
			return err
		}
	}
	for _, c := range f.Receive {
		n.formats[c.PayloadType&0x7f] = format{sound, uint8(c.ClockRate / 1000)}
	}
	for _, c := range f.DigitsIn {
		n.formats[c.PayloadType&0x7f] = format{event, uint8(c.ClockRate / 1000)}
	}
	if pt := f.KeepAlive & 0x7f; f.Traversal && pt != 0 && n.formats[pt].kind == unknown {
		n.formats[pt].kind = keepAlive
	}
	n.aim(s, f.Remote, rtcpOf(f))
	if f.Traversal {
		n.resume(s, old)
	} else if old != nil && f.Keys == nil && old.Remote == f.Remote {
		if to := old.found.Load(); to != nil { // the same peer, found already
			n.latch = latch{locked: true, to: *to}
			n.found.Store(to)
			n.aim(s, *to, n.latch.rtcp())
		}
	}
	switch {
	case s.shared != nil && n.latch.locked:
		s.shared.expect(s, n.latch.to, n.latch.rtcp())
	case s.shared != nil:
		s.shared.expect(s, f.Remote, rtcpOf(f))
	}
	s.flow.Store(n)
	return nil
}

// resume goes on sending to where an endpoint behind a firewall was found; the
// first packet of the new flow may tell of another place.
func (f *flow) resume(s *Session, old *flow) {
	if old == nil || !old.Traversal || old.Host != f.Host {
		return
	}
	if to := old.found.Load(); to != nil {
		f.found.Store(to)
		f.aim(s, *to, netip.AddrPort{})
		if at := old.rtcpTo.Load(); at != nil {
			f.rtcpTo.Store(at)
		}
	}
}

func rtcpOf(f Flow) netip.AddrPort {
	switch {
	case f.Mux:
		return f.Remote
	case f.RemoteRTCP.IsValid():
		return f.RemoteRTCP
	default:
		return netip.AddrPortFrom(f.Remote.Addr(), f.Remote.Port()+1)
	}
}

func (f *flow) aim(s *Session, rtp, rtcp netip.AddrPort) {
	for to, at := range map[*atomic.Pointer[udp.Address]]netip.AddrPort{&f.rtpTo: rtp, &f.rtcpTo: rtcp} {
		if at.IsValid() && at.Port() != 0 && !at.Addr().IsUnspecified() && !at.Addr().IsMulticast() {
			a := s.rtp.Address(at)
			to.Store(&a)
		}
	}
}

// Receive sets where incoming sound goes from now on; nil discards it.
func (s *Session) Receive(to core.Sink) {
	if to == nil {
		s.sink.Store(nil)
		return
	}
	s.sink.Store(&to)
}

// Close frees the ports. The peer is told by RTCP BYE.
func (s *Session) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.sendRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: s.ssrc}, &rtcp.Goodbye{Sources: []uint32{s.ssrc}}})
	if s.shared != nil {
		s.shared.leave(s)
		return nil
	}
	s.poller.remove(s)
	go func() {
		s.poller.pause() // nobody reads the sockets any more
		s.outMu.Lock()
		s.shut = true
		s.rtp.Close()
		s.rtcp.Close()
		s.outMu.Unlock()
		s.ports.release(s.rtp.Port())
	}()
	return nil
}

// videoRate is the RTP clock of every video format; there the marker ends a
// picture and does not begin a talk spurt.
const videoRate = 90000

// sender numbers and writes what the party hears or sees.
type sender struct {
	seq     uint16
	stamp   uint32 // of the last packet, as sent
	source  uint32 // timestamp of the last packet, as written to us
	at      time.Duration
	running bool // a packet was sent in this flow
	written order
	writer  uint32 // SSRC of what written is about
	flow    *flow
	header  header
	buf     []byte
	digits  digits
}

// Write encrypts and sends one packet. Sequence number, SSRC and payload type
// are the session's own; timestamps, and a picture's sequence numbers, keep the
// writer's steps.
func (s *Session) Write(p *core.Packet) error {
	f := s.flow.Load()
	if f == nil || !f.sends {
		return nil
	}
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if s.shut {
		return nil
	}
	o := &s.out
	now := core.Now()
	if f != o.flow {
		o.flow, o.running = f, false
	}
	late, next := false, o.seq
	if f.rate == videoRate {
		if p.Header.SSRC != o.writer { // another picture, numbered otherwise
			o.writer, o.written = p.Header.SSRC, order{}
		}
		step, ok := o.written.step(p.Header.SequenceNumber)
		if !ok {
			return nil
		}
		o.seq += uint16(step)
		late = step < 0
	}
	if !late {
		o.advance(p.Header.Timestamp, now, int(f.rate))
	}
	if s.writeDigit(f) {
		return nil
	}
	o.header = header{marker: p.Header.Marker || !o.running && f.rate != videoRate, payloadType: f.payloadType, stamp: o.stamp, ssrc: s.ssrc}
	if late {
		o.header.stamp -= o.source - p.Header.Timestamp
	}
	o.running = true
	err := s.sendRTP(f, p.Payload)
	if late {
		o.seq = next
	}
	return err
}

// Warm implements [core.Warmer].
func (s *Session) Warm() {
	cache.Fetch(&s.outMu)
	cache.Fetch(&s.out)
	if f := s.flow.Load(); f != nil {
		cache.Fetch(f.rtpTo.Load())
		warm(f.srtpOut, f.cipherOut)
	}
}

// order keeps to a picture's numbers as they are written: what is missing on the
// way here is seen to be missing by the peer, and what comes late goes out in
// its place.
type order struct {
	begun       bool
	first, next uint16 // of the writer; the first that may come late
	seen        uint64 // bit i: next-1-i was written
}

// step is how far the numbers sent go on before this packet, less than 0 for
// one that is late; false for one that has come before or is too old.
func (n *order) step(seq uint16) (int, bool) {
	ahead := int(int16(seq - n.next))
	switch {
	case !n.begun || ahead > maxDropout || ahead < -maxDropout: // another writer
		*n = order{begun: true, first: seq, next: seq + 1, seen: 1}
		return 0, true
	case ahead >= 0:
		n.seen = n.seen<<uint(ahead+1) | 1
		n.next = seq + 1
		if n.next-n.first > 1<<14 {
			n.first = n.next - 64
		}
		return ahead, true
	case ahead < -64 || int16(seq-n.first) < 0 || n.seen>>uint(-ahead-1)&1 != 0:
		return 0, false // no number is given twice (RFC 7714, section 8.4)
	}
	n.seen |= 1 << uint(-ahead-1)
	return ahead, true
}

// advance keeps the timestamps sent continuous while the party moves from one
// writer (reception, meeting) to the next.
func (o *sender) advance(source uint32, now time.Duration, rate int) {
	step := source - o.source
	if o.at == 0 || step > uint32(5*rate) {
		step = uint32((now - o.at).Seconds() * float64(rate))
	}
	o.stamp += step
	o.source, o.at = source, now
}

// sendRTP sends o.header and payload; the lock is held.
func (s *Session) sendRTP(f *flow, payload []byte) error {
	to := f.rtpTo.Load()
	if to == nil {
		return nil
	}
	o := &s.out
	o.header.seq = o.seq
	o.seq++
	if 12+len(payload) > udp.MaxPacket-64 {
		return nil
	}
	s.counters.sent.Add(1)
	s.counters.octets.Add(uint64(len(payload)))
	s.counters.stamp.Store(o.stamp)
	if s.outbox != nil {
		wire, err := o.seal(s.outbox.Begin(), f, payload)
		s.outbox.End(len(wire), to)
		return err
	}
	wire, err := o.seal(o.buf[idLen:idLen], f, payload)
	if err != nil {
		return err
	}
	if f.MultiplexID != 0 { // in the octets before the packet
		wire = o.buf[:idLen+len(wire)]
		binary.BigEndian.PutUint32(wire, f.MultiplexID)
	}
	return s.rtp.Send(wire, to)
}

// seal makes a packet of o.header and payload in buf, which is empty and has
// room for it.
func (o *sender) seal(buf []byte, f *flow, payload []byte) ([]byte, error) {
	plain := buf[:12+len(payload)]
	o.header.put(plain)
	copy(plain[12:], payload)
	switch {
	case f.srtpOut != nil:
		return f.srtpOut.rtp(plain)
	case f.cipherOut != nil:
		wire, padded := f.cipherOut.Encrypt(plain[:12], payload, o.header.seq, o.header.stamp)
		if padded {
			wire[0] |= 1 << 5
		}
		return wire, nil
	}
	return plain, nil
}

// header is the fixed RTP header (RFC 3550 §5.1), all that we send.
type header struct {
	marker      bool
	payloadType uint8
	seq         uint16
	stamp, ssrc uint32
}

func (h *header) put(b []byte) {
	b[0] = 2 << 6
	b[1] = h.payloadType & 0x7f
	if h.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.seq)
	binary.BigEndian.PutUint32(b[4:], h.stamp)
	binary.BigEndian.PutUint32(b[8:], h.ssrc)
}
